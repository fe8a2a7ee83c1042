"""`ObjectStream`: frames go in, final masks come out, wherever the frames come from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointtrack.checks import array_of, checked_fps
from pointtrack.io.state_file import moved
from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.answer import ObjectOptions
from pointtrack.objects.engine import Found, ObjectResult, masks_of, prompted_result
from pointtrack.objects.frame_buffer import FrameBuffer
from pointtrack.objects.memory_only import tracker_features
from pointtrack.objects.object_points import ObjectPoints
from pointtrack.objects.point_prompts import KnownMask
from pointtrack.objects.propagator import ObjectPropagator, Sight
from pointtrack.objects.stream_prompts import StreamPrompts
from pointtrack.objects.stream_state import about_objects, check_state, found_from_state, found_state
from pointtrack.segment.base import Embedding, Prompt, Segmenter, check_frame, check_inside, checked_mask
from pointtrack.tracking.shots import CutFinder
from pointtrack.tracking.stream import described
from pointtrack.types.frames import pushed_frames
from pointtrack.types.masks import Masks


class ObjectStream:
    """Follows objects through frames that arrive in pieces of any size. The masks do not depend on the pieces.

    An object is absent before its first prompt; each prompt applies from its frame on, and corrections are not carried to
    other masks as in a session. The masks of an object do not depend on the other objects. Memory does not grow with the
    video: the stream holds the frames that are not final, a window of features, and for each object a bounded memory and
    every mask that you gave.

    A frame is final when the tracker's window behind it is complete; `lag` counts the frames that are not. The newest frame
    never is until the next one arrives, so that you can prompt on it. A stopped run can resume exactly: pass the
    `state_dict` to `load_state_dict` of a new stream with the same networks and options.

    Args:
        tracker: from `load_tracker`. With one that needs the whole video, no frame is final before `finish`.
        segmenter: from `load_segmenter`.
        image_wh: size of the frames as (width, height).
        fps: recorded in the masks; it changes nothing else.
        config: how points become masks.
        finds_cuts: look for cuts; otherwise only calls of `cut` mark them.
        exclusive: give every pixel to one object at most, the one with the highest score.

    Attributes:
        frames_pushed: number of frames taken in so far.
    """

    def __init__(
        self,
        tracker: PointTracker,
        segmenter: Segmenter,
        image_wh: tuple[int, int],
        fps: float = 30.0,
        config: ObjectOptions | None = None,
        *,
        finds_cuts: bool = True,
        exclusive: bool = False,
    ):
        self.exclusive = exclusive
        self.network, self.segmenter, self.config = tracker, segmenter, config or ObjectOptions()
        self._frames = FrameBuffer(image_wh, checked_fps(fps))
        self.image_wh, self.fps = self._frames.full_wh, self._frames.fps
        feed = ObjectPoints(self._frames, self.config.rules, tracker)
        self._propagator = ObjectPropagator(
            self._frames, segmenter, feed, {}, self.config, rivals=False, appearance=tracker_features(tracker)
        )
        self._cut_finder = CutFinder() if finds_cuts else None
        self._cuts: set[int] = set()  # on frames that are not final
        self._next = 0  # the frame that becomes final next
        self._unreturned: list[Found] = []  # results of earlier frames, from a push that refused a prompt
        # Masks given on frames that are not final, by frame and object; then masks in other frames, by object.
        self._given: defaultdict[int, dict[int, KnownMask]] = defaultdict(dict)
        self._elsewhere: defaultdict[int, list[Sight]] = defaultdict(list)
        self._prompts = StreamPrompts(self._propagator)
        self._previewed: tuple[int, Found] = (-1, {})
        self._networks: dict[str, str] | None = None  # their description in saved states, computed once

    def __repr__(self) -> str:
        """As `described`."""
        return described(self, len(self.objects), "object")

    @property
    def frames_pushed(self) -> int:
        """Number of frames taken in so far."""
        return self._frames.stop

    @property
    def lag(self) -> int:
        """Number of frames pushed whose final masks were not returned yet."""
        return self._frames.stop - self._next + len(self._unreturned)

    @property
    def earliest_frame(self) -> int:
        """The first frame on which you can still prompt."""
        return self._next

    @property
    def waiting(self) -> list[int]:
        """Frames with prompts that have not been pushed yet."""
        rows: list[tuple[int, dict[int, Any]]] = [*self._prompts.to_come.items(), *self._given.items()]
        return sorted({frame for frame, objects in rows if objects and frame >= self._frames.stop})

    @property
    def objects(self) -> list[int]:
        """Ids of all prompted objects, in order."""
        rows: list[dict[int, Any]] = [*self._given.values(), *self._prompts.to_come.values()]
        return sorted({*self._propagator.states, *(number for objects in rows for number in objects)})

    def prompt(
        self,
        object_id: int,
        frame: int,
        *,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        mask: Any = None,
    ) -> Tensor | None:
        """Prompt an object on a frame that is not final. The object begins there, or starts over.

        Clicks add to earlier clicks on the frame, and correct the mask that was given or that `preview` just showed there.

        Args:
            object_id: a number from 1 on; a new number adds an object.
            frame: number of the frame. A prompt on a frame not pushed yet waits for it.
            points, labels, box, mask: as in `ObjectSession.prompt`.

        Returns:
            (h, w) bool, the mask of the object on that frame; None if the frame has not been pushed yet.

        Raises:
            ValueError: the id is below 1, the frame is final, the prompt is empty or reaches outside the image, the box or
                mask is empty, the mask has another size, or the segmenter finds nothing at the prompt. For a frame not
                pushed yet, `push` raises this last error.
        """
        self._check(object_id, frame)
        if mask is not None:
            if points is not None or box is not None:
                raise ValueError("prompt: expected a mask, or points and a box; got both")
            given = checked_mask(mask, self.image_wh)
            self.give(object_id, frame, given)
            return given.clone()
        prompt = Prompt(points, labels, box)
        check_inside(prompt, self.image_wh)
        if frame < self._frames.stop:
            return self._answer(object_id, frame, prompt).clone()
        self._prompts.wait(object_id, frame, prompt)
        return None

    def mark_absent(self, object_id: int, frame: int) -> None:
        """Mark an object as absent on a frame; from there on its appearance is searched for. Raises what `prompt` raises."""
        self.give(object_id, frame, torch.zeros(self.image_wh[1], self.image_wh[0], dtype=torch.bool))

    def give(self, object_id: int, frame: int, mask: Tensor, score: float = 1.0) -> None:
        """Set the mask (h, w) bool of an object on a frame as it is; an empty mask means absent. Raises what `prompt` raises.

        Args:
            score: the expected overlap with the true mask; below 1 for a mask that no person drew.
        """
        self._check(object_id, frame)
        self._prompts.begin_anew(object_id)
        self._given[frame][object_id] = KnownMask(frame, mask, score)

    def learn(self, object_id: int, picture: np.ndarray, mask: Tensor) -> None:
        """Show an object's mask, (h, w) bool, in any frame (h, w, 3) of the video; the stream remembers how it looks there."""
        self._elsewhere[object_id].append((picture, mask))

    def remove(self, object_id: int) -> None:
        """Stop following an object. Rows that are not final yet leave it out. ValueError for an unknown id."""
        if object_id not in self.objects:
            raise ValueError(f"object id: expected one of {self.objects}, got {object_id!r}")
        for masks in self._given.values():
            masks.pop(object_id, None)
        self._elsewhere.pop(object_id, None)
        self._prompts.forget(object_id)
        self._previewed[1].pop(object_id, None)
        if object_id in self._propagator.states:
            self._propagator.remove(object_id)

    def cut(self) -> None:
        """Mark a cut at the frame pushed next. The stream has to find the objects again there."""
        self._cuts.add(self._frames.stop)

    def push(self, frames: np.ndarray | Tensor) -> Masks:
        """Take (t, h, w, 3) uint8 RGB frames, or a single (h, w, 3) one, and return the rows that are final now.

        Raises:
            ValueError: the frames have another size or type, the stream is finished, or the segmenter finds nothing at
                prompts that waited for these frames. In the last case the stream drops these prompts, takes the frames
                with all other prompts, and returns the rows with those of the next call.
        """
        refused: list[str] = []
        for frame in array_of(pushed_frames(frames, self.image_wh)):
            refused += self._take(np.array(frame))  # a copy, as a camera may reuse its memory
            self._unreturned += self._ready()
        if refused:
            raise ValueError("; ".join(refused))
        return self._rows()

    def push_results(self, frame: np.ndarray) -> Iterator[Found]:
        """As `push` with one frame, without a copy: yields the results of all objects, one final frame at a time.

        Each is computed when you ask for it. Take all of them before you push the next frame.
        """
        if refused := self._take(frame):
            raise ValueError("; ".join(refused))
        return self._ready()

    def preview(self) -> Masks:
        """First masks for the newest frame, at once. They may change until that frame becomes final.

        An object appears once the frame on which you prompted it is final, or next to be. Calling this does not change what
        `push` and `finish` return, up to rounding. Each call costs a window of tracking and one pass of the segmenter.

        Raises:
            ValueError: no frame was pushed yet, or the stream is finished.
        """
        if self._frames.ended or not self._frames.stop:
            raise ValueError("ObjectStream: expected preview after the first push and before finish")
        newest = self._frames.stop - 1
        found = self._propagator.preview(across_a_cut=any(cut <= newest for cut in self._cuts))
        for object_id, one in self._given.get(newest, {}).items():
            found[object_id] = prompted_result(one.mask, one.score)
        self._previewed = newest, found
        return self._masks(newest, [found])

    def finish(self) -> Masks:
        """End the stream and return all remaining rows; see `waiting` for prompts that came to nothing. ValueError the second time."""
        self._unreturned += self.finish_results()
        return self._rows()

    def finish_results(self) -> Iterator[Found]:
        """As `finish`, but yields the results of all objects frame by frame, each computed when you ask for it."""
        if self._frames.ended:
            raise ValueError("ObjectStream: expected finish once")
        self._frames.ended = True
        return self._ready()

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to continue exactly from here: tensors and plain values, for `torch.save`.

        It holds the frames that are not final, and does not grow with the video. `write_state` and `read_state` in
        `pointtrack.io.state_file` replace a file in one step and notice a damaged one. Raises ValueError after `finish`.
        """
        if self._frames.ended:
            raise ValueError("ObjectStream: expected state_dict before finish")
        elsewhere = {
            number: [(torch.from_numpy(np.array(picture)), mask) for picture, mask in shown]
            for number, shown in self._elsewhere.items()
        }
        return {  # some keys differ from the names here: the format of saved states stays
            "about": self._about(),
            "next": self._next,
            "unsaid": [found_state(found) for found in self._unreturned],
            "frames": self._frames.state_dict(),
            "walker": self._propagator.state_dict(),
            "cut_finder": self._cut_finder and self._cut_finder.state_dict(),
            "cuts": sorted(self._cuts),
            "given": {
                frame: {number: dict(vars(one)) for number, one in masks.items()}
                for frame, masks in self._given.items()
            },
            "elsewhere": elsewhere,
            "prompts": self._prompts.state_dict(),
            "previewed": (self._previewed[0], found_state(self._previewed[1])),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was called. Push the frames from `frames_pushed` on.

        On the same kind of machine, the masks equal those of the other stream bit for bit.

        Args:
            state: from a stream with the same networks, size and options. This stream must be new.

        Raises:
            ValueError: this stream was used, or the state is of another kind of stream or has other settings, which the
                message names.
        """
        if self._frames.stop or self._frames.ended or self.objects:
            raise ValueError(
                f"ObjectStream: expected a new stream to load a state into, got one with {self.frames_pushed} frames "
                f"and {len(self.objects)} objects; make another one with the same settings"
            )
        check_state(state, self._about())
        state = moved(state, "cpu")  # the propagator moves its parts to their devices
        self._frames.load_state_dict(state["frames"])
        self._propagator.load_state_dict(state["walker"], next(self.network.parameters()).device)
        if state["cut_finder"] is not None:
            self._cut_finder = CutFinder.from_state_dict(state["cut_finder"])
        self._next, self._cuts = state["next"], set(state["cuts"])
        self._unreturned = [found_from_state(found) for found in state["unsaid"]]
        for frame, masks in state["given"].items():
            self._given[frame] = {number: KnownMask(**one) for number, one in masks.items()}
        for number, shown in state["elsewhere"].items():
            self._elsewhere[number] = [(picture.numpy(), mask) for picture, mask in shown]
        self._prompts.load_state_dict(state["prompts"])
        frame, found = state["previewed"]
        self._previewed = frame, found_from_state(found)

    def know_embedding(self, frame: int, embedding: Embedding) -> None:
        """Pass the segmenter's embedding of a frame that is not final, if you have it, of the size `working_wh`."""
        self._propagator.embedding(frame, embedding)

    def _take(self, frame: np.ndarray) -> list[str]:
        """Take the next frame and the prompts that waited for it; returns an error message for each refused prompt."""
        if self._frames.ended:
            raise ValueError("ObjectStream: expected push before finish; make a new one for a new video")
        if check_frame(frame) != self.image_wh:
            raise ValueError(
                f"frames: expected {self.image_wh[0]} x {self.image_wh[1]}, got {check_frame(frame)}"
            )
        number = self._frames.stop
        self._frames.add(frame)
        if self._cut_finder is not None and self._cut_finder.push(frame):
            self._cuts.add(number)
        refused = []
        for object_id, prompt in self._prompts.to_come.pop(number, {}).items():
            try:
                self._answer(object_id, number, prompt)
            except ValueError as error:  # other objects are not affected
                refused.append(str(error))
        return refused

    def _ready(self) -> Iterator[Found]:
        """The results of frames that are final now."""
        while self._next < self._frames.stop - (not self._frames.ended):
            if self._next in self._cuts:
                self._cuts.discard(self._next)
                self._propagator.cut()
            given = self._given.pop(self._next, None)
            if given:
                self._propagator.begin(
                    self._next, given, {number: self._elsewhere.pop(number, []) for number in given}
                )
            if not self._propagator.ready(self._next):
                return
            found = self._propagator.step(self._next)
            self._next += 1
            yield found

    def _about(self) -> dict[str, str]:
        """The settings that another stream must share to continue from this one's state."""
        if self._networks is None:
            self._networks = about_objects(self.network, self.segmenter, self.config)
        return {
            **self._networks,
            "size of the frames": f"{self.image_wh[0]} x {self.image_wh[1]}",
            "frames per second": str(float(self.fps)),
            "looks for cuts": str(self._cut_finder is not None),
            "exclusive": str(self.exclusive),
        }

    def _check(self, object_id: int, frame: int) -> None:
        if isinstance(object_id, bool) or not isinstance(object_id, int) or object_id < 1:
            raise ValueError(f"object id: expected a whole number from 1 on, got {object_id!r}")
        if self._frames.ended or isinstance(frame, bool) or int(frame) != frame or frame < self._next:
            raise ValueError(
                f"frame: expected {self._next} or later, as what lies before is final, got {frame!r}"
            )

    def _answer(self, object_id: int, frame: int, prompt: Prompt) -> Tensor:
        """Answer a prompt on a frame that was pushed, and store the mask as given there."""
        shown: KnownMask | ObjectResult | None = self._given.get(frame, {}).get(object_id)
        if shown is None and self._previewed[0] == frame:
            shown = self._previewed[1].get(object_id)
        before = None if shown is None else shown.mask
        answer = self._prompts.answer(object_id, frame, prompt, before)
        self._given[frame][object_id] = KnownMask(frame, answer.mask, answer.score)
        return answer.mask

    def _rows(self) -> Masks:
        """The rows that became final since rows were last returned."""
        found, self._unreturned = self._unreturned, []
        return self._masks(self._next - len(found), found)

    def _masks(self, first: int, found: list[Found]) -> Masks:
        rows = masks_of(found, self.image_wh, first, self.fps)
        return rows.exclusive() if self.exclusive else rows
