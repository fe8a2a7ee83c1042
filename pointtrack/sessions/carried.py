"""Carries a correction to other frames, along with the points it was about.

What a person corrects on one frame is wrong on many. So the clicks, and points in what they added or removed, are tracked
from there in both directions. Where they contradict the object's mask, it is corrected as if the person had clicked there;
masks that agree with them stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.answer import points_inside
from pointtrack.objects.engine import Corrector, ObjectResult
from pointtrack.objects.point_prompts import overlap, read_mask
from pointtrack.segment.base import Prompt
from pointtrack.sessions.keyframes import Keyframe, no_points
from pointtrack.sessions.point_walks import walk_points
from pointtrack.types import Video

POINTS = 6  # tracked in what a correction added, in what it removed, and in what it kept, beside its clicks
# A mask changes by at most this many times the share that the correction changed of its own; if it would change by more,
# a point went astray.
MOST_CHANGE = 2.0
# Share of the points that must be in view for the others to be trusted, and the number of frames in a row without it after
# which they are not tracked any further.
IN_VIEW, LOST = 1 / 3, 50


@dataclass(frozen=True, eq=False)
class CorrectionPoints:
    """Points in what a keyframe corrected, and in what it kept.

    Attributes:
        xy: (k, 2) pixels.
        labels: (k,) bool, which of them are on the object.
        changed: (k,) bool, which of them the correction was about; the others are in what it left as it was.
    """

    xy: Tensor
    labels: Tensor
    changed: Tensor


@dataclass
class _Trail:
    """The points of a keyframe along the frames on one side of it: (k, 2) pixels and (k,) bool in view, per frame.

    Attributes:
        points: as they are on the frame of the keyframe.
        steps: the frames not tracked yet. rows: those that were.
        broken: whether a step was interrupted; then the others cannot follow.
    """

    points: CorrectionPoints
    steps: Iterator[tuple[Tensor, Tensor]]
    rows: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    broken: bool = False

    def row(self, place: int, alive: Callable[[], None]) -> tuple[Tensor, Tensor] | None:
        """The points on the frame at this place, from 0 on; None if they were lost before. `alive` is called on the way."""
        while len(self.rows) <= place:
            self.broken = True
            row = next(self.steps, None)
            self.broken = False
            if row is None:
                break
            self.rows.append(row)
            alive()  # which may raise: the steps go on from here
        return self.rows[place] if place < len(self.rows) else None


class Carried:
    """The corrections of keyframes on other frames, each tracked only as far as needed.

    Args:
        video: the frames.
        corrector: of the engine; None carries nothing.
    """

    def __init__(self, video: Video, corrector: Corrector | None):
        self.video, self.corrector = video, corrector
        self._trails: dict[tuple[int, int], _Trail] = {}  # by the keyframe's serial, and 1 or -1

    def correct(
        self,
        frame: int,
        found: ObjectResult,
        keys: Sequence[Keyframe],
        cuts: Collection[int],
        answers: Keyframe | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> ObjectResult:
        """The result for a frame, its mask corrected by these keyframes, one after the other.

        An object that is absent stays absent.

        Args:
            cuts: frames on which a new shot begins; no click is carried across.
            answers: the keyframe of this frame, if there is one. What contradicts its clicks is not carried there.
            alive: called for every frame on which points are tracked. It may raise; what was tracked is kept.
        """
        xy, labels = no_points() if answers is None else (answers.points, answers.labels)
        if self.corrector is None:
            return found
        for key in keys:
            here = self._on(frame, key, cuts, alive) if found.mask.any() else None
            if here is None:
                continue
            points, in_view = here
            agrees = read_mask(found.mask, points.xy) == points.labels
            wrong = in_view & ~agrees & points.changed
            if wrong.any():
                # Points in what was right show the segmenter which object is meant.
                asked = wrong | (in_view & agrees & ~points.changed)
                prompt = Prompt(points.xy[asked], points.labels[asked])
                new = self.corrector.correct(self.video, frame, prompt, found.mask)
                honoured = bool(new.mask.any()) and torch.equal(read_mask(new.mask, xy), labels)
                if honoured and 1 - overlap(found.mask, new.mask) <= MOST_CHANGE * key.change:
                    # The old quality is about how well the object is followed, the new one about how well the mask fits.
                    quality = (found.quality + new.quality) / 2
                    found = ObjectResult(new.mask, quality, quality)
        return found

    def keep(self, serials: Collection[int]) -> None:
        """Forget the points of all keyframes but these."""
        self._trails = {name: trail for name, trail in self._trails.items() if name[0] in serials}

    def _on(
        self, frame: int, key: Keyframe, cuts: Collection[int], alive: Callable[[], None]
    ) -> tuple[CorrectionPoints, Tensor] | None:
        """The points of a keyframe on another frame, and (k,) bool which are in view there; None if too few are."""
        if any(min(frame, key.frame) < cut <= max(frame, key.frame) for cut in cuts):
            return None  # which may have been found since the points were tracked
        name = key.serial, 1 if frame > key.frame else -1
        if name not in self._trails:
            assert self.corrector is not None
            tracker = self.corrector.tracker
            points, order = correction_points(key), self._shot(key.frame, name[1], cuts)
            self._trails[name] = _Trail(points, _tracked(tracker, self.video, order, points.xy))
        trail = self._trails[name]
        try:
            row = trail.row(abs(frame - key.frame) - 1, alive)
        except BaseException:
            if trail.broken:  # it starts over next time
                del self._trails[name]
            raise
        return (replace(trail.points, xy=row[0]), row[1]) if row is not None and _trusted(row[1]) else None

    def _shot(self, frame: int, way: int, cuts: Collection[int]) -> range:
        """The frames from this one on, forward or backward, to the end of its shot."""
        if way > 0:
            return range(frame, min((cut for cut in cuts if cut > frame), default=len(self.video)))
        return range(frame, max((cut for cut in cuts if cut <= frame), default=0) - 1, -1)


def correction_points(key: Keyframe) -> CorrectionPoints:
    """The points of a keyframe that corrects a mask: its clicks, and others spread over what they changed and kept."""
    assert key.base is not None
    groups = []
    for area, label, changed in (
        (key.mask & key.base, True, False),
        (key.mask & ~key.base, True, True),
        (key.base & ~key.mask, False, True),
    ):
        if area.any():
            xy = points_inside(area, POINTS)
            groups.append((xy, torch.full((len(xy),), label), changed))
    groups.append((key.points, key.labels, True))
    xy, labels = (torch.cat(parts) for parts in zip(*((xy, labels) for xy, labels, _ in groups), strict=True))
    return CorrectionPoints(
        xy, labels, torch.cat([torch.full((len(xy),), changed) for xy, _, changed in groups])
    )


def _tracked(
    tracker: PointTracker, video: Video, order: range, xy: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Track points along frames, from the first of which they are known: pixels and views on the others."""
    lost, begun = 0, False
    for tracks in walk_points(tracker, video, order, xy, together=True):
        for places, in_view in zip(tracks.xy, tracks.visible() & tracks.in_frame(), strict=True):
            if begun:
                yield places, in_view
            begun = True
            lost = 0 if _trusted(in_view) else lost + 1
            if lost > LOST:
                return


def _trusted(in_view: Tensor) -> bool:
    """Whether enough of the points are in view on a frame: the last few often stick to something else."""
    return float(in_view.float().mean()) >= IN_VIEW
