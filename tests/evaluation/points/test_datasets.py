"""Readers: BADJA, the bundled clip, TAP-Vid pickles in each of the four published layouts."""

import pickle

import cv2
import numpy as np
import pytest
import torch

from evaluation.points.datasets import bundled_examples, data_root, load_examples
from evaluation.points.example import Example, sampled_example
from evaluation.points.tapvid import tapvid_examples
from pointtrack.io.video import write_video
from pointtrack.types import Queries, Video


def test_badja(evaluation_data):
    bear, camel = load_examples("badja")
    assert (bear.name, camel.name) == ("badja/bear", "badja/camel")
    assert (len(bear.video), len(camel.video)) == (82, 90)
    assert bear.area is None and not bear.visibility_known
    for example in (bear, camel):
        assert example.video.wh == (854, 480)
        # Only visible annotations after the query count, and the query is the first visible annotation.
        assert not (example.evaluated & ~example.truth_visible).any()
        first = example.truth_visible.int().argmax(dim=0)
        assert torch.equal(example.queries.frame, first)
        assert torch.equal(example.evaluated.sum(dim=0), example.truth_visible.sum(dim=0) - 1)
    assert torch.isfinite(camel.area[camel.evaluated.any(dim=1)]).all()


def test_missing_data_is_explained(monkeypatch, tmp_path):
    monkeypatch.setenv("POINTTRACK_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="POINTTRACK_DATA"):
        data_root()
    monkeypatch.setenv("POINTTRACK_DATA", str(tmp_path))
    for dataset in ("badja", "warp"):
        with pytest.raises(FileNotFoundError, match="expected a"):
            next(load_examples(dataset))
    with pytest.raises(FileNotFoundError, match="clip.mp4"):
        next(bundled_examples(folder=tmp_path))
    with pytest.raises(FileNotFoundError, match="TAP-Vid"):
        next(load_examples(f"tapvid:{tmp_path}/no.pkl"))
    with pytest.raises(ValueError, match="badja, points_dev, boxes_dev, warp, bundled"):
        load_examples("davis")


@pytest.mark.parametrize("mode, expected", [("first", [1, 0]), ("strided", [0, 5, 5])])
def test_bundled_clip(tmp_path, mode, expected, panning):
    write_video(tmp_path / "clip.mp4", panning(8, (64, 48), (1, 0)))
    visible = np.ones((8, 2), bool)
    visible[0, 0] = False
    xy = np.random.default_rng(0).uniform(5, 40, (8, 2, 2)).astype(np.float32)
    np.savez(
        tmp_path / "clip_tracks.npz",
        xy=xy,
        visible=visible,
        query_frame=np.array([1, 0]),
        object_id=[0, 1],
        fps=8,
    )
    (example,) = bundled_examples(mode, tmp_path)
    assert example.queries.frame.tolist() == expected
    assert example.video.wh == (64, 48)
    np.savez(tmp_path / "clip_tracks.npz", xy=xy)
    with pytest.raises(ValueError, match="lacks"):
        next(bundled_examples(mode, tmp_path))


def tapvid_video(seed, textured, jpeg=False, points_type=np.float32):
    generator = np.random.default_rng(seed)
    frames = np.stack([textured((40, 24), seed + t) for t in range(6)])
    occluded = generator.random((3, 6)) < 0.3
    occluded[0] = False
    content = {"points": generator.random((3, 6, 2)).astype(points_type), "occluded": occluded}
    if jpeg:
        encoded = [cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes() for frame in frames]
        return {"video": np.array(encoded, dtype=object), **content}
    return {"video": frames, **content}


LAYOUTS = {
    "tapvid_davis": lambda textured: {"goat": tapvid_video(0, textured), "cows": tapvid_video(9, textured)},
    "tapvid_rgb_stacking": lambda textured: [tapvid_video(i, textured) for i in (0, 9)],
    "0000_of_0010": lambda textured: [tapvid_video(i, textured, True, np.float64) for i in (0, 9)],
    "robotap_split0": lambda textured: {f"video_{i}": tapvid_video(i, textured) for i in (0, 9)},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_tapvid_layouts(tmp_path, layout, protocol, textured):
    content = LAYOUTS[layout](textured)
    path = tmp_path / f"{layout}.pkl"
    data = pickle.dumps(content, protocol)
    if protocol == 2:  # as numpy before version 2 wrote it
        data = data.replace(b"numpy._core.", b"numpy.core.")
    path.write_bytes(data)
    examples = list(load_examples(f"tapvid:{path}"))
    names = content if isinstance(content, dict) else ["0000", "0001"]
    assert [example.name for example in examples] == [f"{layout}/{name}" for name in names]
    example = examples[0]
    source = (
        content["goat"]
        if "goat" in content
        else next(iter(content.values() if names is content else content))
    )
    # Normalised (0, 0) is the outer corner of the first pixel, whose centre is our (0, 0).
    expected = source["points"][0].astype(float) * [40, 24] - 0.5
    np.testing.assert_allclose(example.truth_xy[:, 0], expected, atol=1e-9)
    assert torch.equal(example.truth_visible[:, 0], torch.ones(6, dtype=torch.bool))
    assert example.video.frames.shape == (6, 24, 40, 3)
    error = example.video.frames[3].astype(int) - textured((40, 24), 3)
    assert np.abs(error).mean() < (6 if layout.startswith("0") else 1e-9)  # JPEG loses a little


@pytest.mark.parametrize(
    "content, message",
    [
        (7, "a dict or a list"),
        ({"a": {"video": 1}}, "expected a dict with"),
        (
            [
                {
                    "video": np.zeros((6, 8, 8, 3), np.uint8),
                    "points": np.zeros((3, 6, 2)),
                    "occluded": np.zeros((3, 5)),
                }
            ],
            "expected points",
        ),
        ([pickle.loads], "only numpy arrays"),
    ],
)
def test_other_pickles_are_refused(tmp_path, content, message):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=message):
        list(tapvid_examples(path))


def test_a_point_beyond_the_border_is_asked_for_on_the_border(panning):
    video = panning(2, (32, 24), (0, 0))
    xy = torch.tensor([[[31.7, -0.6]], [[31.7, -0.6]]], dtype=torch.float64)
    example = sampled_example("x/y", video, xy, torch.ones(2, 1, dtype=torch.bool))
    assert example.queries.xy.tolist() == [[31.5, -0.5]]
    assert example.dataset == "x"


def test_example_wants_positions_for_what_counts():
    video = Video(np.zeros((2, 8, 8, 3), np.uint8))
    yes = torch.ones(2, 1, dtype=torch.bool)
    unknown = torch.full((2, 1, 2), float("nan"))
    with pytest.raises(ValueError, match="NaN on frame 0 for point 0"):
        Example("x/y", video, Queries([0], [[1.0, 1.0]]), unknown, yes, yes)
    with pytest.raises(ValueError, match="truth visible"):
        Example("x/y", video, Queries([0], [[1.0, 1.0]]), unknown, yes[:1], yes)
