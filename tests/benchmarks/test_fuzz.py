"""Every reader answers damaged and hostile files with a result or one line; `make fuzz` does the same with 10,000."""

from benchmarks.reliability.fuzz import fuzz
from benchmarks.reliability.samples import make_samples


def test_good_files_are_read(tmp_path):
    for sample in make_samples(tmp_path):
        try:
            sample.read(sample.path)
        except ValueError as error:  # a torch file of other tensors is refused, as it should be
            assert sample.name in ("weights of torch",), (sample.name, error)


def test_300_damaged_inputs_are_answered():
    figures = fuzz(300, seed=0)
    assert figures["inputs"] == 300
    assert not figures["faults"], figures["faults"][:3]
    assert figures["counts"]["error"] > 100 and figures["counts"]["answer"] > 10
