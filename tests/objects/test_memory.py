"""The memory: what it says of frames it knows, how it forgets, and masks carried by it alone."""

import pytest
import torch

from pointtrack.objects import memory as memory_module
from pointtrack.objects.memory import MemoryConfig, ObjectMemory
from pointtrack.objects.memory_only import KnownMask, propagate_masks, tracker_features
from pointtrack.types import Video
from tests.support.scenes import WH, squares

LOOKS_ONLY = MemoryConfig(recent=1, working=1, place=0.0, certain=0.0)


def world(seed: int = 0, c: int = 16, h: int = 6, w: int = 8) -> torch.Tensor:
    return torch.randn(c, h, w, generator=torch.Generator().manual_seed(seed))


def half(h: int = 6, w: int = 8) -> torch.Tensor:
    mask = torch.zeros(1, h, w)
    mask[..., : w // 2] = 1
    return mask


def test_a_frame_that_is_remembered_is_recognised():
    memory = ObjectMemory(1)
    memory.add(0, world(), half(), given=True)
    told = memory.read(world())
    assert torch.equal(told.share > 0.5, half() > 0) and (told.similarity > 0.999).all()


def test_an_object_is_found_where_it_has_moved_to():
    memory = ObjectMemory(1, LOOKS_ONLY)
    memory.add(0, world(), half(), given=True)
    told = memory.read(world().roll(3, dims=2))
    assert torch.equal(told.share > 0.5, half().roll(3, dims=2) > 0)


def test_place_decides_between_look_alikes():
    """Two places look the same; the object is the left one."""
    appearance = world()
    appearance[:, 3, 6] = appearance[:, 3, 1]
    mask = torch.zeros(1, 6, 8)
    mask[0, 3, 1] = 1
    memory = ObjectMemory(1, MemoryConfig(place=1.0, top=1, certain=0.0))
    memory.add(0, appearance, mask, given=True)
    share = memory.read(appearance).share[0]
    assert share[3, 1] == 1 and share[3, 6] == 0


def test_a_mistake_does_not_confirm_itself_where_a_person_said_otherwise():
    """The object is the left half; then three frames take all of the picture for it."""
    memory = ObjectMemory(1, MemoryConfig(recent=3))
    memory.add(0, world(), half(), given=True)
    for frame in (1, 2, 3):
        memory.add(frame, world(), torch.ones(1, 6, 8))
    told, alone = memory.read(world()), ObjectMemory(1, MemoryConfig(recent=3, certain=0.0))
    right = half()[0] == 0
    assert told.certain is not None and told.certain[0][right].max() < 0.1
    alone.add(0, world(), half(), given=True)
    for frame in (1, 2, 3):
        alone.add(frame, world(), torch.ones(1, 6, 8))
    assert (
        alone.read(world()).share[0][right].min() > 0.6
    )  # without a vote of its own what is given is outvoted
    assert told.share[0][right].max() < 0.5 and told.share[0][~right].min() > 0.9


def test_cells_of_what_was_given_are_found_again_by_looks():
    memory = ObjectMemory(1)
    memory.add(0, world(), half(), given=True)
    told = memory.read(world().roll(3, dims=2))
    assert told.to_given is not None and told.given is not None
    again = told.to_given.argmax(0)
    row, column = again // 8, again % 8
    assert torch.equal(column, (torch.arange(48) % 8 + 3) % 8) and torch.equal(row, torch.arange(48) // 8)
    assert torch.equal(told.given[:, 0], half().flatten())
    nothing = ObjectMemory(1)
    nothing.add(0, world(), half())
    assert nothing.read(world()).certain is None


def test_what_was_never_seen_is_unlike():
    memory = ObjectMemory(1)
    memory.add(0, world(), half(), given=True)
    assert memory.read(world(seed=1)).similarity.mean() < 0.7


def test_memory_is_bounded_and_keeps_what_was_given():
    config = MemoryConfig(recent=2, every=2, working=3, prototypes=40)
    memory = ObjectMemory(1, config)
    memory.add(0, world(), half(), given=True)
    sizes = []
    for frame in range(1, 60):
        memory.add(frame, world(seed=frame), half())
        memory.read(world(seed=frame))
        sizes.append(len(memory))
    assert max(sizes) == sizes[-1] == sizes[20] <= 48 * (1 + 2 + 3) + 40
    assert (memory.read(world()).similarity > 0.999).all()


def test_what_was_read_most_is_kept_longest():
    """Frame 1 is looked up again and again, frames 2, 3, ... never: of those that must go it leaves its cells."""
    memory = ObjectMemory(1, MemoryConfig(recent=1, every=1, working=1, prototypes=96, place=0.0))
    memory.add(0, world(seed=99), half(), given=True)
    memory.add(1, world(seed=1), half())
    for frame in range(2, 12):
        memory.read(world(seed=1))
        memory.add(frame, world(seed=frame), half())
    assert (memory.read(world(seed=1)).similarity > 0.999).all()
    assert memory.read(world(seed=4)).similarity.mean() < 0.8


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m: m.read(world()), "expected a remembered frame before the first read"),
        (lambda m: m.add(0, world(), torch.zeros(2, 6, 8)), r"expected \(1, h, w\), got \(2, 6, 8\)"),
        (lambda m: m.add(0, world()[0], half()), "memory features"),
    ],
)
def test_mistakes_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(ObjectMemory(1))


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="memory working: expected at least 1"):
        MemoryConfig(working=0)
    with pytest.raises(ValueError, match="memory certain: expected a number from 0 to 1, got 2"):
        MemoryConfig(certain=2)
    with pytest.raises(ValueError, match="at least 1 object"):
        ObjectMemory(0)


def colours(frame) -> torch.Tensor:
    return torch.from_numpy(frame).permute(2, 0, 1).float() - 60


def halved(paths) -> tuple[Video, torch.Tensor]:
    """A video of squares and its masks, every other pixel: to look for each in all of a frame costs with its square."""
    scene = squares(paths)
    return Video(scene.video.frames[:, ::2, ::2].copy()), scene.truth[..., ::2, ::2]


PATHS = [[(5 + 3 * t, 10) for t in range(8)], [(55 - 3 * t, 34) for t in range(8)]]


@pytest.mark.parametrize("start", [0, 3])
def test_masks_are_carried_by_memory_alone(start):
    video, truth = halved(PATHS)
    given = {i + 1: KnownMask(start, truth[start, i]) for i in range(2)}
    masks = propagate_masks(video, given, colours, backward=True, config=LOOKS_ONLY)
    assert torch.equal(masks.masks, truth) and (masks.scores > 0.99).all()
    forward = propagate_masks(video, given, colours, config=LOOKS_ONLY)
    assert torch.equal(forward.masks[start:], truth[start:])
    assert not forward.masks[:start].any() and (forward.scores[:start] == 0).all()


def test_an_object_that_comes_back_is_found():
    path = [(20, 20), (22, 20), None, None, None, (50, 30)]
    video, truth = halved([path])
    masks = propagate_masks(video, {1: KnownMask(0, truth[0, 0])}, colours, config=LOOKS_ONLY)
    assert torch.equal(masks.masks, truth)
    assert masks.scores[:, 0].round().tolist() == [1, 1, 0, 0, 0, 1]


def test_an_object_may_start_later():
    video, truth = halved(PATHS)
    given = {4: KnownMask(0, truth[0, 0]), 9: KnownMask(5, truth[5, 1])}
    masks = propagate_masks(video, given, colours, config=LOOKS_ONLY)
    assert masks.object_ids.tolist() == [4, 9]
    assert torch.equal(masks.masks[:, 0], truth[:, 0])
    assert not masks.masks[:5, 1].any() and torch.equal(masks.masks[5:, 1], truth[5:, 1])


def test_a_tracker_gives_features(tiny_tracker):
    frame = squares(PATHS).video.frames[0]
    fine, coarse = (tracker_features(tiny_tracker, level)(frame) for level in (0, 1))
    assert fine.shape[0] == coarse.shape[0] == 16 and fine.shape[1] == 2 * coarse.shape[1]
    with pytest.raises(ValueError, match=r"level: expected 0\.\.1, got 2"):
        tracker_features(tiny_tracker, 2)


@pytest.mark.parametrize(
    "given, message",
    [
        ({}, "at least one object"),
        ({0: KnownMask(0, torch.ones(WH[1], WH[0], dtype=torch.bool))}, "an id from 1 on"),
        ({1: KnownMask(8, torch.ones(WH[1], WH[0], dtype=torch.bool))}, r"frame in 0\.\.7, got frame 8"),
        ({1: KnownMask(0, torch.ones(WH, dtype=torch.bool))}, r"\(h, w\) = \(60, 80\)"),
        ({1: KnownMask(0, torch.ones(WH[1], WH[0]))}, "got torch.float32"),
        ({1: KnownMask(0, torch.zeros(WH[1], WH[0], dtype=torch.bool))}, "got an empty one"),
    ],
)
def test_wrong_masks_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        propagate_masks(Video(squares(PATHS).video.frames), given, colours)


@pytest.mark.parametrize("columns", [1, 7, 8, 129, 160, 5003])
def test_the_largest_are_those_of_all(columns):
    similarity = torch.randn(50, columns, generator=torch.Generator().manual_seed(columns))
    near, which = memory_module._top(similarity, 8)
    expected = similarity.topk(min(8, columns), dim=1)
    assert torch.equal(near, expected.values) and torch.equal(which, expected.indices)


def test_the_largest_of_equal_ones_are_different_cells():
    near, which = memory_module._top(torch.ones(3, 700), 8)
    assert torch.equal(near, torch.ones(3, 8)) and all(len(row.unique()) == 8 for row in which)


@pytest.mark.parametrize("rows", [3, 256])
def test_cells_compared_a_few_at_a_time_are_those_compared_together(monkeypatch, rows):
    monkeypatch.setattr(memory_module, "ROWS", rows)
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(20, 6, generator=generator)
    parts = [
        memory_module._Cells(torch.randn(n, 8, generator=generator), torch.zeros(n, 1), torch.zeros(n))
        for n in (30, 1, 200)
    ]
    near, which, first = memory_module._most_alike(keys, parts, 4, 30)
    products = keys @ torch.cat([part.keys[:, :6] for part in parts]).T
    expected = products.topk(4, dim=1)
    torch.testing.assert_close(near, expected.values)
    assert torch.equal(which, expected.indices)
    torch.testing.assert_close(first, products[:, :30])
