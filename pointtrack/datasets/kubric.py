"""Kubric: folders of its worker, MOVi videos as npz, and the annotated sequences of CoTracker3_Kubric."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from einops import rearrange

from pointtrack.checks import check_shape
from pointtrack.datasets.clip import ClipInfo, SourceClip, TrueTracks, decode_picture, read_index_picture
from pointtrack.datasets.folders import folders_in, pictures_in
from pointtrack.datasets.rigid_tracks import Rendering, rendered_tracks
from pointtrack.datasets.safe_pickle import read_pickled_npy
from pointtrack.io.outside import read_arrays, read_json, reading
from pointtrack.io.pictures import decode

POINTS = 2048  # drawn per clip; `points` of a conversion keeps fewer
MOVI_FPS = 12.0
_LEVELS = 65535  # of 16-bit depth


def kubric_clips(folder: str | Path) -> Iterator[SourceClip]:
    """Yield the scenes that Kubric's worker wrote: a folder of one, or of many.

    A scene has rgba_%05d.png, segmentation_%05d.png, depth_%05d.tiff and metadata.json (metadata, camera,
    instances). Points are drawn from pixels of all frames and followed by depth and poses: objects are rigid
    and the background stands still.

    Raises:
        FileNotFoundError: no scene there, or a scene without its pictures.
        ValueError: the metadata.json has another layout, or the pictures do not fit it.

    Source: Kubric (Greff et al., 2022).
    """
    root = Path(folder)
    scenes = sorted(path.parent for path in root.rglob("metadata.json")) if root.is_dir() else []
    if not scenes:
        raise FileNotFoundError(
            f"Kubric: expected folders with metadata.json and rgba_00000.png in {root}, found none"
        )
    for scene in scenes:
        yield _worker_scene(scene, "/".join(scene.relative_to(root).parts) or scene.name)


def movi_clips(folder: str | Path) -> Iterator[SourceClip]:
    """Yield MOVi videos, one .npz each with the fields of the TFDS set under their names, joined by "/".

    Needed: video (t, h, w, 3) uint8, segmentations (t, h, w, 1), depth (t, h, w, 1) uint16,
    metadata/depth_range (2,), camera/focal_length, camera/sensor_width, camera/positions (t, 3),
    camera/quaternions (t, 4), instances/positions (s, t, 3), instances/quaternions (s, t, 4).

    Raises:
        FileNotFoundError: no .npz there. ValueError: fields are missing or do not fit.

    Source: Kubric (Greff et al., 2022). The published set is in TFRecords, which need tensorflow.
    """
    root = Path(folder)
    paths = sorted(root.glob("**/*.npz")) if root.is_dir() else [root]
    if not paths or not paths[0].is_file():
        raise FileNotFoundError(f"MOVi: expected one .npz per video in {root}, found none")
    for path in paths:
        yield _movi_video(path)


def cotracker_kubric_clips(folder: str | Path) -> Iterator[SourceClip]:
    """Yield the sequences of CoTracker3_Kubric: <seq>/<seq>.npy and <seq>/frames/.

    The .npy is a pickled dict with coords (n, t, 2) as (x, y) in pixels and visibility (n, t), which is True
    where a point is hidden. Points outside the image count as hidden, as in the set's loader.

    Raises:
        FileNotFoundError: no sequence there, or one without frames. ValueError: a file of another layout.

    Source: CoTracker3 (Karaev et al., 2024), rendered with Kubric's MOVi-F.
    """
    for sequence in folders_in(Path(folder)):
        path = sequence / f"{sequence.name}.npy"
        if not path.is_file():
            raise FileNotFoundError(f"CoTracker3_Kubric: expected annotations at {path}, found none")
        content = read_pickled_npy(path, "a dict with coords and visibility")
        if not isinstance(content, dict) or {"coords", "visibility"} - set(content):
            got = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
            raise ValueError(f"{path}: expected a dict with coords and visibility, got {got}")
        frames = pictures_in(sequence / "frames")
        coords, hidden = np.asarray(content["coords"], float), np.asarray(content["visibility"]).astype(bool)
        n = check_shape(coords, f"n {len(frames)} 2", f"{path} coords")["n"]
        hidden = hidden.reshape(hidden.shape[:2])
        check_shape(hidden, f"{n} {len(frames)}", f"{path} visibility")
        height, width = decode_picture(frames[0], str(frames[0])).shape[:2]
        xy = rearrange(coords, "n t xy -> t n xy")
        inside = ((xy >= 0) & (xy <= (width - 1, height - 1))).all(axis=-1)
        info = ClipInfo(fps=MOVI_FPS, source=f"CoTracker3_Kubric layout, {sequence.name}", generator="Kubric")
        visible = rearrange(~hidden, "n t -> t n") & inside
        tracks = TrueTracks(torch.from_numpy(xy), torch.from_numpy(visible))
        yield SourceClip(sequence.name, frames, info, tracks)


def _worker_scene(folder: Path, name: str) -> SourceClip:
    path = folder / "metadata.json"
    content = read_json(path, "camera and instances with their poses")
    try:
        camera, instances = content["camera"], content["instances"]
        poses = {
            "camera_xyz": _array(camera["positions"], 3),
            "camera_wxyz": _array(camera["quaternions"], 4),
            "object_xyz": _poses(instances, "positions", 3, len(camera["positions"])),
            "object_wxyz": _poses(instances, "quaternions", 4, len(camera["positions"])),
        }
        focal = float(camera["focal_length"]) / float(camera["sensor_width"])
        about = content.get("metadata", {})
        fps = float(about.get("frame_rate", MOVI_FPS))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected camera and instances with their poses, got {repr(error)[:300]}"
        ) from error
    frames = pictures_in(folder, "rgba_")
    segmentation = pictures_in(folder, "segmentation_")
    labels = np.stack([read_index_picture(picture) for picture in segmentation])
    depth = np.stack([_read_depth(picture) for picture in pictures_in(folder, "depth_")])
    names = {i + 1: str(one.get("asset_id", "")) for i, one in enumerate(instances)}
    info = ClipInfo(
        fps=fps,
        source=f"Kubric worker, {name}",
        generator="Kubric",
        seed=content.get("flags", {}).get("seed"),
        objects=names,
    )
    rendering = Rendering(depth, labels, focal * depth.shape[2], **poses)
    return SourceClip(name, frames, info, _draw(rendering, name), dict(enumerate(segmentation)))


def _movi_video(path: Path) -> SourceClip:
    with reading(path, "the fields of MOVi"):
        data = read_arrays(path, "the fields of MOVi")
        fields = {name.replace(".", "/"): name for name in data}
        needed = [
            *("video", "segmentations", "depth", "metadata/depth_range"),
            *(f"camera/{name}" for name in ("focal_length", "sensor_width", "positions", "quaternions")),
            *(f"instances/{name}" for name in ("positions", "quaternions")),
        ]
        lacks = [name for name in needed if name not in fields]
        if lacks:
            raise ValueError(f"{path}: expected the fields of MOVi, but it lacks {', '.join(lacks)}")
        field = {name: data[fields[name]] for name in needed}
    video, low_high = field["video"], field["metadata/depth_range"]
    t, h, w = check_shape(video, "t h w 3", f"{path} video").values()
    for name in ("segmentations", "depth"):
        check_shape(field[name], f"{t} {h} {w} 1", f"{path} {name}")
    if field["depth"].dtype != np.uint16:
        raise ValueError(f"{path} depth: expected uint16, got {field['depth'].dtype}")
    depth = low_high[0] + field["depth"][..., 0] / _LEVELS * (low_high[1] - low_high[0])
    labels = field["segmentations"][..., 0].astype(np.uint8)
    objects = field["instances/positions"]
    rendering = Rendering(
        depth,
        labels,
        float(field["camera/focal_length"]) / float(field["camera/sensor_width"]) * w,
        field["camera/positions"],
        field["camera/quaternions"],
        objects,
        field["instances/quaternions"],
    )
    info = ClipInfo(
        fps=MOVI_FPS,
        source=f"MOVi layout, {path.stem}",
        generator="Kubric",
        objects=dict.fromkeys(range(1, len(objects) + 1), ""),
    )
    return SourceClip(path.stem, video, info, _draw(rendering, path.stem), dict(enumerate(labels)))


def _draw(rendering: Rendering, name: str) -> TrueTracks:
    """Draw points; the clip's name is the seed, so that a clip gets the same points every time."""
    return rendered_tracks(rendering, POINTS, np.random.default_rng(zlib.crc32(name.encode())))


def _read_depth(path: Path) -> np.ndarray:
    picture = decode(path, cv2.IMREAD_UNCHANGED, f"{path}: expected distances as float pixels")
    if picture.dtype.kind != "f":
        raise ValueError(f"{path}: expected distances as float pixels, got another kind of picture")
    return picture[..., 0] if picture.ndim == 3 else picture


def _array(values: Any, width: int) -> np.ndarray:
    return np.asarray(values, float).reshape(-1, width)


def _poses(instances: list[Any], name: str, width: int, frames: int) -> np.ndarray:
    return np.asarray([one[name] for one in instances], float).reshape(len(instances), frames, width)
