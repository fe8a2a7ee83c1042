"""Read and write clips in the format of training and evaluation; docs/train/data-format.md describes it.

clip/clip.json          metadata, with frames, wh and fps; written last, so without it there is no clip
clip/frames/00000.png   pictures numbered from 0, .png or .jpg; or clip/video.mp4 (.mkv, .webm, ...)
clip/tracks.npz         xy (t, n, 2), visible (t, n), valid (t, n), ids (n,); object_ids, query_frame
clip/masks/00000.png    labels of the frames where they are known: 0 background, 255 void
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import asdict, fields
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from PIL import Image

from pointtrack.checks import check_shape
from pointtrack.datasets.clip import (
    Clip,
    ClipInfo,
    Picture,
    SourceClip,
    TrueTracks,
    decode_picture,
    read_index_picture,
)
from pointtrack.io.formats.davis import davis_palette
from pointtrack.io.outside import read_arrays, read_json, reading, whole
from pointtrack.io.sources import PICTURE_SUFFIXES
from pointtrack.io.video import VIDEO_CODECS, open_video, write_video
from pointtrack.types import Video

INFO, TRACKS, FRAMES, MASKS, VIDEO = "clip.json", "tracks.npz", "frames", "masks", "video"
FORMAT, VERSION = "pointtrack-clip", 1
LARGEST_INFO = 1 << 24  # largest clip.json, in bytes
NEEDED_ARRAYS = ("xy", "visible")
OPTIONAL_ARRAYS = ("valid", "ids", "object_ids", "query_frame")
_MAGIC = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"RIFF": ".webp"}


def write_clip(
    folder: str | Path,
    clip: Clip | SourceClip,
    *,
    pictures: Literal["png", "jpg", "mp4"] = "png",
    link: bool = False,
) -> Path:
    """Write one clip; it appears whole or not at all.

    Args:
        folder: folder of the clip; must not exist yet, or be empty.
        clip: a clip in memory, or one in another layout, whose frame files are copied as they are.
        pictures: format for frames that are not files yet: png loses nothing, jpg (quality 95) is about a
            fifth as large, mp4 makes a video instead of pictures (even sides only).
        link: make symbolic links to files of frames instead of copies.

    Returns:
        The folder.

    Raises:
        ValueError: the folder is not empty, or parts of the clip do not fit together.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: expected a new or empty folder to write a clip to, found something")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        wh, count = _write_frames(part, clip, pictures, link)
        if clip.tracks is not None:
            if len(clip.tracks) != count:
                raise ValueError(
                    f"{clip.name}: expected tracks of {count} frames as the video, got {len(clip.tracks)}"
                )
            write_tracks(part / TRACKS, clip.tracks)
        _write_masks(part / MASKS, clip, wh, count)
        write_info(part / INFO, clip.info, count, wh)
        part.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        part.replace(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return folder


def read_clip(folder: str | Path, start: int = 0, count: int | None = None, name: str = "") -> Clip:
    """Read a clip, or `count` frames of it from frame `start` on.

    From a folder of frames it reads only the pictures of the span; a video file is decoded from its beginning.

    Raises:
        FileNotFoundError: no clip there. ValueError: parts do not fit; `pointtrack data check` says more.
    """
    folder = Path(folder)
    info, described = read_info(folder / INFO)
    frames = int(described["frames"])
    if not 0 <= start < frames or (count is not None and not 0 < count <= frames - start):
        raise ValueError(f"{folder}: expected a span within its {frames} frames, got {count} from {start} on")
    stop = frames if count is None else start + count
    video = _read_frames(folder, info, start, stop)
    tracks = None
    if (folder / TRACKS).is_file():
        tracks = read_tracks(folder / TRACKS)
        if len(tracks) != frames:
            raise ValueError(
                f"{folder}: expected tracks of {frames} frames, got {len(tracks)}; check the clip"
            )
        tracks = tracks if (start, stop) == (0, frames) else tracks.clip(start, stop)
    labels, annotated = None, None
    numbered = numbered_pictures(folder / MASKS)
    if numbered:
        labels = np.zeros((len(video), video.wh[1], video.wh[0]), np.uint8)
        annotated = np.zeros(len(video), bool)
        for number in range(start, stop):
            if number in numbered:
                picture = read_index_picture(numbered[number])
                check_shape(
                    picture, f"{video.wh[1]} {video.wh[0]}", f"{folder}: mask {numbered[number].name}"
                )
                labels[number - start] = picture
                annotated[number - start] = True
    return Clip(name or folder.name, video, info, tracks, labels, annotated)


def list_clips(folder: str | Path) -> list[Path]:
    """The clips in a folder and the folders in it, sorted; the folder itself if it is one.

    Raises:
        FileNotFoundError: no clip anywhere in it.
    """
    folder = Path(folder)
    found, seen = [], set()
    for place, inner, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # links form a circle
            inner.clear()
            continue
        seen.add(real)
        if INFO in files:
            found.append(Path(place))
            inner.clear()  # skip thousands of pictures
        inner[:] = sorted(name for name in inner if not name.startswith("."))
    if not found:
        raise FileNotFoundError(
            f"clips: expected folders with a {INFO} in {folder}, found none; "
            "other layouts become clips with `pointtrack data convert`"
        )
    return sorted(found)


def read_info(path: Path) -> tuple[ClipInfo, dict[str, Any]]:
    """Read a clip.json; returns the info, and all of its fields.

    Raises:
        FileNotFoundError: no such file. ValueError: another kind of file, or a field is missing or unknown.
    """
    if not path.is_file():
        raise FileNotFoundError(f"clip: expected its description at {path}, found none")
    described = read_json(
        path, "JSON, got a file that is none", largest=LARGEST_INFO, object_pairs_hook=_without_doubles
    )
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise ValueError(f'{path}: expected {{"format": "{FORMAT}", ...}}, got another kind of JSON')
    if described.get("version") != VERSION:
        raise ValueError(f"{path}: expected version {VERSION}, got {described.get('version')}")
    known = {item.name for item in fields(ClipInfo)}
    lacks = {"frames", "wh", "fps", "source", "licence"} - set(described)
    unknown = set(described) - known - {"format", "version", "frames", "wh"}
    if lacks or unknown:
        raise ValueError(
            f"{path}: expected the fields of docs/train/data-format.md, "
            f"but it lacks {sorted(lacks)} and has the unknown {sorted(unknown)}; put others into notes"
        )
    try:
        info = ClipInfo(**{name: described[name] for name in known & set(described)})
        described["frames"] = whole(described["frames"], "frames", least=1)
        width, height = (whole(side, "wh", least=1, most=1 << 20) for side in described["wh"])
        described["wh"] = width, height
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path}: expected the types of docs/train/data-format.md, but {error}") from error
    return info, described


def write_info(path: Path, info: ClipInfo, frames: int, wh: tuple[int, int]) -> None:
    """Write a clip.json."""
    described = {"format": FORMAT, "version": VERSION, "frames": frames, "wh": list(wh), **asdict(info)}
    path.write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_tracks(path: Path) -> TrueTracks:
    """Read a tracks.npz.

    Raises:
        ValueError: arrays are missing or do not fit.
    """
    arrays = read_arrays(path, "tracks of a clip", only=(*NEEDED_ARRAYS, *OPTIONAL_ARRAYS))
    lacks = [name for name in NEEDED_ARRAYS if name not in arrays]
    if lacks:
        raise ValueError(f"{path}: expected arrays {', '.join(NEEDED_ARRAYS)}, but it lacks {lacks}")
    with reading(path, "tracks of a clip"):
        return TrueTracks(**arrays)  # type: ignore[arg-type]


def write_tracks(path: Path, tracks: TrueTracks) -> None:
    """Write a tracks.npz; positions as float32, which is exact to 1/1000 pixel in any video."""
    arrays = {name: getattr(tracks, name) for name in (*NEEDED_ARRAYS, *OPTIONAL_ARRAYS)}
    kept = {name: value.numpy() for name, value in arrays.items() if value is not None}
    kept["xy"] = kept["xy"].astype(np.float32)
    np.savez_compressed(path, **kept)  # type: ignore[arg-type]


def numbered_pictures(folder: Path) -> dict[int, Path]:
    """Number -> picture of a folder, in order; pictures without a number as their name are left out."""
    if not folder.is_dir():
        return {}
    paths = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES]
    return dict(sorted((int(path.stem), path) for path in paths if path.stem.isdecimal()))


def video_files(folder: Path) -> list[Path]:
    """The video files of a clip; there should be one at most."""
    return sorted(path for path in folder.glob(f"{VIDEO}.*") if path.suffix.lower() in VIDEO_CODECS)


def save_label_picture(path: Path, labels: np.ndarray) -> None:
    """Write (h, w) uint8 labels as an indexed PNG in the colours of DAVIS."""
    image = Image.fromarray(np.ascontiguousarray(labels))
    image.putpalette(davis_palette().tobytes())  # makes it mode P
    image.save(path)


def _write_frames(
    folder: Path, clip: Clip | SourceClip, pictures: str, link: bool
) -> tuple[tuple[int, int], int]:
    """Write the frames; returns size and number of them."""
    items: Any = clip.video.frames if isinstance(clip, Clip) else clip.frames
    if not len(items):
        raise ValueError(f"{clip.name}: expected at least one frame, got none")
    first = decode_picture(items[0], f"{clip.name} frame 0")
    wh = (first.shape[1], first.shape[0])
    if pictures == "mp4" and not isinstance(items[0], Path | bytes):
        if wh[0] % 2 or wh[1] % 2:
            raise ValueError(f"{clip.name}: expected even sides for mp4, got {wh[0]} x {wh[1]}; write png")
        video = clip.video if isinstance(clip, Clip) else Video(np.stack(items), fps=clip.info.fps)
        write_video(folder / f"{VIDEO}.mp4", video)
        return wh, len(items)
    (folder / FRAMES).mkdir()
    for number, item in enumerate(items):
        _write_frame(folder / FRAMES, number, item, "jpg" if pictures == "jpg" else "png", link)
    return wh, len(items)


def _write_frame(folder: Path, number: int, item: Picture, suffix: str, link: bool) -> None:
    if isinstance(item, Path):
        target = folder / f"{number:05d}{item.suffix.lower()}"
        if link:
            os.symlink(item.resolve(), target)
        else:
            shutil.copyfile(item, target)
        return
    if isinstance(item, np.ndarray) and item.ndim == 3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, 95] if suffix == "jpg" else []
        data = cv2.imencode(f".{suffix}", cv2.cvtColor(item, cv2.COLOR_RGB2BGR), quality)[1].tobytes()
        (folder / f"{number:05d}.{suffix}").write_bytes(data)
        return
    data = bytes(item)
    kind = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), None)
    if kind is None:
        raise ValueError(f"frame {number}: expected the bytes of a JPEG, PNG or WebP file, got others")
    (folder / f"{number:05d}{kind}").write_bytes(data)


def _write_masks(folder: Path, clip: Clip | SourceClip, wh: tuple[int, int], count: int) -> None:
    known: list[int] = []
    if isinstance(clip, SourceClip):
        known = sorted(clip.masks)
    elif clip.labels is not None and clip.annotated is not None:
        known = np.flatnonzero(clip.annotated).tolist()
    if not known:
        return
    folder.mkdir()
    for number in known:
        labels = clip.label_picture(number) if isinstance(clip, SourceClip) else clip.labels[number]  # type: ignore[index]
        if labels.shape != wh[::-1] or not 0 <= number < count:
            raise ValueError(
                f"{clip.name}: expected masks of {wh[0]} x {wh[1]} on frames 0..{count - 1}, "
                f"got {labels.shape[1]} x {labels.shape[0]} on frame {number}"
            )
        save_label_picture(folder / f"{number:05d}.png", labels.astype(np.uint8))


def _read_frames(folder: Path, info: ClipInfo, start: int, stop: int) -> Video:
    files = video_files(folder)
    if files:
        with open_video(files[0]) as stream:
            frames = [frame for frame, _ in islice(stream, start, stop)]
    else:
        numbered = numbered_pictures(folder / FRAMES)
        missing = [number for number in range(start, stop) if number not in numbered]
        if missing:
            raise FileNotFoundError(
                f"{folder}: expected a video file, or pictures of frames {start}..{stop - 1} in {FRAMES}, "
                f"found none for frame {missing[0]}"
            )
        frames = [decode_picture(numbered[i], f"{folder} frame {i}") for i in range(start, stop)]
    if len(frames) != stop - start or len({frame.shape for frame in frames}) != 1:
        raise ValueError(
            f"{folder}: expected {stop - start} frames of one size from frame {start} on, "
            f"got {len(frames)} of {sorted({frame.shape[1::-1] for frame in frames})}; check the clip"
        )
    return Video(np.stack(frames), fps=info.fps)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ValueError(f"expected every name once, got {', '.join(double)} twice")
    return dict(pairs)
