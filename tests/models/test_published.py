"""Published checkpoints: found, loaded strictly, converted; and what is said about files that are not right."""

from __future__ import annotations

import importlib.util
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pointtrack import zoo
from pointtrack.cli import main as cli
from pointtrack.config import TrackerConfig, from_dict, to_dict
from pointtrack.layers.unfilled import unfilled
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.published import PUBLISHED, published_shapes, recognise
from pointtrack.models.weight_files import file_sha256
from pointtrack.zoo import load_tracker
from tests.support.synthetic_weights import published_state_dict

RULE = {
    "weight_seed": 1,
    "buffers": ["time_emb", "pos_emb"],
    "gain": {"updateformer.flow_head.weight": 0.03},
    "col_scale": {},
    "row_scale": {},
    "offset": {},
}


def small_version(name: str) -> TrackerConfig:
    """The published model with one block of each kind and small frames, so that files of it are quickly made and run."""
    config = PUBLISHED[name].config
    transformer = replace(config.transformer, depth=1, mlp_ratio=1)
    encoder = replace(config.encoder, blocks_per_stage=1)
    tokens = config.tokens
    if tokens.place_table_wh is not None:
        tokens = replace(tokens, place_table_wh=(32, 24))
    return replace(config, input_wh=(128, 96), transformer=transformer, encoder=encoder, tokens=tokens)


@pytest.fixture
def small_published(monkeypatch):
    """All published models in their small versions."""
    rows = {name: replace(row, config=small_version(name)) for name, row in PUBLISHED.items()}
    monkeypatch.setattr("pointtrack.models.published.PUBLISHED", rows)
    for module in ("models.checkpoint", "zoo"):
        monkeypatch.setattr(f"pointtrack.{module}.PUBLISHED", rows)
    monkeypatch.setattr("tests.support.synthetic_weights.PUBLISHED", rows)
    return rows


MADE: list[bytes] = []  # the file, once it was written


@pytest.fixture
def checkpoint(small_published, tmp_path) -> Path:
    """A checkpoint of CoTracker3 online."""
    path = tmp_path / "scaled_online.pth"
    if not MADE:
        torch.save(published_state_dict("cotracker3-online", RULE), path)
        MADE.append(path.read_bytes())
    path.write_bytes(MADE[0])
    return path


@pytest.mark.parametrize(
    "name, tensors, parameters",
    [
        ("cotracker2", 321, 45_458_787),
        ("cotracker2.1", 321, 45_458_787),
        ("cotracker3-offline", 188, 25_385_700),
        ("cotracker3-online", 188, 25_385_700),
    ],
)
def test_the_models_have_the_published_numbers_of_tensors_and_parameters(name, tensors, parameters):
    with unfilled():
        tracker = PointTracker(PUBLISHED[name].config)
    shapes = [shape for parts in published_shapes(tracker).values() for shape in parts.values()]
    assert len(shapes) == tensors
    assert sum(p.numel() for p in tracker.parameters()) == parameters


@pytest.mark.parametrize("name", [name for name in PUBLISHED if "baseline" not in name])
def test_a_file_is_recognised_and_loaded(name, small_published, tmp_path):
    path = tmp_path / "weights.pth"
    state = published_state_dict(name, RULE)
    torch.save({"model": state, "total_steps": 3}, path)
    assert recognise(state).name == name
    tracker, same = load_tracker(path, device="cpu"), load_tracker(name, checkpoint=path, device="cpu")
    assert tracker.config == small_published[name].config == same.config
    assert torch.equal(tracker.encoder.stem.weight, state["fnet.conv1.weight"])
    assert torch.equal(tracker.updater.proxies, state["updateformer.virual_tracks"][0, :, 0])
    moves = state["updateformer.flow_head.weight"]
    assert torch.equal(tracker.head.weight[: len(moves)], moves)
    assert not any(p.requires_grad or p.is_meta for p in tracker.parameters())


def test_weights_come_from_the_hub_by_name(checkpoint, monkeypatch):
    requested = []

    def fetch(repo, filename, **options):
        requested.append((repo, filename))
        return checkpoint

    monkeypatch.setattr(zoo, "fetch", fetch)
    assert load_tracker("cotracker3_online", device="cpu").config.name == "cotracker3-online"
    assert requested == [("facebook/cotracker3", "scaled_online.pth")]


def test_the_licence_is_told_once(checkpoint, monkeypatch, caplog):
    monkeypatch.setattr(zoo, "_told", set())
    for _ in range(2):
        load_tracker(checkpoint, device="cpu")
    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "CC-BY-NC-4.0" in told and file_sha256(checkpoint) in told


def _edit(path: Path, edit) -> None:
    state = torch.load(path)
    edit(state)
    torch.save(state, path)


def _rename(state):
    state["fnet.conv1.wieght"] = state.pop("fnet.conv1.weight")


def _drop(state):
    del state["corr_mlp.fc2.bias"]


def _reshape(state):
    state["updateformer.vis_conf_head.bias"] = torch.zeros(3)


def _add(state):
    state["optimizer.step"] = torch.zeros(())


@pytest.mark.parametrize(
    "edit, message",
    [
        (_rename, r"missing: fnet\.conv1\.weight\n.*fnet\.conv1\.wieght\n.*renamed\?"),
        (_drop, r"missing: corr_mlp\.fc2\.bias$"),
        (_reshape, r"shapes: updateformer\.vis_conf_head\.bias is \(3,\), not \(2,\)"),
        (_add, r"unexpected: optimizer\.step$"),
    ],
)
def test_tensors_that_do_not_fit_are_named(edit, message, checkpoint):
    _edit(checkpoint, edit)
    with pytest.raises(ValueError, match=message):
        load_tracker("cotracker3-online", checkpoint=checkpoint, device="cpu")


def test_files_that_are_not_the_checkpoint_are_refused(checkpoint, tmp_path):
    def load(path, **options):
        return load_tracker("cotracker3-online", checkpoint=path, device="cpu", **options)

    with pytest.raises(ValueError, match="expected SHA-256 0000"):
        load(checkpoint, sha256="0" * 64)
    load(checkpoint, sha256=file_sha256(checkpoint))
    with pytest.raises(ValueError, match=r"time_emb is \(1, 16, 1110\), not \(1, 60, 1110\)"):
        load_tracker("cotracker3-offline", checkpoint=checkpoint, device="cpu")
    with pytest.raises(ValueError, match="checkpoint: expected with one of cotracker2"):
        load_tracker("small", checkpoint=checkpoint)
    page = tmp_path / "page.pth"
    page.write_text("<html>please log in</html>")
    with pytest.raises(ValueError, match="a web page"):
        load(page)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="cut short or damaged"):
        load(checkpoint)
    with pytest.raises(FileNotFoundError, match="found nothing there"):
        load(tmp_path / "none.pth")


def test_convert_writes_a_file_that_needs_nothing_else(checkpoint, tmp_path, capsys):
    out = tmp_path / "converted.safetensors"
    assert cli.main(["convert", str(checkpoint), str(out)]) == 0
    printed = capsys.readouterr().out
    assert "cotracker3-online" in printed and "CC-BY-NC-4.0" in printed and file_sha256(out) in printed
    one, other = load_tracker(checkpoint, device="cpu"), load_tracker(out, device="cpu")
    assert one.config == other.config
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
    assert load_tracker("cotracker3-online", checkpoint=out, device="cpu").config == one.config
    with pytest.raises(
        ValueError, match="expected the weights of cotracker2, got those of cotracker3-online"
    ):
        load_tracker("cotracker2", checkpoint=out, device="cpu")


def test_convert_can_halve_the_size(checkpoint, tmp_path, capsys):
    sizes = []
    for option in ("false", "true"):
        out = tmp_path / f"{option}.safetensors"
        assert cli.main(["convert", str(checkpoint), str(out), "--half", option]) == 0
        sizes.append(out.stat().st_size)
    assert sizes[1] < 0.51 * sizes[0]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["{file}", "{folder}/a.pth"], "out: expected a .safetensors file"),
        (["{folder}/none.pth", "{folder}/a.safetensors"], "found nothing there"),
        (["{file}", "{file}"], "out: expected a .safetensors file"),
    ],
)
def test_convert_refuses_mistakes(arguments, message, checkpoint, capsys):
    arguments = [part.format(file=checkpoint, folder=checkpoint.parent) for part in arguments]
    assert cli.main(["convert", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_torch_hub_finds_the_entries(checkpoint):
    root = str(Path(__file__).parents[2])
    spec = importlib.util.spec_from_file_location("hubconf", f"{root}/hubconf.py")
    hubconf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hubconf)
    wanted = {f"{name}{online}" for name in ("cotracker2", "cotracker2v1") for online in ("", "_online")}
    for name in wanted | {"cotracker3_offline", "cotracker3_online", "pointtrack_small"}:
        assert getattr(hubconf, name).__doc__
    model = torch.hub.load(root, "cotracker3_online", source="local", checkpoint=str(checkpoint))
    video = torch.zeros(1, 16, 3, 48, 64)
    assert model(video, is_first_step=True, grid_size=2) == (None, None)
    tracks, visible = model(video)
    assert tracks.shape == (1, 16, 4, 2) and visible.dtype == torch.bool


@pytest.mark.parametrize("name", ["cotracker2", "cotracker3_offline", "cotracker3_online"])
def test_torch_hub_gives_networks_before_training(name):
    root = str(Path(__file__).parents[2])
    model = torch.hub.load(root, name, source="local", pretrained=False)
    again = torch.hub.load(root, name, source="local", pretrained=False)
    first, second = (next(iter(one.state_dict().values())) for one in (model, again))
    assert first.shape == second.shape and sum(p.numel() for p in model.parameters()) > 1e6


def test_the_configs_survive_json():
    for row in PUBLISHED.values():
        assert from_dict(TrackerConfig, json.loads(json.dumps(to_dict(row.config)))) == row.config
