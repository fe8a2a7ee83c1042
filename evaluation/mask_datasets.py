"""Videos with known masks: DAVIS 2016 and 2017, YouTube-VOS, MOSE, and the sequences of `davis_dev`."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from evaluation.datasets import data_root
from evaluation.jf import counted_frames
from pointtrack.checks import check_shape
from pointtrack.masks import Masks
from pointtrack.sources import PICTURE_SUFFIXES
from pointtrack.types import Video
from pointtrack.video import read_video

logger = logging.getLogger(__name__)

DATASETS = ("davis_dev", "davis2016:FOLDER", "davis2017:FOLDER", "ytvos:FOLDER", "mose:FOLDER")
VOID = 255
LISTS = {
    "davis2016": ("ImageSets/480p/val.txt", "ImageSets/2016/val.txt"),
    "davis2017": ("ImageSets/2017/val.txt",),
}


@dataclass(frozen=True, eq=False)
class MaskExample:
    """One video with the true masks of its objects.

    Args:
        name: "dataset/sequence"; names are distinct within a report.
        video: t frames.
        truth: t frames of o objects, empty where unknown.
        first_frames: (o,) frame on which each object is shown to a method, the first with its mask.
        annotated: (t,) bool frames on which the whole truth is known.
        void: (t, h, w) bool pixels that do not count, or None.

    Raises:
        ValueError: shapes that do not fit, or an object without a mask on its first frame.
    """

    name: str
    video: Video
    truth: Masks
    first_frames: Tensor
    annotated: Tensor
    void: Tensor | None = None

    def __post_init__(self) -> None:
        (w, h), t, o = self.video.wh, len(self.video), len(self.truth.object_ids)
        check_shape(self.truth.masks, f"{t} {o} {h} {w}", f"{self.name}: truth")
        check_shape(self.first_frames, f"{o}", f"{self.name}: first frames")
        check_shape(self.annotated, f"{t}", f"{self.name}: annotated")
        if self.void is not None:
            check_shape(self.void, f"{t} {h} {w}", f"{self.name}: void")
        for object_id, frame in self.starts().items():
            if not 0 <= frame < t or not self.true_mask(object_id, frame).any():
                raise ValueError(
                    f"{self.name}: expected a mask of object {object_id} on its first frame {frame}, got none"
                )

    @property
    def dataset(self) -> str:
        """The part of the name before the slash."""
        return self.name.split("/")[0]

    def starts(self) -> dict[int, int]:
        """Object id -> its first frame."""
        return dict(zip(self.truth.object_ids.tolist(), self.first_frames.tolist(), strict=True))

    def true_mask(self, object_id: int, frame: int) -> np.ndarray:
        """(h, w) bool."""
        return self.truth.masks[frame, self.truth.object_ids.tolist().index(object_id)].numpy()

    def counted(self) -> Tensor:
        """(t, o) bool frames that count for each object; see `counted_frames`."""
        return counted_frames(self.annotated, self.first_frames)


def load_mask_examples(dataset: str) -> Iterator[MaskExample]:
    """Yield the examples of one data set, one video in memory at a time.

    Args:
        dataset: "davis_dev"; or a layout and its folder: "davis2016:FOLDER", "davis2017:FOLDER" (the
            validation set; a file of ImageSets in place of the folder for another one), "ytvos:FOLDER",
            "mose:FOLDER" (with JPEGImages and Annotations in it, as train has them).

    Raises:
        ValueError: an unknown data set. FileNotFoundError: its files are missing.
    """
    kind, colon, folder = dataset.partition(":")
    if dataset == "davis_dev":
        return davis_dev_examples()
    if kind in LISTS and folder:
        return davis_examples(folder, kind)
    if kind in ("ytvos", "mose") and folder:
        return vos_examples(folder, kind)
    raise ValueError(f"dataset: expected one of {', '.join(DATASETS)}, got {dataset!r}")


def davis_dev_examples(root: Path | None = None) -> Iterator[MaskExample]:
    """Six sequences of DAVIS-2016 at 480p with one object each, from the evaluation data.

    Raises:
        FileNotFoundError: the data folder is missing.
    """
    root = data_root() / "davis_dev" if root is None else root
    for sequence in _folders(root):
        yield _davis_example(f"davis_dev/{sequence.name}", sequence / "frames", sequence / "masks", True)


def davis_examples(folder: str | Path, kind: str) -> Iterator[MaskExample]:
    """DAVIS at 480p as it is unpacked.

    Args:
        folder: the one that holds JPEGImages, Annotations and ImageSets, whose val.txt is read; or another
            list of sequences in its ImageSets.
        kind: "davis2016": everything drawn is one object. "davis2017": pixel values are object ids, as many
            as on the first frame; 255 is void.

    Raises:
        FileNotFoundError: a list, or a sequence of it, is missing.
    """
    folder = Path(folder)
    lists = [folder] if folder.suffix == ".txt" else [folder / path for path in LISTS[kind]]
    found = next((path for path in lists if path.is_file()), None)
    if found is None:
        raise FileNotFoundError(
            f"{kind}: expected a list of sequences at {' or '.join(map(str, lists))}, found none"
        )
    root = found.parents[2]
    for sequence in _listed(found):
        frames, masks = (root / part / "480p" / sequence for part in ("JPEGImages", "Annotations"))
        yield _davis_example(f"{kind}/{sequence}", frames, masks, merged=kind == "davis2016")


def vos_examples(folder: str | Path, kind: str) -> Iterator[MaskExample]:
    """YouTube-VOS, MOSE, LVOS: JPEGImages/<video>, Annotations/<video>, and meta.json where there is one.

    Objects may appear later than on the first frame. Where masks are given for first appearances only, as in
    the sets named valid, no frame counts as annotated: there the truth is known to a server alone.

    Raises:
        FileNotFoundError: a folder is missing. ValueError: a meta.json of another kind.
    """
    folder = Path(folder)
    videos = _videos_of(folder / "meta.json")
    for masks in _folders(folder / "Annotations"):
        objects = videos.get(masks.name)
        yield _vos_example(f"{kind}/{masks.name}", folder / "JPEGImages" / masks.name, masks, objects)


def _davis_example(name: str, frames: Path, masks: Path, merged: bool) -> MaskExample:
    video, stems = _read_frames(frames)
    labels, annotated = _read_labels(masks, stems, video.wh, name)
    void = None
    if merged:
        labels = (labels > 0).astype(np.uint8)
    elif (labels == VOID).any():
        void = torch.from_numpy(labels == VOID)
        labels = np.where(labels == VOID, 0, labels)
    ids = range(1, int(labels[0].max()) + 1)
    return _example(name, video, labels, ids, annotated, void)


def _vos_example(name: str, frames: Path, masks: Path, objects: dict[str, Any] | None) -> MaskExample:
    video, stems = _read_frames(frames)
    labels, annotated = _read_labels(masks, stems, video.wh, name)
    if objects is None:
        ids = sorted({int(value) for picture in labels[annotated] for value in np.unique(picture)} - {0})
        complete = int(annotated.sum()) > 1 or len(video) == 1
    else:
        ids = sorted(map(int, objects))
        wanted = {stem for entry in objects.values() for stem in entry.get("frames", stems)}
        complete = wanted <= {stem for stem, known in zip(stems, annotated, strict=True) if known}
    return _example(name, video, labels, ids, annotated & complete)


def _example(
    name: str,
    video: Video,
    labels: np.ndarray,
    ids: Sequence[int],
    annotated: np.ndarray,
    void: Tensor | None = None,
) -> MaskExample:
    truth = Masks.from_labels(labels, object_ids=ids, fps=video.fps)
    present = truth.present()
    drawn = present.any(dim=0)
    if not drawn.all():
        absent = truth.object_ids[~drawn].tolist()
        logger.warning("%s: objects %s are drawn on no frame; they are left out", name, absent)
        truth, present = truth.select(drawn), present[:, drawn]
    if not len(truth.object_ids):
        raise ValueError(f"{name}: expected at least one object in the annotations, got none")
    return MaskExample(name, video, truth, present.int().argmax(dim=0), torch.from_numpy(annotated), void)


def _read_frames(folder: Path) -> tuple[Video, list[str]]:
    """The video of a folder of pictures, and the names of its frames without suffix."""
    if not folder.is_dir():
        raise FileNotFoundError(f"evaluation data: expected a folder of frames at {folder}, found none")
    stems = sorted(path.stem for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    return read_video(folder), stems


def _read_labels(
    folder: Path, stems: Sequence[str], wh: tuple[int, int], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """(t, h, w) uint8 pixel values, 0 on frames without a picture; (t,) bool frames that have one."""
    labels = np.zeros((len(stems), wh[1], wh[0]), np.uint8)
    annotated = np.zeros(len(stems), bool)
    for row, stem in enumerate(stems):
        path = folder / f"{stem}.png"
        if path.is_file():
            picture = read_index_picture(path)
            check_shape(picture, f"{wh[1]} {wh[0]}", f"{name}: {path.name}")
            labels[row], annotated[row] = picture, True
    if not annotated.any():
        raise FileNotFoundError(f"{name}: expected masks in {folder} named as the frames, found none")
    return labels, annotated


def read_index_picture(path: Path) -> np.ndarray:
    """(h, w) uint8 values of a PNG: indices of a palette, or grey levels."""
    with Image.open(path) as picture:
        return np.array(picture if picture.mode in ("P", "L") else picture.convert("L"))


def _listed(path: Path) -> list[str]:
    """Names of the sequences: one per line, or the lines of DAVIS-2016 with the paths of each picture."""
    lines = [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return list(dict.fromkeys(Path(line).parent.name if "/" in line else line for line in lines))


def _videos_of(path: Path) -> dict[str, Any]:
    """Video -> object id -> entry of a meta.json; nothing where there is no such file."""
    if not path.is_file():
        return {}
    try:
        videos = json.loads(path.read_text(encoding="utf-8"))["videos"]
        return {name: dict(video["objects"]) for name, video in videos.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected videos with their objects, as in YouTube-VOS, got {error!r}"
        ) from error


def _folders(root: Path) -> list[Path]:
    found = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if not found:
        raise FileNotFoundError(f"evaluation data: expected a folder of sequences at {root}, found none")
    return found
