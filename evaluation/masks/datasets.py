"""Videos with known masks: clips, DAVIS 2016 and 2017, YouTube-VOS, MOSE, and the sequences of `davis_dev`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evaluation.masks.davis_metrics import counted_frames
from evaluation.points.datasets import data_root, named_clips
from pointtrack.checks import check_shape
from pointtrack.datasets.clip import VOID, Clip, read_index_picture
from pointtrack.datasets.folders import folders_in
from pointtrack.datasets.format import MASKS, numbered_pictures, read_clip
from pointtrack.datasets.vos import LISTS, davis_clip, davis_clips, vos_clips
from pointtrack.types import Video
from pointtrack.types.masks import Masks

__all__ = ["MaskExample", "load_mask_examples", "mask_example", "read_index_picture"]

logger = logging.getLogger(__name__)

DATASETS = (
    "davis_dev",
    "davis2016:FOLDER",
    "davis2017:FOLDER",
    "ytvos:FOLDER",
    "mose:FOLDER",
    "clips:FOLDER",
)


@dataclass(frozen=True, eq=False)
class MaskExample:
    """One video with the true masks of its objects.

    Args:
        name: "dataset/sequence"; names are distinct within a report.
        video: t frames.
        truth: t frames of o objects, empty where unknown.
        first_frames: (o,) frame on which a method gets each object, the first with its mask.
        annotated: (t,) bool frames with complete truth.
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
            "mose:FOLDER" (with JPEGImages and Annotations in it, as train has them), "clips:FOLDER" (clips
            of docs/train/data-format.md; clips without masks are left out).

    Raises:
        ValueError: an unknown data set. FileNotFoundError: its files are missing.
    """
    kind, colon, folder = dataset.partition(":")
    if dataset == "davis_dev":
        return davis_dev_examples()
    if kind in LISTS and folder:
        return (mask_example(source.read()) for source in davis_clips(folder, kind))
    if kind in ("ytvos", "mose") and folder:
        return (mask_example(source.read()) for source in vos_clips(folder, kind))
    if kind == "clips" and folder:
        return clip_mask_examples(folder)
    raise ValueError(f"dataset: expected one of {', '.join(DATASETS)}, got {dataset!r}")


def davis_dev_examples(root: Path | None = None) -> Iterator[MaskExample]:
    """Six sequences of DAVIS-2016 at 480p with one object each, from the evaluation data.

    Raises:
        FileNotFoundError: the data folder is missing.
    """
    root = data_root() / "davis_dev" if root is None else root
    for sequence in folders_in(root):
        name = f"davis_dev/{sequence.name}"
        yield mask_example(davis_clip(name, sequence / "frames", sequence / "masks", merged=True).read())


def clip_mask_examples(folder: str | Path) -> Iterator[MaskExample]:
    """Clips of a folder whose masks show an object; see docs/train/data-format.md.

    Raises:
        FileNotFoundError: no clips in the folder. ValueError: none of them has masks.
    """
    found = False
    for path, name in named_clips(folder):
        if numbered_pictures(path / MASKS):
            found = True
            clip = read_clip(path, name=name)
            if clip.labels is not None and not np.isin(clip.labels, (0, VOID)).all():
                yield mask_example(clip)
    if not found:
        raise ValueError(f"clips:{folder}: expected clips with masks, got none; their points go with `eval`")


def mask_example(clip: Clip) -> MaskExample:
    """Make an example of a clip with known masks, without objects that appear on no frame.

    Raises:
        ValueError: no masks, or none with an object.
    """
    truth = clip.masks()
    if truth is None or clip.labels is None or clip.annotated is None:
        raise ValueError(f"{clip.name}: expected a clip with masks, got one without")
    present = truth.present()
    drawn = present.any(dim=0)
    if not drawn.all():
        absent = truth.object_ids[~drawn].tolist()
        logger.warning("%s: objects %s are drawn on no frame; they are left out", clip.name, absent)
        truth, present = truth.select(drawn), present[:, drawn]
    if not len(truth.object_ids):
        raise ValueError(f"{clip.name}: expected at least one object in the annotations, got none")
    annotated = torch.from_numpy(clip.annotated & (not clip.info.first_masks_only))
    void = torch.from_numpy(clip.labels == VOID) if (clip.labels == VOID).any() else None
    return MaskExample(clip.name, clip.video, truth, present.int().argmax(dim=0), annotated, void)
