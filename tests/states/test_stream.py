"""Tracks with states: what holds for every tracker, and what the small one does where things leave, hide and look alike."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import pointtrack as pt
from benchmarks.states import count, pan_scene, twin_scene
from pointtrack.cli import main as cli
from pointtrack.models.point_tracker import PointTracker
from pointtrack.types import Queries, Tracks
from pointtrack.types.point_states import PointState
from pointtrack.zoo import load_tracker
from tests.support.states import GENEROUS, same_states
from tests.support.streams import state_stream, track, track_states
from tests.support.tracks import moving_video, same, some_queries

VIDEO = moving_video(21, (64, 48))
QUERIES = some_queries(21, VIDEO.wh)


@pytest.fixture(scope="module")
def quick_small():
    """The small tracker on frames of 256 x 192, so that a second is enough for a clip."""
    tracker = load_tracker("small", device="cpu")
    tracker.config = replace(tracker.config, input_wh=(256, 192))
    return tracker


@pytest.fixture
def whole_tracker(tiny_tracker):
    """A tracker whose one window is the whole video."""
    tracker = PointTracker(
        replace(tiny_tracker.config, window=replace(tiny_tracker.config.window, length=None))
    )
    tracker.load_state_dict(tiny_tracker.state_dict())
    return tracker.eval().requires_grad_(False)


def run(tracker, chunk: int, **options) -> Tracks:
    stream = state_stream(tracker, QUERIES, VIDEO.wh, VIDEO.fps, **options)
    parts = [stream.push(frames) for frames in VIDEO.split(chunk)]
    return Tracks.concat([*parts, stream.finish()])


def test_a_tracker_that_only_repeats_the_visibility_loses_no_hidden_point_by_it(tiny_tracker, monkeypatch):
    """With features of any length, as CoTracker2 has them too."""
    rules = replace(GENEROUS, visible=1.0, unsure=1.0, patience=2)
    monkeypatch.setattr(tiny_tracker.encoder, "unit_length", False, raising=False)
    assert (run(tiny_tracker, 8, rules=rules).states.state == PointState.LOST).any()
    monkeypatch.setattr(PointTracker, "tells_confidence", False)
    states = run(tiny_tracker, 8, rules=rules).states
    assert not bool((states.state == PointState.LOST).any())
    assert states.similarity[QUERIES.frame, torch.arange(7)] == pytest.approx([1.0] * 7, abs=1e-4)


@pytest.mark.parametrize("redetect", [pytest.param(False, marks=pytest.mark.long), True])
def test_chunk_size_does_not_change_the_states(tiny_tracker, redetect):
    one, other = (run(tiny_tracker, chunk, redetect=redetect, cuts=[9]) for chunk in (1, 8))
    assert same(one, other)
    assert same_states(one.states, other.states)


def test_the_raw_answer_is_that_of_track(tiny_tracker):
    plain = track(tiny_tracker, VIDEO, QUERIES, backward=False, steady=False)
    states = track_states(tiny_tracker, VIDEO, QUERIES, backward=False).states
    raw = replace(plain, xy=states.raw_xy, visibility=states.raw_visibility)
    assert same(raw, plain)


@pytest.mark.parametrize("redetect", [False, True])
def test_what_is_lost_is_not_visible_and_what_is_not_tracked_has_no_state(tiny_tracker, redetect):
    tracks = run(tiny_tracker, 8, cuts=[12], redetect=redetect)
    state = tracks.states.state
    early = torch.arange(21)[:, None] < QUERIES.frame
    assert torch.equal(state == PointState.NOT_TRACKED, early)
    assert (tracks.visibility[state == PointState.LOST] == 0).all()
    assert not bool((tracks.visible() & (state != PointState.VISIBLE)).any())
    assert not bool(tracks.in_frame()[state == PointState.OUT_OF_FRAME].any())
    assert (state[QUERIES.frame, torch.arange(7)] == PointState.VISIBLE).all()
    assert torch.equal(tracks.states.similarity.isnan(), early)


def test_from_a_cut_on_all_points_are_lost_and_none_before(tiny_tracker):
    queries = Queries(torch.zeros(3), torch.tensor([[20.0, 20.0], [40.0, 20.0], [30.0, 30.0]]))
    tracks = track_states(tiny_tracker, VIDEO, queries, cuts=[13], rules=GENEROUS)
    assert (tracks.states.state[13:] == PointState.LOST).all()
    assert not bool((tracks.states.state[:13] == PointState.LOST).any())


def test_cuts_may_be_told_frame_by_frame(tiny_tracker):
    seen = []
    told = run(tiny_tracker, 8, cuts=lambda frame: bool(seen.append(frame.shape)) or len(seen) == 14)
    assert seen == [(48, 64, 3)] * 21
    assert same_states(told.states, run(tiny_tracker, 8, cuts=[13]).states)


def test_the_newest_answer_knows_what_is_lost(tiny_tracker):
    stream = state_stream(tiny_tracker, QUERIES, VIDEO.wh, cuts=[18], rules=GENEROUS)
    stream.push(VIDEO.frames[:18])
    before = stream.preview()
    assert before.first_frame == 17
    assert before.states.state.shape == (1, 7)
    assert before.states.state.min() > PointState.NOT_TRACKED
    assert before.states.state.max() < PointState.LOST
    stream.push(VIDEO.frames[18])
    preview = stream.preview()
    assert (preview.states.state == PointState.LOST).all()
    assert (preview.visibility == 0).all()
    assert (preview.states.raw_visibility > 0).any()


@pytest.mark.parametrize("redetect", [False, True])
def test_after_the_end_no_more_frames_are_taken(tiny_tracker, redetect):
    stream = state_stream(tiny_tracker, QUERIES, VIDEO.wh, redetect=redetect)
    stream.push(VIDEO.frames[:8])
    stream.finish()
    with pytest.raises(ValueError, match="expected push before finish"):
        stream.push(VIDEO.frames[8])
    with pytest.raises(ValueError, match="expected"):
        stream.finish()


@pytest.mark.parametrize("kind", ["tiny_tracker", "whole_tracker"])
def test_backward_too_a_shot_ends_at_a_cut(kind, request):
    tracker = request.getfixturevalue(kind)
    queries = Queries([15, 16], [[20.0, 20.0], [40.0, 25.0]])
    tracks = track_states(tracker, VIDEO, queries, cuts=[9, 18], rules=GENEROUS)
    state = tracks.states.state
    assert (state[:9] == PointState.LOST).all()
    assert (state[18:] == PointState.LOST).all()
    assert not bool((state[9:18] == PointState.LOST).any())
    assert (tracks.visibility[:9] == 0).all()


def test_a_tracker_of_one_window_searches_too(whole_tracker):
    tracks = track_states(whole_tracker, VIDEO, QUERIES, redetect=True, cuts=[10])
    assert tracks.xy.shape == (21, 7, 2)
    assert (tracks.states.state != PointState.NOT_TRACKED).all()


def test_cuts_are_found_unless_they_are_told(tiny_tracker):
    video = pt.Video(np.concatenate([VIDEO.frames[:10], 255 - VIDEO.frames[10:]]))
    queries = Queries([0, 0, 14], [[20.0, 20.0], [40.0, 20.0], [30.0, 30.0]])
    tracks = track_states(tiny_tracker, video, queries, rules=GENEROUS)
    lost = tracks.states.state == PointState.LOST
    assert torch.equal(lost[:, :2], (torch.arange(21) >= 10)[:, None].expand(-1, 2))
    assert torch.equal(lost[:, 2], torch.arange(21) < 10), "backward too"
    told = track_states(tiny_tracker, video, queries, rules=GENEROUS, cuts=[])
    assert (told.states.state[10:, :2] != PointState.LOST).any(), "what is told goes before what is found"
    with pytest.raises(ValueError, match="cuts: expected 'auto', frames, or a function, got 'none'"):
        state_stream(tiny_tracker, QUERIES, VIDEO.wh, cuts="none")


def test_no_points_and_wrong_ones(tiny_tracker):
    none = track_states(tiny_tracker, VIDEO, Queries.none())
    assert none.states.state.shape == (21, 0)
    with pytest.raises(ValueError, match="query ids: expected 0 or more, got -3"):
        state_stream(tiny_tracker, Queries([0], [[5.0, 5.0]], [-3]), VIDEO.wh)
    with pytest.raises(ValueError, match="inside the 64 x 48 image"):
        state_stream(tiny_tracker, Queries([0], [[99.0, 5.0]]), VIDEO.wh)


def test_points_leave_a_pan_and_return_with_places_outside_the_image(quick_small):
    scene = pan_scene()
    tracks = track_states(quick_small, scene.video, scene.queries)
    state, away = tracks.states.state, ~scene.visible
    assert away[:, :2].any(dim=0).all()
    assert (state[-1] == PointState.VISIBLE).all()
    assert (state[away] == PointState.OUT_OF_FRAME).float().mean() > 0.9
    assert not bool((state[away] == PointState.VISIBLE).any())
    assert not bool((state[scene.xy[..., 0] > 2] == PointState.OUT_OF_FRAME).any())
    far = scene.xy[..., 0] < -20
    assert (tracks.xy[far] - scene.xy[far]).norm(dim=-1).median() < 3
    assert not bool(tracks.in_frame()[state == PointState.OUT_OF_FRAME].any())  # not clamped to the border


@pytest.mark.long  # the shipped network; `test_rules.py` holds it of what a network might say
def test_a_twin_that_passes_by_is_not_taken_for_the_covered_point(quick_small):
    scene = twin_scene()
    tracks = track_states(quick_small, scene.video, scene.queries)
    counts = count(scene, tracks)
    assert counts["wrong claims"] > 15  # the tracker itself takes it
    assert counts["seen and wrong"] == 0
    assert counts["lost and wrong claims"] > 0.9 * counts["wrong claims"]
    assert (tracks.states.state[-1] == PointState.VISIBLE).all()
    assert (tracks.xy[-1] - scene.xy[-1]).norm(dim=-1).max() < 2


@pytest.mark.long  # the shipped network; `test_points.py` and the matrix of modes find points again with a tiny one
def test_after_a_cut_and_back_points_are_found_again(quick_small):
    """A shot, another one, and the first one again, moved on by 20 pixels: found there, with score and count."""
    scene, other = pan_scene(20, 2), twin_scene().video.frames[:10]
    video = pt.Video(np.concatenate([scene.video.frames[:10], other, scene.video.frames[10:]]))
    queries = Queries([0] * 3, [[100.0, 60.0], [140.0, 100.0], [180.0, 60.0]])
    tracks = track_states(quick_small, video, queries, cuts=[10, 20], redetect=True)
    state, found = tracks.states.state, tracks.states.times_redetected
    assert (state[10:20] == PointState.LOST).all()
    assert (state[:10] == PointState.VISIBLE).all()
    assert found[19].tolist() == [0] * 3
    assert found[-1].tolist() == [1] * 3
    assert (state[-1] == PointState.VISIBLE).all()
    shift = scene.xy[19, 0] - scene.xy[0, 0]
    assert (tracks.xy[-1] - queries.xy - shift).norm(dim=-1).max() < 2.5
    at = found.argmax(dim=0)
    assert (tracks.states.similarity[at, torch.arange(3)] >= 0.8).all()
    plain = track_states(quick_small, video, queries, cuts=[10, 20])
    assert (plain.states.state[10:] == PointState.LOST).all()


def test_the_command_tells_states(tiny_video_file, tiny_tracker_file, tmp_path, capsys):
    arguments = ["track", str(tiny_video_file), "--grid", "3", "--tracker", str(tiny_tracker_file)]
    out = tmp_path / "a.mp4"
    assert cli.main([*arguments, "--out", str(out), "--redetect", "--export", "csv"]) == 0
    assert "found again" in capsys.readouterr().out
    tracks = pt.load_tracks(out.with_suffix(".npz"))
    assert same_states(pt.load_tracks(out.with_suffix(".csv")).states, tracks.states)
