"""How the networks are driven: over a whole video, in sliding windows, and on a stream of overlapping chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from einops import repeat
from torch import Tensor

from benchmarks.plain.encoder import STRIDE


class Estimate(NamedTuple):
    """Positions in cells (b, t, n, 2), logits of visibility and confidence (b, t, n)."""

    cells: Tensor
    visibility: Tensor
    confidence: Tensor


class Tracked(NamedTuple):
    """Positions in pixels (b, t, n, 2), visibility and confidence in [0, 1] (b, t, n)."""

    xy: Tensor
    visibility: Tensor
    confidence: Tensor


@dataclass
class Window:
    """What a network is given for one window of s frames.

    Attributes:
        pyramid: per level (b, s, c, h, w).
        looks: of the points on their query frames, a list of (b, n, ...); zeros before that frame was seen.
        begin: the estimate to start from.
        frame: (b, n) query frames, counted as `start` is.
        start: number of the first frame.
        shared: so many frames at the front were in the window before.
        active: (b, n) points whose query frame is in this window or before it.
    """

    pyramid: list[Tensor]
    appearance: list[Tensor]
    begin: Estimate
    frame: Tensor
    start: int
    shared: int
    active: Tensor


class Model(Protocol):
    """`CoTracker2` and `CoTracker3`."""

    length: int | None
    start_logit: float

    def encode(self, video: Tensor) -> list[Tensor]: ...
    def appearance(self, pyramid: list[Tensor], frame: Tensor, cells: Tensor) -> list[Tensor]: ...
    def __call__(self, window: Window, rounds: int) -> Estimate: ...


def track_video(model: Model, video: Tensor, queries: Tensor, rounds: int = 6) -> Tracked:
    """All frames at hand: one window over all of them, or sliding windows.

    Args:
        video: (b, t, 3, h, w) RGB 0..255.
        queries: (b, n, 3) as (t, x, y), t counted from 0.
        rounds: of refinement per window.
    """
    frame, cells = queries[..., 0].long(), queries[..., 1:] / STRIDE
    t = video.shape[1]
    if model.length is None:
        pyramid = model.encode(video)
        appearance = model.appearance(pyramid, frame, cells)
        begin = starting(cells, t, model.start_logit)
        everyone = torch.ones_like(frame, dtype=torch.bool)
        return answer(model(Window(pyramid, appearance, begin, frame, 0, 0, everyone), rounds))
    length, step = model.length, model.length // 2
    pyramid = model.encode(padded(video, t + -t % length))
    appearance = model.appearance(pyramid, frame, cells)
    known = starting(cells, t, 0.0)
    known = Estimate(*(torch.zeros_like(part) for part in known))
    for start in range(0, t - step, step):
        piece = [level[:, start : start + length] for level in pyramid]
        found = refine_window(model, piece, appearance, known, queries, start, rounds)
        known = written(known, found, start, min(start + length, t))
    return answer(known)


class Stream:
    """Chunks of up to one window of frames, one step apart; each is encoded whole, also what the last one had.

    Args:
        model: one that works in windows.
        queries: (b, n, 3) as (t, x, y), of all chunks.
        rounds: of refinement per chunk.
    """

    def __init__(self, model: Model, queries: Tensor, rounds: int = 6):
        assert model.length is not None, "a model of windows"
        self.model, self.queries, self.rounds = model, queries, rounds
        self.length, self.step = model.length, model.length // 2
        self.start = 0
        self.appearance: list[Tensor] | None = None
        self.known: Estimate | None = None

    def push(self, chunk: Tensor) -> Tracked:
        """(b, t, 3, h, w) RGB 0..255, the frames from `start` on -> the answer on all frames so far."""
        frame, cells = self.queries[..., 0].long(), self.queries[..., 1:] / STRIDE
        pyramid = self.model.encode(padded(chunk, self.length))
        left = 0 if self.start == 0 else self.start + self.step
        new = (left <= frame) & (frame < self.start + self.length)
        seen = [mask_points(x, new) for x in self.model.appearance(pyramid, frame - self.start, cells)]
        self.appearance = (
            seen if self.appearance is None else [a + b for a, b in zip(self.appearance, seen, strict=True)]
        )
        end = self.start + chunk.shape[1]
        room = starting(cells, end - (0 if self.known is None else self.known.cells.shape[1]), 0.0)
        known = room if self.known is None else joined(self.known, room)
        found = refine_window(
            self.model, pyramid, self.appearance, known, self.queries, self.start, self.rounds
        )
        self.known = written(known, found, self.start, end)
        self.start += self.step
        return answer(self.known)


def refine_window(
    model: Model, pyramid: list[Tensor], appearance: list[Tensor], known: Estimate, queries: Tensor, start: int, rounds: int
) -> Estimate:  # fmt: skip
    """One window of `model.length` frames from `start` on, after what is `known` of the frames before."""
    assert model.length is not None
    length, step = model.length, model.length // 2
    frame, cells = queries[..., 0].long(), queries[..., 1:] / STRIDE
    begin = starting(cells, length, model.start_logit)
    if start > 0:
        tracked = frame < start + length - step
        index = start + torch.arange(length, device=cells.device).clamp(max=length - step - 1)
        begin = Estimate(
            torch.where(tracked[:, None, :, None], known.cells[:, index], begin.cells),
            torch.where(tracked[:, None], known.visibility[:, index], begin.visibility),
            torch.where(tracked[:, None], known.confidence[:, index], begin.confidence),
        )
    active = frame < start + length
    shared = length - step if start > 0 else 0
    appearance = [mask_points(x, active) for x in appearance]
    return model(Window(pyramid, appearance, begin, frame, start, shared, active), rounds)


def starting(cells: Tensor, frames: int, logit: float) -> Estimate:
    """Every point (b, n, 2) at its query position on all frames."""
    everywhere = repeat(cells, "b n xy -> b t n xy", t=frames)
    logits = torch.full_like(everywhere[..., 0], logit)
    return Estimate(everywhere, logits, logits)


def written(known: Estimate, found: Estimate, start: int, end: int) -> Estimate:
    """The newer window over what was known of frames start..end-1."""
    parts = zip(known, found, strict=True)
    return Estimate(
        *(torch.cat([old[:, :start], new[:, : end - start], old[:, end:]], 1) for old, new in parts)
    )


def joined(first: Estimate, second: Estimate) -> Estimate:
    """Frames of one behind those of the other."""
    return Estimate(*(torch.cat(pair, dim=1) for pair in zip(first, second, strict=True)))


def padded(video: Tensor, frames: int) -> Tensor:
    """Filled up to so many frames with copies of the last one."""
    return torch.cat([video, video[:, -1:].expand(-1, frames - video.shape[1], -1, -1, -1)], dim=1)


def mask_points(x: Tensor, keep: Tensor) -> Tensor:
    """(b, n, ...) with zeros where `keep` (b, n) is False."""
    return x * keep.reshape(*keep.shape, *[1] * (x.ndim - 2))


def answer(estimate: Estimate) -> Tracked:
    """In pixels and probabilities."""
    return Tracked(estimate.cells * STRIDE, estimate.visibility.sigmoid(), estimate.confidence.sigmoid())
