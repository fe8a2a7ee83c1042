"""Windows that move on by one frame share their features, also between loops and over a restart."""

from dataclasses import replace

import pytest
import torch

from pointtrack.models import window_loop as loop_module
from pointtrack.models.feature_buffer import Joiner
from pointtrack.models.window_loop import TrackedWindow, WindowLoop

FRAMES, ASKED = 24, torch.tensor([[[20.0, 30.0], [50.0, 12.5], [33.0, 40.0]]])


@pytest.fixture
def single(tiny_tracker):
    """Windows of 8 frames that move on by 1."""
    tiny_tracker.config = replace(
        tiny_tracker.config, window=replace(tiny_tracker.config.window, step=1, iterations=1)
    )
    return tiny_tracker


def new_loop(tracker) -> WindowLoop:
    return WindowLoop(tracker, torch.tensor([[0, 3, 9]]), ASKED)


@torch.inference_mode()
def features(tracker) -> list[list[torch.Tensor]]:
    pixels = torch.rand(FRAMES, 1, 1, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 255
    return [tracker.encode(frame) for frame in pixels]


@torch.inference_mode()
def run(loop: WindowLoop, pieces: list[list[torch.Tensor]]) -> list[TrackedWindow]:
    return [window for piece in pieces for window in loop.push(piece)]


def same(first: list[TrackedWindow], second: list[TrackedWindow]) -> bool:
    pairs = zip(first, second, strict=True)
    return all(torch.equal(x.estimates[-1].xy, y.estimates[-1].xy) for x, y in pairs)


def test_shared_memory_changes_no_answer(single, monkeypatch):
    pieces = features(single)
    shared = run(new_loop(single), pieces)
    assert len(shared) == FRAMES - 7
    monkeypatch.setattr(loop_module, "Joiner", lambda room: Joiner(0))
    assert same(shared, run(new_loop(single), pieces))


def test_a_branch_tracks_in_the_same_memory(single):
    pieces, loop = features(single), new_loop(single)
    run(loop, pieces[:13])
    with torch.inference_mode():
        branch, early = loop.branch(torch.tensor([[9, 12]]), ASKED[:, :2])
    assert branch._join is loop._join and len(early) == 1
    alone = WindowLoop(single, torch.tensor([[9, 12]]), ASKED[:, :2])
    alone.start = early[0].start
    wanted = run(alone, pieces[alone.start : 13])
    later = [window for piece in pieces[13:] for window in (*run(loop, [piece]), *run(branch, [piece]))]
    assert same([*early, *later[1::2]], [*wanted, *run(alone, pieces[13:])])
    whole = run(new_loop(single), pieces)
    assert same(later[::2], whole[6:])


def test_a_loop_goes_on_from_its_state_while_the_first_goes_another_way(single):
    pieces, loop = features(single), new_loop(single)
    run(loop, pieces[:11])
    other = WindowLoop.from_state_dict(single, loop.state_dict())
    run(loop, pieces[:5])  # other frames than those that follow here
    assert same(run(other, pieces[11:]), run(new_loop(single), pieces)[4:])


def test_a_first_answer_costs_no_window_of_its_own(single):
    """After every frame the last window has said all that there is to say."""
    loop = new_loop(single)
    run(loop, features(single)[:9])
    assert loop.peek() is None
