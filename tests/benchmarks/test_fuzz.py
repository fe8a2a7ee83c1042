"""Every reader answers damaged and hostile files with a result or one line; `make fuzz` does the same with 10,000."""

import pytest

from benchmarks.reliability.fuzz import fuzz
from benchmarks.reliability.mutate import seeds_of
from benchmarks.reliability.samples import make_samples


def test_good_files_are_read(tmp_path):
    for sample in make_samples(tmp_path):
        try:
            sample.read(sample.path)
        except ValueError as error:  # a torch file of other tensors is refused, as it should be
            assert sample.name in ("weights of torch",), (sample.name, error)


# Inputs of longer runs that were once answered with a traceback or with pages of text.
ONCE_FAULTS = [55425773, 486648, 1242893, 597, 1515, 197864, 54310724255, 44455, 939466, 31638]


@pytest.mark.parametrize("count", [120, pytest.param(300, marks=pytest.mark.long)])
def test_damaged_inputs_and_those_that_were_once_faults_are_answered(monkeypatch, count):
    """All in one process, as to import all readers takes seconds."""
    monkeypatch.setattr(
        "benchmarks.reliability.mutate.seeds_of", lambda *inputs: [*ONCE_FAULTS, *seeds_of(*inputs)]
    )
    figures = fuzz(count, seed=0)
    assert figures["inputs"] == len(ONCE_FAULTS) + count
    assert not figures["faults"], figures["faults"][:3]
    assert figures["counts"]["error"] > count / 3 + len(ONCE_FAULTS)
    assert figures["counts"]["answer"] > count / 30 + len(ONCE_FAULTS)
