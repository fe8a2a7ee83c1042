"""Tracks a whole clip in one call, with the same result as the published code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from pointtrack.models.alltracker.flow import Flow, carried
from pointtrack.models.alltracker.network import AllTracker


def windows_of_clip(
    network: AllTracker,
    video: Tensor,
    *,
    iterations: int | None = None,
    length: int | None = None,
    step: int | None = None,
) -> Iterator[tuple[int, Flow]]:
    """Windows of a clip, one after the other.

    Args:
        video: (t, 3, h, w) RGB 0..255; two frames or more.
        iterations, length, step: of the windows, by default the config's (if you give `length`, step is half of it).

    Yields:
        The first frame of a window, and the flow to its frames from the first frame of the clip. The last window may
        extend beyond the clip, with copies of its last frame. A clip of two frames has one window, of its second frame.

    Raises:
        ValueError: a single frame.
    """
    frames = len(video)
    if frames < 2:
        raise ValueError(f"AllTracker: expected a clip of at least 2 frames, got {frames}")
    features = network.encode(video[None])[0][0]
    anchor = features[0]
    if frames == 2:
        yield 1, network(anchor, [features[1]], network.start(anchor, 1), iterations)
        return
    window = network.config.window
    assert window.length is not None
    length = length or window.length
    step = step or (window.step if length == window.length else length // 2)
    flow, start = None, 0
    while True:
        pieces = [features[min(i, frames - 1)] for i in range(start, start + length)]
        begin = network.start(anchor, length) if flow is None else carried(flow, step)
        flow = network(anchor, pieces, begin, iterations)
        yield start, flow
        if start + length >= frames:
            return
        start += step


def flow_of_clip(
    network: AllTracker,
    windows: Iterable[tuple[int, Flow]],
    frames: int,
    wh: tuple[int, int],
    latest: bool = False,
) -> tuple[Tensor, Tensor]:
    """Dense flow from the first frame of a clip, as the published calls return it.

    Args:
        windows: from `windows_of_clip`.
        frames, wh: of the clip.
        latest: for a frame in several windows, take the result of the last one, not of the first.

    Returns:
        (t, 2, h, w) motion in pixels and (t, 2, h, w) logits, see `AllTracker.pixels`. For a clip of two frames only
        the second frame, (1, 2, h, w).
    """
    answers: dict[int, tuple[Tensor, Tensor]] = {}
    for start, flow in windows:
        for i in range(min(len(flow), frames - start)):
            if latest or start + i not in answers:
                answers[start + i] = network.pixels(flow[i : i + 1], wh)
    moves, logits = zip(*(answers[i] for i in sorted(answers)), strict=True)
    return torch.cat(moves), torch.cat(logits)
