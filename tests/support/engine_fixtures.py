"""Golden outputs of the published LocoTrack and AllTracker on weights made from a rule.

The folder is $POINTTRACK_ENGINE_FIXTURES, by default ../shared/fixtures/engines/dev; see the README beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.synthetic_weights import digest, learned_weights

ROOT = Path(__file__).parents[2]
FOLDER = Path(
    os.environ.get("POINTTRACK_ENGINE_FIXTURES", ROOT.parent / "shared" / "fixtures" / "engines" / "dev")
)


def meta_of(model: str) -> dict[str, Any]:
    with np.load(FOLDER / f"{model}.npz") as file:
        return json.loads(str(file["meta"]))


def models(kind: str) -> list[Any]:
    """Names of the models of that kind with outputs in the folder."""
    found = [pytest.param(path.stem, id=path.stem) for path in sorted(FOLDER.glob(f"{kind}*.npz"))]
    missing = pytest.mark.skip(reason=f"no golden outputs in {FOLDER}; set POINTTRACK_ENGINE_FIXTURES")
    return found or [pytest.param(None, marks=missing)]


# Long: LocoTrack's models differ in widths and kernels alone, of the large one a case is enough; batches are videos one by
# one, and other sizes and resolutions take the path of those that are left.
HELD_BY_OTHERS = {
    *(("locotrack_small", case) for case in ("default_384x512", "main_r96x128", "batch2", "infer_256")),
    *(("locotrack_base", case) for case in ("main_r96x128", "batch2", "infer_256", "infer_rect")),
    *(("locotrack_base", case) for case in ("default_384x512", "long_chunks", "two_res")),
}


def cases(kind: str, *modes: str) -> list[Any]:
    """(model, case) of every case in the folder, or only of the given modes."""
    found = [
        pytest.param(
            path.stem,
            case,
            id=f"{path.stem}-{case}",
            marks=[pytest.mark.long] if (path.stem, case) in HELD_BY_OTHERS else [],
        )
        for path in sorted(FOLDER.glob(f"{kind}*.npz"))
        for case, spec in meta_of(path.stem)["cases"].items()
        if not modes or mode_of(spec) in modes
    ]
    missing = pytest.mark.skip(reason=f"no golden outputs in {FOLDER}; set POINTTRACK_ENGINE_FIXTURES")
    return found or [pytest.param(None, None, marks=missing)]


def mode_of(spec: dict[str, Any]) -> str:
    return spec.get("mode") or spec["args"]["mode"]


def golden_of(model: str, case: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{model}.npz") as file:
        return {key.removeprefix(f"{case}/"): file[key] for key in file.files if key.startswith(f"{case}/")}


def weights_of(model: str) -> dict[str, Tensor]:
    """The published state dict, as the README's rule makes it."""
    meta = meta_of(model)
    weights = learned_weights(meta["shapes"], meta["rule"])
    assert digest(weights) == meta["weights_sha256"]
    with np.load(FOLDER / f"{model}.npz") as file:
        for name in meta["rule"]["buffers"]:
            weights[name] = file[f"buffers/{name}"]
    return {name: torch.from_numpy(weights[name]) for name in meta["shapes"]}


def videos_of(spec: dict[str, Any]) -> Tensor:
    """(b, t, 3, h, w) uint8 frames of a case."""
    clips = []
    for seed, wanted in zip(spec["video_seed"], spec["video_sha256"], strict=True):
        clip = make_video(spec["T"], spec["H"], spec["W"], seed)
        assert video_digest(clip) == wanted
        clips.append(torch.from_numpy(clip).movedim(-1, 1))
    return torch.stack(clips)


def make_video(frames: int, height: int, width: int, seed: int) -> np.ndarray:
    """The README's clip: plane waves that turn and move, a disc of others crossing them. (t, h, w, 3) uint8."""
    rng = np.random.default_rng([7919, seed])
    layers = [
        (
            rng.uniform(-0.45, 0.45, (14, 2)),
            rng.uniform(0, 2 * np.pi, 14),
            rng.standard_normal((3, 14)) * 0.32,
        )
        for _ in range(2)
    ]
    velocity, spin = rng.uniform(-1.5, 1.5, 2), rng.uniform(-0.012, 0.012)
    start = np.array([0.15 * width, 0.35 * height])
    path = np.array([0.7 * width, 0.3 * height]) / max(frames - 1, 1)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)

    def paint(layer: tuple[np.ndarray, ...], x: np.ndarray, y: np.ndarray) -> np.ndarray:
        waves, phases, gains = layer
        picture = np.zeros((*x.shape, 3))
        for wave, phase, gain in zip(waves, phases, gains.T, strict=True):
            value = np.sin(wave[0] * x + wave[1] * y + phase)
            for channel in range(3):
                picture[..., channel] += gain[channel] * value
        return picture

    clip = np.zeros((frames, height, width, 3), np.uint8)
    for t in range(frames):
        cos, sin = np.cos(spin * t), np.sin(spin * t)
        across, down = x - width / 2, y - height / 2
        picture = paint(
            layers[0],
            cos * across - sin * down - velocity[0] * t,
            sin * across + cos * down - velocity[1] * t,
        )
        centre = start + path * t
        inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < (0.16 * min(height, width)) ** 2
        picture[inside] = paint(layers[1], (x - centre[0])[inside], (y - centre[1])[inside])
        clip[t] = np.floor(np.clip(127.5 + 95.0 * picture, 0, 255)).astype(np.uint8)
    return clip


def video_digest(clip: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(clip).tobytes()).hexdigest()


def gap(ours: Tensor, golden: np.ndarray) -> float:
    """Largest absolute difference."""
    return (ours.double() - torch.from_numpy(golden).double()).abs().max().item()
