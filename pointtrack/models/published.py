"""The published CoTracker models as configs of `PointTracker`, and the names of their tensors here.

Written from a description of the models' computation and of their files, not from their code.
Their weights are not ours: CC BY-NC 4.0, no commercial use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pointtrack.config import (
    CorrelationConfig,
    EncoderConfig,
    TokenConfig,
    TrackerConfig,
    TransformerConfig,
    WindowConfig,
)
from pointtrack.layers.unfilled import unfilled
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.weight_files import ENCODER_NAMES, Names, compare_shapes, other_name, shapes_of

LICENCE = "CC-BY-NC-4.0"


@dataclass(frozen=True)
class Published:
    """A published checkpoint.

    Attributes:
        config: of its tracker.
        repo, filename: its place on the Hugging Face hub.
        sha256: digest of the file, or its beginning, if known; then it is checked.
        repo_type: "model" or "dataset", the hub's kind of repository.
        terms: the stated licence terms, if one word is not enough.
        megabytes: size of the file, if known.
    """

    config: Any
    repo: str
    filename: str
    sha256: str | None = None
    repo_type: str = "model"
    terms: str | None = None
    megabytes: float | None = None


ENCODER = EncoderConfig(
    stem_channels=64,
    stage_channels=(64, 96, 128, 128),
    stage_strides=(1, 2, 2, 2),
    channels=128,
    fusion="concat",
    unit_length=False,
)
INPUT_WH = (512, 384)
ROUNDS = 6


def _cotracker2(name: str, length: int) -> TrackerConfig:
    parts = ("drift", "correlation", "feature", "asked", "visibility")
    return TrackerConfig(
        name=name,
        licence=LICENCE,
        input_wh=INPUT_WH,
        resize_rule="corners",
        encoder=ENCODER,
        correlation=CorrelationConfig(kind="feature", levels=4),
        tokens=TokenConfig(parts=parts, time_table=length, place_table_wh=(INPUT_WH[0] // 4, INPUT_WH[1] // 4)),
        transformer=TransformerConfig(width=384, heads=8, depth=6, mlp_ratio=4, proxies=64),
        window=WindowConfig(
            length, length // 2, ROUNDS, "repeat", start_logit=10.0, pad=True, late="masked", hold=False
        ),
    )  # fmt: skip


def _cotracker3(name: str, length: int | None, time_table: int) -> TrackerConfig:
    return TrackerConfig(
        name=name,
        licence=LICENCE,
        input_wh=INPUT_WH,
        resize_rule="corners",
        encoder=replace(ENCODER, unit_length=True),
        correlation=CorrelationConfig(levels=4, support_radius=3, hidden=384, channels=256),
        tokens=TokenConfig(
            parts=("logits", "correlation", "motion"),
            octaves=10,
            unit_wh=INPUT_WH,
            logit_scale=1.0,
            time_table=time_table,
        ),
        transformer=TransformerConfig(width=384, heads=8, depth=3, mlp_ratio=4, proxies=64),
        window=WindowConfig(length, 8, ROUNDS, "repeat", pad=True, late="present", hold=False),
    )


PUBLISHED: dict[str, Published] = {
    name: Published(config, repo, filename)
    for name, config, repo, filename in (
        ("cotracker2", _cotracker2("cotracker2", 8), "facebook/cotracker", "cotracker2.pth"),
        ("cotracker2.1", _cotracker2("cotracker2.1", 16), "facebook/cotracker", "cotracker2v1.pth"),
        *(
            (name, _cotracker3(name, length, table), "facebook/cotracker3", filename)
            for name, length, table, filename in (
                ("cotracker3-offline", None, 60, "scaled_offline.pth"),
                ("cotracker3-online", 16, 16, "scaled_online.pth"),
                ("cotracker3-offline-baseline", None, 60, "baseline_offline.pth"),
                ("cotracker3-online-baseline", 16, 16, "baseline_online.pth"),
            )
        ),
    )
}

# Our names -> the published ones.
NAMES: Names = (
    (r"tokens\.time_table", r"time_emb"),
    (r"tokens\.place_table", r"pos_emb"),
    *ENCODER_NAMES,
    (r"correlation\.(fc.+)", r"corr_mlp.\1"),
    (r"updater\.proxies", r"updateformer.virual_tracks"),  # spelt so in the files
    (r"updater\.project\.(.+)", r"updateformer.input_transform.\1"),
    (r"updater\.time_blocks\.(.+)", r"updateformer.time_blocks.\1"),
    (r"updater\.proxy_blocks\.(.+)", r"updateformer.space_virtual_blocks.\1"),
    (r"updater\.read_blocks\.(\d)\.attn\.(.+)", r"updateformer.space_virtual2point_blocks.\1.cross_attn.\2"),
    (r"updater\.read_blocks\.(.+)", r"updateformer.space_virtual2point_blocks.\1"),
    (r"updater\.write_blocks\.(\d)\.attn\.(.+)", r"updateformer.space_point2virtual_blocks.\1.cross_attn.\2"),
    (r"updater\.write_blocks\.(.+)", r"updateformer.space_point2virtual_blocks.\1"),
    (r"head\.(.+)", r"updateformer.flow_head.\1"),
    (r"renewal\.0\.(.+)", r"norm.\1"),
    (r"renewal\.1\.(.+)", r"track_feat_updater.0.\1"),
    (r"visibility\.(.+)", r"vis_predictor.0.\1"),
)  # fmt: skip
# Published tensors that have axes of length 1 which ours lack.
AXES = {
    "time_emb": lambda s: (1, *s),
    "pos_emb": lambda s: (1, *s),
    "updateformer.virual_tracks": lambda s: (1, s[0], 1, s[1]),
}


def published_name(name: str) -> str:
    """The name of one of our tensors in a published file.

    >>> published_name("encoder.stages.1.0.shortcut.weight")
    'fnet.layer2.0.downsample.0.weight'
    """
    return other_name(name, NAMES)


def published_shapes(tracker: PointTracker) -> dict[str, dict[str, tuple[int, ...]]]:
    """Our tensor names -> names and shapes of the published tensors whose rows each one is put together from."""
    sources = {}
    for name, tensor in tracker.state_dict().items():
        published, shape = published_name(name), tuple(tensor.shape)
        shape = AXES[published](shape) if published in AXES else shape
        sources[name] = {published: shape}
        if name.startswith("head.") and tracker.tells_confidence:  # moves and logits have separate layers
            second = published.replace("flow_head", "vis_conf_head")
            sources[name] = {published: (2, *shape[1:]), second: (2, *shape[1:])}
    return sources


def from_published(
    tensors: Mapping[str, Tensor], tracker: PointTracker, path: str | Path
) -> dict[str, Tensor]:
    """Tensors of a published file -> the state dict of a tracker of that config.

    Raises:
        ValueError: missing or unexpected names, or other shapes.
    """
    sources = published_shapes(tracker)
    wanted = {name: shape for parts in sources.values() for name, shape in parts.items()}
    compare_shapes(wanted, shapes_of(tensors), path, tracker.config.name)
    return {
        name: torch.cat([tensors[part] for part in sources[name]]).reshape(ours.shape)
        for name, ours in tracker.state_dict().items()
    }


def recognise(tensors: Mapping[str, Tensor]) -> TrackerConfig | None:
    """The config of the published model that a file's tensors belong to, by the table of time codes, or None."""
    table = tensors.get("time_emb")
    if table is None:
        return None
    for row in PUBLISHED.values():
        with unfilled():  # only shapes are needed
            ours = PointTracker(row.config).tokens.time_table
        if ours is not None and tuple(table.shape) == (1, *ours.shape):
            return row.config
    return None
