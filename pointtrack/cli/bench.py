"""The command `pointtrack bench`: how fast this machine tracks, in the ways between which one chooses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from pointtrack.checks import checked_wh, counted
from pointtrack.io.examples import example_path
from pointtrack.io.video import read_video
from pointtrack.layers.precision import computes_bfloat16
from pointtrack.models.device import now
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.speed import SPEEDS, options_at
from pointtrack.objects.stream import ObjectStream
from pointtrack.pipeline.backward import track_video
from pointtrack.pipeline.options import build_stream
from pointtrack.segment.zoo import load_segmenter
from pointtrack.system import peak_memory
from pointtrack.tracking.queries import grid_queries
from pointtrack.types import Queries, Video
from pointtrack.zoo import load_tracker

WARM_UP = 8  # frames before the clock starts: the first pass allocates memory, and chooses kernels


def bench(
    video: str | None = None,
    points: int = 100,
    frames: int = 24,
    device: str = "auto",
    tracker: str = "small",
    segmenter: str = "small",
) -> None:
    """Measure how fast this machine tracks and follows an object, at each speed and precision.

    Nothing is drawn or written. Takes a minute or two on two cores.

    Args:
        video: any video file or folder of pictures, measured at its own size; a bundled clip of 854x480 if left out.
        points: number of points, on a grid over the first frame.
        frames: use only this many frames, at least 16.
        device: cpu, cuda, mps, or auto.
        tracker: name of a tracker, or its .safetensors file.
        segmenter: name of a segmenter, or its .safetensors file.
    """
    if points < 1 or frames < 2 * WARM_UP:
        raise ValueError(
            f"bench: expected at least 1 point and {2 * WARM_UP} frames, got {points} and {frames}"
        )
    clip = read_video(video or example_path("hard"), max_frames=frames)
    wide, high = checked_wh(clip.wh, "video")
    if len(clip) < 2 * WARM_UP:
        raise ValueError(
            f"{video}: expected {2 * WARM_UP} frames or more, got {len(clip)}; take a longer video"
        )
    queries = spread(clip, points)
    network = load_tracker(tracker, device=device)
    where = next(network.parameters()).device
    threads = f", {counted(torch.get_num_threads(), 'thread')}" if where.type == "cpu" else ""
    print(
        f"{counted(len(clip), 'frame')} of {wide} x {high}, {counted(points, 'point')}, "
        f"{network.config.name} on {where}{threads}\n"
    )
    print(f"{'':30}frames/s   ms per frame", flush=True)
    for name, seconds_per_frame in ways(network, tracker, segmenter, clip, queries):
        seconds = seconds_per_frame()
        print(f"{name:30}{1 / seconds:8.1f} {1000 * seconds:14.0f}", flush=True)
    if memory := peak_memory():
        print(f"\nmemory    {memory / 1e9:.1f} GB at most, with the video and all networks of this command")


def ways(
    network: PointTracker, tracker: str, segmenter: str, clip: Video, queries: Queries
) -> Iterator[tuple[str, Callable[[], float]]]:
    """The options to compare, each with a function that measures its seconds per frame."""
    where = next(network.parameters()).device
    usual = network.inference

    def track() -> float:
        track_video(network, Video(clip.frames[:WARM_UP]), queries)
        began = now(where)
        track_video(network, clip, queries)
        return (now(where) - began) / len(clip)

    for speed in SPEEDS:
        network.inference = options_at(usual, network.own_config, speed, clip.wh)
        yield f"track --speed {speed}", track
    if computes_bfloat16(where):
        network.inference = replace(usual, precision="bfloat16")
        yield "track --precision bfloat16", track
    network.inference = usual
    if network.needs_whole_video:
        return

    def live() -> float:
        stream = build_stream(load_tracker(tracker, device=str(where), step=1), queries, clip.wh)
        for number, frame in enumerate(clip.frames):
            if number == WARM_UP:
                began = now(where)
            stream.push(frame)
            stream.preview()
        return (now(where) - began) / (len(clip) - WARM_UP)

    yield "live, an answer per frame", live

    def segment() -> float:
        stream = ObjectStream(network, load_segmenter(segmenter, device=str(where)), clip.wh)
        stream.give(1, 0, middle(clip.wh))
        began = now(where)
        for frame in clip.frames:
            stream.push(frame)
        stream.finish()
        return (now(where) - began) / len(clip)

    yield "segment, one object", segment


def middle(wh: tuple[int, int]) -> Tensor:
    """(h, w) bool: an ellipse in the middle of a frame, as an object to follow."""
    x, y = (torch.linspace(-1, 1, side) for side in wh)
    return torch.hypot(x, y[:, None]) < 0.4


def spread(clip: Video, points: int) -> Queries:
    """So many points, on a grid over the first frame."""
    queries = grid_queries(clip, size=math.ceil(points**0.5))
    return queries.select(torch.arange(points))
