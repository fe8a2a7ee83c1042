"""Stored answers of pointtrack's published models on weights made by a rule, to detect changes.

They replace the golden outputs where those are missing. `python -m tests.support.regression` rewrites them; run it
only after `tests/test_parity.py` has passed against the golden outputs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.published import PUBLISHED, from_published
from pointtrack.models.window_loop import WindowLoop
from tests.support.synthetic_weights import published_state_dict

PATH = Path(__file__).parent / "published_regression.npz"
MODELS = tuple(name for name in PUBLISHED if "baseline" not in name)
ROUNDS = 2


def rule_of(name: str) -> dict[str, Any]:
    """Gains with which random weights move points by pixels, and not chaotically."""
    rule: dict[str, Any] = {"weight_seed": 7, "buffers": ["time_emb", "pos_emb"]}
    rule |= {"gain": {}, "col_scale": {}, "row_scale": {}, "offset": {}}
    if name.startswith("cotracker3"):
        rule["gain"] = {
            "updateformer.flow_head.weight": 0.05,
            "updateformer.vis_conf_head.weight": 0.2,
            "corr_mlp.fc1.weight": 6.0,
            "corr_mlp.fc2.weight": 3.0,
        }
    else:
        rule["gain"] = {"updateformer.flow_head.weight": 0.05, "vis_predictor.0.weight": 0.3}
        # The waves of high frequency amplify rounding, so random weights must ignore them.
        frequency = np.arange(32) * 31.25
        waves = np.tile(np.repeat(1 / (1 + frequency / 8), 2), 2)
        columns = np.concatenate([np.ones(2), waves, np.ones(456 - 130)])
        rule["col_scale"] = {"updateformer.input_transform.weight": columns}
    return rule


def clip(frames: int = 11, wh: tuple[int, int] = (88, 64)) -> Tensor:
    """(1, t, 3, h, w) frames in 0..255: waves that drift. No random numbers, no library's filter."""
    t, y, x = np.meshgrid(*(np.arange(size) for size in (frames, wh[1], wh[0])), indexing="ij")
    channels = [
        np.sin(0.31 * (x - 1.5 * t) + 0.4 * k) * np.cos(0.23 * (y + t) + k) + np.sin(0.05 * (x - t) * (y + k) / 9)
        for k in range(3)
    ]  # fmt: skip
    return torch.from_numpy(np.stack(channels, axis=1)[None] * 60 + 128).float().round()


def points() -> tuple[Tensor, Tensor]:
    """Query frames (1, n) and positions (1, n, 2): early, late, and one outside the frame."""
    frame = torch.tensor([[0, 0, 3, 6, 10]])
    xy = torch.tensor([[[20.0, 30.0], [61.5, 12.25], [40.0, 50.0], [87.0, 63.0], [-3.0, 20.0]]])
    return frame, xy


def answer(name: str) -> dict[str, np.ndarray]:
    """Tracks, visibility and confidence of the last window on every frame."""
    config = PUBLISHED[name].config
    tracker = PointTracker(replace(config, window=replace(config.window, iterations=ROUNDS))).eval()
    tracker.load_state_dict(from_published(published_state_dict(name, rule_of(name)), tracker, "the rule"))
    frame, xy = points()
    loop = WindowLoop(tracker, frame, xy)
    video = clip()
    tracks = torch.zeros(*video.shape[:2], frame.shape[1], 2)
    logits = torch.zeros(2, *tracks.shape[:3])
    with torch.inference_mode():
        for window in loop.push(tracker.encode(video)) + loop.finish():
            rows, last = slice(window.start, window.start + window.frames), window.estimates[-1]
            tracks[:, rows] = last.xy
            logits[:, :, rows] = torch.stack([last.visibility_logit, last.confidence_logit])
    return {
        "tracks": tracks[0].numpy(),
        "visibility": logits[0, 0].numpy(),
        "confidence": logits[1, 0].numpy(),
    }


def main() -> None:
    """Write the numbers."""
    parts = {f"{name}/{key}": value for name in MODELS for key, value in answer(name).items()}
    PATH.parent.mkdir(exist_ok=True)
    np.savez_compressed(PATH, **parts)
    for key, value in parts.items():
        print(key, value.shape, float(np.abs(value).max()), float(value.std()))


if __name__ == "__main__":
    main()
