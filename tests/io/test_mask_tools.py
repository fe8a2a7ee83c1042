"""Masks in the formats of other tools, read by these tools themselves."""

import json

import cv2
import numpy as np
import pytest
import torch

from pointtrack.io.formats.yolo import polygon
from pointtrack.io.masks import export_masks, load_masks, parse_mask_exports, save_masks
from pointtrack.types import Masks, Video

WH = (60, 40)


@pytest.fixture
def masks() -> Masks:
    """A bear on all frames, with a hole on the first, and a cub in two pieces from the second frame on."""
    pixels = np.zeros((5, 2, WH[1], WH[0]), bool)
    pixels[:, 0, 5:15, 5:25] = True
    pixels[0, 0, 8:11, 10:15] = False
    pixels[1:, 1, 20:30, 30:40] = True
    pixels[1:, 1, 22:26, 45:50] = True
    scores = np.array([[1, 0.5]] * 5, np.float32)
    return Masks(pixels, [4, 9], scores, first_frame=2, names=("bear", "cub"))


@pytest.fixture
def video() -> Video:
    return Video(np.random.default_rng(0).integers(0, 255, (8, WH[1], WH[0], 3), np.uint8))


def test_pycocotools_loads_coco(tmp_path, masks, capsys):
    from pycocotools.coco import COCO

    coco = COCO(str(save_masks(tmp_path / "m.json", masks)))
    assert len(coco.getImgIds()) == 5
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["bear", "cub"]
    for image in coco.loadImgs(coco.getImgIds()):
        row = image["frame_index"] - 2
        found = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
        assert len(found) == (1 if row == 0 else 2)
        for annotation in found:
            place = [4, 9].index(annotation["attributes"]["track_id"])
            np.testing.assert_array_equal(coco.annToMask(annotation), masks.masks[row, place].numpy())
            assert annotation["area"] == int(masks.masks[row, place].sum())


def test_supervision_loads_coco_with_its_pictures(tmp_path, masks, video):
    sv = pytest.importorskip("supervision")
    path = save_masks(tmp_path / "m.json", masks, video=video)
    data = sv.DetectionDataset.from_coco(str(tmp_path / "m"), str(path), force_masks=True)
    assert (len(data), data.classes) == (5, ["bear", "cub"])
    for name, picture, found in data:
        row = int(name.split("frame_")[1][:6]) - 2
        assert picture.shape == (WH[1], WH[0], 3)
        shown = masks.masks[row, masks.present()[row]].numpy()
        np.testing.assert_array_equal(found.mask, shown)


def test_datumaro_loads_coco(tmp_path, masks):
    """The library that CVAT reads with."""
    datumaro = pytest.importorskip("datumaro")
    (tmp_path / "images" / "default").mkdir(parents=True)
    for number in range(2, 7):
        cv2.imwrite(str(tmp_path / f"images/default/frame_{number:06d}.jpg"), np.zeros((WH[1], WH[0], 3)))
    save_masks(tmp_path / "annotations" / "instances_default.json", masks, format="coco")
    found = datumaro.Dataset.import_from(str(tmp_path), "coco_instances")
    labels = found.categories()[datumaro.AnnotationType.label]
    assert [one.name for one in labels.items] == ["bear", "cub"]
    for item in found:
        row = int(item.id.split("frame_")[1]) - 2
        drawn = {one.label: np.asarray(one.image) for one in item.annotations if hasattr(one, "image")}
        assert len(drawn) == int(masks.present()[row].sum())
        for label, pixels in drawn.items():
            np.testing.assert_array_equal(pixels.astype(bool), masks.masks[row, label].numpy())


def test_coco_of_others_comes_back(tmp_path):
    square = [[2, 1, 6, 1, 6, 4, 2, 4]]
    content = {
        "images": [
            {"id": 7, "file_name": "a/10.png", "width": 8, "height": 5},
            {"id": 3, "file_name": "a/9.png", "width": 8, "height": 5},
        ],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "segmentation": square, "track_id": 5},
            {
                "id": 2,
                "image_id": 3,
                "category_id": 1,
                "segmentation": {"size": [5, 8], "counts": [11, 3, 26]},
                "attributes": {"track_id": 5},
            },
        ],
    }
    (tmp_path / "o.json").write_text(json.dumps(content))
    masks = load_masks(tmp_path / "o.json", fps=6)
    assert (masks.names, masks.fps, masks.object_ids.tolist()) == (("cat",), 6, [5])
    assert masks.masks.sum(dim=(1, 2, 3)).tolist() == [3, 12]  # 9 before 10
    del content["annotations"][0]["track_id"]
    (tmp_path / "o.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="annotation 1 does not say which object it is"):
        load_masks(tmp_path / "o.json")


def test_supervision_loads_yolo_with_its_pictures(tmp_path, masks, video):
    sv = pytest.importorskip("supervision")
    folder = save_masks(tmp_path / "y", masks, format="yolo", video=video)
    data = sv.DetectionDataset.from_yolo(
        str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml"), force_masks=True
    )
    assert (len(data), data.classes) == (5, ["bear", "cub"])
    for name, _, found in data:
        row = int(name.split("frame_")[1][:6]) - 2
        assert found.class_id.tolist() == np.flatnonzero(masks.present()[row]).tolist()
        for picture, place in zip(found.mask, found.class_id, strict=True):
            truth = masks.masks[row, place].numpy()
            if (row, place) != (0, 0):  # a hole is filled
                assert (picture & truth).sum() / (picture | truth).sum() > 0.8


def test_polygons_hold_all_pieces_and_the_thinnest():
    picture = np.zeros((40, 60), bool)
    picture[3:20, 4:30] = picture[25:36, 40:55] = picture[30, 10] = picture[38, 3:20] = True
    outline = polygon(picture)
    drawn = cv2.fillPoly(np.zeros((40, 60), np.uint8), [np.floor(outline).astype(np.int32)], 1)
    assert drawn[picture].mean() > 0.99
    assert drawn[~picture].mean() < 0.05
    assert len(polygon(np.zeros((4, 4), bool))) == 0


def test_mot_holds_the_boxes(tmp_path, masks):
    rows = np.loadtxt(save_masks(tmp_path / "m.txt", masks), delimiter=",")
    assert rows.shape == (9, 10)
    assert rows[0].tolist() == [3, 4, 6, 6, 20, 10, 1, -1, -1, -1]
    assert rows[2].tolist() == [4, 9, 31, 21, 20, 10, 0.5, -1, -1, -1]


def test_motmetrics_loads_mot(tmp_path, masks):
    mm = pytest.importorskip("motmetrics")
    table = mm.io.loadtxt(str(save_masks(tmp_path / "m.txt", masks)), fmt="mot15-2D")
    row = table.loc[(4, 9)]
    assert [row[name] for name in ("X", "Y", "Width", "Height")] == [30, 20, 20, 10]


def test_every_export_is_written(tmp_path, masks, video):
    names = parse_mask_exports("npz,davis,ytvos,coco,ytvis,yolo,mot,cutout")
    paths = export_masks(tmp_path / "clip", masks, names, video)
    assert all(path.exists() for path in paths)
    for path in paths[:5]:
        again = load_masks(path)
        assert torch.equal(again.masks[:, again.object_ids == 9][1:], masks.masks[1:, 1:])
    with pytest.raises(ValueError, match="export: expected some of npz, .*, got gif"):
        parse_mask_exports("gif")
    with pytest.raises(ValueError, match="expected the video too"):
        save_masks(tmp_path / "a.mov", masks)
    with pytest.raises(ValueError, match=r"video: expected 7 frames or more of \(60, 40\)"):
        save_masks(tmp_path / "a.json", masks, video=Video(video.frames[:3]))
