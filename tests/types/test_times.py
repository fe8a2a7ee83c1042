"""Times of a variable rate are those of the video in every file, also of spans that begin later."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pointtrack.cli import segment
from pointtrack.cli.live_recording import TrackRecording
from pointtrack.cli.main import main
from pointtrack.io.lazy_video import lazy_video
from pointtrack.io.masks import load_masks, save_masks
from pointtrack.io.track_log import TrackWriter, read_spilled, spilled_to_npz
from pointtrack.io.tracks import load_tracks, save_tracks
from pointtrack.io.video import VideoStream, open_video, read_video
from pointtrack.pipeline.resume import state_path
from pointtrack.sessions.track_session import TrackSession
from pointtrack.tracker import Tracker
from pointtrack.types import Masks, Queries, Tracks
from tests.support.scenes import ColourSegmenter
from tests.support.streams import track_long
from tests.support.tracks import same
from tests.support.video_files import encode, numbered_frames

PTS = [0, 33, 66, 100, 500, 900, 933, 966, 2000, 2033, 2066, 2100]
SECONDS = np.array(PTS) / 1000


@pytest.fixture
def variable(tmp_path):
    return encode(tmp_path / "vfr.mp4", numbered_frames(len(PTS)), pts=PTS)


def test_tracks_have_the_times_of_their_video(variable, tiny_tracker, tmp_path):
    video = read_video(variable)
    tracks = Tracker(tiny_tracker).track(video, Queries([0], [[30, 20]]))
    np.testing.assert_allclose(tracks.seconds(), SECONDS, atol=1e-3)
    for name in ("a.csv", "a.json", "a.npz", "a.tracks", "a.parquet"):
        again = load_tracks(save_tracks(tmp_path / name, tracks))
        np.testing.assert_allclose(again.seconds(), SECONDS, atol=1e-3, err_msg=name)
    table = pd.read_csv(tmp_path / "a.csv", comment="#")
    np.testing.assert_allclose(table["time"], SECONDS, atol=1e-3)
    np.testing.assert_allclose(tracks.to_pandas()["time"], SECONDS, atol=1e-3)


def test_a_span_keeps_its_place(variable, tiny_tracker):
    video = read_video(variable, start=0.9)
    tracks = Tracker(tiny_tracker).track(video, Queries([0], [[30, 20]]))
    np.testing.assert_allclose(tracks.seconds(), SECONDS[5:], atol=1e-3)


def test_a_growing_file_has_them_too(variable, tiny_tracker, tmp_path):
    """Also of a point that is tracked backward, and behind a resume."""
    points, path = Queries([0, 7], [[30, 20], [20, 20]]), tmp_path / "a.tracks"
    for backward in (False, True):
        Tracker(tiny_tracker).track_to_file(variable, points, path, backward=backward)
        np.testing.assert_allclose(load_tracks(path).times, SECONDS, atol=1e-3)
        saved = load_tracks(spilled_to_npz(path, tmp_path / "a.npz"))
        np.testing.assert_array_equal(saved.times, load_tracks(path).times)
        assert same(saved, Tracker(tiny_tracker).track(read_video(variable), points, backward=backward))

    def breaking():
        for number, timed in enumerate(open_video(variable)):
            if number == 10:
                raise OSError("gone")
            yield timed

    with pytest.raises(OSError, match="gone"):
        track_long(tiny_tracker, VideoStream(breaking(), 30.0, None, "v"), points, path, state_seconds=0)
    assert state_path(path).exists() and len(load_tracks(path)) < 10
    again = VideoStream(iter(open_video(variable)), 30.0, None, "v")
    track_long(tiny_tracker, again, points, path, resume=True)
    np.testing.assert_allclose(load_tracks(path).times, SECONDS, atol=1e-3)


@pytest.mark.parametrize("suffix", [pytest.param(".mp4", marks=pytest.mark.long), ".mkv"])
def test_the_rate_is_the_same_in_every_way_of_running(suffix, tiny_tracker, tmp_path):
    """The header of an .mkv says a rate that no frame has."""
    variable = encode(tmp_path / f"vfr{suffix}", numbered_frames(len(PTS)), pts=PTS)
    expected = read_video(variable).fps
    assert expected == pytest.approx(11 / 2.1, rel=0.1)
    assert lazy_video(variable).fps == expected
    points, path = Queries([0, 7], [[30, 20], [20, 20]]), tmp_path / "a.tracks"
    for backward in (False, True):
        Tracker(tiny_tracker).track_to_file(variable, points, path, backward=backward)
        assert load_tracks(path).fps == expected
        assert load_tracks(spilled_to_npz(path, tmp_path / "a.npz")).fps == expected
    tracks = replace(load_tracks(path), fps=30.0)  # whatever somebody says of tracks is kept
    assert load_tracks(save_tracks(tmp_path / "b.tracks", tracks)).fps == 30


@pytest.mark.parametrize(
    "more",
    [
        [],
        *(pytest.param(more, marks=pytest.mark.long) for more in (["--smooth", "1"], ["--every", "3"])),
        ["--every", "3", "--smooth", "1"],
    ],
)
def test_the_command_notes_the_same_rate_with_flat(more, tiny_tracker_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encode(tmp_path / "vfr.mkv", numbered_frames(len(PTS)), pts=PTS)
    rates = []
    for flat in ([], ["--flat"]):
        words = ["track", "vfr.mkv", "--points", "0,30,20", "--tracker", str(tiny_tracker_file), *more, *flat]
        assert main([*words, "--out", f"out{len(flat)}"]) == 0
        rates.append({path.name: load_tracks(path).fps for path in Path(f"out{len(flat)}").glob("*.npz")})
    assert rates[0] == rates[1]
    assert set(rates[0].values()) == {read_video("vfr.mkv").fps}


def test_masks_have_the_same_rate_with_flat(tiny_tracker_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(segment, "load_segmenter", lambda *_, **__: ColourSegmenter())  # a quick one
    encode(tmp_path / "vfr.mkv", numbered_frames(len(PTS)), pts=PTS)
    words = ["segment", "vfr.mkv", "--click", "0,30,20", "--tracker", str(tiny_tracker_file)]
    assert main(words) == main([*words, "--flat", "--out", "flat"]) == 0
    assert load_masks("flat/vfr_masks.npz").fps == load_masks("outputs/vfr_masks.npz").fps


def test_a_recording_with_dropped_frames_says_the_rate_that_it_has(tmp_path):
    """As its drawn video and recorded masks do; programs such as After Effects place frames by it."""
    times = np.array([0.0, 0.1, 0.3, 0.4, 0.6, 0.7])
    ones = np.ones((6, 1), np.float32)
    tracks = Tracks(
        np.zeros((6, 1, 2), np.float32), ones, ones, Queries([0], [[0, 0]]), (64, 48), times=times
    )
    with TrackRecording(tmp_path / "o.mp4", overwrite=False) as recording:
        for piece in (tracks.clip(0, 4), tracks.clip(4)):
            recording.add(piece)
    assert load_tracks(tmp_path / "o.tracks").fps == pytest.approx(5 / 0.7)
    recording.print()
    saved = load_tracks(tmp_path / "o.npz")
    assert saved.fps == pytest.approx(5 / 0.7) and saved.times.tolist() == times.tolist()


def test_a_growing_file_of_a_constant_rate_gives_none(tiny_video, tiny_tracker, tmp_path):
    path = Tracker(tiny_tracker).track_to_file(tiny_video, Queries([0], [[30, 20]]), tmp_path / "a.tracks")
    assert load_tracks(path).times is None
    assert "times" not in np.load(spilled_to_npz(path, tmp_path / "a.npz"))


def test_a_constant_rate_needs_no_times(tiny_video, tiny_tracker):
    assert Tracker(tiny_tracker).track(tiny_video, Queries([0], [[30, 20]])).times is None


def test_pieces_and_parts(tmp_path):
    xy = np.zeros((12, 1, 2), np.float32)
    ones = np.ones((12, 1), np.float32)
    tracks = Tracks(xy, ones, ones, Queries([0], [[0, 0]]), (64, 48), times=SECONDS)
    pieces = [tracks.clip(0, 5), tracks.clip(5)]
    assert Tracks.concat(pieces).times.tolist() == SECONDS.tolist()
    assert tracks.clip(3, 7).seconds().tolist() == SECONDS[3:7].tolist()
    with TrackWriter(tmp_path / "a.tracks") as writer:
        for piece in pieces:
            writer.append(piece)
    assert read_spilled(tmp_path / "a.tracks").times.tolist() == SECONDS.tolist()
    assert (
        load_tracks(spilled_to_npz(tmp_path / "a.tracks", tmp_path / "a.npz")).times.tolist()
        == SECONDS.tolist()
    )
    masks = Masks(np.ones((12, 1, 4, 6), bool), times=SECONDS)
    assert load_masks(save_masks(tmp_path / "m.npz", masks)).times.tolist() == SECONDS.tolist()
    assert Masks.concat([masks.clip(0, 3), masks.clip(3)]).times.tolist() == SECONDS.tolist()


@pytest.mark.parametrize("times", [[0, 1], [0] * 12, [np.nan] * 12, "text"])
def test_times_that_are_none(times):
    ones = np.ones((12, 1), np.float32)
    with pytest.raises(ValueError):
        Tracks(np.zeros((12, 1, 2)), ones, ones, Queries([0], [[0, 0]]), (64, 48), times=times)


def test_a_session_has_them_too(variable, tiny_tracker):
    """Corrected tracks of a video with frames at uneven times; also of a part of it."""
    session = TrackSession(read_video(variable), Tracker(tiny_tracker))
    session.add(Queries([0], [[30, 20]]))
    np.testing.assert_allclose(session.tracks().seconds(), SECONDS, atol=1e-3)
    np.testing.assert_allclose(session.known(3, 7).seconds(), SECONDS[3:7], atol=1e-3)


@pytest.mark.parametrize("name", ["a.npz", "a.csv", "a"])
def test_a_growing_file_is_called_tracks(name, tiny_video, tiny_tracker, tmp_path):
    with pytest.raises(ValueError, match=r"out: expected a file ending in \.tracks, which grows"):
        Tracker(tiny_tracker).track_to_file(tiny_video, Queries([0], [[30, 20]]), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_arrays_and_lists_of_frames_can_be_read_twice(tiny_video, tiny_tracker, tmp_path):
    points = Queries([2], [[30, 20]])
    wanted = Tracker(tiny_tracker).track(tiny_video, points)
    for number, source in enumerate((tiny_video.frames, list(tiny_video.frames))):
        path = Tracker(tiny_tracker).track_to_file(source, points, tmp_path / f"{number}.tracks")
        assert torch.equal(load_tracks(path).xy, wanted.xy)
