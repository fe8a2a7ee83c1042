"""One object on one frame: points, memory and the previous mask prompt a segmenter and select among its candidates."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pointtrack.objects.boundary import OutlineRules
from pointtrack.objects.memory import Recollection
from pointtrack.objects.object_points import PointRules
from pointtrack.objects.point_prompts import (
    agreement,
    area,
    nearest_others,
    overlap,
    read_mask,
    spread_points,
)
from pointtrack.segment.base import Embedding, Prompt, Segmenter
from pointtrack.types import VISIBLE

# A point this deep inside an outline is on the object even if the outline is a little off. A fixed depth gives thin
# parts points too.
EDGE_PX = 5.0


@dataclass(frozen=True)
class ObjectOptions:
    """How points become masks.

    Attributes:
        positives, negatives: largest number of points on the object, and on others, in a prompt.
        rounds: rounds of prompting; each after the first also passes the previous round's mask.
        visible, confident: visibility and confidence above which a point counts on a frame.
        present: least agreement of mask and points (`point_prompts.agreement`) for an object to count as present.
        temporal_weight: weight of the overlap with the previous mask, moved along with the points, in the choice among a
            segmenter's candidates.
        max_misses: frames in a row on which a visible point may lie outside its object's mask before it is dropped for
            good.
        reseed_below: with fewer usable points, the mask provides new ones (needs a tracker).
        reseed_every: least number of frames between two reseedings, as each costs a pass of the tracker.
        confident_agreement: least agreement for a mask to drop points, provide new ones, and be remembered.
        prior: weight of the memory's logits for each pixel, which are added to the segmenter's (`memory.ObjectMemory`
            on the features of the tracker, or of the segmenter if there is none).
        sharpen: move outlines to where the object's colours end; the colours are those under its first known mask
            (`boundary.py`). None does so if the segmenter is `coarse`.
        outline: how to move them.
        min_similarity: similarity to the memory above which a cell can hardly show anything else.
        cells: number of such cells that a place needs before an object without points is found again there.
        neighbour_similarity: similarity that the other cells of the place need.
        found: least overlap of mask and place for the object to count as found.
        faded: the object is searched for elsewhere if `Signs.faded` exceeds this; it moves to a place whose
            `Signs.known` is higher by more than this.
        few: with fewer points, an object whose mask is not recognised counts as absent.
        recognised, found_recognised: least `Signs.known`, as a share of what it was on the first frames, for such a mask,
            and for one that was found by its appearance alone.
    """

    positives: int = 8
    negatives: int = 8
    rounds: int = 2
    visible: float = VISIBLE
    confident: float = 0.25
    present: float = 0.4
    temporal_weight: float = 0.5
    max_misses: int = 3
    reseed_below: int = 5
    reseed_every: int = 4
    confident_agreement: float = 0.7
    prior: float = 1.0
    sharpen: bool | None = None
    outline: OutlineRules = field(default_factory=OutlineRules)
    min_similarity: float = 0.8
    cells: int = 4
    neighbour_similarity: float = 0.65
    found: float = 0.5
    faded: float = 0.25
    few: int = 5
    recognised: float = 0.33
    found_recognised: float = 0.6

    def __post_init__(self) -> None:
        for name, least in (
            ("positives", 1),
            ("negatives", 0),
            ("rounds", 1),
            ("max_misses", 1),
            ("reseed_every", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"densify {name}: expected {least} or more, got {getattr(self, name)}")

    @property
    def rules(self) -> PointRules:
        """Which points count."""
        return PointRules(self.visible, self.confident)


@dataclass(frozen=True, eq=False)
class Evidence:
    """The evidence for an object on a frame before the segmenter runs.

    Attributes:
        own, beside: (n, 2), (m, 2) pixels on the object, and not on it.
        prior: (h, w) the memory's logits of every pixel; 0 without a memory.
        before: (h, w) bool, the last mask moved to where it should be now, or None.
    """

    own: Tensor
    beside: Tensor
    prior: Tensor
    before: Tensor | None


@dataclass(frozen=True, eq=False)
class Answer:
    """A mask for an object.

    Attributes:
        mask: (h, w) bool, not empty.
        agrees: how well it agrees with the evidence, at most 1.
        predicted, there: the segmenter's predictions for it; see `Signs`.
    """

    mask: Tensor
    agrees: float
    predicted: float = 1.0
    there: float = 1.0


def answer_points(
    segmenter: Segmenter, embedding: Embedding, evidence: Evidence, config: ObjectOptions
) -> Answer | None:
    """The mask that agrees best with points, memory and the previous mask; None if none agrees enough.

    Args:
        segmenter, embedding: of the frame.
        evidence: with at least one own point.
        config: how points become masks.
    """
    own, before = evidence.own, evidence.before
    beside = evidence.beside[nearest_others(own, evidence.beside, config.negatives)]
    requested = own if before is None else _inside_or_all(own, before)
    low = None
    best: tuple[float, Answer] | None = None
    for _ in range(config.rounds):
        chosen = _prompt_points(requested, None if best is None else best[1].mask, config.positives)
        points = torch.cat([chosen, beside])
        labels = torch.arange(len(points)) < len(chosen)
        candidates = segmenter.decode(embedding, Prompt(points, labels, None, low), several=True)
        for i, logits in enumerate(candidates.logits.float().cpu() + evidence.prior):
            mask = pieces_with(logits > 0, requested)
            agrees = agreement(mask, own, beside)
            value = agrees + 0.5 * float(candidates.scores[i])
            if before is not None:
                value += config.temporal_weight * overlap(mask, before)
            if area(mask) and (best is None or value > best[0]):
                there = 1.0 if candidates.there is None else candidates.there
                answer = Answer(mask, min(agrees, 1.0), float(candidates.scores[i]), there)
                best, low = (value, answer), candidates.low[i]
    return best[1] if best is not None and best[1].agrees >= config.present else None


def find_again(
    segmenter: Segmenter,
    embedding: Embedding,
    grid: Embedding,
    recollection: Recollection,
    config: ObjectOptions,
) -> Answer | None:
    """Find an object without visible points by its appearance; None if too little looks like it.

    Args:
        segmenter, embedding: of the frame.
        grid: the cells that the memory was read with.
        recollection: the memory's answer for them, of this object alone, read `anywhere`.
        config: how points become masks.
    """
    known = recollection.share[0] > 0.5
    h, w = known.shape
    count, pieces = cv2.connectedComponents(
        (known & (recollection.similarity > config.neighbour_similarity)).cpu().numpy().astype(np.uint8)
    )
    certain = (known & (recollection.similarity > config.min_similarity)).cpu().numpy()
    # Of all places that resemble the object, take the one with most cells that can hardly show anything else.
    cells = np.bincount(pieces[certain], minlength=count)
    cells[0] = 0
    if cells.max() < config.cells:
        return None
    piece = torch.from_numpy(pieces == cells.argmax())
    rows, columns = piece.nonzero().unbind(1)
    cell = torch.tensor([grid.extent_wh[0] / w, grid.extent_wh[1] / h])
    centres = (torch.stack([columns, rows], dim=1) + 0.5) * cell - 0.5
    centres = torch.minimum(centres, torch.tensor(embedding.wh) - 1.0)
    points = centres[spread_points(centres, config.positives)]
    candidates = segmenter.decode(embedding, Prompt(points), several=True)
    prior = config.prior * as_logits(recollection.share[0], grid)
    expected = as_logits(piece.float(), grid) > 0
    best = None
    for logits, predicted in zip(candidates.logits.float().cpu() + prior, candidates.scores, strict=True):
        mask = pieces_with(logits > 0, points)
        agrees = overlap(mask, expected)
        if area(mask) and (best is None or agrees > best.agrees):
            best = Answer(mask, agrees, float(predicted))
    return best if best is not None and best.agrees >= config.found else None


def as_logits(share: Tensor, grid: Embedding) -> Tensor:
    """(h', w') shares in [0, 1] of a grid's cells -> (h, w) logits of the frame's pixels, on the CPU."""
    size = (round(grid.extent_wh[1]), round(grid.extent_wh[0]))
    whole = F.interpolate(share[None, None].float().cpu(), size, mode="bilinear")[0, 0]
    return torch.logit(whole[: grid.wh[1], : grid.wh[0]].clamp(0.02, 0.98))


def as_cells(mask: Tensor, grid: Embedding) -> Tensor:
    """(h, w) mask -> (h*, w*), padded to the area that a grid's cells span, which may reach beyond the frame."""
    right = round(grid.extent_wh[0]) - mask.shape[1]
    below = round(grid.extent_wh[1]) - mask.shape[0]
    return F.pad(mask.float(), (0, max(right, 0), 0, max(below, 0)))


def pieces_with(mask: Tensor, xy: Tensor) -> Tensor:
    """The connected pieces of a mask that hold a point: (h, w) bool, (n, 2) points -> (h, w) bool."""
    pixels, found = mask.numpy(), torch.zeros_like(mask)
    left, top, width, height = cv2.boundingRect(pixels.astype(np.uint8))
    if not width:
        return found
    box = slice(top, top + height), slice(left, left + width)  # outside it the mask is empty
    count, pieces = cv2.connectedComponents(pixels[box].astype(np.uint8), connectivity=4)
    x, y = xy[read_mask(mask, xy)].round().long().unbind(1)
    kept = np.zeros(count, bool)
    kept[pieces[y.numpy() - top, x.numpy() - left]] = True
    found[box] = torch.from_numpy(kept[pieces])
    return found


def points_inside(mask: Tensor, count: int) -> Tensor:
    """Points well inside a mask that together cover it: (h, w) bool, not empty -> (k, 2) float32, k <= count."""
    depth = cv2.distanceTransform(np.pad(mask.numpy().astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    rows, columns = np.nonzero(depth >= min(0.3 * depth.max(), EDGE_PX))
    # A few hundred pixels cover the mask as well as all of them.
    every = max(len(rows) // 400, 1)
    xy = torch.from_numpy(np.stack([columns, rows], axis=-1)[::every]).float()
    return xy[spread_points(xy, count)]


def belt_around(mask: Tensor, width: float) -> Tensor:
    """The belt close around a mask, without the pixels along its outline.

    Args:
        mask: (h, w) bool.
        width: in square roots of the mask's area.
    """
    pixels = max(int(width * area(mask) ** 0.5), 4)
    picture = mask.numpy().astype(np.uint8)
    return grown(picture, pixels) & ~grown(picture, max(pixels // 4, 2))


def grown(mask: Tensor | np.ndarray, pixels: int) -> Tensor:
    """(h, w) bool: the mask, and a rim around it of this many pixels."""
    picture = np.asarray(mask).astype(np.uint8)
    return torch.from_numpy(cv2.dilate(picture, np.ones((2 * pixels + 1,) * 2, np.uint8)) > 0)


def _prompt_points(own: Tensor, mask: Tensor | None, count: int) -> Tensor:
    """At most `count` points that cover an object; those that the mask so far leaves out come first."""
    if mask is None:
        return own[spread_points(own, count)]
    inside = read_mask(mask, own)
    missed, rest = own[~inside], own[inside]
    missed = missed[spread_points(missed, count)]
    return torch.cat([missed, rest[spread_points(rest, count - len(missed))]])


def _inside_or_all(own: Tensor, before: Tensor) -> Tensor:
    """The points inside the moved last mask; all points if fewer than half are inside."""
    inside = read_mask(grown(before, 2), own)
    return own[inside] if 2 * int(inside.sum()) >= len(own) else own
