"""SAM 2, EdgeTAM and the tracker of SAM 3 behind one engine, each against the library's own inference."""

import pytest
import torch

from pointtrack.objects.point_prompts import KnownMask
from pointtrack.objects.video_engine import load_video_engine
from pointtrack.segment import Prompt, load_segmenter
from tests.support.noise_video import LEFT, RIGHT, make_video
from tests.support.sam2_library import library_answer, library_walk
from tests.support.tiny_sam import VIDEO_SETTINGS, draw_weights

transformers = pytest.importorskip("transformers", reason="SAM models need the extra `sam`")
CLASSES = {
    "sam2_video": "Sam2Video",
    "edgetam_video": "EdgeTamVideo",
    "sam3_tracker_video": "Sam3TrackerVideo",
}
VIDEO = make_video(8)


@pytest.fixture(scope="module", params=CLASSES)
def kind(request):
    if not hasattr(transformers, f"{CLASSES[request.param]}Model"):
        pytest.skip(f"this transformers has no {CLASSES[request.param]}")
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory):
    prefix = CLASSES[kind]
    config = getattr(transformers, f"{prefix}Config")(**VIDEO_SETTINGS[kind]())
    model = getattr(transformers, f"{prefix}Model")(config)
    draw_weights(model, seed=4)
    model.mask_decoder.pred_obj_score_head.proj_out.bias.data += 8  # objects are there
    path = tmp_path_factory.mktemp(kind)
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def engine(folder):
    return load_video_engine(folder, device="cpu")


@pytest.mark.parametrize("frames", [range(1, 8), range(2, -1, -1)])
def test_same_as_the_library_on_every_frame(kind, engine, frames):
    start = frames.start - frames.step
    known = {7: [KnownMask(start, LEFT)], 2: [KnownMask(start, RIGHT)]}
    theirs = library_walk(engine._model, VIDEO, known, frames, kind)
    for frame, found in zip(frames, engine.walk(VIDEO, known, frames), strict=True):
        for at, one in enumerate(found.values()):
            expected = theirs.logits[frame][at] > 0
            assert torch.equal(one.mask, expected) and expected.any() and not expected.all()
            there = float(theirs.present[frame][at].sigmoid())
            assert one.score == pytest.approx(there * float(theirs.overlaps[frame][at].clamp(0, 1)))


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(points=[[11, 7]]),
        Prompt(points=[[11, 7], [40, 30]], labels=[1, 0]),
        Prompt(box=[4, 3, 28, 19]),
        Prompt(points=[[11, 7]], box=[4, 3, 28, 19]),
    ],
)
def test_clicks_and_boxes_are_answered_as_by_the_library(kind, engine, prompt):
    expected, overlap = library_answer(engine._model, VIDEO, 5, prompt, kind)
    found = engine.answers(VIDEO, 5, prompt)
    assert torch.equal(found[0].mask, expected) and expected.any()
    assert found[0].score == pytest.approx(min(max(overlap, 0), 1), abs=1e-6)
    assert len(found) == (3 if len(prompt.points) == 1 and prompt.box is None else 1)
    assert torch.equal(engine.answer(VIDEO, 5, prompt).mask, expected)


def test_the_image_part_is_a_segmenter(folder):
    segmenter = load_segmenter(folder, device="cpu")
    answer = segmenter.decode(segmenter.encode(VIDEO.frames[0]), Prompt(points=[[11, 7]]))
    assert answer.logits.shape == (3, 36, 50)
