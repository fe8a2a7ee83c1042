"""Weights from files: every format that is read, and every kind of file that is none."""

import argparse
import hashlib
import os
import pickle
from collections import OrderedDict
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pointtrack.models.weight_files import check_sha256, compare_shapes, file_sha256, read_weights

TENSORS = {
    "module.weight": torch.arange(6.0).reshape(2, 3),
    "half": torch.tensor([0.5, -2.0], dtype=torch.float16),
    "count": torch.tensor(7),
}


def save_zip(content, path):
    torch.save(content, path)


def save_legacy(content, path):
    torch.save(content, path, _use_new_zipfile_serialization=False)


def assert_same(tensors, expected):
    assert list(tensors) == list(expected)
    for name, x in tensors.items():
        assert type(x) is torch.Tensor and not x.requires_grad
        assert x.dtype == expected[name].dtype and x.device.type == "cpu"
        assert torch.equal(x, expected[name])


@pytest.mark.parametrize("save", [save_zip, save_legacy, save_file])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ""])
def test_content_tells_the_format(tmp_path, save, suffix):
    path = tmp_path / f"weights{suffix}"
    save(TENSORS, path)
    file = read_weights(str(path))
    assert_same({name: file.tensors[name] for name in TENSORS}, TENSORS)
    assert len(file.tensors) == len(TENSORS) and file.metadata == {} and file.path == path


@pytest.mark.parametrize("save", [save_zip, save_legacy])
def test_weights_of_a_training_state(tmp_path, save):
    path = tmp_path / "state.ckpt"
    moments = {0: {"step": 3, "exp_avg": torch.zeros(2)}}
    save({"model": TENSORS, "optimizer": {"state": moments}, "total_steps": 3}, path)
    assert_same(read_weights(path).tensors, TENSORS)


def test_a_packed_archive(tmp_path):
    """Written by another program than torch.save, which compresses."""
    torch.save(TENSORS, tmp_path / "a.pth")
    with ZipFile(tmp_path / "a.pth") as old, ZipFile(tmp_path / "b.pth", "w", ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert_same(read_weights(tmp_path / "b.pth").tensors, TENSORS)


def test_a_tensor_may_be_called_model(tmp_path):
    torch.save({"model": torch.ones(2)}, tmp_path / "a.pt")
    assert_same(read_weights(tmp_path / "a.pt").tensors, {"model": torch.ones(2)})


def test_parameters_become_plain_tensors(tmp_path):
    layer = nn.Linear(2, 3)
    torch.save(OrderedDict(layer.named_parameters()), tmp_path / "a.bin")
    assert_same(read_weights(tmp_path / "a.bin").tensors, layer.state_dict())


def test_notes_of_a_safetensors_file(tmp_path):
    save_file(TENSORS, tmp_path / "a.safetensors", {"licence": "Apache-2.0"})
    assert read_weights(tmp_path / "a.safetensors").metadata == {"licence": "Apache-2.0"}


def test_safetensors_header_that_starts_like_a_page(tmp_path):
    """The first byte of the file is the lowest byte of the header's length: this one is 0x3c, a `<`."""
    path = tmp_path / "a.safetensors"
    save_file(TENSORS, path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    spaces = (ord("<") - length) % 256
    header = content[8 : 8 + length] + b" " * spaces
    path.write_bytes((length + spaces).to_bytes(8, "little") + header + content[8 + length :])
    assert path.read_bytes().startswith(b"<")
    assert len(read_weights(path).tensors) == len(TENSORS)


def test_absent_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="found nothing there; pass the path of the file"):
        read_weights(tmp_path / "a.pth")
    with pytest.raises(FileNotFoundError, match="found a folder there"):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file; download or copy it again"),
        (b"\n <!DOCTYPE html>\n<html>404</html>", "a web page, .*DOCTYPE html.*; download the raw file"),
        (b"\xef\xbb\xbf<html lang='en'><title>Sign in</title>", "a web page, .*Sign in"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "a web page, .*xml version"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 102400\n",
            "a git-lfs pointer.*; run `git lfs pull`",
        ),
        (b"Entry not found", "something else, which begins with 'Entry not found'; download"),
        (b"\0" * 2000, r"something else, which begins with '\\x00"),
        (b"\x90", r"something else, which begins with '\\\\x90'"),
        (b"\xff\xff\xff\xff\0\0\0\0{}", "something else"),
        (pickle.dumps({"a": 1}), "a pickle that torch.save did not write; save the tensors alone"),
    ],
)
def test_what_is_no_file_of_weights(tmp_path, content, message):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"weights\.pth: expected a file of weights .*, got {message}"):
        read_weights(path)


@pytest.mark.parametrize("save", [save_zip, save_legacy, save_file])
def test_cut_files(tmp_path, save):
    path = tmp_path / "weights.pth"
    save(TENSORS, path)
    whole = path.read_bytes()
    for length in [len(whole) - 1, len(whole) - 9, len(whole) // 2, len(whole) // 4, 40]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"one that is cut short or damaged \(.+\); download or copy"):
            read_weights(path)
    path.write_bytes(whole)
    assert len(read_weights(path).tensors) == len(TENSORS)


def test_length_of_a_cut_header_is_told(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes((5000).to_bytes(8, "little") + b'{"a":')
    with pytest.raises(ValueError, match="a header of 5000 bytes, and 13 bytes in all"):
        read_weights(path)


def test_damage_inside_a_zip_file(tmp_path):
    path = tmp_path / "a.pth"
    torch.save(TENSORS, path)
    content = bytearray(path.read_bytes())
    start = content.index(b"module.weight")
    content[start - 20 : start + 20] = b"\xee" * 40
    path.write_bytes(content)
    with pytest.raises(ValueError, match="a pickle that is damaged"):
        read_weights(path)


@pytest.mark.parametrize("save", [save_zip, save_legacy])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": TENSORS, "args": argparse.Namespace(lr=1)}, r"a pickle of argparse\.Namespace,"),
        (nn.ReLU(), r"a pickle of torch\.nn\.modules\.activation\.ReLU,"),
        ({"a": print}, "a pickle of print, which could run code"),
        ({"a": os.getcwd}, r"a pickle of (posix|nt)\.getcwd,"),
        ([torch.zeros(2)], "a list"),
        (torch.zeros(2), "a Tensor"),
        (
            {"weights": TENSORS, "epoch": 3},
            r"a dict with other entries: 'weights' \(dict\), 'epoch' \(int\)",
        ),
        ({"model": {**TENSORS, "step": 3}}, r"a dict with other entries: 'step' \(int\)"),
        ({0: torch.zeros(2)}, r"a dict with other entries: 0 \(Tensor\)"),
        ({}, "a file without any tensor"),
        ({"model": {}}, "a file without any tensor"),
    ],
)
def test_objects_other_than_tensors(tmp_path, save, content, message):
    save(content, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=rf", got {message}.*; save the tensors alone"):
        read_weights(tmp_path / "a.pth")


def test_other_zip_files(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="a zip archive that torch.save did not write"):
        read_weights(tmp_path / "a.npz")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_is_refused(tmp_path):
    torch.jit.save(torch.jit.trace(nn.Linear(2, 3), torch.zeros(2)), tmp_path / "a.pt")
    with pytest.raises(ValueError, match="got a TorchScript program; save the tensors alone"):
        read_weights(tmp_path / "a.pt")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol 4")
def test_other_pickle_protocols(tmp_path):
    torch.save(TENSORS, tmp_path / "a.pth", pickle_protocol=4)
    with pytest.raises(ValueError, match="damaged, or of another protocol than 2; .*, or save the tensors"):
        read_weights(tmp_path / "a.pth")


def test_nothing_in_a_file_runs(tmp_path):
    class Attack:
        def __reduce__(self):
            return (tmp_path.joinpath("harmed").touch, ())

    for save in (save_zip, save_legacy):
        save({"a": Attack()}, tmp_path / "a.pth")
        with pytest.raises(ValueError, match="could run code"):
            read_weights(tmp_path / "a.pth")
    assert not (tmp_path / "harmed").exists()
    torch.load(tmp_path / "a.pth", weights_only=False)
    assert (tmp_path / "harmed").exists(), "the attack would have worked"


def test_sha256_of_a_file(tmp_path):
    path = tmp_path / "a"
    content = np.random.default_rng(0).bytes((1 << 20) + 17)  # more than one block
    path.write_bytes(content)
    right = hashlib.sha256(content).hexdigest()
    assert file_sha256(path) == right
    check_sha256(path, right)
    check_sha256(path, right.upper())
    wrong = "0" * 64
    with pytest.raises(ValueError) as caught:
        check_sha256(path, wrong)
    first, *rest = str(caught.value).splitlines()
    assert first == f"{path}: not the file that is expected here"
    assert f"expected SHA-256 {wrong}" in rest[0] and f"got SHA-256      {right}" in rest[1]
    assert "download it again" in rest[2]


def compare(wanted, found):
    """The lists of the message by title; empty where the shapes agree."""
    try:
        compare_shapes(wanted, found, "a.pth", "tiny")
    except ValueError as error:
        first, *rest = str(error).splitlines()
        assert first.startswith("a.pth: expected the weights of tiny, got other tensors; pass the file")
        return dict(line.strip().split(": ", 1) for line in rest)
    return {}


@pytest.mark.parametrize(
    ("found", "lists"),
    [
        ({"b": (3,), "a": torch.Size([2, 3])}, {}),
        ({"a": (2, 3)}, {"missing": "b"}),
        ({"a": (2, 3), "b": (3,), "c": ()}, {"unexpected": "c"}),
        ({"a": torch.Size([3, 2]), "b": (3,)}, {"shapes": "a is (3, 2), not (2, 3)"}),
        ({"a": (), "c": (4,)}, {"missing": "b", "unexpected": "c", "shapes": "a is (), not (2, 3)"}),
    ],
)
def test_shapes_are_compared(found, lists):
    assert compare({"a": (2, 3), "b": (3,)}, found) == lists


def test_many_names_are_shortened():
    names = [f"layer{i:02}" for i in range(12)]
    lists = compare(
        dict.fromkeys(names, (2,)), {"z": (1,)} | {f"{x}x": (i,) for i, x in enumerate("abcdefghijk")}
    )
    assert lists["missing"] == ", ".join(names[:8]) + " ... and 4 more"
    assert lists["unexpected"].startswith("z, ax, bx") and lists["unexpected"].endswith(" ... and 4 more")
    assert "renamed?" not in lists
    shapes = compare(dict.fromkeys(names, (2,)), dict.fromkeys(names, (3,)))["shapes"]
    assert shapes.startswith("layer00 is (3,), not (2,), ") and shapes.endswith(
        "layer07 is (3,), not (2,) ... and 4 more"
    )


def test_renamed_tensors_are_recognised():
    wanted = {"encoder.stem.weight": (8, 3), "encoder.stem.bias": (8,), "head.bias": (2,)}
    found = {"module.encoder.stem.bias": (8,), "module.encoder.stem.weight": (8, 3), "head.bias_": (3,)}
    assert compare(wanted, found)["renamed?"] == (
        "encoder.stem.weight is module.encoder.stem.weight in the file, "
        "encoder.stem.bias is module.encoder.stem.bias in the file"
    )
    # One name of the file is not two names of the model.
    twice = compare({"proxy_1": (2,), "proxy_2": (2,)}, {"proxy_3": (2,)})
    assert twice["renamed?"] == "proxy_1 is proxy_3 in the file"
