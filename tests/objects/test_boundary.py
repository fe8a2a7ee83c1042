"""Outlines on made-up pictures whose true masks are known: a coloured blob on ground of other colours."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pointtrack.objects.answer import Answer, ObjectOptions, grown
from pointtrack.objects.boundary import OutlineRules, _CutOut, learn_colours, refine_outline
from pointtrack.objects.frame_buffer import FrameBuffer
from pointtrack.objects.known_mask import tried_colours
from pointtrack.objects.object_points import ObjectPoints
from pointtrack.objects.point_prompts import KnownMask, overlap
from pointtrack.objects.propagator import ObjectPropagator

WH = (160, 120)
CENTRE = torch.tensor([[80.0, 60.0]])


def ellipse(x: int = 80, y: int = 60, radii: tuple[int, int] = (40, 24)) -> Tensor:
    """(h, w) bool."""
    picture = np.zeros((WH[1], WH[0]), np.uint8)
    cv2.ellipse(picture, (x, y), radii, 20, 0, 360, 1, thickness=-1)
    return torch.from_numpy(picture > 0)


def picture(
    truth: Tensor,
    colour: tuple[int, int, int] = (190, 80, 60),
    ground: tuple[int, int, int] = (60, 110, 90),
    seed: int = 0,
) -> np.ndarray:
    """(h, w, 3) uint8: a shape in one colour on ground of another, both with noise."""
    noise = np.random.default_rng(seed).normal(0, 12, (WH[1], WH[0], 3))
    return np.clip(np.where(truth[..., None], colour, ground) + noise, 0, 255).astype(np.uint8)


def moved(mask: Tensor, dx: int, dy: int) -> Tensor:
    return torch.roll(mask, (dy, dx), (0, 1))


ROUGH = {
    "moved": moved(ellipse(), 7, -5),
    "too small": ellipse(radii=(32, 17)),
    "too large": ellipse(radii=(50, 34)),
    "a circle": ellipse(radii=(32, 32)),
}


@pytest.mark.parametrize("coarse", ROUGH.values(), ids=ROUGH)
@pytest.mark.parametrize("known", [True, False])
def test_a_rough_mask_gets_the_true_outline(coarse, known):
    truth = ellipse()
    colours = learn_colours(picture(truth, seed=1), truth) if known else None
    refined = refine_outline(picture(truth), coarse, colours, inside=CENTRE)
    assert overlap(coarse, truth) < 0.85
    assert overlap(refined, truth) > 0.97


def test_colours_of_a_known_frame_tell_a_neighbour_apart():
    truth, neighbour = ellipse(65, 60, (22, 22)), ellipse(95, 60, (8, 8))
    frame = picture(truth)
    frame[neighbour] = picture(neighbour, (70, 60, 190))[neighbour]
    colours = learn_colours(picture(truth, seed=1), truth)
    # By its own colours, a mask that covers both is right as it is.
    assert refine_outline(frame, truth | neighbour)[neighbour].float().mean() > 0.9
    refined = refine_outline(frame, truth | neighbour, colours)
    assert refined[neighbour].float().mean() < 0.1
    assert overlap(refined, truth) > 0.97


def limbed() -> tuple[Tensor, Tensor, np.ndarray]:
    """A red body, its thin limb in the colour of half of the ground, and a frame with both."""
    body, limb = ellipse(50, 60, (22, 22)), torch.zeros(WH[1], WH[0], dtype=torch.bool)
    limb[56:64, 73:130] = True
    skin = (210, 160, 130)
    frame = picture(body | limb)
    frame[:45] = picture(torch.ones_like(limb), skin)[:45]
    frame[body] = picture(body)[body]
    frame[limb] = picture(limb, skin)[limb]
    return body, limb, frame


def test_a_thin_part_stays_though_its_colour_is_around_it_too():
    body, limb, frame = limbed()
    truth = body | limb
    colours, centre = learn_colours(frame, truth), CENTRE - torch.tensor([30, 0])
    assert refine_outline(frame, truth, colours, inside=centre)[limb].float().mean() < 0.1
    refined = refine_outline(frame, truth, replace(colours, thin=True), inside=centre)
    assert refined[limb].float().mean() > 0.95
    assert overlap(refined, truth) > 0.95


def test_an_object_that_keeps_no_thin_parts_is_told_as_if_it_had_no_colours():
    body, limb, _ = limbed()
    mask, rules = (body | limb).numpy(), OutlineRules()
    cut = _CutOut(mask, rules.reach, rules.cut_px)
    small, nothing = cut.reduce_mask(mask), np.zeros((0, 2), np.float32)
    asked = [
        cut.labels(small, CENTRE.numpy(), nothing, coloured, rules) for coloured in (None, small & False)
    ]
    assert np.array_equal(*asked)


def test_a_thin_part_in_a_colour_that_the_object_does_not_have_goes():
    body, limb, frame = limbed()
    colours = replace(learn_colours(frame, body), thin=True)
    refined = refine_outline(frame, body | limb, colours, inside=CENTRE - torch.tensor([30, 0]))
    assert refined[limb].float().mean() < 0.1
    assert overlap(refined, body) > 0.95


def test_an_object_of_one_plain_colour_keeps_its_thin_parts():
    truth = ellipse(50, 60, (22, 22))
    truth[58:63, 71:130] = True
    frame = np.where(truth[..., None], (190, 80, 60), (60, 110, 90)).astype(np.uint8)
    colours = replace(learn_colours(frame, truth), thin=True)
    assert overlap(refine_outline(frame, truth, colours), truth) > 0.98


@pytest.mark.parametrize("limb_is_its_own", [True, False])
def test_the_way_that_suits_an_object_is_found_where_its_mask_is_known(limb_is_its_own, monkeypatch):
    """The segmenter takes the limb for a part of the object, rightly or wrongly."""
    body, limb, frame = limbed()
    spot = ellipse(50, 60, (8, 8))
    frame[spot] = picture(spot, (210, 160, 130))[spot]  # so that the limb's colour is one of the object's
    truth = body | limb if limb_is_its_own else body
    monkeypatch.setattr(
        "pointtrack.objects.known_mask.answer_points", lambda *_: Answer(body | limb, agrees=1.0)
    )
    colours = learn_colours(frame, truth)
    found = tried_colours(
        None, "the answer is known", frame, truth, colours, None, ObjectOptions(sharpen=True)
    )
    if limb_is_its_own:  # the answer is right as it is: outlines that are no better are left out
        assert found is None
    else:
        assert found is not None and not found.thin


@pytest.mark.parametrize("known_elsewhere", [True, False])
def test_colours_are_tried_beside_what_the_memory_makes_of_the_segmenter(known_elsewhere, monkeypatch):
    """A segmenter that is rough with points alone, and right with a memory: then outlines stay as it draws them."""
    truth = ellipse()
    frame = picture(truth)
    rough = grown(truth, 6)

    def answer(segmenter, embedding, evidence, config):
        inside = evidence.prior[truth].mean() > 0 > evidence.prior[~grown(truth, 30)].mean()
        return Answer(truth if inside else rough, agrees=1.0)

    monkeypatch.setattr("pointtrack.objects.known_mask.answer_points", answer)
    config = ObjectOptions(sharpen=True)
    frames = FrameBuffer(WH)
    frames.add(frame)

    def looks(pixels):
        return F.avg_pool2d(torch.from_numpy(pixels).float().permute(2, 0, 1) - 128, 5)

    walker = ObjectPropagator(
        frames, None, ObjectPoints(frames, config.rules), {}, config, rivals=False, appearance=looks
    )
    walker.embedding(0, known="the answer is known")
    walker.begin(0, {1: KnownMask(0, truth)}, {1: [(frame, truth)]} if known_elsewhere else None)
    assert walker.states[1].sharpens is not known_elsewhere


def test_surroundings_may_change():
    truth = ellipse()
    colours = learn_colours(picture(truth, ground=(20, 30, 160)), truth)
    refined = refine_outline(picture(truth, ground=(150, 160, 90)), ROUGH["moved"], colours)
    assert overlap(refined, truth) > 0.97


def test_a_mask_on_a_plain_frame_is_not_destroyed():
    plain = np.full((WH[1], WH[0], 3), 90, np.uint8)
    for frame in (plain, picture(ellipse(), ground=(190, 80, 60))):
        for inside in (CENTRE, None):
            assert overlap(refine_outline(frame, ellipse(), inside=inside), ellipse()) > 0.5


def test_what_differs_too_much_is_not_believed():
    # By the colours of the object, there is only a speck of it under this large mask.
    speck = ellipse(radii=(6, 6))
    colours = learn_colours(picture(ellipse(), seed=1), ellipse())
    coarse = ellipse(radii=(45, 40))
    assert torch.equal(refine_outline(picture(speck), coarse, colours), coarse)


def test_points_are_kept_inside_and_outside():
    truth = ellipse()
    frame = picture(truth)
    colours = learn_colours(frame, truth)
    beside = torch.tensor([[80.0, 92.0]])
    assert not truth[92, 80]
    assert not refine_outline(frame, truth, colours, inside=CENTRE)[92, 80]
    assert refine_outline(frame, truth, colours, inside=torch.cat([CENTRE, beside]))[92, 80]
    assert not refine_outline(frame, truth, colours, inside=CENTRE, outside=torch.tensor([[55.0, 52.0]]))[
        52, 55
    ]


def test_only_pieces_with_a_point_remain():
    truth, twin = ellipse(50, 60, (20, 20)), ellipse(100, 60, (20, 20))
    frame = picture(truth | twin)
    coarse = truth | twin
    assert refine_outline(frame, coarse)[60, 100]
    assert not refine_outline(frame, coarse, inside=torch.tensor([[50.0, 60.0]]))[60, 100]


@pytest.mark.parametrize(
    "mask",
    [
        torch.zeros(WH[1], WH[0], dtype=torch.bool),
        torch.ones(WH[1], WH[0], dtype=torch.bool),
        torch.zeros(WH[1], WH[0]).index_put((torch.tensor([5]), torch.tensor([7])), torch.tensor(1.0)) > 0,
    ],
    ids=["empty", "full", "one pixel"],
)
def test_masks_without_an_outline_pass_through(mask):
    frame = picture(ellipse())
    colours = learn_colours(frame, ellipse())
    for known in (colours, None):
        refined = refine_outline(frame, mask, known, inside=CENTRE, outside=CENTRE + 30)
        assert refined.dtype == torch.bool and refined.shape == mask.shape
        assert bool(refined.any()) == bool(mask.any()) and bool(refined.all()) == bool(mask.all())


def test_no_colours_without_an_inside_or_surroundings():
    frame = picture(ellipse())
    assert learn_colours(frame, torch.zeros(WH[1], WH[0], dtype=torch.bool)) is None
    assert learn_colours(frame, torch.ones(WH[1], WH[0], dtype=torch.bool)) is None


def test_how_far_an_outline_moves_is_said_by_the_rules():
    truth = ellipse()
    frame, coarse = picture(truth), ROUGH["moved"]
    assert not torch.equal(refine_outline(frame, coarse), coarse)
    # All but an overlap of 1 is not believed.
    assert torch.equal(refine_outline(frame, coarse, rules=OutlineRules(least_overlap=1.0)), coarse)
    with pytest.raises(ValueError, match="outline core: expected a number above 0, got 0"):
        OutlineRules(core=0)


def test_the_same_again_and_nothing_given_is_changed():
    truth = ellipse()
    frame, coarse = picture(truth), ROUGH["moved"].clone()
    colours = learn_colours(frame, truth)
    before = frame.copy(), coarse.clone(), colours.mixture.copy()
    cv2.setRNGSeed(1)
    once = refine_outline(frame, coarse, colours)
    cv2.setRNGSeed(2)
    assert torch.equal(once, refine_outline(frame, coarse, colours))
    assert np.array_equal(learn_colours(frame, truth).mixture, colours.mixture)
    for now, then in zip((frame, coarse, colours.mixture), before, strict=True):
        assert np.array_equal(now, then)


def test_an_object_at_the_border_of_the_frame():
    truth = ellipse(4, 116)
    colours = learn_colours(picture(truth, seed=1), truth)
    coarse = ellipse(9, 112)
    refined = refine_outline(picture(truth), coarse, colours)
    assert overlap(refined, truth) > 0.96 > overlap(coarse, truth)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"frame": np.zeros((WH[1], WH[0]), np.uint8)}, "frame: expected one frame"),
        (
            {"mask": torch.ones(4, 5, dtype=torch.bool)},
            r"mask: expected bool of shape \(h, w\) = \(120, 160\)",
        ),
        ({"mask": torch.ones(WH[1], WH[0])}, "got torch.float32"),
        ({"inside": torch.zeros(2)}, "inside points"),
        ({"outside": torch.zeros(2, 3)}, "outside points"),
    ],
)
def test_what_does_not_fit_is_refused(change, error):
    given = {"frame": picture(ellipse()), "mask": ellipse(), **change}
    with pytest.raises(ValueError, match=error):
        refine_outline(**given)
