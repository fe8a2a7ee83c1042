"""What methods are told, and what an interactive user does with their answers."""

import numpy as np
import pytest
import torch

from evaluation.masks.clicks import Click
from evaluation.masks.datasets import MaskExample
from evaluation.masks.protocol import FirstPrompt, first_click_prompts, first_mask_prompts, interact, mask_of
from pointtrack.types import Video
from pointtrack.types.masks import Masks

FRAMES = 6


@pytest.fixture
def example():
    """Object 4 from frame 0, object 7 from frame 2; frame 5 is not annotated."""
    masks = np.zeros((FRAMES, 2, 40, 60), bool)
    for t in range(FRAMES):
        masks[t, 0, 5:16, 5 + t : 16 + t] = True
        masks[t, 1, 25:34, 30 + t : 39 + t] = t >= 2
    annotated = torch.tensor([1, 1, 1, 1, 1, 0], dtype=torch.bool)
    video = Video(np.zeros((FRAMES, 40, 60, 3), np.uint8))
    truth = Masks(torch.from_numpy(masks), torch.tensor([4, 7]))
    return MaskExample("x/y", video, truth, torch.tensor([0, 2]), annotated)


class Oracle:
    """A session that is right on frames where it was clicked, and empty elsewhere."""

    def __init__(self, truth, wrong_on=()):
        self.truth, self.wrong_on, self.clicked = truth, set(wrong_on), []

    def click(self, object_id, frame, clicks):
        assert all(isinstance(click, Click) for click in clicks)
        self.clicked.append((object_id, frame))

    def masks(self):
        masks = torch.zeros_like(self.truth.masks)
        for place, object_id in enumerate(self.truth.object_ids.tolist()):
            for frame in range(len(masks)):
                if (object_id, frame) in self.clicked and frame not in self.wrong_on:
                    masks[frame, place] = self.truth.masks[frame, place]
        return Masks(masks, self.truth.object_ids)


def test_first_masks(example):
    prompts = first_mask_prompts(example)
    assert {object_id: prompt.frame for object_id, prompt in prompts.items()} == {4: 0, 7: 2}
    assert np.array_equal(prompts[7].mask, example.truth.masks[2, 1].numpy())


def test_first_clicks_ask_about_the_first_frame_alone(example):
    requested = []

    def method(video, prompts):
        ((object_id, prompt),) = prompts.items()
        requested.append((object_id, len(video), prompt.frame, prompt.labels.tolist()))
        return Masks(torch.ones(1, 1, 40, 60, dtype=torch.bool), torch.tensor([object_id]))

    prompts = first_click_prompts(method, example, 3)
    assert prompts[4].frame == 0 and prompts[7].frame == 2
    assert prompts[7].points[0].tolist() == [36.0, 29.0] and prompts[7].labels.tolist() == [
        True,
        False,
        False,
    ]
    assert requested == [(o, 1, 0, labels) for o in (4, 7) for labels in ([True], [True, False])]


def test_interactive_user_repairs_the_worst_frames(example):
    session = Oracle(example.truth)
    rounds, masks = interact(example, session, target=1.0, most_clicks=10)
    # 5 annotated frames of object 4, 3 of object 7; frame 5 is never looked at.
    assert [r.clicks for r in rounds] == [2, 3, 4, 5, 6, 7, 8]
    assert sorted(session.clicked) == [(4, t) for t in range(5)] + [(7, t) for t in (2, 3, 4)]
    assert rounds[0].jf == pytest.approx((1 / 5 + 1 / 3) / 2)
    assert all(a.jf < b.jf for a, b in zip(rounds, rounds[1:], strict=False)) and rounds[-1].jf == 1
    assert (rounds[-1].object_id, rounds[-1].frame) == session.clicked[-1]
    assert torch.equal(masks.masks[:5], example.truth.masks[:5])


@pytest.mark.parametrize("target, most, clicks", [(0.5, 10, 5), (1.0, 3, 6), (1.0, 1, 2)])
def test_interactive_user_stops(example, target, most, clicks):
    rounds, _ = interact(example, Oracle(example.truth), target, most)
    assert rounds[-1].clicks == clicks


def test_interactive_user_clicks_again_on_a_bad_frame(example):
    session = Oracle(example.truth, wrong_on=[0])
    rounds, _ = interact(example, session, 1.0, 3)
    assert session.clicked.count((4, 0)) == 5  # 2 clicks at first, then 4 more on what stays worst
    assert len({(r.click.x, r.click.y) for r in rounds[1:]}) == 4


def test_objects_that_an_answer_lacks_are_empty(example):
    assert not mask_of(example.truth, 99, 0).any()
    assert mask_of(example.truth, 7, 3).sum() == 81


def test_mistakes_are_named(example):
    mask, points = np.zeros((4, 5), bool), torch.zeros(2, 2)
    for parts in ((None, None, None), (mask, points, torch.ones(2)), (None, points, None)):
        with pytest.raises(ValueError, match="prompt: expected a mask, or points"):
            FirstPrompt(0, *parts)
    with pytest.raises(ValueError, match="prompt labels"):
        FirstPrompt(0, None, points, torch.ones(3))
    for target, most in ((0, 3), (1.5, 3), (0.8, 0)):
        with pytest.raises(ValueError, match="interactive: expected"):
            interact(example, Oracle(example.truth), target, most)
    unknown = MaskExample(
        "x/y", example.video, example.truth, example.first_frames, torch.zeros(FRAMES, dtype=torch.bool)
    )
    with pytest.raises(ValueError, match="annotated frames to look at"):
        interact(unknown, Oracle(example.truth), 0.8, 3)
