"""Mask metrics of DAVIS: region similarity J, boundary accuracy F, and their mean, recall and decay.

Masks are (t, h, w) bool, numpy arrays or tensors on the CPU. All values are in [0, 1], higher is better, except
decay: the loss from the first to the last quarter of a sequence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from pointtrack.checks import check_shape
from pointtrack.types.masks import Masks

BOUND_TH = 0.008
RECALL_ABOVE = 0.5
QUARTERS = 4


def region_similarity(masks: Any, truth: Any, void: Any = None) -> np.ndarray:
    """J: intersection over union on every frame; 1 where both are empty.

    Args:
        masks, truth: (t, h, w) bool.
        void: (t, h, w) bool pixels that do not count.

    Returns:
        (t,) float64.

    Raises:
        ValueError: shapes that differ, or arrays that are not bool.

    Source: Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation, 2016.
    """
    masks, truth, void = _checked(masks, truth, void)
    values = np.ones(len(masks))
    for frame, (mask, true) in enumerate(zip(masks, truth, strict=True)):
        union, both = mask | true, mask & true
        if void is not None:
            union, both = union & ~void[frame], both & ~void[frame]
        pixels = np.count_nonzero(union)
        if pixels:
            values[frame] = np.count_nonzero(both) / pixels
    return values


def boundary_accuracy(masks: Any, truth: Any, void: Any = None, *, bound_th: float = BOUND_TH) -> np.ndarray:
    """F: harmonic mean of precision and recall of the boundary pixels on every frame.

    A boundary pixel is found if a pixel of the other boundary lies within ceil(bound_th * image diagonal)
    pixels. A mask without a boundary matches only another mask without one.

    Args:
        masks, truth: (t, h, w) bool.
        void: (t, h, w) bool pixels that do not count; they are taken out of both masks.
        bound_th: tolerance as a share of the image diagonal; from 1 on, in pixels.

    Returns:
        (t,) float64.

    Raises:
        ValueError: shapes that differ, arrays that are not bool, or a tolerance that is not positive.

    Source: as `region_similarity`; the disk in place of a matching is that of the DAVIS benchmark.
    """
    if not bound_th > 0:
        raise ValueError(f"bound_th: expected a positive share of the image diagonal, got {bound_th}")
    masks, truth, void = _checked(masks, truth, void)
    radius = math.ceil(bound_th if bound_th >= 1 else bound_th * math.hypot(*masks.shape[1:]))
    reach = np.arange(-radius, radius + 1)
    disk = (reach[:, None] ** 2 + reach**2 <= radius**2).astype(np.uint8)
    values = np.empty(len(masks))
    for frame, (mask, true) in enumerate(zip(masks, truth, strict=True)):
        if void is not None:
            mask, true = mask & ~void[frame], true & ~void[frame]
        drawn, wanted = boundary(mask), boundary(true)
        drawn_pixels, wanted_pixels = np.count_nonzero(drawn), np.count_nonzero(wanted)
        if not drawn_pixels or not wanted_pixels:
            values[frame] = float(drawn_pixels == wanted_pixels)
            continue
        precision = np.count_nonzero(drawn & _dilated(wanted, disk)) / drawn_pixels
        recall = np.count_nonzero(wanted & _dilated(drawn, disk)) / wanted_pixels
        values[frame] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return values


def boundary(mask: np.ndarray) -> np.ndarray:
    """(h, w) bool -> (h, w) bool pixels that differ from the one to the right, below, or below to the right.

    The border of the image is no boundary.
    """
    edge = np.zeros_like(mask)
    edge[:, :-1] = mask[:, :-1] ^ mask[:, 1:]
    edge[:-1] |= mask[:-1] ^ mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edge


@dataclass(frozen=True)
class Statistics:
    """DAVIS statistics of one object's values over time: mean, share above 0.5, and decay."""

    mean: float
    recall: float
    decay: float


def statistics(values: np.ndarray) -> Statistics:
    """(t,) values -> their mean, the share above 0.5, and first quarter minus last quarter.

    Adjacent quarters share the frame between them, as in DAVIS. (The code of DAVIS counts frames in one byte there, so
    its decay differs beyond 256 frames.) NaN without any values.
    """
    if not len(values):
        return Statistics(math.nan, math.nan, math.nan)
    limits = np.floor(np.linspace(1, len(values), QUARTERS + 1) + 0.5).astype(int) - 1
    first, last = values[: limits[1] + 1], values[limits[-2] : limits[-1] + 1]
    return Statistics(
        mean=float(values.mean()),
        recall=float((values > RECALL_ABOVE).mean()),
        decay=float(first.mean() - last.mean()),
    )


@dataclass(frozen=True, eq=False)
class ObjectScore:
    """J and F of one object on the frames that count.

    Args:
        object_id: of the truth.
        frames: (k,) numbers of the frames that count.
        j, f: (k,) values in [0, 1].
    """

    object_id: int
    frames: np.ndarray
    j: np.ndarray
    f: np.ndarray

    def summary(self) -> dict[str, float]:
        """ "jf_mean" and for J and F "j_mean", "j_recall", "j_decay"; NaN where no frame counts."""
        j, f = statistics(self.j), statistics(self.f)
        parts = {"j": j, "f": f}
        values = {f"{n}_{k}": getattr(s, k) for n, s in parts.items() for k in ("mean", "recall", "decay")}
        return {"jf_mean": (j.mean + f.mean) / 2, **values}


def counted_frames(annotated: Tensor, first_frames: Tensor) -> Tensor:
    """The frames that count for each object in the semi-supervised protocol.

    Args:
        annotated: (t,) bool frames with truth.
        first_frames: (o,) frame on which the method gets each object.

    Returns:
        (t, o) bool: annotated frames after the object's first one, without the last annotated one. For DAVIS
        that leaves out the first and the last frame, as its benchmark does.
    """
    frame = torch.arange(len(annotated))
    known = annotated.nonzero().flatten()
    last = int(known[-1]) if len(known) else 0
    return (annotated & (frame < last))[:, None] & (frame[:, None] > first_frames[None])


def score_masks(
    masks: Masks, truth: Masks, counted: Tensor, void: Any = None, *, bound_th: float = BOUND_TH
) -> list[ObjectScore]:
    """J and F of every object of the truth.

    Args:
        masks: the answer; objects match by id, missing ones count as empty everywhere, others are ignored.
        truth: as many frames of the same size.
        counted: (t, o) bool frames that count, `o` as in the truth.
        void: (t, h, w) bool pixels that do not count.

    Raises:
        ValueError: another number of frames or another size than the truth.
    """
    t, o, h, w = truth.masks.shape
    check_shape(masks.masks, f"{t} _ {h} {w}", "masks")
    check_shape(counted, f"{t} {o}", "counted")
    place = {object_id: i for i, object_id in enumerate(masks.object_ids.tolist())}
    scores = []
    for i, object_id in enumerate(truth.object_ids.tolist()):
        rows = counted[:, i].nonzero().flatten().numpy()
        true = truth.masks[rows, i].numpy()
        here = masks.masks[rows, place[object_id]].numpy() if object_id in place else np.zeros_like(true)
        left_out = None if void is None else np.asarray(void)[rows]
        f = boundary_accuracy(here, true, left_out, bound_th=bound_th)
        scores.append(ObjectScore(object_id, rows, region_similarity(here, true, left_out), f))
    return scores


def mean_summary(summaries: Iterable[dict[str, Any]]) -> dict[str, float | None]:
    """Mean over all objects of a data set, as in DAVIS; None if no value is known.

    J&F is the mean of the means of J and of F.
    """
    rows: Sequence[dict[str, Any]] = list(summaries)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: mean_of(row[name] for row in rows) for name in names}


def mean_of(values: Iterable[float | None]) -> float | None:
    """Mean of the known values (neither None nor NaN); None if there are none."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    return sum(known) / len(known) if known else None


def _checked(masks: Any, truth: Any, void: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    arrays = {"masks": np.asarray(masks), "truth": np.asarray(truth)}
    if void is not None:
        arrays["void"] = np.asarray(void)
    sizes = " ".join(map(str, check_shape(arrays["truth"], "t h w", "truth").values()))
    for name, array in arrays.items():
        check_shape(array, sizes, name)
        if array.dtype != bool:
            raise ValueError(f"{name}: expected bool, got {array.dtype}")
    return arrays["masks"], arrays["truth"], arrays.get("void")


def _dilated(edge: np.ndarray, disk: np.ndarray) -> np.ndarray:
    return cv2.dilate(edge.view(np.uint8), disk).view(bool)
