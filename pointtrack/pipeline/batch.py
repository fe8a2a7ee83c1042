"""Tracks several videos at once, each with its own points. The tracks equal those of one video after the other.

Videos with the same number of frames, and of the same size for the tracker, share the batch axis. If one of them has
fewer points than another, filler points, which do not affect the true ones, take the empty places.

On one core of a CPU this gains no time: `python -m benchmarks.batch` measures it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from pointtrack.config import WindowConfig
from pointtrack.geometry import rescale_points, resize_frames
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.window import Estimate
from pointtrack.models.window_loop import TrackedWindow, WindowLoop
from pointtrack.pipeline.backward import flipped_queries, joined, track_video, turned, without
from pointtrack.pipeline.options import TrackOptions
from pointtrack.tracking.steady import steady_tracks
from pointtrack.tracking.support import support_queries
from pointtrack.tracking.window_stream import model_wh
from pointtrack.types import Queries, Tracks, Video


@dataclass(frozen=True, eq=False)
class _Pass:
    """Frames of a video in the order of tracking, and all points with frames counted in that order."""

    video: int
    frames: np.ndarray
    queries: Queries
    backward: bool

    @property
    def wh(self) -> tuple[int, int]:
        return self.frames.shape[2], self.frames.shape[1]


@torch.inference_mode()
def track_batch(
    tracker: PointTracker,
    videos: Sequence[Video],
    queries: Sequence[Queries],
    *,
    size: int = 8,
    backward: bool = True,
    support_grid: int = 5,
) -> list[Tracks]:
    """Track points through several videos at once; up to rounding, each result is that of `track_video`.

    Args:
        tracker: from `load_tracker`.
        videos: of any length and size. Those that share both go through the network together.
        queries: the points of every video, any number of them.
        size: largest number of videos at once.
        backward, support_grid: as in `TrackOptions`.

    A network that takes one video at a time (`TrackingNetwork.shares_batch`) gets one after the other.

    Returns:
        Tracks of every video, in order.

    Raises:
        ValueError: not one `Queries` per video, a size below 1, or a query outside the frames of its video.
    """
    if len(videos) != len(queries):
        raise ValueError(
            f"track_batch: expected queries for each of the {len(videos)} videos, got {len(queries)}"
        )
    if size < 1:
        raise ValueError(f"size: expected 1 video or more at once, got {size}")
    for video, points in zip(videos, queries, strict=True):
        points.check_inside(len(video), video.wh)
    if not tracker.shares_batch or tracker.inference.looks > 1:
        options = TrackOptions(backward=backward, support_grid=support_grid)
        return [track_video(tracker, *pair, options) for pair in zip(videos, queries, strict=True)]
    passes = []
    for i, (video, points) in enumerate(zip(videos, queries, strict=True)):
        helpers = support_queries(points, video.wh, support_grid)
        everyone = Queries.concat([points, helpers]) if len(points) else points
        passes.append(_Pass(i, video.frames, everyone, False))
        late, flipped = flipped_queries(everyone)
        if backward and late and tracker.config.window.length is not None:
            passes.append(_Pass(i, video.frames[late::-1], flipped, True))
    found: dict[tuple[int, bool], Tracks] = {}
    for together in _alike(tracker, passes, size):
        for one, tracks in zip(together, _track_together(tracker, together), strict=True):
            found[one.video, one.backward] = tracks
    result = []
    for i, (video, points) in enumerate(zip(videos, queries, strict=True)):
        tracks = found[i, False]
        if (i, True) in found:
            tracks = joined(tracks, turned(found[i, True], len(found[i, True]) - 1))
        tracks = tracks.select(slice(0, len(points)))
        early = torch.arange(len(video))[:, None] < points.frame
        if backward:
            early = early & torch.isnan(tracks.xy[..., 0])
        result.append(replace(without(tracks, early), queries=points, fps=video.fps))
    return result


def _alike(tracker: PointTracker, passes: Iterable[_Pass], size: int) -> list[list[_Pass]]:
    """Batches of at most `size` passes of the same size and length, with similar numbers of points together."""
    kinds: dict[tuple[int, tuple[int, int]], list[_Pass]] = {}
    for one in sorted(passes, key=lambda one: len(one.queries)):
        kinds.setdefault((len(one.frames), model_wh(one.wh, tracker.config)), []).append(one)
    return [kind[i : i + size] for kind in kinds.values() for i in range(0, len(kind), size)]


def _track_together(tracker: PointTracker, passes: Sequence[_Pass]) -> list[Tracks]:
    """Track passes of one length and size as a batch."""
    config, device = tracker.config, next(tracker.parameters()).device
    wh, rule = model_wh(passes[0].wh, config), config.resize_rule
    places = _places([one.queries.frame for one in passes], config.window)
    frame = torch.zeros(places.shape, dtype=torch.int64)
    xy = torch.zeros(*places.shape, 2)
    for b, one in enumerate(passes):
        true = places[b] >= 0
        frame[b, true] = one.queries.frame[places[b, true]]
        xy[b, true] = rescale_points(one.queries.xy[places[b, true]], one.wh, wh, rule)
    filler = places < 0
    # A filler point takes its frame from another video's point at that place, as all of them join in the same window.
    frame = torch.where(filler, frame.amax(0), frame)
    twin = tracker.hiding(filler.to(device)) if bool(filler.any()) else tracker
    loop = WindowLoop(twin, frame.to(device), xy.to(device))
    windows: list[TrackedWindow] = []
    length = len(passes[0].frames)
    for start in range(0, length, loop.step):
        piece = [_pixels(one.frames[start : start + loop.step], device, wh, rule) for one in passes]
        windows += loop.push(tracker.encode(torch.stack(piece)))
    windows += loop.finish()
    found = [_tracks_of(one, windows, b, places[b], wh, tracker) for b, one in enumerate(passes)]
    if not tracker.led_by_pixels:
        return found
    return [steady_tracks(tracks, one.frames) for tracks, one in zip(found, passes, strict=True)]


def _places(frames: Sequence[Tensor], window: WindowConfig) -> Tensor:
    """(b, k) index of the clip's point at each place, -1 for none.

    Places are in the order of the windows in which points join, as the points of a batch must join together.
    """
    joins = [_joining(frame, window) for frame in frames]
    last = max((int(join.max()) for join in joins if len(join)), default=-1)
    columns = [torch.zeros(len(frames), 0, dtype=torch.int64)]
    for number in range(last + 1):
        chosen = [(join == number).nonzero()[:, 0] for join in joins]
        columns.append(nn.utils.rnn.pad_sequence(chosen, batch_first=True, padding_value=-1))
    return torch.cat(columns, dim=1)


def _joining(frame: Tensor, window: WindowConfig) -> Tensor:
    """(n,) frames -> the number of the first window that contains each."""
    if window.length is None:
        return torch.zeros_like(frame)
    return (frame - window.length).div(window.step, rounding_mode="floor").add(1).clamp(min=0)


def _pixels(frames: np.ndarray, device: torch.device, wh: tuple[int, int], rule: str) -> Tensor:
    """(t, h, w, 3) -> (t, 3, h', w') of the model's size."""
    pixels = rearrange(torch.from_numpy(np.ascontiguousarray(frames)), "t h w c -> t c h w").to(device)
    return resize_frames(pixels, wh, rule)


def _tracks_of(
    one: _Pass,
    windows: Sequence[TrackedWindow],
    b: int,
    places: Tensor,
    wh: tuple[int, int],
    tracker: PointTracker,
) -> Tracks:
    """Tracks of one member of the batch from its windows; the later window counts where two overlap."""
    t, n = len(one.frames), len(one.queries)
    xy = torch.full((t, n, 2), torch.nan)
    visibility, confidence = torch.zeros(t, n), torch.zeros(t, n)
    for window in windows:
        standing = places[window.points.cpu()]
        true, points = standing >= 0, standing[standing >= 0]
        rows = slice(window.start, window.start + window.frames)
        part: Estimate = window.estimates[-1]
        xy[rows, points] = rescale_points(
            part.xy[b].float().cpu()[:, true], wh, one.wh, tracker.config.resize_rule
        )
        visibility[rows, points] = part.visibility_logit[b].float().sigmoid().cpu()[:, true]
        confidence[rows, points] = part.confidence_logit[b].float().sigmoid().cpu()[:, true]
    number = torch.arange(t)[:, None]
    requested = number == one.queries.frame
    xy = torch.where(requested[..., None], one.queries.xy, xy)
    tracks = Tracks(
        xy,
        visibility.masked_fill(requested, 1.0),
        confidence.masked_fill(requested, 1.0),
        one.queries,
        one.wh,
    )
    early = number < one.queries.frame
    return tracks if tracker.config.window.length is None else without(tracks, early)
