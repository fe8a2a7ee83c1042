"""Times of a variable rate are those of the video in every file, also of spans that begin later."""

import numpy as np
import pandas as pd
import pytest

from pointtrack.io.masks import load_masks, save_masks
from pointtrack.io.track_log import TrackWriter, read_spilled, spilled_to_npz
from pointtrack.io.tracks import load_tracks, save_tracks
from pointtrack.io.video import read_video
from pointtrack.tracker import Tracker
from pointtrack.types import Masks, Queries, Tracks
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
