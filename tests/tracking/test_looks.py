"""Frames seen twice: what both looks make of a point."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pointtrack.config import InferenceOptions
from pointtrack.models.speed import options_at
from pointtrack.tracking.looks import agreed, closer, window_stream
from pointtrack.tracking.stream import restored, saved
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks
from tests.support.tracks import moving_video, same

WH, VIDEO = (64, 48), moving_video(18, (64, 48))
QUERIES = Queries([0, 0, 3, 9], [[10.0, 10], [40, 12], [50, 40], [30, 20]], [3, 1, 4, 15])


@pytest.fixture
def twice(tiny_tracker):
    """The tiny tracker, loaded for two looks."""
    tiny_tracker.inference = replace(tiny_tracker.inference, looks=2)
    return tiny_tracker


def tracked(stream, size: int = 5) -> Tracks:
    parts = [stream.push(frames) for frames in VIDEO.split(size)]
    return Tracks.concat([*parts, stream.finish()])


def test_answers_that_are_close_are_averaged_and_of_others_the_surer_counts():
    xy = torch.tensor([[[10.0, 20.0], [10.0, 20.0]], [[11.0, 20.0], [60.0, 20.0]]])
    place, apart = agreed(xy, torch.tensor([[0.9, 0.3], [0.9, 0.8]]), close=4.0)
    np.testing.assert_allclose(place[0], [10.5, 20.0], atol=1e-4)
    assert 55 < float(place[1, 0]) < 60
    np.testing.assert_allclose(apart, [1.0, 50.0], atol=1e-3)


def test_a_point_is_where_both_looks_say(twice):
    """The second look is what a `WindowStream` says of the mirrored video."""
    found = tracked(window_stream(twice, QUERIES, WH, 10.0))
    first = tracked(WindowStream(twice, QUERIES, WH))
    xy = QUERIES.xy.clone()
    xy[:, 0] = WH[0] - 1 - xy[:, 0]
    stream = WindowStream(closer(twice), replace(QUERIES, xy=xy), WH)
    parts = [stream.push(frames[:, :, ::-1]) for frames in VIDEO.split(5)]
    second = Tracks.concat([*parts, stream.finish()])
    second.xy[..., 0] = WH[0] - 1 - second.xy[..., 0]
    seen = found.tracked()
    between = (found.xy - first.xy).norm(dim=-1) + (found.xy - second.xy).norm(dim=-1)
    np.testing.assert_allclose(
        between[seen], (first.xy - second.xy).norm(dim=-1)[seen], atol=1e-3
    )  # on the line from one to the other
    assert torch.equal(found.tracked(), first.tracked())
    assert torch.equal(found.xy[QUERIES.frame, torch.arange(4)], QUERIES.xy)
    assert (found.confidence <= (first.confidence + second.confidence) / 2 + 1e-6).all()
    assert not torch.equal(found.xy.nan_to_num(), first.xy.nan_to_num())


@pytest.mark.parametrize("size", [1, 8])
def test_pieces_make_no_difference(twice, size):
    assert same(
        tracked(window_stream(twice, QUERIES, WH, 10.0), size),
        tracked(window_stream(twice, QUERIES, WH, 10.0)),
    )


def test_a_stream_goes_on_from_its_state(twice):
    stream = window_stream(twice, QUERIES, WH, 10.0)
    begun = stream.push(VIDEO.frames[:11])
    again = restored(twice, saved(stream))
    rest = Tracks.concat([again.push(VIDEO.frames[11:]), again.finish()])
    assert same(Tracks.concat([begun, rest]), tracked(window_stream(twice, QUERIES, WH, 10.0)))


def test_points_join_and_leave(twice):
    stream = window_stream(twice, QUERIES.select([0, 1]), WH, 10.0)
    before = stream.push(VIDEO.frames[:10])
    late = stream.add(Queries([stream.earliest_frame], [[20.0, 20.0]], [7]))
    assert late.ids.tolist() == [7]
    stream.remove([3])
    rest = Tracks.concat([stream.push(VIDEO.frames[10:]), stream.finish()])
    assert rest.ids.tolist() == [1, 7] and len(before) + len(rest) == len(VIDEO)
    assert rest.tracked().all()


def test_exact_is_two_looks_of_ours_and_more_rounds_of_others(tiny_tracker):
    config = tiny_tracker.own_config
    assert options_at(InferenceOptions(), config, "exact", WH).looks == 2
    other = replace(config, window=replace(config.window, start="repeat"))
    exact = options_at(InferenceOptions(), other, "exact", WH)
    assert exact.looks == 1 and exact.iterations == config.window.iterations + 2
    with pytest.raises(ValueError, match="looks: expected 1 or 2, got 3"):
        InferenceOptions(looks=3)
