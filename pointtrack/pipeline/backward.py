"""Tracking backward, around any stream: a forward pass, a pass over the reversed frames, joined at the query frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.options import TrackOptions, build_stream
from pointtrack.pipeline.run import run, timed
from pointtrack.pipeline.sinks import MemorySink
from pointtrack.tracking.smooth import smooth_tracks
from pointtrack.tracking.stream import PointStream, Progress
from pointtrack.tracking.support import with_support
from pointtrack.types import Queries, Tracks, Video
from pointtrack.types.point_states import PointStates


@dataclass(frozen=True)
class BackwardPass:
    """What to track through the frames `late`..0.

    Attributes:
        late: the last frame that a point is asked for on.
        queries: the points after frame 0, ids kept, with frames counted from `late` backward.
        options: for them.
    """

    late: int
    queries: Queries
    options: TrackOptions

    def stream(self, network: PointTracker, like: PointStream) -> PointStream:
        """The stages for it."""
        return build_stream(network, self.queries, like.image_wh, like.fps, self.options, keeps_frames=False)


def backward_pass(
    network: PointTracker, queries: Queries, options: TrackOptions, cuts: Iterable[int] = ()
) -> BackwardPass | None:
    """What is left to track backward once frames were tracked forward; None where nothing is.

    Args:
        network: tracks the points. One that takes a video in one window needs it for its regions only.
        queries: the points, with the helpers that they were tracked with.
        options: of the forward pass.
        cuts: the frames on which a new shot begins.
    """
    in_one_window = network.needs_whole_video and options.regions is None
    late, points = flipped_queries(queries)
    if not options.backward or in_one_window or not len(points.requested()):
        return None
    if options.states is None and options.regions is None:
        # The helpers of the first frame are at their end there; in the reversed frames, points of the queries' own
        # surroundings are the helpers that are left.
        return BackwardPass(late, points, replace(options, support_grid=0, support_local=0, smooth=0))
    states = options.states
    if states is not None:
        # A shot that begins on frame c ends, seen backward, with c: the next one begins on c - 1.
        states = replace(states, cuts=[late - cut + 1 for cut in sorted(cuts) if 0 < cut <= late])
    return BackwardPass(late, points.requested(), replace(options, states=states, smooth=0))


def frames_both_ways(
    network: PointTracker, queries: Queries, options: TrackOptions, count: int | None
) -> int | None:
    """How many frames are gone through in all, the way back counted too; None for a video of unknown length."""
    back = backward_pass(network, queries, options)
    return None if count is None else count + (0 if back is None else back.late + 1)


def track_video(
    network: PointTracker,
    video: Video,
    queries: Queries,
    options: TrackOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Tracks:
    """Track points through a whole video in memory.

    Args:
        network: from `load_tracker`.
        video: the frames.
        queries: points with their frames.
        options: which stages there are.
        progress: called with the number of frames that each step has done; 2 passes over part of the
            video when points are tracked backward.

    Returns:
        Tracks over all frames. Each point is exactly where it was asked for on its own frame, visible; without
        `backward` its track is NaN before that.

    Raises:
        ValueError: a query after the last frame or outside the image, a region larger than it, or with states a negative id.
    """
    options = options or TrackOptions()
    queries.check_inside(len(video), video.wh)
    if not len(queries):
        empty = torch.zeros(len(video), 0)
        states = None if options.states is None else PointStates.blank(len(video), 0)
        return Tracks(empty[..., None].expand(-1, -1, 2), empty, empty, queries, video.wh, fps=video.fps, states=states)  # fmt: skip
    everyone = with_support(network, queries, video.wh, options.support_grid, options.support_local)
    stream = build_stream(
        network, everyone, video.wh, video.fps, replace(options, smooth=0), keeps_frames=False
    )
    sink = MemorySink()
    run(timed(video.frames), stream, [sink], progress=progress)
    tracks = sink.tracks()
    back = backward_pass(network, everyone, options, stream.cuts)
    if back is not None:
        sink = MemorySink()
        run(timed(video.frames[back.late :: -1]), back.stream(network, stream), [sink], progress=progress)
        found = turned(sink.tracks(), back.late)
        tracks = joined(tracks, found)
    elif not options.backward and network.needs_whole_video:
        tracks = without(tracks, torch.arange(len(tracks))[:, None] < queries.frame)
    return smooth_tracks(tracks, radius=options.smooth) if options.smooth else tracks


def flipped_queries(queries: Queries) -> tuple[int, Queries]:
    """Points that have frames before theirs, as points of the reversed frames `frames[late::-1]`.

    Returns:
        `late`, the last frame that a point is asked for on, and the points after frame 0, ids kept, with frames
        counted from it backward. 0 and no points where all are on frame 0.

    >>> late, points = flipped_queries(Queries([0, 4, 7], [[1, 1], [2, 2], [3, 3]]))
    >>> late, points.frame.tolist(), points.ids.tolist()
    (7, [3, 0], [1, 2])
    """
    later = queries.select(queries.frame > 0)
    late = int(later.frame.max()) if len(later) else 0
    return late, replace(later, frame=late - later.frame)


def turned(rows: Tracks, late: int) -> Tracks:
    """Rows of the frames `late`..0 in the order of the video; frames of the points stay counted backward."""
    order = torch.arange(len(rows) - 1, -1, -1)
    return replace(
        rows,
        xy=rows.xy[order],
        visibility=rows.visibility[order],
        confidence=rows.confidence[order],
        states=None if rows.states is None else rows.states[order],
        first_frame=late - rows.first_frame - len(rows) + 1,
    )


def joined(ahead: Tracks, back: Tracks) -> Tracks:
    """Rows with what was tracked backward put in front of the points' own frames.

    Args:
        ahead: of all points.
        back: of some of them, in the same order, from the same frame on, over as many frames or fewer.
    """
    count, later = len(back), torch.isin(ahead.ids, back.ids)
    before = torch.arange(count)[:, None] + ahead.first_frame < ahead.queries.frame[later]
    parts = {}
    for name in ("xy", "visibility", "confidence"):
        value = getattr(ahead, name).clone()
        where = before if value.ndim == 2 else before[..., None]
        value[:count, later] = torch.where(where, getattr(back, name), value[:count, later])
        parts[name] = value
    states = ahead.states
    if states is not None and back.states is not None:
        index = (slice(0, count), later)
        states = PointStates.concat([states])  # a copy
        states.put(index, back.states.where(before, states[index]))
    return replace(ahead, **parts, states=states)


def joined_pieces(ahead: Iterable[Tracks], back: Iterable[Tracks]) -> Iterator[Tracks]:
    """`joined` for pieces that follow each other, both in the order of the video; a few of them are held at a time."""
    rest: Tracks | None = None
    pieces = iter(back)
    for rows in ahead:
        end = rows.first_frame + len(rows)
        while rest is None or rest.first_frame + len(rest) < end:
            following = next(pieces, None)
            if following is None:
                break
            rest = following if rest is None else Tracks.concat([rest, following])
        if rest is None or not len(rest):
            yield rows
            continue
        count = min(len(rest), len(rows))
        yield joined(rows, rest.clip(0, count))
        rest = rest.clip(count)


def without(tracks: Tracks, where: Tensor) -> Tracks:
    """The same tracks, with nothing known where (t, n) bool `where` says so."""
    states = tracks.states
    return replace(
        tracks,
        xy=tracks.xy.masked_fill(where[..., None], torch.nan),
        visibility=tracks.visibility.masked_fill(where, 0.0),
        confidence=tracks.confidence.masked_fill(where, 0.0),
        states=None if states is None else states.where(~where, PointStates.blank(*where.shape)),
    )
