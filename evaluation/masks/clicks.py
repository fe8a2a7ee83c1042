"""A simulated user who clicks where an answer is most wrong. Pure functions: masks in, clicks out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pointtrack.checks import check_shape
from pointtrack.segment.base import Prompt


@dataclass(frozen=True)
class Click:
    """One click: (x, y) in pixels of the frame; positive on what belongs to the object, negative on what does not."""

    x: int
    y: int
    positive: bool


def next_click(
    truth: np.ndarray, answer: np.ndarray | None = None, earlier: Sequence[Click] = ()
) -> Click | None:
    """The next click of a user who knows the truth.

    The click goes to the interior-most pixel of the largest connected region where the answer is wrong:
    positive where the answer misses the object, negative where it takes too much. Without an answer the click goes
    to the interior-most pixel of the object's largest part. No pixel is clicked twice.

    Args:
        truth: (h, w) bool. answer: (h, w) bool, or None for nothing yet.
        earlier: clicks on this frame.

    Returns:
        None if nothing is wrong, or only pixels clicked before.

    Raises:
        ValueError: shapes that differ.
    """
    h, w = check_shape(truth, "h w", "truth").values()
    answer = np.zeros((h, w), bool) if answer is None else answer
    check_shape(answer, f"{h} {w}", "answer")
    open_pixels = np.ones((h, w), bool)
    for click in earlier:
        open_pixels[click.y, click.x] = False
    missed, surplus = (
        _largest_part(truth & ~answer & open_pixels),
        _largest_part(answer & ~truth & open_pixels),
    )
    positive = bool(np.count_nonzero(missed) >= np.count_nonzero(surplus))
    region = missed if positive else surplus
    if not region.any():
        return None
    # A frame of zeros: the border of the image counts as the region's edge.
    depth = cv2.distanceTransform(np.pad(region, 1).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    y, x = np.unravel_index(int(depth[1:-1, 1:-1].argmax()), (h, w))
    return Click(int(x), int(y), positive)


def simulate_clicks(
    truth: np.ndarray, count: int, answer: Callable[[Sequence[Click]], np.ndarray]
) -> list[Click]:
    """Simulate clicks on one frame, each in response to the answer so far.

    Args:
        truth: (h, w) bool, not empty.
        count: most clicks; fewer if an answer is right everywhere.
        answer: clicks so far -> (h, w) bool.

    Raises:
        ValueError: a count below 1, or an empty truth.
    """
    if count < 1:
        raise ValueError(f"clicks: expected at least 1, got {count}")
    first = next_click(truth)
    if first is None:
        raise ValueError("clicks: expected an object on the frame to click on, got an empty mask")
    clicks = [first]
    while len(clicks) < count:
        click = next_click(truth, answer(clicks), clicks)
        if click is None:
            break
        clicks.append(click)
    return clicks


def _largest_part(region: np.ndarray) -> np.ndarray:
    """(h, w) bool: the largest connected part, 8 neighbours; the first of equal ones."""
    _, parts, found, _ = cv2.connectedComponentsWithStats(region.view(np.uint8), connectivity=8)
    if len(found) == 1:
        return region
    return parts == 1 + int(found[1:, cv2.CC_STAT_AREA].argmax())


def prompt_of(clicks: Sequence[Click]) -> Prompt:
    """The prompt of these clicks together."""
    return Prompt([[click.x, click.y] for click in clicks], [click.positive for click in clicks])  # type: ignore[arg-type]


def box_around(truth: np.ndarray) -> Prompt:
    """The box around a (h, w) bool mask, not empty, along the outer edges of its pixels."""
    ys, xs = np.nonzero(truth)
    return Prompt(box=[xs.min() - 0.5, ys.min() - 0.5, xs.max() + 0.5, ys.max() + 0.5])  # type: ignore[arg-type]
