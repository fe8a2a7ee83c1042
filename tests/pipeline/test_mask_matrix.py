"""Masks in every mode, against one answer: the row of objects beside those of points in `test_matrix.py`."""

import numpy as np
import pytest
import torch

import pointtrack as pt
from pointtrack.io.live_reader import FrameReader
from pointtrack.io.mask_writers import GROWING, mask_writer
from pointtrack.io.masks import MASK_EXPORTS, load_masks, save_masks
from pointtrack.io.video import open_video
from pointtrack.objects.point_engine import PointEngine
from pointtrack.objects.stream import ObjectStream
from pointtrack.pipeline import sinks
from pointtrack.pipeline.run import run
from pointtrack.pipeline.sinks import MaskSink, VideoSink
from pointtrack.types import Masks, Video
from pointtrack.viz.masks import draw_masks
from pointtrack.viz.styles import MaskStyle
from tests.support.elsewhere import elsewhere
from tests.support.masks import assert_same
from tests.support.scenes import WH, ColourSegmenter, squares

FRAMES = 18
SCENE = squares([[(6 + 2 * t, 8 + t) for t in range(FRAMES)], [(60 - 2 * t, 40 - t) for t in range(FRAMES)]])
SHOTS = np.clip(
    SCENE.video.frames + np.random.default_rng(0).integers(-8, 9, SCENE.video.frames.shape), 0, 255
).astype(np.uint8)
VIDEO = Video(SHOTS, fps=10)
ANSWERS: list[Masks] = []
PROMPTS = {1: {"frame": 0, "points": [[14, 16]]}, 2: {"frame": 0, "points": [[68, 48]]}}


@pytest.fixture
def segmenter():
    sees = ColourSegmenter()
    sees.answers = (1,)
    return sees


@pytest.fixture
def answer(tiny_tracker, segmenter) -> Masks:
    """The one answer: in memory."""
    if ANSWERS:
        return ANSWERS[0]
    session = pt.ObjectSession(VIDEO, engine=PointEngine(tiny_tracker, segmenter), exclusive=False)
    for number, prompt in PROMPTS.items():
        session.add_object(object_id=number)
        session.prompt(number, **prompt)
    ANSWERS.append(session.propagate())
    return ANSWERS[0]


@pytest.fixture
def stream(tiny_tracker, segmenter) -> ObjectStream:
    stream = pt.Tracker(tiny_tracker).object_stream(WH, 10, segmenter=segmenter)
    for number, prompt in PROMPTS.items():
        assert stream.prompt(number, **prompt) is None
    return stream


@pytest.mark.parametrize("chunk", [1, *(pytest.param(chunk, marks=pytest.mark.long) for chunk in (3, 8))])
def test_stream(stream, answer, chunk):
    parts = [stream.push(frames) for frames in VIDEO.split(chunk)]
    assert sum(map(len, parts)) == FRAMES - stream.lag
    assert_same(Masks.concat([*parts, stream.finish()]), answer)
    assert answer.masks[1:].any((2, 3)).any(0).all()


def test_stream_of_frames_on_a_gpu(stream, answer):
    parts = [stream.push(elsewhere(torch.from_numpy(frames))) for frames in VIDEO.split(8)]
    assert_same(Masks.concat([*parts, stream.finish()]), answer)


def test_file_in_one_pass(stream, answer, tmp_path, monkeypatch):
    """What is drawn and written piece by piece is what would be drawn and written in the end."""
    drawn: list[np.ndarray] = []
    monkeypatch.setattr(sinks, "write_video", lambda path, video: drawn.extend(frame for frame, _ in video))
    source = open_video(VIDEO)
    pieces: list[Masks] = []
    with VideoSink(tmp_path / "never.mp4", source, MaskStyle()) as video:
        writers = [mask_writer(name, tmp_path / "a", source, stream.objects) for name in GROWING]
        appends = [writer.__enter__() for writer in writers]
        taken = [sinks.CallSink(pieces.append), video, *(MaskSink(append) for append in appends)]
        assert run(open_video(VIDEO), stream, taken) == FRAMES
        video.close()
        for writer in writers:
            writer.__exit__(None, None, None)
    assert max(map(len, pieces)) <= 12 and len(pieces) > 2
    assert_same(Masks.concat(pieces), answer)
    np.testing.assert_array_equal(np.stack(drawn), draw_masks(VIDEO, answer).frames)
    for name in ("npz", "coco"):
        assert_same(load_masks(tmp_path / f"a{MASK_EXPORTS[name]}"), answer)
    assert load_masks(tmp_path / "a_davis").masks.equal(answer.exclusive().masks)
    whole = save_masks(tmp_path / "whole.txt", answer)
    assert (tmp_path / "a_masks_mot.txt").read_text() == whole.read_text()
    assert pt.read_video(tmp_path / "a_cutout.webm").frames.shape[0] == FRAMES


def test_live(tiny_tracker, segmenter, answer):
    """With first answers frames are encoded in other batches, whose sums differ in the last bits."""
    final: list[Masks] = []
    reader = FrameReader(VIDEO, drop=False, pace=False)
    tracker = pt.Tracker(tiny_tracker)
    with tracker.live_objects(reader, PROMPTS, segmenter=segmenter, on_final=final.append) as live:
        results = list(live)
    assert [result.masks.first_frame for result in results] == list(range(FRAMES))
    assert all(result.lag <= 12 for result in results) and live.report().lag <= 12
    masks = Masks.concat(final)
    assert torch.isclose(masks.scores, answer.scores, atol=0.05).float().mean() > 0.9
    assert (masks.masks ^ answer.masks).float().mean() < 0.005
    assert results[0].masks.masks[0].equal(answer.masks[0])


def test_what_makes_no_sense_is_said(tiny_tracker, segmenter, stream):
    """Masks go forward alone where frames are seen once; and no mask may change once it is written."""
    with pytest.raises(TypeError, match="backward"):
        pt.Tracker(tiny_tracker).object_stream(WH, backward=True)
    for frames in VIDEO.split(8):
        stream.push(frames)
    with pytest.raises(
        ValueError, match="frame: expected [0-9]+ or later, as what lies before is final, got 1"
    ):
        stream.prompt(1, 1, points=[[14, 16]])


def test_a_run_that_breaks_off_leaves_no_file(tmp_path):
    source = open_video(VIDEO)
    for name in ("npz", "coco", "mot", "cutout"):
        with pytest.raises(ZeroDivisionError), mask_writer(name, tmp_path / "a", source, [1]) as append:
            piece = Masks(torch.ones(2, 1, WH[1], WH[0], dtype=torch.bool), fps=10)
            append(piece, [(VIDEO.frames[0], 0.0), (VIDEO.frames[1], 0.1)])
            raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
