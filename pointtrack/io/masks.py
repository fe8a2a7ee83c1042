"""Masks in files: pointtrack's own .npz, which reads back exactly, and formats of other tools."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from pointtrack.checks import check_kind, counted
from pointtrack.io.atomic import write_text
from pointtrack.io.formats import coco, cutout, cutout_pictures, davis, mot, yolo, ytvis
from pointtrack.io.npz import read_npz, write_npz
from pointtrack.io.outside import check_memory, read_json, reading, whole
from pointtrack.io.storage import reads_anywhere, writes_anywhere
from pointtrack.types import Masks, Video

MASK_FORMATS = ("npz", "davis", "ytvos", "coco", "ytvis", "yolo", "mot", "cutout", "cutout-png")
# The default format for each suffix.
BY_SUFFIX = {
    ".json": "coco", ".npz": "npz", ".txt": "mot", "": "davis",
    **dict.fromkeys(cutout.CUTOUT_CODECS, "cutout"),
}  # fmt: skip
# What `export_masks` adds to the name of the video; other endings than those of tracks, as both go into one folder.
MASK_EXPORTS = {
    "npz": ".npz", "davis": "_davis", "ytvos": "_ytvos", "coco": "_coco.json", "ytvis": "_ytvis.json",
    "yolo": "_yolo", "mot": "_masks_mot.txt", "cutout": "_cutout.webm",
    "cutout-png": "_cutout",
}  # fmt: skip


@writes_anywhere
def save_masks(
    path: str | Path,
    masks: Masks,
    *,
    format: str | None = None,
    video: Video | None = None,
    video_name: str | None = None,
) -> Path:
    """Write masks. `load_masks` reads every format back except "yolo", "mot", "cutout" and "cutout-png".

    | format | is | keeps besides the pixels and the frame numbers |
    |---|---|---|
    | "npz" | .npz, one bit per pixel | all |
    | "davis" | folder of indexed PNGs 00000.png in the DAVIS palette, pixel = object id | ids |
    | "ytvos" | folder with `Annotations/<video_name>/00000.png`, the same PNGs, and `meta.json` | ids, names |
    | "coco" | .json as COCO has it, an image for each frame (frame_000000.jpg), an annotation with an RLE for each object on it; categories are the names, attributes.track_id is the id | all |
    | "ytvis" | .json as YouTube-VIS has it: per object a COCO RLE for each frame, null where absent | all |
    | "yolo" | folder with `labels/frame_000000.txt`, polygons in 0..1, and `data.yaml`, classes are the names | names; neither ids nor holes |
    | "mot" | .txt of MOTChallenge, the box around each object: frame and pixels from 1 | ids and scores; boxes instead of pixels |
    | "cutout" | .mov, .webm, .mkv: the objects alone, the rest transparent | nothing |
    | "cutout-png" | folder of RGBA PNGs 00000.png, the objects alone with soft edges; of several objects each also in object_<id>/00000.png | ids, if several |

    Pictures are numbered from `masks.first_frame`, so one folder can take several pieces of a stream. A "ytvos" folder can
    also take several videos. PNGs cannot hold overlapping objects, and an object that is absent on all frames leaves no
    trace in "davis". Scores read back from PNGs as 1.

    Args:
        path: file or folder to write, also s3://... and the like. Missing folders are made, files of the same names
            replaced. In a store a "ytvos" folder holds one video.
        masks: the masks.
        format: by default that of the suffix: .json is "coco", .npz is "npz", .txt is "mot", none is "davis".
        video: the frames. "cutout" and "cutout-png" need them (there a path or a stream works too); "coco" and "yolo" write them as
            pictures, into a folder beside the .json or into `images`.
        video_name: what "ytvos", "coco" and "ytvis" call the video; by default the last part of `path`, without suffix.

    Returns:
        The path.

    Raises:
        ValueError: the format or suffix is unknown; objects overlap, or ids lie outside 1..254, for PNGs; or the masks do
            not fit the video.
    """
    check_kind(masks, Masks, "save_masks", "save_tracks")
    path = Path(path)
    format = format or BY_SUFFIX.get(path.suffix.lower())
    if format not in MASK_FORMATS:
        raise ValueError(
            f"{path}: expected .json, .npz, .txt, a folder without suffix, or a format among "
            f"{', '.join(MASK_FORMATS)}; got {format or path.suffix!r}"
        )
    video_name = video_name or path.stem
    if format in ("coco", "yolo") and video is not None:
        _check_fits(masks, video)
    if format == "davis":
        davis.write(path, masks)
        return path
    if format == "ytvos":
        davis.write(path / "Annotations" / video_name, masks)
        davis.update_meta(path / "meta.json", masks, video_name)
        return path
    if format == "npz":
        return _write_npz(path, masks)
    if format in ("coco", "ytvis"):
        content = (coco if format == "coco" else ytvis).content_of(masks, video_name)
        write_text(path, json.dumps(content))
        if format == "coco" and video is not None:
            coco.write_pictures(path.with_suffix(""), masks, video)
    elif format == "yolo":
        yolo.write(path, masks, video)
    elif format == "mot":
        write_text(path, "".join(mot.mask_lines(masks)))
    else:
        if video is None:
            raise ValueError(f"{path}: expected the video too, of which objects are cut out; give video=")
        (cutout if format == "cutout" else cutout_pictures).write(path, masks, video)
    return path


def parse_mask_exports(names: str) -> list[str]:
    """Comma-separated names from `MASK_EXPORTS` -> a list of them. Raises ValueError for an unknown one."""
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in MASK_EXPORTS]
    if unknown:
        raise ValueError(f"export: expected some of {', '.join(MASK_EXPORTS)}, got {', '.join(unknown)}")
    return chosen


def export_masks(stem: str | Path, masks: Masks, names: list[str], video: Video) -> list[Path]:
    """Write masks to a file or folder for each name from `MASK_EXPORTS`. The stem is a path without suffix.

    Label pictures cannot hold overlaps; in them every pixel goes to the object with the highest score. "yolo" gets its
    pictures, which its `data.yaml` names and training needs.

    Returns:
        The paths.
    """
    paths = []
    for name in names:
        tidy = masks.exclusive() if name in ("davis", "ytvos") else masks
        shown = video if name in ("cutout", "cutout-png", "yolo") else None
        paths.append(
            save_masks(
                f"{stem}{MASK_EXPORTS[name]}", tidy, format=name, video=shown, video_name=Path(stem).name
            )
        )
    return paths


def _check_fits(masks: Masks, video: Video) -> None:
    if video.wh != masks.wh or masks.first_frame + len(masks) > len(video):
        raise ValueError(
            f"video: expected {counted(masks.first_frame + len(masks), 'frame')} or more of {masks.wh} as the masks are for, "
            f"got {len(video)} of {video.wh}"
        )


@reads_anywhere
def load_masks(path: str | Path, *, fps: float = 30.0) -> Masks:
    """Read masks that `save_masks` wrote, or other files of these formats that hold one video.

    In folders of PNGs, pixels of 255 are left out, as DAVIS marks ignored pixels with them. If all pictures hold nothing
    else, as in DAVIS-2016, they become one object with id 1. The content of a .json tells COCO, which has images, from
    YouTube-VIS, which has videos. Polygons and uncompressed RLE work too.

    Args:
        path: .npz or .json file, or a folder: of PNGs 00000.png, or one that holds `Annotations/<video>/`.
        fps: frames per second, for formats that do not store it.

    Raises:
        FileNotFoundError: there is nothing at that path, or the folder has no PNGs.
        ValueError: it is not such a file or folder (labels for YOLO are none), the picture numbers have a gap, or it holds
            several videos.
    """
    path = Path(path)
    if path.is_dir():
        yolo.refuse(path)
        with reading(path, "masks of one video"):
            return davis.read(path, fps)
    if not path.is_file():
        raise FileNotFoundError(f"masks: expected a folder of PNGs, .json or .npz, found nothing at {path}")
    if path.suffix.lower() not in (".json", ".npz"):
        raise ValueError(f"{path}: expected masks in .json, .npz or a folder, got {path.suffix!r}")
    with reading(path, "masks of one video"):
        return _read_npz(path) if path.suffix.lower() == ".npz" else _read_json(path, fps)


def _read_json(path: Path, fps: float) -> Masks:
    content = read_json(path, "masks of one video")
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, not an object with videos or images")  # noqa: TRY004
    return coco.read(content, fps) if "images" in content else ytvis.read(content, fps)


def _write_npz(path: Path, masks: Masks) -> Path:
    """One .npz file, one bit per pixel."""
    return write_npz(
        path,
        {
            "packed_masks": np.packbits(masks.masks.numpy(), axis=-1),
            "wh": np.array(masks.wh),
            "object_ids": masks.object_ids.numpy(),
            "scores": masks.scores.numpy(),
            "first_frame": np.array(masks.first_frame),
            "fps": np.array(masks.fps),
            "names": np.array(masks.names, dtype=str),
            **({} if masks.times is None else {"times": masks.times}),
        },
    )


def _read_npz(path: Path) -> Masks:
    needed = ("packed_masks", "wh", "object_ids", "scores", "first_frame", "fps", "names")
    data = read_npz(path, "masks", needed)
    width, height = (whole(side, "wh", least=1, most=1 << 20) for side in data["wh"].tolist())
    packed = data["packed_masks"]
    if packed.ndim != 4 or packed.dtype != np.uint8 or packed.shape[2:] != (height, -(-width // 8)):
        raise ValueError(
            f"its masks are packed as {packed.shape} of {packed.dtype}, its size is {width} x {height}"
        )
    check_memory(packed.size * 8, "masks")
    masks = np.unpackbits(packed, axis=-1, count=width).view(bool)
    return Masks(
        masks=torch.from_numpy(masks),
        object_ids=torch.from_numpy(data["object_ids"]),
        scores=torch.from_numpy(data["scores"]),
        first_frame=int(data["first_frame"]),
        fps=float(data["fps"]),
        names=tuple(data["names"].tolist()),
        times=data.get("times"),
    )
