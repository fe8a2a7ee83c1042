"""What values say of themselves, and as the values of other libraries."""

import base64
import re
import sys

import numpy as np
import pytest
import torch

from pointtrack.types import Masks, Queries, Source, Tracks, Video

WH = (40, 30)


@pytest.fixture
def tracks() -> Tracks:
    xy = torch.rand(5, 3, 2, generator=torch.Generator().manual_seed(0)) * 20
    xy[1, 2] = torch.nan
    seen = torch.tensor([[1.0, 0.2, 1.0]] * 5)
    seen[1, 2] = 0
    queries = Queries(3, xy[0], [4, 7, 9], ["<nose>", "", "tail"])
    return Tracks(xy, seen, seen, queries, WH, 3, 25.0, sources=torch.full((5, 3), int(Source.MODEL)))


@pytest.fixture
def masks() -> Masks:
    pixels = np.zeros((3, 2, 30, 40), bool)
    pixels[:, 0, 5:15, 5:20] = True
    pixels[1, 1, 20:25, 30:36] = True
    return Masks(pixels, [3, 8], first_frame=2, names=("bear", ""))


def test_one_line_each(tracks, masks):
    assert repr(Video(np.zeros((5, 30, 40, 3), np.uint8))) == "Video(5 frames of 40 x 30, 30 per second)"
    assert repr(tracks.queries) == "Queries(3 points on frame 3: <nose>, point7, tail)"
    assert repr(Queries([], [])) == "Queries(no points)"
    assert repr(tracks) == "Tracks(3 points, 5 frames of 40 x 30 from frame 3 on, visible on 64%)"
    assert repr(masks) == "Masks(2 objects on 3 frames of 40 x 30: bear, object 8)"


def test_pictures_in_notebooks(tracks, masks, monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapy", None)
    video = Video(np.random.default_rng(0).integers(0, 255, (5, 30, 40, 3), np.uint8))
    for value in (video, masks):
        shown = value._repr_html_()
        pictures = re.findall(r"data:image/png;base64,([^\"]+)", shown)
        assert len(pictures) == 3
        assert base64.b64decode(pictures[0]).startswith(b"\x89PNG")
    lines = tracks._repr_html_()
    assert lines.count("<polyline") == 4  # one with a gap
    assert "&lt;nose&gt;" in lines
    assert "<nose>" not in lines
    assert tracks.queries._repr_html_().count("<circle") == 3
    for empty in (tracks.select([]), tracks.queries.select([]), masks.select([])):
        assert empty._repr_html_().startswith("<div>")


def test_videos_play_where_mediapy_is(monkeypatch):
    mediapy = pytest.importorskip("mediapy")
    monkeypatch.setattr(mediapy, "show_video", lambda frames, fps, return_html: f"<video>{len(frames)} {fps}")
    assert "<video>5 30.0" in Video(np.zeros((5, 30, 40, 3), np.uint8))._repr_html_()


def test_pandas(tracks):
    pytest.importorskip("pandas")
    table = tracks.to_pandas()
    assert list(table.columns) == [
        "frame",
        "time",
        "id",
        "name",
        "x",
        "y",
        "visibility",
        "confidence",
        "visible",
        "source",
    ]
    tail = table[table.name == "tail"]
    assert tail.frame.tolist() == [3, 4, 5, 6, 7]
    assert tail.x.isna().tolist() == [False, True, False, False, False]
    np.testing.assert_allclose(tail.time, np.arange(3, 8) / 25)


def test_supervision(tracks, masks):
    pytest.importorskip("supervision")
    points = tracks.to_supervision(4)
    np.testing.assert_allclose(points.xy[:, 0], tracks.xy[1, :2])
    assert points.data["name"].tolist() == ["<nose>", "point7"]
    found = masks.to_supervision(3)
    assert found.tracker_id.tolist() == [3, 8]
    np.testing.assert_array_equal(found.mask, masks.masks[1].numpy())
    np.testing.assert_array_equal(found.xyxy, [[5, 5, 19, 14], [30, 20, 35, 24]])
    assert found.data["class_name"].tolist() == ["bear", "object"]
    assert len(masks.to_supervision(2)) == 1
    for value in (tracks, masks):
        with pytest.raises(ValueError, match="frame: expected one of"):
            value.to_supervision(99)


def test_movement(tracks):
    pytest.importorskip("xarray")
    data = tracks.to_movement()
    assert dict(data.sizes) == {"time": 5, "space": 2, "keypoints": 3, "individuals": 1}
    tail = data.position.sel(keypoints="tail", individuals="individual_0")
    np.testing.assert_allclose(tail, tracks.xy[:, 2])
    validators = pytest.importorskip("movement.validators.datasets")
    validators.ValidPosesInputs.validate(data)


def test_a_library_that_is_missing_is_named(tracks, monkeypatch):
    for package, call in (
        ("pandas", lambda: tracks.to_pandas()),
        ("xarray", lambda: tracks.to_movement()),
        ("supervision", lambda: tracks.to_supervision(0)),
    ):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(ImportError, match=f"expected the package {package}, .* pip install {package}"):
            call()
