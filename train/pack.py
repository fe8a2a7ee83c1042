"""Make smaller copies of training data, to send to a borrowed machine: `python -m train.pack OUT --textures DIR`.

The copies are OUT/textures, OUT/objects/NAME, OUT/pictures/NAME, OUT/clips/NAME and OUT/labels. The options of
`pointtrack train` read them like the originals. To give some folders another size or quality, call it several times
with the same OUT.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from pointtrack.cli.runner import run_command
from pointtrack.datasets.clip import SourceClip
from pointtrack.datasets.format import list_clips, read_clip, write_clip
from pointtrack.io.atomic import atomic_path, write_bytes
from pointtrack.io.outputs import check_outputs
from pointtrack.io.pictures import decode
from train.data.pictures import picture_files
from train.data.segments import weighted_folders
from train.data.textures import PEOPLE

SPLITS = ("train", "test", "val")


def pack(
    out: Path,
    textures: Path | None = None,
    objects: str | None = None,
    pictures: str | None = None,
    clips: str | None = None,
    labels: Path | None = None,
    side: int = 400,
    quality: int = 82,
    webp: bool = False,
    label_quality: int | None = None,
    clip_side: int = 448,
) -> None:
    """Write smaller copies of folders with training data; replaces files of an earlier copy.

    Args:
        out: folder for the copies.
        textures: folder of photographs with train, test and val, and outlines that people drew. Photographs keep their
            size, and each keeps the outlines of two people, as many as synthetic clips use.
        objects: comma-separated folders of pictures with outlined objects; a =WEIGHT after a folder has no effect.
        pictures: comma-separated folders of photographs.
        clips: comma-separated folders of clips with tracks; the copies lack their masks.
        labels: folder of folders of labelled real video, copied unchanged.
        side: longest side of the copies in pixels; smaller pictures keep their size.
        quality: JPEG quality of the copies, 1 to 100.
        webp: write WebP instead, a quarter smaller. Pictures keep their names, since OpenCV goes by the content; frames
            of clips are named .webp.
        label_quality: quality for re-encoding the frames of the labels, in their size; by default, these are copied.
        clip_side: longest side of the frames of clips in pixels.

    Raises:
        FileNotFoundError: a folder lacks expected files.
        ValueError: nothing to copy, an output that is an input, or two folders of one name.
    """
    if min(side, clip_side) < 1 or not all(1 <= one <= 100 for one in (quality, label_quality or quality)):
        raise ValueError(
            f"pack: expected sides above 0 and qualities in 1..100, got {side}, {clip_side}, {quality}, {label_quality}"
        )
    folders = _targets(out, textures, objects, pictures, clips, labels)
    if not folders:
        raise ValueError(
            "pack: expected --textures, --objects, --pictures, --clips or --labels, got none of them"
        )
    check_outputs(folders.values(), [], folders=[out, *folders])
    encoder = _Encoder(quality, webp)
    for target, folder in folders.items():
        if target.resolve().is_relative_to(folder.resolve()):
            raise ValueError(
                f"{target}: expected an output outside the input folder {folder}; choose another OUT"
            )
        kind = target.relative_to(out).parts[0]
        if kind == "textures":
            _copy_textures(folder, target, encoder)
        elif kind == "objects":
            _copy_objects(folder, target, side, encoder)
        elif kind == "pictures":
            for path in picture_files(folder):
                encoder.write(target / path.relative_to(folder), _smaller(_read(path), side))
        elif kind == "clips":
            _copy_clips(folder, target, clip_side, encoder)
        else:
            _copy_labels(folder, target, _Encoder(label_quality, webp) if label_quality else None)
        print(f"{target}   {_size(target) / 2**20:.2f} MiB")
    print(f"{out}   {_size(out) / 2**20:.2f} MiB")


class _Encoder:
    """Writes pictures in one format and quality."""

    def __init__(self, quality: int, webp: bool):
        jpeg = [
            cv2.IMWRITE_JPEG_QUALITY,
            quality,
            cv2.IMWRITE_JPEG_OPTIMIZE,
            1,
            cv2.IMWRITE_JPEG_PROGRESSIVE,
            1,
        ]
        self._format = (".webp", [cv2.IMWRITE_WEBP_QUALITY, quality]) if webp else (".jpg", jpeg)

    def write(self, path: Path, picture: np.ndarray) -> None:
        """Write (h, w, 3) uint8 BGR to a file."""
        write_bytes(path, self.encoded(picture), durable=False)

    def encoded(self, picture: np.ndarray) -> bytes:
        """Encode (h, w, 3) uint8 BGR as the bytes of a file."""
        suffix, settings = self._format
        return cv2.imencode(suffix, picture, settings)[1].tobytes()


def _targets(
    out: Path,
    textures: Path | None,
    objects: str | None,
    pictures: str | None,
    clips: str | None,
    labels: Path | None,
) -> dict[Path, Path]:
    """Map each folder to write to the folder to read."""
    found: list[tuple[Path, Path]] = []
    if textures is not None:
        found.append((out / "textures", textures))
    found += [(out / "objects" / Path(one).name, Path(one)) for one, _ in weighted_folders(objects)]
    found += [(out / "pictures" / Path(one).name, Path(one)) for one, _ in weighted_folders(pictures)]
    found += [(out / "clips" / Path(one).name, Path(one)) for one, _ in weighted_folders(clips)]
    if labels is not None:
        found.append((out / "labels", labels))
    for target, folder in found:
        if not folder.is_dir():
            raise FileNotFoundError(f"pack: expected a folder to copy, found none at {folder}")
        if sum(target == other for other, _ in found) > 1:
            raise ValueError(f"pack: expected folders of different names, got several for {target}")
    return dict(found)


def _copy_textures(folder: Path, target: Path, encoder: _Encoder) -> None:
    """Copy photographs at full size, since clips crop one size from all, with two people's region maps of each."""
    splits = [split for split in SPLITS if (folder / f"{split}_segments.npz").is_file()]
    if not splits:
        raise FileNotFoundError(f"pack: expected train_segments.npz in {folder}, found none")
    for split in splits:
        with np.load(folder / f"{split}_segments.npz") as segments:
            maps = {name: segments[name][:PEOPLE] for name in segments.files}
        small = {name: one.astype(np.min_scalar_type(int(one.max()))) for name, one in maps.items()}
        _write_arrays(target / f"{split}_segments.npz", small)
        for path in picture_files(folder / split):
            encoder.write(target / split / path.name, _read(path))


def _copy_objects(folder: Path, target: Path, side: int, encoder: _Encoder) -> None:
    """Copy pictures and their `ids`, both made smaller, and `classes` unchanged."""
    paths = sorted(folder.glob("*_masks.npz"))
    if not paths:
        raise FileNotFoundError(f"pack: expected <name>_masks.npz files in {folder}, found none")
    for path in paths:
        name = path.name.removesuffix("_masks.npz")
        with np.load(path) as arrays:
            content = {key: arrays[key] for key in arrays.files}
        picture = _smaller(_read(path.with_name(f"{name}.jpg")), side)
        wh = (picture.shape[1], picture.shape[0])
        content["ids"] = cv2.resize(content["ids"], wh, interpolation=cv2.INTER_NEAREST_EXACT)
        encoder.write(target / f"{name}.jpg", picture)
        _write_arrays(target / path.name, content)


def _copy_clips(folder: Path, target: Path, side: int, encoder: _Encoder) -> None:
    """Copy clips in the common format, with smaller frames, and their tracks."""
    for path in list_clips(folder):
        clip = read_clip(path)
        if clip.tracks is None:
            continue
        frames = [_smaller(frame, side) for frame in clip.video.frames]
        old, new = clip.video.wh, (frames[0].shape[1], frames[0].shape[0])
        scale = torch.tensor([new[0] / old[0], new[1] / old[1]])
        xy = ((clip.tracks.xy + 0.5) * scale - 0.5).float()
        copied = target / path.relative_to(folder)
        if copied.exists():
            shutil.rmtree(copied)
        tracks = replace(clip.tracks, xy=xy, object_ids=None)
        pictures = [encoder.encoded(frame[..., ::-1]) for frame in frames]
        write_clip(copied, SourceClip(clip.name, pictures, replace(clip.info, objects={}), tracks))


def _copy_labels(folder: Path, target: Path, encoder: _Encoder | None) -> None:
    """Copy every file; re-encode pictures if there is an encoder."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        copied = target / path.relative_to(folder)
        if encoder is not None and path.suffix == ".jpg":
            encoder.write(copied, _read(path))
        else:
            with atomic_path(copied, durable=False) as part:
                shutil.copyfile(path, part)


def _read(path: Path) -> np.ndarray:
    """Read a picture as (h, w, 3) uint8 BGR."""
    return decode(path, cv2.IMREAD_COLOR, f"{path}: expected a picture")


def _smaller(picture: np.ndarray, side: int) -> np.ndarray:
    """Shrink (h, w, 3) so that its longest side is at most `side`."""
    h, w = picture.shape[:2]
    scale = side / max(h, w)
    if scale >= 1:
        return picture
    wh = (max(round(scale * w), 1), max(round(scale * h), 1))
    return cv2.resize(picture, wh, interpolation=cv2.INTER_AREA)


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with atomic_path(path, durable=False) as part:
        np.savez_compressed(part, **arrays)  # type: ignore[arg-type]


def _size(folder: Path) -> int:
    """Total bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(run_command(lambda: pack, sys.argv[1:], "train.pack"))
