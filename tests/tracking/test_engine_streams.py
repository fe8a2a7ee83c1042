"""Streams of LocoTrack and AllTracker: pieces of any size, points that come and go, going on from a state."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pointtrack.geometry import rescale_points
from pointtrack.models.locotrack.clip import track_clip
from pointtrack.models.locotrack.resolutions import resize
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks
from tests.support.engine_fixtures import make_video
from tests.support.engines import ENGINES, tiny_locotrack

WH = (96, 80)
VIDEO = make_video(11, WH[1], WH[0], 3)
QUERIES = Queries([0, 0, 0, 9], [[20.5, 30.25], [90, 7], [64, 64], [40, 40]])


def pushed(stream: WindowStream, frames: np.ndarray, chunk: int) -> list[Tracks]:
    return [stream.push(frames[start : start + chunk]) for start in range(0, len(frames), chunk)]


def same(one: Tracks, other: Tracks) -> None:
    assert torch.allclose(one.xy, other.xy, atol=2e-3, equal_nan=True)
    assert torch.allclose(one.visibility, other.visibility, atol=1e-4)
    assert torch.allclose(one.confidence, other.confidence, atol=1e-4)


@pytest.fixture(scope="module", params=ENGINES)
def network(request):
    """Made once: no test changes it."""
    return ENGINES[request.param]()


@pytest.fixture(scope="module")
def whole(network) -> Tracks:
    stream = WindowStream(network, QUERIES, WH)
    tracks = Tracks.concat([stream.push(VIDEO), stream.finish()])
    assert len(tracks) == len(VIDEO)
    assert not tracks.xy[9:].isnan().any()
    return tracks


@pytest.mark.parametrize("chunk", [3, pytest.param(1, marks=pytest.mark.long)])
def test_pieces_do_not_change_the_tracks(network, whole, chunk):
    stream = WindowStream(network, QUERIES, WH)
    same(Tracks.concat([*pushed(stream, VIDEO, chunk), stream.finish()]), whole)
    assert stream.lag == 0


def test_a_state_goes_on_where_it_was(network, whole, tmp_path):
    stream = WindowStream(network, QUERIES, WH)
    first = pushed(stream, VIDEO[:7], 1)
    torch.save(stream.state_dict(), tmp_path / "state.pt")
    again = WindowStream.from_state_dict(network, torch.load(tmp_path / "state.pt"))
    same(Tracks.concat([*first, *pushed(again, VIDEO[7:], 2), again.finish()]), whole)


def test_points_that_are_added_are_tracked_as_if_they_had_been_there(network, whole):
    stream = WindowStream(network, QUERIES.select([0]), WH)
    rows = Tracks.concat(pushed(stream, VIDEO[:9], 3))
    first = stream.earliest_frame
    late = Queries([first, first + 3], [[30, 30], [50.5, 20]], [7, 8])
    known = stream.add(late)
    assert known.first_frame == first and len(known) == len(rows) - first
    rest = Tracks.concat([*pushed(stream, VIDEO[9:], 1), stream.finish()])
    alone = WindowStream(network, late, WH)
    wanted = Tracks.concat([*pushed(alone, VIDEO, 1), alone.finish()])
    got = torch.cat([known.xy, rest.select([1, 2]).xy])
    if network.config.name == "tiny-locotrack":  # its chunks begin where the point was added
        assert torch.equal(got.isnan(), wanted.xy[first:].isnan())
    else:
        assert torch.allclose(got, wanted.xy[first:], atol=2e-3, equal_nan=True)
    stream = WindowStream(network, QUERIES, WH)
    before = pushed(stream, VIDEO[:6], 1)
    stream.remove([0, 3])
    left = Tracks.concat([*pushed(stream, VIDEO[6:], 1), stream.finish()])
    assert left.queries.ids.tolist() == [1, 2]
    same(left, whole.select([1, 2]).clip(sum(map(len, before))))


def test_the_newest_frame_is_answered_at_once(network):
    stream = WindowStream(network, QUERIES, WH)
    for number, frame in enumerate(VIDEO[:5]):
        stream.push(frame)
        (row,) = stream.preview().xy
        assert torch.equal(row.isnan().any(dim=-1), QUERIES.frame > number)
        assert stream.lag <= network.loop(network, QUERIES.frame[None], QUERIES.xy[None]).length


def test_previews_do_not_change_the_tracks(network, whole):
    stream, parts = WindowStream(network, QUERIES, WH), []
    for number, frame in enumerate(VIDEO):
        parts.append(stream.push(frame))
        if number in (2, 7):
            stream.preview()
    same(Tracks.concat([*parts, stream.finish()]), whole)


@pytest.mark.parametrize("frames", [1, 2, 3, 8])
def test_clips_of_any_length(network, frames):
    stream = WindowStream(network, QUERIES.select([0, 1]), WH)
    tracks = Tracks.concat([stream.push(VIDEO[:frames]), stream.finish()])
    assert len(tracks) == frames and tracks.xy.isfinite().all()
    assert torch.equal(tracks.xy[0], QUERIES.xy[:2])


def test_a_clip_of_one_chunk_is_the_published_answer():
    network, clip = tiny_locotrack(), VIDEO[:8]
    stream = WindowStream(network, QUERIES.select([0, 1, 2]), WH)
    tracks = Tracks.concat([stream.push(clip), stream.finish()])
    small = network.config.input_wh
    frames = resize(torch.from_numpy(clip).movedim(-1, 1).float(), small)[None]
    xy = rescale_points(QUERIES.xy[:3], WH, small, "plain")[None]
    with torch.inference_mode():
        wanted = track_clip(network, frames, QUERIES.frame[None, :3].float(), xy, [small])[-1]
    after = torch.arange(8)[:, None] > QUERIES.frame[:3]
    assert torch.allclose(
        tracks.xy[after], rescale_points(wanted.xy[0], small, WH, "plain")[after], atol=1e-3
    )
    visible = (1 - wanted.occluded_logit.sigmoid()) * (1 - wanted.wrong_logit.sigmoid()) > 0.5
    assert torch.equal(tracks.visible(0.5**0.5)[after], visible[0][after])
