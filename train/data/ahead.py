"""Numbered batches made ahead of time by other processes, for a loop that makes some batches itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from train.data.batch import ClipBatch


class Ahead(Dataset):
    """The batches of a dataset, made by workers before they are asked for, in the order of their numbers.

    A GPU makes its own synthetic clips in the loop, where there are no workers; clips that are read from a disk would hold
    it up.

    The workers end when the last reference is gone. So nothing they are given may refer to this: what only the garbage collector
    finds cannot tell its workers any more, and waits five seconds for each.

    Args:
        clips: what gives numbered batches.
        due: whether the batch of a number will be asked for; not a method of what holds this.
        workers: processes that make batches, at least one.
    """

    def __init__(self, clips: Dataset, due: Callable[[int], bool], workers: int):
        self.clips, self.due, self.workers = clips, due, workers
        self._coming: Iterator[ClipBatch] | None = None
        self._next = -1

    def __getitem__(self, index: int) -> ClipBatch:
        if self._coming is None or index != self._next:
            self._coming = self._from(index)
        batch = next(self._coming)
        self._next = next(_numbers(self.due, index + 1))
        return batch

    def _from(self, first: int) -> Iterator[ClipBatch]:
        return iter(
            DataLoader(
                self.clips,
                batch_size=None,
                sampler=_numbers(self.due, first),  # type: ignore[arg-type]
                num_workers=self.workers,
                prefetch_factor=2,
                worker_init_fn=one_thread,
            )
        )


def _numbers(due: Callable[[int], bool], first: int) -> Iterator[int]:
    return (number for number in count(first) if due(number))


def one_thread(_: int) -> None:
    """Workers share the cores: one thread each; OpenCV's threads would not have come along either."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
