"""`Masks`: which pixels belong to each object, one mask per object and frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointtrack.checks import check_shape, checked_fps, counted, tensor_of, whole_numbers
from pointtrack.types.html import masks_html
from pointtrack.types.tables import to_detections
from pointtrack.types.times import checked_times, follow_rate, joined_frames, joined_times

# The most objects that one byte per pixel can tell apart from the background.
MOST_LABELS = 255


@dataclass(frozen=True, eq=False)
class Masks:
    """Which pixels belong to each object, on consecutive frames.

    Args:
        masks: (t, o, h, w) bool, at the size of the video. Objects may overlap. Not copied.
        object_ids: (o,) distinct whole numbers, the lasting ids of the objects; 1..o if not given.
        scores: (t, o) in [0, 1]: how sure each mask is; 1 if not given. Set to 0 where the mask is empty, as the object
            is absent there.
        first_frame: frame number of the first row, for pieces of a stream.
        fps: frames per second of the video.
        names: one per object, or none at all.
        times: (t,) seconds of every row in the video, increasing; None if they follow from `fps`, see `seconds`.

    Arrays work too.

    Raises:
        ValueError: shapes do not fit together, masks are not bool, ids are not distinct, or scores lie outside [0, 1].
    """

    masks: Tensor
    object_ids: Tensor = None  # type: ignore[assignment]
    scores: Tensor = None  # type: ignore[assignment]
    first_frame: int = 0
    fps: float = 30.0
    names: tuple[str, ...] = ()
    times: np.ndarray | None = None

    def __post_init__(self) -> None:
        masks = tensor_of(self.masks).detach().cpu()
        sizes = check_shape(masks, "t o h w", "masks")
        if masks.dtype != torch.bool:
            raise ValueError(
                f"masks: expected bool, got {masks.dtype}; logits become masks with `logits > 0`"
            )
        if not (sizes["h"] and sizes["w"]):
            raise ValueError(f"masks: expected at least one pixel, got {tuple(masks.shape)}")
        object.__setattr__(self, "masks", masks)
        ids = torch.arange(1, sizes["o"] + 1) if self.object_ids is None else self.object_ids
        object.__setattr__(self, "object_ids", _checked_ids(ids, sizes["o"]))
        present = self.present()
        scores = present if self.scores is None else self.scores
        scores = tensor_of(scores, torch.float32).detach().cpu()
        if scores.shape != present.shape:
            raise ValueError(
                f"masks scores: expected (frames, objects) {tuple(present.shape)}, got {tuple(scores.shape)}"
            )
        if not bool(((scores >= 0) & (scores <= 1)).all()):
            raise ValueError("masks scores: expected numbers in [0, 1]")
        object.__setattr__(self, "scores", scores * present)
        if isinstance(self.names, str) or len(self.names) not in (0, sizes["o"]):
            raise ValueError(
                f"masks names: expected one per object ({sizes['o']}) or none, got {self.names!r}"
            )
        object.__setattr__(self, "names", tuple(str(name) for name in self.names))
        if self.first_frame != int(self.first_frame) or self.first_frame < 0:
            raise ValueError(f"masks first_frame: expected a whole number from 0, got {self.first_frame}")
        object.__setattr__(self, "first_frame", int(self.first_frame))
        object.__setattr__(self, "fps", checked_fps(self.fps))
        if self.times is not None:
            object.__setattr__(self, "times", checked_times(self.times, sizes["t"], "masks times"))

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.masks)

    def __repr__(self) -> str:
        names = [name or f"object {number}" for name, number in zip(
            self.names or [""] * len(self.object_ids), self.object_ids.tolist(), strict=True
        )]  # fmt: skip
        what = f": {', '.join(names[:3])}{', ...' * (len(names) > 3)}" if names else ""
        return f"Masks({counted(len(names), 'object')} on {counted(len(self), 'frame')} of {self.wh[0]} x {self.wh[1]}{what})"

    def _repr_html_(self) -> str:
        return masks_html(self)

    def to_supervision(self, frame: int) -> Any:
        """Objects of one frame as `supervision.Detections`: masks, boxes, scores, ids as tracker_id, names as classes.

        Raises ValueError if the masks do not have that frame.
        """
        return to_detections(self, frame)

    @property
    def wh(self) -> tuple[int, int]:
        """Image size as (width, height) in pixels."""
        return self.masks.shape[3], self.masks.shape[2]

    def present(self) -> Tensor:
        """(t, o) bool: the object has at least one pixel."""
        # numpy stops at the first pixel found and reads rows many times faster than torch.
        return torch.from_numpy(self.masks.numpy().any(axis=(2, 3)))

    def overlapping(self) -> Tensor:
        """(t,) bool: some pixel belongs to more than one object."""
        doubled = [bool((frame.sum(axis=0, dtype=np.uint16) > 1).any()) for frame in self.masks.numpy()]
        return torch.tensor(doubled, dtype=torch.bool)

    def select(self, index: Any) -> Masks:
        """The objects at the given positions (indices, a slice or an (o,) bool mask), with their ids and names."""
        places = torch.arange(len(self.object_ids))[index].tolist()
        return replace(
            self,
            masks=self.masks[:, index],
            object_ids=self.object_ids[index],
            scores=self.scores[:, index],
            names=tuple(self.names[place] for place in places) if self.names else (),
        )

    def clip(self, start: int = 0, stop: int | None = None) -> Masks:
        """Rows start..stop-1, with `first_frame` set to match. The pixels are shared, not copied."""
        rows = slice(start, stop)
        first = self.first_frame + rows.indices(len(self))[0]
        times = None if self.times is None else self.times[rows]
        return replace(self, masks=self.masks[rows], scores=self.scores[rows], first_frame=first, times=times)

    def seconds(self) -> np.ndarray:
        """(t,) seconds of every row in the video: `times`, or frame numbers divided by `fps`. All writers use it."""
        if self.times is not None:
            return self.times
        return (self.first_frame + np.arange(len(self))) / self.fps

    def with_times(self, times: np.ndarray) -> Masks:
        """The same masks with the (t,) seconds of the video's frames; without, if `fps` gives the same to 0.1 ms."""
        times = checked_times(times, len(self), "masks times")
        return replace(self, times=None if follow_rate(times, self.first_frame, self.fps) else times)

    def exclusive(self) -> Masks:
        """The same with each pixel in at most one object: the one with the higher score, on a tie the earlier one."""
        overlapping = self.overlapping()
        if not bool(overlapping.any()):
            return self
        masks = self.masks.clone()
        order = torch.argsort(self.scores, dim=1, descending=True, stable=True)
        for row in overlapping.nonzero()[:, 0].tolist():
            frame = masks[row]
            taken = torch.zeros_like(frame[0])
            for place in order[row].tolist():
                frame[place] &= ~taken
                taken |= frame[place]
        return replace(self, masks=masks)

    def labels(self) -> Tensor:
        """(t, h, w) uint8 index pictures: 0 background, else 1 + the object's position in `object_ids`.

        Raises:
            ValueError: objects overlap (call `exclusive()` first), or there are more than 255.
        """
        if len(self.object_ids) > MOST_LABELS:
            raise ValueError(f"labels: expected at most {MOST_LABELS} objects, got {len(self.object_ids)}")
        overlapping = self.overlapping()
        if bool(overlapping.any()):
            frame = self.first_frame + int(overlapping.nonzero()[0])
            raise ValueError(
                f"labels: expected every pixel in one object at most, but objects overlap on frame {frame}; "
                "decide with masks.exclusive(), or save in a format that can overlap (coco, npz)"
            )
        t, _, h, w = self.masks.shape
        labels = torch.zeros(t, h, w, dtype=torch.uint8)
        for place in range(len(self.object_ids)):
            labels += self.masks[:, place].to(torch.uint8) * (place + 1)  # faster than writing by a mask
        return labels

    @classmethod
    def from_labels(
        cls,
        labels: Any,
        scores: Any = None,
        *,
        object_ids: Sequence[int] | None = None,
        first_frame: int = 0,
        fps: float = 30.0,
        names: Sequence[str] = (),
    ) -> Masks:
        """Index pictures -> masks.

        Args:
            labels: (t, h, w) whole numbers: 0 background, other values one object each.
            scores: (t, o), as for `Masks`.
            object_ids: the values to take, in this order; if not given, every value above 0 that occurs.

        Raises:
            ValueError: the labels are not whole numbers (t, h, w), or the parts do not fit together.
        """
        labels = np.asarray(labels)
        t, h, w = check_shape(labels, "t h w", "labels").values()
        if labels.dtype.kind not in "iu":
            raise ValueError(f"labels: expected whole numbers, got {labels.dtype}")
        if object_ids is None:
            values = {int(value) for frame in labels for value in np.unique(frame)}
            object_ids = sorted(value for value in values if value > 0)
        ids = _checked_ids(object_ids, len(object_ids))
        masks = np.empty((t, len(ids), h, w), bool)
        for place, value in enumerate(ids.tolist()):
            np.equal(labels, value, out=masks[:, place])
        return cls(torch.from_numpy(masks), ids, scores, first_frame=first_frame, fps=fps, names=tuple(names))

    @classmethod
    def concat(cls, parts: Sequence[Masks]) -> Masks:
        """Join pieces that follow each other in time, as a stream returns them.

        Objects are matched by id. An object missing from a piece is absent there.

        Raises:
            ValueError: there are no parts, the pieces differ in size, or two pieces have a gap between them.
        """
        frames = joined_frames(parts, "Masks.concat")
        names: dict[int, str] = {}
        for part in parts:
            for place, number in enumerate(part.object_ids.tolist()):
                names[number] = names.get(number) or (part.names[place] if part.names else "")
        columns = {number: column for column, number in enumerate(names)}
        width, height = parts[0].wh
        masks = torch.zeros(frames, len(columns), height, width, dtype=torch.bool)
        scores = torch.zeros(frames, len(columns))
        row = 0
        for part in parts:
            rows = slice(row, row := row + len(part))
            here = torch.tensor([columns[number] for number in part.object_ids.tolist()], dtype=torch.int64)
            masks[rows, here], scores[rows, here] = part.masks, part.scores
        kept = tuple(names.values()) if any(names.values()) else ()
        ids = torch.tensor(list(columns), dtype=torch.int64)
        return replace(
            parts[0], masks=masks, object_ids=ids, scores=scores, names=kept, times=joined_times(parts)
        )


def _checked_ids(ids: Any, objects: int) -> Tensor:
    """(o,) int64 on the CPU; refuses fractions and repeated ids."""
    ids = torch.as_tensor(ids)
    if ids.shape != (objects,):
        raise ValueError(f"object_ids: expected one per object ({objects},), got shape {tuple(ids.shape)}")
    ids = whole_numbers(ids, "object_ids")
    if len(torch.unique(ids)) != objects:
        raise ValueError(f"object_ids: expected distinct ids, got {ids.tolist()}")
    return ids
