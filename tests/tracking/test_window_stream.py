"""What holds for every tracker, whatever its weights: chunks, order, lengths, shapes, query points."""

import numpy as np
import pytest
import torch

import pointtrack as pt
from pointtrack.config import TrackerConfig
from pointtrack.models.window import WindowQueries
from pointtrack.tracking.window_stream import WindowStream, model_wh
from pointtrack.types import Queries, Tracks, Video
from tests.support.streams import track
from tests.support.tracks import moving_video, same, some_queries


def stream(tracker, video: Video, queries: Queries, chunk: int) -> Tracks:
    streamed = WindowStream(tracker, queries, video.wh, video.fps)
    parts = [streamed.push(frames) for frames in video.split(chunk)]
    return Tracks.concat([*parts, streamed.finish()])


@pytest.mark.parametrize("chunk", [1, 8, *(pytest.param(chunk, marks=pytest.mark.long) for chunk in (3, 21))])
def test_chunk_size_does_not_change_the_tracks(tiny_tracker, chunk):
    video = moving_video(21, (64, 48))
    queries = some_queries(21, video.wh)
    assert same(stream(tiny_tracker, video, queries, chunk), stream(tiny_tracker, video, queries, 5))


@pytest.mark.parametrize("frames", [*range(1, 10), 12, 16, 17, 20])
@pytest.mark.parametrize("wh", [(64, 48), (50, 90)])
def test_clips_of_any_length_and_shape(tiny_tracker, frames, wh):
    video = moving_video(frames, wh)
    queries = some_queries(frames, wh)
    tracks = track(tiny_tracker, video, queries, support_grid=2)
    assert tracks.xy.shape == (frames, 7, 2)
    assert torch.isfinite(tracks.xy).all()
    at = tracks.xy[queries.frame, torch.arange(7)]
    assert torch.equal(at, queries.xy)
    assert (tracks.visibility[queries.frame, torch.arange(7)] == 1).all()


def test_sizes_that_cannot_be_tracked_are_refused_and_streams_say_what_they_hold(tiny_tracker):
    tracker = pt.Tracker(tiny_tracker)
    for call in (lambda: tracker.stream([(0, 1, 1)], 64), lambda: tracker.object_stream(64)):
        with pytest.raises(ValueError, match="wh: expected frames of .* got 64"):
            call()
    for fps in (0, "x", None, float("nan")):
        for made in (
            lambda fps: tracker.stream([], (64, 48), fps),
            lambda fps: tracker.object_stream((64, 48), fps),
        ):
            with pytest.raises(ValueError, match=f"fps: expected a positive number, got {fps!r}"):
                made(fps)
    small = pt.Video(np.zeros((3, 1, 1, 3), np.uint8))
    for call in (lambda: tracker.track(small, [(0, 0, 0)]), lambda: pt.TrackSession(small, tracker)):
        with pytest.raises(ValueError, match="video: expected frames of .* at least 2 pixels, got"):
            call()
    streamed = tracker.stream([(0, 1, 1), (0, 5, 5)], (64, 48))
    streamed.push(np.zeros((48, 64, 3), np.uint8))
    assert repr(streamed) == "SteadyStream(2 points in frames of 64 x 48, 1 frame pushed)"
    assert (
        repr(tracker.object_stream((64, 48)))
        == "ObjectStream(0 objects in frames of 64 x 48, 0 frames pushed)"
    )


def test_a_stream_knows_nothing_before_the_query_frame(tiny_tracker):
    video = moving_video(20, (64, 48))
    queries = some_queries(20, video.wh)
    tracks = stream(tiny_tracker, video, queries, 4)
    early = torch.arange(20)[:, None] < queries.frame
    assert torch.equal(torch.isnan(tracks.xy).all(-1), early)
    assert (tracks.visibility[early] == 0).all()
    assert torch.equal(tracks.xy[queries.frame, torch.arange(7)], queries.xy)


def test_results_come_as_soon_as_they_are_final(tiny_tracker):
    video = moving_video(20, (64, 48))
    streamed = WindowStream(tiny_tracker, some_queries(1, video.wh), video.wh)
    length, step = tiny_tracker.config.window.length, tiny_tracker.config.window.step
    counts = [len(streamed.push(frame)) for frame in video.frames]
    assert counts[: length - 1] == [0] * (length - 1)
    assert counts[length - 1] == step
    assert sum(counts) + len(streamed.finish()) == 20
    assert streamed.frames_pushed == 20


def test_order_of_points_does_not_matter(tiny_tracker):
    video = moving_video(13, (64, 48))
    queries = some_queries(13, video.wh)
    order = torch.tensor([4, 2, 6, 0, 5, 1, 3])
    one, other = track(tiny_tracker, video, queries), track(tiny_tracker, video, queries.select(order))
    assert torch.equal(other.ids, order)
    assert torch.allclose(one.xy[:, order], other.xy, atol=1e-3)


def test_frames_before_the_query_are_tracked_backward(tiny_tracker):
    video = moving_video(14, (64, 48))
    queries = Queries([13], [[30.0, 20.0]])
    flipped = track(
        tiny_tracker, Video(video.frames[::-1].copy()), Queries([0], [[30.0, 20.0]]), support_grid=0
    )
    tracks = track(tiny_tracker, video, queries, support_grid=0)
    assert torch.allclose(tracks.xy.flip(0), flipped.xy, atol=1e-4)
    only_forward = track(tiny_tracker, video, queries, backward=False, support_grid=0)
    assert torch.isnan(only_forward.xy[:13]).all()


def test_a_batch_equals_its_clips_one_by_one(tiny_tracker):
    frames = torch.stack([torch.from_numpy(moving_video(8, (64, 48), seed).frames) for seed in range(3)])
    frames = frames.permute(0, 1, 4, 2, 3)
    xy = torch.rand(3, 5, 2, generator=torch.Generator().manual_seed(0)) * 40
    frame = torch.tensor([[0, 1, 2, 3, 0]] * 3)

    def run(index):
        with torch.no_grad():
            pyramid = tiny_tracker.encode(frames[index])
            templates = tiny_tracker.remember(pyramid, frame[index], xy[index])
            return tiny_tracker(pyramid, WindowQueries(frame[index], xy[index], templates), None, 4)[0][-1]

    together = run(slice(0, 3))
    for i in range(3):
        alone = run(slice(i, i + 1))
        assert torch.allclose(together.xy[i], alone.xy[0], atol=1e-3)
        assert torch.allclose(together.visibility_logit[i], alone.visibility_logit[0], atol=1e-3)


@pytest.mark.parametrize(
    "support", [{"support_grid": 0}, {"support_grid": 3}, {"support_grid": 2, "support_local": 3}]
)
def test_helper_points_do_not_show_in_the_answer(tiny_tracker, support):
    video = moving_video(9, (64, 48))
    queries = some_queries(9, video.wh)
    tracks = track(tiny_tracker, video, queries, **support)
    assert torch.equal(tracks.ids, queries.ids) and tracks.xy.shape == (9, 7, 2)
    alone = track(tiny_tracker, video, queries, support_grid=0)
    assert same(tracks, alone) == (support == {"support_grid": 0})


def test_tracking_nothing_gives_nothing(tiny_tracker):
    video = moving_video(5, (64, 48))
    tracks = track(tiny_tracker, video, Queries.none())
    assert tracks.xy.shape == (5, 0, 2)


def test_the_caller_keeps_randomness_and_input(tiny_tracker):
    video = moving_video(9, (64, 48))
    before, state = video.frames.copy(), torch.random.get_rng_state()
    track(tiny_tracker, video, some_queries(9, video.wh))
    assert np.array_equal(before, video.frames)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    "frames, message",
    [
        (np.zeros((2, 48, 64, 3), np.float32), "uint8"),
        (np.zeros((2, 64, 48, 3), np.uint8), r"\(t, 48, 64, 3\)"),
        (np.zeros((64, 48), np.uint8), r"got \(1, 64, 48, 3\)"),
        (np.zeros(48, np.uint8), r"got \(48,\)"),
    ],
)
def test_wrong_frames_are_refused(tiny_tracker, frames, message):
    streamed = WindowStream(tiny_tracker, some_queries(1, (64, 48)), (64, 48))
    with pytest.raises(ValueError, match=message):
        streamed.push(frames)


def test_wrong_use_is_refused(tiny_tracker):
    video = moving_video(5, (64, 48))
    with pytest.raises(ValueError, match=r"frame in 0\.\.4, got 5; the video has 5 frames"):
        track(tiny_tracker, video, Queries([5], [[3.0, 3.0]]))
    with pytest.raises(ValueError, match="inside the 64 x 48 image"):
        track(tiny_tracker, video, Queries([0], [[64.0, 3.0]]))
    streamed = WindowStream(tiny_tracker, some_queries(1, video.wh), video.wh)
    streamed.finish()
    with pytest.raises(ValueError, match="before finish"):
        streamed.push(video.frames)


def test_the_model_keeps_the_shape_of_the_video():
    config = TrackerConfig(input_area=512 * 288)
    assert model_wh((854, 480), config) == (512, 288)
    assert model_wh((480, 854), config) == (288, 512)
    assert model_wh((1920, 1080), config) == (512, 288)
    assert model_wh((1920, 1080), TrackerConfig(input_wh=(512, 384))) == (512, 384)
