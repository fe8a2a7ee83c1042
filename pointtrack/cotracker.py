"""`CoTrackerPredictor` and `CoTrackerOnlinePredictor`: CoTracker's calls, on our engine.

A script that imports them from `cotracker.predictor` can import them from here, without any other change. New code
should rather use `pointtrack.Tracker`, which has no batches and no magic thresholds. `docs/explain/differences.md`
says what our results do better.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from pointtrack.checks import check_shape
from pointtrack.geometry import published_grid, rescale_points, resize_frames
from pointtrack.models.point_tracker import PointTracker, check_kind
from pointtrack.models.window_loop import TrackedWindow, WindowLoop
from pointtrack.tracking.window_stream import model_wh
from pointtrack.zoo import load_tracker

SUPPORT_GRID = 6  # points per side of the grid of support points
OFFLINE_THRESHOLD = 0.9  # visibility above which a point counts as visible
ONLINE_THRESHOLD = 0.6  # the same for visibility * confidence
DENSE_SPACING = 80  # columns of a dense grid that are tracked together

# Tracks (b, t, n, 2) in pixels of the video, visible (b, t, n) bool; and, on request, visibility and confidence
# as floats (b, t, n).
Answer = tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Tensor, Tensor]


class Answers:
    """The combined results of the windows of a video: the newest on every frame, in model pixels."""

    def __init__(self, b: int, n: int):
        self.shape = (b, n)
        self.xy = torch.zeros(b, 0, n, 2)
        self.visibility = torch.zeros(b, 0, n)
        self.confidence = torch.zeros(b, 0, n)

    def add(self, windows: Iterable[TrackedWindow]) -> None:
        """Overwrite the frames from each window's start on. Points that a window lacks are NaN, 0, 0."""
        for window in windows:
            last = window.estimates[-1]
            parts = {
                "xy": last.xy,
                "visibility": last.visibility_logit.sigmoid(),
                "confidence": last.confidence_logit.sigmoid(),
            }
            for name, part in parts.items():
                old = getattr(self, name)
                rows = part.new_full((part.shape[0], part.shape[1], *old.shape[2:]), 0.0)
                if name == "xy":
                    rows.fill_(torch.nan)
                rows[:, :, window.points] = part
                setattr(self, name, torch.cat([old[:, : window.start].to(part), rows], dim=1))


class _Predictor(nn.Module):
    """The common part of both predictors: weights, sizes, points and results."""

    def __init__(self, tracker: PointTracker):
        super().__init__()
        self.model = tracker

    @property
    def device(self) -> torch.device:
        """The device of the model; videos and queries may be on others."""
        return next(self.model.parameters()).device

    def _wh(self, image_wh: tuple[int, int]) -> tuple[int, int]:
        return model_wh(image_wh, self.model.config)

    def _rescale(self, xy: Tensor, from_wh: tuple[int, int], to_wh: tuple[int, int]) -> Tensor:
        return rescale_points(xy, from_wh, to_wh, self.model.config.resize_rule)

    def _pyramids(self, video: Tensor) -> Iterator[list[Tensor]]:
        """Features of (b, t, 3, h, w) frames, a few frames at a time."""
        wh = self._wh((video.shape[4], video.shape[3]))
        for frames in video.split(self.model.config.window.step, dim=1):
            flat = rearrange(frames, "b t c h w -> (b t) c h w").to(self.device).float()
            resized = resize_frames(flat, wh, self.model.config.resize_rule)
            yield self.model.encode(rearrange(resized, "(b t) c h w -> b t c h w", b=len(video)))

    def _points(self, queries: Tensor, image_wh: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """(b, n, 3) queries as (t, x, y) in pixels of the video -> frames, positions in model pixels."""
        check_shape(queries, "b n 3", "queries as (t, x, y)")
        queries = queries.to(self.device).float()
        return queries[..., 0].long(), self._rescale(queries[..., 1:], image_wh, self._wh(image_wh))

    def _grid(
        self, size: int, frame: int, image_wh: tuple[int, int], mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """A grid over the frame, only where the mask (b, 1, h, w) is not 0: (1, n) frames, (1, n, 2) model pixels."""
        wh = self._wh(image_wh)
        xy = published_grid(size, wh)
        if mask is not None:
            check_shape(mask, "b 1 h w", "segm_mask")
            resized = F.interpolate(mask[:1].float().cpu(), (wh[1], wh[0]), mode="nearest")[0, 0]
            x, y = xy.round().long().unbind(-1)
            xy = xy[resized[y.clamp(max=wh[1] - 1), x.clamp(max=wh[0] - 1)] > 0]
            if not len(xy):
                raise ValueError(
                    f"segm_mask: expected to cover some of the {size} x {size} grid's points, got none; "
                    "make the grid finer or check the mask"
                )
        xy = xy.to(self.device)[None]
        return torch.full(xy.shape[:2], frame, device=self.device), xy

    def _with_support(self, frame: Tensor, xy: Tensor, image_wh: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The points, followed by a grid of support points on frame 0."""
        helper_frame, helper_xy = self._grid(SUPPORT_GRID, 0, image_wh)
        b = len(frame)
        return (
            torch.cat([frame, helper_frame.expand(b, -1)], dim=1),
            torch.cat([xy, helper_xy.expand(b, -1, -1)], dim=1),
        )


def _load(checkpoint: str | Path | None, tracker: PointTracker | str | None, by_default: str) -> PointTracker:
    found: Any = tracker
    if checkpoint is not None and tracker is None:
        found = load_tracker(checkpoint, device="cpu")
    elif tracker is None or isinstance(tracker, str):
        found = load_tracker(tracker or by_default, checkpoint=checkpoint, device="cpu")
    check_kind(found, "CoTracker's calls")
    return found


class CoTrackerPredictor(_Predictor):
    """Tracks points through a whole video, with the calls and results of CoTracker's predictor.

    Args:
        checkpoint: file of weights; the file tells which model they belong to. None downloads the published
            weights of the model that the next three arguments select.
        offline, v2, window_len: CoTracker3 offline; or online; or CoTracker2 (window_len 8) or 2.1 (16).
        tracker: a loaded tracker, or a name for `load_tracker`, instead.

    The model is on the CPU until you move it with `.to("cuda")`, like the published one.
    """

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        offline: bool = True,
        v2: bool = False,
        window_len: int = 60,
        *,
        tracker: PointTracker | str | None = None,
    ):
        version_3 = "cotracker3-offline" if offline else "cotracker3-online"
        version_2 = "cotracker2" if window_len == 8 else "cotracker2.1"
        super().__init__(_load(checkpoint, tracker, version_2 if v2 else version_3))

    @torch.inference_mode()
    def forward(
        self,
        video: Tensor,
        queries: Tensor | None = None,
        segm_mask: Tensor | None = None,
        grid_size: int = 0,
        grid_query_frame: int = 0,
        backward_tracking: bool = False,
        *,
        return_scores: bool = False,
    ) -> Answer:
        """Track given points, or a grid, or with neither every pixel (which takes long).

        Args:
            video: (b, t, 3, h, w) RGB in 0..255.
            queries: (b, n, 3) points as (t, x, y) in pixels. Support points are tracked along, unless you
                give grid_size too.
            segm_mask: (b, 1, h, w), keep only the points of the grid where it is not 0.
            grid_size: points per side of a grid over the frame grid_query_frame.
            grid_query_frame: that frame.
            backward_tracking: also track from the query frame back to the first frame.
            return_scores: also return visibility and confidence as floats.

        Returns:
            Tracks (b, t, n, 2) in pixels and visible (b, t, n) bool; with `return_scores` also visibility and
            confidence (b, t, n) in [0, 1]. On its query frame every point is at its query position, and visible.
            Before that frame and without backward_tracking, the result is a guess of little worth.

        Raises:
            ValueError: wrong shapes, a frame that the video does not have, or an empty grid.
        """
        check_shape(video, "b t 3 h w", "video")
        image_wh = (video.shape[4], video.shape[3])
        if queries is None and not grid_size:
            answers = self._dense(video, grid_query_frame, backward_tracking)
        else:
            if queries is not None:
                frame, xy = self._points(queries, image_wh)
            else:
                frame, xy = self._grid(grid_size, grid_query_frame, image_wh, segm_mask)
            n = frame.shape[1]
            frame, xy = frame.expand(len(video), -1), xy.expand(len(video), -1, -1)
            if not grid_size or segm_mask is not None:
                frame, xy = self._with_support(frame, xy, image_wh)
            answers = self._track(self._pyramids(video), len(video[0]), frame, xy, backward_tracking)
            answers = tuple(x[:, :, :n] for x in answers)
        xy, visible, visibility, confidence = answers
        tracks = self._rescale(xy, self._wh(image_wh), image_wh)
        return (tracks, visible, visibility, confidence) if return_scores else (tracks, visible)

    def _track(
        self, pyramids: Iterable[list[Tensor]], frames: int, frame: Tensor, xy: Tensor, backward: bool
    ) -> tuple[Tensor, ...]:
        """Positions in model pixels, visible, visibility and confidence of (b, n) points on all frames."""
        if frame.numel() and not 0 <= int(frame.min()) <= int(frame.max()) < frames:
            raise ValueError(
                f"queries: expected frames in 0..{frames - 1}, got {int(frame.min())}..{int(frame.max())}"
            )
        pyramids = list(pyramids) if backward else pyramids
        ahead = self._pass(pyramids, frame, xy)
        number = torch.arange(frames, device=frame.device)[:, None]
        if backward:
            flipped = ([level.flip(1) for level in pyramid] for pyramid in reversed(list(pyramids)))
            back = self._pass(flipped, frames - 1 - frame, xy)
            early = number < frame[:, None]
            ahead = tuple(
                torch.where(early if x.ndim == 3 else early[..., None], y.flip(1), x)
                for x, y in zip(ahead, back, strict=True)
            )
        positions, visibility, confidence = ahead
        requested = number == frame[:, None]
        positions = torch.where(requested[..., None], xy[:, None], positions)
        return positions, (visibility > OFFLINE_THRESHOLD) | requested, visibility, confidence

    def _pass(self, pyramids: Iterable[list[Tensor]], frame: Tensor, xy: Tensor) -> tuple[Tensor, ...]:
        loop, answers = WindowLoop(self.model, frame, xy), Answers(*frame.shape)
        for pyramid in pyramids:
            answers.add(loop.push(pyramid))
        answers.add(loop.finish())
        return answers.xy, answers.visibility, answers.confidence

    def _dense(self, video: Tensor, frame: int, backward: bool) -> tuple[Tensor, ...]:
        """Every pixel, in interleaved grids that are tracked one after the other; encoded once."""
        h, w = video.shape[3:]
        spacing = max(w // DENSE_SPACING, 1)
        pyramids, parts = list(self._pyramids(video)), []
        x, y = torch.arange(w // spacing), torch.arange(h // spacing)
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2) * spacing
        for offset in range(spacing * spacing):
            points = grid + torch.tensor([offset % spacing, offset // spacing])
            queries = torch.cat([torch.full((len(points), 1), frame), points], dim=1)
            repeated = repeat(queries.float(), "n txy -> b n txy", b=len(video))
            when, where = self._points(repeated, (w, h))
            parts.append(self._track(pyramids, video.shape[1], when, where, backward))
        return tuple(torch.cat(values, dim=2) for values in zip(*parts, strict=True))


class CoTrackerOnlinePredictor(_Predictor):
    """Tracks points through chunks of a video as they arrive, with the calls and results of CoTracker's predictor.

    The first call, with `is_first_step`, sets the points; the next ones pass frames 0..2 * step - 1,
    step..3 * step - 1 and so on. A shorter chunk ends the video.

    Args as in `CoTrackerPredictor`.
    """

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        offline: bool = False,
        v2: bool = False,
        window_len: int = 16,
        *,
        tracker: PointTracker | str | None = None,
    ):
        version_2 = "cotracker2" if window_len == 8 else "cotracker2.1"
        super().__init__(_load(checkpoint, tracker, version_2 if v2 else "cotracker3-online"))
        if offline or self.model.config.window.length is None:
            raise ValueError(
                f"{self.model.config.name} needs the whole video: expected a tracker of windows, such as "
                "cotracker3-online; or use CoTrackerPredictor"
            )
        self._loop: WindowLoop | None = None

    @property
    def step(self) -> int:
        """How many frames later each chunk starts than the previous one; a chunk has twice as many frames."""
        return self.model.config.window.step

    @torch.inference_mode()
    def forward(
        self,
        video_chunk: Tensor,
        is_first_step: bool = False,
        queries: Tensor | None = None,
        grid_size: int = 5,
        grid_query_frame: int = 0,
        add_support_grid: bool = False,
        *,
        return_scores: bool = False,
    ) -> Answer | tuple[None, None]:
        """Begin a video, or continue it.

        Args:
            video_chunk: (b, t, 3, h, w) RGB in 0..255. In the first step only its size counts.
            is_first_step: begin a new video with the points that the next four arguments set.
            queries: (b, n, 3) points as (t, x, y) in pixels, t counted from the first frame of the video.
            grid_size, grid_query_frame: a grid over that frame, if there are no queries.
            add_support_grid: track support points along with queries, and leave them out of the results.
            return_scores: also return visibility and confidence as floats.

        Returns:
            (None, None) in the first step. Then tracks (b, t, n, 2) in pixels and visible (b, t, n) bool for all
            frames so far, of which the last `step` may still change; with `return_scores` also visibility and
            confidence (b, t, n).

        Raises:
            ValueError: wrong shapes or lengths, a call before the first step or after the last chunk.
        """
        check_shape(video_chunk, "b t 3 h w", "video_chunk")
        image_wh = (video_chunk.shape[4], video_chunk.shape[3])
        if is_first_step:
            self._begin(len(video_chunk), image_wh, queries, grid_size, grid_query_frame, add_support_grid)
            return None, None
        self._add(video_chunk, image_wh)
        frame = self._frame[:, : self._asked]
        parts = self._answers
        xy, visibility, confidence = (
            x[:, :, : self._asked] for x in (parts.xy, parts.visibility, parts.confidence)
        )
        score = visibility * confidence if self.model.tells_confidence else visibility
        visible = score > ONLINE_THRESHOLD
        if not self.model.inference.strict_parity:
            requested = torch.arange(xy.shape[1], device=self.device)[:, None] == frame[:, None]
            xy = torch.where(requested[..., None], self._xy[:, None, : self._asked], xy)
            visible = visible | requested
        tracks = self._rescale(xy, self._wh(image_wh), image_wh)
        return (tracks, visible, visibility, confidence) if return_scores else (tracks, visible)

    def _begin(
        self, b: int, wh: tuple[int, int], queries: Tensor | None, grid: int, grid_frame: int, support: bool
    ) -> None:
        if queries is not None:
            frame, xy = self._points(queries, wh)
        elif grid > 0:
            frame, xy = self._grid(grid, grid_frame, wh)
        else:
            raise ValueError("first step: expected queries or a grid_size of at least 1, got neither")
        frame, xy = frame.expand(b, -1), xy.expand(b, -1, -1)
        self._asked = frame.shape[1]
        if support and queries is not None:
            frame, xy = self._with_support(frame, xy, wh)
        self._image_wh, self._frame, self._xy = wh, frame, xy
        self._loop, self._answers = WindowLoop(self.model, frame, xy), Answers(*frame.shape)
        self._next = 0  # first frame of the next chunk
        self._received = 0
        self._ended = False

    def _add(self, chunk: Tensor, wh: tuple[int, int]) -> None:
        """Track through the new frames of a chunk."""
        if self._loop is None:
            raise ValueError("expected a first call with is_first_step=True that says which points to track")
        if self._ended:
            raise ValueError(
                f"expected no frames after a chunk shorter than {2 * self.step}, which ends the video; begin "
                "a new one with is_first_step=True"
            )
        if wh != self._image_wh or len(chunk) != len(self._frame):
            raise ValueError(
                f"video_chunk: expected a batch of {len(self._frame)} of {self._image_wh}, as in the first "
                f"step, got {len(chunk)} of {wh}"
            )
        least, most = (self.step if self._next else 1), self._loop.length
        assert most is not None
        if not least <= chunk.shape[1] <= most:
            raise ValueError(
                f"video_chunk: expected {least} to {most} frames, the first of them frame {self._next} of "
                f"the video, got {chunk.shape[1]}"
            )
        new = chunk[:, self._received - self._next :]
        for pyramid in self._pyramids(new) if new.shape[1] else ():
            self._answers.add(self._loop.push(pyramid))
        if chunk.shape[1] < most:
            self._answers.add(self._loop.finish())
            self._ended = True
        self._received += new.shape[1]
        self._next += self.step
