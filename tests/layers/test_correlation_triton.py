"""The Triton kernel against the PyTorch fallback: on a GPU as compiled, elsewhere through Triton's interpreter."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pointtrack.config import CorrelationConfig
from pointtrack.layers.correlation import FeatureCorrelation, PatchCorrelation

if importlib.util.find_spec("triton") is None:
    pytest.skip("needs Triton, which comes with CUDA builds of PyTorch", allow_module_level=True)

import triton
import triton.language as tl

ROOT = Path(__file__).parents[2]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# A GPU multiplies float64 too, but what is trained and tracked with is float32.
DTYPE, CLOSE = (torch.float32, 1e-4) if DEVICE == "cuda" else (torch.float64, 1e-9)


@triton.jit
def probe(out, count):
    """The kernels' loop alone: up to a number that is given at run time."""
    total = 0
    for _ in range(0, count, 2):
        total += 1
    tl.store(out, total)


def interpreter_fault() -> str:
    """Why Triton's interpreter cannot run such a loop; nothing where it can. With numpy 2.4, that of Triton 3.6 cannot."""
    out = torch.zeros(1, dtype=torch.int32)
    try:
        probe[(1,)](out, 6)
    except triton.runtime.errors.InterpreterError as error:
        return str(error)
    assert out.tolist() == [3]
    return ""


@pytest.fixture(scope="module")
def runs() -> None:
    """Kernels can be run here: on a GPU, or by an interpreter that works."""
    fault = interpreter_fault() if DEVICE == "cpu" else ""
    if fault:
        pytest.skip(f"Triton {triton.__version__} cannot interpret with numpy {np.__version__}: {fault}")


@pytest.fixture(scope="module")
def local_products():
    """The function; its module cannot be imported without Triton."""
    return importlib.import_module("pointtrack.layers.correlation_triton").local_products


def case(kind: str, radius: int, support_radius: int = 1, channels: int = 5):
    """A fallback, and a level, positions (also outside, on whole cells and on borders) and support for it."""
    generator = torch.Generator().manual_seed(3)
    config = CorrelationConfig(kind=kind, levels=1, radius=radius, support_radius=support_radius, hidden=4)
    fallback = {"patch": PatchCorrelation, "feature": FeatureCorrelation}[kind](config)
    b, t, n, h, w = 2, 2, 3, 6, 9
    level = torch.randn(b, t, h, w, channels, generator=generator, dtype=torch.float64)
    xy = torch.rand(b, t, n, 2, generator=generator, dtype=torch.float64) * torch.tensor([w + 8, h + 8]) - 4
    xy[0, 0, 0] = torch.tensor([3.0, 2.0])
    xy[0, 1, 1] = torch.tensor([w - 1, -0.25])
    xy[1, 0, 2] = torch.tensor([1e12, -1e12])
    shape = (b, n, (2 * support_radius + 1) ** 2, channels) if kind == "patch" else (b, t, n, channels)
    support = torch.randn(shape, generator=generator, dtype=torch.float64)
    level, support, xy = (x.to(DEVICE, DTYPE).requires_grad_(True) for x in (level, support, xy))
    return fallback.to(DEVICE), level, support, xy


def by_kernel(local_products, kind, level, support, xy, radius):
    """What `products` of a correlation gives for one level."""
    if kind == "patch":
        return local_products(level, support, xy, radius)
    return local_products(level, support[..., None, :] * support.shape[-1] ** -0.5, xy, radius)[..., 0]


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("kind", "radius", "support_radius", "channels"),
    [
        ("patch", 2, 1, 5),
        ("patch", 3, 0, 40),
        ("feature", 3, 0, 33),
        ("patch", 1, 2, 16),
        ("feature", 0, 0, 4),
    ],
)
def test_products_and_gradients_equal_the_fallback(kind, radius, support_radius, channels, local_products):
    fallback, level, support, xy = case(kind, radius, support_radius, channels)
    (wanted,) = fallback.products([level], [support], xy)
    got = by_kernel(local_products, kind, level, support, xy, radius)
    assert got.shape == wanted.shape and got.dtype == wanted.dtype
    assert torch.allclose(got, wanted, atol=CLOSE)
    weight = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    inputs = (level, support, xy)
    theirs = torch.autograd.grad(wanted, inputs, weight.to(wanted))
    ours = torch.autograd.grad(got, inputs, weight.to(wanted))
    for name, mine, other in zip(("level", "support", "xy"), ours, theirs, strict=True):
        assert other.abs().max() > 0.1, name
        assert torch.allclose(mine, other, atol=10 * CLOSE), name


@pytest.mark.usefixtures("runs")
def test_only_wanted_gradients_are_computed(local_products):
    _, level, support, xy = case("patch", 1)
    local_products(level.detach(), support, xy.detach(), 1).sum().backward()
    assert level.grad is None and xy.grad is None and support.grad is not None
    assert not local_products(level.detach(), support.detach(), xy.detach(), 1).requires_grad


@pytest.mark.usefixtures("runs")
def test_strided_inputs_and_no_points(local_products):
    fallback, level, support, xy = case("patch", 1)
    mirrored = level.transpose(2, 3)  # not contiguous
    wanted = fallback.products([mirrored.contiguous()], [support], xy)[0]
    assert torch.allclose(local_products(mirrored, support, xy, 1), wanted, atol=CLOSE)
    none = local_products(level, support[:, :0], xy[:, :, :0], 1)
    assert none.shape == (2, 2, 0, 9, 9)
    none.sum().backward()
    assert float(level.grad.abs().sum()) == 0


@pytest.mark.usefixtures("runs")
def test_half_precision_maps_sum_in_full_precision(local_products):
    _, level, support, xy = case("patch", 1, channels=16)
    half = [x.detach().to(torch.float16) for x in (level, support)]
    got = local_products(*half, xy.detach().float(), 1)
    wanted = local_products(*(x.float() for x in half), xy.detach().float(), 1)
    assert got.dtype == torch.float16
    assert torch.equal(got, wanted.to(torch.float16))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda level, support, xy: (level, support[:, :2], xy), "support: expected .2, 3, q, 5."),
        (lambda level, support, xy: (level, support[..., :4], xy), "got .2, 3, 9, 4."),
        (lambda level, support, xy: (level, support, xy[:, :1]), "xy: expected .2, 2, n, 2."),
    ],
)
def test_wrong_shapes_are_told(change, message, local_products):
    _, level, support, xy = case("patch", 1)
    with pytest.raises(ValueError, match=message):
        local_products(*change(level, support, xy), 1)


@pytest.mark.slow
def test_kernels_compile_for_gpus(tmp_path):
    """The interpreter lets pass what a GPU would not; the compiler needs no GPU. Ampere and Hopper."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    # In front of what is there, which Triton itself may come from.
    paths = [str(ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    environment |= {"PYTHONPATH": os.pathsep.join(paths), "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, str(Path(__file__).with_name("compile_kernels.py")), "80", "90"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sizes = [int(size) for size in done.stdout.split()]
    assert len(sizes) == 8 and min(sizes) > 1000
