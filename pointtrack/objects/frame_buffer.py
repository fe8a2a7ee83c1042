"""Buffer of the frames of a walk that are not final yet, whatever their source, at the size at which masks are worked on."""

from __future__ import annotations

from collections import deque
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

# Larger frames are made smaller, as segmenters see no more of them, and time grows with every pixel.
MOST_PIXELS = 1280 * 720


class FrameBuffer:
    """Frames by their place in the walk, from 0 on. Frames no longer needed are dropped.

    Masks of frames with more than MOST_PIXELS pixels are worked on at a smaller size. `shrunk`, `shrunk_mask` and
    `enlarged` lead there and back; they return their argument where no frame has more.

    Args:
        full_wh: size of the frames as (width, height).
        fps: frames per second of the video.
        order: numbers of the frames in the video, in the order of the walk; by default from 0 on.

    Attributes:
        wh: size at which masks are worked on, as (width, height).
        start, stop: the buffer holds frames start..stop-1.
        ended: no more frames come.
    """

    def __init__(self, full_wh: tuple[int, int], fps: float = 30.0, order: range | None = None):
        self.full_wh, self.fps = (int(full_wh[0]), int(full_wh[1])), fps
        self.wh = working_wh(self.full_wh)
        self.start, self.ended = 0, False
        self._first, self._step = (0, 1) if order is None else (order.start, order.step)
        self._full: deque[np.ndarray] = deque()
        self._frames: deque[np.ndarray] = deque()  # the same at the size of `wh`

    @property
    def stop(self) -> int:
        """The place of the next frame to come."""
        return self.start + len(self._frames)

    def number(self, place: int) -> int:
        """The number in the video of the frame at this place."""
        return self._first + self._step * place

    def add(self, frame: np.ndarray) -> None:
        """Add the next frame, (h, w, 3) uint8 RGB of the full size, without a copy."""
        self._full.append(frame)
        self._frames.append(self.shrunk(frame))

    def __getitem__(self, place: int) -> np.ndarray:
        """(h, w, 3) uint8 RGB, of the size of `wh`."""
        assert place >= self.start, "this frame was dropped"
        return self._frames[place - self.start]

    def full(self, place: int) -> np.ndarray:
        """(h, w, 3) uint8 RGB, as it was added."""
        assert place >= self.start, "this frame was dropped"
        return self._full[place - self.start]

    def piece(self, first: int, most: int) -> np.ndarray:
        """(t, h, w, 3) at most `most` frames from `first` on, as far as the buffer holds them, of the size of `wh`."""
        places = range(first, min(first + most, self.stop))
        return _stacked([self[place] for place in places], self.wh)

    def forget_before(self, place: float) -> None:
        """Drop all frames before this one."""
        while self._frames and self.start < place:
            self._frames.popleft()
            self._full.popleft()
            self.start += 1

    def shrunk(self, picture: np.ndarray) -> np.ndarray:
        """(h, w, 3) uint8 of the full size -> of the size of `wh`."""
        if self.wh == self.full_wh:
            return picture
        return cv2.resize(picture, self.wh, interpolation=cv2.INTER_AREA)

    def shrunk_mask(self, mask: Tensor) -> Tensor:
        """(h, w) bool of the full size -> of the size of `wh`; whatever is in the mask leaves a trace."""
        if self.wh == self.full_wh:
            return mask
        share = cv2.resize(mask.numpy().astype(np.float32), self.wh, interpolation=cv2.INTER_AREA)
        return torch.from_numpy(share > min(0.5, 0.99 * share.max()))

    def enlarged(self, mask: Tensor) -> Tensor:
        """(h, w) bool of the size of `wh` -> of the full size."""
        if self.wh == self.full_wh:
            return mask
        share = cv2.resize(mask.numpy().astype(np.uint8) * 255, self.full_wh, interpolation=cv2.INTER_LINEAR)
        return torch.from_numpy(share > 127)

    def state_dict(self) -> dict[str, Any]:
        """The held frames (t, h, w, 3), of the full size and copied, and the place of the first."""
        return {"start": self.start, "frames": torch.from_numpy(_stacked(list(self._full), self.full_wh))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Hold exactly the frames in `state`."""
        self.start, self._full = state["start"], deque(state["frames"].numpy())
        self._frames = deque(self.shrunk(frame) for frame in self._full)


def working_wh(wh: tuple[int, int]) -> tuple[int, int]:
    """The size at which masks of frames of this (width, height) are worked on: of their shape, at most MOST_PIXELS."""
    scale = (MOST_PIXELS / (wh[0] * wh[1])) ** 0.5
    return wh if scale >= 1 else (max(round(wh[0] * scale), 1), max(round(wh[1] * scale), 1))


def _stacked(frames: list[np.ndarray], wh: tuple[int, int]) -> np.ndarray:
    """(t, h, w, 3), also of no frames."""
    return np.stack(frames) if frames else np.empty((0, *wh[::-1], 3), np.uint8)
