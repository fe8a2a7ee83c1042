"""Frames that are read on demand, in place of an array of all frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

MOST_AT_ONCE = 64  # frames that one slice reads at once; a longer slice gives another lazy sequence


class LazyFrames:
    """A (t, h, w, 3) uint8 RGB sequence that reads only the requested frames.

    A number gives one frame, a slice or whole numbers a (k, h, w, 3) array, or for more than 64 frames another lazy
    sequence. Subclasses implement `read`.

    Args:
        length: number of frames.
        wh: their size as (width, height) in pixels.

    >>> class Grey(LazyFrames):
    ...     def read(self, frame):
    ...         return np.full((4, 6, 3), frame % 256, np.uint8)
    >>> frames = Grey(1000, (6, 4))
    >>> frames.shape, int(frames[-1].max()), frames[3:7].shape, len(frames[::-1])
    ((1000, 4, 6, 3), 231, (4, 4, 6, 3), 1000)
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, length: int, wh: tuple[int, int]):
        self.shape = (length, wh[1], wh[0], 3)

    def read(self, frame: int) -> np.ndarray:
        """(h, w, 3) uint8 RGB of one frame, its number in 0..length-1."""
        raise NotImplementedError

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.read(frame) for frame in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"frame: expected 0..{len(self) - 1}, got {index}")
            return self.read(int(index) % len(self))
        numbers = np.arange(len(self))[index]
        if len(numbers) > MOST_AT_ONCE:
            return _Picked(self, numbers)
        found = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        # In the order of the file, whatever the requested order, as videos are decoded that way.
        for place in np.argsort(numbers, kind="stable"):
            found[place] = self.read(int(numbers[place]))
        return found

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.stack(list(self)).astype(dtype or np.uint8)


class _Picked(LazyFrames):
    """Some frames of another sequence, in any order."""

    def __init__(self, frames: LazyFrames, numbers: np.ndarray):
        super().__init__(len(numbers), (frames.shape[2], frames.shape[1]))
        self._frames, self._numbers = frames, numbers

    def read(self, frame: int) -> np.ndarray:
        return self._frames.read(int(self._numbers[frame]))
