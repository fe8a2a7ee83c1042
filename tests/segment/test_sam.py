"""Our preparation around SAM, SAM-HQ and SAM 2 against the library's, on the same random weights.

The library prepares pictures for SAM 2 with torchvision alone, which is not installed here: that part is
computed in this file with Pillow, NumPy and OpenCV. Points and boxes come from the library's processor.
"""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from pointtrack.segment import Prompt, Segmenter, load_segmenter

KINDS = ("sam", "sam_hq", "sam2")
SIDE, LOW = 64, 16  # of the tiny models
LANDSCAPE = (50, 36)


@pytest.fixture(scope="module")
def segmenters(tiny_sam):
    return {kind: load_segmenter(tiny_sam[kind].folder, device="cpu") for kind in KINDS}


def low_logits():
    return torch.randn(LOW, LOW, generator=torch.Generator().manual_seed(5)) * 4


PROMPTS = {
    "point": {"points": [[11.0, 7.5]]},
    "points": {"points": [[11, 7], [30, 12.25], [2, 20]], "labels": [1, 0, 1]},
    "box": {"box": [4, 3, 28, 19]},
    "points and box": {"points": [[11, 7], [30, 12]], "labels": [1, 0], "box": [4, 3, 28, 19]},
    "mask": {"mask_logits": low_logits()},
    "point and mask": {"points": [[11, 7]], "labels": [0], "mask_logits": low_logits()},
}


def of_the_library(tiny, kind, frame, prompt, several):
    """Logits (m, h, w), scores (m,) and low logits (m, h', w'), everything from pixels on."""
    h, w = frame.shape[:2]
    requested = {}
    if len(prompt.points):
        requested["input_points"] = [[prompt.points.tolist()]]
        requested["input_labels"] = [[prompt.labels.int().tolist()]]
    if prompt.box is not None:
        requested["input_boxes"] = [[prompt.box.tolist()]]
    if kind == "sam2":
        inputs = {"pixel_values": pixels_for_sam2(frame)}
        if requested:
            inputs |= dict(tiny.processor(**requested, original_sizes=[[h, w]], return_tensors="pt"))
    else:
        inputs = dict(tiny.processor(images=Image.fromarray(frame), **requested, return_tensors="pt"))
    sizes = [inputs.pop(name, None) for name in ("original_sizes", "reshaped_input_sizes")]
    inputs = {name: x.float() if x.is_floating_point() else x for name, x in inputs.items()}
    if prompt.mask_logits is not None:
        inputs["input_masks"] = prompt.mask_logits[None, None]
    with torch.no_grad():
        answer = tiny.model(**inputs, multimask_output=several)
    low = answer.pred_masks[0, 0]
    if kind == "sam2":
        logits = torch.from_numpy(np.stack([cv2.resize(mask, (w, h)) for mask in low.numpy()]))
    else:
        pictures = tiny.processor.image_processor
        logits = pictures.post_process_masks(answer.pred_masks, *sizes, binarize=False)[0][0]
    return logits, answer.iou_scores[0, 0], low


def pixels_for_sam2(frame):
    small = np.asarray(Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    normal = (small / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return torch.from_numpy(normal.transpose(2, 0, 1)[None].astype(np.float32))


@pytest.mark.parametrize("several", [True, False])
@pytest.mark.parametrize("requested", PROMPTS)
@pytest.mark.parametrize("kind", KINDS)
def test_same_masks_as_the_library(tiny_sam, segmenters, frame_of, kind, requested, several):
    frame, prompt = frame_of(LANDSCAPE), Prompt(**PROMPTS[requested])
    segmenter = segmenters[kind]
    ours = segmenter.decode(segmenter.encode(frame), prompt, several=several)
    logits, scores, low = of_the_library(tiny_sam[kind], kind, frame, prompt, several)
    assert ours.logits.shape == (3 if several else 1, 36, 50) and ours.low.shape[1:] == (LOW, LOW)
    torch.testing.assert_close(ours.low, low, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(ours.scores, scores, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(ours.logits, logits, rtol=1e-5, atol=1e-4)
    assert torch.equal(ours.masks, logits > 0)
    assert ours.logits.std() > 0.1


# Not made smaller for SAM 2: see test_frames_made_smaller_for_sam2.
@pytest.mark.parametrize(
    ("kind", "wh"),
    [
        *((kind, wh) for kind in KINDS for wh in [(36, 50), (64, 64), (64, 23), (7, 61)]),
        *((kind, wh) for kind in ("sam", "sam_hq") for wh in [(97, 64), (333, 500)]),
    ],
)
def test_frames_of_all_sizes(tiny_sam, segmenters, frame_of, kind, wh):
    frame, prompt = frame_of(wh), Prompt(points=[[3, 5], [5, 20]], labels=[1, 0], box=[2, 3, 6, 20])
    segmenter = segmenters[kind]
    ours = segmenter.decode(segmenter.encode(frame), prompt)
    logits, _, _ = of_the_library(tiny_sam[kind], kind, frame, prompt, several=True)
    torch.testing.assert_close(ours.logits, logits, rtol=1e-5, atol=1e-4)
    assert torch.equal(ours.masks, logits > 0)


@pytest.mark.parametrize("wh", [(480, 270), (333, 500)])
def test_frames_made_smaller_for_sam2(segmenters, frame_of, wh):
    """Pillow and torch round weights of many pixels differently: a value in fifty is another by 1 of 255."""
    ours = segmenters["sam2"]._pixels(frame_of(wh), (SIDE, SIDE))
    difference = (ours - pixels_for_sam2(frame_of(wh))).abs()
    assert difference.max() < 1.01 / 255 / 0.224
    assert (difference > 1e-5).float().mean() < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_matters(segmenters, frame_of, kind):
    """The tiny models answer to everything: else the comparisons above would show nothing."""
    segmenter = segmenters[kind]
    embedding = segmenter.encode(frame_of(LANDSCAPE))

    def logits(embedding=embedding, **requested):
        return segmenter.decode(embedding, Prompt(**requested)).logits

    before = logits(points=[[11, 7]], box=[4, 3, 28, 19])
    for after in (
        logits(points=[[12, 7]], box=[4, 3, 28, 19]),
        logits(points=[[11, 7]], labels=[0], box=[4, 3, 28, 19]),
        logits(points=[[11, 7]], box=[4, 3, 28, 20]),
        logits(points=[[11, 7]]),
        logits(points=[[11, 7]], box=[4, 3, 28, 19], mask_logits=low_logits()),
        logits(segmenter.encode(frame_of(LANDSCAPE, seed=1)), points=[[11, 7]], box=[4, 3, 28, 19]),
    ):
        assert (after - before).abs().mean() > 0.005, "fifty times what the comparisons allow"


@pytest.mark.parametrize("kind", KINDS)
def test_encode_once_decode_often(segmenters, frame_of, kind):
    segmenter = segmenters[kind]
    calls = []
    hook = segmenter.model.vision_encoder.register_forward_hook(lambda *_: calls.append(1))
    try:
        embedding = segmenter.encode(frame_of(LANDSCAPE))
        first = segmenter.decode(embedding, Prompt(points=[[11, 7]]))
        segmenter.decode(embedding, Prompt(box=[4, 3, 28, 19], mask_logits=first.low[first.best()]))
        again = segmenter.decode(embedding, Prompt(points=[[11, 7]]))
    finally:
        hook.remove()
    assert len(calls) == 1
    assert torch.equal(first.logits, again.logits), "a prompt leaves nothing behind in the embedding"


@pytest.mark.parametrize(
    ("kind", "wh", "grid_wh", "extent_wh"),
    [
        ("sam", (64, 32), (4, 2), (64, 32)),
        ("sam_hq", (128, 50), (4, 2), (128, 64)),
        ("sam", (33, 66), (2, 4), (33, 66)),
        ("sam", (40, 64), (3, 4), (48, 64)),
        ("sam2", (128, 50), (4, 4), (128, 50)),
    ],
)
def test_features_lie_over_the_frame(segmenters, frame_of, kind, wh, grid_wh, extent_wh):
    embedding = segmenters[kind].encode(frame_of(wh))
    assert embedding.features.shape == (32, grid_wh[1], grid_wh[0])
    assert embedding.wh == wh and embedding.extent_wh == pytest.approx(extent_wh)
    whole = embedding.parts[-1][0]
    assert torch.equal(embedding.features, whole[:, : grid_wh[1], : grid_wh[0]])


def test_sam2_keeps_three_sizes(segmenters, frame_of):
    parts = segmenters["sam2"].encode(frame_of(LANDSCAPE)).parts
    assert [part.shape[-1] for part in parts] == [16, 8, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_segmenter(segmenters, kind):
    segmenter = segmenters[kind]
    assert isinstance(segmenter, Segmenter)
    assert segmenter.device == torch.device("cpu") and segmenter.name == kind
    assert not any(weight.requires_grad for weight in segmenter.model.parameters())
    assert not segmenter.model.training


def test_a_frame_may_be_a_view(segmenters, frame_of):
    frame = frame_of(LANDSCAPE)
    prompt = Prompt(points=[[11, 7]])
    mirrored = segmenters["sam"].encode(frame[:, ::-1])
    copied = segmenters["sam"].encode(frame[:, ::-1].copy())
    decode = segmenters["sam"].decode
    assert torch.equal(decode(mirrored, prompt).logits, decode(copied, prompt).logits)


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_like_a_thread(segmenters, frame_of, kind):
    """So thin that its side would be rounded to nothing."""
    embedding = segmenters[kind].encode(frame_of((400, 2)))
    assert segmenters[kind].decode(embedding, Prompt(points=[[200, 1]])).logits.shape == (3, 2, 400)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_refused(segmenters, frame_of, kind):
    segmenter = segmenters[kind]
    with pytest.raises(ValueError, match="expected uint8 values 0..255, got float64"):
        segmenter.encode(frame_of(LANDSCAPE) / 255)
    embedding = segmenter.encode(frame_of(LANDSCAPE))
    for prompt, message in (
        (Prompt(points=[[36, 50]]), "within the 50 x 36 frame"),
        (Prompt(box=[0, 0, 36, 50]), "within the 50 x 36 frame"),
        (Prompt(mask_logits=torch.zeros(LOW, LOW + 1)), r"expected \(16, 16\)"),
    ):
        with pytest.raises(ValueError, match=message):
            segmenter.decode(embedding, prompt)
    other = segmenters["sam" if kind != "sam" else "sam2"]
    with pytest.raises(ValueError, match=f"expected one that {other.name} made, got one of {kind}"):
        other.decode(embedding, Prompt(points=[[1, 1]]))


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_same_masks_on_a_gpu(tiny_sam, segmenters, frame_of, kind):
    frame = frame_of(LANDSCAPE)
    on_gpu = load_segmenter(tiny_sam[kind].folder, device="cuda")
    embedding = on_gpu.encode(frame)
    assert embedding.features.is_cuda
    first = on_gpu.decode(embedding, Prompt(points=[[11, 7]]))
    again = on_gpu.decode(embedding, Prompt(points=[[11, 7]], mask_logits=first.low[0]))
    cpu = segmenters[kind].decode(
        segmenters[kind].encode(frame), Prompt(points=[[11, 7]], mask_logits=first.low[0].cpu())
    )
    assert (again.masks.cpu() == cpu.masks).float().mean() > 0.99
