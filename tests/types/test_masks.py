"""Masks: what is accepted, what is refused, and that pieces, labels and files lose nothing."""

import numpy as np
import pytest
import torch

from pointtrack.io.masks import load_masks, save_masks
from pointtrack.types.masks import Masks
from tests.support.masks import assert_same

WH = (13, 7)  # a width that does not fill whole bytes


def random_masks(frames=5, objects=3, seed=0, **settings):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(frames, objects, WH[1], WH[0], generator=generator) > 0.6
    scores = torch.rand(frames, objects, generator=generator)
    return Masks(masks, scores=scores, **settings)


def same(a, b):
    assert_same(a, b)
    assert (a.fps, a.names) == (b.fps, b.names)


def test_what_is_not_given_is_filled_in():
    pixels = torch.zeros(2, 3, 4, 6, dtype=torch.bool)
    pixels[1, 2, 0, 5] = True
    masks = Masks(pixels)
    assert (len(masks), masks.wh) == (2, (6, 4))
    assert masks.object_ids.tolist() == [1, 2, 3]
    assert masks.scores.tolist() == [[0, 0, 0], [0, 0, 1]]
    assert masks.present().tolist() == [[False] * 3, [False, False, True]]
    assert masks.masks.data_ptr() == pixels.data_ptr()


def test_arrays_are_taken_and_an_empty_mask_has_no_score():
    masks = Masks(np.zeros((1, 2, 4, 6), bool), np.array([7, -3]), np.ones((1, 2)), names=["a", "b"])
    assert masks.object_ids.tolist() == [7, -3]
    assert masks.object_ids.dtype == torch.int64
    assert not masks.scores.any()
    assert masks.names == ("a", "b")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"masks": torch.zeros(2, 4, 6, dtype=torch.bool)},
            r"expected shape \(t, o, h, w\), got \(2, 4, 6\)",
        ),
        ({"masks": torch.zeros(2, 2, 4, 6)}, "expected bool, got torch.float32; .*logits > 0"),
        ({"masks": torch.zeros(2, 2, 4, 0, dtype=torch.bool)}, "at least one pixel"),
        ({"object_ids": [1]}, r"one per object \(2,\), got shape \(1,\)"),
        ({"object_ids": [4, 4]}, r"distinct ids, got \[4, 4\]"),
        ({"object_ids": [1, 2.5]}, "whole numbers"),
        ({"scores": torch.ones(2, 3)}, r"\(2, 2\), got \(2, 3\)"),
        ({"scores": torch.full((2, 2), 1.5)}, r"in \[0, 1\]"),
        ({"scores": torch.full((2, 2), float("nan"))}, r"in \[0, 1\]"),
        ({"names": ("bear",)}, r"one per object \(2\)"),
        ({"names": "ab"}, r"one per object \(2\)"),
        ({"first_frame": -1}, "first_frame"),
        ({"fps": 0}, "positive"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Masks(**{"masks": torch.ones(2, 2, 4, 6, dtype=torch.bool), **changes})


@pytest.mark.parametrize("index", [[2, 0], slice(1, None), torch.tensor([True, False, True])])
def test_select_keeps_ids_names_and_scores_together(index):
    masks = random_masks(object_ids=torch.tensor([5, 9, 2]), names=("a", "b", "c"))
    chosen = masks.select(index)
    names = dict(zip([5, 9, 2], "abc", strict=True))
    for place, number in enumerate(chosen.object_ids.tolist()):
        before = masks.object_ids.tolist().index(number)
        assert torch.equal(chosen.masks[:, place], masks.masks[:, before])
        assert torch.equal(chosen.scores[:, place], masks.scores[:, before])
        assert chosen.names[place] == names[number]
    assert len(chosen.object_ids) == 2


def test_pieces_join_to_the_whole():
    masks = random_masks(9, first_frame=4, fps=12.5, names=("a", "", "c"))
    pieces = [masks.clip(0, 3), masks.clip(3, 4), masks.clip(-5)]
    assert [piece.first_frame for piece in pieces] == [4, 7, 8]
    same(Masks.concat(pieces), masks)


def test_objects_that_come_and_go_are_matched_by_id():
    first = random_masks(2, 2, object_ids=[1, 2])
    then = random_masks(3, 2, seed=1, object_ids=[9, 1], first_frame=2, names=("dog", "bear"))
    joined = Masks.concat([first, then])
    assert joined.object_ids.tolist() == [1, 2, 9]
    assert joined.names == ("bear", "", "dog")
    assert torch.equal(joined.masks[2:, 0], then.masks[:, 1])
    assert torch.equal(joined.scores[2:, 2], then.scores[:, 0])
    assert not joined.masks[2:, 1].any()
    assert not joined.masks[:2, 2].any()
    last = random_masks(1, 2, object_ids=[1, 9], first_frame=5)
    assert Masks.concat([joined, last]).names == ("bear", "", "dog")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "at least one"),
        ([random_masks(), random_masks()], "from frame 5, got 0"),
        ([random_masks(), Masks(np.zeros((1, 3, 4, 6), bool), first_frame=5)], "of one size"),
    ],
)
def test_pieces_that_do_not_follow_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        Masks.concat(parts)


def test_overlaps_go_to_the_higher_score_and_then_to_the_earlier_object():
    pixels = torch.ones(3, 3, 1, 2, dtype=torch.bool)
    pixels[2, :2, 0, 0] = False
    masks = Masks(pixels, scores=[[0.2, 0.9, 0.5], [0.7, 0.7, 0.7], [0.1, 0.8, 0.3]])
    assert masks.overlapping().tolist() == [True, True, True]
    decided = masks.exclusive()
    assert decided.masks[0].sum(dim=(1, 2)).tolist() == [0, 2, 0]
    assert decided.masks[1].sum(dim=(1, 2)).tolist() == [2, 0, 0]
    assert decided.labels()[2].tolist() == [[3, 2]]
    assert decided.scores[0].tolist() == pytest.approx([0, 0.9, 0])
    assert pixels.sum() == 16  # the input is as it was
    assert decided.exclusive() is decided


def test_labels_count_objects_by_position_and_come_back():
    masks = random_masks(object_ids=[40, 7, 300]).exclusive()
    labels = masks.labels()
    assert (labels.dtype, tuple(labels.shape)) == (torch.uint8, (5, WH[1], WH[0]))
    for place in range(3):
        assert torch.equal(labels == place + 1, masks.masks[:, place])
    back = Masks.from_labels(labels, masks.scores)
    assert back.object_ids.tolist() == [1, 2, 3]
    assert torch.equal(back.masks, masks.masks)
    assert torch.equal(back.scores, masks.scores)


def test_labels_of_overlapping_or_too_many_objects_are_refused():
    pixels = torch.zeros(3, 2, 2, 2, dtype=torch.bool)
    pixels[2] = True
    with pytest.raises(ValueError, match=r"overlap on frame 12.*exclusive\(\)"):
        Masks(pixels, first_frame=10).labels()
    with pytest.raises(ValueError, match="at most 255 objects, got 256"):
        Masks(torch.zeros(1, 256, 2, 2, dtype=torch.bool)).labels()


@pytest.mark.parametrize("kind", [np.uint8, np.int64, torch.int32])
def test_from_labels_takes_the_values_that_occur_or_that_are_asked_for(kind):
    picture = [[[0, 3], [38, 3]]]
    labels = torch.tensor(picture, dtype=kind) if kind is torch.int32 else np.array(picture, kind)
    assert Masks.from_labels(labels).object_ids.tolist() == [3, 38]
    requested = Masks.from_labels(labels, object_ids=[38, 256 + 3, 3])
    assert requested.masks.sum(dim=(0, 2, 3)).tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((2, 2)), "t, h, w"),
        (np.zeros((1, 2, 2)), "whole numbers"),
        (np.zeros((1, 2, 2), bool), "whole"),
    ],
)
def test_other_labels_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        Masks.from_labels(labels)


@pytest.mark.parametrize("objects", [0, 3])
def test_files_give_everything_back(tmp_path, objects):
    names = ("bear", "", "Bär 2")[:objects]
    masks = random_masks(
        objects=objects, object_ids=[11, 2, 300][:objects], first_frame=6, fps=23.976, names=names
    )
    path = save_masks(tmp_path / "masks.npz", masks)
    assert path.name == "masks.npz"
    same(load_masks(path), masks)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing at"):
        load_masks(tmp_path / "no.npz")
    np.savez(tmp_path / "other.npz", xy=np.zeros(3))
    with pytest.raises(ValueError, match="saved by pointtrack, but it lacks"):
        load_masks(tmp_path / "other.npz")
