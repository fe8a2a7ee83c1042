"""SAM 2 as an engine against the library's own inference, on the same random weights."""

import gc
import itertools
import weakref
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from pointtrack.objects.point_prompts import KnownMask
from pointtrack.objects.prompted import answer_prompt
from pointtrack.objects.video_engine import VideoEngine, _Frames, load_video_engine
from pointtrack.segment import Prompt, load_segmenter
from pointtrack.segment.video_zoo import VideoModel, image_part
from tests.support.noise_video import LEFT, RIGHT, T, box_mask, make_video
from tests.support.sam2_library import WH, library_walk, processor
from tests.support.tiny_sam import SIDE, draw_weights, video_settings

REACH = 16

transformers = pytest.importorskip("transformers", reason="SAM models need the extra `sam`")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model = transformers.Sam2VideoModel(transformers.Sam2VideoConfig(**video_settings()))
    draw_weights(model, seed=4)
    model.mask_decoder.pred_obj_score_head.proj_out.bias.data += 2  # objects are there
    path = tmp_path_factory.mktemp("sam2_video")
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def engine(folder):
    return load_video_engine(folder, device="cpu")


@pytest.fixture(scope="module")
def wavering(engine):
    """The same, but the object is absent on about half of the frames."""
    model = deepcopy(engine._model)
    scores = library_walk(model, make_video(), ONE, range(1, T)).present
    model.mask_decoder.pred_obj_score_head.proj_out.bias.data -= torch.stack(list(scores.values())).median()
    return VideoEngine(
        VideoModel(model, image_part(model, "sam2_video"), "sam2_video", "", "", torch.device("cpu"))
    )


@pytest.fixture(scope="module")
def video():
    return make_video()


LOW = box_mask(20, 20, 45, 33)
NOTHING = torch.zeros_like(LEFT)
ONE = {1: [KnownMask(0, LEFT)]}


def spied(engine, monkeypatch, attribute):
    """Results of a method of the engine's segmenter, as they come."""
    seen = []
    method = getattr(engine._segmenter, attribute)

    def listen(*args, **named):
        seen.append(method(*args, **named))
        return seen[-1]

    monkeypatch.setattr(engine._segmenter, attribute, listen)
    return seen


def same(a, b):
    return torch.equal(a.mask, b.mask) and (a.score, a.quality) == (b.score, b.quality)


@pytest.mark.parametrize(
    ("first", "frames", "also"),
    [
        (0, range(1, T), ()),
        (T - 1, range(T - 2, -1, -1), ()),
        (9, range(10, T), (3, 20)),
        pytest.param(15, range(14, -1, -1), (9,), marks=pytest.mark.long),
    ],
)
def test_same_as_the_library_on_every_frame(engine, video, monkeypatch, first, frames, also):
    """Masks, presence and overlaps of two objects, with what is forgotten on the way never missed."""
    known = {
        7: [KnownMask(first, LEFT), *(KnownMask(at, RIGHT) for at in also)],
        2: [KnownMask(first, RIGHT), *(KnownMask(at, NOTHING) for at in also)],
    }
    theirs = library_walk(engine._model, video, known, frames)
    logits = spied(engine, monkeypatch, "_to_frame")
    found = dict(zip(frames, engine.walk(video, known, frames), strict=True))
    assert len(logits) == len(frames)
    for ours, frame in zip(logits, frames, strict=True):
        assert list(found[frame]) == [7, 2]
        torch.testing.assert_close(ours[:, 0], theirs.logits[frame], rtol=0, atol=0)
        for at, one in enumerate(found[frame].values()):
            if frame in also:
                assert torch.equal(one.mask, [RIGHT, NOTHING][at])
                assert (one.score, one.quality) == ([1, 0][at], 1)
                continue
            there = float(theirs.present[frame][at].sigmoid())
            expected = theirs.logits[frame][at] > 0
            assert there > 0.5 and 0 < expected.sum() < expected.numel()
            assert torch.equal(one.mask, expected)
            assert one.score == one.quality == pytest.approx(there * float(theirs.overlaps[frame][at]))


def test_one_object_known_more_often_than_the_other(engine, video):
    """Each as if it were alone: nothing stays of where the other was settled."""
    known = {
        1: [KnownMask(4, LEFT), KnownMask(2, LOW), KnownMask(6, LOW)],
        2: [KnownMask(4, RIGHT), KnownMask(12, LEFT)],
    }
    both = list(engine.walk(video, known, range(5, 15)))
    for number in known:
        alone = list(engine.walk(video, {number: known[number]}, range(5, 15)))
        for frame, (one, other) in enumerate(zip(both, alone, strict=True), start=5):
            one, other = one[number], other[number]
            assert (one.mask != other.mask).float().mean() < 0.002, frame
            assert one.score == pytest.approx(other.score, abs=1e-4), frame
    assert torch.equal(both[1][1].mask, LOW) and not torch.equal(both[1][2].mask, LOW)


def test_known_masks_matter(engine, video):
    """Near or far, before or after."""
    frames = range(12, 14)
    plain = list(engine.walk(video, {1: [KnownMask(11, LEFT)]}, frames))
    for more in ([KnownMask(2, RIGHT)], [KnownMask(20, RIGHT)], [KnownMask(8, NOTHING)]):
        other = list(engine.walk(video, {1: [KnownMask(11, LEFT), *more]}, frames))
        assert not any(same(a[1], b[1]) for a, b in zip(plain, other, strict=True))
    moved = list(engine.walk(video, {1: [KnownMask(11, RIGHT)]}, frames))
    assert not any(same(a[1], b[1]) for a, b in zip(plain, moved, strict=True))


def test_absent_object(wavering, video):
    theirs = library_walk(wavering._model, video, ONE, range(1, T))
    found = dict(zip(range(1, T), wavering.walk(video, ONE, range(1, T)), strict=True))
    absent = [frame for frame in found if theirs.present[frame] <= 0]
    assert T // 3 < len(absent) < T - T // 3
    for frame, objects in found.items():
        there = float(theirs.present[frame].sigmoid())
        if frame in absent:
            assert not objects[1].mask.any() and objects[1].score == 0
            assert objects[1].quality == pytest.approx(1 - there) and objects[1].quality >= 0.5
        else:
            assert objects[1].mask.any() and objects[1].score > 0


def test_nothing_depends_on_how_far_the_walk_goes(engine, video, monkeypatch):
    whole = list(engine.walk(video, ONE, range(1, T)))
    prepared = spied(engine, monkeypatch, "frame_input")
    started = engine.walk(video, ONE, range(1, T))
    assert not prepared
    some = list(itertools.islice(started, 3))
    assert len(prepared) == 4  # the known frame and three walked
    short = list(engine.walk(video, ONE, range(1, 6)))
    for parts in (some, short):
        assert all(same(a[1], b[1]) for a, b in zip(whole, parts, strict=False))


def test_two_walks_at_once(engine, video):
    """As when a person looks at another object before the first is done."""
    first, second = ONE, {1: [KnownMask(0, RIGHT)]}
    apart = [list(engine.walk(video, known, range(1, 8))) for known in (first, second)]
    mixed = list(zip(*(engine.walk(video, known, range(1, 8)) for known in (first, second)), strict=True))
    for alone, together in zip(apart, zip(*mixed, strict=True), strict=True):
        assert all(same(a[1], b[1]) for a, b in zip(alone, together, strict=True))


def test_cuts_change_nothing(engine, video):
    plain = engine.walk(video, ONE, range(1, 6))
    cut = engine.walk(video, ONE, range(1, 6), cuts=[3])
    assert all(same(a[1], b[1]) for a, b in zip(plain, cut, strict=True))


def stored(thing):
    """Everything that a session holds, the frames themselves apart."""
    if isinstance(thing, _Frames):
        return []
    if hasattr(thing, "__dict__") and not isinstance(thing, torch.Tensor):
        thing = vars(thing)
    parts = list(
        thing.values() if isinstance(thing, dict) else thing if isinstance(thing, list | tuple) else ()
    )
    return [thing, *itertools.chain.from_iterable(stored(part) for part in parts)]


def stored_bytes(thing):
    return sum(part.numel() * part.element_size() for part in stored(thing) if isinstance(part, torch.Tensor))


@pytest.mark.parametrize("step", [1, pytest.param(-1, marks=pytest.mark.long)])
def test_memory_is_flat_in_the_length(engine, monkeypatch, step):
    video = make_video(40)
    sessions = []
    begin = engine._session
    monkeypatch.setattr(engine, "_session", lambda video: sessions.append(begin(video)) or sessions[-1])
    start, frames = (0, range(1, 40)) if step == 1 else (39, range(38, -1, -1))
    known = {1: [KnownMask(start, LEFT), KnownMask(20, LEFT)], 2: [KnownMask(start, RIGHT)]}
    things, sizes = [], []
    for _ in engine.walk(video, known, frames):
        things.append(len(stored(sessions[0])))
        sizes.append(stored_bytes(sessions[0]))
    kept = [len(outputs["non_cond_frame_outputs"]) for outputs in sessions[0].output_dict_per_obj.values()]
    assert kept == [REACH + 1] * 2
    # Once full it never grows; while the known frame is near, it is less by what is not walked there.
    for held in (things, sizes):
        assert max(held[:REACH]) < held[REACH] == max(held) == held[-1]
    # No picture of the model's size stays, neither masks that came out nor masks that were put in.
    shapes = [part.shape for part in stored(sessions[0]) if isinstance(part, torch.Tensor)]
    assert shapes and not any(shape[-2:] == (SIDE, SIDE) for shape in shapes)


def test_the_library_alone_keeps_everything(engine, video):
    """The counting above sees it."""
    short, long = (
        library_walk(engine._model, video.clip(0, frames), ONE, range(1, frames)).session.output_dict_per_obj
        for frames in (T // 2, T)
    )
    assert len(long[0]["non_cond_frame_outputs"]) == T - 1
    assert stored_bytes(long) == 2 * stored_bytes(short)


@pytest.mark.parametrize("wh", [WH, (20, 90), (300, 200)])
def test_masks_go_in_as_the_library_takes_them(engine, wh):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 1, 7, 9, generator=generator)
    mask = F.interpolate(coarse, size=wh[::-1], mode="bilinear")[0, 0] > 0.5
    session = transformers.Sam2VideoInferenceSession(
        video_height=wh[1], video_width=wh[0], inference_device=torch.device("cpu"), dtype=torch.float32
    )
    processor().process_new_mask_for_video_frame(session, frame_idx=0, obj_ids=[1], input_masks=[mask])
    theirs = session.mask_inputs_per_obj[0][0]
    assert torch.equal(engine._segmenter.mask_input(mask), theirs) and 0 < theirs.mean() < 1


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(points=[[11, 7]]),
        Prompt(points=[[11, 7], [40, 30]], labels=[1, 0]),
        Prompt(box=[4, 3, 28, 19]),
    ],
)
@pytest.mark.parametrize("before", [None, LEFT])
def test_own_answers_are_those_of_single_frames(folder, video, prompt, before):
    engine = load_video_engine(folder, device="cpu", own_answers=True)
    segmenter = load_segmenter(folder, device="cpu")
    expected = answer_prompt(segmenter, segmenter.encode(video.frames[5]), prompt, before)
    found = engine.answer(video, 5, prompt, before)
    assert same(found, expected) and found.mask.any() and found.score > 0
    assert same(
        engine.answers(video, 5, Prompt(points=[[11, 7]]))[0],
        engine.answer(video, 5, Prompt(points=[[11, 7]])),
    )
    assert not torch.equal(found.mask, engine.answer(video, 6, prompt, before).mask)


def test_a_mask_that_is_corrected_goes_with_the_clicks(folder, engine, video):
    segmenter = load_segmenter(folder, device="cpu")
    prompt = Prompt(points=[[11, 7], [40, 30]], labels=[1, 0])
    told = replace(prompt, mask_logits=segmenter.as_low(LEFT))
    expected = segmenter.decode(segmenter.encode(video.frames[5]), told, several=False)
    found = engine.answers(video, 5, prompt, LEFT)
    assert len(found) == 1 and torch.equal(found[0].mask, expected.masks[0])
    assert not torch.equal(found[0].mask, engine.answer(video, 5, prompt).mask)


def test_a_frame_is_encoded_once(engine, monkeypatch):
    encoded = spied(engine, monkeypatch, "frame_input")
    video, other = make_video(2), make_video(2)
    for requested, frame, count in (
        (video, 0, 1),
        (video, 0, 1),
        (video, 1, 2),
        (other, 1, 3),
        (video, 1, 4),
    ):
        engine.answer(requested, frame, Prompt(points=[[10, 10]]))
        assert len(encoded) == count


def test_no_video_is_kept(engine):
    video = make_video(3)
    engine.answer(video, 1, Prompt(points=[[10, 10]]))
    list(engine.walk(video, ONE, range(1, 3)))
    gone = weakref.ref(video)
    del video
    gc.collect()
    assert gone() is None


def test_weights_are_there_once(engine):
    theirs = dict(engine._model.state_dict())
    ours = engine._segmenter.model.state_dict()
    assert len(ours) > 100
    for name, tensor in ours.items():
        assert tensor.data_ptr() == theirs[name].data_ptr(), name
    assert not any(weight.requires_grad for weight in engine._model.parameters())
    assert not engine._model.training and not engine._segmenter.model.training


def test_masks_may_be_changed_by_who_gets_them(engine, video):
    """The library infers in a mode whose tensors refuse that."""
    found = next(engine.walk(video, ONE, range(1, 3)))[1]
    found.mask[0, 0] = True
    engine.answer(video, 0, Prompt(points=[[10, 10]])).mask[0, 0] = True


def test_nothing_to_walk(engine, video, monkeypatch):
    prepared = spied(engine, monkeypatch, "frame_input")
    assert list(engine.walk(video, ONE, range(1, 1))) == [] and not prepared


@pytest.mark.parametrize(
    ("known", "frames", "message"),
    [
        ({}, range(1, 5), "expected at least one object"),
        (ONE, range(1, 9, 2), "expected a range of step 1 or -1"),
        (ONE, range(1, T + 1), f"within 0..{T - 1}, got range"),
        ({1: [KnownMask(0, LEFT)]}, range(-1, -3, -1), f"within 0..{T - 1}, got range"),
        (ONE, range(2, 5), "object 1: expected a mask on frame 1, beside the first of range"),
        ({1: [KnownMask(5, LEFT)], 2: [KnownMask(4, LEFT)]}, range(4, 1, -1), "object 2: expected a mask on frame 5"),
        ({0: ONE[1]}, range(1, 5), "object 0: expected an id from 1 on"),
        ({1: [KnownMask(0, LEFT[:-1])]}, range(1, 5), "object 1: expected a bool mask of shape"),
        ({1: [KnownMask(0, LEFT), KnownMask(T, LEFT)]}, range(1, 5), f"a frame in 0..{T - 1}, got frame {T}"),
    ],
)  # fmt: skip
def test_what_walk_refuses_at_once(engine, video, known, frames, message):
    with pytest.raises(ValueError, match=message):
        engine.walk(video, known, frames)


@pytest.mark.parametrize(
    ("frame", "prompt", "message"),
    [
        (T, Prompt(points=[[1, 1]]), f"prompt: expected a frame in 0..{T - 1}, got {T}"),
        (-1, Prompt(points=[[1, 1]]), "got -1"),
        (0, Prompt(points=[[50, 1]]), "within the 50 x 36 frame"),
    ],
)
def test_what_answer_refuses(engine, video, frame, prompt, message):
    with pytest.raises(ValueError, match=message):
        engine.answer(video, frame, prompt)


def test_name_and_licence(folder, engine):
    assert (engine.name, engine.licence, engine.device) == (folder.name, "unknown", torch.device("cpu"))
    published = load_video_engine("sam2.1-hiera-large", checkpoint=folder, device="cpu")
    assert (published.name, published.licence) == ("sam2.1-hiera-large", "Apache-2.0")


@pytest.mark.gpu
def test_same_masks_on_a_gpu(folder, engine, video):
    on_gpu = load_video_engine(folder, device="cuda")
    cpu = list(engine.walk(video, ONE, range(1, 6)))
    gpu = list(on_gpu.walk(video, ONE, range(1, 6)))
    for one, other in zip(cpu, gpu, strict=True):
        assert not other[1].mask.is_cuda
        assert (one[1].mask == other[1].mask).float().mean() > 0.98
    prompt = Prompt(points=[[11, 7]])
    agree = engine.answer(video, 0, prompt).mask == on_gpu.answer(video, 0, prompt).mask
    assert agree.float().mean() > 0.98
