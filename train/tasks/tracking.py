"""Second stage: train the whole tracker to refine its first guess, in windows as in use."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from evaluation.points.metrics import evaluated_frames, tapvid_metrics, to_metric_pixels
from pointtrack.models.checkpoint import save_checkpoint
from pointtrack.models.point_tracker import CELL, PointTracker
from pointtrack.models.window import Estimate
from pointtrack.models.window_loop import WindowLoop
from pointtrack.types import Queries, Tracks, Video
from pointtrack.viz.sheets import contact_sheet
from pointtrack.viz.tracks import draw_tracks
from train.checkpointing import recomputed
from train.data.agreed import AgreedBatch
from train.data.batch import ClipBatch
from train.loop import Task
from train.losses import matching_loss
from train.tasks.spoiling import AS_GUESSED, SpoilConfig, spoilt

ROUND_DECAY = 0.8  # weight of each round of refinement relative to the next
POSITION_WEIGHT = 1.5
HIDDEN_WEIGHT = 0.25  # of the position of a hidden point compared with a visible one
CONFIDENT_PX = 8.0  # confidence means: the error is below this, in pixels of the model's input
LARGEST_ERROR_PX = 64.0  # beyond it only the logarithm of the error counts
# Names in logs and on the screen, and those of the metrics.
FIGURES = {"AJ": "average_jaccard", "davg": "average_pts_within_thresh", "OA": "occlusion_accuracy"}


def track_windows(
    tracker: PointTracker,
    batch: ClipBatch,
    length: int,
    step: int,
    *,
    pyramid: list[Tensor] | None = None,
    recompute: bool = False,
    spoil: SpoilConfig = AS_GUESSED,
) -> list[tuple[int, list[Estimate]]]:
    """Track a batch as a stream does: in windows of `length` frames, `step` apart, with the state passed on.

    Every query frame must lie in the first window. `pyramid`: features of the frames, if already encoded. `recompute`
    as in `LoopConfig`; `spoil`: how to spoil first guesses. Returns per window its first frame and its estimates.
    """
    with recomputed(tracker, recompute), spoilt(tracker, batch, spoil, step):
        pyramid = tracker.encode(batch.frames) if pyramid is None else pyramid
        loop = WindowLoop(tracker, batch.query_frame, batch.query_xy(), length=length, step=step)
        # On a CPU the many small products of the refinement gain nothing from bfloat16, and its casts cost time.
        with torch.autocast("cpu", enabled=False):
            windows = [*loop.push(pyramid), *loop.finish()]
    return [(window.start, window.estimates) for window in windows]


def position_loss(error: Tensor) -> Tensor:
    """(..., 2) errors in pixels -> (...) loss: the logarithm of the distance, plus a little of the distance itself.

    The distance alone (L1) rewards moving a lost point from 40 to 30 px as much as removing the last pixel of ten good
    ones. In use, and for TAP-Vid's thresholds that double from 1 to 16 px, the ratio counts.
    """
    distance = torch.sqrt(error.square().sum(-1) + 1e-2)
    return torch.log1p(distance) + 0.01 * distance.clamp(max=LARGEST_ERROR_PX)


def tracking_loss(
    windows: list[tuple[int, list[Estimate]]], batch: ClipBatch
) -> tuple[Tensor, dict[str, Tensor]]:
    """Position, visibility and confidence after the first guess and every round, in every window."""
    position: Tensor | float = 0.0
    decision: Tensor | float = 0.0
    for start, estimates in windows:
        stop = start + estimates[0].xy.shape[1]
        truth, visible = batch.xy[:, start:stop], batch.visible[:, start:stop].float()
        # Far outside the image nothing can be known. (The query frame is given, so it only adds a constant.)
        wh = truth.new_tensor(batch.wh)
        counted = ((truth > -0.5 * wh) & (truth < 1.5 * wh)).all(-1).float()
        weight = counted * (HIDDEN_WEIGHT + (1 - HIDDEN_WEIGHT) * visible)
        weight = weight / weight.sum().clamp(min=1)
        rounds = len(estimates) - 1
        for i, estimate in enumerate(estimates):
            decay = ROUND_DECAY ** (rounds - i) / len(windows)
            loss = position_loss(estimate.xy - truth)
            position = position + decay * (weight * loss).sum()
            close = ((estimate.xy.detach() - truth).norm(dim=-1) < CONFIDENT_PX).float()
            seen = F.binary_cross_entropy_with_logits(estimate.visibility_logit, visible)
            sure = F.binary_cross_entropy_with_logits(estimate.confidence_logit, close)
            decision = decision + decay * (seen + sure)
    begin, estimates = windows[-1]
    gap = (estimates[-1].xy.detach() - batch.xy[:, begin:]).norm(dim=-1)
    near = (gap < 4)[batch.visible[:, begin:]].float().mean()
    figures = {"position": position, "decision": decision, "within_4px": near}
    return POSITION_WEIGHT * position + decision, figures  # type: ignore[return-value]


def agreed_loss(
    windows: list[tuple[int, list[Estimate]]], batch: AgreedBatch
) -> tuple[Tensor, dict[str, Tensor]]:
    """The position part of `tracking_loss`, where labels count.

    Labels cannot teach visibility and confidence, since they never mark a point as hidden.
    """
    position = batch.xy.new_zeros(())
    for start, estimates in windows:
        stop = start + estimates[0].xy.shape[1]
        weight = batch.visible[:, start:stop].float()
        weight = weight / weight.sum().clamp(min=1)
        rounds = len(estimates) - 1
        for i, estimate in enumerate(estimates):
            decay = ROUND_DECAY ** (rounds - i) / len(windows)
            position = (
                position + decay * (weight * position_loss(estimate.xy - batch.xy[:, start:stop])).sum()
            )
            # Several processes expect a gradient, if of zero, for every parameter.
            position = position + 0 * (estimate.visibility_logit + estimate.confidence_logit).sum()
    return POSITION_WEIGHT * position, {"agreed": position}


class TrackingTask(Task):
    """Train the tracker in windows of random length; freezing its encoder makes a step much cheaper.

    Args:
        tracker: to train; its first guess should already be good (see `matching.py`).
        held_out: single-clip batches for validation.
        windows: (length, step) choices for the windows, one drawn per batch.
        freeze_encoder: leave the encoder unchanged.
        spoil: how to spoil first guesses, so that refinement learns to correct them.
        match_weight: weight of the matching loss (`train/losses.py`), which teaches joint features to tell points
            apart, in a tracker that learns such features; 0 for none.

    Raises:
        ValueError: `match_weight` for a tracker without such joint features.
    """

    def __init__(
        self,
        tracker: PointTracker,
        held_out: list[ClipBatch],
        windows: tuple[tuple[int, int], ...] = ((16, 8), (12, 8)),
        freeze_encoder: bool = True,
        spoil: SpoilConfig = AS_GUESSED,
        match_weight: float = 0.0,
    ):
        super().__init__()
        if match_weight and tracker.joint_head is None:
            raise ValueError(
                "match_weight: expected a tracker whose joint features are learnt (python -m train.trunk_weights --learnt), "
                "got one whose joint features lie side by side"
            )
        self.match_weight = match_weight
        self.tracker = tracker.requires_grad_(True)
        self.tracker.encoder.requires_grad_(not freeze_encoder)
        self.tracker.match_sharpness.requires_grad_(False)
        if tracker.looks_through_trunk:
            # Synthetic clips teach texture, and erode the trunk's knowledge of things.
            self.tracker.trunk.requires_grad_(False)
        if tracker.object_keys is not None:
            tracker.object_keys.requires_grad_(False)  # no point reads them
        if tracker.joint_head is not None:
            tracker.joint_head.requires_grad_(match_weight > 0)
            self.log_match = nn.Parameter(tracker.match_sharpness.detach().log()[None].clone())
            self.log_match.requires_grad_(match_weight > 0)
        self.held_out, self.windows, self.freeze_encoder = held_out, windows, freeze_encoder
        self.spoil = spoil
        self._latest: tuple[Tensor | None, list[Tensor]] = (None, [])

    def forward(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one batch in windows of one random length; labels add to it only where they count."""
        # The choice depends on the batch alone, so that a stopped run continues unchanged.
        choice = int(batch.query_frame.sum()) % len(self.windows)
        pyramid = None
        if self.freeze_encoder and not self.match_weight:
            pyramid = self._encoded(batch.frames)
        elif self.match_weight:
            with recomputed(self.tracker, self.recompute):
                pyramid = self.tracker.encode(batch.frames)
        windows = track_windows(
            self.tracker,
            batch,
            *self.windows[choice],
            pyramid=pyramid,
            recompute=self.recompute,
            spoil=self.spoil,
        )
        loss, figures = (
            agreed_loss(windows, batch) if isinstance(batch, AgreedBatch) else tracking_loss(windows, batch)
        )
        if not self.match_weight:
            return loss, figures
        assert pyramid is not None
        joint = rearrange(pyramid[self.tracker.appearance_level(CELL)], "b t h w c -> b t c h w")
        matched, hits = matching_loss([joint], batch, self.log_match.exp())
        kind = "agreed_" if isinstance(batch, AgreedBatch) else ""
        figures |= {f"{kind}matched": matched, f"{kind}hits": hits}
        return loss + self.match_weight * matched, figures

    def _encoded(self, frames: Tensor) -> list[Tensor]:
        """The pyramid of a frozen encoder, kept as long as the same frames repeat (see `ClipParts`)."""
        known, pyramid = self._latest
        if known is not frames:
            with torch.no_grad():
                pyramid = self.tracker.encode(frames)
            self._latest = frames, pyramid
        return pyramid

    @torch.no_grad()
    def validate(self, folder: Path) -> dict[str, float]:
        """TAP-Vid metrics on the held-out clips, also of the first guess; writes a sheet of pictures to `folder`."""
        device = next(self.tracker.parameters()).device
        scores: dict[str, list[float]] = {}
        sheets = []
        for batch in self.held_out:
            windows = track_windows(self.tracker, batch.to(device), *self.windows[0])
            for name, position in (("first", 0), ("", -1)):
                estimate = _joined(windows, position)
                for metric, value in _metrics(estimate, batch).items():
                    scores.setdefault(f"{name}_{metric}".strip("_"), []).append(value)
            sheets.append(_sheet(_joined(windows, -1), batch))
        cv2.imwrite(
            str(folder / "validation.jpg"), cv2.cvtColor(np.concatenate(sheets[:6]), cv2.COLOR_RGB2BGR)
        )
        return {name: sum(values) / len(values) for name, values in scores.items()}

    def save(self, path: Path) -> None:
        """Write the tracker, with the sharpness that matching learnt."""
        if self.match_weight:
            with torch.no_grad():
                self.tracker.match_sharpness.copy_(self.log_match[0].exp())
        save_checkpoint(path, self.tracker)


def _joined(windows: list[tuple[int, list[Estimate]]], position: int) -> Estimate:
    """Join windows into one estimate over all frames; where two overlap, the later one counts."""
    result = windows[0][1][position]
    for start, estimates in windows[1:]:
        new = estimates[position]
        result = Estimate(
            torch.cat([result.xy[:, :start], new.xy], dim=1),
            torch.cat([result.visibility_logit[:, :start], new.visibility_logit], dim=1),
            torch.cat([result.confidence_logit[:, :start], new.confidence_logit], dim=1),
        )
    return result


def _metrics(estimate: Estimate, batch: ClipBatch) -> dict[str, float]:
    """AJ, δavg and OA of a single-clip batch, in percent."""
    frames = batch.frames.shape[1]
    values = tapvid_metrics(
        to_metric_pixels(estimate.xy[0].cpu(), batch.wh),
        estimate.visibility_logit[0].cpu() > 0,
        to_metric_pixels(batch.xy[0].cpu(), batch.wh),
        batch.visible[0].cpu(),
        evaluated_frames(batch.query_frame[0].cpu(), frames, "first"),
    )
    return {short: 100 * float(values[name]) for short, name in FIGURES.items()}


def _sheet(estimate: Estimate, batch: ClipBatch) -> np.ndarray:
    """A row of frames with the first 40 tracks of a single-clip batch."""
    video = Video(batch.frames[0].permute(0, 2, 3, 1).cpu().numpy())
    few = slice(0, 40)
    queries = Queries(batch.query_frame[0, few], batch.query_xy()[0, few])
    tracks = Tracks(
        estimate.xy[0, :, few],
        estimate.visibility_logit[0, :, few].sigmoid(),
        estimate.confidence_logit[0, :, few].sigmoid(),
        queries,
        video.wh,
    )
    return contact_sheet(draw_tracks(video, tracks), count=5, columns=5, width=1500)
