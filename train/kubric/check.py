"""Checks on every clip that tracks and render agree: the renderer's own passes against rays."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from train.kubric.geometry import bilinear, in_image


@dataclass
class CheckReport:
    """How well visible points agree with the passes at the centres of the pixels.

    Attributes:
        visible: number of visible points compared, over all frames.
        own_pixel: share of them whose nearest pixel shows their own object.
        within_one_px: share of them with a pixel of their own object among the 3 x 3 nearest.
        worst_object, worst_within_one_px: number, as in the segmentation, and share of the object with the smallest
            `within_one_px`, among those with at least 20 visible points.
        wrongly_hidden: share of the hidden points within the picture that the renderer shows plainly: with their
            object all around, at their distance.
        flow_median_px, flow_p99_px: difference between the track's step and the rendered flow, inside objects.
        depth_median: difference between distance and rendered distance, as a share of the latter, inside objects.
    """

    visible: int
    own_pixel: float
    within_one_px: float
    worst_object: int
    worst_within_one_px: float
    wrongly_hidden: float
    flow_median_px: float
    flow_p99_px: float
    depth_median: float

    def record(self) -> dict:
        """Rounded values for the metadata."""
        return {name: round(value, 5) for name, value in asdict(self).items()}


def self_check(
    tracks: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    segmentation: np.ndarray,
    depth: np.ndarray,
    flow: np.ndarray,
) -> CheckReport:
    """Compares tracks with rendered passes.

    Args:
        tracks: xy (t, n, 2) pixels, visible (t, n), index of the object (n,) and distance (t, n) in metres.
        segmentation: (t, h, w) 1 + the index of the object, 0 for the sky.
        depth: (t, h, w) metres.
        flow: (t, h, w, 2) pixels (x, y) to the next frame.
    """
    xy_all, visible, thing, distance = tracks
    frames, h, w = segmentation.shape
    own, near, owner, hidden, steps, depths = [], [], [], [], [], []
    for t in range(frames):
        shown = in_image(xy_all[t], (w, h))
        xy, seen, expected = xy_all[t][shown], visible[t][shown], thing[shown] + 1
        x, y = np.clip(np.rint(xy).astype(int), 0, (w - 1, h - 1)).T
        padded = np.pad(segmentation[t], 1, mode="edge")
        around = np.stack([padded[y + dy, x + dx] for dy in range(3) for dx in range(3)], axis=1)
        same = around == expected[:, None]
        # (row, column) 1, 1 of the 3 x 3 is the nearest pixel.
        own.append(same[seen, 4])
        near.append(same[seen].any(1))
        owner.append(expected[seen])
        inside = same.all(1)
        rendered = bilinear(depth[t][..., None], xy)[:, 0]
        off = np.abs(rendered - distance[t][shown]) / distance[t][shown]
        hidden.append((inside & (off < 1e-3))[~seen])
        depths.append(off[seen & inside])
        if t + 1 < frames:
            step = xy_all[t + 1][shown] - xy
            wrong = np.linalg.norm(bilinear(flow[t], xy) - step, axis=1)
            steps.append(wrong[seen & inside])
    own, near, owner, hidden, steps, depths = map(np.concatenate, (own, near, owner, hidden, steps, depths))
    return CheckReport(
        len(own),
        _share(own),
        _share(near),
        *_worst(near, owner),
        _share(hidden),
        *((float(np.percentile(steps, p)) for p in (50, 99)) if len(steps) else (0.0, 0.0)),
        float(np.median(depths)) if len(depths) else 0.0,
    )


def _worst(near: np.ndarray, owner: np.ndarray) -> tuple[int, float]:
    """Object with the smallest share of `near`, and that share; (0, 1) if no object has 20 points."""
    numbers, counts = np.unique(owner, return_counts=True)
    shares = [(_share(near[owner == number]), int(number)) for number in numbers[counts >= 20]]
    share, number = min(shares, default=(1.0, 0))
    return number, share


def _share(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else 0.0


def problems(report: CheckReport, tracks: int, wanted: int) -> list[str]:
    """Reasons to reject a clip; empty if the clip is good."""
    found = []
    if tracks < wanted / 4:
        found.append(f"only {tracks} of {wanted} tracks: hardly anything is in view")
    if report.own_pixel < 0.93:
        found.append(f"only {report.own_pixel:.1%} of visible points lie on their own object's pixels")
    if report.within_one_px < 0.995:
        found.append(f"only {report.within_one_px:.2%} of visible points lie within 1 px of their object")
    if report.worst_within_one_px < 0.95:
        found.append(
            f"only {report.worst_within_one_px:.2%} of the points on object {report.worst_object} "
            "lie within 1 px of it"
        )
    if report.wrongly_hidden > 0.02:
        found.append(f"{report.wrongly_hidden:.1%} of hidden points are plainly shown by the renderer")
    if report.flow_median_px > 0.05:
        found.append(f"tracks differ from the rendered flow by {report.flow_median_px:.3f} px in the median")
    if report.depth_median > 2e-3:
        found.append(f"distances differ from the rendered depth by {report.depth_median:.2%} in the median")
    return found
