"""Fine-tuning: labels are true where they count, the guard keeps the start, and a stopped run goes on."""

import json
import re
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from evaluation.points.datasets import clip_example
from pointtrack.cli.runner import run_command
from pointtrack.datasets.format import list_clips, read_clip, write_clip
from pointtrack.io.video import write_video
from pointtrack.models.checkpoint import load_checkpoint
from pointtrack.types import Queries, Tracks, Video
from tests.support import short_runs
from tests.support.panning_clip import panning
from tests.support.short_runs import BreakingOff, Stopped, losses_on
from train.cli import train_command
from train.cli_finetune import NOTHING_WRITTEN, finetune_command
from train.data.agreed import AgreedBatch, AgreedClips
from train.data.synthetic import SceneConfig
from train.finetune import FineTuneTask, Guard, GuardConfig
from train.loop import run
from train.pseudo_labels import (
    LabelConfig,
    View,
    agreed_tracks,
    find_videos,
    label_command,
    label_videos,
    views_of,
)
from train.tasks.spoiling import SpoilConfig
from train.tasks.tracking import agreed_loss, track_windows

STEP = torch.tensor([2.0, -1.0])  # of the panning clip, pixels per frame
SCENE = SceneConfig(frames=6, sizes=((64, 48),), points=12, query_frames=3)
LOOP = replace(short_runs.LOOP, validate_every=1, save_every=1)
LABELS = LabelConfig(frames=8, spans=1, points=10, agree_px=2.0)


class Follower:
    """A teacher that knows how the clip moves; it errs on the points and frames that it is told to err on."""

    def __init__(self, name="follower", errs=lambda frame, queries: None, hides=lambda frame, queries: None):
        self.name, self.errs, self.hides = name, errs, hides

    def track(self, video, queries):
        frame = torch.arange(len(video))[:, None]
        xy = queries.xy + (frame - queries.frame)[..., None] * STEP
        wrong, hidden = self.errs(frame, queries), self.hides(frame, queries)
        if wrong is not None:
            xy = xy + 9.0 * wrong[..., None]
        sure = torch.ones(xy.shape[:2])
        seen = sure if hidden is None else sure * ~hidden
        return Tracks(xy, seen, sure, queries, video.wh)


def requested():
    xy = torch.tensor([[40.0, 60.0], [50.0, 60.0], [60.0, 50.0], [100.0, 60.0]])
    return Queries(torch.tensor([0, 0, 4, 0]), xy)


def test_labels_count_where_all_agree():
    """Point 1 goes astray from frame 5 on in one view; point 0 is hidden on frames 2 and 3 in another."""
    video = panning(frames=12).video
    astray = Follower(errs=lambda frame, q: (frame >= 5) & (q.ids == 1))
    hidden = Follower(hides=lambda frame, q: (frame >= 2) & (frame <= 3) & (q.ids == 0))
    config = LabelConfig(frames=8, agree_px=2.0, least=0.1)
    labels = agreed_tracks(video, requested(), [Follower(), astray, hidden], config)
    assert len(labels.ids) == 4 and torch.equal(labels.valid, labels.visible)
    frame = torch.arange(12)[:, None]
    truth = requested().xy + (frame - requested().frame)[..., None] * STEP
    assert torch.allclose(labels.xy[labels.valid], truth[labels.valid], atol=1e-4)
    assert labels.valid[:, 0].tolist() == [number not in (2, 3) for number in range(12)]
    assert labels.valid[:, 1].tolist() == [number < 5 for number in range(12)]
    assert labels.valid[:, 2].all()
    inside = truth[:, 3, 0] <= 119.5
    assert torch.equal(labels.valid[:, 3], inside) and not inside.all()
    few = agreed_tracks(video, requested(), [Follower(), astray, hidden], replace(config, least=0.9))
    assert torch.allclose(few.xy[0], truth[0][[2]])  # point 0 has 10 of 12 frames, too few


def test_where_most_views_are_enough_the_others_learn_from_them():
    """Point 1 goes astray in one view of three, point 2 in two of three, from frame 5 on; point 0 is unsure in one."""
    video = panning(frames=12).video
    once = Follower(errs=lambda frame, q: (frame >= 5) & ((q.ids == 1) | (q.ids == 2)))
    twice = Follower(
        errs=lambda frame, q: -2 * ((frame >= 5) & (q.ids == 2)),
        hides=lambda frame, q: (frame == 7) & (q.ids == 0),
    )
    queries, views = requested().select([0, 1, 2]), [once, Follower(), twice]
    labels = agreed_tracks(
        video, queries, views, LabelConfig(frames=8, agree_px=2.0, agreeing=0.6, least=0.1)
    )
    frame = torch.arange(12)[:, None]
    truth = queries.xy + (frame - queries.frame)[..., None] * STEP
    assert torch.allclose(labels.xy[labels.valid], truth[labels.valid], atol=1e-4)
    # The way back is asked of the view that agrees most often, which knows it.
    assert labels.valid[:, :2].all()
    assert labels.valid[:5, 2].all() and not labels.valid[5:, 2].any()


def test_the_way_back_must_lead_home():
    """All views agree, yet from a later frame the teacher does not find point 1 again."""
    video = panning(frames=12).video
    lost = Follower(errs=lambda frame, q: (frame < q.frame) & (q.ids == 1) & (q.frame > 6))
    labels = agreed_tracks(video, requested(), [lost, Follower()], LABELS)
    assert torch.allclose(labels.xy[0, :, 0], torch.tensor([40.0, 52.0, 100.0]))
    assert agreed_tracks(video, requested().select([1]), [lost, Follower()], LABELS) is None


def test_views_answer_in_pixels_of_the_video(tiny_tracker):
    """A still video: every view finds every point where it was asked for."""
    video = panning().video
    still = Video(np.repeat(video.frames[:1], 6, axis=0))
    first = replace(tiny_tracker.config, window=replace(tiny_tracker.config.window, iterations=0))
    tiny_tracker.config = first  # matching alone: the random refinement would move points
    queries = requested().select([0, 1, 3])
    views = views_of(tiny_tracker, LABELS)
    assert [view.name for view in views] == ["as it is", "mirrored", "smaller"]
    for view in views:
        answer = view.track(still, queries)
        assert (answer.xy - queries.xy).norm(dim=-1).max() < 8, view.name
    assert views[2].tracker.config.input_area < 0.5 * views[0].tracker.config.input_area
    more = views_of(tiny_tracker, replace(LABELS, larger=1.2))
    assert [view.name for view in more[3:]] == ["larger", "mirrored and larger"] and more[4].mirrored
    assert more[3].tracker.config.input_area > 1.4 * views[0].tracker.config.input_area
    fixed = View("fixed", tiny_tracker).tracker
    fixed.config = replace(fixed.config, input_wh=(96, 64))
    assert len(views_of(fixed, LABELS)) == 2


def test_a_mirrored_view_asks_for_the_same_pixels(monkeypatch):
    video, queries, seen = panning().video, requested(), []
    monkeypatch.setattr(
        "train.pseudo_labels.track_video",
        lambda tracker, video, queries: seen.append((video, queries)) or Follower().track(video, queries),
    )
    answer = View("mirrored", None, mirrored=True).track(video, queries)
    turned, turned_queries = seen[0]
    for (x, y), (u, v), frame in zip(queries.xy.int(), turned_queries.xy.int(), queries.frame, strict=True):
        assert np.array_equal(video.frames[frame, y, x], turned.frames[frame, v, u])
    assert torch.equal(answer.xy[0, 0], queries.xy[0])
    assert answer.xy[1, 0].tolist() == [40.0 - 2.0, 59.0]  # it moved right in the mirror, so left in truth


def test_labels_are_made_once(tmp_path):
    write_video(tmp_path / "pan.mp4", panning(frames=18).video)
    videos = find_videos(tmp_path)
    out = tmp_path / "labels"
    config = replace(LABELS, spans=2)
    clips, kept, known = label_videos(videos, [Follower()], config, out)
    assert clips == 2 and kept > 0.5 and 0.25 <= known <= 1
    assert [path.name for path in list_clips(out)] == ["00000", "00010"]
    clip = read_clip(out / "pan.mp4" / "00010")
    assert len(clip.video) == 8 and clip.tracks.query_frame.unique().tolist() == [0, 4]
    assert not clip.info.visibility_known and clip.info.notes["views"] == ["follower"]

    class Refuses(Follower):
        def track(self, video, queries):
            raise AssertionError("asked again")

    assert label_videos(videos, [Refuses()], config, out) == (clips, kept, known)
    batch = AgreedClips([out], SCENE, 2, 0)[0].to("cpu")
    assert isinstance(batch, AgreedBatch) and batch.visible.gather(1, batch.query_frame[:, None]).all()
    assert not batch.visible.all()


def test_only_labels_that_count_are_in_the_loss(tiny_tracker):
    task = FineTuneTask(tiny_tracker, Guard([clip_example(panning())]), GuardConfig(), {"davg": 0.0})
    frames = torch.from_numpy(panning().video.frames[:6]).permute(0, 3, 1, 2)[None]
    xy = requested().xy + torch.arange(6)[:, None, None] * STEP
    visible = torch.ones(1, 6, 4, dtype=torch.bool)
    visible[:, 3:, 1] = False
    query_frame = torch.zeros(1, 4, dtype=torch.int64)
    batch = AgreedBatch(frames[..., :88, :], xy[None], visible, query_frame)
    loss = task(batch)[0]
    assert loss.requires_grad
    changed = replace(batch, xy=torch.where(visible[..., None], batch.xy, 1e4))
    assert torch.equal(task(changed)[0], loss)
    changed = replace(batch, xy=batch.xy + 5.0 * visible[..., None])
    assert not torch.equal(agreed_loss(track_windows(tiny_tracker, changed, 8, 4), changed)[0], loss)


@pytest.fixture
def clip():
    return clip_example(panning(frames=10, labels=False))


def task_for(tracker, clip, **limits):
    guard = Guard([clip])
    return FineTuneTask(tracker, guard, GuardConfig(**limits), guard.measure(tracker))


class Batches(torch.utils.data.Dataset):
    """Labels with exact truth from the panning clip."""

    def __init__(self, folder):
        self.clips = AgreedClips([folder], SCENE, 1, 0)

    def __getitem__(self, index):
        return self.clips[index % 2]


@pytest.fixture
def folder(tmp_path):
    write_clip(tmp_path / "own" / "pan", panning(frames=10, labels=False))
    return tmp_path / "own"


def test_the_guard_stops_a_destructive_run_and_keeps_the_start(tiny_tracker, clip, folder, tmp_path):
    tiny_tracker.config = replace(tiny_tracker.config, input_area=64 * 48)
    task = task_for(tiny_tracker, clip, margin=0.5, patience=2)
    wild = replace(LOOP, steps=30, learning_rate=3.0)
    after = run(task, Batches(folder), wild, tmp_path / "run")
    assert after.is_finished() and 2 <= len(after.checks) < 30
    assert not after.is_better and not (tmp_path / "run" / "model.safetensors").exists()
    assert all(after.figure(one) < after.figure(after.start) - 0.5 for one in after.checks[-2:])
    assert len(run(task, Batches(folder), wild, tmp_path / "run").checks) == len(after.checks)


def test_what_is_kept_is_what_was_measured(tiny_tracker, clip, folder, tmp_path):
    task = task_for(tiny_tracker, clip)
    task.best = 0.0  # so that the first check counts as better
    after = run(task, Batches(folder), replace(LOOP, steps=2), tmp_path / "run")
    kept = load_checkpoint(tmp_path / "run" / "model.safetensors")
    assert after.is_better and after.figure(Guard([clip]).measure(kept)) == after.best
    assert after.best == max(after.figure(one) for one in after.checks)


def test_a_stopped_run_goes_on_with_its_checks(tiny_tracker, clip, folder, tmp_path):
    fresh = task_for(tiny_tracker, clip, margin=100)
    whole = run(deepcopy(fresh), Batches(folder), LOOP, tmp_path / "whole")
    with pytest.raises(Stopped):
        run(deepcopy(fresh), BreakingOff(Batches(folder), 2), LOOP, tmp_path / "parts")
    resumed = run(deepcopy(fresh), Batches(folder), LOOP, tmp_path / "parts")
    assert len(whole.checks) == 4 and resumed.checks == whole.checks


def test_learning_lowers_the_loss_on_the_clips(tiny_tracker, clip, folder):
    task = task_for(tiny_tracker, clip)
    losses = losses_on(Batches(folder)[0], task, steps=25)
    assert losses[-1] < 0.9 * losses[0]


OPTIONS = (
    "--scene.sizes [[64,48]] --scene.frames 6 --scene.points 8 --scene.query_frames 3 --loop.steps 2 --loop.validate_every 1 "
    "--loop.accelerator cpu --loop.bf16 false --limits.clips 1 --limits.margin 100 --batch 1 --labels.frames 8 --labels.points 8 "
    "--labels.agree_px 500 --labels.confidence 0"
)


def command(*arguments):
    return run_command(
        lambda: finetune_command, [*map(str, arguments), *OPTIONS.split()], "pointtrack finetune"
    )


def test_the_command(folder, tiny_tracker_file, tmp_path, capsys):
    out = tmp_path / "out"
    given = ("--out", out, "--init", tiny_tracker_file)
    code = command(folder, *given)
    told = capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert len(report["checks"]) == 2 and not report["stopped_by_guard"]
    assert code == (0 if report["written"] else NOTHING_WRITTEN)
    assert (out / "model.safetensors").exists() == report["written"]
    figure = FineTuneTask.figure
    assert report["written"] == any(figure(one) >= figure(report["start"]) for one in report["checks"])
    assert "before    AJ" in told and "labels" not in told
    assert command(folder, *given) == code  # finished: only reported again
    assert command(folder, *given, "--share", "0.2") == 2
    assert "other share; choose another --out" in capsys.readouterr().err
    assert command(folder, "--out", tmp_path / "o2", "--guard", folder) == 2
    assert "guard: expected other clips" in capsys.readouterr().err
    video = write_video(tmp_path / "pan.mp4", panning(frames=10).video)
    assert command(video, "--out", tmp_path / "o3", "--init", tiny_tracker_file) in (0, NOTHING_WRITTEN)
    assert "3 views agree on" in capsys.readouterr().out


def test_a_run_that_made_nothing_yet_takes_other_settings(
    folder, tiny_tracker_file, tmp_path, monkeypatch, capsys
):
    given = ("--out", tmp_path / "out", "--init", tiny_tracker_file)
    assert command(folder, *given, "--share", "2") == 2
    assert "share: expected the share of your own clips, 0 to 1, got 2" in capsys.readouterr().err
    monkeypatch.setattr(
        "train.cli_finetune.MixedClips", lambda *given: (_ for _ in ()).throw(ValueError("none"))
    )
    assert command(folder, *given, "--batch", "2") == 2  # a mistake that shows after the guard has measured
    assert (tmp_path / "out" / "settings.json").is_file()
    monkeypatch.undo()
    assert command(folder, *given, "--share", "0.2") in (0, NOTHING_WRITTEN)


def test_labels_and_spoilt_guesses_for_training(tiny_tracker_file, tmp_path, monkeypatch, capsys):
    """The commands of a run that learns from real video: label it, then train with the labels."""
    monkeypatch.setattr("train.cli.HELD_OUT", 1)
    monkeypatch.setattr("train.pseudo_labels.views_of", lambda tracker, config: [Follower()])
    video = write_video(tmp_path / "pan.mp4", panning(frames=18).video)
    label_command(video, tmp_path / "labels", str(tiny_tracker_file), labels=LABELS)
    assert "1 clip in" in capsys.readouterr().out
    options = {"scene": SCENE, "loop": LOOP, "init": tiny_tracker_file, "labels": str(tmp_path / "labels")}
    train_command("tracking", tmp_path / "run", **options, labels_share=1.0, spoil=SpoilConfig(), batch=2)
    log = (tmp_path / "run" / "log.csv").read_text()
    assert "agreed" in log and (tmp_path / "run" / "model.safetensors").is_file()
    with pytest.raises(ValueError, match="expected task tracking with them, got matching"):
        train_command("matching", tmp_path / "other", **options)


def test_clear_errors(tiny_tracker_file, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    write_video(tmp_path / "short" / "a.mp4", panning(frames=3).video)
    given = ("--out", tmp_path / "out", "--init", tiny_tracker_file)
    for folder, options, message in (
        (tmp_path / "none", (), "found none at"),
        (tmp_path / "empty", (), "expected videos .* found none"),
        (tmp_path / "short", (), "expected a video of at least 8 frames, got 3 at most"),
        (tmp_path / "short", ("--mode", "tracks"), "expected clips with tracks.npz"),
        (tmp_path / "short", ("--rounds", "0"), "at least 1 round"),
    ):
        assert command(folder, *given, *options) == 2
        error = capsys.readouterr().err
        assert re.search(message, error), error


def test_published_trackers_are_refused(tiny_tracker, clip):
    window = replace(tiny_tracker.config.window, start="repeat")
    tiny_tracker.config = replace(tiny_tracker.config, window=window)
    with pytest.raises(ValueError, match="published ones can be teachers"):
        FineTuneTask(tiny_tracker, Guard([clip]), GuardConfig(), {"davg": 0.0})


def test_finding_videos(tmp_path):
    write_clip(tmp_path / "set" / "clip", panning(frames=2))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "0.png").write_bytes(b"")
    (tmp_path / "a.mp4").write_bytes(b"")
    names = dict(find_videos(tmp_path))
    assert set(names) == {"set-clip", "pictures", "a.mp4"}
    assert names["set-clip"].name == "frames"
