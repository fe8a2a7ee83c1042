"""`ObjectSession`: point out objects in a video, follow them, correct their masks, and keep the corrections."""

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
from pointtrack.objects.point_engine import PointEngine
from pointtrack.objects.video_engine import load_video_engine
from pointtrack.pipeline.inputs import progress_of, video_of
from pointtrack.segment.base import Prompt, Segmenter, check_inside, checked_mask
from pointtrack.segment.zoo import load_segmenter
from pointtrack.sessions.answers import answered
from pointtrack.sessions.doubts import Doubt, doubts_in, worst
from pointtrack.sessions.frame_numbers import checked_frame, checked_range
from pointtrack.sessions.history import History, repr_with
from pointtrack.sessions.keyframes import Keyframe, SessionObject, Side, new_object, no_points
from pointtrack.sessions.schedule import Direction, Schedule
from pointtrack.tracker import Tracker
from pointtrack.tracking.shots import find_cuts
from pointtrack.tracking.stream import Progress
from pointtrack.types.masks import Masks
from pointtrack.zoo import load_tracker


class ObjectSession:
    """Objects in a video: point them out, follow them, correct them.

    Args:
        video: a `Video`, or anything that `read_video` takes.
        tracker, segmenter: a `Tracker` (or a loaded network), and a segmenter from `load_segmenter`; None takes those that
            ship with pointtrack.
        engine: follows the objects in place of both: an `Engine`, or the name of one, as "sam2.1-hiera-tiny".
        cuts: frames on which a new shot begins; None finds them with PySceneDetect.
        exclusive: give every pixel to one object at most. The mask of an object does not depend on the other objects, so
            you can change this at any time.

    Raises:
        ValueError: an engine beside a tracker or segmenter, a video without frames, or cuts outside the video.

    >>> import numpy as np, pointtrack as pt
    >>> frames = np.full((4, 60, 80, 3), 60, np.uint8)
    >>> frames[:, 15:40, 15:40] = 200
    >>> session = pt.ObjectSession(pt.Video(frames))
    >>> thing, mask = session.prompt_new(frame=0, box=[10, 10, 40, 40])
    >>> tuple(mask.shape)
    (60, 80)
    """

    __repr__ = repr_with("objects")

    def __init__(
        self,
        video: Any,
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
        if isinstance(engine, str):
            engine = load_video_engine(engine)
        self.video, self.engine, self.exclusive = video_of(video), engine, exclusive
        self._cuts = None if cuts is None else sorted(set(cuts))
        if self._cuts and not 0 < self._cuts[0] <= self._cuts[-1] < len(self.video):
            raise ValueError(f"cuts: expected frames in 1..{len(self.video) - 1}, got {self._cuts}")
        # What the person entered, before and after every action. Everything else follows from the current state.
        self._history: History[tuple[SessionObject, ...]] = History([()])
        self._serial = itertools.count(1)
        self._schedule = Schedule(self.video, engine)

    # What the person enters.

    def add_object(self, name: str = "", object_id: int | None = None) -> int:
        """Add an object and return its id: `object_id`, or else the next number from 1 on that was never used.

        Raises:
            ValueError: the name is no text, or the id is no whole number from 1 on or belongs, or belonged, to another
                object.
        """
        new = new_object(name, object_id, {one.id for state in self._history.states for one in state})
        self._do((*self._state, new))
        return new.id

    def prompt_new(self, frame: int, **prompt: Any) -> tuple[int, Tensor]:
        """Add an object with a first prompt, as in `prompt`; returns its id and its mask on that frame.

        `undo` counts this as two actions. Raises what `prompt` raises; the session and its redo history are then unchanged.
        """
        before = self._history.mark()
        try:
            return (number := self.add_object()), self.prompt(number, frame, **prompt)
        except BaseException:
            self._history.back_to(before)
            raise

    def remove_object(self, object_id: int | str) -> None:
        """Remove an object and all its prompts."""
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
        """Prompt an object on a frame. The mask comes at once.

        Clicks add to earlier clicks on the frame and correct its current mask. `propagate` then corrects other frames that
        contradict the clicks, or what they changed here. If they change much of the mask, the object is followed anew from
        here, up to its neighbouring keyframes. A mask that was given stays as it is; one that clicks or a box were answered
        with also takes what later clicks on other frames correct, as far as it honours its own clicks.

        Args:
            object_id: from `add_object`, or the name of the object.
            frame: number of the frame.
            points: (k, 2) clicks in pixels (x, y).
            labels: (k,) 1 for a click on the object, 0 for one beside it; None means that all are on it.
            box: x0, y0, x1, y1 around the object, in pixels. It replaces earlier prompts on the frame.
            mask: (h, w) bool of the video's size, taken as it is. It replaces earlier prompts on the frame, and excludes
                points and a box.

        Returns:
            (h, w) bool, the mask of the object on that frame. It honours all clicks on the frame.

        Raises:
            ValueError: the object is unknown, the video does not have the frame, the prompt is empty or reaches outside
                the image, the box or mask is empty, the mask has another size, or the segmenter finds nothing at the
                prompt. The session is then unchanged.
        """
        one, frame = self._object(object_id), checked_frame(frame, self.video)
        if mask is not None:
            if points is not None or box is not None:
                raise ValueError("prompt: expected a mask, or points and a box; got both")
            key = Keyframe(frame, next(self._serial), checked_mask(mask, self.video.wh), *no_points())
        else:
            requested = Prompt(points, labels, box)
            check_inside(requested, self.video.wh)
            shown, way = self.mask(one.id, frame), self._schedule.way(one, frame)
            key = answered(self.engine, self.video, one, frame, requested, shown, way)
            key = replace(key, serial=next(self._serial))
        self._replace(one, one.with_key(key))
        return key.mask.clone()

    def candidates(self, object_id: int | str, frame: int) -> list[ObjectResult]:
        """All masks that the clicks or the box on a frame may mean, best first: a part, the object, a group.

        Raises ValueError if the object is unknown, or has neither clicks nor a box on that frame.
        """
        one = self._object(object_id)
        key = one.key(checked_frame(frame, self.video))
        if key is None or not (len(key.points) or key.box is not None):
            raise ValueError(f"candidates: expected clicks or a box of object {object_id} on frame {frame}")
        prompt = Prompt(key.points, key.labels, key.box)
        return self.engine.answers(self.video, frame, prompt, elsewhere=one.elsewhere(frame))

    def choose(self, object_id: int | str, frame: int, place: int) -> Tensor:
        """Make one of the `candidates` the object's mask on a frame, and return it, (h, w) bool. Later clicks correct it."""
        one, found = self._object(object_id), self.candidates(object_id, frame)
        if not (0 <= place < len(found) and found[place].mask.any()):
            raise ValueError(f"candidate: expected one of 0..{len(found) - 1} that is not empty, got {place}")
        key, mask, score = one.key(frame), found[place].mask, found[place].score
        assert key is not None
        key = replace(key, serial=next(self._serial), mask=mask, base=mask, followed=0, score=score)
        self._replace(one, one.with_key(key))
        return mask.clone()

    def mark_absent(self, object_id: int | str, frame: int, stop: int | None = None) -> None:
        """Mark an object as absent on a frame, or on frames frame..stop-1. Raises what `prompt` raises."""
        one, frame = self._object(object_id), checked_frame(frame, self.video)
        nothing = torch.zeros(self.video.wh[1], self.video.wh[0], dtype=torch.bool)
        changed = one
        for number in checked_range(frame, frame + 1 if stop is None else stop, self.video):
            changed = changed.with_key(Keyframe(number, next(self._serial), nothing, *no_points()))
        self._replace(one, changed)

    def remove_prompt(self, object_id: int | str, frame: int) -> None:
        """Remove all prompts of an object on a frame. Raises ValueError if there are none."""
        one = self._object(object_id)
        if one.key(frame) is None:
            raise ValueError(
                f"remove_prompt: expected a frame with a prompt of object {object_id}, got {frame}; "
                f"there are {[key.frame for key in one.keys]}"
            )
        self._replace(one, one.without_key(frame))

    def undo(self) -> bool:
        """Undo the last action (prompt, mark_absent, remove_prompt, add or remove an object); False if there is none.

        Restores the masks from before that action without computing anything again.
        """
        return self._history.undo()

    def redo(self) -> bool:
        """Redo the action undone last; False if there is none."""
        return self._history.redo()

    # Everything that follows from the entries.

    @property
    def objects(self) -> dict[int, str]:
        """Object id -> name."""
        return {one.id: one.name for one in self._state}

    @property
    def cuts(self) -> list[int]:
        """Frames on which a new shot begins."""
        self._cuts = find_cuts(self.video) if self._cuts is None else self._cuts
        return self._cuts

    @cuts.setter
    def cuts(self, cuts: Iterable[int]) -> None:
        """Set cuts found elsewhere. Frames that are walked from now on use them, also in walks under way."""
        self._cuts = [] if self._cuts is None else self._cuts
        self._cuts[:] = sorted(set(cuts))

    def keyframes(self, object_id: int | str) -> list[int]:
        """Keyframes of an object: the frames on which you prompted it or marked it absent."""
        return [key.frame for key in self._object(object_id).keys]

    def keyframe(self, object_id: int | str, frame: int) -> Keyframe | None:
        """The keyframe of an object on a frame; None if there is none."""
        return self._object(object_id).key(frame)

    def propagate(
        self,
        start: int = 0,
        stop: int | None = None,
        *,
        direction: Direction = "both",
        progress: Progress | bool | None = None,
    ) -> Masks:
        """Follow all objects from their keyframes. Only masks that are not known yet are computed.

        Args:
            start, stop: follow the objects on frames start..stop-1; by default on all.
            direction: "forward" follows objects only from earlier keyframes, "backward" only from later ones.
            progress: called with the number of masks done since the last call (`steps_left`), which may be 0. True shows a bar.

        Returns:
            Masks of these frames. Where an object's mask is not known, the object counts as absent.

        Raises:
            ValueError: no object has a prompt, or the video does not have these frames.
        """
        frames = checked_range(start, stop, self.video)
        if direction not in ("forward", "backward", "both"):
            raise ValueError(f"direction: expected forward, backward or both, got {direction!r}")
        if not any(one.keys for one in self._state):
            raise ValueError("propagate: expected an object with a prompt; add one and prompt it first")
        if missing := self._schedule.missing(self._state, frames, direction):
            with progress_of(progress, self._schedule.steps(missing, frames), "following") as step:
                self._schedule.walk(missing, self._state, frames, self.cuts, step or (lambda done: None))
        return self.masks(frames.start, frames.stop)

    def steps_left(self, start: int = 0, stop: int | None = None, direction: Direction = "both") -> int:
        """The masks, each of one object, that `propagate` would compute; corrected ones count twice."""
        frames = checked_range(start, stop, self.video)
        return self._schedule.steps(self._schedule.missing(self._state, frames, direction), frames)

    def reached(self) -> dict[Side, int]:
        """How many frames of each side of the objects are known, in its order; `propagate` adds to them."""
        return self._schedule.reached(self._state)

    def masks(self, start: int = 0, stop: int | None = None) -> Masks:
        """The masks known so far of frames start..stop-1. Computes nothing. ValueError if the video lacks these frames.

        A correction reaches other frames with `propagate`; before, their masks are as they were.
        """
        frames = checked_range(start, stop, self.video)
        # Between objects with equal scores, the one prompted last gets a pixel.
        objects = sorted(self._state, key=lambda one: -max([0, *(key.serial for key in one.keys)]))
        w, h = self.video.wh
        masks = torch.zeros(len(frames), len(objects), h, w, dtype=torch.bool)
        scores = torch.zeros(len(frames), len(objects))
        for column, one in enumerate(objects):
            for frame, found in self._schedule.known(one, frames):
                masks[frame - frames.start, column] = found.mask
                scores[frame - frames.start, column] = found.score
        ids = torch.tensor([one.id for one in objects], dtype=torch.int64)
        result = Masks(masks, ids, scores, frames.start, self.video.fps, tuple(one.name for one in objects))
        result = result.with_times(self.video.times[frames.start : frames.stop])
        return (result.exclusive() if self.exclusive else result).select(ids.argsort())

    def mask(self, object_id: int | str, frame: int) -> Tensor | None:
        """(h, w) bool of one object on one frame, as computed; None if it is not known."""
        one, frame = self._object(object_id), checked_frame(frame, self.video)
        return next((found.mask for _, found in self._schedule.known(one, range(frame, frame + 1))), None)

    def quality(self, start: int = 0, stop: int | None = None) -> Tensor:
        """(t, o) in [0, 1]: how likely each mask needs no correction; NaN where no mask is known.

        A mask that you gave has quality 1; a mask from clicks or a box has the overlap that the segmenter predicts.

        Args:
            start, stop: frames start..stop-1; by default all.
        """
        return self._measures(checked_range(start, stop, self.video), 0)

    def scores(self, start: int = 0, stop: int | None = None) -> Tensor:
        """(t, o) in [0, 1]: expected overlap (IoU) of each mask with the true one; 0 where the object is absent, NaN if unknown.

        Takes the arguments of `quality`.
        """
        return self._measures(checked_range(start, stop, self.video), 1)

    def _measures(self, frames: range, which: int) -> Tensor:
        values = torch.full((len(frames), len(self._state)), torch.nan)
        for column, one in enumerate(self._state):
            for frame, *measured in self._schedule.measures(one, frames):
                values[frame - frames.start, column] = measured[which]
        return values

    def suggest_corrections(self, count: int = 5) -> list[Doubt]:
        """The frames where a correction would help most, worst first. No two of them lie side by side."""
        return worst(doubts_in(self.quality(), [one.id for one in self._state]), count)

    def save(self, path: str | Path) -> Path:
        """Write all prompts, their history, and the masks to one .npz file: all of now, 10,000 at most of other steps."""
        from pointtrack.sessions.files import write_session

        return write_session(path, self.video, self._history, self._schedule.to_save(self._history))

    def load(self, path: str | Path) -> None:
        """Replace this session with a saved one of the same video.

        A file holds masks, not the engine's state (some 200 MB): where an object was followed only in part, `propagate`
        starts over at the keyframe, and `steps_left` counts that.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file holds no session, or one of another video. The session is then unchanged.
        """
        from pointtrack.sessions.files import read_session

        history, results = read_session(path, self.video)
        serials = [key.serial for state in history.states for one in state for key in one.keys]
        self._history = history
        self._schedule = Schedule(self.video, self.engine, results)
        self._serial = itertools.count(1 + max(serials, default=0))

    # Internals.

    @property
    def _state(self) -> tuple[SessionObject, ...]:
        return self._history.state

    def _do(self, state: tuple[SessionObject, ...]) -> None:
        """Enter a new state. Drops the undone states, and the results that no state can reach any more."""
        drops = self._history.now + 1 < len(self._history.states)
        self._history.do(state)
        if not drops:
            return
        # States share the objects that did not change.
        objects = {id(one): one for known in self._history.states for one in known}.values()
        self._schedule.keep({side for one in objects for side in self._schedule.sides_of(one)})

    def _replace(self, one: SessionObject, new: SessionObject) -> None:
        """Enter a state with another version of an object."""
        self._do(tuple(new if other is one else other for other in self._state))

    def _object(self, object_id: int | str) -> SessionObject:
        """The object with that id, or with that name if only one has it."""
        named = [one for one in self._state if one.name == object_id]
        if object_id and len(named) == 1:
            return named[0]
        for one in self._state:
            if one.id == object_id:
                return one
        raise ValueError(
            f"object id: expected one of {list(self.objects)}, got {object_id!r}; add_object() makes a new one"
        )
