"""Tracks from frames: `StreamTracker` for frames as they come, `track` for a whole video.

The only place that resizes frames to the model's size, adds the batch axis, cuts windows, and undoes it all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from pointtrack.config import TrackerConfig
from pointtrack.geometry import rescale_points, resize_frames
from pointtrack.models.loop import TrackedWindow, WindowLoop
from pointtrack.models.tracker import PointTracker
from pointtrack.queries import support_queries
from pointtrack.types import Queries, Tracks, Video

Progress = Callable[[int], None]


def model_wh(image_wh: tuple[int, int], config: TrackerConfig) -> tuple[int, int]:
    """Size at which a video is tracked: the config's own, or the video's shape with about the config's area.

    In the second case the sides are multiples of 16.

    >>> model_wh((854, 480), TrackerConfig(input_area=512 * 288))
    (512, 288)
    """
    if config.input_wh is not None:
        return config.input_wh
    scale = math.sqrt(config.input_area / (image_wh[0] * image_wh[1]))
    return tuple(max(64, 16 * round(side * scale / 16)) for side in image_wh)  # type: ignore[return-value]


class StreamTracker:
    """Tracks points through frames that arrive in pieces of any size.

    Every `push` returns what has become final; `finish` returns the rest. However the frames are cut into
    pieces, the answer is the same. Memory does not grow with the video: one window of frames and features. (A
    tracker whose one window is the whole video keeps the features of all frames until `finish`.)

    Args:
        tracker: from `load_tracker`.
        queries: points to track; frames are counted from the first frame pushed. A point exists from its
            query frame on: before it, its track is NaN. (A tracker whose one window is the whole video
            answers for the frames before it as well.)
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
        self.wh = model_wh(self.image_wh, tracker.config)
        self.rule = tracker.config.resize_rule
        xy = rescale_points(queries.xy, self.image_wh, self.wh, self.rule)
        self._loop = WindowLoop(tracker, queries.frame[None].to(self.device), xy[None].to(self.device))
        self._waiting: list[Tensor] = []  # resized frames (1, 1, 3, h, w) that are not encoded yet
        self._last: TrackedWindow | None = None
        self._returned = 0  # frames
        self._pushed = 0
        self._finished = False

    @property
    def frames_pushed(self) -> int:
        """Number of frames taken in so far."""
        return self._pushed

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
        parts = [self._rows(None, 0)]
        for frame in self._checked(frames):
            pixels = rearrange(frame, "h w c -> 1 c h w").to(self.device)
            self._waiting.append(resize_frames(pixels, self.wh, self.rule)[None])
            self._pushed += 1
            if len(self._waiting) == self._group():
                parts += [self._rows(window, self._loop.step) for window in self._encode()]
        return Tracks.concat(parts)

    @torch.inference_mode()
    def finish(self) -> Tracks:
        """Track the frames that no full window covered, and return everything that was not yet returned."""
        if self._finished:
            raise ValueError("StreamTracker: expected finish once")
        self._finished = True
        if self._waiting:
            self._encode()
        self._keep_last(self._loop.finish())
        rows = self._rows(self._last, self._pushed - self._returned)
        self._last = None
        return rows

    def _group(self) -> int:
        """Frames to encode together: always the same ones, however they are pushed."""
        step, length = self._loop.step, self._loop.length
        return step if length is None else min(step, length - self._loop.held)

    def _encode(self) -> list[TrackedWindow]:
        """Encode the waiting frames, and track the windows that they complete."""
        frames = torch.cat(self._waiting, dim=1)
        self._waiting = []
        return self._keep_last(self._loop.push(self.tracker.encode(frames)))

    def _keep_last(self, windows: list[TrackedWindow]) -> list[TrackedWindow]:
        self._last = windows[-1] if windows else self._last
        return windows

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

    def _rows(self, window: TrackedWindow | None, count: int) -> Tracks:
        """The next `count` frames, which lie in `window`, as tracks of all points in pixels of the video."""
        first, n = self._returned, len(self.queries)
        self._returned += count
        xy = torch.full((count, n, 2), torch.nan)
        visibility, confidence = torch.zeros(count, n), torch.zeros(count, n)
        if window is not None:
            points = window.points.cpu()
            part = window.estimates[-1].frames(first - window.start, first - window.start + count)
            xy[:, points] = rescale_points(part.xy[0].float().cpu(), self.wh, self.image_wh, self.rule)
            visibility[:, points] = part.visibility_logit[0].float().sigmoid().cpu()
            confidence[:, points] = part.confidence_logit[0].float().sigmoid().cpu()
        number = torch.arange(count)[:, None] + first
        early, asked = number < self.queries.frame, number == self.queries.frame
        if self._loop.length is None:
            early = torch.zeros_like(early)
        xy = torch.where(early[..., None], torch.nan, xy)
        xy = torch.where(asked[..., None], self.queries.xy, xy)
        visibility = torch.where(early, 0.0, torch.where(asked, 1.0, visibility))
        confidence = torch.where(early, 0.0, torch.where(asked, 1.0, confidence))
        return Tracks(xy, visibility, confidence, self.queries, self.image_wh, first, self.fps)


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
    one_window = tracker.config.window.length is None  # tracks both ways at once
    if backward and late > 0 and not one_window:
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
    tracks = tracks.select(slice(0, len(queries)))
    return tracks if backward else _from_query_on(tracks)


def _from_query_on(tracks: Tracks) -> Tracks:
    """The same, with nothing known before the points' query frames."""
    early = torch.arange(len(tracks))[:, None] < tracks.queries.frame
    return replace(
        tracks,
        xy=tracks.xy.masked_fill(early[..., None], torch.nan),
        visibility=tracks.visibility.masked_fill(early, 0.0),
        confidence=tracks.confidence.masked_fill(early, 0.0),
    )


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
