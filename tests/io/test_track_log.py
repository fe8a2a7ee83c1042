"""Tracks in a growing file: what is read back, while it grows, after a crash, and as .npz."""

import pytest
import torch

from pointtrack.io.track_log import TrackWriter, read_spilled, spilled_pieces, spilled_to_npz
from pointtrack.io.tracks import load_tracks, save_tracks
from pointtrack.types import Queries, Tracks
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
    path.write_bytes(content[:-lost])
    assert same(read_spilled(path), TRACKS.clip(0, 12))
    path.write_bytes(content[: -lost - 1] + b"x" + content[-lost:])  # a byte that was not written as meant
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
    with pytest.raises(ValueError, match="expected tracks up to frame 11 .* got them up to frame 8"):
        TrackWriter(path, keep=11)
    with pytest.raises(ValueError, match="up to frame 24 .* got them up to frame 20"):
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
