"""From tracked points to masks: points prompt a segmenter, and then select the best of its candidates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from pointtrack.checks import counted
from pointtrack.geometry import rescale_points
from pointtrack.models.point_tracker import network_of
from pointtrack.objects.answer import ObjectOptions
from pointtrack.objects.engine import ObjectResult
from pointtrack.objects.frame_buffer import FrameBuffer
from pointtrack.objects.memory_only import tracker_features
from pointtrack.objects.object_points import ObjectPoints
from pointtrack.objects.object_state import ObjectState
from pointtrack.objects.point_prompts import KnownMask
from pointtrack.objects.propagator import ObjectPropagator
from pointtrack.segment.base import Segmenter
from pointtrack.tracking.stream import Progress
from pointtrack.types import Tracks, Video
from pointtrack.types.masks import Masks


def segment_tracks(
    video: Video,
    tracks: Tracks,
    segmenter: Segmenter,
    *,
    objects: Any = None,
    given: Mapping[int, KnownMask] | None = None,
    tracker: Any = None,
    config: ObjectOptions | None = None,
    progress: Progress | None = None,
) -> Masks:
    """Turn points tracked on objects into masks.

    The walk starts on the frame with most visible points and goes frame by frame. Points spread over the object, and
    some around it on others, prompt the segmenter. A memory of the object's appearance corrects the candidates, and the
    one that agrees best with all points and with the previous mask is kept.

    Args:
        video: the frames.
        tracks: points through all of these frames.
        segmenter: from `load_segmenter`.
        objects: (n,) whole numbers, the object that each point is on; 0 for the background. By default object 1.
        given: known masks, by object. They are kept as they are and remembered, and the walk starts from them.
        tracker: a `pointtrack.Tracker` or a loaded network. With it, new points on the masks replace lost ones when too
            few are left, for example when the object turns.
        config: see `ObjectOptions`.
        progress: called with the number of frames done since the last call.

    Returns:
        Masks (t, o, h, w), objects in the order of their numbers. An object is absent (an empty mask, score 0) where none
        of its points is visible, or no candidate agrees with them.

    Raises:
        ValueError: the tracks have another length or frame size than the video, there is not one object number per point
            or no object at all, or a given mask does not fit the video or the objects.
    """
    if len(tracks) != len(video) or tracks.wh != video.wh:
        raise ValueError(
            f"tracks: expected {counted(len(video), 'frame')} of {video.wh} as the video, got {len(tracks)} of {tracks.wh}"
        )
    owner = _owners(objects, len(tracks.queries))
    ids = owner[owner > 0].unique()
    if not len(ids):
        raise ValueError("objects: expected points of at least one object, got only background")
    config, progress, given = config or ObjectOptions(), progress or (lambda done: None), given or {}
    for number, mask in given.items():
        if number not in ids.tolist():
            raise ValueError(
                f"given: expected masks of the objects {ids.tolist()}, got one of object {number}"
            )
        mask.check(video, number)
    frames, (w, h) = len(video), video.wh
    masks = torch.zeros(frames, len(ids), h, w, dtype=torch.bool)
    scores = torch.zeros(frames, len(ids))
    most_seen = int((config.rules.usable(tracks) & (owner > 0)).sum(1).argmax())
    start = min((mask.frame for mask in given.values()), default=most_seen)
    states = {one: ObjectState() for one in ids.tolist()}
    places = {}
    network = None if tracker is None else network_of(tracker)
    appearance = None if network is None else tracker_features(network)
    for order in (range(start, frames), range(start - 1, -1, -1)):
        buffer = FrameBuffer(video.wh, video.fps, order)
        feed = ObjectPoints(buffer, config.rules, network, _in_order(tracks, order, buffer.wh), owner)
        propagator = ObjectPropagator(
            buffer, segmenter, feed, states, config, rivals=True, appearance=appearance
        )
        known = {
            place: {one: mask.mask for one, mask in given.items() if mask.frame == frame}
            for place, frame in enumerate(order)
        }
        for frame, found in zip(order, _walked(propagator, video, order, known), strict=True):
            for o, result in enumerate(found.values()):
                masks[frame, o], scores[frame, o] = result.mask, result.score
            if frame == start:
                places = {one: state.place() for one, state in states.items()}
            progress(1)
        # The backward walk continues from the masks of the start frame, not from those of the last one.
        for one, state in states.items():
            state.resume(places[one])
    return Masks(masks, ids, scores, fps=video.fps)


def _owners(objects: Any, points: int) -> Tensor:
    """(n,) int64, the object of each point. Raises ValueError as `segment_tracks` does."""
    owner = torch.ones(points) if objects is None else torch.as_tensor(objects)
    if owner.shape != (points,) or bool((owner != owner.round()).any() | (owner < 0).any()):
        raise ValueError(
            f"objects: expected a whole number from 0 on for each of {counted(points, 'point')}, "
            f"got {owner.tolist()[:5]} of shape {tuple(owner.shape)}"
        )
    return owner.long()


def _walked(
    propagator: ObjectPropagator, video: Video, order: range, known: Mapping[int, Mapping[int, Tensor]]
) -> Iterator[dict[int, ObjectResult]]:
    """Yield the results of a walk, frame by frame, and read frames of the video only as needed."""
    place = 0
    for frame in order:
        propagator.frames.add(video.frames[frame])
        propagator.frames.ended = frame == order[-1]
        while propagator.ready(place):
            yield propagator.step(place, known[place])
            place += 1


def _in_order(tracks: Tracks, order: range, wh: tuple[int, int]) -> Tracks:
    """Rows of tracks in the order of a walk, on frames of another size."""
    rows = torch.tensor(order, dtype=torch.int64)
    xy = tracks.xy[rows]
    xy = xy if wh == tracks.wh else rescale_points(xy, tracks.wh, wh, "edges")
    return Tracks(xy, tracks.visibility[rows], tracks.confidence[rows], tracks.queries, wh)
