"""Clips in files: what is written comes back, whole or not at all."""

import json

import cv2
import numpy as np
import pytest
import torch

from pointtrack.datasets.clip import Clip, SourceClip
from pointtrack.datasets.format import INFO, list_clips, read_clip, read_info, write_clip


def same_truth(one: Clip, other: Clip) -> bool:
    names = ("xy", "visible", "valid", "ids", "object_ids")
    pairs = [(getattr(one.tracks, name), getattr(other.tracks, name)) for name in names]
    return all(torch.equal(a, b) for a, b in pairs) and np.array_equal(one.labels, other.labels)


@pytest.mark.parametrize(("pictures", "error"), [("png", 0), ("jpg", 16), ("mp4", 16)])
def test_what_is_written_comes_back(clip, tmp_path, pictures, error):
    folder = write_clip(tmp_path / "set" / "pan", clip, pictures=pictures)
    back = read_clip(folder)
    assert back.name == "pan" and back.info == clip.info
    assert same_truth(back, clip) and back.annotated.all()
    assert (back.video.fps, back.video.wh) == (12.0, clip.video.wh)
    assert np.abs(back.video.frames.astype(int) - clip.video.frames).mean() <= error
    part = read_clip(folder, 3, 4)
    assert np.array_equal(part.video.frames, back.video.frames[3:7])
    assert torch.equal(part.tracks.xy, back.tracks.xy[3:7])
    assert np.array_equal(part.labels, back.labels[3:7])
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["pan"]  # nothing half written is left
    with pytest.raises(ValueError, match="span within its 12 frames"):
        read_clip(folder, 10, 4)


def test_masks_of_some_frames(clip, tmp_path):
    annotated = np.zeros(12, bool)
    annotated[[0, 5]] = True
    folder = write_clip(tmp_path / "pan", Clip("pan", clip.video, clip.info, None, clip.labels, annotated))
    back = read_clip(folder)
    assert back.tracks is None and np.flatnonzero(back.annotated).tolist() == [0, 5]
    assert np.array_equal(back.labels[5], clip.labels[5]) and not back.labels[6].any()
    from PIL import Image

    with Image.open(folder / "masks" / "00005.png") as picture:
        assert picture.mode == "P" and picture.getpalette()[3:6] == [128, 0, 0]


def test_frames_of_other_kinds_stay_as_they_are(clip, tmp_path):
    data = cv2.imencode(".jpg", clip.video.frames[0])[1].tobytes()
    (tmp_path / "a.jpg").write_bytes(data)
    frames = [tmp_path / "a.jpg", data, clip.video.frames[0]]
    copied = write_clip(tmp_path / "copied", SourceClip("x", frames))
    linked = write_clip(tmp_path / "linked", SourceClip("x", frames), link=True)
    assert sorted(path.name for path in (copied / "frames").iterdir()) == [
        "00000.jpg",
        "00001.jpg",
        "00002.png",
    ]
    assert (
        (copied / "frames" / "00000.jpg").read_bytes()
        == (copied / "frames" / "00001.jpg").read_bytes()
        == data
    )
    assert not (copied / "frames" / "00000.jpg").is_symlink()
    assert (linked / "frames" / "00000.jpg").resolve() == tmp_path / "a.jpg"
    assert len(read_clip(linked).video) == 3
    with pytest.raises(ValueError, match="bytes of a JPEG, PNG or WebP file"):
        write_clip(tmp_path / "other", SourceClip("x", [clip.video.frames[0], b"GIF89a"]))
    assert not (tmp_path / "other").exists()


def test_a_folder_with_something_in_it_is_refused(clip, tmp_path):
    (tmp_path / "note").write_text("mine")
    with pytest.raises(ValueError, match="new or empty folder"):
        write_clip(tmp_path, clip)
    with pytest.raises(ValueError, match="masks of 96 x 64"):
        write_clip(tmp_path / "x", SourceClip("x", clip.video.frames, masks={0: np.ones((4, 4), np.uint8)}))
    with pytest.raises(ValueError, match="tracks of 2 frames"):
        write_clip(tmp_path / "x", SourceClip("x", clip.video.frames[:2], tracks=clip.tracks))
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_clips_are_listed(clip, tmp_path):
    source = SourceClip("x", clip.video.frames[:1])
    for name in ("b", "a/deep", "a/also"):
        write_clip(tmp_path / name, source)
    (tmp_path / "a" / "also" / "frames" / INFO).write_text("{}")  # within a clip nothing is looked for
    (tmp_path / ".part").mkdir()
    (tmp_path / ".part" / INFO).write_text("{}")
    assert list_clips(tmp_path) == [tmp_path / "a/also", tmp_path / "a/deep", tmp_path / "b"]
    assert list_clips(tmp_path / "b") == [tmp_path / "b"]
    for path in (tmp_path / "b" / "frames", tmp_path / "none"):
        with pytest.raises(FileNotFoundError, match="pointtrack data convert"):
            list_clips(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("{", "expected JSON"),
        ('{"format": "coco"}', "pointtrack-clip"),
        ({"version": 2}, "expected version 1, got 2"),
        ({"licence": None}, "lacks \\['licence'\\]"),
        ({"license": "MIT"}, "unknown \\['license'\\]"),
        ({"fps": "fast"}, "expected the types"),
        ({"wh": 5}, "expected the types"),
        ('{"format": "pointtrack-clip", "objects": {"1": "a", "1": "b"}}', "1 twice"),
    ],
)
def test_descriptions_of_other_kinds_are_refused(clip, tmp_path, change, message):
    folder = write_clip(tmp_path / "x", clip)
    if isinstance(change, dict):
        described = json.loads((folder / INFO).read_text()) | change
        change = json.dumps({name: value for name, value in described.items() if value is not None})
    (folder / INFO).write_text(change)
    with pytest.raises(ValueError, match=message):
        read_info(folder / INFO)


def test_parts_that_are_missing_are_named(clip, tmp_path):
    folder = write_clip(tmp_path / "x", clip)
    (folder / "frames" / "00004.png").unlink()
    assert len(read_clip(folder, 5, 2).video) == 2
    with pytest.raises(FileNotFoundError, match="found none for frame 4"):
        read_clip(folder)
    np.savez(folder / "tracks.npz", xy=np.zeros((12, 1, 2)))
    with pytest.raises(ValueError, match="lacks \\['visible'\\]"):
        read_clip(folder, 0, 2)
    with pytest.raises(FileNotFoundError, match="description"):
        read_clip(tmp_path)
