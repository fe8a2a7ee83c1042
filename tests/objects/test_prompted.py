"""What clicks mean one after the other, asked of the segmenter that ships on a drawn scene."""

import numpy as np
import pytest
import torch

from pointtrack.objects.point_prompts import Shown
from pointtrack.objects.prompted import answer_prompt, answer_prompt_variously, honour_clicks
from pointtrack.segment.base import Prompt
from pointtrack.segment.zoo import load_segmenter

WH = (128, 96)
CLICKS, LABELS = [[40.0, 48.0], [70.0, 30.0], [52.0, 60.0]], [True, False, True]
BOX = [12.0, 20.0, 84.0, 78.0]


class Remembering:
    """Decodes each prompt once for all tests: they compare what is asked, and not whether the network says the same twice."""

    def __init__(self, segmenter):
        self._segmenter, self._known = segmenter, {}

    def __getattr__(self, name):
        return getattr(self._segmenter, name)

    def decode(self, embedding, prompt, **options):
        told = (prompt.points, prompt.labels, prompt.box, prompt.mask_logits)
        key = (id(embedding), *(None if x is None else x.numpy().tobytes() for x in told), *options.items())
        if key not in self._known:
            self._known[key] = self._segmenter.decode(embedding, prompt, **options)
        return self._known[key]


@pytest.fixture(scope="module")
def segmenter():
    return Remembering(load_segmenter("small", device="cpu"))


@pytest.fixture(scope="module")
def embedding(segmenter):
    """A grey disk and a brighter bar beside it on noise; what both have in common is that they touch."""
    frame = np.random.default_rng(3).integers(60, 90, (WH[1], WH[0], 3), dtype=np.uint8)
    y, x = np.mgrid[: WH[1], : WH[0]]
    frame[(x - 40) ** 2 + (y - 48) ** 2 < 26**2] += 90
    frame[20:76, 62:80] += 120
    return segmenter.look_closer(frame, segmenter.encode(frame))


@pytest.mark.parametrize(
    ("box", "corrects"), [pytest.param(None, False, marks=pytest.mark.long), (None, True), (BOX, False)]
)
def test_clicks_at_once_are_clicks_one_after_the_other(segmenter, embedding, box, corrects):
    before = torch.zeros(WH[1], WH[0], dtype=torch.bool)
    before[30:66, 24:90] = True
    before = before if corrects else None
    shown = None
    if box is not None:
        shown = Shown(0, answer_prompt(segmenter, embedding, Prompt(box=box)).mask)
    for count in range(1, len(CLICKS) + 1):
        prompt = Prompt(CLICKS[:count], LABELS[:count], box)
        step, at_once = (answer_prompt(segmenter, embedding, prompt, before, one) for one in (shown, None))
        assert torch.equal(step.mask, at_once.mask) and step.score == at_once.score
        best, *others = answer_prompt_variously(segmenter, embedding, prompt, before)
        assert len(others) == 2 and best.mask.any()
        if shown is not None and not LABELS[count - 1]:
            assert not (step.mask & ~shown.mask).any(), "a click beside the object adds nothing"
        for (column, row), label in zip(CLICKS[:count], LABELS, strict=False):
            assert bool(step.mask[int(row), int(column)]) is label
        shown = Shown(count, step.mask)


def test_a_click_far_from_what_it_corrects_begins_anew_and_the_next_one_corrects_that(segmenter, embedding):
    before = torch.zeros(WH[1], WH[0], dtype=torch.bool)
    before[2:12, 2:12] = True
    clicks, labels = [[40.0, 48.0], [16.0, 6.0]], [True, True]
    fresh = answer_prompt(segmenter, embedding, Prompt(clicks[:1], labels[:1])).mask
    one = answer_prompt(segmenter, embedding, Prompt(clicks[:1], labels[:1]), before).mask
    assert torch.equal(one, fresh)
    both = answer_prompt(segmenter, embedding, Prompt(clicks, labels), before, Shown(1, one)).mask
    assert torch.equal(both, answer_prompt(segmenter, embedding, Prompt(clicks, labels), before).mask)
    assert not (one & ~both).any(), "the second click is beside the mask that is corrected: it adds a piece"


def test_a_missing_part_near_by_is_added(segmenter, embedding):
    """A head, say, above a coat that was followed: what was right stays."""
    y, x = np.mgrid[: WH[1], : WH[0]]
    before = torch.from_numpy(((x - 40) ** 2 + (y - 48) ** 2 < 26**2) & (x < 44))
    prompt = Prompt([[70.0, 66.0]], [True])  # on the bar, 0.75 roots of the area of half of the disk away
    assert (before & ~answer_prompt(segmenter, embedding, prompt).mask).any()
    added = answer_prompt(segmenter, embedding, prompt, before).mask
    assert added[66, 70] and not (before & ~added).any()


def test_a_first_click_beside_the_object_waits_for_one_on_it(segmenter, embedding):
    """Alone it says nothing of where the object is, so both are asked at once."""
    clicks, labels = [CLICKS[1], CLICKS[0]], [False, True]
    calls = []

    class Listening:
        def __getattr__(self, name):
            return getattr(segmenter, name)

        def decode(self, embedding, prompt, **options):
            calls.append(prompt)
            return segmenter.decode(embedding, prompt, **options)

    answer = answer_prompt(Listening(), embedding, Prompt(clicks, labels))
    assert [len(prompt.points) for prompt in calls] == [2] and calls[0].mask_logits is None
    assert answer.mask[48, 40] and not answer.mask[30, 70]


def test_what_was_shown_is_held_to(segmenter, embedding):
    """The mask so far is told to the segmenter: another one gives another answer."""
    prompt = Prompt(CLICKS[:2], LABELS[:2])
    whole = torch.ones(WH[1], WH[0], dtype=torch.bool)
    little = torch.zeros_like(whole)
    little[44:52, 36:44] = True
    large, small = (
        answer_prompt(segmenter, embedding, prompt, None, Shown(1, one)).mask for one in (whole, little)
    )
    assert small.sum() < large.sum() and not (small & ~little).any()


def test_clicks_are_honoured_whatever_the_segmenter_says():
    logits = torch.full((40, 50), -6.0)
    logits[:, 25:] = 9.0
    points = torch.tensor([[5.0, 5.0], [45.0, 30.0], [8.0, 6.0], [49.0, 39.0]])
    labels = torch.tensor([True, False, False, False])
    bent = honour_clicks(logits, points, labels)
    assert (bent[points[:, 1].long(), points[:, 0].long()] > 0).tolist() == labels.tolist()
    assert torch.equal((bent > 0)[:, 20:30], (logits > 0)[:, 20:30]), "far from the clicks nothing changes"
    assert torch.equal(honour_clicks(logits, points[:0], labels[:0]), logits)
