"""The classic ways to carry a mask, on a textured disk that moves over another texture."""

import cv2
import numpy as np
import pytest
import torch

from evaluation.masks.baselines import MASK_BASELINES, RestartedSession, mask_of_clicks, still
from evaluation.masks.clicks import Click
from evaluation.masks.davis_metrics import region_similarity
from evaluation.masks.protocol import FirstPrompt
from pointtrack.types import Video
from pointtrack.types.masks import Masks

WH = (128, 96)
FRAMES = 12


@pytest.fixture(scope="module")
def scene(textured):
    """Video, and the (t, h, w) true masks of a reddish disk that moves right by 3 pixels per frame."""
    ground, appearance = textured(WH, 1) // 2, textured((41, 41), 2) // 2
    appearance[..., 0] += 120
    ys, xs = np.mgrid[:41, :41] - 20
    disk = xs**2 + ys**2 <= 18**2
    frames, masks = [], np.zeros((FRAMES, WH[1], WH[0]), bool)
    for t in range(FRAMES):
        frame, corner = ground.copy(), 10 + 3 * t
        frame[30:71, corner : corner + 41][disk] = appearance[disk]
        masks[t, 30:71, corner : corner + 41] = disk
        frames.append(cv2.GaussianBlur(frame, (0, 0), 0.7))
    return Video(np.stack(frames), fps=10), masks


@pytest.mark.parametrize("name, lowest, highest", [("still", 0, 0.4), ("dis", 0.75, 1), ("grabcut", 0.85, 1)])
def test_moving_disk(scene, name, lowest, highest):
    video, truth = scene
    masks = MASK_BASELINES[name](video, {3: FirstPrompt(1, truth[1])})
    assert isinstance(masks, Masks) and masks.object_ids.tolist() == [3] and masks.fps == 10
    assert not masks.masks[0].any()  # before its first frame
    assert np.array_equal(masks.masks[1, 0], truth[1])
    assert lowest <= region_similarity(masks.masks[-3:, 0], truth[-3:]).mean() <= highest


@pytest.mark.parametrize("name", MASK_BASELINES)
def test_objects_do_not_depend_on_each_other(scene, name):
    video, truth = scene
    prompts = {1: FirstPrompt(0, truth[0]), 2: FirstPrompt(8, truth[8])}
    both = MASK_BASELINES[name](video, prompts)
    assert both.object_ids.tolist() == [1, 2] and not both.masks[:8, 1].any()
    for place, (object_id, prompt) in enumerate(prompts.items()):
        alone = MASK_BASELINES[name](video, {object_id: prompt})
        assert torch.equal(alone.masks[:, 0], both.masks[:, place])


def test_grabcut_takes_an_object_that_is_gone_for_absent(scene):
    video, truth = scene
    frames = video.frames.copy()
    frames[4:] = 90  # nothing to hold on to
    masks = MASK_BASELINES["grabcut"](Video(frames), {1: FirstPrompt(0, truth[0])})
    assert masks.present()[:4].all() and not masks.present()[4:].any()
    empty = MASK_BASELINES["grabcut"](video, {1: FirstPrompt(0, np.zeros_like(truth[0]))})
    assert not empty.present().any()


def test_masks_from_clicks(scene):
    video, truth = scene
    first = mask_of_clicks(video.frames[0], [Click(30, 50, True)])
    value = region_similarity(first[None], truth[:1])[0]
    assert value > 0.6 and first[50, 30]
    more = mask_of_clicks(
        video.frames[0], [Click(30, 50, True), Click(70, 50, False)], first | (truth[0] * 0 > 1)
    )
    assert not more[50, 70]
    assert np.array_equal(first, mask_of_clicks(video.frames[0], [Click(30, 50, True)]))  # no chance in it
    assert not mask_of_clicks(video.frames[0], [Click(30, 50, False)]).any()  # nothing to draw


def test_methods_start_from_clicks(scene):
    video, truth = scene
    masks = still(video, {1: FirstPrompt.of_clicks(2, [Click(36, 50, True)])})
    assert not masks.masks[:2].any() and masks.masks[2, 0, 50, 36]
    assert torch.equal(masks.masks[2], masks.masks[-1])


def test_restarted_session_holds_corrections(scene):
    video, truth = scene
    session = RestartedSession(still, video)
    session.click(1, 0, [Click(30, 50, True)])
    before = session.masks()
    assert torch.equal(before.masks[0], before.masks[11])
    session.click(1, 6, [Click(48, 50, True)])
    after = session.masks()
    assert torch.equal(after.masks[:6], before.masks[:6])  # what lies before the correction stays
    assert after.masks[6:, 0, 50, 48].all() and torch.equal(after.masks[6], after.masks[11])
    session.click(9, 3, [Click(39, 50, True)])
    third = session.masks()
    assert third.object_ids.tolist() == [1, 9] and not third.masks[:3, 1].any()
    assert torch.equal(third.masks[:, 0], after.masks[:, 0])
