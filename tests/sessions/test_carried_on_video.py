"""A correction on a real video: the swan, whose first mask includes its reflection in the water."""

import pytest
import torch

import pointtrack as pt
from evaluation.masks.clicks import next_click
from evaluation.masks.datasets import load_mask_examples
from pointtrack.objects.point_prompts import overlap

FRAMES = 5


@pytest.mark.long  # `test_carried.py` holds it on drawn scenes, `objects/test_corrections.py` clicks on real frames
def test_one_correction_makes_every_frame_better():
    """The frame of the first click too."""
    try:
        swan = next(one for one in load_mask_examples("davis_dev") if one.name.endswith("blackswan"))
    except FileNotFoundError as error:
        pytest.skip(f"needs the development videos: {error}")
    session = pt.ObjectSession(swan.video.clip(0, FRAMES), cuts=())
    truth = [torch.from_numpy(swan.true_mask(1, frame)) for frame in range(FRAMES)]
    first = next_click(truth[0].numpy())
    number, _ = session.prompt_new(0, points=[[first.x, first.y]])
    before = session.propagate().masks[:, 0]
    wrong = next_click(truth[2].numpy(), before[2].numpy())
    assert not wrong.positive
    session.prompt(number, 2, points=[[wrong.x, wrong.y]], labels=[False])
    after = session.propagate().masks[:, 0]
    gains = [
        overlap(new, true) - overlap(old, true) for new, old, true in zip(after, before, truth, strict=True)
    ]
    assert min(gains) > 0.02
