"""Masks in files that other tools read: DAVIS and YouTube-VOS folders, COCO RLE, .npz, videos with alpha."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import av
import cv2
import numpy as np
import torch
from einops import rearrange

from pointtrack.io.npz import npz_path, read_npz
from pointtrack.io.storage import reads_anywhere, writes_anywhere
from pointtrack.io.video import open_video
from pointtrack.types.masks import Masks

MASK_FORMATS = ("davis", "ytvos", "coco", "npz")
# DAVIS and YouTube-VOS keep 255 for pixels that count as neither object nor background.
VOID = 255
# Codec, pixels and options by suffix: for editors, for browsers, and without any loss.
CUTOUT_CODECS: dict[str, tuple[str, str, dict[str, str]]] = {
    ".mov": ("prores_ks", "yuva444p10le", {"profile": "4444"}),
    ".webm": ("libvpx-vp9", "yuva420p", {"crf": "18", "b": "0", "auto-alt-ref": "0", "cpu-used": "4"}),
    ".mkv": ("ffv1", "bgra", {}),
}
CLOCK = 90000  # ticks per second


@writes_anywhere
def save_masks(
    path: str | Path, masks: Masks, *, format: str | None = None, video_name: str | None = None
) -> Path:
    """Write masks; `load_masks` reads every format back.

    | format | is | keeps besides the pixels and the frame numbers |
    |---|---|---|
    | "davis" | folder of indexed PNGs 00000.png in the DAVIS palette, pixel = object id | ids |
    | "ytvos" | folder with `Annotations/<video_name>/00000.png`, the same PNGs, and `meta.json` | ids, names |
    | "coco" | .json as YouTube-VIS has it: per object a COCO RLE for each frame, null where absent | all |
    | "npz" | .npz, one bit per pixel | all |

    Pictures are numbered from `masks.first_frame`, so that pieces of a stream can go to one folder, as can
    several videos to one "ytvos" folder. PNGs cannot hold overlapping objects, and an object that is absent
    on all frames leaves no trace in "davis". Scores come back from them as 1.

    Args:
        path: file or folder to write, also s3://... and the like; missing folders are made, files of the same names are
            replaced. In a store a "ytvos" folder holds one video.
        masks: the masks.
        format: by default that of the suffix: .json is "coco", .npz is "npz", none is "davis".
        video_name: what "ytvos" and "coco" call the video; by default the last part of `path`, without suffix.

    Returns:
        The path.

    Raises:
        ValueError: an unknown format or suffix; for PNGs objects that overlap or ids outside 1..254.
    """
    path = Path(path)
    format = format or {".json": "coco", ".npz": "npz", "": "davis"}.get(path.suffix.lower())
    if format not in MASK_FORMATS:
        raise ValueError(
            f"{path}: expected .json, .npz, a folder without suffix, or a format among "
            f"{', '.join(MASK_FORMATS)}; got {format or path.suffix!r}"
        )
    video_name = video_name or path.stem
    if format == "davis":
        _write_pictures(path, masks)
    elif format == "ytvos":
        _write_pictures(path / "Annotations" / video_name, masks)
        _update_meta(path / "meta.json", masks, video_name)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        if format == "npz":
            return _write_npz(path, masks)
        path.write_text(json.dumps(_coco(masks, video_name)), encoding="utf-8")
    return path


@reads_anywhere
def load_masks(path: str | Path, *, fps: float = 30.0) -> Masks:
    """Read masks that `save_masks` wrote, or others of these formats that hold one video.

    Folders of PNGs: pixels of 255 are left out, as DAVIS has them for "no matter", unless nothing else is in
    all pictures: those of DAVIS-2016 give one object, 1. COCO: polygons and uncompressed RLE are read too.

    Args:
        path: .npz or .json file, or a folder: of PNGs 00000.png, or one that holds `Annotations/<video>/`.
        fps: frames per second, where the format does not say.

    Raises:
        FileNotFoundError: nothing at that path, or a folder without PNGs.
        ValueError: not such a file or folder, a gap in the numbers of the pictures, several videos.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, fps)
    if not path.is_file():
        raise FileNotFoundError(f"masks: expected a folder of PNGs, .json or .npz, found nothing at {path}")
    if path.suffix.lower() not in (".json", ".npz"):
        raise ValueError(f"{path}: expected masks in .json, .npz or a folder, got {path.suffix!r}")
    try:
        return _read_npz(path) if path.suffix.lower() == ".npz" else _read_coco(path, fps)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError, BadZipFile) as error:
        if str(error).startswith(str(path)):
            raise
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{path}: expected masks of one video, but {reason}") from error


@writes_anywhere
def write_cutout(path: str | Path, video: Any, masks: Masks) -> Path:
    """Write the objects alone, everything else transparent, as a video with an alpha channel.

    .mov is ProRes 4444 (editors), .webm is VP9 (browsers), .mkv is FFV1 (no loss at all). Odd sides get one
    transparent row or column more.

    Args:
        path: file to write; missing folders are made, an existing file is replaced.
        video: what `stream_video` takes: a `Video`, a file, frames. Read frame by frame, times are kept.
        masks: row i belongs to frame `masks.first_frame + i`; frames without a row are wholly transparent.

    Returns:
        The path.

    Raises:
        ValueError: another suffix, or frames of another size than the masks.
    """
    path = Path(path)
    if path.suffix.lower() not in CUTOUT_CODECS:
        raise ValueError(
            f"{path}: expected a suffix with alpha, one of {', '.join(CUTOUT_CODECS)}; got {path.suffix!r}"
        )
    codec, pixels, options = CUTOUT_CODECS[path.suffix.lower()]
    width, height = (side + side % 2 for side in masks.wh)
    with open_video(video) as stream:
        if stream.wh != masks.wh:
            raise ValueError(
                f"cutout: expected frames of {masks.wh[0]} x {masks.wh[1]} pixels as the masks are for, "
                f"got {stream.wh[0]} x {stream.wh[1]}"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            output: Any = container.add_stream(
                codec, rate=Fraction(stream.fps).limit_denominator(1001), options=options
            )
            output.width, output.height, output.pix_fmt = width, height, pixels
            context = output.codec_context
            context.time_base = Fraction(1, CLOCK)
            is_yuv = pixels.startswith("yuv")
            if is_yuv:
                context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
                context.color_range = 1
            for t, (frame, seconds) in enumerate(stream):
                cut = np.zeros((height, width, 4), np.uint8)
                cut[: masks.wh[1], : masks.wh[0]] = _cut_out(frame, masks, t)
                picture = av.VideoFrame.from_ndarray(cut, format="rgba")
                marks: dict[str, Any] = {"dst_colorspace": 1, "dst_color_range": 1} if is_yuv else {}
                picture = picture.reformat(format=pixels, **marks)
                picture.pts, picture.time_base = round(seconds * CLOCK), Fraction(1, CLOCK)
                container.mux(output.encode(picture))
            container.mux(output.encode(None))
    return path


def davis_palette() -> np.ndarray:
    """(256, 3) uint8 RGB, the colours of DAVIS and PASCAL VOC.

    Source: the devkit of PASCAL VOC: bits 0, 3, 6 of an index are the highest bits of red, 1, 4, 7 those of
    green, 2, 5 of blue, and so on downward.
    """
    index = np.arange(256)[:, None]
    channel = np.arange(3)
    palette = np.zeros((256, 3), int)
    for level in range(3):
        palette |= ((index >> (3 * level + channel)) & 1) << (7 - level)
    return palette.astype(np.uint8)


def _write_pictures(folder: Path, masks: Masks) -> None:
    from PIL import Image  # OpenCV cannot write indices with a palette

    ids = masks.object_ids.tolist()
    if any(not 0 < number < VOID for number in ids):
        raise ValueError(
            f"{folder}: expected object ids in 1..{VOID - 1} for indexed PNGs, got {ids}; renumber with "
            "dataclasses.replace(masks, object_ids=...) or save as coco or npz"
        )
    values = np.array([0, *ids], np.uint8)
    labels = masks.labels().numpy()
    folder.mkdir(parents=True, exist_ok=True)
    palette = davis_palette().tobytes()
    for t, picture in enumerate(labels):
        image = Image.fromarray(values[picture])
        image.putpalette(palette)  # makes it mode P
        image.save(folder / f"{masks.first_frame + t:05d}.png", optimize=False)


def _read_folder(folder: Path, fps: float) -> Masks:
    from PIL import Image

    if (folder / "Annotations").is_dir():
        videos = sorted(path for path in (folder / "Annotations").iterdir() if path.is_dir())
        if len(videos) != 1:
            raise ValueError(
                f"{folder}: expected one video in Annotations, got {len(videos)}: "
                f"{', '.join(path.name for path in videos[:5])}; give the folder of one of them"
            )
        folder = videos[0]
    paths = {int(path.stem): path for path in folder.glob("*.png") if path.stem.isdecimal()}
    if not paths:
        raise FileNotFoundError(f"{folder}: expected indexed PNGs named by frame, as 00000.png; found none")
    first = min(paths)
    missing = sorted(set(range(first, max(paths) + 1)) - set(paths))
    if missing:
        raise ValueError(
            f"{folder}: expected a picture for every frame from {paths[first].name} on, "
            f"got none for frame {missing[0]}"
        )
    pictures = []
    for number in sorted(paths):
        with Image.open(paths[number]) as image:
            if image.mode not in ("P", "L", "1"):
                raise ValueError(
                    f"{paths[number]}: expected indices (a palette or 8-bit grey), got mode {image.mode}"
                )
            pictures.append(np.asarray(image.convert("L") if image.mode == "1" else image))
        if pictures[-1].shape != pictures[0].shape:
            raise ValueError(
                f"{paths[number]}: expected {pictures[0].shape[::-1]} pixels, got {pictures[-1].shape[::-1]}"
            )
    labels = np.stack(pictures)
    described = _described(folder)
    values = {int(value) for picture in labels for value in np.unique(picture)} | set(described)
    if values <= {0, VOID}:
        labels, values = labels // VOID, {value // VOID for value in values}
    ids = sorted(values - {0, VOID})
    names = [described.get(number, "") for number in ids]
    return Masks.from_labels(
        labels, object_ids=ids, first_frame=first, fps=fps, names=names if any(names) else ()
    )


def _described(folder: Path) -> dict[int, str]:
    """Names by object id, of the `meta.json` of YouTube-VOS that belongs to a folder of PNGs."""
    meta = folder.parent.parent / "meta.json"
    if folder.parent.name != "Annotations" or not meta.is_file():
        return {}
    objects = json.loads(meta.read_text(encoding="utf-8")).get("videos", {}).get(folder.name, {})
    return {int(number): entry.get("category", "") for number, entry in objects.get("objects", {}).items()}


def _update_meta(path: Path, masks: Masks, video_name: str) -> None:
    """Add the frames on which each object is present to the `meta.json` of YouTube-VOS."""
    meta: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    video = meta.setdefault("videos", {}).setdefault(video_name, {"objects": {}})
    numbers = [f"{masks.first_frame + t:05d}" for t in range(len(masks))]
    for entry in video["objects"].values():
        entry["frames"] = [number for number in entry["frames"] if number not in set(numbers)]
    present = masks.present().numpy()
    for place, number in enumerate(masks.object_ids.tolist()):
        entry = video["objects"].setdefault(str(number), {"category": "", "frames": []})
        entry["category"] = (masks.names[place] if masks.names else "") or entry["category"]
        seen = {numbers[row] for row in np.flatnonzero(present[:, place])}
        entry["frames"] = sorted({*entry["frames"], *seen})
    path.write_text(json.dumps(meta, indent=1), encoding="utf-8")


def _coco(masks: Masks, video_name: str) -> dict[str, Any]:
    """YouTube-VIS JSON, and in keys of ours what that has no place for: fps, first_frame, name, scores."""
    from pycocotools import mask as rle

    width, height = masks.wh
    names = [name or "object" for name in masks.names] or ["object"] * len(masks.object_ids)
    categories = {name: i + 1 for i, name in enumerate(dict.fromkeys(names))}
    annotations: list[dict[str, Any]] = []
    for place, number in enumerate(masks.object_ids.tolist()):
        scores = masks.scores[:, place]
        annotation = {
            "id": number,
            "video_id": 1,
            "category_id": categories[names[place]],
            "width": width,
            "height": height,
            "iscrowd": 0,
            "segmentations": [],
            "areas": [],
            "bboxes": [],
            "score": float(scores[scores > 0].mean()) if bool((scores > 0).any()) else 0.0,
            "scores": scores.tolist(),
        }
        if masks.names:
            annotation["name"] = masks.names[place]
        annotations.append(annotation)
    for frame in masks.masks.numpy():
        coded = rle.encode(np.asfortranarray(rearrange(frame, "o h w -> h w o").view(np.uint8)))
        measured = zip(annotations, coded, rle.area(coded), rle.toBbox(coded), strict=True)
        for annotation, one, area, box in measured:
            text = {"size": [height, width], "counts": one["counts"].decode("ascii")}
            annotation["segmentations"].append(text if area else None)
            annotation["areas"].append(int(area) if area else None)
            annotation["bboxes"].append([int(side) for side in box] if area else None)
    frames = range(masks.first_frame, masks.first_frame + len(masks))
    video = {
        "id": 1,
        "name": video_name,
        "width": width,
        "height": height,
        "length": len(masks),
        "file_names": [f"{video_name}/{number:05d}.jpg" for number in frames],
        "first_frame": masks.first_frame,
        "fps": masks.fps,
    }
    return {
        "info": {"description": "masks of one video by pointtrack, as in YouTube-VIS"},
        "videos": [video],
        "categories": [{"id": i, "name": name} for name, i in categories.items()],
        "annotations": annotations,
    }


def _read_coco(path: Path, fps: float) -> Masks:
    from pycocotools import mask as rle

    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, not an object with videos")  # noqa: TRY004
    if len(content["videos"]) != 1:
        raise ValueError(f"it holds {len(content['videos'])} videos")
    video, annotations = content["videos"][0], content["annotations"]
    categories = {entry["id"]: entry["name"] for entry in content.get("categories", [])}
    t, h, w = (int(video[name]) for name in ("length", "height", "width"))
    masks = np.zeros((t, len(annotations), h, w), bool)
    scores = np.zeros((t, len(annotations)), np.float32)
    for place, annotation in enumerate(annotations):
        if len(annotation["segmentations"]) != t:
            raise ValueError(
                f"object {annotation['id']} has {len(annotation['segmentations'])} frames, the video {t}"
            )
        for row, segment in enumerate(annotation["segmentations"]):
            if segment:
                compressed = isinstance(segment, dict) and isinstance(segment["counts"], str)
                one = segment if compressed else rle.frPyObjects(segment, h, w)
                masks[row, place] = rle.decode(rle.merge(one) if isinstance(one, list) else one)
        scores[:, place] = annotation.get("scores", annotation.get("score", 1.0))
    named = any("name" in annotation for annotation in annotations) or "first_frame" not in video
    names = [entry.get("name", categories.get(entry.get("category_id"), "")) for entry in annotations]
    return Masks(
        torch.from_numpy(masks),
        torch.tensor([entry["id"] for entry in annotations], dtype=torch.int64),
        torch.from_numpy(scores),
        first_frame=int(video.get("first_frame", 0)),
        fps=float(video.get("fps", fps)),
        names=tuple(names) if named else (),
    )


def _cut_out(frame: np.ndarray, masks: Masks, t: int) -> np.ndarray:
    """(h, w, 4) uint8 RGBA of one frame, opaque inside the objects."""
    cut = np.zeros((*frame.shape[:2], 4), np.uint8)
    row = t - masks.first_frame
    if 0 <= row < len(masks):
        inside = np.logical_or.reduce(masks.masks[row].numpy(), axis=0).view(np.uint8) * np.uint8(255)
        # Codecs smear colours over a few pixels: black right beside the object would darken its edge.
        cut[..., :3] = cv2.copyTo(frame, cv2.dilate(inside, np.ones((17, 17), np.uint8)))
        cut[..., 3] = inside
    return cut


def _write_npz(path: Path, masks: Masks) -> Path:
    """One .npz file, one bit per pixel."""
    path = npz_path(path)
    np.savez_compressed(
        path,
        packed_masks=np.packbits(masks.masks.numpy(), axis=-1),
        wh=np.array(masks.wh),
        object_ids=masks.object_ids.numpy(),
        scores=masks.scores.numpy(),
        first_frame=masks.first_frame,
        fps=masks.fps,
        names=np.array(masks.names, dtype=str),
    )
    return path


def _read_npz(path: Path) -> Masks:
    needed = ("packed_masks", "wh", "object_ids", "scores", "first_frame", "fps", "names")
    data = read_npz(path, "masks", needed)
    masks = np.unpackbits(data["packed_masks"], axis=-1, count=int(data["wh"][0])).view(bool)
    return Masks(
        masks=torch.from_numpy(masks),
        object_ids=torch.from_numpy(data["object_ids"]),
        scores=torch.from_numpy(data["scores"]),
        first_frame=int(data["first_frame"]),
        fps=float(data["fps"]),
        names=tuple(data["names"].tolist()),
    )
