"""Carry the matching thresholds over to other features: `python -m train.match_rules OLD NEW OUT --labels FOLDER`.

The rules of a first guess (`InitializationConfig`) are cosines, and other features have other cosines. So each rule
moves to the cosine that the same share of the same points reach: if three points in four pass a rule with the old
features, three in four pass it with the new ones. Rules that let a point jump let as few points jump wrongly as before.
The points come from labelled real video for training, never from a set that judges trackers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from pointtrack.cli.runner import run_command
from pointtrack.config import InitializationConfig
from pointtrack.geometry import sample_features
from pointtrack.io.outputs import check_outputs
from pointtrack.models.checkpoint import load_checkpoint, save_checkpoint
from pointtrack.models.point_tracker import CELL, PointTracker, check_kind
from train.data.agreed import AgreedClips
from train.data.batch import ClipBatch
from train.data.synthetic import SceneConfig

CLIPS, POINTS, FRAMES = 24, 128, 24
SIZES = ((768, 432), (512, 288))  # the usual size, and a smaller one
ELSEWHERE = 6  # cells: beyond this distance from the point, a cell counts as elsewhere
RULES = ("seen", "lost", "regained", "better", "far", "ride", "lead", "snap")
BY_HAND = (*RULES, "agree", "glimpse", "hint")
AT_PLACE = ("seen", "lost", "ride", "lead", "snap")  # rules on the cosine at the point's true position


@dataclass(frozen=True)
class Cosines:
    """Cosines of points with frames on which they are visible.

    Attributes:
        place: (k,) cosine at the position of the point.
        elsewhere: (k,) cosine at the best cell elsewhere.
        step: (k,) difference between `place` and the cosine two cells aside.
    """

    place: Tensor
    elsewhere: Tensor
    step: Tensor


@torch.no_grad()
def measure(tracker: PointTracker, batches: Iterator[ClipBatch]) -> Cosines:
    """Measure the cosines of labelled points, with the features that the tracker's first guess uses."""
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for batch in batches:
        level = tracker.encode(batch.frames)[tracker.appearance_level(CELL)]
        maps = rearrange(level.float(), "1 t h w c -> t c h w")
        t, (h, w) = len(maps), maps.shape[-2:]
        cells = batch.xy[0] / CELL
        here = F.normalize(sample_features(maps, cells), dim=-1)  # (t, n, c)
        look = here[batch.query_frame[0], torch.arange(cells.shape[1])]
        aside = F.normalize(sample_features(maps, cells + cells.new_tensor([2.0, 0])), dim=-1)
        place, beside = ((x * look).sum(-1) for x in (here, aside))
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        grid = torch.stack([x, y], dim=-1).float().flatten(0, 1)
        best = torch.empty_like(place)
        for frame in range(t):
            product = look @ maps[frame].flatten(1)
            product[torch.cdist(cells[frame], grid) < ELSEWHERE] = -1
            best[frame] = product.amax(-1)
        counted = batch.visible[0].clone()
        counted[batch.query_frame[0], torch.arange(cells.shape[1])] = False
        found.append((place[counted], best[counted], (place - beside)[counted]))
    return Cosines(*(torch.cat(one) for one in zip(*found, strict=True)))


def carried(rules: InitializationConfig, old: Cosines, new: Cosines) -> InitializationConfig:
    """Rules that as many points pass with the new features as pass `rules` with the old ones.

    Args:
        rules: rules for the old features.
        old, new: cosines of the same points with the old and the new features.
    """

    def moved(value: float, before: Tensor, after: Tensor) -> float:
        share = float((before < value).float().mean())
        return round(float(np.quantile(after.numpy(), share)), 3)

    changes: dict[str, Any] = {name: moved(getattr(rules, name), old.place, new.place) for name in AT_PLACE}
    # Wrong jumps stay as rare as before, so features that tell points apart better may jump at a lower cosine.
    changes["regained"] = moved(rules.regained, old.elsewhere, new.elsewhere)
    changes["better"] = moved(rules.better, old.elsewhere - old.place, new.elsewhere - new.place)
    # The cost of distance scales with how fast cosines fall beside a point.
    changes["far"] = round(rules.far * float(new.step.median() / old.step.median()), 5)
    if rules.ride < 0:
        changes["ride"] = rules.ride
    return replace(rules, **changes)


def rules_command(
    old: Path,
    new: Path,
    out: Path,
    labels: str = "runs/labels",
    rules: Path | None = None,
    given: str | None = None,
) -> None:
    """Write a tracker with the rules of another tracker, carried over to its features.

    Args:
        old: tracker whose rules suit its features.
        new: tracker with other features.
        out: file for the new tracker with its rules.
        labels: comma-separated folders of labelled real video (`python -m train.pseudo_labels`).
        rules: tracker whose rules to carry over; by default, `old`.
        given: rules to set by hand, such as seen=0.62,lost=0.8; if these are all of RULES, or OLD and NEW are one file,
            nothing is measured.

    Raises:
        FileNotFoundError: a file does not exist, or a folder holds no clips.
        ValueError: a file without a tracker of pointtrack's own kind, or an unknown rule.
    """
    by_hand = _by_hand(given)
    check_outputs([old, new, *labels.split(",")], [out])
    before, after = load_checkpoint(old), load_checkpoint(new)
    for one, name in ((before, "old"), (after, "new")):
        check_kind(one, name)
    source = before if rules is None else load_checkpoint(rules)
    wanted = source.own_config.initialization
    if set(RULES) - set(by_hand) and old.resolve() != new.resolve():
        scene = SceneConfig(frames=FRAMES, sizes=SIZES, points=POINTS, query_frames=8)
        clips = AgreedClips([Path(one) for one in labels.split(",")], scene, 1, seed=5)
        cosines = [measure(one, (clips[i] for i in range(CLIPS))) for one in (before, after)]
        wanted = carried(wanted, *cosines)
    wanted = replace(wanted, **by_hand)
    for name, value in vars(wanted).items():
        was = getattr(source.own_config.initialization, name)
        if value != was:
            print(f"{name:10s} {was} -> {value}")
    after.config = replace(after.own_config, initialization=wanted)
    save_checkpoint(out, after)
    print(f"weights   {out}")


def _by_hand(given: str | None) -> dict[str, Any]:
    """Parse seen=0.62,lost=0.8 into numbers by rule."""
    found: dict[str, Any] = {}
    for part in (given or "").split(",") if given else []:
        name, _, number = part.strip().partition("=")
        try:
            found[name] = float(number)
        except ValueError:
            name = ""
        if name not in BY_HAND:
            raise ValueError(f"given: expected NAME=NUMBER, of {', '.join(BY_HAND)}, got {part!r}")
    return found


if __name__ == "__main__":
    sys.exit(run_command(lambda: rules_command, sys.argv[1:], "train.match_rules"))
