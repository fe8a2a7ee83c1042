"""Our small segmenter: its network's parts, its files, and how frames and prompts reach it."""

import numpy as np
import pytest
import torch

from pointtrack.segment.base import Prompt, Segmenter
from pointtrack.segment.small import CLOSER, SmallSegmenter, load_small
from pointtrack.segment.small_network import SegmenterConfig, SegmenterNetwork
from pointtrack.segment.small_prompts import (
    BOX_END,
    BOX_START,
    NEGATIVE,
    NOTHING,
    POSITIVE,
    PromptBatch,
    draw_prompts,
)

TINY = SegmenterConfig(
    name="tiny-segmenter",
    input_side=96,
    width=16,
    heads=2,
    depth=1,
    decoder_depth=1,
    grow_channels=(8, 8, 4),
)


@pytest.fixture(scope="module")
def segmenter():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SmallSegmenter(SegmenterNetwork(TINY).eval().requires_grad_(False))


@pytest.fixture(scope="module")
def frame():
    return np.random.default_rng(0).integers(0, 255, (50, 90, 3), dtype=np.uint8)


def requested(points, kinds, frame=(0,), former=None, wh=(64, 64)):
    m = len(frame)
    hw = (wh[1] // 4, wh[0] // 4)
    return PromptBatch(
        torch.tensor(frame),
        torch.tensor(points, dtype=torch.float32).expand(m, -1, 2),
        torch.tensor(kinds).expand(m, -1),
        torch.zeros(m, *hw) if former is None else former,
        torch.tensor([former is not None] * m),
    )


def test_it_is_a_segmenter(segmenter):
    assert isinstance(segmenter, Segmenter)


@pytest.mark.parametrize(
    "prompt",
    [
        {"points": [[10, 20]]},
        {"points": [[10, 20], [89, 49]], "labels": [1, 0]},
        {"box": [5, 5, 60, 40]},
        {"points": [[0, 0]], "box": [5, 5, 60, 40], "labels": [0]},
    ],
)
def test_answers_have_the_size_of_the_frame(segmenter, frame, prompt):
    embedding = segmenter.encode(frame)
    assert embedding.wh == (90, 50) and embedding.features.shape == (16, 4, 6)
    several = segmenter.decode(embedding, Prompt(**prompt))
    one = segmenter.decode(embedding, Prompt(**prompt), several=False)
    assert several.logits.shape == (3, 50, 90) and several.low.shape == (3, 16, 24)
    assert one.logits.shape == (1, 50, 90)
    assert ((several.scores >= 0) & (several.scores <= 1)).all()
    again = segmenter.decode(embedding, Prompt(**prompt, mask_logits=several.low[1]))
    assert not torch.equal(again.logits, several.logits)


def test_every_part_of_a_prompt_counts(segmenter, frame):
    embedding = segmenter.encode(frame)
    prompts = [
        Prompt(points=[[10, 20]]),
        Prompt(points=[[10, 20]], labels=[0]),
        Prompt(points=[[60, 20]]),
        Prompt(points=[[10, 20]], box=[5, 5, 60, 40]),
        Prompt(points=[[10, 20]], box=[5, 5, 80, 40]),
        Prompt(points=[[10, 20]], mask_logits=torch.full((16, 24), 3.0)),
    ]
    logits = [segmenter.decode(embedding, prompt).logits for prompt in prompts]
    for i, a in enumerate(logits):
        assert all((a - b).abs().max() > 1e-4 for b in logits[:i])


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({"points": [[90, 20]]}, "within the 90 x 50 frame"),
        ({"box": [0, 0, 95, 40]}, "within the 90 x 50 frame"),
        ({"mask_logits": torch.zeros(50, 90)}, r"expected \(16, 24\)"),
    ],
)
def test_wrong_prompts_are_refused(segmenter, frame, prompt, message):
    with pytest.raises(ValueError, match=message):
        segmenter.decode(segmenter.encode(frame), Prompt(**prompt))


@pytest.mark.parametrize("hw", [(7, 300), (300, 7), (1, 1), (96, 96)])
def test_any_shape_of_frame(segmenter, hw):
    picture = np.zeros((*hw, 3), np.uint8)
    answer = segmenter.decode(segmenter.encode(picture), Prompt(points=[[0, 0]]))
    assert answer.logits.shape == (3, *hw) and answer.logits.isfinite().all()


def test_files_carry_the_config(segmenter, frame, tmp_path):
    path = tmp_path / "tiny.safetensors"
    segmenter.save(path, half=False)
    loaded = load_small(path, device="cpu")
    assert loaded.network.config == TINY and loaded.name == "tiny-segmenter"
    prompt = Prompt(points=[[10, 20]])
    a, b = (one.decode(one.encode(frame), prompt).logits for one in (segmenter, loaded))
    assert torch.equal(a, b)
    segmenter.save(path)
    assert load_small(path, device="cpu").network.encoder.widen.weight.dtype == torch.float32


def test_other_files_are_refused(tiny_tracker_file, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="expected a segmenter saved by pointtrack"):
        load_small(tiny_tracker_file)
    with pytest.raises(FileNotFoundError):
        load_small(tmp_path / "none.safetensors")
    monkeypatch.setattr("pointtrack.segment.small.SHIPPED_FILE", tmp_path / "shipped.safetensors")
    with pytest.raises(FileNotFoundError, match="pointtrack train --task segmenting"):
        load_small(tmp_path / "shipped.safetensors")


def test_the_default_network_fits_its_budget():
    with torch.device("meta"):
        network = SegmenterNetwork(SegmenterConfig())
    assert sum(p.numel() for p in network.parameters()) * 2 < 25e6  # bytes in float16


@pytest.mark.parametrize("width", [18, 190])
def test_configs_that_cannot_be(width):
    with pytest.raises(ValueError, match="segmenter width"):
        SegmenterConfig(width=width)


def test_prompts_are_drawn_where_they_are():
    generator = torch.Generator().manual_seed(0)
    levels = [
        torch.nn.functional.normalize(torch.randn(1, 64, 64 // s, 64 // s, generator=generator), dim=1)
        for s in (8, 16)
    ]
    former = torch.full((1, 16, 16), -2.0)
    former[0, 5, 6] = 2.0
    places = [[21.5, 9.5], [41.5, 37.5], [8, 4], [32, 40], [0, 0]]  # centres of cells (5, 2) and (10, 9)
    kinds = [POSITIVE, NEGATIVE, BOX_START, BOX_END, NOTHING]
    maps = draw_prompts(levels, (8, 16), requested(places, kinds, former=former))[0]
    positive, negative, box, boxed, told, known, *alike = maps
    for disk, (x, y) in ((positive, (5, 2)), (negative, (10, 9))):
        assert divmod(int(disk.argmax()), 16) == (y, x)
        assert disk[y, x] == pytest.approx(1.0, abs=1e-5)
    for like, (x, y) in zip(alike, [(5, 2), (10, 9)] * 2, strict=True):
        top, left = divmod(int(like.argmax()), 16)
        assert abs(top - y) <= 2 and abs(left - x) <= 2 and like[y, x] > 0.3
    assert positive[0, 0] < 0.05  # NOTHING draws nothing
    assert (box[2:9, 3:7] > 0.9).all() and box[:, 10:].sum() == 0 and box[12].sum() == 0
    assert (boxed == 1).all() and (known == 1).all()
    assert told[5, 6] > 0 > told[0, 0]


def test_empty_places_of_a_prompt_change_nothing(segmenter):
    frames = 255 * torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = segmenter.network.encoder(frames)
    short = segmenter.network.decoder(maps, requested([[20, 8]], [POSITIVE], frame=(1,)))
    padded = segmenter.network.decoder(
        maps, requested([[20, 8], [50, 40], [3, 3]], [POSITIVE, NOTHING, NOTHING], frame=(1,))
    )
    for a, b in zip(short, padded, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_prompts_of_several_frames_do_not_mix(segmenter):
    frames = 255 * torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = segmenter.network.encoder(frames)
    alone = segmenter.network.encoder(frames[1:])
    both, _, _ = segmenter.network.decoder(maps, requested([[20, 8]], [POSITIVE], frame=(0, 1, 1)))
    one, _, _ = segmenter.network.decoder(alone, requested([[20, 8]], [POSITIVE]))
    assert torch.allclose(both[1], one[0], atol=1e-4) and torch.equal(both[1], both[2])
    assert (both[0] - both[1]).abs().max() > 1e-3


def test_the_shipped_segmenter_finds_a_clear_thing():
    """A bright square with an outline on a dark ground, from a box: what it learnt must show on something so easy."""
    picture = np.full((240, 320, 3), 60, np.uint8)
    picture[80:160, 100:200] = (220, 180, 60)
    segmenter = load_small(device="cpu")
    embedding = segmenter.encode(picture)
    answer = segmenter.decode(
        embedding, Prompt(points=[[150, 120], [115, 95], [185, 145]], box=[99, 79, 201, 161])
    )
    mask = answer.masks[answer.best()].numpy()
    truth = np.zeros((240, 320), bool)
    truth[80:160, 100:200] = True
    assert (mask & truth).sum() / (mask | truth).sum() > 0.8


@pytest.mark.parametrize("kept", ["points", "box", "mask"])
def test_a_second_look_is_the_mean_of_two_answers(segmenter, frame, kept):
    """By hand: a segmenter with a larger input sees the mirrored frame and the mirrored prompt."""
    larger = SmallSegmenter(segmenter.network)
    larger._inner_wh = lambda wh, scale=1.0: SmallSegmenter._inner_wh(segmenter, wh, scale * CLOSER)
    plain = segmenter.encode(frame)
    closer = segmenter.look_closer(frame, plain)
    assert segmenter.look_closer(frame, closer) is closer and torch.equal(closer.features, plain.features)

    given = {"points": [[10, 20], [60, 40]], "labels": [1, 0]}
    mirrored = {"points": [[79, 20], [29, 40]], "labels": [1, 0]}
    if kept == "box":
        given, mirrored = {"box": [5, 5, 60, 40]}, {"box": [29, 5, 84, 40]}
    if kept == "mask":
        low = torch.linspace(-4, 4, 16 * 24).reshape(16, 24)
        given = {**given, "mask_logits": low}
        mirrored = {
            **mirrored,
            "mask_logits": torch.nn.functional.interpolate(
                low.flip(-1)[None, None], (16, 32), mode="bilinear"
            )[0, 0],
        }
    one = segmenter.decode(plain, Prompt(**given))
    other = larger.decode(larger.encode(np.ascontiguousarray(frame[:, ::-1])), Prompt(**mirrored))
    both = segmenter.decode(closer, Prompt(**given))
    assert other.low.shape[1:] != one.low.shape[1:]  # it was seen larger
    torch.testing.assert_close(both.logits, (one.logits + other.logits.flip(-1)) / 2)
    torch.testing.assert_close(both.scores, (one.scores + other.scores) / 2)
    assert both.there == pytest.approx((one.there + other.there) / 2)
    assert both.low.shape == one.low.shape


@pytest.mark.usefixtures("bfloat16_anywhere")
def test_bfloat16_answers_nearly_the_same(tmp_path, segmenter, frame):
    path, prompt = tmp_path / "tiny.safetensors", Prompt(points=[[10, 20]])
    segmenter.save(path, half=False)
    narrow = load_small(path, device="cpu", precision="bfloat16")
    seen = narrow.encode(frame)
    assert seen.features.dtype == torch.float32 and not torch.equal(
        seen.features, segmenter.encode(frame).features
    )
    logits, exact = (one.decode(one.encode(frame), prompt).logits for one in (narrow, segmenter))
    assert logits.dtype == torch.float32
    assert 0 < float((logits - exact).abs().mean()) < 0.05 * float(exact.abs().mean())
    with pytest.raises(ValueError, match="precision: expected float32 or bfloat16"):
        load_small(path, precision="float16")
