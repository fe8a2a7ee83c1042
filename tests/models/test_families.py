"""LocoTrack and AllTracker by name, from files, and converted; their licences."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import pytest
import torch

from pointtrack import zoo
from pointtrack.cli.convert import convert
from pointtrack.models.alltracker import weights as alltracker
from pointtrack.models.alltracker.network import AllTracker
from pointtrack.models.families import PUBLISHED
from pointtrack.models.locotrack import weights as locotrack
from pointtrack.models.locotrack.network import LocoTrack
from pointtrack.models.weight_files import file_sha256, read_weights
from pointtrack.zoo import load_tracker

SIZES = {
    "locotrack-small": (135, 8_236_133),
    "locotrack-base": (147, 11_519_717),
    "alltracker-tiny": (131, 6_294_050),
    "alltracker": (236, 16_476_962),
}


def shapes_of(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes in the published file."""
    module = locotrack if name.startswith("locotrack") else alltracker
    return module.published_shapes(module.build(PUBLISHED[name].config))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """One of each family, in the layout of the published ones, with weights of no use."""
    folder, found = tmp_path_factory.mktemp("weights"), {}
    for name in ("locotrack-small", "alltracker-tiny"):
        tensors = {key: torch.full(shape, 0.01) for key, shape in shapes_of(name).items()}
        content = {"model": tensors, "global_step": 3}
        if name.startswith("locotrack"):
            content = {
                "state_dict": {f"model.{key}": x for key, x in tensors.items()},
                "pytorch-lightning_version": "2.3.0",
                "hyper_parameters": argparse.Namespace(lr=1e-3),  # a class that is not let in
            }
        found[name] = folder / PUBLISHED[name].filename
        torch.save(content, found[name])
    return found


@pytest.mark.parametrize("name", SIZES)
def test_the_models_have_the_published_numbers_of_tensors_and_parameters(name):
    shapes, (tensors, parameters) = shapes_of(name), SIZES[name]
    assert len(shapes) == tensors
    table = 16 * 128 if "time_emb" in shapes else 0  # which is no parameter
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == parameters + table


@pytest.mark.parametrize("name, kind", [("locotrack-small", LocoTrack), ("alltracker-tiny", AllTracker)])
def test_a_file_is_recognised_and_loaded(name, kind, files):
    tracker, same = (
        load_tracker(files[name], device="cpu"),
        load_tracker(name, checkpoint=files[name], device="cpu"),
    )
    assert isinstance(tracker, kind) and tracker.config == same.config == PUBLISHED[name].config
    assert not any(p.requires_grad or p.is_meta for p in tracker.parameters())
    with pytest.raises(ValueError, match="missing: "):
        load_tracker("locotrack-base", checkpoint=files[name], device="cpu")
    with pytest.raises(ValueError, match="strict_parity: expected with cotracker2"):
        load_tracker(files[name], device="cpu", strict_parity=True)


@pytest.mark.parametrize("name", SIZES)
def test_weights_come_from_the_hub_by_name(name, monkeypatch):
    requested = {}

    def fetch(repo, filename, **options):
        requested.update(options, repo=repo, filename=filename)
        raise ConnectionError("no")

    monkeypatch.setattr(zoo, "fetch", fetch)
    with pytest.raises(ConnectionError):
        load_tracker(name.replace("-", "_"), device="cpu")
    row = PUBLISHED[name]
    assert requested == {
        "repo": row.repo, "filename": row.filename, "sha256": row.sha256, "repo_type": row.repo_type,
    }  # fmt: skip


@pytest.mark.parametrize(
    "name, words",
    [
        ("locotrack-small", ["Apache-2.0", "no licence is stated"]),
        ("alltracker-tiny", ["MIT", "CC-BY-NC-4.0", "research only"]),
    ],
)
def test_the_licence_is_told_once_as_it_is_stated(name, words, files, monkeypatch, caplog):
    monkeypatch.setattr(zoo, "_told", set())
    for _ in range(2):
        load_tracker(files[name], device="cpu")
    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert all(word in told for word in [*words, file_sha256(files[name])])


@pytest.mark.parametrize("name", ["locotrack-small", "alltracker-tiny"])
def test_convert_writes_a_file_that_needs_nothing_else(name, files, tmp_path, capsys):
    out = tmp_path / "converted.safetensors"
    convert(str(files[name]), str(out))
    assert name in capsys.readouterr().out
    one, other = load_tracker(files[name], device="cpu"), load_tracker(out, device="cpu")
    assert type(one) is type(other) and one.config == other.config
    for key, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[key]), key
    with pytest.raises(ValueError, match=f"got those of {name}"):
        load_tracker("cotracker2", checkpoint=out, device="cpu")


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("evil"),))


def test_a_checkpoint_of_lightning_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = {"state_dict": {"a": torch.ones(2)}, "pytorch-lightning_version": "2", "callbacks": [Evil()]}
    torch.save(content, "lightning.ckpt")
    assert read_weights("lightning.ckpt").tensors["a"].tolist() == [1, 1]
    del content["pytorch-lightning_version"]
    torch.save(content, "other.ckpt")
    with pytest.raises(ValueError, match="could run code"):
        read_weights("other.ckpt")
    assert not Path("evil").exists()
