"""Former masks that are wrong in a big way or recalled, and how pixels are picked."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pointtrack.segment.small_prompts import NEGATIVE, NOTHING, POSITIVE
from train.data.formers import as_cells, hardened, mistaken, recalled
from train.data.picking import draw_points, innermost
from train.data.prompts import SHARES, add_corrections, click_prompts, drawn_kinds, first_prompts


@pytest.fixture
def masks():
    """Two objects on frame 0, one on frame 1."""
    masks = torch.zeros(3, 96, 128, dtype=torch.bool)
    masks[0, 16:60, 8:56] = True
    masks[1, 20:64, 72:120] = True
    masks[2, 30:80, 30:90] = True
    return masks


FRAME = torch.tensor([0, 0, 1])


def generator():
    return torch.Generator().manual_seed(0)


def test_kinds_are_drawn_in_their_shares():
    assert sum(SHARES.values()) == pytest.approx(1)
    kinds = drawn_kinds(4000, generator())
    for name, share in SHARES.items():
        assert np.mean(kinds == name) == pytest.approx(share, abs=0.03), name


def test_mistaken_masks_are_wrong_in_a_big_way(masks):
    which = torch.tensor([0, 1, 2]).repeat_interleave(60)
    logits = mistaken(masks, FRAME, which, generator())
    assert logits.shape == (180, 24, 32)
    got, meant = logits > 0, as_cells(masks)[which] > 0.5
    right = (got & meant).sum(dim=(1, 2)) / (got | meant).sum(dim=(1, 2))
    assert 0.2 < right.mean() < 0.75 and (right < 0.8).float().mean() > 0.7
    area = meant.sum(dim=(1, 2))
    missed, extra = ((a & ~b).sum(dim=(1, 2)) / area for a, b in ((meant, got), (got, meant)))
    assert (missed > 0.3).float().mean() > 0.25 and (extra > 0.2).float().mean() > 0.25
    # The other object of the same frame leaks in whole, never that of another frame.
    whole = (got & (as_cells(masks)[1] > 0.5)).sum(dim=(1, 2)) / (as_cells(masks)[1] > 0.5).sum()
    assert (whole[:60] > 0.9).any()


def test_hardened_logits_keep_their_sides():
    logits = torch.randn(40, 5, 6, generator=generator())
    hard = hardened(logits, generator())
    assert ((hard > 0) == (logits > 0)).all()
    changed = (hard != logits).flatten(1).any(dim=1)
    assert changed.any() and not changed.all()


def test_memory_mixes_up_what_looks_alike(masks):
    thing, ground = torch.randn(2, 32, generator=generator())
    cells = F.avg_pool2d(masks[:, None].float(), 16)[:, 0] > 0.5
    shown = torch.stack([cells[0] | cells[1], cells[2]])[:, None]  # the two on frame 0 look alike
    looks = torch.where(shown, thing[:, None, None], ground[:, None, None])
    looks = looks + 0.3 * torch.randn(looks.shape, generator=generator())
    many = torch.tensor([0, 2]).repeat_interleave(30)
    logits, right = recalled(F.normalize(looks, dim=1), masks[many], FRAME[many], generator())
    assert logits.shape == (60, 24, 32) and logits.abs().max() <= 8
    assert right.shape == (60,) and right[30:].mean() > 0.5 > right[:30].min()
    share = (logits > 0).float()
    on_other = share[:30, 6:15, 19:29].mean()
    assert share[30:, 10:18, 10:20].mean() > 0.6, "an object that looks like nothing else is known again"
    assert on_other > 0.05 and share[30:, :4].mean() < on_other


def test_small_objects_and_strange_sizes_are_recalled():
    masks = torch.zeros(2, 96, 64, dtype=torch.bool)
    masks[0, 4:9, 4:9] = True
    looks = F.normalize(torch.randn(1, 8, 6, 4, generator=generator()), dim=1)
    logits, right = recalled(looks, masks, torch.zeros(2, dtype=torch.int64), generator())
    assert logits.shape == (2, 24, 16) and torch.isfinite(logits).all() and right[1] == 0


def test_corrections_of_wrong_masks_say_what_is_wrong(masks):
    many, frame = masks.repeat(30, 1, 1), FRAME.repeat(30)
    asked = first_prompts(many, frame, generator(), only="corrected")
    assert asked.has_former.all()
    got = F.interpolate(asked.former[:, None], scale_factor=4.0, mode="bilinear")[:, 0] > 0
    x, y = asked.points.round().long().unbind(dim=-1)
    row = torch.arange(len(many))[:, None]
    meant, had = many[row, y, x], got[row, y, x]
    assert meant[asked.kinds == POSITIVE].all() and not meant[asked.kinds == NEGATIVE].any()
    *wrong, right = asked.kinds[:, -4:].unbind(dim=1)
    assert (wrong[0] != NOTHING).all() and ((meant != had)[:, -4] | ~(many ^ got).any(dim=(1, 2))).all()
    counts = [float((kind != NOTHING).float().mean()) for kind in (*wrong, right)]
    assert counts[0] == 1 and 0.15 < counts[1] < 0.45 and counts[2] < 0.25 and 0.3 < counts[3] < 0.7
    assert had[:, -1][right == POSITIVE].all() and not (right == NEGATIVE).any()


def test_prompts_are_the_same_for_the_same_seed(masks):
    many, frame = masks.repeat(10, 1, 1), FRAME.repeat(10)
    looks = F.normalize(torch.randn(2, 8, 6, 8, generator=generator()), dim=1)
    a, b = (first_prompts(many, frame, generator(), looks) for _ in range(2))
    for name in ("points", "kinds", "former", "has_former"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name
    without = first_prompts(many, frame, generator())
    assert not torch.equal(a.former, without.former)


def test_one_object_and_any_kind(masks):
    for seed in range(30):
        asked = first_prompts(masks[:1], FRAME[:1], torch.Generator().manual_seed(seed))
        assert len(asked.points) == 1 and asked.points.shape[:2] == asked.kinds.shape
        add_corrections(asked, masks[:1], asked.former, masks[:1], None)


def test_points_are_drawn_as_ever(masks):
    """What a seed draws stays the same: the running sum of the weights at a share of its height."""
    weight = torch.rand(3, 7, 9, generator=generator())
    drawn = draw_points(weight, generator())
    share = torch.rand(3, 1, generator=generator(), dtype=torch.float64)
    total = (weight.flatten(1).double() + 1e-9).cumsum(dim=1)
    at = torch.searchsorted(total, total[:, -1:] * share)[:, 0]
    assert torch.equal(drawn, torch.stack([at % 9, at // 9], dim=1).float())


def test_innermost_with_many_threads(masks, monkeypatch):
    alone = innermost(masks)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert torch.equal(innermost(masks), alone) and len(innermost(masks[:0])) == 0
    assert torch.equal(click_prompts(masks, FRAME).points[:, 0], alone)
