"""Fine-tuning: clips with tracks or with labels, mixed with synthetic ones, under a guard on held-out truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from evaluation.points.example import Example
from evaluation.points.report import score
from pointtrack.models.checkpoint import save_checkpoint
from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.backward import track_video
from pointtrack.pipeline.options import TrackOptions
from train.tasks.tracking import FIGURES, TrackingTask


@dataclass(frozen=True)
class GuardConfig:
    """When fine-tuning has gone too far.

    Attributes:
        margin: how many points of AJ (of δavg where visibility is not known) a check may fall below the start.
        patience: consecutive checks below that which end the run.
        clips: number of held-out synthetic clips, if no folder of clips is given.
    """

    margin: float = 0.5
    patience: int = 2
    clips: int = 8

    def __post_init__(self) -> None:
        if self.margin < 0 or min(self.patience, self.clips) < 1:
            raise ValueError(
                "guard: expected a margin of 0 or more, and at least one check and clip, "
                f"got margin={self.margin}, patience={self.patience}, clips={self.clips}"
            )


class Guard:
    """Clips with held-out truth to measure a tracker on.

    Args:
        examples: clips with tracks.
        own_size: track frames at their own size instead of the tracker's; right for small synthetic clips.

    Raises:
        ValueError: no clips.
    """

    def __init__(self, examples: Sequence[Example], own_size: bool = False):
        if not examples:
            raise ValueError("guard: expected at least one clip with tracks, got none")
        self.examples, self.own_size = list(examples), own_size

    def measure(self, tracker: PointTracker) -> dict[str, float]:
        """Means over the clips in per cent: AJ, davg, OA, each if it is defined on any clip."""
        found: dict[str, list[float]] = {}
        for example in self.examples:
            shown = tracker
            if self.own_size:
                shown = copy(tracker)  # the same weights
                wh = example.video.wh
                shown.config = replace(tracker.config, input_wh=None, input_area=wh[0] * wh[1])
            scores = score(
                track_video(shown, example.video, example.queries, TrackOptions(backward=False)), example
            )
            for short, name in FIGURES.items():
                value = scores[name]
                if value is not None:
                    found.setdefault(short, []).append(100 * value)
        if not found:
            raise ValueError(
                "guard: expected points that are visible after the frames of their queries, got none"
            )
        return {name: sum(values) / len(values) for name, values in found.items()}


class FineTuneTask(TrackingTask):
    """Train a tracker under a guard: save only the best weights so far, never any worse than the start.

    Args:
        tracker: tracker of pointtrack's own kind.
        guard: held-out truth.
        config: when to stop.
        start: figures of the guard before fine-tuning.
        best: figure to beat; by default that of the start.
        train_encoder: train the encoder too.

    Raises:
        ValueError: a published tracker, which needs another kind of training.
    """

    def __init__(
        self,
        tracker: PointTracker,
        guard: Guard,
        config: GuardConfig,
        start: Mapping[str, float],
        best: float | None = None,
        train_encoder: bool = False,
    ):
        length, step = self.check(tracker)
        windows = ((length, step), (max(step + 1, length * 3 // 4), step))
        super().__init__(tracker, [], windows, freeze_encoder=not train_encoder)
        self.guard, self.limits, self.start = guard, config, dict(start)
        self.best = self.figure(start) if best is None else best
        self.checks: list[dict[str, float]] = []
        self.is_better = False  # than the start, or than the best before this run

    @staticmethod
    def check(tracker: PointTracker) -> tuple[int, int]:
        """Length and step of the windows. Raises ValueError for a tracker that cannot be fine-tuned here."""
        window = tracker.config.window
        if window.start != "match" or window.length is None:
            raise ValueError(
                "finetune: expected one of our own trackers (small, or one trained from it), "
                f"got {tracker.config.name}; published ones can be teachers"
            )
        return window.length, window.step

    @staticmethod
    def figure(figures: Mapping[str, float]) -> float:
        """The figure that decides: AJ, or δavg where visibility is not known."""
        return figures.get("AJ", figures["davg"])

    def validate(self, folder: Path) -> dict[str, float]:
        """Measure the guard's figures; write the weights to `folder` if none so far were better."""
        if all(bool(torch.isfinite(weight).all()) for weight in self.tracker.parameters()):
            figures = self.guard.measure(self.tracker)
        else:
            figures = dict.fromkeys(self.start, 0.0)
        self.checks.append(figures)
        if self.figure(figures) >= self.best:
            self.best, self.is_better = self.figure(figures), True
            # In full precision, so that the saved weights are exactly those that were measured.
            save_checkpoint(folder / "model.safetensors", self.tracker, half=False)
        return figures

    def save(self, path: Path) -> None:
        """Do nothing: `validate` writes the weights worth keeping."""

    def is_finished(self) -> bool:
        """Whether the last checks all fell below the start by more than the margin."""
        last = self.checks[-self.limits.patience :]
        least = self.figure(self.start) - self.limits.margin
        return len(last) == self.limits.patience and all(not self.figure(one) >= least for one in last)

    def get_extra_state(self) -> dict[str, Any]:
        """State that checkpoints hold beside the weights, so that a continued run remembers its checks."""
        return {"start": self.start, "best": self.best, "checks": self.checks, "is_better": self.is_better}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore what `get_extra_state` returned."""
        self.start, self.best = dict(state["start"]), state["best"]
        self.checks, self.is_better = list(state["checks"]), state["is_better"]
