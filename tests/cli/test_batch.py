"""The command `pointtrack batch`, as typed."""

from __future__ import annotations

import re
import shutil
import signal

import pytest

import pointtrack as pt
from pointtrack.cli.main import main
from pointtrack.fleet import run as runner
from tests.support.clips import InlineExecutor, write_broken, write_clips


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Videos, whole and broken, which are encoded once."""
    made = tmp_path_factory.mktemp("videos")
    write_clips(made, 4)
    write_broken(made, hangs=False)
    return made


@pytest.fixture
def folder(clips, tmp_path):
    """A folder of one's own, with the videos in `clips`."""
    shutil.copytree(clips, tmp_path / "clips")
    return tmp_path


@pytest.mark.usefixtures("quick_starts")
def test_a_folder_with_two_workers_then_status_then_retry(folder, tiny_tracker_file, capsys):
    clips, out = str(folder / "clips"), str(folder / "out")
    options = ["--grid", "3", "--tracker", str(tiny_tracker_file), "--device", "cpu", "--limit-frames", "20"]
    assert main(["batch", clips, "--out", out, "--workers", "2", *options]) == 3
    printed, warned = capsys.readouterr()
    assert "videos    9: 4 done, 5 put aside, 0 left" in printed
    assert "now       9 videos" in printed
    assert f"reasons   in {out}/logs" in printed
    assert len(list((folder / "out" / "logs").rglob("*.log"))) >= 5
    assert warned == ""
    assert len(pt.load_tracks(folder / "out" / "tracks" / "odd" / "clip001.mp4.npz").ids) == 9
    assert main(["batch", out, "--status"]) == 0
    printed = capsys.readouterr().out
    assert "videos    4 done, 5 put aside, 0 needed more than one attempt" in printed
    assert "reasons   unreadable 4, frames 1" in printed
    assert re.search(r"share_visible +\S+clip00\d.mp4 ", printed)
    assert main(["batch", clips, "--out", out, *options]) == 3
    assert "now       0 videos, 0 frames in 0.0 s" in capsys.readouterr().out
    options[-1] = "30"
    assert main(["batch", clips, "--out", out, "--workers", "1", *options, "--retry", "failed"]) == 3
    assert "videos    9: 5 done, 4 put aside, 0 left" in capsys.readouterr().out


@pytest.mark.usefixtures("quick_starts")
def test_a_dry_run_writes_nothing_and_estimates(folder, tiny_tracker_file, capsys):
    arguments = ["batch", str(folder / "clips"), "--out", str(folder / "out"), "--dry-run", "--workers", "2"]
    assert main([*arguments, "--grid", "3", "--tracker", str(tiny_tracker_file)]) == 0
    printed = capsys.readouterr().out
    assert "videos    9: 0 done, 0 put aside, 9 to do" in printed
    assert re.search(
        r"sampled   3 videos: \S+ s a frame for one worker \(\S+ to \S+\); \d+ \+- \d+ frames a video",
        printed,
    )
    assert re.search(
        r"estimate  \d+ s with 2 workers \(\d+ s to \d+ s\); \S+ worker-hours; \S+ MB of results", printed
    )
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("batch", "expected one|required: source|required"),
        ("batch {dir}/clips", "out: expected --out with a folder"),
        (
            "batch {dir}/none --out {dir}/o",
            "expected a folder, a pattern or a manifest of videos, found nothing",
        ),
        ("batch {dir}/none --status", "expected the results of a batch, found no ledger"),
        ("batch {dir}/clips --out {dir}/o --shard 1", "shard: expected i/n"),
        ("batch {dir}/clips --out {dir}/o --workers many", "workers: expected .*, got .*many"),
        ("batch {dir}/clips --out nosuch://b/o --grid 3", "nosuch://b/o.*expected s3://"),
    ],
)
def test_mistakes_get_one_clear_line(folder, arguments, message, capsys):
    assert main(arguments.format(dir=folder).split()) == 2
    out, err = capsys.readouterr()
    assert err.startswith("pointtrack: error: ")
    assert err.count("\n") == 1
    assert re.search(message, err), err


def test_a_preset_says_what_to_do_and_a_stopped_batch_what_is_kept(
    folder, tiny_tracker_file, capsys, monkeypatch
):
    """In this process: workers of their own are in the first test."""
    asked = []

    def executor(setup, run):
        asked.append(run.workers)
        return StoppedExecutor(setup) if len(asked) == 1 else InlineExecutor(setup)

    monkeypatch.setattr("torch.set_num_threads", lambda count: None)  # of this process, for later tests
    monkeypatch.setattr(runner, "make_executor", executor)
    preset = folder / "preset.yaml"
    preset.write_text(
        f"grid: 2\ntracker: {tiny_tracker_file}\ndevice: cpu\nformat: parquet\nlimit_frames: 20\nworkers: 1\n"
    )
    arguments = [
        "batch",
        f"{folder}/clips/even",
        "--config",
        str(preset),
        "--out",
        f"{folder}/o",
        "--pack",
        "5",
    ]
    assert main(arguments) == 143
    assert capsys.readouterr().err == (
        "pointtrack: stopped; 1 of 2 videos are done and kept; the same command does the others\n"
    )
    assert main(arguments) == 0
    assert "now       1 video" in capsys.readouterr().out
    assert asked == [1, 1]
    (part,) = (folder / "o" / "tracks").iterdir()
    import pyarrow.parquet as pq

    assert sorted(set(pq.read_table(part)["video"].to_pylist())) == ["clip000.mp4", "clip002.mp4"]


class StoppedExecutor(InlineExecutor):
    """Gets SIGTERM after its first video."""

    def run(self, tasks):
        for row in super().run(tasks):
            yield row
            signal.raise_signal(signal.SIGTERM)
