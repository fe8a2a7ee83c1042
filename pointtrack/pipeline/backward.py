"""Tracks backward with any stream: a forward pass, and a pass over the reversed frames, joined at the query frames."""

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
    """The points to track through the frames `late`..0.

    Attributes:
        late: the last query frame.
        queries: the points after frame 0, ids kept, with frames counted from `late` backward.
        options: of the backward pass.
    """

    late: int
    queries: Queries
    options: TrackOptions

    def stream(self, network: PointTracker, like: PointStream) -> PointStream:
        """Build the stages for the backward pass."""
        return build_stream(network, self.queries, like.image_wh, like.fps, self.options, keeps_frames=False)


def backward_pass(
    network: PointTracker, queries: Queries, options: TrackOptions, cuts: Iterable[int] = ()
) -> BackwardPass | None:
    """The backward pass that a forward pass leaves to do; None if there is none.

    Args:
        network: tracks the points. One that takes a video in one window needs the pass for its regions only.
        queries: the points, with the support points of the forward pass.
        options: of the forward pass.
        cuts: the frames on which a new shot begins.
    """
    in_one_window = network.needs_whole_video and options.regions is None
    late, points = flipped_queries(queries)
    if not options.backward or in_one_window or not len(points.requested()):
        return None
    if options.states is None and options.regions is None:
        # Support points on the first frame have nothing left to track. In the reversed frames, those around the queries
        # remain.
        return BackwardPass(late, points, replace(options, support_grid=0, support_local=0, smooth=0))
    states = options.states
    if states is not None:
        # A shot that begins on frame c ends with c in reversed order, and the next shot there begins on c - 1.
        states = replace(states, cuts=[late - cut + 1 for cut in sorted(cuts) if 0 < cut <= late])
    return BackwardPass(late, points.requested(), replace(options, states=states, smooth=0))


def frames_both_ways(
    network: PointTracker, queries: Queries, options: TrackOptions, count: int | None
) -> int | None:
    """Number of frames that both passes process together; None for a video of unknown length."""
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
        options: which stages to use.
        progress: called with the number of frames that each step has done; with backward tracking, part of the video
            counts twice.

    Returns:
        Tracks over all frames. On its query frame, each point is visible and exactly at its query; without `backward`
        its track is NaN before that.

    Raises:
        ValueError: a query after the last frame or outside the image, a region larger than the image, or, with states,
            a negative id.
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
    """Points queried after frame 0, as points of the reversed frames `frames[late::-1]`.

    Returns:
        `late`, the last query frame, and the points after frame 0, ids kept, with frames counted from it backward.
        0 and no points if all are on frame 0.

    >>> late, points = flipped_queries(Queries([0, 4, 7], [[1, 1], [2, 2], [3, 3]]))
    >>> late, points.frame.tolist(), points.ids.tolist()
    (7, [3, 0], [1, 2])
    """
    later = queries.select(queries.frame > 0)
    late = int(later.frame.max()) if len(later) else 0
    return late, replace(later, frame=late - later.frame)


def turned(rows: Tracks, late: int) -> Tracks:
    """Rows of the frames `late`..0 in the order of the video; the query frames stay counted backward."""
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
    """Put backward tracks into the frames before the points' query frames.

    Args:
        ahead: rows of all points, tracked forward.
        back: rows of some of them, tracked backward, in the same order, from the same frame on, and no longer.
    """
    count, later = len(back), torch.isin(ahead.ids, back.ids)
    before = torch.arange(count)[:, None] + ahead.first_frame < ahead.queries.frame[later]
    states = ahead.states
    if states is not None and back.states is not None:
        index = (slice(0, count), later)
        states = PointStates.concat([states])  # a copy
        states.put(index, back.states.where(before, states[index]))
    return replace(ahead.with_values(slice(0, count), later, back, before), states=states)


def joined_pieces(ahead: Iterable[Tracks], back: Iterable[Tracks]) -> Iterator[Tracks]:
    """`joined` for consecutive pieces, both in the order of the video; memory holds a few of them at a time."""
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
    """The same tracks, blank where the (t, n) bool `where` is True."""
    states = tracks.states
    return replace(
        tracks,
        xy=tracks.xy.masked_fill(where[..., None], torch.nan),
        visibility=tracks.visibility.masked_fill(where, 0.0),
        confidence=tracks.confidence.masked_fill(where, 0.0),
        states=None if states is None else states.where(~where, PointStates.blank(*where.shape)),
        sources=None if tracks.sources is None else tracks.sources.masked_fill(where, 0),
    )
