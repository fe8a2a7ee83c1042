"""Spreads tracks of every n-th frame over all frames, and marks the positions between as interpolated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from pointtrack.types import Queries, Source, Tracks, Video


def kept_frames(count: int, every: int, queries: Queries) -> list[int]:
    """Every n-th frame, the last one, and all query frames.

    Raises:
        ValueError: `every` is less than 1.
    """
    if every < 1:
        raise ValueError(f"every: expected 1 or more frames, got {every}")
    return sorted({*range(0, count, every), count - 1, *(t for t in queries.frame.tolist() if t < count)})


def thinned(count: int, every: int, queries: Queries) -> tuple[list[int], Queries]:
    """The frames to track out of `count`, see `kept_frames`, and the points with their frames counted among these."""
    kept = kept_frames(count, every, queries)
    return kept, replace(queries, frame=torch.searchsorted(torch.tensor(kept), queries.frame))


def track_sparsely(
    video: Video, every: int, queries: Queries, track: Callable[[Video, Queries], Tracks]
) -> Tracks:
    """Track every n-th frame with `track`, and put points on straight lines in between; all frames if `every` is 1.

    Raises:
        ValueError: `every` is less than 1.
    """
    if every == 1:
        return track(video, queries).with_times(video.times)
    kept, among = thinned(len(video), every, queries)
    piece = Video(video.frames[np.array(kept)], video.fps)
    return spread(track(piece, among), kept, len(video), queries).with_times(video.times)


def spread(tracks: Tracks, kept: Sequence[int], count: int, queries: Queries) -> Tracks:
    """Spread tracks over all frames.

    Args:
        tracks: of the kept frames only, one row per frame.
        kept: their numbers, increasing, the first 0 and the last `count - 1`.
        count: number of all frames.
        queries: the points with their frames among all of them.

    Returns:
        (count, n) tracks: the given ones on the kept frames, and straight lines in position, visibility and confidence
        between two of them; `sources` tells them apart. If one of the two is not known, so is everything in between.
        States are those of the nearer kept frame. Times are interpolated too, which is right if frames are evenly
        spaced; if you know all times, set them (`Tracks.with_times`).
    """
    numbers, frames = torch.tensor(kept), torch.arange(count)
    right = torch.searchsorted(numbers, frames)
    left = (right - (numbers[right] != frames).long()).clamp(min=0)
    gap = (numbers[right] - numbers[left]).clamp(min=1)
    share = ((frames - numbers[left]) / gap)[:, None]

    def between(values: torch.Tensor) -> torch.Tensor:
        weight = share[..., None] if values.ndim == 3 else share
        ends = values[left], values[right]
        return torch.where(weight == 0, ends[0], (1 - weight) * ends[0] + weight * ends[1])

    xy = between(tracks.xy)
    known = torch.isfinite(xy).all(dim=-1)
    made = (share > 0).expand_as(known)
    sources = (
        tracks.sources if tracks.sources is not None else tracks.tracked().to(torch.uint8) * int(Source.MODEL)
    )
    sources = torch.where(made, torch.full_like(sources[left], int(Source.INTERPOLATED)), sources[left])
    times = None if tracks.times is None else np.interp(frames.numpy(), numbers.numpy(), tracks.times)
    states = None if tracks.states is None else tracks.states[torch.where(share[:, 0] > 0.5, right, left)]
    return replace(
        tracks,
        xy=xy,
        visibility=torch.where(known, between(tracks.visibility), 0.0),
        confidence=torch.where(known, between(tracks.confidence), 0.0),
        queries=queries,
        states=states,
        times=times,
        sources=torch.where(known, sources, 0),
    )
