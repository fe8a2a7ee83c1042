"""Tracks in a growing file: what is read back, while it grows, after a crash, and as .npz."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch

from pointtrack.io.track_log import (
    END,
    TrackWriter,
    is_finished,
    read_about,
    read_spilled,
    spilled_backward,
    spilled_pieces,
    spilled_to_npz,
)
from pointtrack.io.tracks import load_tracks, save_tracks
from pointtrack.types import Queries, Tracks
from tests.support.programs import run_program
from tests.support.tracks import same


def some_tracks(frames: int = 20, n: int = 3) -> Tracks:
    generator = torch.Generator().manual_seed(1)
    xy = torch.rand(frames, n, 2, generator=generator) * 40
    xy[:4, 1] = torch.nan
    visibility = torch.rand(frames, n, generator=generator)
    queries = Queries([0, 4, 0][:n], xy[4, :n], [5, 2, 9][:n])
    return Tracks(xy, visibility, visibility / 2, queries, (64, 48), fps=12.5)


TRACKS = some_tracks()
PIECES = [TRACKS.clip(0, 8), TRACKS.clip(8, 12), TRACKS.clip(12, 20)]


@pytest.fixture
def path(tmp_path):
    with TrackWriter(tmp_path / "folder" / "a.tracks") as writer:
        for piece in PIECES:
            writer.append(piece)
    return tmp_path / "folder" / "a.tracks"


def whole(tracks: Tracks) -> Tracks:
    assert tracks.wh == (64, 48) and tracks.fps == 12.5
    assert tracks.queries.frame.equal(TRACKS.queries.frame) and tracks.queries.xy.equal(TRACKS.queries.xy)
    assert tracks.ids.tolist() == [5, 2, 9]
    return tracks


def test_everything_comes_back(path):
    tracks = whole(read_spilled(path))
    assert same(tracks, TRACKS)
    assert [len(piece) for piece in spilled_pieces(path)] == [8, 4, 8]
    assert [len(piece) for piece in spilled_backward(path)] == [8, 4, 8]
    assert [piece.first_frame for piece in spilled_backward(path)] == [12, 8, 0]


def test_it_can_be_read_while_it_grows(tmp_path):
    path = tmp_path / "a.tracks"
    with TrackWriter(path) as writer:
        with pytest.raises(ValueError, match="no piece of them is finished yet"):
            read_spilled(path)
        for count, piece in zip((8, 12, 20), PIECES, strict=True):
            writer.append(piece)
            writer.append(piece.clip(len(piece)))  # no frames: as if not called
            assert same(read_spilled(path), TRACKS.clip(0, count))


@pytest.mark.parametrize("lost", [1, 40, 1000])
def test_a_torn_piece_is_left_out(path, lost):
    content = path.read_bytes()
    content = content[: content.rindex(END)]  # as a killed run leaves it
    path.write_bytes(content[:-lost])
    assert same(read_spilled(path), TRACKS.clip(0, 12))


def test_every_flipped_bit_is_an_error_and_no_frame_is_lost_without_a_word(path):
    """A flipped bit in a length once gave 8 frames of 40."""
    content = path.read_bytes()
    for at in sorted({*range(30), *range(0, len(content), 97), *range(len(content) - 40, len(content))}):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
        with pytest.raises(ValueError, match="damaged at byte|another kind of file"):
            read_spilled(path)


def test_every_cut_gives_whole_pieces(path):
    content = path.read_bytes()
    for at in range(0, len(content), 61):
        path.write_bytes(content[:at])
        assert sum(map(len, spilled_pieces(path))) in (0, 8, 12, 20)
        assert not is_finished(path)
    path.write_bytes(content)
    assert is_finished(path)


def old_format(pieces) -> bytes:
    """As version 1 wrote it."""
    records = []
    for piece in pieces:
        buffer = io.BytesIO()
        np.savez(buffer, **piece.arrays())
        records.append(struct.pack("<4sQI", b"PTS1", len(buffer.getvalue()), zlib.crc32(buffer.getvalue())))
        records.append(buffer.getvalue())
    return b"".join(records)


def test_files_of_the_first_version_are_read_and_gone_on_with(path):
    content = old_format(PIECES)
    path.write_bytes(content)
    assert same(read_spilled(path), TRACKS)
    path.write_bytes(content[:-20])
    assert same(read_spilled(path), TRACKS.clip(0, 12))
    with TrackWriter(path, keep=8) as writer:
        writer.append(TRACKS.clip(8, 20))
    assert same(read_spilled(path), TRACKS)
    wrong = bytearray(content)
    wrong[9] ^= 1  # in a length: the first piece would reach beyond the end
    path.write_bytes(wrong)
    with pytest.raises(ValueError, match="damaged"):
        read_spilled(path)


def test_an_unfinished_run_is_not_emptied(path):
    content = path.read_bytes()
    unfinished = content[: content.rindex(END)]
    path.write_bytes(unfinished)
    with pytest.raises(ValueError, match="run that was stopped; continue it with --resume"):
        TrackWriter(path)
    assert path.read_bytes() == unfinished
    with TrackWriter(path, overwrite=True) as writer:
        writer.append(PIECES[0])
    with TrackWriter(path):  # a finished one may be replaced
        pass
    assert not list(spilled_pieces(path))
    path.write_bytes(b"a file of somebody else")
    with pytest.raises(ValueError, match="another kind of file"):
        TrackWriter(path)
    assert path.read_bytes() == b"a file of somebody else"


def test_an_error_leaves_the_file_unfinished(tmp_path):
    path = tmp_path / "a.tracks"
    with pytest.raises(RuntimeError), TrackWriter(path) as writer:
        writer.append(PIECES[0])
        raise RuntimeError
    assert not is_finished(path)
    assert same(read_spilled(path), PIECES[0])


def test_two_writers_at_a_time_are_one_too_many(path):
    code = "import sys; from pointtrack.io.track_log import TrackWriter; TrackWriter(sys.argv[1], overwrite=True)"
    with TrackWriter(path) as writer:
        writer.append(PIECES[0])
        with pytest.raises(OSError, match="another process writes"):
            TrackWriter(path, keep=8)
        other = run_program(code, path)
        assert "another process writes tracks to it" in other.stderr
        writer.append(PIECES[1])
    assert same(read_spilled(path), TRACKS.clip(0, 12))


def test_what_tracks_are_of_is_noted_and_compared(tmp_path):
    path, about = tmp_path / "a.tracks", {"video": "sha256 01234567", "span": "from 0"}
    with TrackWriter(path, about=about) as writer:
        writer.append(PIECES[0])
    assert read_about(path) == about
    with pytest.raises(
        ValueError, match="expected the options of the run in .*a.tracks, got others: video: not the same"
    ):
        TrackWriter(path, keep=8, about={**about, "video": "sha256 89abcdef"})
    with TrackWriter(path, keep=8, about=about) as writer:
        writer.append(PIECES[1])
    assert read_about(path) == about
    assert same(read_spilled(path), TRACKS.clip(0, 12))


def test_a_head_without_its_piece_is_left_out(path):
    content = path.read_bytes()
    path.write_bytes(content + content[:7])
    assert same(read_spilled(path), TRACKS)


@pytest.mark.parametrize("torn", [0, 30])
def test_going_on_behind_a_frame(path, torn):
    path.write_bytes(path.read_bytes()[: -torn or None])
    with TrackWriter(path, keep=8) as writer:
        assert writer.next_frame == 8
        writer.append(TRACKS.clip(8, 10))
    assert same(read_spilled(path), TRACKS.clip(0, 10))


def test_going_on_where_no_piece_ends(path, tmp_path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="expected tracks up to frame 11, .* got them up to frame 8"):
        TrackWriter(path, keep=11)
    with pytest.raises(ValueError, match="up to frame 24, .* got them up to frame 20"):
        TrackWriter(path, keep=24)
    assert path.read_bytes() == before
    with pytest.raises(FileNotFoundError):
        TrackWriter(tmp_path / "none.tracks", keep=8)


def test_a_gap_is_refused(path):
    with TrackWriter(path, keep=12) as writer, pytest.raises(ValueError, match="from frame 12, got 13"):
        writer.append(TRACKS.clip(13))


def test_as_npz(path, tmp_path):
    tracks = whole(load_tracks(spilled_to_npz(path, tmp_path / "new" / "a.npz")))
    assert same(tracks, TRACKS)


def test_points_that_come_and_go(path, tmp_path):
    with TrackWriter(path, keep=12) as writer:
        writer.append(PIECES[2].select([0, 2]))
    tracks = read_spilled(path)
    assert torch.isnan(tracks.xy[12:, 1]).all() and tracks.xy[12:, 2].equal(TRACKS.xy[12:, 2])
    with pytest.raises(ValueError, match="same points in all pieces"):
        spilled_to_npz(path, tmp_path / "a.npz")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="found nothing"):
        read_spilled(tmp_path / "none.tracks")
    save_tracks(tmp_path / "a.npz", TRACKS)
    with pytest.raises(ValueError, match="another kind of file"):
        read_spilled(tmp_path / "a.npz")
