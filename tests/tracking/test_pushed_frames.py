"""Frames in every form that users have them in, in every stage; what is refused changes nothing."""

import numpy as np
import pytest
import torch

from pointtrack.pipeline.options import TrackOptions, build_stream
from pointtrack.regions.placement import RegionOptions
from pointtrack.states.stream import StateOptions
from pointtrack.tracking.looks import TwoLooks, _mirrored
from pointtrack.tracking.steady import SteadyStream
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks
from pointtrack.types.frames import pushed_frames
from tests.support.tracks import moving_video, same

WH = (64, 48)
FRAMES = moving_video(12, WH).frames
GREY = np.repeat(FRAMES[..., :1], 3, axis=-1)
POINTS = Queries([0, 1], [[30.0, 20.0], [12.5, 30.0]])
STAGES = {
    "window": lambda tracker: WindowStream(tracker, POINTS, WH),
    "steady": lambda tracker: SteadyStream(WindowStream(tracker, POINTS, WH)),
    "looks": lambda tracker: TwoLooks(
        WindowStream(tracker, POINTS, WH), WindowStream(tracker, _mirrored(POINTS, WH), WH)
    ),
    "states": lambda tracker: build_stream(tracker, POINTS, WH, options=TrackOptions(StateOptions(cuts=[]))),
    "regions": lambda tracker: build_stream(
        tracker, POINTS, WH, options=TrackOptions(regions=RegionOptions(wh=(24, 24)))
    ),
    "smooth": lambda tracker: build_stream(tracker, POINTS, WH, options=TrackOptions(smooth=2)),
}
FORMS = {
    "a list": (list, FRAMES),
    "a list of tensors": (lambda frames: [torch.from_numpy(frame) for frame in frames], FRAMES),
    "a tensor": (torch.from_numpy, FRAMES),
    "channels first": (lambda frames: np.ascontiguousarray(frames.transpose(0, 3, 1, 2)), FRAMES),
    "with alpha": (lambda frames: np.concatenate([frames, frames[..., :1]], axis=-1), FRAMES),
    "grey": (lambda frames: frames[..., :1], GREY),
    "grey pictures": (lambda frames: list(frames[..., 0]), GREY),
    "read only": (lambda frames: np.frombuffer(frames.tobytes(), np.uint8).reshape(frames.shape), FRAMES),
    "a view": (lambda frames: frames[..., ::-1].copy()[..., ::-1], FRAMES),
}


def tracked(stream, pieces) -> Tracks:
    return Tracks.concat([*(stream.push(piece) for piece in pieces), stream.finish()])


@pytest.fixture
def plain(tiny_tracker):
    """Function (stage, frames) -> their tracks, pushed at once."""
    return lambda stage, frames: tracked(STAGES[stage](tiny_tracker), [frames])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("stage", STAGES)
def test_streams_take_a_list_of_frames_and_frames_of_other_kinds(tiny_tracker, plain, stage):
    """One piece after the other, of which each has another form."""
    for frames in (FRAMES, GREY):
        forms = [form for form, given in FORMS.values() if given is frames]
        ends = np.linspace(0, len(frames), len(forms) + 1).round().astype(int)
        pieces = [
            form(frames[start:end]) for form, start, end in zip(forms, ends[:-1], ends[1:], strict=True)
        ]
        found = tracked(STAGES[stage](tiny_tracker), [pieces[0], [], FRAMES[:0], *pieces[1:]])
        assert same(found, plain(stage, frames))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", FORMS)
def test_frames_of_every_form_are_the_same_frames(name):
    form, frames = FORMS[name]
    assert np.array_equal(np.asarray(pushed_frames(form(frames), WH)), frames)


WRONG = [
    ([FRAMES[0], FRAMES[1][:20]], r"\(t, 48, 64, 3\).*got \(2, 20, 64, 3\)"),
    (FRAMES / 255.0, r"float64; its values lie in 0\.\.1: convert with \(frames \* 255\)\.round\(\)\.astype"),
    (torch.rand(2, 48, 64, 3), r"float32; its values lie in 0\.\.1: .*\.round\(\)\.byte\(\)"),
    (FRAMES[:, :20], r"got \(12, 20, 64, 3\)"),
    (None, r"expected shape \(h, w, 3\)"),
]


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stream_refuses_leaves_it_as_it_was(tiny_tracker, plain, stage):
    stream = STAGES[stage](tiny_tracker)
    parts = [stream.push(FRAMES[:6])]
    for wrong, message in WRONG:
        with pytest.raises(ValueError, match=message):
            stream.push(wrong)
        assert stream.frames_pushed == 6
    again = Tracks.concat([*parts, stream.push(FRAMES[6:]), stream.finish()])
    assert same(again, plain(stage, FRAMES))


@pytest.mark.parametrize("stage", STAGES)
def test_points_may_be_added_as_rows(tiny_tracker, stage):
    stream = STAGES[stage](tiny_tracker)
    stream.push(FRAMES[:6])
    with pytest.raises(
        ValueError, match=r"no point of the stream has, got \[0\]; give others, as in Queries"
    ):
        stream.add([(6, 20, 20)])
    stream.remove([0, 1])
    stream.add([(6, 20, 20)])
    rows = Tracks.concat([stream.push(FRAMES[6:]), stream.finish()])
    assert rows.queries.xy.tolist()[-1] == [20, 20]


def test_frames_on_a_device_stay_there():
    frames = torch.zeros(2, 48, 64, 3, dtype=torch.uint8, device="meta")
    assert pushed_frames(frames, WH) is frames
    assert pushed_frames(frames[0], WH).device.type == "meta"
