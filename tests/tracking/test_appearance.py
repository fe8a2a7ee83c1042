"""What places look like, and where lost ones are found again."""

import pytest
import torch
import torch.nn.functional as F

from pointtrack.states.redetect import QueryMaps, RedetectionRules, agreeing, find_again
from pointtrack.tracking.appearance import read_appearance, search, settle, similarity, unit_cells

CELLS = torch.tensor([[5.0, 7.0], [12.25, 4.5], [22.0, 14.0]])


@pytest.fixture(scope="module")
def level():
    """(16, 20, 30) smooth unit cells, all of them different."""
    noise = torch.randn(1, 16, 10, 15, generator=torch.Generator().manual_seed(0))
    return unit_cells(F.interpolate(noise, (20, 30), mode="bicubic", align_corners=True)[0])


def test_a_place_is_like_itself_and_not_like_others(level):
    appearance = read_appearance(level, CELLS)
    assert similarity(appearance, appearance) == pytest.approx([1.0] * 3)
    assert similarity(appearance, appearance.roll(1, 0)).max() < 0.6


def test_search_finds_places_and_settle_their_fractions(level):
    appearance = read_appearance(level, CELLS)
    find = search(level, appearance)
    assert find.cells.tolist() == [[5, 7], [12, 4], [22, 14]]
    assert (find.rival < find.score - 0.2).all()
    assert torch.equal(settle(level, appearance, find.cells), CELLS)


def test_the_rival_of_a_place_that_is_there_twice_is_as_good(level):
    twice = level.clone()
    twice[:, 10:15, 2:7] = level[:, 12:17, 20:25]
    find = search(twice, read_appearance(level, CELLS[2:]))
    assert find.score == pytest.approx([1.0])
    assert find.rival == pytest.approx([1.0])


def test_a_point_is_found_where_it_moved_to(level):
    queries = QueryMaps(CELLS.clone(), torch.zeros(3, dtype=torch.int64), {0: level})
    moved = level.roll((2, 3), (1, 2))
    which, cells, score = find_again(moved, read_appearance(level, CELLS), torch.tensor([0, 2]), queries)
    assert which.tolist() == [0, 2]
    assert cells.tolist() == [[8, 9], [25, 16]]
    assert score == pytest.approx([1.0, 1.0])


def test_what_is_there_twice_is_not_taken_for_a_point(level):
    queries = QueryMaps(CELLS.clone(), torch.zeros(3, dtype=torch.int64), {0: level})
    twice = level.clone()
    twice[:, 10:15, 2:7] = level[:, 12:17, 20:25]
    assert not len(find_again(twice, read_appearance(level, CELLS), torch.tensor([2]), queries)[0])
    assert len(find_again(level, read_appearance(level, CELLS), torch.tensor([2]), queries)[0])


def test_what_is_more_like_another_place_of_the_query_frame_is_not_taken_for_a_point(level):
    appearance = read_appearance(level, CELLS)
    queries = QueryMaps(CELLS.roll(1, 0), torch.zeros(3, dtype=torch.int64), {0: level})
    assert not len(find_again(level, appearance, torch.tensor([0, 1]), queries)[0])


def test_what_is_enough_is_said_by_the_rules(level):
    moved, appearance = level.roll((2, 3), (1, 2)), read_appearance(level, CELLS)
    strict = RedetectionRules(min_similarity=1.1)
    queries = QueryMaps(CELLS.clone(), torch.zeros(3, dtype=torch.int64), {0: level}, strict)
    assert not len(find_again(moved, appearance, torch.tensor([0, 2]), queries)[0])
    with pytest.raises(ValueError, match="redetection every: expected 1 or more, got 0"):
        RedetectionRules(every=0)


def test_neighbours_speak_for_a_point_that_moved_as_they_did():
    before = torch.tensor([[5.0, 5.0], [10.0, 5.0], [5.0, 10.0], [10.0, 10.0], [7.0, 7.0]])
    after = before + torch.tensor([4.0, 3.0])
    after[4] += torch.tensor([15.0, 0.0])
    assert agreeing(before, after).tolist() == [3, 3, 3, 3, 0]
