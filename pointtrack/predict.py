"""Tracks from frames: `StreamTracker` for frames as they come, `track` for a whole video.

The only place that resizes frames to the model's size, adds the batch axis, cuts windows, and undoes it all.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from pointtrack.geometry import rescale_points, resize_frames
from pointtrack.models.tracker import PointTracker
from pointtrack.models.window import Estimate, Templates, WindowQueries, WindowState
from pointtrack.queries import support_queries
from pointtrack.types import Queries, Tracks, Video

RESIZE_RULE = "edges"
Progress = Callable[[int], None]


def model_wh(image_wh: tuple[int, int], area: int) -> tuple[int, int]:
    """Size at which a video is tracked: its own shape, about `area` pixels, sides multiples of 16.

    >>> model_wh((854, 480), 512 * 288)
    (512, 288)
    """
    scale = math.sqrt(area / (image_wh[0] * image_wh[1]))
    return tuple(max(64, 16 * round(side * scale / 16)) for side in image_wh)  # type: ignore[return-value]


class StreamTracker:
    """Tracks points through frames that arrive in pieces of any size.

    Every `push` returns what has become final; `finish` returns the rest. However the frames are cut into
    pieces, the answer is the same. Memory does not grow with the video: one window of frames and features.

    Args:
        tracker: from `load_tracker`.
        queries: points to track; frames are counted from the first frame pushed. A point exists from its
            query frame on: before it, its track is NaN.
        image_wh: size of the frames as (width, height).
        fps: only noted in the tracks.

    Raises:
        ValueError: a query outside the image.
    """

    def __init__(self, tracker: PointTracker, queries: Queries, image_wh: tuple[int, int], fps: float = 30.0):
        queries.check_inside(None, image_wh)
        self.tracker, self.queries, self.fps = tracker, queries, fps
        self.image_wh = (int(image_wh[0]), int(image_wh[1]))
        self.device = next(tracker.parameters()).device
        self.wh = model_wh(self.image_wh, tracker.config.input_area)
        self._xy = rescale_points(queries.xy, self.image_wh, self.wh, RESIZE_RULE).to(self.device)
        self._frame = queries.frame.to(self.device)
        self._waiting: list[Tensor] = []  # resized frames (1, 3, h, w) uint8 that are not encoded yet
        self._pyramid: list[Tensor] | None = None  # features of the frames that the next window shares
        self._start = 0  # first frame of the next window
        self._alive = torch.zeros(0, dtype=torch.int64, device=self.device)  # points tracked so far
        self._templates: Templates | None = None
        self._state: WindowState | None = None
        self._last: Estimate | None = None  # of the last window, over all its frames
        self._pushed = 0
        self._finished = False

    @property
    def frames_pushed(self) -> int:
        """Number of frames taken in so far."""
        return self._pushed

    @property
    def _shared(self) -> int:
        return 0 if self._pyramid is None else self._pyramid[0].shape[1]

    @torch.inference_mode()
    def push(self, frames: np.ndarray | Tensor) -> Tracks:
        """Take in (t, h, w, 3) uint8 RGB frames (or a single (h, w, 3) one); return the frames now final.

        Raises:
            ValueError: another size or type than expected, or a stream that was finished.
        """
        if self._finished:
            raise ValueError(
                "StreamTracker: expected push before finish; make a new StreamTracker for a new video"
            )
        for frame in self._checked(frames):
            resized = resize_frames(
                rearrange(frame, "h w c -> 1 c h w").to(self.device), self.wh, RESIZE_RULE
            )
            self._waiting.append(resized)
            self._pushed += 1
        length, step = self.tracker.config.window.length, self.tracker.config.window.step
        parts = []
        while length is not None and self._shared + len(self._waiting) >= length:
            estimate = self._window(length - self._shared)
            parts.append(self._rows(estimate, 0, step))
            self._start += step
        return Tracks.concat(parts) if parts else self._rows(None, 0, 0)

    @torch.inference_mode()
    def finish(self) -> Tracks:
        """Track the frames that no full window covered, and return everything that was not yet returned."""
        if self._finished:
            raise ValueError("StreamTracker: expected finish once")
        self._finished = True
        if self._waiting:
            estimate = self._window(len(self._waiting))
            rows = self._rows(estimate, 0, estimate.xy.shape[1])
        elif self._last is not None:
            step = self.tracker.config.window.step
            rows = self._rows(self._last.frames(step), 0, self._shared)
        else:
            rows = self._rows(None, 0, 0)
        self._waiting, self._pyramid, self._state, self._last = [], None, None, None
        return rows

    def _checked(self, frames: np.ndarray | Tensor) -> Tensor:
        if isinstance(frames, np.ndarray) and min(frames.strides, default=0) < 0:
            frames = frames.copy()  # torch takes no reversed views
        frames = torch.as_tensor(frames)
        frames = frames[None] if frames.ndim == 3 else frames
        expected = (self.image_wh[1], self.image_wh[0], 3)
        if frames.ndim != 4 or tuple(frames.shape[1:]) != expected or frames.dtype != torch.uint8:
            raise ValueError(
                f"frames: expected uint8 RGB of shape (t, {', '.join(map(str, expected))}), "
                f"got {frames.dtype} {tuple(frames.shape)}"
            )
        return frames

    def _window(self, new: int) -> Estimate:
        """Encode the first `new` waiting frames and track the window that they complete."""
        frames = torch.cat(self._waiting[:new])[None]
        self._waiting = self._waiting[new:]
        fresh = self.tracker.encode(frames)
        shared = self._pyramid
        pyramid = (
            fresh if shared is None else [torch.cat(pair, dim=1) for pair in zip(shared, fresh, strict=True)]
        )
        length = pyramid[0].shape[1]
        self._welcome(pyramid, self._start + length)
        step = min(self.tracker.config.window.step, length)
        # Copies, so that the frames left behind are freed.
        self._pyramid = [level[:, step:].clone() for level in pyramid]
        if self._templates is not None:
            queries = WindowQueries(
                (self._frame[self._alive] - self._start)[None], self._xy[self._alive][None], self._templates
            )  # type: ignore[arg-type]
            estimates, self._state = self.tracker(pyramid, queries, self._state, step)
            self._last = estimates[-1]
        else:
            none = torch.zeros(1, length, 0, device=self.device)
            self._last = Estimate(none[..., None].expand(-1, -1, -1, 2), none, none)
        return self._last

    def _welcome(self, pyramid: list[Tensor], end: int) -> None:
        """Remember the looks of points whose query frame has come, and make room for them in the state."""
        new = (
            (self._frame < end) & ~torch.isin(torch.arange(len(self._frame), device=self.device), self._alive)
        ).nonzero()
        new = new[:, 0]
        if not len(new):
            return
        looks = self.tracker.remember(pyramid, (self._frame[new] - self._start)[None], self._xy[new][None])
        self._templates = looks if self._templates is None else Templates.concat([self._templates, looks])
        self._alive = torch.cat([self._alive, new])
        if self._state is not None:
            old = self._state
            pad = torch.full((1, old.overlap.xy.shape[1], len(new)), torch.nan, device=self.device)
            overlap = Estimate(
                torch.cat([old.overlap.xy, pad[..., None].expand(-1, -1, -1, 2)], dim=2),
                torch.cat([old.overlap.visibility_logit, pad], dim=2),
                torch.cat([old.overlap.confidence_logit, pad], dim=2),
            )
            unseen = torch.full((1, len(new), old.latest.shape[-1]), torch.nan, device=self.device)
            self._state = WindowState(overlap, torch.cat([old.latest, unseen], dim=1))

    def _rows(self, estimate: Estimate | None, start: int, stop: int) -> Tracks:
        """Frames start..stop-1 of a window as tracks of all points, in pixels of the video."""
        count, n = stop - start, len(self.queries)
        xy = torch.full((count, n, 2), torch.nan)
        visibility, confidence = torch.zeros(count, n), torch.zeros(count, n)
        if estimate is not None:
            alive = self._alive[: estimate.xy.shape[2]].cpu()
            part = estimate.frames(start, stop)
            xy[:, alive] = rescale_points(part.xy[0].float().cpu(), self.wh, self.image_wh, RESIZE_RULE)
            visibility[:, alive] = part.visibility_logit[0].float().sigmoid().cpu()
            confidence[:, alive] = part.confidence_logit[0].float().sigmoid().cpu()
        number = torch.arange(count)[:, None] + self._start
        early, asked = number < self.queries.frame, number == self.queries.frame
        xy = torch.where(early[..., None], torch.nan, xy)
        xy = torch.where(asked[..., None], self.queries.xy, xy)
        visibility = torch.where(early, 0.0, torch.where(asked, 1.0, visibility))
        confidence = torch.where(early, 0.0, torch.where(asked, 1.0, confidence))
        return Tracks(xy, visibility, confidence, self.queries, self.image_wh, self._start, self.fps)


def track(
    tracker: PointTracker,
    video: Video,
    queries: Queries,
    *,
    backward: bool = True,
    support_grid: int = 5,
    support_local: int = 0,
    progress: Progress | None = None,
) -> Tracks:
    """Track points through a whole video.

    Args:
        tracker: from `load_tracker`.
        video: the frames.
        queries: points with their frames.
        backward: also track every point from its query frame back to the first frame; otherwise its track
            is NaN before that.
        support_grid: side of a grid of helper points that is tracked along, and left out of the answer;
            0 for none. They tell the tracker how the rest of the scene moves.
        support_local: the same around every query, on its frame, 50 pixels wide: they tell how the
            surroundings of the point move. Costs support_local^2 points per query.
        progress: called with the number of frames that each step has done; 2 passes over part of the
            video when points are tracked backward.

    Returns:
        Tracks over all frames. Each point is exactly where it was asked for on its own frame, visible.

    Raises:
        ValueError: a query after the last frame or outside the image.
    """
    queries.check_inside(len(video), video.wh)
    if not len(queries):
        empty = torch.zeros(len(video), 0)
        return Tracks(empty[..., None].expand(-1, -1, 2), empty, empty, queries, video.wh, fps=video.fps)
    helpers = support_queries(queries, video.wh, global_size=support_grid, local_size=support_local)
    everyone = Queries.concat([queries, helpers])
    tracks = _track_pass(tracker, video.frames, everyone, video.wh, video.fps, progress)
    late = int(everyone.frame.max())
    if backward and late > 0:
        # The same forward tracking, through the frames late..0, of those points that have frames before theirs.
        asked_later = everyone.frame > 0
        points = everyone.select(asked_later)
        flipped = Queries(late - points.frame, points.xy, points.ids)
        back = _track_pass(tracker, video.frames[late::-1], flipped, video.wh, video.fps, progress)
        before = torch.arange(late + 1)[:, None] < points.frame
        for name in ("xy", "visibility", "confidence"):
            ahead, reverse = getattr(tracks, name), getattr(back, name).flip(0)
            where = before if ahead.ndim == 2 else before[..., None]
            # In place: these tensors were made a few lines above, and nobody else holds them.
            ahead[: late + 1, asked_later] = torch.where(where, reverse, ahead[: late + 1, asked_later])
    return tracks.select(slice(0, len(queries)))


def _track_pass(
    tracker: PointTracker,
    frames: np.ndarray,
    queries: Queries,
    wh: tuple[int, int],
    fps: float,
    progress: Progress | None,
) -> Tracks:
    stream = StreamTracker(tracker, queries, wh, fps)
    parts = []
    chunk = tracker.config.window.step
    for start in range(0, len(frames), chunk):
        piece = frames[start : start + chunk]
        parts.append(stream.push(piece))
        if progress is not None:
            progress(len(piece))
    return Tracks.concat([*parts, stream.finish()])
