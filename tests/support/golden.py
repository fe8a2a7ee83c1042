"""Golden outputs of the published code: the files, their cases, and their trackers."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.window_loop import TrackedWindow
from pointtrack.zoo import ALIASES, load_tracker
from tests.support.synthetic_weights import digest, published_state_dict

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("POINTTRACK_FIXTURES", ROOT.parent / "shared" / "fixtures" / "dev"))


KEPT_FRAMES = 60  # whose features are kept for the next case of a file

# Long: of each network one case is quick, those of CoTracker2 and of CoTracker3's windows with windows that follow each
# other. Grids, masks, chunks and the way back are the predictors' own work, whichever the network (that chunks give what
# the whole video gives, also from queries with support, and that masks choose points, is in `test_cotracker.py`).
HELD_BY_OTHERS = {
    ("cotracker2_model", "batch2_short_odd"),
    ("cotracker2_model", "main"),
    ("cotracker2_predictor", "grid"),
    ("cotracker2_predictor", "segm_mask"),
    ("cotracker2_predictor", "online_grid"),
    ("cotracker2_predictor", "online_queries_support"),
    ("cotracker2_predictor", "queries"),
    ("cotracker2_predictor", "queries_backward"),
    ("cotracker3_offline_model", "main"),
    ("cotracker3_offline_model", "t60_exact"),
    ("cotracker3_offline_model", "t_gt_60"),
    ("cotracker3_offline_predictor", "grid"),
    ("cotracker3_offline_predictor", "queries_backward"),
    ("cotracker3_offline_predictor", "segm_mask"),
    ("cotracker3_online_model", "main"),
    ("cotracker3_online_model", "short_odd_size"),
    ("cotracker3_online_predictor", "online_grid"),
    ("cotracker3_online_predictor", "online_queries_support"),
    ("cotracker2v1_model", "main"),
    ("cotracker2v1_predictor", "queries"),
    ("cotracker2v1_predictor", "grid_backward"),
}


def meta_of(path: Path) -> dict[str, Any]:
    with np.load(path) as file:
        return json.loads(str(file["meta"]))


def cases(kind: str) -> list[Any]:
    """(file, case) of every case of that kind in the folder; cases that others cover are long tests."""
    found = []
    for path in sorted(FOLDER.glob(f"cotracker*_{kind}.npz")):
        for case in meta_of(path)["cases"]:
            marks = [pytest.mark.long] if (path.stem, case) in HELD_BY_OTHERS else []
            found.append(
                pytest.param(path, case, id=f"{path.stem.removesuffix('_' + kind)}-{case}", marks=marks)
            )
    missing = pytest.mark.skip(reason=f"no golden outputs in {FOLDER}; set POINTTRACK_FIXTURES")
    return found or [pytest.param(None, None, marks=missing)]


@dataclass(frozen=True)
class Facts:
    """What is known of a checkpoint: the digest of its weights, shapes of all tensors, and its tables, which are no weights."""

    digest: str
    shapes: dict[str, list[int]]
    tables: dict[str, Tensor]


_FACTS: dict[tuple[str, str], Facts] = {}  # of every checkpoint that was made, which are too large to keep


def _state(name: str, rule: str) -> dict[str, Tensor]:
    """A checkpoint in the published layout."""
    state, tables = published_state_dict(name, json.loads(rule)), json.loads(rule)["buffers"]
    _FACTS[name, rule] = Facts(
        digest({key: x.numpy() for key, x in state.items() if key not in tables}),
        {key: list(x.shape) for key, x in state.items()},
        {key: state[key] for key in tables if key in state},
    )
    return state


def facts_of(meta: dict[str, Any]) -> Facts:
    """Of the checkpoint of a file; made again only where no tracker of it was."""
    key = ALIASES.get(meta["model"], meta["model"]), json.dumps(meta["rule"])
    if key not in _FACTS:
        _state(*key)
    return _FACTS[key]


@functools.lru_cache(maxsize=4)
def _tracker(name: str, rule: str) -> PointTracker:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "published.pth"
        torch.save(_state(name, rule), path)
        tracker = load_tracker(name, checkpoint=path, device="cpu", strict_parity=True)
    # Cases of a file share their frames, in this order or reversed, and encoding them takes most of the time.
    encode, known = tracker.encode, {}

    def encode_once(frames: Tensor) -> list[Tensor]:
        keys = [[hashlib.sha256(frame.numpy().tobytes()).digest() for frame in clip] for clip in frames]
        flat = [
            (key, frame)
            for row, clip in zip(keys, frames, strict=True)
            for key, frame in zip(row, clip, strict=True)
        ]
        if len(known) > KEPT_FRAMES:
            known.clear()
        new = {key: frame for key, frame in flat if key not in known}
        if new:
            levels = encode(torch.stack(list(new.values()))[None])
            known.update(zip(new, zip(*(level[0] for level in levels), strict=True), strict=True))
        clips = [
            [torch.stack(level) for level in zip(*(known[key] for key in row), strict=True)] for row in keys
        ]
        return [torch.stack(level) for level in zip(*clips, strict=True)]

    tracker.encode = encode_once
    return tracker


def tracker_of(meta: dict[str, Any]) -> PointTracker:
    """The tracker of a file, loaded from a checkpoint in the published layout."""
    name = ALIASES.get(meta["model"], meta["model"])
    return _tracker(name, json.dumps(meta["rule"]))


def with_rounds(tracker: PointTracker, rounds: int) -> PointTracker:
    window = replace(tracker.config.window, iterations=rounds)
    tracker.config = replace(tracker.config, window=window)
    return tracker


def joined(windows: list[TrackedWindow], shape: tuple[int, ...]) -> dict[str, Tensor]:
    """The last answer of all windows for every frame, also before the query frames."""
    xy = torch.full((*shape, 2), torch.nan)
    visibility, confidence = torch.full(shape, torch.nan), torch.full(shape, torch.nan)
    for window in windows:
        rows = slice(window.start, window.start + window.frames)
        last = window.estimates[-1]
        xy[:, rows], visibility[:, rows] = last.xy, last.visibility_logit
        confidence[:, rows] = last.confidence_logit
    return {"tracks": xy, "visibility": visibility.sigmoid(), "confidence": confidence.sigmoid()}


PREDICTOR_PX = 2e-4


def golden_of(path: Path, case: str) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return {key.split("/", 1)[1]: file[key] for key in file.files if key.startswith(f"{case}/")}
