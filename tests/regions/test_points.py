"""Points that come and go while regions follow them, and a stream that goes on from its state."""

import pytest
import torch

from pointtrack.regions.crop import CropStream
from pointtrack.regions.placement import RegionOptions, first_camera
from pointtrack.tracking.stream import PointStream, restored, saved
from pointtrack.tracking.support import support_queries
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks
from tests.support.streams import region_stream
from tests.support.tracks import moving_video, same

WH = (64, 48)
VIDEO = moving_video(24, WH)
SMALL = RegionOptions(wh=(32, 24), max_regions=3, update_interval=4)
# On the 14th frame 8 frames are final for the whole frame, 7 for the region of the points on frame 3.
QUERIES = Queries([0, 0, 3, 3], [[10, 10], [12, 12], [50, 40], [49, 38]])


def regions(tracker, queries=QUERIES, **options) -> PointStream:
    return region_stream(tracker, queries, WH, VIDEO.fps, **{"options": SMALL, **options})


def rest_of(stream: PointStream, start: int) -> Tracks:
    return Tracks.concat([stream.push(VIDEO.frames[start:]), stream.finish()])


def new_points(frame: int) -> Queries:
    return Queries([frame] * 2, [[20.0, 20.0], [22.5, 17.0]], [100, 101])


@pytest.mark.parametrize(
    "frame", [16, *(pytest.param(frame, marks=pytest.mark.long) for frame in (7, 10, 13))]
)
def test_points_that_join_have_a_region_as_from_the_start_and_the_others_do_not_notice(tiny_tracker, frame):
    """On frames that are not final, on the newest one, and on one that did not come yet."""
    queries = new_points(frame)
    stream, buffer = regions(tiny_tracker), VIDEO.frames[0].copy()
    parts = []
    for pixels in VIDEO.frames[:14]:
        buffer[:] = pixels  # as a camera does that uses its memory again
        parts.append(stream.push(buffer))
    assert stream.earliest_frame == 4 and stream.lag == 7
    assert stream.add(queries).xy.shape == (3, 2, 2), "frames 4 to 6 were returned before"
    assert stream.queries.ids.tolist() == [0, 1, 2, 3, 100, 101]
    tracks = Tracks.concat([*parts, rest_of(stream, 14)])
    assert same(tracks.select(slice(0, 4)), rest_of(regions(tiny_tracker), 0))

    camera = first_camera(queries, SMALL.wh, WH, SMALL)
    region = CropStream(
        tiny_tracker, queries, camera, VIDEO.fps, support_grid=5, update_interval=SMALL.update_interval
    )
    own = Tracks.concat([*(region.push(pixels) for pixels in VIDEO.frames[frame:]), region.finish()])
    whole = WindowStream(tiny_tracker, Queries.concat([QUERIES, support_queries(QUERIES, WH)]), WH)
    whole.push(VIDEO.frames[:14])
    late = whole.add(queries)
    expected = Tracks.concat([late, rest_of(whole, 14).select(slice(-2, None))])
    expected = expected.clip(frame - expected.first_frame)
    found, inside = tracks.clip(frame).select([4, 5]), own.tracked()
    assert inside[1:].any(), "the region was asked"
    for name in ("xy", "visibility", "confidence"):
        where = inside if name != "xy" else inside[..., None]
        wanted = torch.where(where, getattr(own, name), getattr(expected, name))
        assert getattr(found, name).equal(wanted), name
    assert not tracks.clip(0, frame).select([4, 5]).tracked().any()


@pytest.mark.parametrize("keeps_frames", [True, pytest.param(False, marks=pytest.mark.long)])
def test_points_on_frames_that_are_gone_join_without_a_region(tiny_tracker, keeps_frames):
    stream = regions(tiny_tracker, keeps_frames=keeps_frames)
    whole = WindowStream(tiny_tracker, Queries.concat([QUERIES, support_queries(QUERIES, WH)]), WH, VIDEO.fps)
    parts = []
    for one in (stream, whole):
        one.push(VIDEO.frames[:14])
        parts.append([one.add(new_points(5)), rest_of(one, 14).select(slice(-2, None))])
    (late, rest), (wanted, expected) = parts
    assert same(Tracks.concat([late, rest]), Tracks.concat([wanted, expected]))


def test_points_removed_are_gone_and_the_others_keep_their_tracks(tiny_tracker):
    wanted = rest_of(regions(tiny_tracker), 0)
    stream = regions(tiny_tracker)
    before = stream.push(VIDEO.frames[:14])
    with pytest.raises(ValueError, match=r"expected ids of tracked points, got \[7, -1\]"):
        stream.remove([0, 7, -1])
    stream.remove([1, 3])
    assert stream.queries.ids.tolist() == [0, 2]
    rest = rest_of(stream, 14)
    assert same(before, wanted.clip(0, 7)) and same(rest, wanted.clip(7).select([0, 2]))


def test_regions_are_at_most_so_many_until_one_is_not_wanted_any_more(tiny_tracker):
    two = RegionOptions(wh=(32, 24), max_regions=2)
    full, freed = (regions(tiny_tracker, options=two) for _ in range(2))
    whole = WindowStream(tiny_tracker, Queries.concat([QUERIES, support_queries(QUERIES, WH)]), WH)
    for stream in (full, freed, whole):
        stream.push(VIDEO.frames[:14])
    freed.remove([0])
    freed.remove([1])
    full.add(new_points(7))
    freed.add(new_points(7))
    plain = Tracks.concat([whole.add(new_points(7)), rest_of(whole, 14).select(slice(-2, None))])
    without, with_region = (rest_of(stream, 14).select(slice(-2, None)) for stream in (full, freed))
    assert without.first_frame == with_region.first_frame == 7 and without.tracked().all()
    expected = plain.clip(7 - plain.first_frame)
    assert same(without, expected) and not same(with_region, expected)


def test_all_points_may_go_and_others_come(tiny_tracker):
    stream = regions(tiny_tracker, support_grid=0)
    stream.push(VIDEO.frames[:10])
    stream.remove(range(4))
    assert stream.push(VIDEO.frames[10:16]).xy.shape[1:] == (0, 2)
    stream.add(new_points(stream.earliest_frame))
    assert rest_of(stream, 16).tracked().all()


def test_points_that_cannot_be_added(tiny_tracker):
    stream, other = regions(tiny_tracker), regions(tiny_tracker, keeps_frames=False)
    for each in (stream, other):
        each.push(VIDEO.frames[:14])
    assert (stream.earliest_frame, other.earliest_frame) == (4, 4)
    outside = Queries([15], [[64.0, 3.0]], [100])
    for each, queries, message in (
        (stream, new_points(3), "frame 4 or later, got frame 3"),
        (other, new_points(3), "frame 4 or later, got frame 3"),
        (stream, outside, "inside the 64 x 48 image"),
        (stream, Queries([15], [[4.0, 3.0]], [3]), "distinct ids"),
    ):
        with pytest.raises(ValueError, match=message):
            each.add(queries)
    assert same(rest_of(stream, 14), rest_of(other, 14))
    with pytest.raises(ValueError, match="before finish"):
        stream.add(new_points(24))
    with pytest.raises(ValueError, match="before finish"):
        stream.state_dict()


@pytest.mark.parametrize(
    "count", [14, *(pytest.param(count, marks=pytest.mark.long) for count in (2, 9, 17))]
)
def test_a_stream_goes_on_from_its_state(tiny_tracker, tmp_path, count):
    """With points that came and went; and others may join afterwards, on a frame from before."""
    queries = Queries([0, 0, 3, 20], [[10, 10], [12, 12], [50, 40], [30, 20]])
    stream = regions(
        tiny_tracker, queries, options=RegionOptions(wh=(32, 24), update_interval=4), support_grid=3
    )
    stream.push(VIDEO.frames[: count - 1])
    if count > 9:
        stream.remove([0, 2])
        stream.add(Queries([count - 2], [[20.0, 20.0]], [50]))
    stream.push(VIDEO.frames[count - 1])
    torch.save(saved(stream), tmp_path / "state")
    again = restored(tiny_tracker, torch.load(tmp_path / "state", weights_only=True))
    assert (again.frames_pushed, again.lag, again.earliest_frame) == (
        count,
        stream.lag,
        stream.earliest_frame,
    )
    for each in (stream, again):
        each.push(VIDEO.frames[count : count + 2])
        each.add(new_points(each.earliest_frame))
    rest, other = rest_of(stream, count + 2), rest_of(again, count + 2)
    assert other.first_frame == rest.first_frame and other.ids.equal(rest.ids)
    assert same(other, rest)


def test_only_frames_that_are_not_final_are_kept(tiny_tracker):
    stream = regions(tiny_tracker, QUERIES.select([0, 1]))
    for _ in range(2):
        rows = stream.push(VIDEO.frames)
        assert rows.first_frame + len(rows) == stream.frames_pushed - stream.lag
        assert stream.lag < 8, "a window"
        kept = stream.inner.state_dict()["frames"]
        assert len(kept) == stream.lag and kept[-1].numpy().tobytes() == VIDEO.frames[-1].tobytes()
    assert regions(tiny_tracker, keeps_frames=False).inner.state_dict()["frames"] is None
