"""Batches from folders of clips: the same for the same number, and truth that still lies on its pixels."""

import numpy as np
import pytest
import torch

from pointtrack.cli.runner import run_command
from pointtrack.datasets.clip import Clip, SourceClip, TrueTracks
from pointtrack.datasets.format import read_clip, write_clip
from pointtrack.datasets.validate import check_clip
from pointtrack.geometry import sample_features
from pointtrack.models.checkpoint import load_checkpoint
from tests.support.panning_clip import panning
from train.cli import train_command
from train.data.clips import FolderClips, MixedClips, Window, choose_window, draw_queries, known_points
from train.data.export_clips import export_clips
from train.data.synthetic import SceneConfig, SyntheticClips
from train.data.textures import procedural_bank

SCENE = SceneConfig(frames=5, sizes=((64, 48),), points=30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    for number in range(2):
        write_clip(root / f"pan{number}", panning(seed=number))
    write_clip(root / "still", SourceClip("still", panning().video.frames[:1]))
    return root


def test_batches_are_numbered(folder):
    clips = FolderClips([folder], SCENE, 2, 3)
    one, other = clips[4], FolderClips([folder], SCENE, 2, 3)[4]
    assert len(clips.clips) == 2
    for name in ("frames", "xy", "visible", "query_frame", "objects"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert not torch.equal(one.frames, clips[5].frames)
    assert not torch.equal(one.frames, FolderClips([folder], SCENE, 2, 4)[4].frames)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"query_frames": 2},
        {"shuffled": True},
        {"frames": 20},
        {"frames": 20, "shuffled": True},
        {"points": 900},
    ],
)
def test_batches_fit_together(folder, changes):
    config = SceneConfig(**{"frames": 5, "sizes": ((64, 48),), "points": 30, **changes})
    for index in range(3):
        batch = FolderClips([folder], config, 2, 0)[index]
        assert batch.frames.shape == (2, config.frames, 3, 48, 64) and batch.frames.dtype == torch.uint8
        assert batch.xy.shape == (2, config.frames, config.points, 2) and torch.isfinite(batch.xy).all()
        assert batch.visible.gather(1, batch.query_frame[:, None]).all()
        assert int(batch.query_frame.max()) < (config.query_frames or config.frames)
        inside = ((batch.xy >= -0.5) & (batch.xy <= torch.tensor([63.5, 47.5]))).all(-1)
        assert torch.equal(batch.visible, inside)  # nothing covers anything in these clips
        assert batch.objects.shape == (2, config.frames, 48, 64)


def test_points_keep_their_looks(folder):
    """Also mirrored, cut out, resized and backward: a point's pixels go along, the place beside it does not."""
    right, beside = [], []
    for index in range(8):
        batch = FolderClips([folder], SceneConfig(frames=4, sizes=((96, 80),), points=60), 1, 1)[index]
        appearance = sample_features(batch.frames[0].float(), batch.xy[0])
        other = sample_features(batch.frames[0].float(), batch.xy[0] + torch.tensor([5.0, 0.0]))
        # Light changes over a clip: what counts is the pattern of all points.
        appearance, other = (value - value.mean(dim=1, keepdim=True) for value in (appearance, other))
        query = appearance.gather(0, batch.query_frame[0][None, :, None].expand(1, -1, 3))[0]
        right.append((appearance - query).abs().mean(-1)[batch.visible[0]])
        beside.append((other - query).abs().mean(-1)[batch.visible[0]])
    assert torch.cat(right).median() < 0.5 * torch.cat(beside).median()


def test_labels_go_along(folder):
    """The square is brighter than all else, so its label says where it is."""
    for index in range(4):
        batch = FolderClips([folder], SCENE, 1, 2)[index]
        bright = batch.frames[0].float().mean(dim=1)
        on = batch.objects[0] == 1
        if 20 < int(on[0].sum()) < on[0].numel() - 20:
            assert bright[on].mean() > bright[~on].mean() + 20


def test_labels_are_left_out_where_a_clip_has_none(tmp_path):
    write_clip(tmp_path / "a", panning(labels=False))
    assert FolderClips([tmp_path], SCENE, 1, 0)[0].objects is None


def test_a_window_moves_points_as_pixels():
    picture = np.zeros((60, 80), np.float32)
    picture[33, 47] = 1
    window = Window(20, 12, 48, 36)
    for wh in ((96, 72), (48, 36), (24, 18)):
        small = window.picture(picture, wh)
        weight = small / small.sum()
        y, x = np.mgrid[: wh[1], : wh[0]]
        centre = [(weight * x).sum(), (weight * y).sum()]
        assert window.points(torch.tensor([47.0, 33.0]), wh).tolist() == pytest.approx(centre, abs=0.3)


def test_windows_look_for_points():
    xy = torch.rand(3, 40, 2) * 20
    tracks = TrueTracks(xy, torch.ones(3, 40, dtype=torch.bool))
    random = np.random.default_rng(0)
    for _ in range(20):
        window = choose_window(tracks, (400, 300), (64, 64), random)
        assert window.left + window.width <= 400 and window.top + window.height <= 300
        assert window.left < 15 and window.top < 15
        assert 0.44 <= window.width / window.height * 300 / 300 <= 2.3


def test_points_that_are_not_known_throughout_are_left_out():
    visible = torch.ones(4, 3, dtype=torch.bool)
    valid = visible.clone()
    valid[2, 1], visible[:2, 2] = False, False
    tracks = TrueTracks(torch.zeros(4, 3, 2), visible & valid, valid)
    assert known_points(tracks, np.array([0, 1, 2])).ids.tolist() == [0, 2]
    assert known_points(tracks, np.array([1, 0])).ids.tolist() == [0, 1]


def test_a_short_clip_runs_to_and_fro(folder):
    clips = FolderClips([folder], SceneConfig(frames=20), 1, 0)
    for seed in range(5):
        order = clips._order(6, np.random.default_rng(seed))
        assert len(order) == 20 and set(order.tolist()) == set(range(6))
        assert (np.abs(np.diff(order)) == 1).all()


def test_queries_are_drawn_evenly():
    visible = torch.zeros(5, 4, dtype=torch.bool)
    visible[1, 0] = visible[2:4, 1] = visible[0, 3] = True
    point, frame = draw_queries(visible, 9, np.random.default_rng(0))
    assert sorted(point.tolist()) == [0] * 3 + [1] * 3 + [3] * 3
    assert visible[frame, point].all()


def test_mixing():
    synthetic, clips = ([(source, i) for i in range(12)] for source in ("synthetic", "clips"))
    mixed = MixedClips(synthetic, clips, 0.5, 7)
    made = [mixed[i] for i in range(12)]
    assert all(batch in (synthetic[i], clips[i]) for i, batch in enumerate(made))
    assert 2 < sum(batch in clips for batch in made) < 10
    assert MixedClips(synthetic, clips, 0.0, 7)[1] == synthetic[1]
    assert MixedClips(synthetic, clips, 1.0, 7)[1] == clips[1]
    with pytest.raises(ValueError, match="expected 0 to 1, got 2"):
        MixedClips(synthetic, clips, 2, 7)


def test_wrong_tracks_are_refused_before_training(tmp_path):
    clip = panning()
    for name, xy, message in (
        ("shares", clip.tracks.xy / 64, "look like shares of the image: .* data check"),
        ("outside", clip.tracks.xy + 500, "inside the .* image, got 100% outside"),
    ):
        tracks = TrueTracks(xy, clip.tracks.visible)
        write_clip(tmp_path / name / "a", Clip("a", clip.video, tracks=tracks))
        with pytest.raises(ValueError, match=message):
            FolderClips([tmp_path / name], SCENE, 1, 0)


def test_clips_that_cannot_be_learnt_from(tmp_path):
    clip = panning()
    write_clip(tmp_path / "bare" / "a", SourceClip("a", clip.video.frames))
    with pytest.raises(ValueError, match="expected clips with tracks in .*bare, got 1 without"):
        FolderClips([tmp_path / "bare"], SCENE, 1, 0)
    now_and_then = (torch.arange(14) % 7 == 0)[:, None].expand(-1, 4)
    tracks = TrueTracks(torch.full((14, 4, 2), 20.0), now_and_then, now_and_then)
    write_clip(tmp_path / "sparse" / "a", Clip("a", clip.video, tracks=tracks))
    with pytest.raises(ValueError, match="known on 5 frames in a row"):
        FolderClips([tmp_path / "sparse"], SCENE, 1, 0)[0]


def test_synthetic_clips_become_files(tmp_path, capsys):
    scene = SceneConfig(frames=6, sizes=((96, 64),), points=40)
    export_clips(tmp_path / "held", 2, seed=5, scene=scene)
    assert "2 in" in capsys.readouterr().out
    bank = procedural_bank(3, torch.Generator().manual_seed(6))
    batch = SyntheticClips(bank, scene, 1, 5)[1]
    clip = read_clip(tmp_path / "held" / "clip-00001")
    assert np.array_equal(clip.video.frames, batch.frames[0].permute(0, 2, 3, 1))
    assert torch.equal(clip.tracks.xy, batch.xy[0]) and torch.equal(clip.tracks.visible, batch.visible[0])
    assert torch.equal(clip.tracks.query_frame, batch.query_frame[0])
    assert np.array_equal(clip.labels, batch.objects[0]) and clip.info.seed == 5
    assert clip.info.notes["number"] == 1 and "any use" in clip.info.licence
    assert all(found.level == "warning" for found in check_clip(tmp_path / "held" / "clip-00001"))
    export_clips(tmp_path / "held", 3, seed=5, scene=scene)
    assert len(list((tmp_path / "held").iterdir())) == 3
    with pytest.raises(ValueError, match="at least 1 clip"):
        export_clips(tmp_path, 0)


SMALL = (
    "--task tracking --scene.sizes [[64,48]] --scene.frames 4 --scene.points 8 --scene.query_frames 2 "
    "--loop.steps 1 --loop.log_every 1 --loop.workers 0 --loop.devices 1 --loop.accelerator cpu --batch 1"
)


def test_training_on_clips(folder, tiny_tracker_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("train.cli.HELD_OUT", 1)
    requested = []
    monkeypatch.setattr(
        FolderClips,
        "__getitem__",
        lambda self, i, get=FolderClips.__getitem__: requested.append(i) or get(self, i),
    )
    arguments = [*SMALL.split(), "--out", str(tmp_path / "run"), "--init", str(tiny_tracker_file)]
    given = ["--clips", f"{folder},{folder / 'pan0'}", "--clips-share", "1"]
    assert run_command(lambda: train_command, [*arguments, *given], "train") == 0
    assert requested == [0]
    assert load_checkpoint(tmp_path / "run" / "model.safetensors").config.name == "tiny"
    elsewhere = [*arguments, "--out", str(tmp_path / "other"), "--clips", str(tmp_path / "none")]
    assert run_command(lambda: train_command, elsewhere, "train") == 2
    assert "expected folders with a clip.json" in capsys.readouterr().err
    segmenting = ["--task", "segmenting", "--out", str(tmp_path / "seg"), "--clips", str(folder)]
    assert run_command(lambda: train_command, segmenting, "train") == 2
    assert "clips: expected task matching, tracking or remembering" in capsys.readouterr().err
