"""Shared parts of the benchmarks: options, test pictures, description and rates of the machine, files of figures."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from pointtrack.models.device import now
from pointtrack.system import peak_memory

CPU = torch.device("cpu")


def parse_wh(text: str) -> tuple[int, int]:
    """Parse a size as people type it.

    >>> parse_wh("854x480")
    (854, 480)
    """
    width, cross, height = text.partition("x")
    if not (cross and width.isdigit() and height.isdigit()):
        raise ValueError(f"wh: expected width x height as in 854x480, got {text!r}")
    return int(width), int(height)


def use_threads(threads: int | None) -> None:
    """Set the number of threads of torch and OpenCV; None keeps their own choice."""
    if threads is not None:
        if threads < 1:
            raise ValueError(f"threads: expected at least 1, got {threads}")
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)


def machine(device: torch.device = CPU) -> dict[str, Any]:
    """Describe the machine on which the figures were measured."""
    gpu = {"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    return {
        **gpu,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "machine": platform.platform(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def own_memory() -> int:
    """Bytes that the process itself holds now, without memory-mapped files if the system distinguishes them."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return peak_memory()


def return_freed_memory() -> None:
    """Undo `launch.keep_freed_memory`, so that a peak is that of memory in use, and not of what fell between."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-4, 65536)  # M_MMAP_MAX and M_TRIM_THRESHOLD, as glibc has them
        mallopt(-1, 128 * 1024)


def forget_peak(device: torch.device = CPU) -> None:
    """Reset `peak` (on a GPU, or on Linux; elsewhere nothing happens)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak(device: torch.device = CPU) -> int:
    """Peak bytes so far: of tensors on a GPU, of the whole process on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_memory()


def smooth_texture(wh: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) uint8 smooth random noise; always the same."""
    noise = np.random.default_rng(0).normal(size=(wh[1], wh[0], 3)).astype(np.float32)
    picture = cv2.GaussianBlur(noise, (0, 0), 2) + 2 * cv2.GaussianBlur(noise, (0, 0), 6)
    return np.clip(128 + 45 * picture / picture.std(), 0, 255).astype(np.uint8)


def moving_texture(frames: int, wh: tuple[int, int]) -> np.ndarray:
    """(t, h, w, 3) uint8: a smooth random texture that passes by at 3 and 1 pixels per frame."""
    picture = smooth_texture((wh[0] + 3 * frames, wh[1] + frames))
    return np.stack([picture[t : t + wh[1], 3 * t : 3 * t + wh[0]] for t in range(frames)])


def random_points(count: int, wh: tuple[int, int]) -> torch.Tensor:
    """(count, 2) positions across the whole image; always the same."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 2, generator=generator) * (torch.tensor(wh) - 1)


def in_process(module: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Run `python -m module arguments` in its own process, and parse the last line that it prints as JSON."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"{' '.join(arguments)}: {done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def save_figures(figures: dict[str, Any], out: Path) -> None:
    """Write figures as JSON, and print the path."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"figures   {out}")


def measured_rates(device: torch.device = CPU, repeats: int = 5) -> dict[str, float]:
    """Measure rates of plain float32 operations of typical size on a device; on a CPU, with torch's current threads.

    Returns:
        Operations per second of a product of two matrices of 2,048 x 2,048 (on a GPU, which takes more to fill, 8,192)
        and of a 3x3 convolution of 128 channels over 96 x 128 cells (on a GPU of 64 images); bytes per second, read and
        written, of a copy of 256 MB.
    """
    side, images = (2048, 1) if device.type == "cpu" else (8192, 64)
    square = torch.randn(side, side, device=device)
    convolution = torch.nn.Conv2d(128, 128, 3, padding=1, device=device).requires_grad_(False)
    maps = torch.randn(images, 128, 96, 128, device=device)
    source = torch.randn(2**26, device=device)
    target = torch.empty_like(source)
    in_convolution = 2 * 9 * 128 * 128 * 96 * 128 * images
    with torch.inference_mode():
        return {
            "matrix_product": 2 * side**3 / fastest(lambda: square @ square, repeats, device),
            "convolution": in_convolution / fastest(lambda: convolution(maps), repeats, device),
            "copy": 2 * 4 * 2**26 / fastest(lambda: target.copy_(source), repeats, device),
        }


def fastest(call: Callable[[], Any], repeats: int, device: torch.device = CPU) -> float:
    """Seconds of the fastest of several calls, after a warm-up."""
    call()
    seconds = []
    for _ in range(repeats):
        began = now(device)
        call()
        seconds.append(now(device) - began)
    return min(seconds)
