"""Tracks any number of points in bounded memory: chunks of points share one encoder pass; results go to memory or files.

Each chunk, with its own grid of support points, is tracked as if it were alone. So a point's track depends on the
points of its chunk, but not on the number of chunks, nor on how many of them are tracked at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from pointtrack.io.track_arrays import DenseStore, FileStore, MemoryStore
from pointtrack.models.about import about_network
from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.backward import backward_pass, track_video, without
from pointtrack.pipeline.options import TrackOptions, build_stream
from pointtrack.pipeline.resume import points_text
from pointtrack.pipeline.run import run, timed
from pointtrack.pipeline.sinks import BackwardSink, CallSink
from pointtrack.tracking.looks import closer
from pointtrack.tracking.queries import stride_queries
from pointtrack.tracking.stream import PointStream
from pointtrack.tracking.support import named_apart, with_support
from pointtrack.tracking.window_stream import model_wh
from pointtrack.types import Queries, Tracks, Video

logger = logging.getLogger(__name__)

# Called with the work done and the whole work, both in points times frames.
DenseProgress = Callable[[int, int], None]
SUPPORT_GRID = TrackOptions.support_grid  # points per side
ROW_COPIES = 4  # copies of a step's rows: of a group, of all groups, of the wanted points, and as written
# Peak memory per byte that chunks keep, measured on a CPU: freed pieces between theirs are too small to be reused.
HEAP = 2.5


def track_dense(
    network: PointTracker,
    video: Video,
    queries: Queries | int,
    options: TrackOptions | None = None,
    *,
    chunk: int | None = None,
    memory: float = 4e9,
    out: str | Path | None = None,
    resume: bool = False,
    progress: DenseProgress | None = None,
) -> Tracks | Path:
    """Track any number of points through a video, as many at a time as fit into memory.

    The tracks of a chunk are those that `track_video` gives for its points alone, backward tracking included. Plain
    tracking takes many chunks through one encoder pass; states, regions and smoothing take a chunk at a time.

    Args:
        network: from `load_tracker`.
        video: the frames. They may be a memory-mapped array.
        queries: points with their frames, or a stride in pixels: `stride_queries` on frame 0.
        options: which stages to use.
        chunk: number of points, neighbours in `queries`, that are tracked together; by default as many as suit the
            network.
        memory: bytes that features and points of one pass may take (`chunks_per_pass`), on the tracker's device. The
            network, the frames, and without `out` the tracks come on top. At least one chunk is always tracked.
        out: folder of memory-mapped files for the tracks; `open_dense` reads it, even while it is written.
        resume: continue in `out` after the finished chunks; start over if there are none. The result is the same to the
            last bit.
        progress: called after every few frames with the work done and the whole work, in points times frames.

    Returns:
        Tracks over all frames in the order of the queries, or `out` as a Path.

    Raises:
        ValueError: a query after the last frame or outside the image, a chunk below 1, `resume` without `out`, or a
            folder to continue in that was made with another video, tracker, points or chunk.
    """
    chunk = network.dense_chunk if chunk is None else chunk
    if chunk < 1:
        raise ValueError(f"chunk: expected 1 point or more, got {chunk}")
    if resume and out is None:
        raise ValueError("resume: expected a folder `out` with the run to resume, got none")
    if isinstance(queries, int):
        queries = stride_queries(video.wh, queries)
    queries.check_inside(len(video), video.wh)
    options = options or TrackOptions()
    plain = options.states is None and options.regions is None and not options.smooth
    states = options.states is not None
    store: DenseStore = MemoryStore(video, queries, states)
    if out is not None:
        about = _about(network, video, queries, chunk) | ({} if plain else {"options": str(options)})
        store = FileStore(Path(out), video, queries, about, resume, states)
    parts = [slice(first, min(first + chunk, len(queries))) for first in range(0, len(queries), chunk)]
    work = [_work(network, queries.select(part), len(video), options) for part in parts]
    finished = sum(part.stop <= store.done for part in parts)
    done, total = sum(work[:finished]), sum(work)
    if progress is not None:
        progress(done, total)
    at_once = chunks_per_pass(network, video.wh, chunk, memory) if plain else 1

    def note(size: int) -> None:
        nonlocal done
        done += size
        if progress is not None:
            progress(done, total)

    for group in _passes(
        parts[finished:], [_late(queries.select(part)) for part in parts[finished:]], at_once
    ):
        logger.info("dense: points %d..%d of %d", group[0].start, group[-1].stop - 1, len(queries))
        # New ids, as the user's may be negative.
        chunks = [replace(queries.select(part), ids=torch.arange(part.start, part.stop)) for part in group]
        if plain:
            _track_chunks(network, video, chunks, store, options, note)
        else:
            _track_chunk(network, video, chunks[0], store, options, note)
        store.finish(group[-1].stop)
    return store.result()


def chunks_per_pass(tracker: PointTracker, wh: tuple[int, int], chunk: int, memory: float) -> int:
    """Number of chunks to track at once, so that one encoder pass serves them all; at least 1.

    The chunks share the features of a window. Each keeps its points' appearance, their state and their last estimates.
    Refinement takes one chunk at a time, and needs the cells around every point on every frame of a window.

    Args:
        tracker: from `load_tracker`.
        wh: size of the video as (width, height).
        chunk: points per chunk.
        memory: bytes for all of this.
    """
    window = tracker.config.window
    points = chunk + SUPPORT_GRID**2 * tracker.uses_support
    # Four numbers per frame for each estimate of the last two windows, and for their rows on the way to the store.
    estimates = 2 * (window.iterations + 1) + ROW_COPIES
    twice = tracker.inference.looks == 2
    kept = HEAP * points * (1 + twice) * (tracker.bytes_per_point() + 16 * (window.length or 1) * estimates)
    work = tracker.bytes_at_work(model_wh(wh, tracker.config), points)
    if twice:
        other = closer(tracker)
        work += other.bytes_at_work(model_wh(wh, other.config), points)
    return max(1, int((memory - work) // kept))


def _passes(parts: Sequence[slice], late: Sequence[int], at_once: int) -> Iterator[list[slice]]:
    """Groups of at most `at_once` neighbouring chunks that are tracked backward from the same frame."""
    group: list[slice] = []
    for i, part in enumerate(parts):
        if group and (len(group) == at_once or late[i] != late[i - 1]):
            yield group
            group = []
        group.append(part)
    if group:
        yield group


def _track_chunk(
    network: PointTracker,
    video: Video,
    chunk: Queries,
    store: DenseStore,
    options: TrackOptions,
    progress: Callable[[int], None],
) -> None:
    """Track one chunk with any options; arguments as of `_track_chunks`."""
    tracks = track_video(
        network, video, chunk, options, progress=lambda frames: progress(len(chunk) * frames)
    )
    store.write(0, chunk.ids.numpy(), tracks)


def _track_chunks(
    network: PointTracker,
    video: Video,
    chunks: Sequence[Queries],
    store: DenseStore,
    options: TrackOptions,
    progress: Callable[[int], None],
) -> None:
    """Run one pass, or two if there are frames before the queries; `progress` gets the work done (points times frames).

    Args:
        chunks: their ids are their columns in the store.
    """
    grids = options.support_grid, options.support_local
    groups = [with_support(network, chunk, video.wh, *grids) for chunk in chunks]
    counter = CallSink(lambda rows: progress(rows.visibility.numel()))
    columns = torch.cat([chunk.ids for chunk in chunks]).numpy()

    def put(rows: Tracks) -> None:
        # A tracker that takes a video in one window also returns the frames before the query frames.
        early = torch.arange(len(rows))[:, None] + rows.first_frame < rows.queries.frame
        store.write(rows.first_frame, columns, rows if options.backward else without(rows, early))

    stream = _grouped(network, groups, video, options)
    run(timed(video.frames), stream, [CallSink(put), counter])
    plans = [backward_pass(network, group, options) for group in groups]
    back = [plan for plan in plans if plan is not None]
    if not back:
        return
    points = Queries.concat([plan.queries.requested() for plan in back])
    frame = torch.cat([chunk.frame[torch.isin(chunk.ids, points.ids)] for chunk in chunks])
    late = back[0].late
    stream = _grouped(network, [plan.queries for plan in back], video, back[0].options)
    sink = BackwardSink(store, points.ids.numpy(), late, frame)
    run(timed(video.frames[late::-1]), stream, [sink, counter])


def _grouped(
    network: PointTracker, groups: Sequence[Queries], video: Video, options: TrackOptions
) -> PointStream:
    """A stream with groups of points that do not affect each other."""
    named = named_apart(groups)
    none = replace(options, support_grid=0, support_local=0)
    stream = build_stream(network, named[0], video.wh, video.fps, none, keeps_frames=False)
    for group in named[1:]:
        stream.add(group)
    return stream


def _late(queries: Queries) -> int:
    """The frame from which points are tracked backward."""
    return int(queries.frame.max()) if len(queries) else 0


def _work(network: PointTracker, queries: Queries, frames: int, options: TrackOptions) -> int:
    """Points times frames of a chunk, both ways."""
    back = backward_pass(network, queries, options)
    points = 0 if back is None else len(back.queries)
    if options.states is not None or options.regions is not None or options.smooth:
        points = len(queries) if back is not None else 0  # `progress` then counts whole frames
    return len(queries) * frames + points * (0 if back is None else back.late + 1)


def _about(tracker: PointTracker, video: Video, queries: Queries, chunk: int) -> dict[str, str]:
    """The settings that must be the same for a run to continue."""
    return {
        "video": video.fingerprint(),
        **about_network(tracker),
        "points": points_text(queries),
        "chunk": str(chunk),
    }
