"""Batches that workers make before they are asked for."""

import gc
import weakref

import pytest
from torch.utils.data import Dataset

from train.data.ahead import Ahead
from train.data.clips import MixedClips


class Numbers(Dataset):
    def __init__(self):
        self.made = []

    def __getitem__(self, index):
        self.made.append(index)
        return 10 * index


@pytest.mark.parametrize("workers", [1, 2])
def test_the_batches_are_those_of_the_numbers(workers):
    ahead = Ahead(Numbers(), lambda index: index % 3 == 0, workers)
    assert [ahead[i] for i in (3, 6, 9)] == [30, 60, 90]
    assert [ahead[i] for i in (30, 33)] == [300, 330]  # a run that goes on somewhere else


def test_workers_make_them():
    numbers = Numbers()
    ahead = Ahead(numbers, lambda _: True, 1)
    assert ahead[5] == 50 and not numbers.made


def test_mixed_with_what_the_loop_makes_the_batches_are_the_same():
    ones, twos = Numbers(), Numbers()
    plain = MixedClips(Numbers(), Numbers(), 0.5, 3)
    ahead = MixedClips(ones, twos, 0.5, 3, readers=2)
    assert [ahead[i] for i in range(12)] == [plain[i] for i in range(12)]
    assert ones.made == [i for i in range(12) if not ahead.is_second(i)] and not twos.made


def test_its_workers_end_with_the_last_reference():
    """What is left to the garbage collector waits for them, five seconds for each."""
    mixed = MixedClips(Numbers(), Numbers(), 1.0, 3, readers=1)
    assert mixed[0] == 0
    ahead = mixed.second
    coming = weakref.ref(ahead._coming)
    gc.disable()
    try:
        del mixed, ahead
        assert coming() is None
    finally:
        gc.enable()
