"""Small sets in the layouts of the published ones -> clips whose truth is that of the set."""

import gzip
import json
import pickle

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.masks.datasets import load_mask_examples
from evaluation.masks.methods import build_mask_methods
from evaluation.masks.report import evaluate_masks
from evaluation.points.datasets import load_examples
from evaluation.points.methods import build_methods
from evaluation.points.report import evaluate
from pointtrack.datasets.convert import KINDS, Conversion, convert
from pointtrack.datasets.format import list_clips, read_clip
from pointtrack.datasets.validate import check_clip

WH = (48, 32)
FRAMES, POINTS = 5, 4


def write_frames(folder, pattern, count=FRAMES, first=0):
    folder.mkdir(parents=True, exist_ok=True)
    picture = cv2.resize(np.random.default_rng(0).integers(0, 255, (8, 12, 3), np.uint8), WH)
    for t in range(first, first + count):
        cv2.imwrite(str(folder / (pattern % t)), np.roll(picture, t, axis=1))


def truth(seed=0):
    """(t, n, 2) pixels in the image and (t, n) visibility, all points visible on frame 0."""
    random = np.random.default_rng(seed)
    xy = random.uniform(1, (WH[0] - 2, WH[1] - 2), (FRAMES, POINTS, 2))
    visible = random.random((FRAMES, POINTS)) < 0.7
    visible[0] = True
    return xy, visible


def square(column, value=1):
    labels = np.zeros((WH[1], WH[0]), np.uint8)
    labels[4:12, column : column + 8] = value
    return labels


def write_labels(path, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)


def pickles(root, name, as_list):
    xy, visible = truth()
    points = ((xy + 0.5) / WH).swapaxes(0, 1)
    frames = np.random.default_rng(1).integers(0, 255, (FRAMES, WH[1], WH[0], 3), np.uint8)
    video = {"video": frames, "points": points, "occluded": ~visible.T}
    (root / name).write_bytes(pickle.dumps([video] if as_list else {"goat": video}))
    return root


def tapvid(root):
    return pickles(root, "tapvid_davis.pkl", False) / "tapvid_davis.pkl", "tapvid_davis/goat", truth()


def robotap(root):
    return pickles(root, "robotap_split0.pkl", True), "robotap_split0/0000", truth()


def pointodyssey(root):
    xy, visible = truth()
    write_frames(root / "ani" / "rgbs", "rgb_%05d.jpg")
    xy[2, 1], xy[3, 2], visible[3, 2] = np.nan, (-9, 3), True  # unknown; visible, it says, but outside
    valids = np.ones(visible.shape, bool)
    valids[4, 0] = False
    np.savez(root / "ani" / "anno.npz", trajs_2d=xy, visibs=visible, valids=valids, intrinsics=np.eye(3))
    visible[2, 1] = visible[3, 2] = visible[4, 0] = False
    valids[2, 1] = False
    return root, "ani", (xy, visible, valids)


def old_pointodyssey(root):
    xy, visible = truth()
    write_frames(root / "ani" / "rgbs", "rgb_%05d.jpg")
    states = visible.astype(int)
    states[1, 1] = 2
    np.savez(root / "ani" / "annotations.npz", trajs_2d=xy.astype(np.float32), visibilities=states)
    return root, "ani", (xy, states == 1, states < 2)


def replica(root):
    xy, visible = truth()
    entries = []
    for camera in ("left", "right"):
        write_frames(root / f"seq-{camera}" / "images", "%04d.png", first=7)
        for t in reversed(range(FRAMES)):
            path = f"seq-{camera}/trajectories/{t + 7:06d}.pth"
            (root / path).parent.mkdir(exist_ok=True)
            place = np.concatenate([xy[t], np.ones((POINTS, 1))], axis=1) * (1 if camera == "left" else 2)
            content = {
                "img": torch.zeros(WH[1], WH[0], 3),
                "traj_2d": torch.from_numpy(place),
                "verts_inds_vis": torch.from_numpy(visible[t]),
            }
            torch.save(content, root / path)
            entries.append(
                {
                    "sequence_name": "seq",
                    "frame_number": t + 7,
                    "frame_timestamp": (t + 7) / 20,
                    "image": {"path": f"seq-{camera}/images/{t + 7:04d}.png", "size": [WH[1], WH[0]]},
                    "camera_name": camera,
                    "trajectories": {"path": path},
                }
            )
    (root / "frame_annotations_valid.jgz").write_bytes(gzip.compress(json.dumps(entries).encode()))
    return root, "seq", (xy, visible)


def badja(root):
    xy, visible = truth()
    rows, known = [], np.zeros((FRAMES, POINTS), bool)
    frames = "DAVIS/JPEGImages/Full-Resolution/bear"
    write_frames(root / frames, "%05d.jpg")
    for t in (0, 3):
        path = f"DAVIS/Annotations/Full-Resolution/bear/{t:05d}.png"
        write_labels(root / path, square(5 + t, 255))
        joints = xy[t, :, ::-1].tolist()
        flags = visible[t].astype(int).tolist()
        row = {"image_path": f"{frames}/{t:05d}.jpg", "segmentation_path": path}
        rows.append({**row, "joints": joints, "visibility": flags})
        known[t] = visible[t]
    (root / "joint_annotations").mkdir()
    for animal in ("bear", "tiger"):
        (root / "joint_annotations" / f"{animal}.json").write_text(json.dumps(rows))
    return root, "bear", (xy, known, known)


def cotracker_kubric(root):
    xy, visible = truth()
    write_frames(root / "0007" / "frames", "%03d.png")
    content = {"coords": xy.swapaxes(0, 1), "visibility": ~visible.T}
    np.save(root / "0007" / "0007.npy", content, allow_pickle=True)
    return root, "0007", (xy, visible)


TRACKS = {
    "tapvid": tapvid,
    "robotap": robotap,
    "pointodyssey": pointodyssey,
    "pointodyssey of old": old_pointodyssey,
    "dynamic-replica": replica,
    "badja": badja,
    "cotracker3-kubric": cotracker_kubric,
}


@pytest.mark.parametrize("name", TRACKS)
def test_sets_of_tracks(tmp_path, name):
    (tmp_path / "set").mkdir()
    source, place, (xy, visible, *valid) = TRACKS[name](tmp_path / "set")
    kind = name.split(" ")[0]
    ((folder, new),) = convert(kind, source, tmp_path / "out", Conversion(licence="as published"))
    assert new and folder == tmp_path / "out" / place
    clip = read_clip(folder)
    assert clip.video.frames.shape == (FRAMES, WH[1], WH[0], 3)
    known = valid[0] if valid else np.isfinite(xy).all(axis=2)
    assert np.array_equal(clip.tracks.visible, visible)
    assert np.array_equal(clip.tracks.valid, known)
    np.testing.assert_allclose(clip.tracks.xy[clip.tracks.valid], xy[known], atol=1e-4)
    assert clip.info.licence == "as published" and clip.info.source != "unknown"
    assert not [found for found in check_clip(folder) if found.level == "error" and found.code != "inverted"]
    assert [new for _, new in convert(kind, source, tmp_path / "out")] == [False]
    (result,) = evaluate(build_methods(["static"]), load_examples(f"clips:{tmp_path / 'out'}"))
    assert (result["frames"], result["points"]) == (FRAMES, POINTS)
    assert result["pts_within_16"] is not None and (result["pck_t"] is None) == (kind != "badja")


def test_replica_has_the_rate_of_its_stamps_and_badja_its_masks(tmp_path):
    for kind, write in (("dynamic-replica", replica), ("badja", badja)):
        (tmp_path / kind).mkdir()
        source, _, _ = write(tmp_path / kind)
        list(convert(kind, source, tmp_path / "out"))
    assert read_clip(tmp_path / "out" / "seq").info.fps == pytest.approx(20)
    clip = read_clip(tmp_path / "out" / "bear")
    assert not clip.info.visibility_known and clip.info.objects == {1: "bear"}
    assert np.flatnonzero(clip.annotated).tolist() == [0, 3]
    assert np.array_equal(clip.labels[3], square(8)) and set(clip.tracks.object_ids.tolist()) == {1}


def davis(root, year):
    write_frames(root / "JPEGImages/480p/goat", "%05d.jpg")
    for t in range(FRAMES):
        values = square(t, 1) + square(20 + t, 2) + square(34, 255)
        write_labels(root / f"Annotations/480p/goat/{t:05d}.png", values)
    (root / f"ImageSets/{year}").mkdir(parents=True)
    (root / f"ImageSets/{year}/val.txt").write_text("goat\n")
    return root


def vos(root, known=FRAMES):
    write_frames(root / "JPEGImages/0a1b", "%05d.jpg")
    for t in range(known):
        write_labels(root / f"Annotations/0a1b/{t:05d}.png", square(t, 1) + (square(20, 3) if t else 0))
    entry = {str(i): {"category": "fox", "frames": [f"{t:05d}" for t in range(FRAMES)]} for i in (1, 3)}
    (root / "meta.json").write_text(json.dumps({"videos": {"0a1b": {"objects": entry}}}))
    return root


@pytest.mark.parametrize(
    ("kind", "write", "objects", "values"),
    [
        ("davis2016", lambda root: davis(root, 2016), {1: ""}, [0, 1]),
        ("davis2017", lambda root: davis(root, 2017), {1: "", 2: ""}, [0, 1, 2, 255]),
        ("ytvos", vos, {1: "fox", 3: "fox"}, [0, 1, 3]),
        ("mose", lambda root: vos(root), {1: "fox", 3: "fox"}, [0, 1, 3]),
    ],
)
def test_sets_of_masks(tmp_path, kind, write, objects, values):
    (tmp_path / "set").mkdir()
    ((folder, _),) = convert(kind, write(tmp_path / "set"), tmp_path / "out", Conversion(link=True))
    clip = read_clip(folder)
    assert (clip.info.objects, sorted(set(clip.labels.flat))) == (objects, values)
    assert clip.annotated.all() and not clip.info.first_masks_only and clip.tracks is None
    assert (clip.masks().masks[2, 0, 4:12, 2:10]).all()
    assert (folder / "frames" / "00000.jpg").is_symlink()
    assert [found.code for found in check_clip(folder)] == ["unsaid"]
    examples = load_mask_examples(f"clips:{tmp_path / 'out'}")
    (result,) = evaluate_masks(build_mask_methods(["still"]), examples)
    assert result["frames"] == FRAMES and 0 < result["jf_mean"] < 1


def test_masks_of_first_frames_only(tmp_path):
    (tmp_path / "set").mkdir()
    ((folder, _),) = convert("ytvos", vos(tmp_path / "set", known=2), tmp_path / "out")
    clip = read_clip(folder)
    assert clip.info.first_masks_only and np.flatnonzero(clip.annotated).tolist() == [0, 1]


def test_settings(tmp_path):
    source, _, _ = TRACKS["robotap"](tmp_path)
    with open(source / "robotap_split0.pkl", "rb") as file:
        videos = pickle.load(file) * 3
    (source / "robotap_split0.pkl").write_bytes(pickle.dumps(videos))
    settings = Conversion(subset=2, max_frames=3, points=2, pictures="jpg")
    folders = [folder for folder, _ in convert("robotap", source, tmp_path.parent / "out", settings)]
    assert [folder.name for folder in folders] == ["0000", "0001"] and list_clips(
        tmp_path.parent / "out"
    ) == folders
    clip = read_clip(folders[0])
    assert clip.tracks.xy.shape == (3, 2, 2) and (folders[0] / "frames" / "00000.jpg").is_file()


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_folder_is_none_of_the_sets(tmp_path, kind):
    with pytest.raises(FileNotFoundError, match="expected"):
        list(convert(kind, tmp_path, tmp_path.parent / "none"))


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ValueError, match="expected one of badja, .*, got 'coco'"):
        list(convert("coco", tmp_path, tmp_path / "out"))
    with pytest.raises(ValueError, match="outside"):
        list(convert("tapvid", tmp_path, tmp_path / "out"))
    with pytest.raises(ValueError, match="points: expected at least 1, got 0"):
        Conversion(points=0)
    out = tmp_path.parent / "mistakes"
    (tmp_path / "ani").mkdir()
    write_frames(tmp_path / "ani" / "rgbs", "rgb_%05d.jpg")
    np.savez(tmp_path / "ani" / "anno.npz", trajs_2d=np.zeros((FRAMES, 2, 2)), visibs=np.zeros((2, FRAMES)))
    with pytest.raises(ValueError, match=r"visibs: expected shape \(5, 2\), got \(2, 5\)"):
        list(convert("pointodyssey", tmp_path, out))
    np.savez(tmp_path / "ani" / "anno.npz", xy=np.zeros((FRAMES, 2, 2)))
    with pytest.raises(ValueError, match="lacks trajs_2d, visibilities"):
        list(convert("pointodyssey", tmp_path, out))
    (tmp_path / "joint_annotations").mkdir()
    (tmp_path / "joint_annotations" / "bear.json").write_text('[{"image_path": "a.jpg"}]')
    with pytest.raises(ValueError, match="expected a list of frames with image_path"):
        list(convert("badja", tmp_path, out))


def test_mistakes_in_replica(tmp_path):
    replica(tmp_path)
    path = tmp_path / "frame_annotations_valid.jgz"
    entries = json.loads(gzip.decompress(path.read_bytes()))
    out = tmp_path.parent / "out"

    def write(content):
        path.write_bytes(gzip.compress(json.dumps(content).encode()))

    write([entry for entry in entries if entry["frame_number"] != 9])
    with pytest.raises(ValueError, match="consecutive frames of the left camera, got none for frame 9"):
        list(convert("dynamic-replica", tmp_path, out))
    write([{"sequence_name": "seq"}])
    with pytest.raises(ValueError, match="gzipped list of frames"):
        list(convert("dynamic-replica", tmp_path, out))
    write(entries)
    (tmp_path / "seq-left/images/0009.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"seq-left/images/0009\.png"):
        list(convert("dynamic-replica", tmp_path, out))
