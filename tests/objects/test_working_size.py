"""Masks of large frames are worked on at a smaller size; what goes in and comes out is of the frames' own."""

import numpy as np
import pytest
import torch

import pointtrack as pt
from pointtrack.objects import frame_buffer
from pointtrack.objects.answer import ObjectOptions
from pointtrack.objects.frame_buffer import FrameBuffer, working_wh
from pointtrack.objects.from_tracks import segment_tracks
from pointtrack.objects.stream import ObjectStream
from tests.support.scenes import WH
from tests.support.two_squares import SCENE, VIDEO, segmenter

BELIEVING = ObjectOptions(visible=-1.0, confident=-1.0)  # a tracker of random weights
LARGE_WH = (3 * WH[0], 3 * WH[1])
LARGE = VIDEO.frames.repeat(3, axis=1).repeat(3, axis=2)


@pytest.fixture(autouse=True)
def _few_pixels(monkeypatch):
    monkeypatch.setattr(frame_buffer, "MOST_PIXELS", WH[0] * WH[1])


def enlarged(masks: torch.Tensor) -> torch.Tensor:
    buffer = FrameBuffer(LARGE_WH)
    return torch.stack([torch.stack([buffer.enlarged(one) for one in row]) for row in masks])


def threefold(mask: torch.Tensor) -> torch.Tensor:
    return mask.repeat_interleave(3, -2).repeat_interleave(3, -1)


@pytest.mark.parametrize(
    ("wh", "inner"),
    [
        (WH, WH),
        (LARGE_WH, WH),
        ((1, 10**6), (1, 4 * WH[0] * WH[1])),
        ((WH[0] + 1, WH[1]), (WH[0], WH[1])),
    ],
)
def test_no_more_pixels_than_needed_and_of_the_same_shape(wh, inner):
    got = working_wh(wh)
    assert got[0] / got[1] == pytest.approx(inner[0] / inner[1], rel=0.03) or min(got) == 1
    assert (wh == WH and got == WH) or got[0] * got[1] < wh[0] * wh[1]


def test_masks_are_those_of_the_small_video_enlarged(tiny_tracker):
    small = ObjectStream(tiny_tracker, segmenter(), WH, VIDEO.fps, BELIEVING)
    large = ObjectStream(tiny_tracker, segmenter(), LARGE_WH, VIDEO.fps, BELIEVING)
    mask = SCENE.truth[0, 1]
    drawn = threefold(mask)
    drawn[3 * 40, 3 * 60] = ~drawn[3 * 40, 3 * 60]  # finer than the size that is worked on
    small.give(1, 0, mask)
    large.give(1, 0, drawn)
    small.learn(1, VIDEO.frames[5], SCENE.truth[5, 1])
    large.learn(1, LARGE[5], threefold(SCENE.truth[5, 1]))
    wanted = pt.Masks.concat([small.push(VIDEO.frames[:9]), small.finish()])
    parts = [large.push(LARGE[:8])]
    saved, large = large.state_dict(), ObjectStream(tiny_tracker, segmenter(), LARGE_WH, VIDEO.fps, BELIEVING)
    large.load_state_dict(saved)
    found = pt.Masks.concat([*parts, large.push(LARGE[8:9]), large.finish()])
    assert torch.equal(found.masks[0, 0], drawn), "a mask that was drawn stays as it is"
    assert torch.equal(found.masks[1:], enlarged(wanted.masks[1:])) and found.masks[1:].any()
    assert torch.equal(found.scores, wanted.scores)


def test_clicks_are_answered_at_the_size_of_the_frames(tiny_tracker):
    stream = ObjectStream(tiny_tracker, segmenter(), LARGE_WH, VIDEO.fps, BELIEVING)
    stream.push(LARGE[:2])
    shown = stream.prompt(1, 1, points=[[3 * 16, 3 * 17]])
    assert torch.equal(shown, threefold(SCENE.truth[1, 0]))


def test_tracks_become_masks_of_the_same_places(tiny_tracker):
    def tracks(scale: int) -> pt.Tracks:
        xy = torch.tensor([[[64.0 - 2 * t, 44.0 - t], [66.0 - 2 * t, 43.0 - t]] for t in range(4)])
        flat = torch.ones(4, 2)
        xy = (xy + 0.5) * scale - 0.5
        wh = (scale * WH[0], scale * WH[1])
        return pt.Tracks(xy, flat, flat, pt.Queries(torch.zeros(2, dtype=torch.int64), xy[0]), wh)

    small = segment_tracks(pt.Video(VIDEO.frames[:4]), tracks(1), segmenter(), config=BELIEVING)
    large = segment_tracks(pt.Video(LARGE[:4]), tracks(3), segmenter(), config=BELIEVING)
    assert torch.equal(large.masks, enlarged(small.masks)) and small.masks.any((2, 3)).all()


def test_a_mask_of_one_pixel_leaves_a_trace():
    buffer, mask = FrameBuffer(LARGE_WH), torch.zeros(LARGE_WH[::-1], dtype=torch.bool)
    assert not buffer.shrunk_mask(mask).any()
    mask[50, 61] = True
    assert buffer.shrunk_mask(mask).nonzero().tolist() == [[16, 20]]
    buffer.add(np.zeros((*LARGE_WH[::-1], 3), np.uint8))
    assert buffer[0].shape[:2] == WH[::-1] and buffer.full(0).shape[:2] == LARGE_WH[::-1]
