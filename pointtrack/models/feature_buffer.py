"""Joins pieces of features along time without copying the frames that the previous window already holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

Pyramid = list[Tensor]  # per level (b, t, h, w, c)


class Joiner:
    """Joins pieces of features along time.

    A window that advances by one frame shares all other frames with the previous window. If there is room, and outside
    training, the frames stay in one block of memory: new ones are appended, and the window is a view. Written frames
    never change, so views stay valid, and all loops that hold the same pieces may share a joiner.

    Args:
        room: number of frames that the memory holds in addition to a window; 0 always copies, except while `sharing`.
    """

    def __init__(self, room: int):
        self.room = room
        self._pieces: list[Pyramid] = []  # the pieces joined last
        self._memory: Pyramid = []
        self._end = 0  # frames written to the memory
        self._shares = False
        self._copied: tuple[list[Pyramid], Pyramid] = ([], [])  # pieces, and the copy of them that is shared

    def __call__(self, pieces: list[Pyramid]) -> Pyramid:
        """The pieces, at least one, as one pyramid."""
        if len(pieces) == 1:
            return pieces[0]
        if not self.room or not torch.is_inference_mode_enabled() or len(pieces[0][0]) != 1:
            # With several videos a view would not be contiguous.
            return self._copy(pieces)
        joined = self._joined_already(pieces)
        frames, fresh = _frames(pieces), pieces[joined:]
        if not joined or self._end + _frames(fresh) > self._memory[0].shape[1]:
            self._memory = []  # free it before allocating another one
            self._memory = [x.new_empty(1, frames + self.room, *x.shape[2:]) for x in pieces[0]]
            self._end, fresh = 0, pieces
        for piece in fresh:
            start, self._end = self._end, self._end + piece[0].shape[1]
            for memory, level in zip(self._memory, piece, strict=True):
                memory[:, start : self._end] = level
        self._pieces = list(pieces)
        return [x[:, self._end - frames : self._end] for x in self._memory]

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Give all loops with the same pieces the same copy meanwhile, if there is no room and no training."""
        self._shares = torch.is_inference_mode_enabled()
        try:
            yield
        finally:
            self._shares, self._copied = False, ([], [])

    def _copy(self, pieces: list[Pyramid]) -> Pyramid:
        if self._shares and _same(pieces, self._copied[0]):
            return self._copied[1]
        self._copied = [], []  # free it before allocating another one
        joined = [torch.cat(level, dim=1) for level in zip(*pieces, strict=True)]
        if self._shares:
            self._copied = list(pieces), joined
        return joined

    def _joined_already(self, pieces: list[Pyramid]) -> int:
        """How many of the pieces are already at the end of the memory."""
        for first, piece in enumerate(self._pieces):
            if piece is pieces[0]:
                last = self._pieces[first:]
                return len(last) if _same(last, pieces[: len(last)]) else 0
        return 0


def _same(some: list[Pyramid], others: list[Pyramid]) -> bool:
    return len(some) == len(others) and all(x is y for x, y in zip(some, others, strict=True))


def _frames(pieces: list[Pyramid]) -> int:
    return sum(piece[0].shape[1] for piece in pieces)
