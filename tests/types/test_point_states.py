"""States beside tracks: cut, joined, saved and drawn with them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pointtrack.io.track_log import TrackWriter, read_spilled, spilled_to_npz
from pointtrack.io.tracks import load_tracks, save_tracks
from pointtrack.types import Queries, Tracks, Video
from pointtrack.types.point_states import PointState, PointStates
from pointtrack.viz.tracks import draw_tracks
from tests.support.states import WH, some_states, some_tracks
from tests.support.states import same_states as same


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".json"])
def test_states_come_back_exactly_from_files(tmp_path, suffix):
    tracks = some_tracks(first=3)
    assert same(load_tracks(save_tracks(tmp_path / f"a{suffix}", tracks)).states, tracks.states)
    without = replace(tracks, states=None)
    assert load_tracks(save_tracks(tmp_path / f"b{suffix}", without)).states is None


def test_csv_says_states_in_words(tmp_path):
    tracks = some_tracks(1)
    state = torch.tensor([[PointState.LOST, PointState.OUT_OF_FRAME, PointState.HIDDEN]])
    tracks = replace(tracks, states=replace(tracks.states, state=state))
    lines = save_tracks(tmp_path / "a.csv", tracks).read_text().splitlines()[-3:]
    assert [line.split(",")[7] for line in lines] == ["lost", "out_of_frame", "hidden"]


def test_states_come_back_from_a_growing_file(tmp_path):
    tracks = some_tracks()
    with TrackWriter(tmp_path / "a.tracks") as writer:
        writer.append(tracks.clip(0, 2))
        writer.append(tracks.clip(2))
    assert same(read_spilled(tmp_path / "a.tracks").states, tracks.states)
    npz = spilled_to_npz(tmp_path / "a.tracks", tmp_path / "a.npz")
    assert same(load_tracks(npz).states, tracks.states)


def test_states_go_with_the_points_and_frames():
    tracks = some_tracks()
    assert same(tracks.select([2, 0]).states, tracks.states[:, [2, 0]])
    assert same(tracks.clip(1, 4).states, tracks.states[1:4])
    assert same(Tracks.concat([tracks.clip(0, 2), tracks.clip(2)]).states, tracks.states)


def test_points_that_are_missing_from_a_piece_are_not_tracked_there():
    joined = Tracks.concat([some_tracks(2, (0, 1)), some_tracks(3, (1, 7), first=2, seed=1)])
    assert joined.ids.tolist() == [0, 1, 7]
    assert same(joined.states[:2, :2], some_states(2, 2))
    assert same(joined.states[2:, 1:], some_states(3, 2, 1))
    assert same(joined.states[:2, 2:], PointStates.blank(2, 1))


def test_states_are_kept_only_where_all_pieces_have_them():
    parts = [some_tracks(2), replace(some_tracks(2, first=2), states=None)]
    assert Tracks.concat(parts).states is None
    assert Tracks.concat([parts[0], replace(some_tracks(2, (5,), first=2), states=None)]).states is None


def test_where_takes_from_either():
    one, other = some_states(), some_states(seed=1)
    condition = torch.arange(5)[:, None] < torch.tensor([1, 5, 0])
    mixed = one.where(condition, other)
    assert same(mixed[:, 1:2], one[:, 1:2])
    assert same(mixed[:, 2:], other[:, 2:])
    assert same(mixed[:1, :1], one[:1, :1])
    assert same(mixed[1:, :1], other[1:, :1])


def test_what_does_not_fit_is_refused():
    states = some_states()
    with pytest.raises(ValueError, match=r"states raw_xy: expected \(5, 3, 2\), got \(5, 3\)"):
        replace(states, raw_xy=states.similarity)
    with pytest.raises(ValueError, match=r"expected values of PointState, 0..4, got 5"):
        replace(states, state=torch.full((5, 3), 5))
    with pytest.raises(ValueError, match=r"tracks states: expected \(5, 3\), got \(4, 3\)"):
        replace(some_tracks(), states=some_states(4))


def test_a_lost_point_is_drawn_where_it_was_last_seen():
    frames, where = 6, torch.tensor([20.0, 20.0])
    xy = torch.full((frames, 1, 2), 40.0)  # what the tracker says of it once it is lost
    xy[:3, 0] = where
    state = torch.full((frames, 1), PointState.LOST)
    state[:3] = PointState.VISIBLE
    seen = (state == PointState.VISIBLE).float()
    states = replace(PointStates.blank(frames, 1), state=state)
    tracks = Tracks(xy, seen, seen, Queries([0], [where.tolist()]), WH, states=states)
    video = Video(np.zeros((frames, WH[1], WH[0], 3), np.uint8))
    drawn = draw_tracks(video, tracks, trail=4).frames
    for t in (3, 4, 5):
        assert drawn[t, 16:25, 16:25].any()
        assert not drawn[t, 34:, 34:].any()
    assert not draw_tracks(video, tracks, trail=2).frames[5].any()  # that was long ago
    assert not draw_tracks(video, tracks, trail=4, lost="none").frames[3].any()


def test_no_line_leads_to_where_a_lost_point_was_found():
    xy = torch.tensor([[[10.0, 24.0]], [[10.0, 24.0]], [[10.0, 24.0]], [[54.0, 24.0]]])
    state = torch.tensor([[PointState.VISIBLE], [PointState.LOST], [PointState.LOST], [PointState.VISIBLE]])
    seen = (state == PointState.VISIBLE).float()
    states = replace(PointStates.blank(4, 1), state=state)
    tracks = Tracks(xy, seen, seen, Queries([0], [[10.0, 24.0]]), WH, states=states)
    video = Video(np.zeros((4, WH[1], WH[0], 3), np.uint8))
    drawn = draw_tracks(video, tracks, trail=8).frames[3]
    assert drawn[20:29, 50:59].any()
    assert not drawn[:, 20:45].any()
    # Nor, where nobody judged it, to where it jumped.
    assert not draw_tracks(video, replace(tracks, states=None), trail=8).frames[3][:, 20:45].any()
