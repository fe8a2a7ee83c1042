"""Points led by pixels: less tremble, no drift, and the network's answer where both do not agree."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pointtrack.pipeline.options import TrackOptions, build_stream
from pointtrack.regions.placement import RegionOptions
from pointtrack.tracking import steady
from pointtrack.tracking.steady import SteadyStream, steady_tracks
from pointtrack.tracking.stream import STAGES, restored, saved
from pointtrack.types import Queries, Tracks
from tests.support.elsewhere import elsewhere
from tests.support.told_stream import TELLS, ToldStream, panning_video

WH, FRAMES, PACE = (240, 160), 24, 1.5  # pixels per frame
VIDEO = panning_video(FRAMES, WH, PACE)


def truth(points: int = 12) -> torch.Tensor:
    """(t, n, 2) points that stay on the panning texture."""
    begin = torch.rand(points, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([120.0, 100.0])
    begin += torch.tensor([90.0, 30.0])
    return begin - torch.arange(FRAMES)[:, None, None] * torch.tensor([PACE, 0.0])


def trembling(size: float = 0.3) -> Tracks:
    """What a network tells that trembles by so many pixels; its queries are exact."""
    xy = truth()
    told = xy + size * torch.randn(xy.shape, generator=torch.Generator().manual_seed(1))
    told[0] = xy[0]
    return tracks_of(told, Queries(torch.zeros(xy.shape[1]), xy[0]))


def tracks_of(xy: torch.Tensor, queries: Queries) -> Tracks:
    ones = torch.isfinite(xy[..., 0]).float()
    return Tracks(xy, ones, ones, queries, WH)


def tremble(xy: torch.Tensor) -> float:
    """Mean length of second differences of the error, in pixels."""
    error = xy - truth()
    return float((error[2:] - 2 * error[1:-1] + error[:-2]).norm(dim=-1).mean())


def stream_of(told: Tracks, lag: int = 5) -> SteadyStream:
    return SteadyStream(ToldStream(told, lag))


def pushed(stream: SteadyStream, frames: np.ndarray, size: int) -> Tracks:
    parts = [stream.push(frames[start : start + size]) for start in range(0, len(frames), size)]
    return Tracks.concat([*parts, stream.finish()])


def test_points_tremble_less_and_are_nearer_the_truth():
    told = trembling()
    led = steady_tracks(told, VIDEO.frames)
    assert tremble(led.xy) < 0.4 * tremble(told.xy)
    assert float((led.xy - truth()).norm(dim=-1).mean()) < 0.7 * float(
        (told.xy - truth()).norm(dim=-1).mean()
    )
    assert torch.equal(led.xy[0], told.xy[0]) and torch.equal(led.visibility, told.visibility)


def test_where_pixels_and_network_do_not_agree_the_network_is_right():
    told = trembling(0.0)
    told.xy[10:, 3] += torch.tensor([0.0, 40.0])  # it jumps, and stays there
    led = steady_tracks(told, VIDEO.frames)
    np.testing.assert_allclose(led.xy[10:, 3], told.xy[10:, 3], atol=0.2)


def test_where_no_pixels_lead_the_networks_step_does():
    """So a point does not leap to where the network has it."""
    told, frames = trembling(), VIDEO.frames.copy()
    frames[8] = np.random.default_rng(0).integers(0, 255, frames[8].shape)
    led = steady_tracks(told, frames).xy
    step = led[7] + told.xy[8] - told.xy[7]
    np.testing.assert_allclose(led[8], step + steady.SHARE * (told.xy[8] - step), atol=1e-3)


def test_error_of_the_pixels_does_not_add_up():
    """A texture that stays where it is, under points that move on: only the network knows."""
    told = trembling(0.0)
    still = np.repeat(VIDEO.frames[:1], FRAMES, axis=0)
    led = steady_tracks(told, still)
    assert float((led.xy - told.xy).norm(dim=-1).max()) < max(WH) * steady.APART + PACE


def test_there_is_no_leading_out_of_nowhere_or_across_a_cut():
    told = trembling()
    told.xy[6, 2] = torch.nan
    stream = stream_of(told)
    stream.inner.known_cuts = {12}
    led = pushed(stream, VIDEO.frames, 4)
    assert torch.equal(led.xy[7, 2], told.xy[7, 2]) and bool(led.xy[6, 2].isnan().all())
    assert torch.equal(led.xy[12], told.xy[12]) and not torch.equal(led.xy[13], told.xy[13])


@pytest.mark.parametrize("size", [1, 3, FRAMES])
def test_pieces_make_no_difference(size):
    whole = steady_tracks(trembling(), VIDEO.frames)
    assert torch.equal(pushed(stream_of(trembling()), VIDEO.frames, size).xy, whole.xy)


def test_a_stream_goes_on_from_its_state(monkeypatch):
    monkeypatch.setitem(STAGES, "ToldStream", ToldStream)
    told, half = trembling(), 13
    first = stream_of(told)
    begun = first.push(VIDEO.frames[:half])
    again = restored(TELLS, saved(first))
    rest = Tracks.concat([again.push(VIDEO.frames[half:]), again.finish()])
    assert torch.equal(Tracks.concat([begun, rest]).xy, steady_tracks(told, VIDEO.frames).xy)


def test_a_state_that_was_read_for_a_gpu_is_gone_on_with(monkeypatch):
    monkeypatch.setitem(STAGES, "ToldStream", ToldStream)
    first = stream_of(trembling())
    first.push(VIDEO.frames[:13])
    first.preview()
    state = {
        name: value if name in ("stage", "inner") else elsewhere(value)
        for name, value in saved(first).items()
    }
    again = restored(TELLS, state)
    assert type(again._last.xy) is type(again._newest.told) is torch.Tensor
    for stream in (first, again):
        stream.push(VIDEO.frames[13:])
    assert torch.equal(again.finish().xy, first.finish().xy)


def test_frames_may_be_views_of_others():
    """As OpenCV's BGR frames are taken, and mirrored ones."""
    told, turned = trembling(), np.ascontiguousarray(VIDEO.frames[..., ::-1])[..., ::-1]
    assert torch.equal(pushed(stream_of(told), turned, 5).xy, steady_tracks(told, VIDEO.frames).xy)


def test_points_that_join_late_and_leave():
    told = trembling()
    whole = steady_tracks(told, VIDEO.frames)
    stream = stream_of(told, lag=4)
    stream.inner.hold_back(told.ids[8:])
    before = stream.push(VIDEO.frames[:10])
    late = stream.add(told.queries.select(slice(8, 12)))
    np.testing.assert_array_equal(late.xy, whole.xy[:6, 8:])
    after = stream.push(VIDEO.frames[10:14])
    np.testing.assert_array_equal(before.xy, whole.xy[:6, :8])
    np.testing.assert_array_equal(after.xy, whole.xy[6:10])
    stream.remove(told.ids[:2])
    np.testing.assert_array_equal(stream.finish().xy, whole.xy[10:14, 2:])


def test_first_answers_are_led_from_the_ones_before():
    told = trembling()
    stream = stream_of(told, lag=FRAMES)
    shown = []
    for frame in VIDEO.frames:
        stream.push(frame)
        shown.append(stream.preview())
        assert torch.equal(stream.preview().xy, shown[-1].xy)  # asking twice changes nothing
    np.testing.assert_allclose(
        torch.cat([row.xy for row in shown]), steady_tracks(told, VIDEO.frames).xy, atol=1e-5
    )


def test_memory_of_frames_is_bounded():
    stream = stream_of(trembling(), lag=5)
    stream.inner.keeps = 3
    most = 0
    for frame in VIDEO.frames:
        stream.push(frame)
        most = max(most, len(stream._steadier.greys))
    assert most <= 5 + 3 + 1


def test_large_frames_are_compared_at_a_smaller_size(monkeypatch):
    told = trembling()
    monkeypatch.setattr(steady, "LONGEST", 120)
    led = steady_tracks(told, VIDEO.frames)
    assert tremble(led.xy) < 0.6 * tremble(told.xy)


@pytest.mark.parametrize("wh", [(2, 2), (3, 200), (4000, 3)])
def test_any_shape_of_frame(wh):
    xy = (torch.tensor(wh) - 1.0).expand(4, 1, 2) / 2
    told = Tracks(xy, torch.ones(4, 1), torch.ones(4, 1), Queries([0], xy[0]), wh)
    frames = np.random.default_rng(0).integers(0, 255, (4, wh[1], wh[0], 3), dtype=np.uint8)
    assert steady_tracks(told, frames).xy.isfinite().all()


def test_only_networks_that_ask_for_it_are_led(tiny_tracker):
    queries = Queries([0], [[20.0, 20.0]])

    def kinds(network, options=None):
        stream = build_stream(network, queries, (64, 48), options=options)
        return isinstance(stream, SteadyStream)

    assert kinds(tiny_tracker)
    assert not kinds(tiny_tracker, TrackOptions(steady=False))
    assert not kinds(tiny_tracker, TrackOptions(regions=RegionOptions(wh=(32, 24))))
    window = replace(tiny_tracker.config.window, start="repeat")  # as the published ones
    tiny_tracker.config = replace(tiny_tracker.config, window=window)
    assert not kinds(tiny_tracker)
