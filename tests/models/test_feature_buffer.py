"""Windows of features that share memory hold what copies would."""

import pytest
import torch

from pointtrack.models.feature_buffer import Joiner


def pieces_of(frames: int, videos: int = 1, size: int = 1, seed: int = 0) -> list[list[torch.Tensor]]:
    """Two levels of random features, so many frames a piece."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((videos, size, 4, 6, 3), (videos, size, 2, 3, 3))
    return [[torch.rand(shape, generator=generator) for shape in shapes] for _ in range(frames)]


def copied(pieces: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    return [torch.cat(level, dim=1) for level in zip(*pieces, strict=True)]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(first, second, strict=True))


@torch.inference_mode()
@pytest.mark.parametrize("size", [1, 2])
def test_windows_hold_their_frames_however_far_they_move(size):
    pieces, join = pieces_of(30, size=size), Joiner(room=8)
    windows = [join(pieces[start : start + 4]) for start in range(27)]
    # Asked for only now: what was written later has not touched the windows before.
    assert all(same(window, copied(pieces[start : start + 4])) for start, window in enumerate(windows))
    assert all(level.is_contiguous() for window in windows for level in window)


@torch.inference_mode()
def test_frames_that_windows_share_lie_in_the_same_memory():
    pieces, join = pieces_of(6), Joiner(room=4)
    first, again, next_one = join(pieces[:4]), join(pieces[:4]), join(pieces[1:5])
    for one, other, moved in zip(first, again, next_one, strict=True):
        assert one.data_ptr() == other.data_ptr()
        assert moved.data_ptr() == one[:, 1:].data_ptr()


@torch.inference_mode()
def test_other_pieces_in_between_are_no_trouble():
    mine, others, join = pieces_of(8), pieces_of(8, seed=1), Joiner(room=8)
    for start in range(4):
        for pieces in (mine[start : start + 5], others[start : start + 5], mine[start : start + 3]):
            assert same(join(pieces), copied(pieces))


@pytest.mark.parametrize(("videos", "room"), [(1, 0), (2, 8)])
def test_copies_where_a_view_would_not_do(videos, room):
    pieces, join = pieces_of(5, videos), Joiner(room)
    with torch.inference_mode():
        first, second = join(pieces[:4]), join(pieces[1:])
        assert same(second, copied(pieces[1:])) and first[0].is_contiguous()
        second[0][:] = 0
        assert same(first, copied(pieces[:4]))


@torch.inference_mode()
def test_loops_that_go_on_together_get_one_copy():
    pieces, join = pieces_of(5), Joiner(room=0)
    with join.sharing():
        first, again, next_one = join(pieces[:4]), join(pieces[:4]), join(pieces[1:])
    assert all(one is other for one, other in zip(first, again, strict=True))
    assert same(first, copied(pieces[:4])) and same(next_one, copied(pieces[1:]))
    assert join(pieces[:4])[0] is not join(pieces[:4])[0]  # nothing is kept for the next time


def test_gradients_flow_through():
    pieces, join = pieces_of(4), Joiner(room=8)
    pieces[3][0].requires_grad_()
    join(pieces[:3])
    join(pieces[1:])[0].sum().backward()
    assert torch.equal(pieces[3][0].grad, torch.ones_like(pieces[3][0]))
