"""Readers of masks, on tiny sets written as the published ones are unpacked."""

import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.masks.datasets import MaskExample, load_mask_examples, read_index_picture
from pointtrack.types import Video
from pointtrack.types.masks import Masks

WH = (32, 24)
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, *([0] * 252 * 3)]


def write_frames(folder, stems):
    folder.mkdir(parents=True)
    for i, stem in enumerate(stems):
        cv2.imwrite(str(folder / f"{stem}.jpg"), np.full((WH[1], WH[0], 3), 20 * i, np.uint8))


def write_mask(path, labels, palette=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.ascontiguousarray(labels)
    picture = Image.fromarray(labels)
    if palette:
        picture = Image.frombytes("P", picture.size, labels.tobytes())
        picture.putpalette(PALETTE)
    picture.save(path)


def labels_of(boxes):
    """{value: column} -> picture with a 6 x 6 square of each value."""
    picture = np.zeros((WH[1], WH[0]), np.uint8)
    for value, column in boxes.items():
        picture[4:10, column : column + 6] = value
    return picture


def stems(count, step=1, digits=5):
    return [f"{step * i:0{digits}d}" for i in range(count)]


def columns(example, place):
    """First column of an object on every frame, None where it is not drawn."""
    return [
        int(np.argwhere(m)[:, 1].min()) if m.any() else None for m in example.truth.masks[:, place].numpy()
    ]


@pytest.fixture
def davis(tmp_path):
    """Function (year, labels of every frame, list file, its text, palette) -> root."""

    def write(pictures, list_file, text, palette):
        write_frames(tmp_path / "JPEGImages/480p/bear", stems(len(pictures)))
        for stem, picture in zip(stems(len(pictures)), pictures, strict=True):
            write_mask(tmp_path / f"Annotations/480p/bear/{stem}.png", picture, palette)
        (tmp_path / list_file).parent.mkdir(parents=True)
        (tmp_path / list_file).write_text(text)
        return tmp_path

    return write


def test_davis_2017(davis):
    pictures = [labels_of({1: 2, 2: 12}), labels_of({2: 13}), labels_of({1: 4, 2: 14, 3: 24})]
    root = davis(pictures, "ImageSets/2017/val.txt", "bear\n", palette=True)
    (example,) = load_mask_examples(f"davis2017:{root}")
    assert example.name == "davis2017/bear" and example.dataset == "davis2017"
    assert example.truth.object_ids.tolist() == [1, 2]  # object 3 is not on the first frame
    assert columns(example, 0) == [2, None, 4] and columns(example, 1) == [12, 13, 14]
    assert example.starts() == {1: 0, 2: 0}
    assert example.annotated.all() and example.void is None
    assert example.counted().int().tolist() == [[0, 0], [1, 1], [0, 0]]
    assert example.video.wh == WH and example.video.frames[2, 0, 0, 0] == 40


def test_davis_2017_void_and_other_lists(davis):
    pictures = [labels_of({1: 2, 255: 10}), labels_of({1: 3, 255: 20}), labels_of({1: 4})]
    root = davis(pictures, "ImageSets/2017/train.txt", "bear\n", palette=True)
    (example,) = load_mask_examples(f"davis2017:{root}/ImageSets/2017/train.txt")
    assert example.truth.object_ids.tolist() == [1]
    assert torch.equal(example.void[1], torch.from_numpy(labels_of({1: 20}) > 0))
    assert not example.void[2].any()
    with pytest.raises(FileNotFoundError, match=r"val\.txt"):
        next(load_mask_examples(f"davis2017:{root}"))


@pytest.mark.parametrize(
    "list_file, text, palette",
    [
        ("ImageSets/2016/val.txt", "bear\n", True),
        (
            "ImageSets/480p/val.txt",
            "/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png\n"
            "/JPEGImages/480p/bear/00001.jpg /Annotations/480p/bear/00001.png\n",
            False,
        ),
    ],
)
def test_davis_2016_is_one_object(davis, list_file, text, palette):
    values = (1, 2) if palette else (255, 255)
    pictures = [sum(labels_of({v: c + t}) for v, c in zip(values, (2, 12), strict=True)) for t in range(3)]
    root = davis(pictures, list_file, text, palette)
    (example,) = load_mask_examples(f"davis2016:{root}")
    assert example.truth.object_ids.tolist() == [1]
    assert example.truth.masks[:, 0].sum(dim=(1, 2)).tolist() == [72, 72, 72]
    assert example.counted().flatten().tolist() == [False, True, False]


def test_grey_and_colour_pictures(tmp_path):
    grey = labels_of({255: 3})
    for mode in ("L", "RGB", "1"):
        Image.fromarray(grey).convert(mode).save(tmp_path / f"{mode}.png")
        assert np.array_equal(read_index_picture(tmp_path / f"{mode}.png") > 0, grey > 0)


@pytest.fixture
def ytvos(tmp_path):
    """Every fifth frame; object 2 appears on the third of five frames, object 3 is never drawn."""
    names = stems(5, step=5)
    write_frames(tmp_path / "JPEGImages/0a1b", names)
    for i, stem in enumerate(names):
        boxes = {1: 2 + i} | ({2: 12 + i} if i >= 2 else {})
        write_mask(tmp_path / f"Annotations/0a1b/{stem}.png", labels_of(boxes))
    entry = {"1": {"category": "fox", "frames": names}, "2": {"frames": names[2:]}, "3": {"frames": []}}
    (tmp_path / "meta.json").write_text(json.dumps({"videos": {"0a1b": {"objects": entry}}}))
    return tmp_path


def test_youtube_vos(ytvos, caplog):
    (example,) = load_mask_examples(f"ytvos:{ytvos}")
    assert "objects [3]" in caplog.text
    assert example.name == "ytvos/0a1b"
    assert example.starts() == {1: 0, 2: 2}
    assert columns(example, 1) == [None, None, 14, 15, 16]
    assert example.counted().T.int().tolist() == [[0, 1, 1, 1, 0], [0, 0, 0, 1, 0]]


def test_youtube_vos_valid_shows_first_appearances_only(ytvos):
    for stem in ("00005", "00015", "00020"):
        (ytvos / f"Annotations/0a1b/{stem}.png").unlink()
    write_mask(ytvos / "Annotations/0a1b/00010.png", labels_of({2: 14}))
    (example,) = load_mask_examples(f"ytvos:{ytvos}")
    assert example.starts() == {1: 0, 2: 2}
    assert not example.annotated.any() and not example.counted().any()


@pytest.mark.parametrize("annotated, counts", [(4, 3), (1, 0)])
def test_mose(tmp_path, annotated, counts):
    write_frames(tmp_path / "JPEGImages/002b4dce", stems(4))
    for i, stem in enumerate(stems(annotated)):
        boxes = {2: 2 + i} | ({5: 20} if i == 1 else {})
        write_mask(tmp_path / f"Annotations/002b4dce/{stem}.png", labels_of(boxes))
    (example,) = load_mask_examples(f"mose:{tmp_path}")
    assert example.truth.object_ids.tolist() == ([2, 5] if annotated > 1 else [2])
    assert example.first_frames.tolist() == ([0, 1] if annotated > 1 else [0])
    assert int(example.counted().sum()) == counts


def test_davis_dev_layout(tmp_path, monkeypatch):
    monkeypatch.setenv("POINTTRACK_DATA", str(tmp_path))
    for sequence in ("goat", "camel"):
        write_frames(tmp_path / f"davis_dev/{sequence}/frames", stems(3))
        for i, stem in enumerate(stems(3)):
            write_mask(
                tmp_path / f"davis_dev/{sequence}/masks/{stem}.png", labels_of({255: i}), palette=False
            )
    examples = list(load_mask_examples("davis_dev"))
    assert [example.name for example in examples] == ["davis_dev/camel", "davis_dev/goat"]
    assert columns(examples[0], 0) == [0, 1, 2]


def test_real_sequence(evaluation_data):
    example = next(load_mask_examples("davis_dev"))
    assert example.name == "davis_dev/blackswan" and example.video.wh == (854, 480)
    assert len(example.video) == 50 and int(example.counted().sum()) == 48
    assert 0.01 < example.truth.masks.float().mean() < 0.5


def test_mistakes_are_named(tmp_path, monkeypatch, ytvos):
    for dataset in ("davis2017", "ytvos:", "coco:x"):
        with pytest.raises(ValueError, match="davis2016:FOLDER"):
            load_mask_examples(dataset)
    monkeypatch.setenv("POINTTRACK_DATA", str(tmp_path))
    for dataset in ("davis_dev", f"mose:{tmp_path}/none", f"davis2016:{tmp_path}"):
        with pytest.raises(FileNotFoundError, match="expected a"):
            next(load_mask_examples(dataset))
    write_mask(ytvos / "Annotations/0a1b/00000.png", labels_of({1: 2})[:, :20])
    with pytest.raises(ValueError, match=r"00000\.png: expected shape \(24, 32\)"):
        next(load_mask_examples(f"ytvos:{ytvos}"))
    (ytvos / "meta.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"meta\.json: expected videos"):
        next(load_mask_examples(f"ytvos:{ytvos}"))


def test_example_wants_a_mask_on_the_first_frame():
    video, masks = Video(np.zeros((2, 8, 8, 3), np.uint8)), np.zeros((2, 1, 8, 8), bool)
    masks[1] = True
    yes = torch.ones(2, dtype=torch.bool)
    MaskExample("x/y", video, Masks(masks), torch.tensor([1]), yes)
    with pytest.raises(ValueError, match="object 1 on its first frame 0"):
        MaskExample("x/y", video, Masks(masks), torch.tensor([0]), yes)
    with pytest.raises(ValueError, match="annotated"):
        MaskExample("x/y", video, Masks(masks), torch.tensor([1]), yes[:1])
