"""Videos of commands: several in one call, those that are missing, every n-th frame, speeds, sound, progress."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import av
import pytest
import torch

import pointtrack as pt
from pointtrack.cli import main as cli
from pointtrack.cli import progress
from pointtrack.cli.options import VideoOptions, video_target
from pointtrack.cli.progress import Bar
from pointtrack.cli.videos import PICTURE_LIKE, VIDEO_LIKE, missing, names_of, run_each, split_videos
from pointtrack.config import InferenceOptions, TrackerConfig
from pointtrack.io.sources import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from pointtrack.models.locotrack.config import LocoTrackConfig
from pointtrack.models.speed import options_at
from pointtrack.tracking.interpolate import kept_frames, spread
from pointtrack.types import Queries, Source, Tracks
from tests.support.video_files import numbered_frames, with_sound


def test_names_are_told_apart_by_folder():
    assert names_of(["a/x.mp4", "b/x.mp4", "y.mov"]) == ["a_x", "b_x", "y"]
    assert names_of(["1/a/x.mp4", "2/a/x.mp4"]) == ["1_a_x", "2_a_x"]
    assert names_of(["x.mp4", "x.mov"])[0] != names_of(["x.mp4", "x.mov"])[1]
    assert split_videos(["a.mp4", "b.mp4", "--grid", "3"]) == (["a.mp4", "b.mp4"], ["--grid", "3"])


def test_missing_videos_get_a_hint(tmp_path):
    (tmp_path / "dog.mp4").touch()
    assert missing([str(tmp_path / "dgo.mp4")]).endswith(f"did you mean {tmp_path / 'dog.mp4'}?")
    told = (
        f"found a folder of videos (1); name one or several, as {tmp_path / 'dog.mp4'}, or track all of them"
    )
    assert told in missing([str(tmp_path)])
    with pytest.raises(FileNotFoundError, match="found none in it, but videos; name one, as .*dog.mp4$"):
        pt.read_video(tmp_path)
    (tmp_path / "0.png").touch()
    assert missing([str(tmp_path), str(tmp_path / "dog.mp4"), "-", "rtsp://x", "f%04d.png", "*.png"]) is None


def test_only_what_may_be_a_video_is_a_hint(tmp_path):
    for name in ("rot.py", "rots/notes.txt", "rotor/0.PNG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert missing([str(tmp_path / "rot.mp")]).endswith("found nothing")
    assert missing([str(tmp_path / "rotr")]).endswith(f"did you mean {tmp_path / 'rotor'}?")
    (tmp_path / "rot.MP4").touch()
    assert missing([str(tmp_path / "rot.MP")]).endswith(f"did you mean {tmp_path / 'rot.MP4'}?")


def test_names_of_all_videos_and_pictures_are_known():
    assert all(VIDEO_LIKE.search(f"a{suffix}") for suffix in (*VIDEO_SUFFIXES, *PICTURE_SUFFIXES))
    assert all(PICTURE_LIKE.search(f"a{suffix}") for suffix in PICTURE_SUFFIXES)
    assert not any(PICTURE_LIKE.search(f"a{suffix}") for suffix in VIDEO_SUFFIXES)


def test_several_videos_in_one_call(tiny_video_file, tiny_tracker_file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    videos = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        videos.append(tmp_path / folder / "clip.mp4")
        videos[-1].write_bytes(tiny_video_file.read_bytes())
    (tmp_path / "broken.mp4").write_text("no video")
    arguments = [*map(str, videos), str(tmp_path / "broken.mp4"), "--points", "0,10,20"]
    assert cli.main([*arguments, "--tracker", str(tiny_tracker_file)]) == 2
    printed = capsys.readouterr()
    assert "video 2 of 3" in printed.out
    assert re.search(r"videos    3: 2 done, failed: .*broken.mp4", printed.out)
    for name in ("one_clip", "two_clip"):
        assert len(pt.load_tracks(tmp_path / "outputs" / f"{name}.npz")) == 6


@pytest.mark.parametrize("code", [130, 143])
def test_a_stop_ends_all_of_several_videos(code, capsys):
    assert run_each(["a.mp4", "b.mp4"], [], lambda words: code) == code
    assert "video 2" not in capsys.readouterr().out


def test_every_second_frame(tiny_video_file, tiny_tracker_file, tmp_path, capsys):
    arguments = [
        "track",
        str(tiny_video_file),
        "--every",
        "2",
        "--points",
        "0,10,20",
        "3,30,20",
        "--export",
        "csv",
    ]
    assert cli.main([*arguments, "--tracker", str(tiny_tracker_file), "--out", str(tmp_path)]) == 0
    tracks = pt.load_tracks(tmp_path / "tiny.npz")
    assert "5 of 6 are tracked" in capsys.readouterr().out
    assert tracks.sources[:, 0].tolist() == [1, 3, 1, 1, 1, 1]
    assert tracks.queries.frame.tolist() == [0, 3]
    assert tracks.xy[3, 1].tolist() == [30, 20]
    torch.testing.assert_close(tracks.xy[1], (tracks.xy[0] + tracks.xy[2]) / 2)
    assert "interpolated" in (tmp_path / "tiny.csv").read_text()


def test_frames_between_are_straight_and_marked():
    queries = Queries([4, 0], [[0, 0], [5, 5]])
    kept = kept_frames(10, 4, queries)
    assert kept == [0, 4, 8, 9]
    xy = torch.tensor([[[0.0, 0], [5, 5]], [[4, 8], [torch.nan] * 2], [[8, 0], [1, 1]], [[9, 0], [2, 1]]])
    seen = torch.tensor([[1.0, 1], [0, 0], [1, 1], [1, 1]])
    tracks = spread(Tracks(xy, seen, seen, Queries([1, 0], queries.xy), (20, 20)), kept, 10, queries)
    assert tracks.xy[:, 0].tolist()[:5] == [[0, 0], [1, 2], [2, 4], [3, 6], [4, 8]]
    assert tracks.visibility[:5, 0].tolist() == [1, 0.75, 0.5, 0.25, 0]
    assert tracks.tracked()[:, 1].tolist() == [True] + [False] * 7 + [True] * 2
    assert tracks.sources[:, 0].tolist() == [1, 3, 3, 3, 1, 3, 3, 3, 1, 1]
    assert tracks.sources[3, 1] == Source.NOBODY
    with pytest.raises(ValueError, match="every: expected 1 or more"):
        kept_frames(10, 0, queries)


def test_speeds():
    config, loaded = TrackerConfig(), InferenceOptions(precision="bfloat16")
    small = options_at(loaded, config, "fast", (424, 240))
    assert small.input_area == 424 * 240  # it is not enlarged
    assert (small.iterations, small.precision) == (1, "bfloat16")
    assert options_at(loaded, config, "fast", (1920, 1080)).input_area == 512 * 288
    assert options_at(loaded, config, "balanced", (424, 240)) == loaded
    assert (
        options_at(loaded, LocoTrackConfig(), "exact", (424, 240)).iterations
        > LocoTrackConfig().window.iterations
    )
    assert (
        options_at(loaded, LocoTrackConfig(), "fast", (424, 240)).input_area is None
    )  # it has one size only
    with pytest.raises(ValueError, match="speed: expected one of fast, balanced, exact, got 'slow'"):
        options_at(loaded, config, "slow", (424, 240))


@pytest.mark.parametrize(
    ("options", "seconds"), [([], 1.0), (["--start", "0.5"], 0.5), (["--end", "0.4"], 0.4)]
)
def test_the_drawn_video_keeps_its_sound(options, seconds, tiny_tracker_file, tmp_path, capsys):
    with_sound(tmp_path / "a.mp4", numbered_frames(10), 10)
    arguments = [str(tmp_path / "a.mp4"), "--points", "0,10,20", "--out", str(tmp_path / "out"), *options]
    assert cli.main(["track", *arguments, "--tracker", str(tiny_tracker_file)]) == 0
    assert "with its sound" in capsys.readouterr().out
    with av.open(str(tmp_path / "out" / "a.mp4")) as container:
        samples = [frame.samples for frame in container.decode(container.streams.audio[0])]
    assert sum(samples) / 44100 == pytest.approx(seconds, abs=0.1)
    assert len(pt.load_tracks(tmp_path / "out" / "a.npz")) == round(10 * seconds)


def test_a_finished_run_says_so(tiny_video_file, tiny_tracker_file, tmp_path, capsys):
    arguments = ["track", str(tiny_video_file), "--grid", "2", "--flat", "--resume", "--out", str(tmp_path)]
    arguments += ["--tracker", str(tiny_tracker_file)]
    assert cli.main(arguments) == 0
    capsys.readouterr()
    assert cli.main(arguments) == 0
    assert re.match(
        r"finished  .*tiny.npz is complete; without --resume it is made anew", capsys.readouterr().out
    )


def test_a_finished_run_is_the_one_asked_for_and_gets_the_exports_that_it_lacks(
    tiny_video_file, tiny_tracker_file, tmp_path, capsys
):
    common = [
        "track",
        str(tiny_video_file),
        "--tracker",
        str(tiny_tracker_file),
        "--out",
        str(tmp_path / "out"),
    ]
    assert cli.main([*common, "--grid", "3", "--flat", "--smooth", "1", "--export", "json"]) == 0
    written = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    capsys.readouterr()
    for other, message in (
        (["--grid", "4"], "points: 9 before, 16 now"),
        (["--grid", "3", "--frame", "1"], "points: not the same, though 9 again"),
        (["--grid", "3", "--states"], "states: False before, True now"),
        (["--grid", "3", "--every", "2"], "every: 1 before, 2 now"),
        (["--grid", "3", "--smooth", "2"], "smooth: 1 before, 2 now"),
        (["--grid", "3"], "smooth: 1 before, 0 now"),
        (["--grid", "3", "--smooth", "1", "--regions", "32x24"], "regions: None before, 32x24 now"),
        (["--grid", "3", "--smooth", "1", "--max-frames", "3"], "max_frames: None before, 3 now"),
    ):
        assert cli.main([*common, *other, "--resume", "--export", "csv"]) == 2
        error = capsys.readouterr().err.strip()
        assert message in error and len(error.splitlines()) == 1
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == written
    assert cli.main([*common, "--grid", "3", "--smooth", "1", "--resume", "--export", "csv,json"]) == 0
    assert "tiny.csv" in capsys.readouterr().out
    smoothed = pt.load_tracks(tmp_path / "out" / "tiny_smooth.npz")
    assert torch.equal(pt.load_tracks(tmp_path / "out" / "tiny.csv").xy, smoothed.xy)
    (tmp_path / "out" / "tiny_smooth.npz").unlink()
    assert cli.main([*common, "--grid", "3", "--smooth", "1", "--resume"]) == 2
    assert "smooth: none before, 1 now" in capsys.readouterr().err


def test_progress_is_told_every_ten_seconds_where_there_is_no_terminal(monkeypatch, capsys):
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with Bar(600, "tracking") as bar:
        for _ in range(30):
            clock[0] += 1
            bar.update(10)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "tracking  100 of 600 frames, 10 per second, about 50 s left"
    assert len(lines) == 3


def steps_after_a_slow_first_one(bar, clock):
    for seconds in (26, *[1] * 19):
        clock[0] += seconds
        bar.update()


def test_the_time_left_does_not_count_the_first_step_which_loads(monkeypatch, capsys):
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with Bar(40, "masks", "step") as bar:
        steps_after_a_slow_first_one(bar, clock)
    assert capsys.readouterr().err.splitlines() == [
        "masks  1 of 40 steps",
        "masks  11 of 40 steps, 1 per second, about 29 s left",
    ]


def test_nor_does_the_bar_of_a_terminal(monkeypatch):
    clock, shown = [100.0], io.StringIO()
    monkeypatch.setattr("tqdm.std.time", lambda: clock[0])
    monkeypatch.setattr(progress.time, "time", lambda: clock[0])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Bar(40, "masks", "step", file=shown) as bar:
        bar.update(0)  # as a session tells its steps before the first one
        steps_after_a_slow_first_one(bar, clock)
    lines = [line for line in shown.getvalue().split("\r") if "/40" in line]
    assert "1/40 [00:26<?" in lines[1]
    assert "2/40 [00:27<00:38" in lines[2]
    assert "20/40 [00:45<00:20" in lines[-1]


@pytest.mark.parametrize(
    ("out", "target"),
    [
        ("runs/v1.0", "runs/v1.0/x.mp4"),
        ("runs/2026.11.27", "runs/2026.11.27/x.mp4"),
        ("exp.v2", "exp.v2/x.mp4"),
        ("exp.new/", "exp.new/x.mp4"),
        ("exp.new", None),
        ("a.avi", None),
        ("a.h5", None),
        ("a.MKV", "a.MKV"),
    ],
)
def test_a_folder_of_results_may_have_a_dot_in_its_name(out, target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if target is None:
        with pytest.raises(ValueError, match=f"a folder of that name: {out}/"):
            video_target(out, "x")
        (tmp_path / out).mkdir()
        target = f"{out}/x.mp4"
    assert video_target(out, "x") == Path(target)


def test_a_folder_of_pictures_keeps_the_dot_in_its_name(tmp_path):
    for name in ("walk.v1", "walk.v2"):
        (tmp_path / name).mkdir()
    assert VideoOptions(str(tmp_path / "walk.v1")).stem == "walk.v1"
    assert VideoOptions(str(tmp_path / "walk.v1" / "*.png")).stem == "walk.v1"
    assert names_of([str(tmp_path / "walk.v1"), str(tmp_path / "walk.v2")]) == ["walk.v1", "walk.v2"]


@pytest.mark.parametrize("name", [".", "..", "...", ".x", "../x", "a/x", "a/", "/x"])
def test_a_name_writes_no_hidden_files_and_none_elsewhere(
    name, tiny_video_file, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    video = str(tiny_video_file)
    for command in ("track", "segment --click 0,9,9", "dense"):
        assert cli.main([command.split()[0], video, *command.split()[1:], "--name", name]) == 2
        assert "error: name: expected the beginning of file names, not of a path" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_results_of_hidden_videos_are_not_hidden():
    assert VideoOptions(".walk.mp4").stem == "walk"
    assert VideoOptions("..").stem == "video"
    assert names_of([".a/x.mp4", "b/x.mp4"]) == ["a_x", "b_x"]
