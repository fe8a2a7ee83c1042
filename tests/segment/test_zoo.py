"""Segmenters by name: what is loaded from where, and what is said when it cannot be."""

import json
import logging
import os
import shutil
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from pointtrack.segment import Prompt, load_segmenter, zoo
from pointtrack.segment.sam import SamHqSegmenter, SamSegmenter
from pointtrack.segment.sam2 import Sam2Segmenter
from pointtrack.segment.video_zoo import load_video_model
from tests.support.programs import run_program

ADAPTERS = {"sam": SamSegmenter, "sam_hq": SamHqSegmenter, "sam2": Sam2Segmenter, "sam2_video": Sam2Segmenter}


@pytest.fixture
def folder(tiny_sam, tmp_path):
    """A tiny SAM that may be spoiled."""
    return shutil.copytree(tiny_sam["sam"].folder, tmp_path / "my_sam")


@pytest.mark.parametrize("kind", ADAPTERS)
def test_folder(tiny_sam, frame_of, kind, monkeypatch):
    monkeypatch.setattr(zoo, "fetch", None)  # a folder needs no hub
    segmenter = load_segmenter(tiny_sam[kind].folder, device="cpu")
    assert type(segmenter) is ADAPTERS[kind]
    assert (segmenter.name, segmenter.licence) == (kind, "unknown")
    theirs = tiny_sam[kind].model.state_dict()
    for name, tensor in segmenter.model.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name
    embedding = segmenter.encode(frame_of((50, 36)))
    assert segmenter.decode(embedding, Prompt(points=[[5, 5]])).logits.shape == (3, 36, 50)


def test_video_model_is_taken_for_its_part_silently(tiny_sam):
    heard = []
    handler = logging.Handler()
    handler.emit = heard.append
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    try:
        load_segmenter(tiny_sam["sam2_video"].folder, device="cpu")
    finally:
        logger.removeHandler(handler)
    assert [record.getMessage() for record in heard] == []


@pytest.mark.parametrize("given", [".", "config.json", "model.safetensors"])
def test_published_model_from_a_folder(folder, given):
    segmenter = load_segmenter("sam-vit-h", checkpoint=folder / given, device="cpu")
    assert (segmenter.name, segmenter.licence) == ("sam-vit-h", "Apache-2.0")


@pytest.mark.parametrize(
    ("name", "kind", "repo", "called", "licence"),
    [
        ("sam-vit-l", "sam", "facebook/sam-vit-large", "sam-vit-l", "Apache-2.0"),
        ("sam-hq-vit-b", "sam_hq", "syscv-community/sam-hq-vit-base", "sam-hq-vit-b", "Apache-2.0"),
        ("sam2-hiera-tiny", "sam2", "facebook/sam2-hiera-tiny", "sam2-hiera-tiny", "Apache-2.0"),
        (
            "sam2.1-hiera-base-plus", "sam2_video", "facebook/sam2.1-hiera-base-plus", "sam2.1-hiera-base-plus",
            "Apache-2.0",
        ),
        ("facebook/sam-vit-huge", "sam", "facebook/sam-vit-huge", "sam-vit-h", "Apache-2.0"),
        ("hf:some-one/tiny.sam", "sam", "some-one/tiny.sam", "tiny.sam", "unknown"),
    ],
)  # fmt: skip
def test_hub(tiny_sam, monkeypatch, name, kind, repo, called, licence):
    requested = []

    def fetch(repo, filename):
        requested.append((repo, filename))
        return tiny_sam[kind].folder / filename

    monkeypatch.setattr(zoo, "fetch", fetch)
    segmenter = load_segmenter(name, device="cpu")
    assert requested == [(repo, "config.json"), (repo, "model.safetensors")]
    assert (segmenter.name, segmenter.licence) == (called, licence)


def test_every_published_row_can_be_loaded():
    assert len(zoo.PUBLISHED) == 16
    for name, row in zoo.PUBLISHED.items():
        assert row.kind in zoo.KINDS and row.repo.count("/") == 1 and row.licence, name


def test_import_is_fast_and_offline_is_said(tmp_path):
    """In a new process: what SAM needs is imported when a SAM is loaded, and the empty cache gives nothing."""
    program = """
import sys
import pointtrack
from pointtrack.segment import load_segmenter, zoo
assert "transformers" not in sys.modules and "huggingface_hub" not in sys.modules
zoo.transformers_with = lambda: None
try:
    load_segmenter("sam2.1-hiera-tiny", device="cpu")
except ConnectionError as error:
    print(error)
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    environment.pop("HF_HUB_CACHE", None)
    done = run_program(program, env=environment)
    assert done.returncode == 0, done.stderr
    assert "config.json of facebook/sam2.1-hiera-tiny at revision de431c40" in done.stdout
    assert ": not in the cache, and HF_HUB_OFFLINE" in done.stdout
    assert "by hand and pass it as checkpoint=" in done.stdout
    assert "or put a folder with config.json and model.safetensors in the place of the name" in done.stdout


def test_a_look_at_an_empty_cache_imports_no_models(tmp_path):
    """In a new process: `pointtrack segment` looks for a stronger model at every start."""
    program = """
import sys
from pointtrack.segment.video_zoo import cached_video_names
assert cached_video_names() == []
assert "transformers" not in sys.modules
"""
    environment = {**os.environ, "HF_HOME": str(tmp_path)}
    environment.pop("HF_HUB_CACHE", None)
    done = run_program(program, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["sam-vit-b", "hf:someone/sam"])
def test_extra_is_missing(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setattr(zoo, "fetch", None)  # gigabytes are not fetched before it is said
    with pytest.raises(ImportError, match=r'not installed; .* pip install "pointtrack\[sam\]"'):
        load_segmenter(name, device="cpu")


def test_extra_is_missing_for_a_folder(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"pointtrack\[sam\]"):
        load_segmenter(folder, device="cpu")


def test_extra_is_too_old(folder, monkeypatch):
    old = SimpleNamespace(__version__="4.40.0", SamModel=None)
    monkeypatch.setitem(sys.modules, "transformers", old)
    with pytest.raises(ImportError, match=r"with SamHQModel, Sam2Model, got 4\.40\.0; .*pointtrack\[sam\]"):
        load_segmenter(folder, device="cpu")


def test_small_is_loaded_by_its_module(monkeypatch):
    calls = []
    small = ModuleType("small")
    small.load_small = lambda *path, device, precision: calls.append((*path, str(device), precision))
    monkeypatch.setitem(sys.modules, "pointtrack.segment.small", small)
    monkeypatch.setitem(sys.modules, "transformers", None)
    load_segmenter(device="cpu")
    load_segmenter("small", checkpoint="other.safetensors", device="cpu")
    load_segmenter("mine.safetensors", device="cpu", precision="bfloat16")
    told = [
        ("cpu", "float32"),
        ("other.safetensors", "cpu", "float32"),
        ("mine.safetensors", "cpu", "bfloat16"),
    ]
    assert calls == told


@pytest.mark.parametrize("name", ["sam-vit-x", "a/b/c", "/nowhere/at/all", "../sam"])
def test_unknown_name(name):
    with pytest.raises(
        FileNotFoundError, match="expected small, one of sam-vit-b, .* a folder with config.json"
    ):
        load_segmenter(name, device="cpu")


def test_checkpoint_goes_with_a_published_name(folder):
    with pytest.raises(ValueError, match="checkpoint: expected with small or one of sam-vit-b"):
        load_segmenter(folder, checkpoint=folder, device="cpu")


def test_device_that_is_not_there(folder):
    with pytest.raises(ValueError, match="device: expected"):
        load_segmenter(folder, device="nonsense")


def test_folder_of_another_model(tiny_sam):
    with pytest.raises(ValueError, match="expected sam-vit-b, a model of type sam, got one of type sam2"):
        load_segmenter("sam-vit-b", checkpoint=tiny_sam["sam2_video"].folder, device="cpu")


@pytest.mark.parametrize("lost", ["config.json", "model.safetensors"])
def test_folder_lacks_a_file(folder, lost):
    (folder / lost).unlink()
    for given in ({"name": folder}, {"name": "sam-vit-b", "checkpoint": folder}):
        with pytest.raises(FileNotFoundError, match=f"found no {lost}; copy"):
            load_segmenter(**given, device="cpu")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html>", "expected a JSON object, got something else"),
        ("[1]", "expected a JSON object, got something else"),
        ('{"model_type": "bert"}', "expected a model_type of sam, sam_hq, sam2, .*sam3_video, got 'bert'"),
        ("{}", "got None"),
    ],
)
def test_config_that_is_none(folder, text, message):
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_segmenter(folder, device="cpu")


def test_weights_with_a_tensor_missing(folder):
    weights = load_file(folder / "model.safetensors")
    gone = "mask_decoder.iou_token.weight"
    weights.pop(gone)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ValueError, match=f"(?s)model of type sam, got others.*1 tensors are missing, such as {gone}"
    ):
        load_segmenter(folder, device="cpu")


def test_weights_of_another_size(folder):
    config = json.loads((folder / "config.json").read_text())
    config["mask_decoder_config"]["iou_head_hidden_dim"] = 48
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        ValueError, match=f"{folder}: expected the config and the weights of a model of type sam"
    ):
        load_segmenter(folder, device="cpu")


def test_weights_cut_short(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(
        ValueError, match=f"{folder}: expected the config and the weights of a model of type sam"
    ):
        load_segmenter(folder, device="cpu")


def test_video_model(tiny_sam):
    model = load_video_model(tiny_sam["sam2_video"].folder, device="cpu")
    assert (model.name, model.licence, model.device) == ("sam2_video", "unknown", torch.device("cpu"))
    theirs = tiny_sam["sam2_video"].model.state_dict()
    assert theirs.keys() == model.video.state_dict().keys() > model.image.state_dict().keys()
    for part in (model.video, model.image):
        for name, tensor in part.state_dict().items():
            assert torch.equal(tensor, theirs[name]), name
        assert not part.training


@pytest.mark.parametrize("name", ["sam2-hiera-small", "facebook/sam2-hiera-small"])
def test_published_video_model(tiny_sam, monkeypatch, name):
    requested = []

    def fetch(repo, filename):
        requested.append((repo, filename))
        return tiny_sam["sam2_video"].folder / filename

    monkeypatch.setattr(zoo, "fetch", fetch)
    model = load_video_model(name, device="cpu")
    assert requested == [("facebook/sam2-hiera-small", file) for file in ("config.json", "model.safetensors")]
    assert (model.name, model.licence) == ("sam2-hiera-small", "Apache-2.0")


@pytest.mark.parametrize("name", ["small", "sam-vit-b", "sam-hq-vit-l", "facebook/sam-vit-huge"])
def test_video_model_that_is_for_single_frames(name):
    with pytest.raises(
        ValueError, match="got one for single frames; choose one of sam2-hiera-tiny, .*sam2.1"
    ):
        load_video_model(name, device="cpu")


def test_video_model_of_another_type(tiny_sam):
    with pytest.raises(
        ValueError,
        match="expected a model for video, a model of type sam2_video or edgetam_video .* got one of type sam2;",
    ):
        load_video_model(tiny_sam["sam2"].folder, device="cpu")
    with pytest.raises(
        ValueError, match="expected sam2-hiera-tiny, a model of type sam2_video, got one of type sam;"
    ):
        load_video_model("sam2-hiera-tiny", checkpoint=tiny_sam["sam"].folder, device="cpu")


def test_video_model_with_a_tensor_missing(tiny_sam, tmp_path):
    folder = shutil.copytree(tiny_sam["sam2_video"].folder, tmp_path / "cut")
    weights = load_file(folder / "model.safetensors")
    weights.pop("memory_encoder.projection.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    load_segmenter(folder, device="cpu")  # does without
    with pytest.raises(
        ValueError, match="(?s)of type sam2_video, got others.*such as memory_encoder.projection.weight"
    ):
        load_video_model(folder, device="cpu")


def test_video_model_without_the_extra(tiny_sam, monkeypatch):
    monkeypatch.setattr(zoo, "fetch", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"not installed; .*pointtrack\[sam\]"):
        load_video_model("sam2.1-hiera-tiny", device="cpu")
    old = SimpleNamespace(
        __version__="4.56.0.dev", **{kind.model: None for kind in map(zoo.KINDS.get, zoo.OLD_KINDS)}
    )
    monkeypatch.setitem(sys.modules, "transformers", old)
    with pytest.raises(ImportError, match=r"with Sam2VideoModel, got 4\.56\.0\.dev; .*pointtrack\[sam\]"):
        load_video_model(tiny_sam["sam2_video"].folder, device="cpu")


@pytest.mark.parametrize("name", ["weights/sam", "some-one/tiny.sam", "hf:some-one", "hf:/x"])
def test_a_mistyped_path_never_becomes_a_download(monkeypatch, name):
    monkeypatch.setattr(zoo, "fetch", lambda *_: pytest.fail("nothing may be downloaded"))
    with pytest.raises(FileNotFoundError, match="hf:owner/name"):
        zoo.load_segmenter(name)
