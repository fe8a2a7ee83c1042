"""The published drivers behind the paper's figures, rule by rule (see `evaluation/points`).

Users get `models/alltracker/loop.py`, which keeps the fractions of pixels that these drivers drop.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pointtrack.models.alltracker.clip import flow_of_clip, windows_of_clip
from pointtrack.models.alltracker.network import AllTracker

# Up to this many frames, a frame's result comes from the last window that has it; in longer videos, from the first.
LATEST_UP_TO = 128
# A point is visible if the product of both scores is at least this.
VISIBLE = 0.6


def sparse_tracks(
    network: AllTracker, video: Tensor, frame: Tensor, xy: Tensor, iterations: int | None = None
) -> tuple[Tensor, Tensor]:
    """Tracks of points from their query frames on, as the published evaluation computes them.

    Every query is moved to its nearest pixel. Frames before the query frame have that pixel, with scores of 0; so do
    all frames if the query frame is the last one. If it is the last but one, it has the result for the last frame.

    Args:
        video: (t, 3, h, w) RGB 0..255.
        frame: (n,) int64.
        xy: (n, 2) pixels.

    Returns:
        (t, n, 2) pixels and (t, n, 2) probabilities: visible, and position right.
    """
    frames, wh = len(video), (video.shape[-1], video.shape[-2])
    last = torch.tensor([wh[0] - 1, wh[1] - 1])
    pixel = torch.minimum(xy.round().long().clamp(min=0), last)  # the published code leaves the image here
    tracks = pixel.float().expand(frames, -1, -1).clone()
    scores = torch.zeros_like(tracks)
    for start in frame.unique().tolist():
        if start == frames - 1:
            continue
        clip, points = video[start:], (frame == start).nonzero()[:, 0]
        windows = windows_of_clip(network, clip, iterations=iterations)
        move, logits = flow_of_clip(network, windows, len(clip), wh, latest=frames <= LATEST_UP_TO)
        x, y = pixel[points].unbind(-1)
        tracks[start:, points] += move[:, :, y, x].transpose(1, 2)
        scores[start:, points] = logits[:, :, y, x].transpose(1, 2).sigmoid()
    return tracks, scores


def dense_tracks(
    network: AllTracker, video: Tensor, frame: int, iterations: int | None = None
) -> tuple[Tensor, Tensor]:
    """Track every pixel of a frame to all frames, forward and backward, as in the published demonstration.

    Args:
        video: (t, 3, h, w) RGB 0..255.
        frame: not the last, the first but one or the last but one: there the published code fails.

    Returns:
        (t, 2, h, w) pixels (x, y) and (t, 2, h, w) probabilities: visible, and position right.

    Raises:
        ValueError: another frame.
    """
    wh = (video.shape[-1], video.shape[-2])
    parts = []
    for clip in (video[: frame + 1].flip(0), video[frame:]):
        if len(clip) < 3 and not (len(clip) == 1 and frame == 0):
            raise ValueError(
                f"frame: expected one with no frame or at least two before it, and at least two after it, got {frame} of {len(video)}"
            )
        if len(clip) > 1:
            windows = windows_of_clip(network, clip, iterations=iterations)
            parts.append(flow_of_clip(network, windows, len(clip), wh))
        else:
            parts.append((video.new_zeros(1, 2, *video.shape[-2:]).float(),) * 2)
    move, logits = (torch.cat([back.flip(0)[:-1], ahead]) for back, ahead in zip(*parts, strict=True))
    y, x = torch.meshgrid(torch.arange(wh[1]), torch.arange(wh[0]), indexing="ij")
    return move + torch.stack([x, y]), logits.sigmoid()


def demonstration_wh(wh: tuple[int, int], side: int) -> tuple[int, int]:
    """Size of the frames in the published demonstration: the longer side is `side`, both are multiples of 8.

    >>> demonstration_wh((152, 190), 256)
    (200, 256)
    """
    scale = min(side / wh[1], side / wh[0])
    w, h = (int(length * scale) // 8 * 8 for length in wh)
    return w, h
