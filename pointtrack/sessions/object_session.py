"""A person and a video: objects are pointed out, followed, corrected where they go wrong, and corrections stick."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pointtrack.models.point_tracker import PointTracker, network_of
from pointtrack.objects.engine import Engine, ObjectResult
from pointtrack.objects.from_tracks import Progress
from pointtrack.objects.point_engine import PointEngine
from pointtrack.objects.video_engine import load_video_engine
from pointtrack.pipeline.inputs import progress_of
from pointtrack.segment.base import Prompt, Segmenter, check_inside, checked_mask
from pointtrack.segment.zoo import load_segmenter
from pointtrack.sessions.answers import answered
from pointtrack.sessions.doubts import Doubt, doubts_in, worst
from pointtrack.sessions.history import History
from pointtrack.sessions.keyframes import (
    Keyframe,
    SessionObject,
    known_masks,
    new_object,
    no_points,
    sides_of,
)
from pointtrack.sessions.schedule import Direction, Schedule
from pointtrack.tracker import Tracker
from pointtrack.tracking.shots import find_cuts
from pointtrack.types import Video
from pointtrack.types.masks import Masks
from pointtrack.zoo import load_tracker


class ObjectSession:
    """Objects in a video: point them out, follow them, correct them.

    Args:
        video: the frames.
        tracker, segmenter: a `Tracker` (or a loaded network), and what `load_segmenter` gives; those that ship where not given. Or
        engine: what follows the objects instead: the name of a SAM 2 for video, as "sam2.1-hiera-tiny", or an `Engine`.
        cuts: frames on which a new shot begins; found by PySceneDetect where not given.
        exclusive: every pixel belongs to one object at most. The masks of each object are computed without a look at
            the others, so this can be changed at any time.

    Raises:
        ValueError: an engine beside a tracker or a segmenter, a video without frames, or cuts outside the video.

    >>> import numpy as np, pointtrack as pt
    >>> frames = np.full((4, 60, 80, 3), 60, np.uint8)
    >>> frames[:, 15:40, 15:40] = 200
    >>> session = pt.ObjectSession(pt.Video(frames))
    >>> thing, mask = session.prompt_new(frame=0, box=[10, 10, 40, 40])
    >>> tuple(mask.shape)
    (60, 80)
    """

    def __init__(
        self,
        video: Video,
        tracker: Tracker | PointTracker | None = None,
        segmenter: Segmenter | None = None,
        *,
        engine: Engine | str | None = None,
        cuts: Iterable[int] | None = None,
        exclusive: bool = True,
    ):
        if engine is None:
            network = load_tracker() if tracker is None else network_of(tracker)
            if segmenter is None:
                segmenter = load_segmenter(precision=network.inference.precision)
            engine = PointEngine(network, segmenter)
        elif tracker is not None or segmenter is not None:
            raise ValueError("session: expected a tracker and a segmenter, or an engine; got both")
        if not len(video):
            raise ValueError("session: expected a video with frames, got none")
        if isinstance(engine, str):
            engine = load_video_engine(engine)
        self.video, self.engine, self.exclusive = video, engine, exclusive
        self._cuts = None if cuts is None else sorted(set(cuts))
        if self._cuts and not 0 < self._cuts[0] <= self._cuts[-1] < len(video):
            raise ValueError(f"cuts: expected frames in 1..{len(video) - 1}, got {self._cuts}")
        # What a person said, before and after every action; all else follows from the state that counts.
        self._history: History[tuple[SessionObject, ...]] = History([()])
        self._serial = itertools.count(1)
        self._schedule = Schedule(video, engine)

    # What a person says.

    def add_object(self, name: str = "", object_id: int | None = None) -> int:
        """A new object; its id, from 1 on, which is the next one that was never used unless it is given.

        Raises:
            ValueError: a name that is no text, an id that is no whole number from 1 on, or one that another object has or had.
        """
        new = new_object(name, object_id, {one.id for state in self._history.states for one in state})
        self._do((*self._state, new))
        return new.id

    def prompt_new(self, frame: int, **prompt: Any) -> tuple[int, Tensor]:
        """A new object that begins with a prompt, as of `prompt`: its id, and its mask on that frame. Two actions for undo.

        Errors as of `prompt`; then nothing has changed, and what was undone before can still be done again.
        """
        before = self._history.mark()
        try:
            return (number := self.add_object()), self.prompt(number, frame, **prompt)
        except BaseException:
            self._history.back_to(before)
            raise

    def remove_object(self, object_id: int | str) -> None:
        """Forget an object and all that was said about it."""
        gone = self._object(object_id)
        self._do(tuple(one for one in self._state if one is not gone))

    def prompt(
        self,
        object_id: int | str,
        frame: int,
        *,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        mask: Any = None,
    ) -> Tensor:
        """Say where an object is on a frame; the answer comes at once, and stands.

        Clicks add to those made on the frame before, and correct the mask that it has now. Frames around have to be
        propagated anew: those up to the next keyframes of this object, and no others.

        Args:
            object_id: from `add_object`, or the name of the object.
            frame: number of the frame.
            points: (k, 2) clicks in pixels (x, y).
            labels: (k,) 1 on the object, 0 beside it; all on it where not given.
            box: x0, y0, x1, y1 around it, in pixels. It begins the frame anew.
            mask: (h, w) bool of the video's size, taken as it is. It begins the frame anew; not together with others.

        Returns:
            (h, w) bool, the mask of the object on that frame. All clicks on the frame are honoured.

        Raises:
            ValueError: an unknown object, a frame that the video does not have, nothing said, anything outside the
                image, an empty box or mask, a mask of another size, or a prompt in which nothing is seen. Then
                nothing has changed.
        """
        one = self._object(object_id)
        frame = self._frame(frame)
        if mask is not None:
            if points is not None or box is not None:
                raise ValueError("prompt: expected a mask, or points and a box; got both")
            key = Keyframe(frame, next(self._serial), checked_mask(mask, self.video.wh), *no_points())
        else:
            requested = Prompt(points, labels, box)
            check_inside(requested, self.video.wh)
            shown = None if one.key(frame) else self.mask(one.id, frame)
            sides = [side for side in sides_of(one, len(self.video)) if frame in side.frames]
            way = sides[0].frames.step if sides else 0
            key = answered(self.engine, self.video, one, frame, requested, shown, way)
            key = replace(key, serial=next(self._serial))
        self._do(tuple(other.with_key(key) if other is one else other for other in self._state))
        return key.mask.clone()

    def candidates(self, object_id: int | str, frame: int) -> list[ObjectResult]:
        """All that the clicks or the box on a frame may mean, the best first: a part, the object, a group.

        Raises ValueError for an unknown object, and where there are neither clicks nor a box.
        """
        key = self._object(object_id).key(self._frame(frame))
        if key is None or not (len(key.points) or key.box is not None):
            raise ValueError(f"candidates: expected clicks or a box of object {object_id} on frame {frame}")
        return self.engine.answers(self.video, frame, Prompt(key.points, key.labels, key.box))

    def choose(self, object_id: int | str, frame: int, place: int) -> Tensor:
        """Take one of the `candidates`, (h, w) bool, in the place of the mask that counts; clicks that follow correct it."""
        one, found = self._object(object_id), self.candidates(object_id, frame)
        if not (0 <= place < len(found) and found[place].mask.any()):
            raise ValueError(f"candidate: expected 0..{len(found) - 1} that is not empty, got {place}")
        chosen, key = found[place], one.key(frame)
        assert key is not None
        mask = chosen.mask
        key = replace(key, serial=next(self._serial), mask=mask, base=mask, followed=0, score=chosen.score)
        self._do(tuple(other.with_key(key) if other is one else other for other in self._state))
        return mask.clone()

    def mark_absent(self, object_id: int | str, frame: int, stop: int | None = None) -> None:
        """Say that an object is not on a frame, or on frames frame..stop-1. Errors as of `prompt`."""
        one, frame = self._object(object_id), self._frame(frame)
        nothing = torch.zeros(self.video.wh[1], self.video.wh[0], dtype=torch.bool)
        changed = one
        for number in self._range(frame, frame + 1 if stop is None else stop):
            changed = changed.with_key(Keyframe(number, next(self._serial), nothing, *no_points()))
        self._do(tuple(changed if other is one else other for other in self._state))

    def remove_prompt(self, object_id: int | str, frame: int) -> None:
        """Take back all that was said about an object on a frame.

        Raises ValueError where nothing was said.
        """
        one = self._object(object_id)
        if one.key(frame) is None:
            raise ValueError(
                f"remove_prompt: expected a frame with a prompt of object {object_id}, got {frame}; "
                f"there are {[key.frame for key in one.keys]}"
            )
        self._do(tuple(other.without_key(frame) if other is one else other for other in self._state))

    def undo(self) -> bool:
        """Take the last action back (prompt, mark_absent, remove_prompt, add or remove an object); False if there is none.

        What was computed before it counts again; nothing is computed twice.
        """
        return self._history.undo()

    def redo(self) -> bool:
        """Do again what was undone; False if there is nothing."""
        return self._history.redo()

    # What follows from it.

    @property
    def objects(self) -> dict[int, str]:
        """Object id -> name."""
        return {one.id: one.name for one in self._state}

    @property
    def cuts(self) -> list[int]:
        """Frames on which a new shot begins."""
        if self._cuts is None:
            self._cuts = find_cuts(self.video)
        return self._cuts

    @cuts.setter
    def cuts(self, cuts: Iterable[int]) -> None:
        """Cuts that were found elsewhere; walks that begin from now on know them."""
        self._cuts = sorted(set(cuts))

    def keyframes(self, object_id: int | str) -> list[int]:
        """Frames on which something was said about an object."""
        return [key.frame for key in self._object(object_id).keys]

    def keyframe(self, object_id: int | str, frame: int) -> Keyframe | None:
        """What was said about an object on a frame; None where nothing was."""
        return self._object(object_id).key(frame)

    def propagate(
        self,
        start: int = 0,
        stop: int | None = None,
        *,
        direction: Direction = "both",
        progress: Progress | bool | None = None,
    ) -> Masks:
        """Follow all objects from their keyframes; only what is not known yet is computed.

        Args:
            start, stop: frames start..stop-1 are wanted; by default all.
            direction: "forward" computes only what follows from keyframes before, "backward" from those after.
            progress: called with the number of frames done since the last call, per object. True shows a bar.

        Returns:
            Masks of these frames; where nothing is known, the object is absent.

        Raises:
            ValueError: no object with a prompt, or frames that the video does not have.
        """
        frames = self._range(start, stop)
        if direction not in ("forward", "backward", "both"):
            raise ValueError(f"direction: expected forward, backward or both, got {direction!r}")
        if not any(one.keys for one in self._state):
            raise ValueError("propagate: expected an object with a prompt; add one and prompt it first")
        missing = self._schedule.missing(self._state, frames, direction)
        if missing:
            known = {side: known_masks(self._object(side.object_id), side) for side in missing}
            with progress_of(progress, self._schedule.steps(missing, frames), "following") as step:
                self._schedule.walk(known, frames, self.cuts, step or (lambda done: None))
        return self.masks(frames.start, frames.stop)

    def masks(self, start: int = 0, stop: int | None = None) -> Masks:
        """What is known now of frames start..stop-1, without computing anything. Errors as of `propagate`."""
        frames = self._range(start, stop)
        # Of objects that are equally sure, the one that was spoken of last has a pixel.
        preview = sorted(self._state, key=lambda one: -max([0, *(key.serial for key in one.keys)]))
        w, h = self.video.wh
        masks = torch.zeros(len(frames), len(preview), h, w, dtype=torch.bool)
        scores = torch.zeros(len(frames), len(preview))
        for column, one in enumerate(preview):
            for frame, found in self._schedule.known(one, frames):
                masks[frame - frames.start, column] = found.mask
                scores[frame - frames.start, column] = found.score
        ids = torch.tensor([one.id for one in preview], dtype=torch.int64)
        names = tuple(one.name for one in preview)
        result = Masks(masks, ids, scores, frames.start, self.video.fps, names)
        result = result.with_times(self.video.times[frames.start : frames.stop])
        return (result.exclusive() if self.exclusive else result).select(ids.argsort())

    def mask(self, object_id: int | str, frame: int) -> Tensor | None:
        """(h, w) bool of one object on one frame as it was computed; None where nothing is known."""
        one, frame = self._object(object_id), self._frame(frame)
        return next((found.mask for _, found in self._schedule.known(one, range(frame, frame + 1))), None)

    def quality(self, start: int = 0, stop: int | None = None) -> Tensor:
        """(t, o) in [0, 1]: how likely each mask can stay as it is; NaN where nothing is known.

        Of a mask that was given it is 1, of an answer to clicks or a box the overlap that the segmenter expects.

        Args:
            start, stop: of frames start..stop-1; by default of all.
        """
        return self._measures(self._range(start, stop), 0)

    def scores(self, start: int = 0, stop: int | None = None) -> Tensor:
        """(t, o) in [0, 1]: how sure it is that each object is there as drawn; 0 where it is absent, NaN where nothing is known.

        Arguments as of `quality`.
        """
        return self._measures(self._range(start, stop), 1)

    def _measures(self, frames: range, which: int) -> Tensor:
        values = torch.full((len(frames), len(self._state)), torch.nan)
        for column, one in enumerate(self._state):
            for frame, *measured in self._schedule.measures(one, frames):
                values[frame - frames.start, column] = measured[which]
        return values

    def suggest_corrections(self, count: int = 5) -> list[Doubt]:
        """The frames on which a correction would help most, the worst first, not side by side."""
        return worst(doubts_in(self.quality(), [one.id for one in self._state]), count)

    def save(self, path: str | Path) -> Path:
        """Write all that was said, the history and what is computed to one .npz file (without the video)."""
        from pointtrack.sessions.files import write_session

        sides = {side for one in self._state for side in sides_of(one, len(self.video))}
        results = self._schedule.results.select(sides)
        return write_session(path, self.video, self._history, results)

    def load(self, path: str | Path) -> None:
        """Go on with a saved session of the same video, in the place of this one.

        Raises:
            FileNotFoundError: no such file.
            ValueError: a file that is no session, or one of another video. Then nothing has changed.
        """
        from pointtrack.sessions.files import read_session

        history, results = read_session(path, self.video)
        serials = [key.serial for state in history.states for one in state for key in one.keys]
        self._history = history
        self._schedule = Schedule(self.video, self.engine, results)
        self._serial = itertools.count(1 + max(serials, default=0))

    # How.

    @property
    def _state(self) -> tuple[SessionObject, ...]:
        return self._history.state

    def _do(self, state: tuple[SessionObject, ...]) -> None:
        """A new state; what was undone is gone, and with it the results that no state can reach any more."""
        drops = self._history.now + 1 < len(self._history.states)
        self._history.do(state)
        if not drops:
            return
        # States share the objects that did not change.
        objects = {id(one): one for known in self._history.states for one in known}.values()
        self._schedule.keep({side for one in objects for side in sides_of(one, len(self.video))})

    def _object(self, object_id: int | str) -> SessionObject:
        """The object of that id, or of that name where only one has it."""
        named = [one for one in self._state if one.name == object_id]
        if object_id and len(named) == 1:
            return named[0]
        for one in self._state:
            if one.id == object_id:
                return one
        raise ValueError(
            f"object id: expected one of {list(self.objects)}, got {object_id!r}; add_object() makes a new one"
        )

    def _frame(self, frame: int) -> int:
        if isinstance(frame, bool) or int(frame) != frame or not 0 <= frame < len(self.video):
            raise ValueError(f"frame: expected a whole number in 0..{len(self.video) - 1}, got {frame!r}")
        return int(frame)

    def _range(self, start: int, stop: int | None) -> range:
        stop = len(self.video) if stop is None else stop
        if not 0 <= start < stop <= len(self.video):
            raise ValueError(
                f"frames: expected 0 <= start < stop <= {len(self.video)}, got start {start} and stop {stop}"
            )
        return range(start, stop)
