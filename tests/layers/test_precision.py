"""bfloat16 where the machine has it; elsewhere float32, which is faster there, and one line that says so."""

import logging

import pytest
import torch

from pointtrack.cli.doctor import doctor
from pointtrack.layers import precision
from pointtrack.layers.precision import computes_bfloat16, usable_precision
from pointtrack.segment.small import load_small
from pointtrack.zoo import load_tracker
from tests.support.short_runs import LOOP
from train.loop import LoopConfig, Task, run

CPU = torch.device("cpu")


@pytest.fixture(params=[True, False])
def has_it(request, monkeypatch):
    """A processor with bfloat16, and one without."""
    monkeypatch.setattr(precision, "computes_bfloat16", lambda device: request.param)
    precision._tell_float32.cache_clear()
    return request.param


def test_what_is_loaded_computes_in_what_the_processor_has(has_it, tiny_tracker_file, caplog):
    wanted = "bfloat16" if has_it else "float32"
    with caplog.at_level(logging.WARNING, logger=precision.__name__):
        tracker = load_tracker(tiny_tracker_file, device="cpu", precision="bfloat16")
        segmenter = load_small(device="cpu", precision="bfloat16")
    assert tracker.inference.precision == wanted and segmenter.narrow is has_it
    told = [record.message for record in caplog.records if record.name == precision.__name__]
    assert len(told) == (0 if has_it else 1)
    assert all("float32 is used" in line for line in told)
    assert usable_precision("float32", CPU) == "float32"


class Looks(Task):
    """A task that notes what it computes in."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4, 4))
        self.seen = []

    def forward(self, batch):
        product = self.weight @ self.weight
        self.seen.append(product.dtype)
        return product.float().sum(), {}

    def validate(self, folder):
        return {}

    def save(self, path):
        path.touch()


class Nothing:
    """Batches that a task of this file does not look at."""

    def __getitem__(self, index):
        return self

    def __len__(self):
        return 1

    def to(self, device):
        return self


@pytest.mark.parametrize("asked", [True, False])
def test_training_computes_in_what_the_processor_has(has_it, asked, tmp_path):
    task = Looks()
    settings = {**vars(LOOP), "steps": 2, "bf16": asked}
    run(task, Nothing(), LoopConfig(**settings), tmp_path)
    kind = torch.bfloat16 if asked and has_it else torch.float32
    assert task.seen == [kind, kind]


def test_a_gpu_is_asked_for_what_was_asked():
    assert (
        computes_bfloat16(torch.device("cuda"))
        and usable_precision("bfloat16", torch.device("cuda")) == "bfloat16"
    )


def test_the_doctor_says_what_the_processor_has(monkeypatch, tiny_tracker_file, capsys):
    for has, line in ((True, "bfloat16 is faster here"), (False, "float32 takes its place")):
        monkeypatch.setattr("pointtrack.cli.doctor.computes_bfloat16", lambda device, has=has: has)
        doctor(str(tiny_tracker_file), "cpu")
        assert line in capsys.readouterr().out
