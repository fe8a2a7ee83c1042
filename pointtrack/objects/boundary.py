"""Sharp outlines: the colours of the object and those around it decide where a rough mask ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from pointtrack.checks import check_shape
from pointtrack.objects.point_prompts import overlap
from pointtrack.segment.base import check_frame


@dataclass(frozen=True)
class OutlineRules:
    """How to move the outline of a rough mask. Lengths are in square roots of the mask's area.

    Args:
        core: pixels deeper than this inside a mask certainly belong to the object.
        reach: pixels farther than this outside certainly do not.
        gap, ring: the surroundings' colours are learnt in a ring of width `ring`, at a distance `gap` from the mask.
        seed: radius around a point within which pixels are as certain as the point.
        thin, own_colour: in parts too thin to reach the depth `core`, pixels deeper than the share `thin` of half the
            part's width are certain, if their colour is within `own_colour` standard deviations of one of the object's.
            Without this, a limb is cut off where its surroundings have its colour.
        cut_px, learn_px: the longer side to which a cut-out is reduced, to find the outline and to learn colours. Time
            grows with its pixels.
        least_overlap: a refined mask that overlaps the rough one less is rejected. Colours that do not discriminate
            give the whole belt to one side, which leaves a round object about 0.42 either way.
        proved, gain: an object's outlines are refined if, on the frame with its known mask, that gives at least the
            overlap `proved`, and `gain` more than the segmenter's answer.

    Raises:
        ValueError: a number is not positive.
    """

    core: float = 0.2
    reach: float = 0.3
    gap: float = 0.15
    ring: float = 0.4
    seed: float = 0.015
    thin: float = 0.5
    own_colour: float = 3.0
    cut_px: int = 400
    learn_px: int = 200
    least_overlap: float = 0.5
    proved: float = 0.8
    gain: float = 0.05

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"outline {name}: expected a number above 0, got {value}")


@dataclass(frozen=True, eq=False)
class ObjectColours:
    """The colours of an object; made by `learn_colours`.

    Attributes:
        mixture: (1, 65) float64, 5 Gaussians over BGR as OpenCV's GrabCut writes them.
        thin: parts thinner than the belt of `refine_outline` keep their middle where it has a colour of the object.
    """

    mixture: np.ndarray
    thin: bool = False


def learn_colours(frame: np.ndarray, mask: Tensor, rules: OutlineRules | None = None) -> ObjectColours | None:
    """Learn the colours of an object on a frame where its mask is known.

    Args:
        frame: (h, w, 3) uint8 RGB.
        mask: (h, w) bool.
        rules: by default `OutlineRules()`.

    Returns:
        The colours; None where the mask is empty or covers the frame.

    Raises:
        ValueError: a frame of another kind, or a mask that does not fit it.
    """
    learnt = _mixtures(frame, _checked(frame, mask), rules or OutlineRules())
    return None if learnt is None else ObjectColours(learnt[0])


def refine_outline(
    frame: np.ndarray,
    mask: Tensor,
    colours: ObjectColours | None = None,
    *,
    inside: Tensor | None = None,
    outside: Tensor | None = None,
    rules: OutlineRules | None = None,
) -> Tensor:
    """Move the outline of a rough mask to where the colours change.

    Pixels in a belt along the outline go to the object or to its surroundings, whichever their colours resemble more,
    with borders along edges of the picture. The belt is wide: a missing or surplus part may be up to a third of the
    object's size across. If `colours.thin` is set, parts thinner than the belt keep their middle where it has a colour
    of the object. The surroundings' colours are learnt on this frame, as they change with the view.

    Args:
        frame: (h, w, 3) uint8 RGB.
        mask: (h, w) bool, roughly the object.
        colours: of the object, from a frame where its mask was known. By default those under this mask, which include
            other colours as far as the mask is wrong.
        inside: (n, 2) points on the object, in pixels; only connected pieces that hold one remain. Points beyond the
            belt have no effect.
        outside: (m, 2) points not on it.
        rules: by default `OutlineRules()`.

    Returns:
        (h, w) bool; the mask unchanged if it is empty or full, or if the refined one overlaps it less than
        `least_overlap`.

    Raises:
        ValueError: a frame of another kind, or a mask or points that do not fit.

    Source: Rother et al., GrabCut, 2004; here the colour models stay as they were learnt.
    """
    rules, coarse = rules or OutlineRules(), _checked(frame, mask)
    own, others = (torch.zeros(0, 2) if xy is None else xy.float().cpu() for xy in (inside, outside))
    for xy, name in ((own, "inside"), (others, "outside")):
        check_shape(xy, "n 2", f"{name} points")
    colours = colours or learn_colours(frame, mask, rules)
    if colours is None:
        return mask
    side = float(np.sqrt(np.count_nonzero(coarse)))
    beside = _mixtures(frame, _distance_to(coarse) <= rules.gap * side, rules) if coarse.any() else None
    if beside is None:
        return mask
    cut = _CutOut(coarse, rules.reach, rules.cut_px)
    picture = cut.reduce(frame)
    coloured = _has(colours, picture, rules.own_colour) if colours.thin else None
    labels = cut.labels(cut.reduce_mask(coarse), own.numpy(), others.numpy(), coloured, rules)
    if len(np.unique(labels & 1)) < 2:  # GrabCut needs pixels of both sides
        return mask
    held = cut.disks(own.numpy(), rules.seed) if len(own) else labels == cv2.GC_FGD
    _grabcut(picture, labels, colours.mixture.copy(), beside[1], cv2.GC_EVAL_FREEZE_MODEL)
    refined = torch.from_numpy(cut.restore(_pieces_with(labels & 1, held)))
    believed = overlap(refined, mask.cpu()) >= rules.least_overlap
    return refined.to(mask.device) if believed else mask


def _mixtures(
    frame: np.ndarray, mask: np.ndarray, rules: OutlineRules
) -> tuple[np.ndarray, np.ndarray] | None:
    """(1, 65) colours inside a (h, w) bool mask, and in a ring around it; None if either is empty."""
    if not mask.any():
        return None
    cut = _CutOut(mask, rules.ring, rules.learn_px)
    labels = np.where(cut.reduce_mask(mask), cv2.GC_FGD, cv2.GC_BGD).astype(np.uint8)
    if (labels == labels[0, 0]).all():
        return None
    # GrabCut groups colours by k-means, which draws from OpenCV's own generator.
    cv2.setRNGSeed(0)
    inside, around = np.zeros((1, 65)), np.zeros((1, 65))
    _grabcut(cut.reduce(frame), labels, inside, around, cv2.GC_INIT_WITH_MASK)
    return inside, around


class _CutOut:
    """The part of a frame around a mask, reduced in size.

    Args:
        mask: (h, w) bool, not empty.
        reach: margin around the mask, in square roots of its area.
        longest_px: the cut-out is reduced until its longer side is at most this.
    """

    def __init__(self, mask: np.ndarray, reach: float, longest_px: int) -> None:
        self.hw = mask.shape
        self.side = float(np.sqrt(np.count_nonzero(mask)))
        margin = round(reach * self.side) + 2
        ys, xs = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        self.top, self.left = max(0, ys[0] - margin), max(0, xs[0] - margin)
        self.area = (slice(self.top, ys[-1] + margin + 1), slice(self.left, xs[-1] + margin + 1))
        self.full_hw = mask[self.area].shape
        self.scale = min(1.0, longest_px / max(self.full_hw))
        self.wh = (max(1, round(self.full_hw[1] * self.scale)), max(1, round(self.full_hw[0] * self.scale)))

    def reduce(self, frame: np.ndarray) -> np.ndarray:
        """(h, w, 3) RGB -> the cut-out, reduced, BGR."""
        return cv2.cvtColor(
            cv2.resize(frame[self.area], self.wh, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR
        )

    def reduce_mask(self, mask: np.ndarray) -> np.ndarray:
        """(h, w) bool -> the cut-out, reduced; bool."""
        return cv2.resize(mask[self.area].astype(np.float32), self.wh, interpolation=cv2.INTER_AREA) > 0.5

    def restore(self, labels: np.ndarray) -> np.ndarray:
        """0 or 1 per reduced pixel -> (h, w) bool, False outside the cut-out."""
        h, w = self.full_hw
        mask = np.zeros(self.hw, bool)
        mask[self.area] = cv2.resize(labels.astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR) > 0.5
        return mask

    def labels(
        self,
        mask: np.ndarray,
        own: np.ndarray,
        others: np.ndarray,
        coloured: np.ndarray | None,
        rules: OutlineRules,
    ) -> np.ndarray:
        """GrabCut's label for every reduced pixel, uint8.

        Args:
            mask, coloured: reduced (h', w') bool, the rough mask, and the pixels with colours of the object; None if
                thin parts get no special treatment.
            own, others: points on the object and beside it, in pixels of the frame.
        """
        side = self.side * self.scale
        near = _distance_to(mask) <= max(rules.reach * side, 2)
        labels = np.where(near, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
        labels[mask] = cv2.GC_PR_FGD
        depth = _distance_to(~np.pad(mask, 1))[1:-1, 1:-1]
        deep = max(rules.core * side, 2)
        labels[depth > deep] = cv2.GC_FGD
        if coloured is not None:
            labels[_middle(depth, deep / rules.thin, rules.thin) & coloured] = cv2.GC_FGD
        labels[self.disks(others, rules.seed)] = cv2.GC_BGD
        labels[self.disks(own, rules.seed) & near] = cv2.GC_FGD
        return labels

    def disks(self, xy: np.ndarray, seed: float) -> np.ndarray:
        """(n, 2) points in pixels of the frame -> (h', w') bool reduced pixels within the radius `seed` of one."""
        picture = np.zeros(self.wh[::-1], np.uint8)
        radius = round(seed * self.side * self.scale)
        for x, y in ((xy + 0.5 - (self.left, self.top)) * self.scale - 0.5).round().astype(int).tolist():
            cv2.circle(picture, (x, y), radius, 1, thickness=-1)
        return picture.astype(bool)


def _grabcut(
    picture: np.ndarray, labels: np.ndarray, inside: np.ndarray, around: np.ndarray, mode: int
) -> None:
    """Run one round of GrabCut; writes into labels, and into the models unless the mode freezes them."""
    solve: Any = cv2.grabCut
    solve(picture, labels, None, around, inside, 1, mode)


def _pieces_with(drawn: np.ndarray, certain: np.ndarray) -> np.ndarray:
    """The connected pieces of a (h, w) picture of 0 and 1 that hold a certain pixel; all pieces if none does."""
    count, pieces = cv2.connectedComponents(drawn, connectivity=4)
    kept = np.zeros(count, np.uint8)
    kept[pieces[certain & (drawn > 0)]] = 1
    return kept[pieces] if kept.any() else drawn


def _has(colours: ObjectColours, picture: np.ndarray, deviations: float) -> np.ndarray:
    """Where a picture has colours of an object: (h, w, 3) uint8 BGR -> (h, w) bool."""
    weights, means, spreads = np.split(colours.mixture[0], [5, 20])
    close = np.zeros(picture.shape[:2], bool)
    for weight, mean, spread in zip(weights, means.reshape(5, 3), spreads.reshape(5, 3, 3), strict=True):
        if weight > 0:
            away = picture - mean
            # OpenCV makes the spread of a uniform colour invertible too.
            squared = np.einsum("hwi,ij,hwj->hw", away, np.linalg.inv(spread), away, optimize=True)
            close |= squared <= deviations**2
    return close


def _middle(depth: np.ndarray, widest: float, share: float) -> np.ndarray:
    """The middle of all parts of a mask: pixels deeper than a share of half the part's width.

    Args:
        depth: (h, w) distance to the nearest pixel outside the mask, 0 outside.
        widest: half the width of the widest parts that count, in pixels.

    Returns:
        (h, w) bool. Half the width at a pixel is the radius of the largest disk inside the mask that covers the pixel.
    """
    middle, covered = np.zeros(depth.shape, bool), np.zeros(depth.shape, bool)
    radius = min(float(depth.max()), widest)
    while radius >= 1:
        disks = (_distance_to(depth >= radius) <= radius) & ~covered
        middle |= disks & (depth > max(share * radius, 1))
        covered |= disks
        radius /= 1.25
    return middle


def _distance_to(mask: np.ndarray) -> np.ndarray:
    """(h, w) distance of every pixel to the nearest one of a mask; infinite if the mask is empty."""
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    return cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)


def _checked(frame: np.ndarray, mask: Tensor) -> np.ndarray:
    """The mask as an array. Raises ValueError for an unusable frame, or a mask that does not fit it."""
    w, h = check_frame(frame)
    if tuple(mask.shape) != (h, w) or mask.dtype != torch.bool:
        raise ValueError(
            f"mask: expected bool of shape (h, w) = {(h, w)} as the frame, got {mask.dtype} {tuple(mask.shape)}"
        )
    return mask.cpu().numpy()
