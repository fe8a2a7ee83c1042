"""Query points: grids, corners, files, support points."""

import json

import numpy as np
import pytest
import torch

from pointtrack.geometry import grid_points, inside_image
from pointtrack.io.queries import load_queries, save_queries
from pointtrack.io.video import open_video
from pointtrack.tracking.queries import corner_queries, grid_queries
from pointtrack.tracking.support import support_queries
from pointtrack.types import Queries, Video

WH = (80, 50)


def box_mask(left, top, right, bottom, wh=WH):
    mask = np.zeros((wh[1], wh[0]), bool)
    mask[top:bottom, left:right] = True
    return mask


def squares_video(frames=3):
    """Black, with a bright square from (20, 10) to (49, 34) on every frame but the first."""
    pixels = np.zeros((frames, WH[1], WH[0], 3), np.uint8)
    pixels[1:, 10:35, 20:50] = 220
    return Video(pixels)


@pytest.mark.parametrize("size", [1, 4, (5, 2)])
@pytest.mark.parametrize("frame", [0, 2])
def test_grid_over_the_image(size, frame):
    queries = grid_queries(squares_video(), size, frame)
    torch.testing.assert_close(queries.xy, grid_points(size, WH))
    assert queries.frame.tolist() == [frame] * len(queries)
    torch.testing.assert_close(grid_queries(WH, size, frame).xy, queries.xy)


def test_points_of_frames_that_are_no_video_yet():
    frames = squares_video().frames
    for source in (frames, torch.from_numpy(frames), torch.from_numpy(frames).permute(0, 3, 1, 2)):
        assert torch.equal(grid_queries(source, 3).xy, grid_queries(WH, 3).xy)
        assert torch.equal(
            corner_queries(source, 4, frame=1).xy, corner_queries(squares_video(), 4, frame=1).xy
        )
    with open_video(frames) as opened:
        assert torch.equal(grid_queries(opened, 3).xy, grid_queries(WH, 3).xy)


@pytest.mark.parametrize(
    ("source", "size", "message"),
    [
        (WH, 3.5, r"grid size: expected a whole number .*, or \(columns, rows\), got 3\.5"),
        (WH, "3x4", "grid size: expected a whole number"),
        (WH, (3, 4, 5), "grid size: expected a whole number"),
        (WH, 0, "at least 1 point per side"),
        ("a.mp4", 3, r"expected a Video or an array of its frames, got str; pt\.read_video"),
        ([1], 3, r"wh: expected \(width, height\)"),
        (["a.png", "b.png"], 3, r"wh: expected \(width, height\)"),
        (np.zeros((50, 80, 3), np.uint8), 3, "which is one frame"),
    ],
)
def test_grids_of_nothing(source, size, message):
    with pytest.raises(ValueError, match=message):
        grid_queries(source, size)


@pytest.mark.parametrize(
    ("mask", "size", "fewest", "most"),
    [
        (box_mask(10, 5, 70, 45), 10, 80, 125),
        (box_mask(30, 10, 60, 40), 5, 20, 30),
        (box_mask(30, 10, 60, 40), (10, 4), 32, 50),
        (box_mask(0, 0, 80, 50), 8, 50, 80),
        (box_mask(33, 20, 34, 21), 10, 1, 1),
        (box_mask(5, 7, 75, 8), 6, 30, 60),
        (np.indices((50, 80)).sum(0) % 80 == 0, 3, 1, 20),
    ],
)
def test_grid_in_a_mask_has_about_as_many_points(mask, size, fewest, most):
    queries = grid_queries(WH, size, 1, mask)
    assert fewest <= len(queries) <= most
    x, y = queries.xy.round().long().T
    assert mask[y, x].all()
    assert queries.frame.tolist() == [1] * len(queries)


def test_corners_are_found_where_they_are():
    queries = corner_queries(squares_video(), 4, frame=1)
    expected = torch.tensor([[20.0, 10.0], [49.0, 10.0], [20.0, 34.0], [49.0, 34.0]])
    distances = torch.cdist(queries.xy, expected)
    assert sorted(distances.argmin(dim=1).tolist()) == [0, 1, 2, 3]
    assert distances.min(dim=1).values.max() <= 2
    assert queries.frame.tolist() == [1] * 4


def test_corners_within_a_mask():
    queries = corner_queries(squares_video(), 10, frame=1, mask=box_mask(0, 0, 30, 20))
    assert len(queries) == 1
    assert (queries.xy[0] - torch.tensor([20.0, 10.0])).norm() <= 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: grid_queries(WH, 0), "at least 1 point per side"),
        (lambda: grid_queries(WH, 0, mask=box_mask(0, 0, 5, 5)), "at least 1 point per side"),
        (lambda: grid_queries(WH, 3, mask=box_mask(0, 0, 0, 0)), "empty mask"),
        (lambda: grid_queries(WH, 3, mask=np.ones(WH, bool)), r"\(h, w\) = \(50, 80\) .* got \(80, 50\)"),
        (lambda: grid_queries(squares_video(), 3, frame=3), r"frame: expected 0\.\.2, got 3"),
        (lambda: grid_queries((0, 5)), r"wh: expected \(width, height\)"),
        (lambda: corner_queries(squares_video(), frame=0), "found none; the area is flat"),
        (lambda: corner_queries(squares_video(), 0, frame=1), "count: expected at least 1"),
        (lambda: corner_queries(squares_video(), frame=-1), r"frame: expected 0\.\.2, got -1"),
        (lambda: corner_queries(squares_video(), 5, 1, box_mask(0, 0, 0, 0)), "empty mask"),
        (lambda: support_queries(grid_queries(WH, 2), WH, global_size=-1), "sizes of 0 or more"),
        (
            lambda: support_queries(grid_queries(WH, 2), WH, local_extent=0.0),
            "local_extent: expected a positive",
        ),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_queries_come_back_exactly(tmp_path, suffix):
    generator = torch.Generator().manual_seed(0)
    xy = torch.rand(50, 2, generator=generator) * 1000 / 3
    queries = Queries(torch.arange(50) % 7, xy, torch.arange(50) * 3 - 20)
    again = load_queries(save_queries(tmp_path / "new" / f"points{suffix}", queries))
    assert torch.equal(again.xy, queries.xy)
    assert torch.equal(again.frame, queries.frame)
    assert torch.equal(again.ids, queries.ids)


@pytest.mark.parametrize(
    ("name", "text", "rows", "ids"),
    [
        ("a.csv", "t,x,y\n0,1.5,2\n3,4,5\n", [[0, 1.5, 2], [3, 4, 5]], [0, 1]),
        ("a.csv", "frame,x,y,id\n0,1,2,7\n", [[0, 1, 2]], [7]),
        ("a.csv", "\ufeffID, Y, X, Frame\n\n5, 2, 1, 0\n", [[0, 1, 2]], [5]),
        ("a.json", "[[0, 1.5, 2], [3, 4, 5]]", [[0, 1.5, 2], [3, 4, 5]], [0, 1]),
        ("a.json", '[{"frame": 2, "x": 1, "y": 2, "id": 9}, {"t": 0, "x": 3, "y": 4, "id": 1}]',
         [[2, 1, 2], [0, 3, 4]], [9, 1]),
    ],
)  # fmt: skip
def test_files_people_write(tmp_path, name, text, rows, ids):
    (tmp_path / name).write_text(text, encoding="utf-8")
    queries = load_queries(tmp_path / name)
    assert torch.cat([queries.frame[:, None], queries.xy], dim=1).tolist() == rows
    assert queries.ids.tolist() == ids


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "expected a header with frame"),
        ("a.csv", "0,1,2\n", "expected a header with frame"),
        ("a.csv", "t,y\n0,1\n", "expected a header with frame"),
        ("a.csv", "t,x,y\n", "at least one query point"),
        (
            "a.csv",
            "t,x,y\n0,1,2\n0,1,\n",
            r"line 3: expected frame \(or t\), x and y, but \['y'\] are missing",
        ),
        ("a.csv", "t,x,y\n0,1,two\n", "line 2: expected numbers"),
        ("a.csv", "t,x,y\n0.5,1,2\n", "expected whole numbers"),
        ("a.csv", "t,x,y\n0,1,nan\n", "expected finite pixels"),
        ("a.csv", "t,x,y,id\n0,1,2,3\n0,1,2,\n", "an id for every point or for none"),
        ("a.csv", "t,x,y,id\n0,1,2,3\n0,1,2,3\n", "expected distinct ids"),
        ("a.json", "[[0, 1]]", r"point 0: expected \[frame, x, y\]"),
        ("a.json", '{"x": 1}', "expected a list of points, got dict"),
        ("a.json", "[[0, 1, 2]", "expected query points as JSON"),
        ("a.json", "[]", "at least one query point"),
        ("a.json", '[{"frame": 0, "x": 1, "y": 2, "id": 1.5}]', "point 0: expected numbers"),
        ("a.xlsx", "t,x,y\n0,1,2\n", r"in \.csv, \.tsv, \.txt, \.json, got '\.xlsx'"),
    ],
)
def test_files_with_mistakes(tmp_path, name, text, message):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load_queries(tmp_path / name)


def test_missing_file_and_unknown_suffix(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"found nothing at .*none\.csv"):
        load_queries(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"in \.csv, \.json"):
        save_queries(tmp_path / "a.xml", grid_queries(WH, 2))


def test_json_file_is_plain_json(tmp_path):
    path = save_queries(tmp_path / "a.json", Queries([1], [[2.5, 3.0]], [4]))
    assert json.loads(path.read_text()) == [{"frame": 1, "x": 2.5, "y": 3.0, "id": 4}]


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({}, 25),
        ({"global_size": 0}, 0),
        ({"global_size": 3}, 9),
        ({"global_size": 0, "local_size": 4}, 64),
        ({"global_size": 2, "local_size": 3, "local_extent": 20.0}, 40),
        ({"global_size": 0, "local_size": 1}, 4),
    ],
)
def test_support_points(settings, count):
    queries = Queries([0, 4, 4, 9], [[2.0, 3.0], [40.0, 25.0], [70.0, 48.0], [79.0, 0.0]], [3, 1, 10, 0])
    support = support_queries(queries, WH, **settings)
    assert support.ids.tolist() == [-1 - i for i in range(count)]
    assert inside_image(support.xy, WH).all()
    assert set(support.frame.tolist()) <= {0, 4, 9}
    assert len(Queries.concat([queries, support])) == count + 4


def test_support_points_stand_where_they_should():
    queries = Queries([7, 2], [[40.0, 25.0], [0.0, 49.0]])
    local = support_queries(queries, WH, global_size=0, local_size=3, local_extent=20.0)
    assert local.frame.tolist() == [7] * 9 + [2] * 9
    assert local.xy[[0, 4, 8]].tolist() == [[30, 15], [40, 25], [50, 35]]
    assert local.xy[9:].min(dim=0).values.tolist() == [0, 39]
    assert local.xy[9:].max(dim=0).values.tolist() == [10, 49]
    everywhere = support_queries(queries, WH, global_size=2)
    assert everywhere.frame.tolist() == [0] * 4
    assert torch.equal(everywhere.xy, grid_points(2, WH))


def test_support_ids_stay_below_negative_ids_of_the_user():
    support = support_queries(Queries([0], [[1.0, 1.0]], [-5]), WH, global_size=2)
    assert support.ids.tolist() == [-6, -7, -8, -9]
