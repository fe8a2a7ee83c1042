"""Rendered sets of long videos: PointOdyssey and Dynamic Replica."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointtrack.checks import check_shape
from pointtrack.datasets.clip import ClipInfo, SourceClip, TrueTracks, decode_picture
from pointtrack.datasets.folders import folders_in, pictures_in
from pointtrack.geometry import inside_image
from pointtrack.io.outside import check_memory, inside, read_arrays, reading

FPS = 30.0
ANNOTATIONS = ("anno.npz", "annotations.npz")
LEFT = "left"
LARGEST_LIST = 1 << 31  # bytes


def odyssey_clips(folder: str | Path) -> Iterator[SourceClip]:
    """Yield the sequences of a split of PointOdyssey: <seq>/rgbs/rgb_%05d.jpg and <seq>/anno.npz.

    The .npz has trajs_2d (t, n, 2) as (x, y) in pixels, visibs (t, n) and, in newer releases, valids (t, n);
    older ones call the file annotations.npz and the array visibilities, where 0 is hidden, 1 visible and 2 or
    more unknown. Positions that are not finite are unknown; points outside the image are not visible.

    Raises:
        FileNotFoundError: no sequence there, or one without its files. ValueError: arrays do not fit.

    Source: PointOdyssey (Zheng et al., 2023). The files do not hold a frame rate; pointtrack assumes 30.
    """
    for sequence in folders_in(Path(folder)):
        path = next((sequence / name for name in ANNOTATIONS if (sequence / name).is_file()), None)
        if path is None:
            raise FileNotFoundError(
                f"PointOdyssey: expected {' or '.join(ANNOTATIONS)} in {sequence}, found neither; "
                "give the folder of one split"
            )
        frames = pictures_in(sequence / "rgbs")
        wanted = ("trajs_2d", "visibs", "visibilities", "valids")
        data = read_arrays(path, "trajs_2d and visibs", only=wanted)
        seen_name = "visibs" if "visibs" in data else "visibilities"
        lacks = [name for name in ("trajs_2d", seen_name) if name not in data]
        if lacks:
            raise ValueError(f"{path}: expected trajs_2d and visibs, but it lacks {', '.join(lacks)}")
        xy, seen = data["trajs_2d"].astype(np.float32), data[seen_name]
        known = data["valids"].astype(bool) if "valids" in data else np.ones(seen.shape, bool)
        n = check_shape(xy, f"{len(frames)} n 2", f"{path} trajs_2d")["n"]
        check_shape(seen, f"{len(frames)} {n}", f"{path} {seen_name}")
        check_shape(known, f"{len(frames)} {n}", f"{path} valids")
        info = ClipInfo(fps=FPS, source=f"PointOdyssey layout, {sequence.name}", generator="PointOdyssey")
        tracks = _tracks(xy, seen == 1, known & (seen <= 1), frames[0])
        yield SourceClip(sequence.name, frames, info, tracks)


def replica_clips(folder: str | Path) -> Iterator[SourceClip]:
    """Yield the sequences of a split of Dynamic Replica as its left camera sees them.

    The split's folder has frame_annotations_<split>.jgz, a gzipped JSON list with one entry per frame:
    sequence_name, frame_number, camera_name, image {path, size}, trajectories {path}. Each frame's torch
    file has traj_2d (n, 2 or more) in pixels and verts_inds_vis (n,), True where visible. Paths are taken
    from the split's folder, or from the one above it. Points outside the image are not visible.

    Raises:
        FileNotFoundError: a file is missing. ValueError: annotations of another layout, or missing frames.

    Source: Dynamic Replica (Karaev et al., 2023).
    """
    root = Path(folder)
    found = sorted(root.glob("frame_annotations_*.jgz")) if root.is_dir() else []
    if not found:
        raise FileNotFoundError(
            f"Dynamic Replica: expected frame_annotations_<split>.jgz in {root}, found none; "
            "give the folder of one split"
        )
    try:
        with reading(found[0], "a gzipped list of frames"), gzip.open(found[0], "rb") as file:
            content = file.read(LARGEST_LIST + 1)
            if len(content) > LARGEST_LIST:
                raise ValueError(f"it holds more than {LARGEST_LIST} bytes")
            check_memory(12 * len(content), str(found[0]))
            entries = [entry for entry in json.loads(content) if entry.get("camera_name", LEFT) == LEFT]
        sequences: dict[str, list[dict[str, Any]]] = {}
        for entry in sorted(entries, key=lambda entry: int(entry["frame_number"])):
            sequences.setdefault(entry["sequence_name"], []).append(entry)
        paths = {
            name: [(one["image"]["path"], one["trajectories"]["path"]) for one in rows]
            for name, rows in sequences.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{found[0]}: expected a gzipped list of frames with image and trajectories, got {repr(error)[:300]}"
        ) from error
    for name, rows in sequences.items():
        numbers = [int(row["frame_number"]) for row in rows]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            missing = sorted(set(range(numbers[0], numbers[-1])) - set(numbers))
            raise ValueError(
                f"{name}: expected consecutive frames of the {LEFT} camera, "
                f"got {'none for frame ' + str(missing[0]) if missing else 'one twice'}"
            )
        yield _replica_clip(root, name, paths[name], _rate(rows))


def _replica_clip(root: Path, name: str, paths: list[tuple[str, str]], fps: float) -> SourceClip:
    frames = [_found(root, image) for image, _ in paths]
    positions, flags = [], []
    for _, path in paths:
        file = _found(root, path)
        with reading(file, "positions and flags saved by torch"):
            content = torch.load(file, map_location="cpu", weights_only=True)
        lacks = {"traj_2d", "verts_inds_vis"} - set(content if isinstance(content, dict) else ())
        if lacks:
            raise ValueError(f"{path}: expected traj_2d and verts_inds_vis, but it lacks {sorted(lacks)}")
        positions.append(np.asarray(content["traj_2d"], float)[:, :2])
        flags.append(np.asarray(content["verts_inds_vis"]).astype(bool))
    if len({len(one) for one in [*positions, *flags]}) != 1:
        raise ValueError(f"{name}: expected as many points on every frame, got other numbers")
    xy = np.stack(positions)
    info = ClipInfo(fps=fps, source=f"Dynamic Replica layout, {name}", generator="Dynamic Replica")
    return SourceClip(
        name, frames, info, _tracks(xy, np.stack(flags), np.ones(xy.shape[:2], bool), frames[0])
    )


def _tracks(xy: np.ndarray, visible: np.ndarray, known: np.ndarray, frame: Path) -> TrueTracks:
    """Tracks whose visible points are known and in the image."""
    known = known & np.isfinite(xy).all(axis=-1)
    height, width = decode_picture(frame, str(frame)).shape[:2]
    inside = inside_image(torch.from_numpy(xy), (width, height)).numpy()
    seen = visible & known & inside
    return TrueTracks(torch.from_numpy(xy), torch.from_numpy(seen), torch.from_numpy(known))


def _rate(rows: list[dict[str, Any]]) -> float:
    """Frames per second from the time stamps; 30 if they are useless."""
    times = [row.get("frame_timestamp") for row in rows]
    if len(times) < 2 or not all(isinstance(time, int | float) for time in times):
        return FPS
    span = times[-1] - times[0]  # type: ignore[operator]
    rate = (len(times) - 1) / span if span > 0 else FPS
    return rate if rate > 1 else FPS  # stamps that count frames are not seconds


def _found(root: Path, path: str) -> Path:
    for base in (root, root.parent):
        if (base / path).is_file():
            return inside(root.parent, str((base / path).relative_to(root.parent)), "Dynamic Replica")
    raise FileNotFoundError(f"Dynamic Replica: expected {path} in {root} or above it, found none")
