"""Buffer of the frames of a walk that are not final yet, whatever their source."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch


class FrameBuffer:
    """Frames by their place in the walk, from 0 on. Frames no longer needed are dropped.

    Args:
        wh: size of the frames as (width, height).
        fps: frames per second of the video.
        order: numbers of the frames in the video, in the order of the walk; by default from 0 on.

    Attributes:
        start, stop: the buffer holds frames start..stop-1.
        ended: no more frames come.
    """

    def __init__(self, wh: tuple[int, int], fps: float = 30.0, order: range | None = None):
        self.wh, self.fps = (int(wh[0]), int(wh[1])), fps
        self.start, self.ended = 0, False
        self._first, self._step = (0, 1) if order is None else (order.start, order.step)
        self._frames: deque[np.ndarray] = deque()

    @property
    def stop(self) -> int:
        """The place of the next frame to come."""
        return self.start + len(self._frames)

    def number(self, place: int) -> int:
        """The number in the video of the frame at this place."""
        return self._first + self._step * place

    def add(self, frame: np.ndarray) -> None:
        """Add the next frame, (h, w, 3) uint8 RGB, without a copy."""
        self._frames.append(frame)

    def __getitem__(self, place: int) -> np.ndarray:
        """(h, w, 3) uint8 RGB."""
        assert place >= self.start, "it was let go"
        return self._frames[place - self.start]

    def piece(self, first: int, most: int) -> np.ndarray:
        """(t, h, w, 3) at most `most` frames from `first` on, as far as the buffer holds them."""
        places = range(first, min(first + most, self.stop))
        return (
            np.stack([self[place] for place in places])
            if places
            else np.empty((0, *self.wh[::-1], 3), np.uint8)
        )

    def forget_before(self, place: float) -> None:
        """Drop all frames before this one."""
        while self._frames and self.start < place:
            self._frames.popleft()
            self.start += 1

    def state_dict(self) -> dict[str, Any]:
        """The held frames (t, h, w, 3), copied, and the place of the first."""
        return {"start": self.start, "frames": torch.from_numpy(self.piece(self.start, len(self._frames)))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Hold exactly the frames in `state`."""
        self.start, self._frames = state["start"], deque(state["frames"].numpy())
