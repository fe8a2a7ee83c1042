"""Weights that follow from a rule, so that anyone can reproduce them, in the layout of the published checkpoints."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointtrack.layers.unfilled import unfilled
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.published import PUBLISHED, published_shapes


def learned_weights(shapes: dict[str, list[int]], rule: dict[str, Any]) -> dict[str, np.ndarray]:
    """float32 arrays by the rule in the README of the golden outputs; buffers are left out."""
    weights = {}
    for name, shape in shapes.items():
        if name in rule["buffers"]:
            continue
        noise = np.random.default_rng([zlib.crc32(name.encode()), rule["weight_seed"]]).standard_normal(shape)
        if name.endswith("virual_tracks"):
            values = noise
        elif len(shape) > 1:
            values = noise * (rule["gain"].get(name, 1.0) / np.sqrt(np.prod(shape[1:])))
        else:
            values = 1 + 0.1 * noise if name.endswith("weight") else 0.02 * noise
        if name in rule["col_scale"]:
            values = values * np.array(rule["col_scale"][name])
        if name in rule["row_scale"]:
            values = values * np.array(rule["row_scale"][name])[:, None]
        if name in rule["offset"]:
            values = values + np.array(rule["offset"][name])
        weights[name] = values.astype(np.float32)
    return weights


def digest(weights: dict[str, np.ndarray]) -> str:
    """The README's sha256 of a set of weights."""
    total = hashlib.sha256()
    for name in sorted(weights):
        total.update(name.encode() + repr(tuple(weights[name].shape)).encode())
        total.update(np.ascontiguousarray(weights[name], "<f4").tobytes())
    return total.hexdigest()


def published_state_dict(name: str, rule: dict[str, Any]) -> dict[str, Tensor]:
    """A whole checkpoint of the model `name`: weights by the rule, tables by their formulas."""
    config = PUBLISHED[name].config
    with unfilled():  # drawing its own weights, which nobody reads, would take long
        tracker = PointTracker(config)
    tables = PointTracker(replace(config, transformer=replace(config.transformer, depth=1))).state_dict()
    sources = published_shapes(tracker)
    shapes = {key: list(shape) for parts in sources.values() for key, shape in parts.items()}
    weights = {key: torch.from_numpy(x) for key, x in learned_weights(shapes, rule).items()}
    for ours, parts in sources.items():
        for key, shape in parts.items():
            if key in rule["buffers"]:
                weights[key] = tables[ours].reshape(shape).clone()
    return weights
