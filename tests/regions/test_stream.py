"""Small things in large frames: crops that follow them, on synthetic truth."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from pointtrack.regions.crop import Camera, CropStream
from pointtrack.regions.placement import RegionOptions, group_points
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks, Video
from pointtrack.zoo import load_tracker
from tests.support.streams import region_stream, track, track_regions
from tests.support.trackers import variant
from tests.support.tracks import moving_video, same, some_queries

WH = (64, 48)
SMALL = RegionOptions(wh=(32, 24))
# A frame of 960 x 540 that the tracker sees at 384 x 216, as it sees 1920 x 1080 at 768 x 432.
LARGE_WH, SEEN_AREA = (960, 540), 384 * 216


def texture(wh: tuple[int, int], seed: int, *sigmas: float) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(wh[1], wh[0], 3)).astype(np.float32)
    picture = sum(cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in sigmas)
    return np.clip(128 + 45 * picture / picture.std(), 0, 255).astype(np.uint8)


def small_thing(frames: int) -> tuple[Video, torch.Tensor]:
    """A textured square of 20 pixels that runs over a texture like its own, and its centre (t, 2)."""
    background = texture(LARGE_WH, 0, 2, 6)
    thing = texture((20, 20), 1, 1.2, 3)
    pictures, centres = [], []
    for t in range(frames):
        picture = np.roll(background, t, axis=1)
        left, top = 200 + 5 * t, 300 - round(60 * np.sin(t / 12))
        picture[top : top + 20, left : left + 20] = thing
        pictures.append(picture)
        centres.append([left + 9.5, top + 9.5])
    return Video(np.stack(pictures), fps=20), torch.tensor(centres)


@pytest.fixture(scope="module")
def small_tracker():
    tracker = load_tracker("small", device="cpu")
    tracker.config = replace(tracker.config, input_area=SEEN_AREA)
    return tracker


@pytest.mark.long  # the shipped network; a tiny one is given the same regions by all others here
@pytest.mark.parametrize("query_frame", [0, 17])
def test_a_small_thing_is_followed_where_the_whole_frame_loses_it(small_tracker, query_frame):
    video, centre = small_thing(18)
    truth = centre[:, None] + torch.tensor([[0.0, 0.0], [-5, -4], [4, 5]])
    queries = Queries([query_frame] * 3, truth[query_frame])
    without, with_regions = (function(small_tracker, video, queries) for function in (track, track_regions))
    assert float((without.xy - truth).norm(dim=-1).median()) > 10
    assert float((with_regions.xy - truth).norm(dim=-1).max()) < 2
    assert with_regions.visible().all() and with_regions.fps == 20


def test_points_without_a_region_are_exactly_those_of_the_whole_frame(tiny_tracker):
    video = moving_video(13, WH)
    queries = Queries([0, 0, 0, 4], [[10, 10], [12, 12], [50, 40], [30, 20]])
    expected = track(tiny_tracker, video, queries, backward=False, steady=False)
    options = replace(SMALL, max_regions=1)
    found = track_regions(tiny_tracker, video, queries, options=options, backward=False)
    assert same(found.select([2, 3]), expected.select([2, 3]))
    assert not torch.equal(found.xy[:, 0], expected.xy[:, 0])
    for point, frame in enumerate([0, 0, 0, 4]):
        assert found.xy[frame, point].equal(queries.xy[point]) and float(found.visibility[frame, point]) == 1


@pytest.mark.parametrize("chunk", [1, *(pytest.param(chunk, marks=pytest.mark.long) for chunk in (3, 13))])
def test_however_frames_arrive_the_answer_is_the_same(tiny_tracker, chunk):
    video = moving_video(13, WH)
    queries = Queries([0, 0, 3, 9], [[10, 10], [12, 12], [50, 40], [30, 20]])
    stream = region_stream(tiny_tracker, queries, WH, video.fps, options=SMALL)
    parts = [stream.push(frames) for frames in video.split(chunk)]
    assert len(parts[0]) < len(video), "rows that are not final were returned"
    found = Tracks.concat([*parts, stream.finish()])
    assert same(found, track_regions(tiny_tracker, video, queries, options=SMALL, backward=False))
    assert found.tracked().equal(torch.arange(13)[:, None] >= queries.frame)


def test_a_region_that_moves_with_a_pan_sees_a_still_picture(tiny_tracker, monkeypatch):
    """Points told to be where the picture goes: every crop shows the same pixels."""
    crops = []
    video = moving_video(9, WH)  # passes by to the left by 2 pixels a frame
    push = WindowStream.push
    queries = Queries([0, 0], [[44, 20], [46, 22]])

    def told(self):
        number = self.frames_pushed - 1
        xy = queries.xy - torch.tensor([2.0 * number, 0]) - torch.tensor(left_tops[number])
        return Tracks(xy[None], torch.ones(1, 2), torch.ones(1, 2), queries, self.image_wh)

    left_tops = {}
    left_top = Camera.left_top

    def noted(self, number):
        left_tops[number] = left_top(self, number)
        return left_tops[number]

    monkeypatch.setattr(Camera, "left_top", noted)
    monkeypatch.setattr(WindowStream, "preview", told)
    monkeypatch.setattr(
        WindowStream, "push", lambda self, frame: (len(frame) and crops.append(frame)) or push(self, frame)
    )
    region = CropStream(
        tiny_tracker, queries, Camera((28, 10), (32, 24), WH), 10, support_grid=2, update_interval=1
    )
    for frame in video.frames:
        region.push(frame)
    assert [left for left, _ in left_tops.values()] == [28, 28, 24, 22, 20, 18, 16, 14, 12]
    assert all(np.array_equal(crop, crops[2]) for crop in crops[3:])


def test_a_camera_follows_most_points_and_waits_where_none_is_seen():
    camera = Camera((300, 200), (200, 100), (640, 360))
    seen = torch.tensor([True, True, True, False])
    camera.follow(2, torch.tensor([[8, 2], [8.4, 2], [-200, 90], [0, 0]]), seen)
    assert [camera.left_top(number) for number in (2, 3, 4)] == [(308, 202), (312, 203), (316, 204)]
    camera.follow(4, torch.full((4, 2), torch.nan), ~seen & seen)
    assert camera.left_top(4) == camera.left_top(9) == (316, 204)
    camera.follow(6, torch.tensor([[-16.0, 4]]), torch.tensor([True]))
    assert camera.left_top(7) == (268, 204)


def test_a_crop_never_reaches_beyond_the_frame():
    camera = Camera((-20, 300), (200, 100), (640, 360))
    assert camera.left_top(0) == (0, 260)
    camera.follow(1, torch.tensor([[500.0, -400]]), torch.tensor([True]))
    assert camera.left_top(1) == (440, 0)


def test_a_point_outside_its_crop_is_where_the_whole_frame_says(tiny_tracker):
    video = moving_video(9, WH)
    queries = Queries([0, 0], [[20, 20], [33, 20]])
    region = CropStream(
        tiny_tracker, queries, Camera((8, 8), (28, 24), WH), 10, support_grid=5, update_interval=2
    )
    own = Tracks.concat([*(region.push(frame) for frame in video.frames), region.finish()])
    inside = own.tracked()
    assert inside[1:].any() and not inside[1:].all()
    outer = track(tiny_tracker, video, queries, steady=False)
    found = track_regions(tiny_tracker, video, queries, options=RegionOptions(box=(8, 8, 36, 32)))
    assert found.xy[inside].equal(own.xy[inside]) and found.visibility[inside].equal(own.visibility[inside])
    outside = ~inside & (torch.arange(9) > 0)[:, None]
    assert found.xy[outside].equal(outer.xy[outside])
    assert found.confidence[outside].equal(outer.confidence[outside])


def test_neighbours_on_a_frame_share_a_region():
    xy = [[10, 10], [300, 200], [310, 190], [290, 205], [12, 14], [11, 11], [500, 20]]
    queries = Queries([0, 0, 0, 0, 0, 3, 0], xy)
    groups = [group.tolist() for group in group_points(queries, (100, 60), RegionOptions())]
    assert groups == [[1, 2, 3], [0, 4], [5], [6]]
    boxed = group_points(queries, (310, 196), RegionOptions(box=(0, 0, 310, 196)))
    assert [group.tolist() for group in boxed] == [[0, 4], [5]]
    assert len(group_points(queries, (100, 60), RegionOptions(max_regions=2))) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wh": (100, 20)}, "expected a size within the 64 x 48 image, got .100, 20."),
        ({"box": (40, 0, 70, 20)}, "expected a box inside the 64 x 48 image"),
        ({"wh": (32, 24), "box": (0, 0, 32, 24)}, "expected wh or box, got both"),
        ({"box": (30, 0, 20, 20)}, "x0 < x1"),
        ({"wh": (1, 1)}, "2 pixels or more"),
        ({"max_regions": 0}, "1 or more"),
        ({"update_interval": 0}, "1 or more"),
    ],
)
def test_impossible_regions_are_refused(tiny_tracker, options, message):
    with pytest.raises(ValueError, match=message):
        track_regions(
            tiny_tracker, moving_video(3, WH), some_queries(1, WH), options=RegionOptions(**options)
        )


def test_regions_of_the_command_line():
    assert RegionOptions.parse("auto") == RegionOptions()
    assert RegionOptions.parse("384x216").wh == (384, 216)
    assert RegionOptions.parse("1,2,30,40").box == (1, 2, 30, 40)
    for text in ("", "384", "384x216x3", "1,2,3", "ax5", "-1,2,3,4"):
        with pytest.raises(ValueError, match="expected auto, a size"):
            RegionOptions.parse(text)


def test_no_points_and_one_frame(tiny_tracker):
    nobody = Queries.none()
    assert track_regions(tiny_tracker, moving_video(5, WH), nobody).xy.shape == (5, 0, 2)
    one = track_regions(tiny_tracker, moving_video(1, WH), some_queries(1, WH), options=SMALL)
    assert one.xy[0].equal(some_queries(1, WH).xy)


def test_a_tracker_of_one_window_has_regions_too(tiny_tracker):
    tracker = variant(tiny_tracker, length=None, start="repeat")
    video, queries = moving_video(9, WH), Queries([0, 4], [[10, 10], [50, 40]])
    tracks = track_regions(tracker, video, queries, options=SMALL)
    assert tracks.tracked().all() and not same(tracks, track(tracker, video, queries))
