"""Folders of clips are measured on as the sets they were made of."""

import pickle

import numpy as np
import pytest
import torch

from evaluation.masks.datasets import load_mask_examples
from evaluation.points.datasets import load_examples
from pointtrack.datasets.clip import Clip, ClipInfo, SourceClip, TrueTracks
from pointtrack.datasets.convert import convert
from pointtrack.datasets.format import write_clip


@pytest.mark.parametrize("mode", ["first", "strided"])
def test_a_converted_set_gives_the_same_examples(tmp_path, textured, mode):
    random = np.random.default_rng(0)
    frames = np.stack([textured((40, 24), t) for t in range(6)])
    occluded = random.random((3, 6)) < 0.3
    content = {"goat": {"video": frames, "points": random.random((3, 6, 2)), "occluded": occluded}}
    path = tmp_path / "davis.pkl"
    path.write_bytes(pickle.dumps(content))
    list(convert("tapvid", path, tmp_path / "clips"))
    (one,) = load_examples(f"tapvid:{path}", mode)
    (other,) = load_examples(f"clips:{tmp_path / 'clips'}", mode)
    assert (one.name, other.name, other.dataset) == ("davis/goat", "clips/davis-goat", "clips")
    assert torch.equal(one.queries.frame, other.queries.frame)
    assert torch.allclose(one.queries.xy, other.queries.xy, atol=1e-4)
    assert torch.allclose(one.truth_xy, other.truth_xy.double(), atol=1e-4)
    assert torch.equal(one.truth_visible, other.truth_visible) and torch.equal(one.evaluated, other.evaluated)
    assert np.array_equal(one.video.frames, other.video.frames)


def moving(frames=6):
    xy = torch.arange(frames)[:, None, None] + torch.tensor([[2.0, 3.0], [8.0, 9.0]])
    seen = torch.ones(frames, 2, dtype=torch.bool)
    labels = np.zeros((frames, 24, 32), np.uint8)
    labels[1, 2:6, 3:8] = 4
    return xy, seen, labels


def test_query_frames_and_unknown_frames_count(tmp_path, panning):
    xy, seen, labels = moving()
    valid = seen.clone()
    valid[4, 0] = False
    tracks = TrueTracks(xy, seen & valid, valid, torch.tensor([5, 9]), query_frame=torch.tensor([1, 0]))
    write_clip(tmp_path / "a", Clip("a", panning(6, (32, 24), (1, 0)), tracks=tracks))
    (example,) = load_examples(f"clips:{tmp_path}")
    assert example.queries.frame.tolist() == [1, 0] and example.queries.ids.tolist() == [5, 9]
    assert example.evaluated.T.int().tolist() == [[0, 0, 1, 1, 0, 1], [0, 1, 1, 1, 1, 1]]
    (strided,) = load_examples(f"clips:{tmp_path}", "strided")
    assert strided.queries.frame.tolist() == [0, 0, 5, 5] and example.area is None


def test_points_on_one_object_have_its_area(tmp_path, panning):
    xy, seen, labels = moving()
    seen[2, 1] = False
    annotated = np.arange(6) < 2
    info = ClipInfo(visibility_known=False)
    video = panning(6, (32, 24), (1, 0))
    tracks = TrueTracks(xy, seen, object_ids=torch.tensor([4, 4]))
    write_clip(tmp_path / "one" / "a", Clip("a", video, info, tracks, labels, annotated))
    (example,) = load_examples(f"clips:{tmp_path / 'one'}")
    assert example.area[:2].tolist() == [0, 20] and torch.isnan(example.area[2:]).all()
    assert not example.visibility_known and not example.evaluated[2, 1]
    tracks = TrueTracks(xy, seen, object_ids=torch.tensor([4, 0]))
    write_clip(tmp_path / "two" / "a", Clip("a", video, info, tracks, labels, annotated))
    assert next(load_examples(f"clips:{tmp_path / 'two'}")).area is None


def test_masks_of_clips(tmp_path, panning, caplog):
    _, _, labels = moving()
    labels[3, 0, 0], labels[4, 2:6, 9:11] = 255, 7
    video = panning(6, (32, 24), (1, 0))
    info = ClipInfo(objects={4: "cow", 5: "ghost"})
    write_clip(tmp_path / "set" / "b", Clip("b", video, info, labels=labels))
    write_clip(tmp_path / "set" / "empty", Clip("c", video, labels=labels * 0))
    write_clip(tmp_path / "set" / "none", SourceClip("d", video.frames))
    (example,) = load_mask_examples(f"clips:{tmp_path / 'set'}")
    assert example.name == "set/b" and "objects [5]" in caplog.text
    assert example.starts() == {4: 1} and int(example.void.sum()) == 1
    assert example.counted()[:, 0].tolist() == [False, False, True, True, True, False]
    first = ClipInfo(first_masks_only=True)
    write_clip(tmp_path / "first" / "b", Clip("b", video, first, labels=labels))
    (example,) = load_mask_examples(f"clips:{tmp_path / 'first'}")
    assert example.starts() == {4: 1, 7: 4} and not example.counted().any()


def test_clips_without_what_is_asked_for(tmp_path, panning):
    xy, seen, labels = moving()
    video = panning(6, (32, 24), (1, 0))
    write_clip(tmp_path / "masks" / "a", Clip("a", video, labels=labels))
    write_clip(tmp_path / "tracks" / "a", Clip("a", video, tracks=TrueTracks(xy, seen)))
    with pytest.raises(ValueError, match="masks go with `eval-masks`"):
        list(load_examples(f"clips:{tmp_path / 'masks'}"))
    with pytest.raises(ValueError, match="points go with `eval`"):
        list(load_mask_examples(f"clips:{tmp_path / 'tracks'}"))
    for load in (load_examples, load_mask_examples):
        with pytest.raises(FileNotFoundError, match="pointtrack data convert"):
            list(load(f"clips:{tmp_path / 'nowhere'}"))


def test_truth_in_other_units_is_not_measured_on(panning, tmp_path):
    """A truth in 0..1 lies within a pixel everywhere, which gave an AJ of 100."""
    xy, seen, _ = moving()
    write_clip(
        tmp_path / "set" / "a",
        Clip("a", panning(6, (32, 24), (1, 0)), tracks=TrueTracks(xy / torch.tensor([32.0, 24.0]), seen)),
    )
    with pytest.raises(ValueError, match=r"set.a: xy: expected pixels .* shares of the image.*data check"):
        list(load_examples(f"clips:{tmp_path / 'set'}"))
