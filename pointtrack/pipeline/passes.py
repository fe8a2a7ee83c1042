"""Any number of points in bounded memory: chunks of points that share one encoder pass, results in memory or in files.

Each chunk, with its own grid of support points, is tracked as if it were alone. What a point's track is thus depends
on the points of its chunk, and not on how many chunks there are, nor on how many of them are tracked at once.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from pointtrack.geometry import inside_image
from pointtrack.io.track_arrays import DenseStore, FileStore, MemoryStore
from pointtrack.models.point_tracker import PointTracker
from pointtrack.tracking.queries import stride_queries
from pointtrack.tracking.support import support_queries
from pointtrack.tracking.window_stream import StreamTracker, model_wh
from pointtrack.types import Queries, Tracks, Video

logger = logging.getLogger(__name__)

# Called with what is done and what there is to do, both in points times frames.
DenseProgress = Callable[[int, int], None]
SUPPORT_GRID = 5  # points per side, as `track` has them
ROW_COPIES = 4  # of a step's rows: of a group, of all groups, of the wanted points, as they are written
# Peak memory per byte that chunks keep, measured on a CPU: their pieces lie between freed ones that nothing fits into.
HEAP = 2.5


def track_dense(
    tracker: PointTracker,
    video: Video,
    queries: Queries | int,
    *,
    chunk: int = 1024,
    memory: float = 4e9,
    out: str | Path | None = None,
    resume: bool = False,
    progress: DenseProgress | None = None,
) -> Tracks | Path:
    """Track any number of points through a video, as many at a time as fit into memory.

    The tracks of a chunk are those that `track` gives for its points alone, backward tracking included.

    Args:
        tracker: from `load_tracker`.
        video: the frames. They may be a memory-mapped array.
        queries: points with their frames, or a stride in pixels: `stride_queries` on frame 0.
        chunk: so many points, neighbours in `queries`, are tracked together.
        memory: bytes that features and points of one pass may take (`chunks_per_pass`), on the device of the tracker;
            the network, the frames, and the tracks where there is no `out`, come on top. One chunk is always tracked.
        out: folder of memory-mapped files for the tracks, read by `open_dense`, also while it is written.
        resume: go on in `out` behind the chunks that are done there; with nothing there it starts anew. The result is
            the same to the last bit.
        progress: called after every few frames with what is done and the whole, in points times frames.

    Returns:
        Tracks over all frames in the order of the queries, or `out` as a Path.

    Raises:
        ValueError: a query after the last frame or outside the image, a chunk below 1, `resume` without `out`, or a
            folder to go on in that was made with another video, tracker, points or chunk.
    """
    if chunk < 1:
        raise ValueError(f"chunk: expected 1 point or more, got {chunk}")
    if resume and out is None:
        raise ValueError("resume: expected a folder `out` to go on in, got none")
    if isinstance(queries, int):
        queries = stride_queries(video.wh, queries)
    _check_inside(queries, video)
    store: DenseStore = MemoryStore(video, queries)
    if out is not None:
        store = FileStore(Path(out), video, queries, _about(tracker, video, queries, chunk), resume)
    parts = [slice(first, min(first + chunk, len(queries))) for first in range(0, len(queries), chunk)]
    work = [_work(tracker, queries.select(part), len(video)) for part in parts]
    finished = sum(part.stop <= store.done for part in parts)
    done, total = sum(work[:finished]), sum(work)
    if progress is not None:
        progress(done, total)
    at_once = chunks_per_pass(tracker, video.wh, chunk, memory)
    for group in _passes(
        parts[finished:], [_late(queries.select(part)) for part in parts[finished:]], at_once
    ):
        logger.info("dense: points %d..%d of %d", group[0].start, group[-1].stop - 1, len(queries))
        for size in _track_chunks(tracker, video, queries, group, store):
            done += size
            if progress is not None:
                progress(done, total)
        store.finish(group[-1].stop)
    return store.result()


def chunks_per_pass(tracker: PointTracker, wh: tuple[int, int], chunk: int, memory: float) -> int:
    """How many chunks are tracked at once, so that one encoder pass serves them all; at least 1.

    The chunks share the features of a window. Each keeps what its points look like, their state and their last answers.
    One of them at a time is refined, which takes the cells around every point on every frame of a window.

    Args:
        tracker: from `load_tracker`.
        wh: size of the video as (width, height).
        chunk: points per chunk.
        memory: bytes for all that.
    """
    config = tracker.config
    points = chunk + SUPPORT_GRID**2
    channels, levels = config.encoder.channels, config.correlation.levels
    frames = config.window.length or 1
    width, height = model_wh(wh, config)
    features = 4 * channels * sum((width // 4 >> i) * (height // 4 >> i) for i in range(levels))  # of a frame
    patch = (2 * config.correlation.support_radius + 1) ** 2
    cells = (2 * config.correlation.radius + 2) ** 2
    # Looks, asked and latest features; four numbers a frame for each estimate of the last window, of the one before, and
    # for the rows that both become on their way to the store.
    estimates = 2 * (config.window.iterations + 1) + ROW_COPIES
    kept = HEAP * 4 * points * (channels * (levels * patch + 2) + 4 * frames * estimates)
    # Features of the window and of the step before it, joined, and filled up; the encoder at work; cells and products of
    # a level twice; and a search for every point over a whole frame.
    working = 5 * frames * features + 8 * points * frames * cells * (channels + patch)
    working += 4 * points * (width // 4) * (height // 4)
    return max(1, int((memory - working) // kept))


def _passes(parts: Sequence[slice], late: Sequence[int], at_once: int) -> Iterator[list[slice]]:
    """Neighbouring chunks that are tracked backward from the same frame, so many at a time."""
    group: list[slice] = []
    for i, part in enumerate(parts):
        if group and (len(group) == at_once or late[i] != late[i - 1]):
            yield group
            group = []
        group.append(part)
    if group:
        yield group


def _track_chunks(
    tracker: PointTracker, video: Video, queries: Queries, parts: Sequence[slice], store: DenseStore
) -> Iterator[int]:
    """One pass, or two where there are frames before the points; yields how much is done (points times frames)."""
    chunks = [queries.select(part) for part in parts]
    groups = [
        # Names of their own: those of the user may be negative, as those of support points are.
        Queries.concat([Queries(chunk.frame, chunk.xy), support_queries(chunk, video.wh, SUPPORT_GRID)], True)
        for chunk in chunks
    ]
    kept = [torch.arange(len(chunk)) for chunk in chunks]
    columns = np.arange(parts[0].start, parts[-1].stop)
    for rows in _stream(tracker, video.frames, groups, kept, video):
        store.write(rows.first_frame, columns, rows)
        yield rows.visibility.numel()
    late = _late(chunks[0])
    if not late or tracker.config.window.length is None:
        return
    asked_later = [chunk.frame > 0 for chunk in chunks]
    back = []
    for group in groups:
        points = group.select(group.frame > 0)
        back.append(Queries(late - points.frame, points.xy))
    kept = [torch.arange(int(later.sum())) for later in asked_later]
    columns = columns[torch.cat(asked_later).numpy()]
    frame = queries.frame[torch.from_numpy(columns)]
    for rows in _stream(tracker, video.frames[late::-1], back, kept, video):
        numbers = late - rows.first_frame - torch.arange(len(rows))
        for number, row in zip(numbers.tolist(), range(len(rows)), strict=True):
            before = number < frame
            store.write(number, columns[before.numpy()], rows.clip(row, row + 1).select(before))
        yield rows.visibility.numel()


def _stream(
    tracker: PointTracker,
    frames: np.ndarray,
    groups: Sequence[Queries],
    kept: Sequence[torch.Tensor],
    video: Video,
) -> Iterator[Tracks]:
    """Tracks of the kept points of every group, in pieces of some frames."""
    offsets = np.cumsum([0, *(len(group) for group in groups)])
    named = [Queries(group.frame, group.xy, torch.arange(len(group)) + first) for group, first in zip(groups, offsets, strict=False)]  # fmt: skip
    wanted = torch.cat([places + first for places, first in zip(kept, offsets, strict=False)])
    stream = StreamTracker(tracker, named[0], video.wh, video.fps)
    for group in named[1:]:
        stream.add(group)
    step = tracker.config.window.step
    for start in range(0, len(frames), step):
        rows = stream.push(frames[start : start + step])
        if len(rows):
            yield rows.select(wanted)
    yield stream.finish().select(wanted)


def _late(queries: Queries) -> int:
    """The frame that points are tracked backward from."""
    return int(queries.frame.max()) if len(queries) else 0


def _work(tracker: PointTracker, queries: Queries, frames: int) -> int:
    """Points times frames of a chunk, both ways."""
    both = tracker.config.window.length is not None
    late = _late(queries)
    return len(queries) * frames + both * bool(late) * int((queries.frame > 0).sum()) * (late + 1)


def _check_inside(queries: Queries, video: Video) -> None:
    """As `Queries.check_inside`, but all points at once."""
    fine = (queries.frame < len(video)) & inside_image(queries.xy, video.wh)
    queries.select(~fine).check_inside(len(video), video.wh)


def _about(tracker: PointTracker, video: Video, queries: Queries, chunk: int) -> dict[str, str]:
    """What must be the same for a run to go on."""
    weights = points = 0
    for value in tracker.state_dict().values():
        weights = zlib.crc32(value.detach().cpu().contiguous().float().numpy().tobytes(), weights)
    for value in (queries.frame, queries.xy, queries.ids):
        points = zlib.crc32(value.numpy().tobytes(), points)
    settings = zlib.crc32(repr(asdict(tracker.config)).encode())
    return {
        "video": video.fingerprint(),
        "tracker": f"{tracker.config.name}, weights {weights:08x}, settings {settings:08x}",
        "points": f"{len(queries)}, {points:08x}",
        "chunk": str(chunk),
    }
