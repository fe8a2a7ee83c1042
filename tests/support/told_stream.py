"""A stream with given answers, to test the stages around a stream; and a video of subpixel motion."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from pointtrack.types import Queries, Tracks, Video

TELLS: Any = None  # the network that `restored` is given: none is needed


def panning_video(frames: int, wh: tuple[int, int], pace: float) -> Video:
    """A smooth texture that moves left by `pace` pixels per frame."""
    noise = (
        np.random.default_rng(0).normal(size=(wh[1], wh[0] + int(frames * pace) + 8, 3)).astype(np.float32)
    )
    texture = cv2.GaussianBlur(noise, (0, 0), 1.5)
    texture = np.clip(128 + 50 * texture / texture.std(), 0, 255)
    shifts = [np.array([[1, 0, -pace * t], [0, 1, 0]], np.float32) for t in range(frames)]
    moved = [cv2.warpAffine(texture, shift, wh, flags=cv2.INTER_LINEAR) for shift in shifts]
    return Video(np.stack(moved).round().astype(np.uint8), fps=10)


class ToldStream:
    """Returns rows of known tracks, each `lag` frames late.

    Args:
        told: the known tracks.
        lag: pushed frames without an answer yet.
    """

    network: Any = None
    fps, views = 30.0, 1

    def __init__(self, told: Tracks, lag: int):
        self.told, self.image_wh, self.most = told, told.wh, lag
        self.ids = told.ids
        self.frames_pushed = self.returned = 0
        self.known_cuts: set[int] = set()
        self.keeps = len(told)  # frames before the final ones on which points can still be added

    @property
    def queries(self) -> Queries:
        return self.told.queries.select(torch.isin(self.told.ids, self.ids))

    @property
    def cuts(self) -> set[int]:
        return self.known_cuts

    @property
    def lag(self) -> int:
        return self.frames_pushed - self.returned

    @property
    def earliest_frame(self) -> int:
        return max(self.returned - self.keeps, 0)

    def hold_back(self, ids: Tensor) -> None:
        """Hold back points that only come with `add`."""
        self.ids = self.ids[~torch.isin(self.ids, ids)]

    def push(self, frames: np.ndarray) -> Tracks:
        self.frames_pushed += 1 if frames.ndim == 3 else len(frames)
        return self._until(max(self.frames_pushed - self.most, self.returned))

    def preview(self) -> Tracks:
        return self._rows(self.frames_pushed - 1, self.frames_pushed, self.ids)

    def finish(self) -> Tracks:
        return self._until(self.frames_pushed)

    def add(self, queries: Queries) -> Tracks:
        self.ids = torch.cat([self.ids, queries.ids])
        return self._rows(self.earliest_frame, self.returned, queries.ids)

    def remove(self, ids: Tensor) -> None:
        self.hold_back(torch.as_tensor(ids))

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_state_dict(cls, network: Any, state: dict[str, Any]) -> ToldStream:
        again = cls.__new__(cls)
        vars(again).update(state)
        return again

    def _until(self, frame: int) -> Tracks:
        first, self.returned = self.returned, frame
        return self._rows(first, frame, self.ids)

    def _rows(self, first: int, last: int, ids: Tensor) -> Tracks:
        return self.told.clip(first, last).select(torch.isin(self.told.ids, ids))
