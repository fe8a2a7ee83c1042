"""Video, Queries, Tracks: what they accept, what they refuse, how they are cut and joined."""

import time

import numpy as np
import pytest
import torch

from pointtrack.io.tracks import load_tracks, save_tracks
from pointtrack.types import Queries, Tracks, Video

NAN = float("nan")
WH = (12, 8)


def pixels(frames=5):
    return np.arange(frames * 8 * 12 * 3, dtype=np.uint32).reshape(frames, 8, 12, 3).astype(np.uint8)


def made_up_tracks(frames=5, ids=(0, 1, 2), first_frame=0):
    n = len(ids)
    xy = torch.arange(frames * n * 2, dtype=torch.float32).reshape(frames, n, 2) + 100 * first_frame
    queries = Queries([first_frame] * n, torch.ones(n, 2), list(ids))
    return Tracks(xy, torch.full((frames, n), 0.75), torch.full((frames, n), 0.5), queries, WH, first_frame)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames": pixels()[0]}, r"expected shape \(t, h, w, 3\), RGB last, got \(8, 12, 3\)"),
        ({"frames": pixels()[..., :2]}, r"expected 3 channels last .* got shape \(8, 12, 2\)"),
        ({"frames": pixels().astype(np.float32)}, "expected uint8 values 0..255, got float32"),
        ({"frames": pixels()[:0]}, "at least one frame and one pixel"),
        ({"frames": pixels(), "fps": 0}, "fps: expected a positive number, got 0"),
        ({"frames": pixels(), "fps": NAN}, "fps: expected a positive number, got nan"),
        ({"frames": pixels(), "times": [0, 1]}, r"one per frame \(5,\), got shape \(2,\)"),
        ({"frames": pixels(), "times": [0, 1, 1, 2, 3]}, "increasing seconds"),
    ],
)
def test_videos_that_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Video(**settings)


def test_video():
    video = Video(pixels(), fps=10)
    assert (len(video), video.wh, video.fps) == (5, WH, 10.0)
    np.testing.assert_allclose(video.times, [0, 0.1, 0.2, 0.3, 0.4])
    clip = video.clip(2, 4)
    np.testing.assert_allclose(clip.times, [0.2, 0.3])
    assert np.shares_memory(clip.frames, video.frames)
    assert Video(torch.from_numpy(pixels())).wh == WH


@pytest.mark.parametrize(("chunk", "lengths"), [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (9, [5])])
def test_video_is_split(chunk, lengths):
    pieces = list(Video(pixels()).split(chunk))
    assert [len(piece) for piece in pieces] == lengths
    np.testing.assert_array_equal(np.concatenate(pieces), pixels())


def test_video_is_not_split_into_nothing():
    with pytest.raises(ValueError, match="chunk: expected at least 1 frame, got 0"):
        list(Video(pixels()).split(0))


@pytest.mark.parametrize(
    ("frame", "xy", "ids", "message"),
    [
        ([0, 1], [[1, 2]], None, r"query frame: expected one per point \(1,\), got shape \(2,\)"),
        ([0], [[1, 2, 3]], None, r"query xy: expected shape \(n, 2\)"),
        ([0], [1, 2], None, r"query xy: expected shape \(n, 2\)"),
        ([0.5], [[1, 2]], None, "query frame: expected whole numbers"),
        ([-1], [[1, 2]], None, "query frame: expected 0 or later, got -1"),
        ([0, 0], [[1, 2], [NAN, 3]], None, "expected finite pixels, .* for point 1"),
        ([0, 0], [[1, 2], [3, 4]], [5, 5], "expected distinct ids"),
        ([0, 0], [[1, 2], [3, 4]], [5], r"query ids: expected one per point \(2,\)"),
        ([0], [[1, 2]], [0.5], "query ids: expected whole numbers"),
    ],
)
def test_queries_that_are_refused(frame, xy, ids, message):
    with pytest.raises(ValueError, match=message):
        Queries(frame, xy, ids)


def test_queries():
    queries = Queries.from_txy([[3, 1.5, 2.5], [0, 4, 5]])
    assert queries.frame.tolist() == [3, 0]
    assert queries.xy.tolist() == [[1.5, 2.5], [4, 5]]
    assert queries.ids.tolist() == [0, 1]
    assert queries.moved(2).frame.tolist() == [5, 2]
    for index in ([1], torch.tensor([False, True]), slice(1, 2)):
        assert queries.select(index).ids.tolist() == [1]
    with pytest.raises(ValueError, match="distinct ids"):
        Queries.concat([queries, queries])
    assert Queries.concat([queries, queries], renumber=True).ids.tolist() == [0, 1, 2, 3]
    assert len(Queries([], np.zeros((0, 2)))) == 0


@pytest.mark.parametrize("index", [[7], [-3], ["nose"], [0.5], [True], None, "nose"])
def test_positions_that_no_point_has(index):
    queries = Queries(0, [[1.5, 2.5], [4, 5]], names=["nose", "ear"])
    tracks = Tracks(np.zeros((1, 2, 2)), np.ones((1, 2)), np.ones((1, 2)), queries, WH)
    for points in (queries, tracks):
        with pytest.raises(
            ValueError, match=r"positions in 0\.\.1, .* mask of 2 points, got .*labels\(\)\.index"
        ):
            points.select(index)
        assert points.select([-1]).ids.tolist() == points.select(1).ids.tolist() == [1]
        assert points.select([False, True]).ids.tolist() == [1] and points.select([]).ids.tolist() == []


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ([5, 1, 1], r"query point 0: expected a frame in 0\.\.4, got 5; the video has 5 frames"),
        ([0, 12, 1], r"inside the 12 x 8 image, got \(12, 1\)"),
        ([0, 1, 9], r"inside the 12 x 8 image, got \(1, 9\); x comes first: did you mean \(9, 1\)\?"),
    ],
)
def test_queries_outside_the_video(point, message):
    with pytest.raises(ValueError, match=message):
        Queries.from_txy([point]).check_inside(5, WH)
    Queries.from_txy([[4, 11.5, 7.5]]).check_inside(5, WH)
    Queries.from_txy([[99, 1, 1]]).check_inside(None, WH)  # a stream: nobody knows its length


def test_a_million_points_are_checked_at_once():
    points = torch.arange(1_000_000)
    queries = Queries(0, torch.stack([points % 12, points % 8], dim=1))
    began = time.perf_counter()
    queries.check_inside(5, WH)
    assert time.perf_counter() - began < 5, "one after the other, they take a minute"
    queries.xy[700_000] = 20
    queries.frame[900_000] = 5
    with pytest.raises(ValueError, match=r"query point 700000: .* got \(20, 20\)"):
        queries.check_inside(5, WH)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"xy": torch.zeros(5, 3)}, r"tracks xy: expected shape \(t, n, 2\)"),
        ({"visibility": torch.zeros(5, 2)}, r"tracks visibility: expected \(5, 3\), got \(5, 2\)"),
        ({"confidence": torch.full((5, 3), 1.5)}, r"tracks confidence: expected probabilities in \[0, 1\]"),
        ({"visibility": torch.full((5, 3), NAN)}, r"tracks visibility: expected probabilities in \[0, 1\]"),
        ({"queries": Queries([0], [[1, 1]])}, "expected 1 point as queried, got 3"),
    ],
)
def test_tracks_that_are_refused(changes, message):
    tracks = made_up_tracks()
    fields = {"xy": tracks.xy, "visibility": tracks.visibility, "confidence": tracks.confidence}
    with pytest.raises(ValueError, match=message):
        Tracks(**{**fields, "queries": tracks.queries, **changes}, wh=WH)


def test_what_tracks_know():
    xy = torch.tensor([[[1.0, 2.0], [NAN, NAN]], [[-3.0, 2.0], [11.0, 7.0]]])
    visibility, confidence = torch.tensor([[0.9, 0.0], [0.9, 0.9]]), torch.tensor([[0.9, 0.0], [0.2, 0.6]])
    tracks = Tracks(xy, visibility, confidence, Queries([0, 1], [[1, 2], [11, 7]], [4, 9]), WH)
    assert tracks.tracked().tolist() == [[True, False], [True, True]]
    assert tracks.in_frame().tolist() == [[True, False], [False, True]]
    assert tracks.visible().tolist() == [[True, False], [False, True]]
    assert tracks.visible(0.8).tolist() == [[True, False], [False, False]]
    assert tracks.ids.tolist() == [4, 9]
    one = tracks.select([1])
    assert (one.ids.tolist(), one.xy.shape) == ([9], (2, 1, 2))


@pytest.mark.parametrize("cuts", [(2,), (1, 4), (0, 5), ()])
def test_pieces_of_a_stream_are_joined_again(cuts):
    tracks = made_up_tracks(first_frame=7)
    edges = [0, *cuts, 5]
    pieces = [tracks.clip(start, stop) for start, stop in zip(edges, edges[1:], strict=False)]
    joined = Tracks.concat(pieces)
    assert joined.first_frame == 7
    for name in ("xy", "visibility", "confidence"):
        assert torch.equal(getattr(joined, name), getattr(tracks, name))
    assert torch.equal(joined.ids, tracks.ids)


def test_points_that_come_and_go_are_matched_by_id():
    joined = Tracks.concat([made_up_tracks(2, (5, 8)), made_up_tracks(3, (8, 1), first_frame=2)])
    assert joined.ids.tolist() == [5, 8, 1]
    assert joined.tracked().tolist() == [[True, True, False]] * 2 + [[False, True, True]] * 3
    assert joined.xy[2, 1].tolist() == [200, 201]
    assert joined.visibility[0].tolist() == [0.75, 0.75, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: [], "at least one piece, got none"),
        (lambda: [made_up_tracks(2), made_up_tracks(2, first_frame=3)], "a piece from frame 2, got 3"),
        (
            lambda: [made_up_tracks(2), Tracks(torch.zeros(1, 0, 2), torch.zeros(1, 0), torch.zeros(1, 0),
                                               Queries([], torch.zeros(0, 2)), (8, 12), 2)],
            r"pieces of one size, got \(12, 8\) and \(8, 12\)",
        ),
    ],
)  # fmt: skip
def test_pieces_that_do_not_fit(make, message):
    with pytest.raises(ValueError, match=message):
        Tracks.concat(make())


def test_values_are_frozen():
    with pytest.raises(AttributeError):
        Video(pixels()).fps = 3
    with pytest.raises(AttributeError):
        made_up_tracks().wh = (1, 1)


def test_saved_tracks(tmp_path):
    tracks = made_up_tracks(first_frame=3)
    assert save_tracks(tmp_path / "t.npz", tracks) == tmp_path / "t.npz"
    again = load_tracks(tmp_path / "t.npz")
    assert torch.equal(again.xy, tracks.xy)
    assert (again.wh, again.first_frame, again.fps) == (WH, 3, 30.0)
    with pytest.raises(FileNotFoundError, match="found nothing at"):
        load_tracks(tmp_path / "none.npz")


def test_one_frame_for_all_points_names_and_no_points():
    queries = Queries(frame=3, xy=[[1, 2], [3, 4]], names=["nose", None])
    assert queries.frame.tolist() == [3, 3]
    assert queries.names == ("nose", "")
    assert queries.labels() == ["nose", "point1"]
    assert queries.named({1: "nose"}).labels() == ["nose_0", "nose_1"]
    for names in (["a", "a", "a_0"], ["a_0", "a", "a"], ["point1", "", "point1_1"], ["a", "a", "a_0", "a_0"]):
        assert len(set(Queries(0, [[1, 1]] * len(names), names=names).labels())) == len(names)
    assert queries.select([False, True]).names == ()
    assert Queries.concat([queries, Queries(0, [[5, 6]])], renumber=True).names == ("nose", "", "")
    for empty in (Queries([], []), Queries(0, [])):
        assert len(empty) == 0
    with pytest.raises(ValueError, match="are frame and xy swapped"):
        Queries([[1, 2], [3, 4]], [0, 0])
    with pytest.raises(ValueError, match=r"one per point \(2\)"):
        Queries(0, [[1, 2], [3, 4]], names=["nose"])
