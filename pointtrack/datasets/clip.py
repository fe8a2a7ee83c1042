"""Clips with ground truth: `TrueTracks`, `ClipInfo`, `Clip`; and `SourceClip`, whose pictures are not read yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from pointtrack.checks import check_shape, checked_fps
from pointtrack.io.pictures import decode, indices
from pointtrack.types import Video
from pointtrack.types.masks import Masks

VOID = 255
Picture = Path | bytes | np.ndarray


@dataclass(frozen=True, eq=False)
class TrueTracks:
    """The ground truth of n points on t frames, made by people or by a renderer, not by a tracker.

    Args:
        xy: (t, n, 2) float pixels of the video, (0, 0) the centre of the first; known positions are kept
            where a point is hidden or outside the image. Any value where not valid.
        visible: (t, n) bool: in the image and not covered.
        valid: (t, n) bool: the truth about the point on this frame is known; all finite positions if left out.
        ids: (n,) distinct whole numbers that identify the points; 0..n-1 if left out.
        object_ids: (n,) label of the object each point belongs to, 0 for the background, -1 if unknown; None
            if the set does not say.
        query_frame: (n,) query frame of each point; None for the first frame it is visible on.

    Arrays work too.

    Raises:
        ValueError: shapes or types do not fit, ids repeat, a visible point is not valid, a valid position is
            not finite, or a query is on a frame where the point is not visible.
    """

    xy: Tensor
    visible: Tensor
    valid: Tensor = None  # type: ignore[assignment]
    ids: Tensor = None  # type: ignore[assignment]
    object_ids: Tensor | None = None
    query_frame: Tensor | None = None

    def __post_init__(self) -> None:
        xy = torch.as_tensor(self.xy).detach().cpu()
        t, n = check_shape(xy, "t n 2", "true tracks xy").values()
        if not xy.is_floating_point():
            xy = xy.double()
        finite = torch.isfinite(xy).all(dim=-1)
        visible = torch.as_tensor(self.visible).detach().cpu()
        valid = finite if self.valid is None else torch.as_tensor(self.valid).detach().cpu()
        for name, flag in (("visible", visible), ("valid", valid)):
            check_shape(flag, f"{t} {n}", f"true tracks {name}")
            if flag.dtype != torch.bool:
                raise ValueError(f"true tracks {name}: expected bool, got {flag.dtype}")
        _refuse(valid & ~finite, "a finite position wherever valid")
        _refuse(visible & ~valid, "visible points to be valid")
        ids = torch.arange(n) if self.ids is None else torch.as_tensor(self.ids).long()
        check_shape(ids, f"{n}", "true tracks ids")
        if len(torch.unique(ids)) != n:
            raise ValueError("true tracks ids: expected distinct ids, got one twice")
        for name in ("object_ids", "query_frame"):
            value = getattr(self, name)
            if value is not None:
                value = torch.as_tensor(value).detach().cpu().long()
                check_shape(value, f"{n}", f"true tracks {name}")
                object.__setattr__(self, name, value)
        if self.query_frame is not None and n:
            if not 0 <= int(self.query_frame.min()) <= int(self.query_frame.max()) < t:
                raise ValueError(f"true tracks query_frame: expected frames in 0..{t - 1}")
            if not bool(visible[self.query_frame, torch.arange(n)].all()):
                raise ValueError("true tracks query_frame: expected every point visible on its query frame")
        for name, value in (("xy", xy), ("visible", visible), ("valid", valid), ("ids", ids)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.xy)

    def select(self, index: Any) -> TrueTracks:
        """The points at the given positions (indices, a slice or an (n,) bool mask), ids kept."""
        parts = {name: getattr(self, name)[:, index] for name in ("xy", "visible", "valid")}
        for name in ("ids", "object_ids", "query_frame"):
            value = getattr(self, name)
            parts[name] = None if value is None else value[index]
        return TrueTracks(**parts)

    def clip(self, start: int = 0, stop: int | None = None) -> TrueTracks:
        """Frames start..stop-1. Query frames are dropped, as they may lie outside."""
        parts = {name: getattr(self, name)[start:stop] for name in ("xy", "visible", "valid")}
        return replace(self, **parts, query_frame=None)


@dataclass(frozen=True)
class ClipInfo:
    """The metadata of a clip.

    Args:
        fps: frames per second.
        source: where it comes from: data set and sequence, or the program.
        licence: terms of use.
        generator: program and version that made it, if it was rendered or computed.
        seed: the generator's seed.
        visibility_known: True if a valid point that is not visible is truly hidden. False if the annotators
            marked visible points only, so that AJ and OA mean nothing.
        first_masks_only: True if masks show an object on its first frame only, and a server has the rest.
        objects: label in the masks -> name of the object ("" if it has none). If given, other labels do not
            count as objects.
        notes: anything else worth keeping, as JSON.

    Raises:
        ValueError: fps is not positive, or labels lie outside 1..254.
    """

    fps: float = 30.0
    source: str = "unknown"
    licence: str = "unknown"
    generator: str = ""
    seed: int | None = None
    visibility_known: bool = True
    first_masks_only: bool = False
    objects: Mapping[int, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fps", checked_fps(self.fps, "clip fps"))
        objects = {int(number): str(name) for number, name in self.objects.items()}
        wrong = [number for number in objects if not 0 < number < VOID]
        if wrong:
            raise ValueError(f"clip objects: expected labels in 1..{VOID - 1}, got {wrong}")
        object.__setattr__(self, "objects", objects)


@dataclass(frozen=True, eq=False)
class Clip:
    """A video with its ground truth, in memory.

    Args:
        name: name of the clip within its set.
        video: t frames.
        info: source, licence and so on.
        tracks: t frames of points, or None.
        labels: (t, h, w) uint8: 0 background, 255 does not count, else the object; or None.
        annotated: (t,) bool frames on which `labels` are known; all if left out.

    Raises:
        ValueError: a part does not have the length or size of the video.
    """

    name: str
    video: Video
    info: ClipInfo = field(default_factory=ClipInfo)
    tracks: TrueTracks | None = None
    labels: np.ndarray | None = None
    annotated: np.ndarray | None = None

    def __post_init__(self) -> None:
        (w, h), t = self.video.wh, len(self.video)
        if self.tracks is not None and len(self.tracks) != t:
            raise ValueError(
                f"{self.name}: expected tracks of {t} frames as the video, got {len(self.tracks)}"
            )
        if self.labels is None:
            return
        check_shape(self.labels, f"{t} {h} {w}", f"{self.name}: labels")
        annotated = np.ones(t, bool) if self.annotated is None else np.asarray(self.annotated, bool)
        check_shape(annotated, f"{t}", f"{self.name}: annotated")
        object.__setattr__(self, "annotated", annotated)

    def masks(self) -> Masks | None:
        """The objects of `info`, or those of the labels if it names none; empty masks on frames without labels."""
        if self.labels is None:
            return None
        ids = sorted(self.info.objects) or None
        labels = np.where(self.labels == VOID, 0, self.labels) if (self.labels == VOID).any() else self.labels
        names = [self.info.objects[number] for number in ids] if ids else []
        return Masks.from_labels(
            labels, object_ids=ids, fps=self.video.fps, names=names if any(names) else ()
        )


@dataclass(frozen=True, eq=False)
class SourceClip:
    """A clip found in the layout of a published set, its pictures not read yet.

    Args:
        name: name of the clip, parts separated by slashes.
        frames: one per frame: a file, the bytes of a picture file, or (h, w, 3) uint8 RGB.
        info, tracks: as for `Clip`.
        masks: frame -> picture of labels, a file or (h, w) uint8, for the frames where they are known.
        merged: True if everything drawn is one object, 1.
    """

    name: str
    frames: Sequence[Picture] | np.ndarray
    info: ClipInfo = field(default_factory=ClipInfo)
    tracks: TrueTracks | None = None
    masks: Mapping[int, Path | np.ndarray] = field(default_factory=dict)
    merged: bool = False

    def first(self, frames: int | None) -> SourceClip:
        """The clip cut to its first `frames` frames."""
        if frames is None or frames >= len(self.frames):
            return self
        tracks = None if self.tracks is None else self.tracks.clip(0, frames)
        masks = {number: picture for number, picture in self.masks.items() if number < frames}
        return replace(self, frames=self.frames[:frames], tracks=tracks, masks=masks)

    def sampled(self, points: int | None, generator: np.random.Generator) -> SourceClip:
        """The clip with at most `points` points, drawn at random from those that are ever visible, in their order."""
        if points is None or self.tracks is None:
            return self
        seen = self.tracks.visible.any(dim=0).nonzero().flatten().numpy()
        chosen = np.sort(generator.permutation(seen)[:points])
        return replace(self, tracks=self.tracks.select(torch.from_numpy(chosen)))

    def label_picture(self, frame: int) -> np.ndarray:
        """(h, w) uint8 labels of a frame that has them."""
        picture = self.masks[frame]
        labels = read_index_picture(picture) if isinstance(picture, Path) else picture
        return (labels > 0).astype(np.uint8) if self.merged else labels

    def read(self) -> Clip:
        """Read all pictures.

        Raises:
            ValueError: a picture does not decode, or has another size than the first.
        """
        pictures = []
        for number, item in enumerate(self.frames):
            pictures.append(decode_picture(item, f"{self.name} frame {number}"))
            if pictures[-1].shape != pictures[0].shape:
                raise ValueError(
                    f"{self.name} frame {number}: expected {pictures[0].shape[1]} x {pictures[0].shape[0]} "
                    f"pixels as the first frame, got {pictures[-1].shape[1]} x {pictures[-1].shape[0]}"
                )
        video = Video(np.stack(pictures), fps=self.info.fps)
        labels, annotated = None, None
        if self.masks:
            w, h = video.wh
            labels, annotated = np.zeros((len(video), h, w), np.uint8), np.zeros(len(video), bool)
            for number in self.masks:
                picture = self.label_picture(number)
                at = self.masks[number]
                named = at.name if isinstance(at, Path) else f"mask {number}"
                check_shape(picture, f"{h} {w}", f"{self.name}: {named}")
                labels[number], annotated[number] = picture, True
        return Clip(self.name, video, self.info, self.tracks, labels, annotated)


def decode_picture(item: Picture, name: str) -> np.ndarray:
    """Decode a file, its bytes, or the pixels themselves to (h, w, 3) uint8 RGB.

    Raises:
        FileNotFoundError: no such file. ValueError: not a picture; the message calls it `name`.
    """
    if isinstance(item, np.ndarray) and item.ndim == 3:
        return item
    if isinstance(item, Path) and not item.is_file():
        raise FileNotFoundError(f"{name}: expected a picture, found nothing at {item}")
    if not isinstance(item, Path | bytes):
        raise ValueError(f"{name}: expected a picture (JPEG or PNG frames), got an array of {item.shape}")
    at = f" ({item})" if isinstance(item, Path) else ""
    picture = decode(item, cv2.IMREAD_COLOR, f"{name}{at}: expected a picture (JPEG or PNG frames)")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def read_index_picture(path: Path) -> np.ndarray:
    """Read a PNG as (h, w) uint8: palette indices or grey levels. Raises ValueError for other files."""
    with indices(path) as picture:
        return np.array(picture if picture.mode in ("P", "L") else picture.convert("L"))


def _refuse(wrong: Tensor, expected: str) -> None:
    if bool(wrong.any()):
        frame, point = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"true tracks: expected {expected}, but point {point} on frame {frame} is not so "
            f"({int(wrong.sum())} in all)"
        )
