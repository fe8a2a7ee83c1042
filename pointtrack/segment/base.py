"""The interface of every segmenter: `Prompt` in, `Candidates` out, and an `Embedding` of the frame in between.

A segmenter encodes a frame once (`encode`) and answers any number of prompts on it (`decode`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from pointtrack.checks import check_shape, plain, tensor_of
from pointtrack.geometry import inside_image, swapped_hint

CORNERS = "a box is two opposite corners, not a corner and a size"
# A box may extend this far beyond the frame: some tools give the last pixel, some the one after it.
BOX_SLACK_PX = 1.0


@dataclass(frozen=True, eq=False)
class Prompt:
    """A prompt on one frame: points, a box, an earlier answer, or several of these.

    Args:
        points: (k, 2) points as (x, y) in pixels of the frame; (0, 0) is the centre of the top-left pixel.
        labels: (k,) whether each point is on the object (True) or beside it (False); all on it if None.
        box: (4,) corners x0, y0, x1, y1 around the object, in pixels of the frame.
        mask_logits: (h', w') `Candidates.low` of an earlier answer of the same segmenter.

    Lists and arrays work too.

    Raises:
        ValueError: nothing is given, shapes do not fit, coordinates or logits are not finite, labels are not 0 or 1, or
            the box has no area.

    >>> len(Prompt(points=[[10, 20], [30, 20]], labels=[1, 0]).points)
    2
    """

    points: Tensor = None  # type: ignore[assignment]
    labels: Tensor = None  # type: ignore[assignment]
    box: Tensor | None = None
    mask_logits: Tensor | None = None

    def __post_init__(self) -> None:
        points = _floats([] if self.points is None else self.points, "prompt points").cpu()
        if points.numel() == 0:
            points = points.new_zeros(0, 2)
        k = check_shape(points, "k 2", "prompt points")["k"]
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "labels", _labels(self.labels, k))
        if self.box is not None:
            object.__setattr__(self, "box", _box(self.box))
        if self.mask_logits is not None:
            mask_logits = _floats(self.mask_logits, "prompt mask_logits")
            check_shape(mask_logits, "h w", "prompt mask_logits")
            object.__setattr__(self, "mask_logits", mask_logits)
        if k == 0 and self.box is None and self.mask_logits is None:
            raise ValueError("prompt: expected points, a box or mask_logits, got none of them")


@dataclass(frozen=True, eq=False)
class Embedding:
    """A frame encoded by a segmenter; `encode` makes it for `decode` of the same segmenter.

    Attributes:
        wh: size of the frame in pixels.
        features: (c, h', w') one feature per cell of a grid over the frame, from its top-left corner.
        extent_wh: (width, height) in pixels of the frame that the whole grid spans: `wh`, or up to one cell
            more if the cells do not end with the frame.
        made_by: name of the segmenter.
        parts: whatever else the segmenter's decoder needs; private to it.
        closer: a second embedding of the same frame (`Segmenter.look_closer`), or None. If present, prompts are
            answered from both.
    """

    wh: tuple[int, int]
    features: Tensor
    extent_wh: tuple[float, float] = None  # type: ignore[assignment]
    made_by: str = ""
    parts: tuple[Tensor, ...] = ()
    closer: Embedding | None = None

    def __post_init__(self) -> None:
        check_shape(self.features, "c h w", "embedding features")
        if self.extent_wh is None:
            object.__setattr__(self, "extent_wh", (float(self.wh[0]), float(self.wh[1])))


@dataclass(frozen=True, eq=False)
class Candidates:
    """Masks that one prompt may mean, on the segmenter's device.

    Args:
        logits: (m, h, w) at the size of the frame; the mask is where they are above 0.
        scores: (m,) predicted overlap (IoU) of each mask with the intended one.
        low: (m, h', w') the same logits at the decoder's own size, for use in a later prompt.
        there: in [0, 1], how likely there is one object under the prompt at all; None if the segmenter does not
            predict it.

    Raises:
        ValueError: there is no candidate, or shapes do not fit.
    """

    logits: Tensor
    scores: Tensor
    low: Tensor
    there: float | None = None

    def __post_init__(self) -> None:
        m = check_shape(self.logits, "m h w", "candidate logits")["m"]
        check_shape(self.scores, f"{m}", "candidate scores")
        check_shape(self.low, f"{m} _ _", "candidate low logits")
        if m == 0:
            raise ValueError("candidates: expected at least one, got none")

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def masks(self) -> Tensor:
        """(m, h, w) bool."""
        return self.logits > 0

    def best(self) -> int:
        """Position of the candidate with the highest score."""
        return int(self.scores.argmax())


@runtime_checkable
class Segmenter(Protocol):
    """Encodes a frame once, and answers any number of prompts on it.

    Attributes:
        name: name of the model.
        licence: SPDX name of the licence of its weights.
        device: where it runs; embeddings and candidates are there too.
        coarse: True if its outlines are so coarse that colours show better where an object ends.
    """

    name: str
    licence: str
    device: torch.device
    coarse: bool

    def encode(self, frame: np.ndarray) -> Embedding:
        """(h, w, 3) uint8 RGB -> embedding. Raises ValueError for anything else."""
        ...

    def look_closer(self, frame: np.ndarray, embedding: Embedding) -> Embedding:
        """A closer embedding of a frame that a person prompts, where the answer may take twice as long.

        Args:
            frame: (h, w, 3) uint8 RGB.
            embedding: of it, from `encode`.

        Returns:
            The embedding with a second look added, or unchanged if the segmenter does not use one.
        """
        ...

    def decode(self, embedding: Embedding, prompt: Prompt, *, several: bool = True) -> Candidates:
        """Masks for a prompt on an encoded frame; the frame is not encoded again.

        Args:
            embedding: from `encode` of this segmenter.
            prompt: the prompt to answer.
            several: three candidates for a prompt that may mean more than one thing, such as a single
                click (a part, an object, a group); one where False.

        Raises:
            ValueError: a prompt outside the frame, mask_logits of another size, or an embedding that
                another segmenter made.
        """
        ...

    def as_low(self, mask: Tensor) -> Tensor:
        """A (h, w) bool mask of a frame as (h', w') `mask_logits`, as if it had been answered there."""
        ...


# Logits of certain pixels in a mask that serves as a prompt.
CERTAIN_LOGIT = 4.0


def check_frame(frame: Any) -> tuple[int, int]:
    """Check that a frame is (h, w, 3) uint8 RGB, and return its (width, height). Raises ValueError otherwise."""
    if not isinstance(frame, np.ndarray):
        raise ValueError(  # noqa: TRY004
            f"frame: expected a numpy array (h, w, 3) uint8 RGB, got {type(frame).__name__}; "
            "convert with np.asarray(frame)"
        )
    if frame.ndim != 3 or frame.shape[-1] != 3 or 0 in frame.shape:
        raise ValueError(f"frame: expected one frame of shape (h, w, 3), RGB last, got {frame.shape}")
    if frame.dtype != np.uint8:
        raise ValueError(
            f"frame: expected uint8 values 0..255, got {frame.dtype}; "
            "convert with (frame * 255).round().astype('uint8') if they are in 0..1"
        )
    return frame.shape[1], frame.shape[0]


def check_inside(prompt: Prompt, wh: tuple[int, int]) -> None:
    """Raise ValueError if a point or the box of a prompt lies outside a frame of size `wh`."""
    w, h = wh
    outside = ~inside_image(prompt.points, wh)
    if outside.any():
        at = int(outside.nonzero()[0])
        raise ValueError(
            f"prompt points: expected (x, y) within the {w} x {h} frame, got {prompt.points[at].tolist()} "
            f"for point {at}; leave it out{swapped_hint(prompt.points[at], wh)}"
        )
    if prompt.box is not None:
        limit = prompt.box.new_tensor([w, h, w, h]) - 1 + BOX_SLACK_PX
        if ((prompt.box < -BOX_SLACK_PX) | (prompt.box > limit)).any():
            raise ValueError(
                f"prompt box: expected x0, y0, x1, y1 within the {w} x {h} frame, got {prompt.box.tolist()}; "
                f"clip it to the frame, and mind that {CORNERS}"
            )


def checked_mask(mask: Any, wh: tuple[int, int]) -> Tensor:
    """A copy of a mask as (h, w) bool on the CPU. Raises ValueError for another size or type, or an empty mask."""
    mask = tensor_of(plain(mask)).detach().cpu()
    size = (wh[1], wh[0])
    if tuple(mask.shape) != size or mask.dtype != torch.bool:
        raise ValueError(
            f"prompt mask: expected bool of shape (h, w) = {size} as the video, "
            f"got {mask.dtype} {tuple(mask.shape)}"
        )
    if not mask.any():
        raise ValueError(
            "prompt mask: expected some pixel in it, got an empty mask; say mark_absent(object, frame) for an object "
            "that is not there"
        )
    return mask.clone()


def check_prompt(prompt: Prompt, embedding: Embedding, made_by: str, low_wh: tuple[int, int]) -> None:
    """Check that a segmenter can answer a prompt on a frame.

    Args:
        prompt, embedding: the arguments of `decode`.
        made_by: name of the segmenter.
        low_wh: size of the mask_logits that it takes.

    Raises:
        ValueError: a point or a box outside the frame, mask_logits of another size, or an embedding that
            another segmenter made.
    """
    if embedding.made_by != made_by:
        raise ValueError(
            f"embedding: expected one that {made_by} made, got one of {embedding.made_by or 'unknown origin'}; "
            "encode the frame with the segmenter that decodes it"
        )
    check_inside(prompt, embedding.wh)
    if prompt.mask_logits is not None:
        got_h, got_w = prompt.mask_logits.shape
        if (got_w, got_h) != tuple(low_wh):
            raise ValueError(
                f"prompt mask_logits: expected ({low_wh[1]}, {low_wh[0]}), which {made_by} answers with in "
                f"Candidates.low, got ({got_h}, {got_w})"
            )


def _floats(values: Any, name: str) -> Tensor:
    values = tensor_of(values, torch.float32).detach()
    if not torch.isfinite(values).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    return values


def _labels(labels: Any, k: int) -> Tensor:
    """(k,) bool. Refuses numbers other than 0 and 1, as they have special meanings in other tools."""
    labels = torch.ones(k) if labels is None else tensor_of(labels).detach().cpu()
    if labels.shape != (k,):
        raise ValueError(f"prompt labels: expected one per point ({k},), got shape {tuple(labels.shape)}")
    if not ((labels == 0) | (labels == 1)).all():
        raise ValueError(f"prompt labels: expected 1 (on the object) or 0 (beside it), got {labels.tolist()}")
    return labels.bool()


def _box(box: Any) -> Tensor:
    box = _floats(box, "prompt box").cpu()
    check_shape(box, "4", "prompt box")
    x0, y0, x1, y1 = box.tolist()
    if not (x0 < x1 and y0 < y1):
        raise ValueError(f"prompt box: expected x0 < x1 and y0 < y1, got {box.tolist()}; {CORNERS}")
    return box
