"""Time local correlation alone: PyTorch and, on a GPU, Triton, forward and backward, against the memory bandwidth.

python -m benchmarks.correlation --points 100 1024 --device cuda
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.machine import fastest, machine, measured_rates, save_figures, use_threads
from pointtrack.cli.runner import run_command
from pointtrack.layers.backends import Products
from pointtrack.layers.correlation import local_products
from pointtrack.models.device import pick_device

RADIUS = 3  # of the patches around the position and around the query in CoTracker3
CHANNELS = 128
CELLS_WH = (128, 96)  # of the finest level for frames of 512 x 384


@dataclass(frozen=True)
class Case:
    """One level of CoTracker3: a map (1, t, h, w, c), what points are compared with (1, n, q, c), positions (1, t, n, 2)."""

    level: Tensor
    support: Tensor
    xy: Tensor

    @classmethod
    def random(cls, frames: int, points: int, dtype: torch.dtype, device: torch.device) -> Case:
        """Points that wander over the whole map; always the same."""
        generator = torch.Generator().manual_seed(0)
        w, h = CELLS_WH
        level = torch.randn(1, frames, h, w, CHANNELS, generator=generator)
        support = torch.randn(1, points, (2 * RADIUS + 1) ** 2, CHANNELS, generator=generator)
        xy = torch.rand(1, frames, points, 2, generator=generator) * torch.tensor([w - 1.0, h - 1.0])
        return cls(level.to(device, dtype), support.to(device, dtype), xy.to(device))

    @property
    def operations(self) -> int:
        """Additions and multiplications of the products on whole cells, before the blend."""
        return 2 * self._positions * self._cells * self.support.shape[2] * CHANNELS

    @property
    def bytes(self) -> int:
        """Least bytes to read and write: cells around the positions, the features to compare with, the products."""
        products = self._positions * (2 * RADIUS + 1) ** 2 * self.support.shape[2]
        numbers = self._positions * self._cells * CHANNELS + self.support.numel() + products
        return numbers * self.level.element_size() + self.xy.numel() * self.xy.element_size()

    @property
    def _positions(self) -> int:
        return self.xy.shape[1] * self.xy.shape[2]

    @property
    def _cells(self) -> int:
        return (2 * RADIUS + 2) ** 2


def ways(device: torch.device) -> dict[str, Products]:
    """The functions available on a device."""
    found: dict[str, Products] = {"pytorch": local_products}
    if device.type == "cuda" and importlib.util.find_spec("triton") is not None:
        found["triton"] = importlib.import_module("pointtrack.layers.correlation_triton").local_products
    return found


def measure(way: Products, case: Case, repeats: int) -> dict[str, float]:
    """Seconds of the products, and of the products with the gradients of all three inputs."""
    device = case.level.device
    inputs = [x.clone().requires_grad_(True) for x in (case.level, case.support, case.xy)]

    def there_and_back() -> None:
        out = way(*inputs, RADIUS)
        torch.autograd.grad(out, inputs, torch.ones_like(out))

    with torch.inference_mode():
        forward = fastest(lambda: way(case.level, case.support, case.xy, RADIUS), repeats, device)
    return {"forward": forward, "with_backward": fastest(there_and_back, repeats, device)}


def bench(
    points: list[int] | None = None,
    frames: int = 24,
    precision: str = "float32",
    device: str = "auto",
    threads: int | None = None,
    repeats: int = 5,
    out: Path = Path("outputs/bench_correlation.json"),
) -> None:
    """Time the products of one level of CoTracker3 in every available way, and print a table.

    Args:
        points: numbers of points; 100 and 1024 by default.
        frames: frames of the clip.
        precision: precision of the maps, float32 or bfloat16.
        device: cpu, cuda, or auto.
        threads: threads of torch; by default its own choice.
        repeats: runs of each after a warm-up; the fastest counts.
        out: JSON file for the figures.
    """
    numbers = points or [100, 1024]
    if precision not in ("float32", "bfloat16") or min(*numbers, frames, repeats) < 1:
        raise ValueError(
            "expected precision float32 or bfloat16 and 1 point, frame and repeat or more, "
            f"got {precision}, {numbers}, {frames} and {repeats}"
        )
    use_threads(threads)
    place = pick_device(device)
    rates, about = measured_rates(place, repeats), machine(place)
    print(
        f"{about.get('gpu', about['processor'])}: copy {rates['copy'] / 1e9:.0f} GB/s, matrix product "
        f"{rates['matrix_product'] / 1e9:.0f} GFLOP/s (float32)\n\n"
        "| points | way | ms | with backward | GB/s | of the copy's | GFLOP/s | from PyTorch's |\n"
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    rows: list[dict[str, Any]] = []
    for count in numbers:
        case = Case.random(frames, count, getattr(torch, precision), place)
        with torch.inference_mode():
            wanted = local_products(case.level, case.support, case.xy, RADIUS).float()
        for name, way in ways(place).items():
            row: dict[str, Any] = {"points": count, "way": name, **measure(way, case, repeats)}
            row["bytes_per_second"] = case.bytes / row["forward"]
            row["operations_per_second"] = case.operations / row["forward"]
            with torch.inference_mode():
                got = way(case.level, case.support, case.xy, RADIUS).float()
            row["largest_difference"] = float((got - wanted).abs().max())
            rows.append(row)
            print(
                f"| {count} | {name} | {1000 * row['forward']:.2f} | {1000 * row['with_backward']:.2f} "
                f"| {row['bytes_per_second'] / 1e9:.1f} | {100 * row['bytes_per_second'] / rates['copy']:.0f} % "
                f"| {row['operations_per_second'] / 1e9:.0f} | {row['largest_difference']:.1e} |",
                flush=True,
            )
    save_figures({"rows": rows, "rates": rates, "frames": frames, "precision": precision, **about}, out)


if __name__ == "__main__":
    sys.exit(run_command(lambda: bench, sys.argv[1:], "benchmarks.correlation"))
