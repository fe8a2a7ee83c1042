"""Writes masks to files piece by piece, as they become final; only the newest piece is in memory."""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryFile
from typing import Protocol

import numpy as np

from pointtrack.io.atomic import atomic_path
from pointtrack.io.formats import coco, cutout, cutout_pictures, davis, mot
from pointtrack.io.masks import MASK_EXPORTS
from pointtrack.io.npz import npz_path
from pointtrack.types.masks import Masks
from pointtrack.types.times import follow_rate, rate_of


class LikeVideo(Protocol):
    """What a writer needs to know about a video: its size, rate and pixel aspect; a `VideoStream` fits."""

    wh: tuple[int, int]
    fps: float
    pixel_aspect: Fraction


TimedFrames = Sequence[tuple[np.ndarray, float]]
Append = Callable[[Masks, TimedFrames], None]
GROWING = ("npz", "davis", "coco", "mot", "cutout", "cutout-png")  # formats that can be written in pieces


def parse_growing(names: Sequence[str]) -> None:
    """Raise ValueError for a format that cannot be written piece by piece."""
    whole = [name for name in names if name not in GROWING]
    if whole:
        raise ValueError(
            f"flat: expected exports among {', '.join(GROWING)}, which are written piece by piece, got {', '.join(whole)}; "
            "convert later: save_masks(..., load_masks(...))"
        )


def mask_writer(
    format: str, stem: str | Path, like: LikeVideo, ids: Sequence[int]
) -> AbstractContextManager[Append]:
    """Yield a function that appends a piece of masks, and its frames with their times, to a file or a folder.

    The file appears when the block ends, and not at all if the block raises; pictures appear one by one.

    Args:
        format: one of `GROWING`; the result is what `save_masks` would write for all pieces together.
        stem: path without suffix; `MASK_EXPORTS` says what is added to it.
        like: the video of the masks: size, rate, pixel aspect.
        ids: ids of all objects that may appear; "npz" has a column for each.

    Raises:
        ValueError: as `save_masks`; the yielded function raises it.
    """
    path = Path(f"{stem}{MASK_EXPORTS[format]}")
    if format == "npz":
        return _npz(path, like, ids)
    if format == "davis":
        return _davis(path)
    if format == "coco":
        return _coco(path, Path(stem).name, ids)
    if format == "cutout-png":
        return _cutout_pictures(path, ids)
    return _mot(path) if format == "mot" else _cutout(path, like)


@contextmanager
def _davis(folder: Path) -> Iterator[Append]:
    yield lambda masks, frames: davis.write(folder, masks.exclusive())


@contextmanager
def _mot(path: Path) -> Iterator[Append]:
    with atomic_path(path) as part, part.open("w", encoding="utf-8") as file:
        yield lambda masks, frames: file.writelines(mot.mask_lines(masks))


@contextmanager
def _cutout(path: Path, like: LikeVideo) -> Iterator[Append]:
    with cutout.growing(path, like.wh, like.fps, like.pixel_aspect) as append_frame:

        def append(masks: Masks, frames: TimedFrames) -> None:
            for t, (frame, seconds) in enumerate(frames, masks.first_frame):
                append_frame(frame, seconds, masks, t)

        yield append


@contextmanager
def _cutout_pictures(folder: Path, ids: Sequence[int]) -> Iterator[Append]:
    def append(masks: Masks, frames: TimedFrames) -> None:
        for t, (frame, _) in enumerate(frames, masks.first_frame):
            cutout_pictures.write_frame(folder, frame, masks, t, ids)

    yield append


@contextmanager
def _coco(path: Path, video_name: str, ids: Sequence[int]) -> Iterator[Append]:
    """Write the images first and the annotations after them, which wait in an unnamed file until then."""
    with (
        atomic_path(path) as part,
        part.open("w", encoding="utf-8") as file,
        TemporaryFile("w+", dir=path.parent, encoding="utf-8") as waiting,
    ):
        count, categories = 0, "[]"

        def append(masks: Masks, frames: TimedFrames) -> None:
            nonlocal count, categories
            content = coco.content_of(masks, video_name)
            if not file.tell():
                info = content["info"] | {"objects": [{"id": number} for number in ids]}
                head = {"info": info, "licenses": content["licenses"]}
                file.write(f'{json.dumps(head)[:-1]}, "images": [')
            elif content["images"]:
                file.write(", ")
            file.write(json.dumps(content["images"])[1:-1])
            for annotation in content["annotations"]:
                waiting.write(", " * bool(count))
                count += 1
                waiting.write(json.dumps(annotation | {"id": count}))
            if content["categories"]:
                categories = json.dumps(content["categories"])

        yield append
        waiting.seek(0)
        file.write('], "annotations": [')
        shutil.copyfileobj(waiting, file)
        file.write(f'], "categories": {categories}}}')


@contextmanager
def _npz(path: Path, like: LikeVideo, ids: Sequence[int]) -> Iterator[Append]:
    """Keep compressed rows in an unnamed file until the length, which an array's header needs, is known."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = like.wh
    scores: list[np.ndarray] = []
    times: list[float] = []
    first: int | None = None
    with TemporaryFile(dir=path.parent) as waiting:
        with gzip.GzipFile(fileobj=waiting, mode="wb", compresslevel=1) as squeezed:

            def append(masks: Masks, frames: TimedFrames) -> None:
                nonlocal first
                first = masks.first_frame if first is None else first
                columns = [list(ids).index(number) for number in masks.object_ids.tolist()]
                row = np.zeros((len(masks), len(ids), height, width), bool)
                row[:, columns] = masks.masks.numpy()
                squeezed.write(np.packbits(row, axis=-1).tobytes())
                scores.append(np.zeros((len(masks), len(ids)), np.float32))
                scores[-1][:, columns] = masks.scores.numpy()
                times.extend(masks.seconds().tolist())

            yield append
        shape = (len(times), len(ids), height, -(-width // 8))
        first_frame = first or 0
        plain = follow_rate(times, first_frame, like.fps)
        arrays = {
            "wh": np.array(like.wh),
            "object_ids": np.array(ids, np.int64),
            "scores": np.concatenate(scores or [np.zeros((0, len(ids)), np.float32)]),
            "first_frame": np.array(first_frame),
            "fps": np.array(like.fps if plain else rate_of(times, like.fps)),
            "names": np.array([], dtype=str),
            **({} if plain else {"times": np.array(times)}),
        }
        waiting.seek(0)
        with (
            atomic_path(npz_path(path)) as part,
            zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            with archive.open("packed_masks.npy", "w", force_zip64=True) as member:
                head = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, head)
                with gzip.GzipFile(fileobj=waiting, mode="rb") as unsqueezed:
                    shutil.copyfileobj(unsqueezed, member)
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, np.asarray(array))
