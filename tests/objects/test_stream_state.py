"""A stream of objects that goes on from its state says, bit for bit, what the one that was not interrupted says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pointtrack.io.state_file import read_state, write_state
from pointtrack.objects.answer import ObjectOptions
from pointtrack.objects.object_state import ObjectState
from pointtrack.objects.stream import ObjectStream
from pointtrack.tracking.stream import saved
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries
from pointtrack.types.masks import Masks
from tests.support.elsewhere import elsewhere
from tests.support.masks import assert_same
from tests.support.scenes import WH, ColourSegmenter, noisy, squares

# Every point counts, and new ones are seeded often, so that there is much to be lost between two streams.
OPTIONS = ObjectOptions(visible=-1.0, confident=-1.0, reseed_below=40, reseed_every=1)
RED = [(6 + 2 * t, 8 + t) for t in range(10)] + [None] * 3 + [(50 - 2 * t, 36 - t) for t in range(11)]
BLUE = [(60 - 2 * t, 40 - t) for t in range(24)]
SCENE = squares([RED, BLUE])
VIDEO = noisy(SCENE)
CUT, PREVIEWED, CORRECTED, REMOVED = 17, 4, 5, 20
# Behind what is said; while red is gone; before the cut; once an object is removed.
SAVED = (0, CORRECTED, 12, CUT - 1, REMOVED)


class Red(ColourSegmenter):
    """Sees the whole of what has a colour."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = (1,)


def stream_of(tracker, options: ObjectOptions = OPTIONS, **more) -> ObjectStream:
    return ObjectStream(tracker, Red(), WH, VIDEO.fps, options, **more)


def say(stream: ObjectStream, frame: int) -> None:
    """What is said once this frame was pushed: points, masks, corrections, looks of elsewhere, absence, frames to come."""
    if frame == 0:
        stream.prompt(1, 0, points=[[14, 16]])
        stream.prompt(2, 0, mask=SCENE.truth[0, 1])
        stream.prompt(3, 15, points=[[5, 5]])
        stream.learn(2, VIDEO.frames[9], SCENE.truth[9, 1])
    if frame == PREVIEWED:
        stream.preview()
    if frame == CORRECTED:
        stream.prompt(1, CORRECTED, points=[[24, 21]])
        stream.prompt(1, CORRECTED, points=[[70, 50]], labels=[0])
    if frame == CUT - 1:
        stream.cut()
    if frame == REMOVED:
        stream.remove(3)


def walk(stream: ObjectStream, states: dict | None = None) -> dict[int, Masks]:
    """The rows that come behind each frame to the end; states are noted behind what is said."""
    rows = {}
    for frame in range(stream.frames_pushed, len(VIDEO)):
        rows[frame] = stream.push(VIDEO.frames[frame])
        say(stream, frame)
        if states is not None:
            states[frame] = stream.state_dict()
    rows[len(VIDEO)] = stream.finish()
    return rows


def same(one: object, other: object) -> bool:
    """Whether two states, or parts of them, are the same bit for bit."""
    if isinstance(one, torch.Tensor):
        equal = isinstance(other, torch.Tensor) and one.dtype == other.dtype and one.shape == other.shape
        return equal and bool(((one == other) | ((one != one) & (other != other))).all())
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and list(one) == list(other)
            and all(map(same, one.values(), other.values()))
        )
    if isinstance(one, (list, tuple)):
        return isinstance(other, type(one)) and len(one) == len(other) and all(map(same, one, other))
    return one == other


WALKS: dict[bool, tuple[dict, dict]] = {}


def whole_walk(tracker, finds_cuts: bool) -> tuple[dict[int, Masks], dict[int, dict]]:
    """Rows and states of a stream that is not interrupted, walked once for all tests; nobody changes them."""
    if finds_cuts not in WALKS:
        states: dict[int, dict] = {}
        WALKS[finds_cuts] = walk(stream_of(tracker, finds_cuts=finds_cuts), states), states
    return WALKS[finds_cuts]


def assert_goes_on(stream: ObjectStream, rows: dict[int, Masks], frame: int) -> None:
    assert stream.frames_pushed == frame + 1
    for number, piece in walk(stream).items():
        assert_same(piece, rows[number])


# Without a finder of cuts there is less in a state.
@pytest.mark.parametrize(
    ("frame", "finds_cuts"),
    [
        *(
            (frame, True) if frame >= 12 else pytest.param(frame, True, marks=pytest.mark.long)
            for frame in SAVED
        ),
        *(pytest.param(frame, False, marks=pytest.mark.long) for frame in SAVED),
    ],
)
def test_masks_after_a_state_are_those_of_the_whole_run(tiny_tracker, tmp_path, frame, finds_cuts):
    rows, states = whole_walk(tiny_tracker, finds_cuts)
    everything = Masks.concat(list(rows.values()))
    assert everything.object_ids.tolist() == [1, 2, 3]
    assert all(everything.masks[1:, o].any() for o in range(3)), "there is something to compare"
    read = read_state(write_state(tmp_path / "objects.state", states[frame]))
    again = stream_of(tiny_tracker, finds_cuts=finds_cuts)
    again.load_state_dict(read)
    assert same(again.state_dict(), states[frame]), "all of it was taken"
    assert_goes_on(again, rows, frame)


def test_a_state_in_memory_does_not_change_with_its_stream_and_serves_twice(tiny_tracker):
    rows, states = whole_walk(tiny_tracker, finds_cuts=True)
    for _ in range(2):
        again = stream_of(tiny_tracker)
        again.load_state_dict(states[16])
        assert_goes_on(again, rows, 16)


@pytest.mark.parametrize(
    "frame",
    [frame if frame in (12, REMOVED) else pytest.param(frame, marks=pytest.mark.long) for frame in SAVED],
)
def test_a_state_that_lies_on_a_gpu_is_gone_on_with(tiny_tracker, frame):
    rows, states = whole_walk(tiny_tracker, finds_cuts=True)
    again = stream_of(tiny_tracker)
    again.load_state_dict(elsewhere(states[frame]))
    assert_goes_on(again, rows, frame)


def test_an_answer_that_was_shown_is_corrected_after_a_state(tiny_tracker):
    """A click on what `preview` showed changes that mask, and not one that is made anew."""
    one, other = (stream_of(tiny_tracker) for _ in range(2))
    one.push(VIDEO.frames[0])
    one.prompt(1, 0, points=[[14, 16]])
    for frame in range(1, 8):
        one.push(VIDEO.frames[frame])
        shown = one.preview().masks
        if shown.any():
            break
    other.load_state_dict(one.state_dict())
    y, x = shown[0, 0].nonzero()[0].tolist()
    said = [stream.prompt(1, frame, points=[[x, y]], labels=[0]) for stream in (one, other)]
    assert said[0].equal(said[1]) and not said[0].equal(shown[0, 0])


def test_cuts_are_found_as_before(tiny_tracker):
    frames = np.concatenate([VIDEO.frames[:8], 255 - VIDEO.frames[8:12]])
    one, other = (stream_of(tiny_tracker) for _ in range(2))
    one.push(frames[:1])
    one.prompt(1, 0, points=[[14, 16]])
    one.push(frames[1:7])
    other.load_state_dict(one.state_dict())
    rows = [Masks.concat([stream.push(frames[7:]), stream.finish()]) for stream in (one, other)]
    assert_same(*rows)
    assert rows[0].masks[: 7 - rows[0].first_frame].any() and not rows[0].masks[-1].any()


def test_another_stream_or_file_is_refused(tiny_tracker, tmp_path):
    stream = stream_of(tiny_tracker)
    stream.push(VIDEO.frames[:3])
    state = stream.state_dict()
    points = WindowStream(tiny_tracker, Queries([0], [[9, 9]]), WH)
    of_points = read_state(write_state(tmp_path / "points.state", {"about": {}, "stream": saved(points)}))
    for other, what in ((of_points, "another kind of run"), (3, "int"), ({}, "dict")):
        with pytest.raises(
            ValueError, match=f"expected one of ObjectStream, format 1, got one of {what}; pass"
        ):
            stream_of(tiny_tracker).load_state_dict(other)
    with pytest.raises(ValueError, match="expected a new stream .* got one with 3 frames and 0 objects"):
        stream.load_state_dict(state)
    stream.finish()
    with pytest.raises(ValueError, match="before finish"):
        stream.state_dict()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"options": replace(OPTIONS, rounds=3)}, "options, rounds: 2 before, 3 now"),
        ({"finds_cuts": False}, "looks for cuts: True before, False now"),
        ({"exclusive": True}, "exclusive: False before, True now"),
    ],
)
def test_other_settings_are_told(tiny_tracker, change, words):
    state = stream_of(tiny_tracker).state_dict()
    with pytest.raises(
        ValueError, match=f"got other ones: {words}; make the stream as before, or begin anew"
    ):
        stream_of(tiny_tracker, **change).load_state_dict(state)


def test_other_networks_and_sizes_are_told(tiny_tracker):
    state = stream_of(tiny_tracker).state_dict()
    with torch.no_grad():
        tiny_tracker.head.bias.add_(1)
    with pytest.raises(ValueError, match="ones: tracker: not the same, though tiny again; make"):
        stream_of(tiny_tracker).load_state_dict(state)
    other = Red()
    other.name = "other"
    with pytest.raises(ValueError, match="segmenter: colours before, other now; .*: 80 x 60 before, 90 x 60"):
        ObjectStream(tiny_tracker, other, (90, 60), VIDEO.fps, OPTIONS).load_state_dict(state)


def test_a_state_that_was_saved_under_the_old_name_of_misses_is_read():
    state = ObjectState(misses={3: 2}).state_dict()
    old = {name: value for name, value in state.items() if name != "misses"} | {"max_misses": {3: 2}}
    for one in (state, old):
        assert ObjectState.from_state_dict(one, torch.device("cpu")).misses == {3: 2}
