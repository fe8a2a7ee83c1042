"""Numbered batches that other processes make ahead of time, for a loop that makes some batches itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from train.data.batch import ClipBatch


class Ahead(Dataset):
    """The batches of a dataset, which workers make before the loop requests them, in the order of their numbers.

    A GPU makes its own synthetic clips in the loop, without workers. Reading clips from a disk would hold the loop up.

    The workers end when the last reference to this object is gone. So nothing that they receive may refer to it: an
    object that only the garbage collector finds can no longer stop its workers, and waits five seconds for each.

    Args:
        clips: source of numbered batches.
        due: whether the loop will request the batch of a number; not a method of the object that holds this one.
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
    """Limit a worker to one thread: workers share the cores, and OpenCV's threads do not survive a fork."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
