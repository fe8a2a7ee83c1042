"""`pointtrack track` in flat memory, and what it says before it starts."""

from __future__ import annotations

import re
from itertools import islice

import numpy as np
import pytest
import torch

import pointtrack as pt
from pointtrack.checks import counted
from pointtrack.cli import estimate as cli_estimate
from pointtrack.cli import main as cli
from pointtrack.cli import report, track_flat
from pointtrack.cli import track as track_command
from pointtrack.cli.estimate import WRITING_BYTES, WRITING_FRAMES, RunEstimate, estimate_run
from pointtrack.cli.progress import Bar
from pointtrack.cli.report import describe
from pointtrack.io.track_log import TrackWriter, read_spilled
from pointtrack.io.video import write_video
from pointtrack.pipeline import resume
from pointtrack.pipeline.files import track_file
from pointtrack.pipeline.options import TrackOptions
from pointtrack.regions.stream import RegionStream
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries
from tests.support.states import same_states
from tests.support.tracks import moving_video, same


@pytest.fixture
def run(track_tiny, tmp_path):
    """Runs `track` on the tiny video; its exit code, what it printed, and the path of the drawn video."""

    def call(name: str, *arguments):
        out = tmp_path / name / "o.mp4"
        return *track_tiny(out, *arguments), out

    return call


def test_the_results_are_those_of_a_video_in_memory(run):
    points = ["--points", "0,10,20.5", "0,30,11", "--grid", 3, "--corners", 2, "--trail", 3]
    _, _, whole = run("whole", *points)
    code, (printed, warned), flat = run("flat", *points, "--flat", "--export", "csv,napari")
    assert code == 0 and warned == ""
    assert "growing" in printed and re.search(r"13 points through 6 frames of 64 x 48", printed)
    expected, tracks = pt.load_tracks(whole.with_suffix(".npz")), pt.load_tracks(flat.with_suffix(".npz"))
    assert tracks.xy.equal(expected.xy) and tracks.visibility.equal(expected.visibility)
    assert pt.load_tracks(flat.with_suffix(".csv")).xy.equal(expected.xy)
    # The encoder works in several threads and is not the same to the last bit every time.
    drawn, wanted = (pt.read_video(path).frames.astype(int) for path in (flat, whole))
    assert drawn.shape == wanted.shape and np.abs(drawn - wanted).mean() < 4
    shown = sorted(path.name for path in flat.parent.iterdir() if path.name[0] != ".")
    assert shown == ["o.csv", "o.mp4", "o.npz", "o.png", "o_napari.csv"]
    assert flat.with_suffix(".png").read_bytes() == whole.with_suffix(".png").read_bytes()


@pytest.mark.parametrize("option", [pytest.param("--states", marks=pytest.mark.long), "--redetect"])
def test_states_are_those_of_a_video_in_memory(run, option):
    (_, (whole_said, _), whole), (code, (said, _), flat) = (
        run(name, "--grid", 3, option, *more) for name, more in (("whole", []), ("flat", ["--flat"]))
    )
    assert code == 0
    expected, tracks = pt.load_tracks(whole.with_suffix(".npz")), pt.load_tracks(flat.with_suffix(".npz"))
    assert same_states(tracks.states, expected.states) and tracks.visibility.equal(expected.visibility)
    states = [
        [line for line in text.splitlines() if line.startswith("states ")] for text in (said, whole_said)
    ]
    times = int(expected.states.times_redetected.amax(dim=0).sum())
    assert times == 0 or option == "--redetect"
    assert states[0] == states[1] and "% visible" in states[0][0]
    assert states[0][0].endswith(f"found again {counted(times, 'time')}")


def test_points_of_a_later_frame(run):
    """Backward too, and smoothed."""
    for backward in ("true", "false"):
        chosen = ["--frame", 3, "--grid", 2, "--corners", 3, f"--backward={backward}", "--smooth", 2]
        (_, _, flat), (_, _, whole) = (
            run("flat", *chosen, "--flat", "--overwrite"),
            run("whole", *chosen, "--overwrite"),
        )
        for name in ("o.npz", "o_smooth.npz"):
            tracks, expected = (pt.load_tracks(path.with_name(name)) for path in (flat, whole))
            assert same(tracks, expected) and tracks.queries.frame.tolist() == [3] * 7
            assert bool(tracks.tracked()[2].any()) == (backward == "true")
        assert {"o.mp4", "o.npz", "o.png", "o_smooth.npz"} == {path.name for path in flat.parent.glob("o*")}


@pytest.mark.parametrize(
    "more",
    [
        *(pytest.param(more, marks=pytest.mark.long) for more in ([], ["--states"])),
        ["--frame", 3, "--smooth", 2],
    ],
)
def test_every_other_frame(run, monkeypatch, more):
    monkeypatch.setattr("pointtrack.io.tracks.read_spilled", None)  # nobody holds all tracks
    chosen = ["--every", 2, "--grid", 3, *more]
    _, _, whole = run("whole", *chosen)
    code, (printed, warned), flat = run("flat", *chosen, "--flat", "--export", "csv")
    assert code == 0 and warned == ""
    kept = 5 if more[:1] == ["--frame"] else 4  # 0, 2, 4, the last, and that of the points
    assert f"frames    {kept} of 6 are tracked, those between are interpolated" in printed
    tracks, expected = (pt.load_tracks(path.with_suffix(".npz")) for path in (flat, whole))
    assert same(tracks, expected) and tracks.sources.equal(expected.sources)
    drawn, wanted = (pt.read_video(path).frames.astype(int) for path in (flat, whole))
    assert drawn.shape == wanted.shape and np.abs(drawn - wanted).mean() < 4
    assert not list(flat.parent.glob("*.tracks*"))


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("flat", [[], ["--flat"]])
def test_points_after_the_end_are_refused_before_anything_is_tracked(run, monkeypatch, every, flat):
    """Frame 4 would be the next of every second; the last frame, 3, is tracked too and must not take its place."""
    monkeypatch.setattr(WindowStream, "push", lambda *_: pytest.fail("it was tracked"))
    points = ["--points", "0,10,20", "4,30,20", "5,30,20", "--max-frames", 4, "--export", "csv"]
    code, (_, error), out = run("late", *points, *flat, "--every", every)
    assert code == 2 and not list(out.parent.glob("o*"))
    assert "query point 1: expected a frame in 0..3, got 4; the video has 4 frames" in error


@pytest.mark.parametrize("flat", [[], ["--flat"]])
@pytest.mark.parametrize(
    ("frame", "total"), [(0, 4), (3, 8)]
)  # of 0, 2, 4, 5; and of 0, 2, 3, 4, 5 and back from 3
def test_a_bar_is_full_when_every_other_frame_is_done(run, monkeypatch, flat, frame, total):
    bars = []

    class NotedBar(Bar):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            bars.append(self)

    for module in (track_command, track_flat):
        monkeypatch.setattr(module, "Bar", NotedBar)
    assert run("o", "--grid", 2, "--frame", frame, "--every", 2, *flat)[0] == 0
    assert [(bar.n, bar.total) for bar in bars] == [(total, total)]


def test_every_other_frame_goes_on(run, monkeypatch):
    _, _, whole = run("whole", "--grid", 3, "--frame", 3, "--every", 2)

    def killed(*arguments, **settings):
        track_file(*arguments, **settings)
        raise KeyboardInterrupt

    chosen = ["--grid", 3, "--frame", 3]
    monkeypatch.setattr(track_flat, "track_file", killed)
    assert run("killed", *chosen, "--every", 2, "--flat")[0] == 130
    monkeypatch.undo()
    code, (_, error), _ = run("killed", *chosen, "--every", 3, "--resume")
    assert code == 2 and "every: 2 before, 3 now" in error
    monkeypatch.setattr(WindowStream, "push", lambda *_: pytest.fail("tracked again"))
    code, _, out = run("killed", *chosen, "--every", 2, "--resume")
    assert code == 0
    assert same(*(pt.load_tracks(path.with_suffix(".npz")) for path in (out, whole)))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--smooth", "-2"], "smooth: expected 0 or more frames"),
        (["--frame", "6"], r"frame: expected 0..5, got 6"),
        (["--frame", "-1"], r"frame: expected 0..5, got -1"),
        (["--points", "0,100,20"], "inside the 64 x 48 image"),
    ],
)
def test_mistakes(run, arguments, message):
    code, (out, error), _ = run("a", "--flat", *arguments)
    assert code == 2 and out == "" and re.search(message, error), error


def test_a_killed_run_goes_on(run, tmp_path, tiny_tracker_file, monkeypatch):
    """`--resume` finds what is left of the command, and does not track again what is done."""
    _, _, expected = run("whole", "--grid", 3)
    out = tmp_path / "killed" / "o.mp4"

    def killed(*arguments, **settings):
        track_file(*arguments, **settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(track_flat, "track_file", killed)
    code, (_, error), _ = run("killed", "--grid", 3, "--flat")
    assert code == 130 and "stopped; 6 frames are kept, and the same command with --resume goes on" in error
    assert len(read_spilled(out.with_suffix(".tracks"))) == 6
    monkeypatch.undo()
    code, (_, error), _ = run("killed", "--grid", 2, "--resume")
    assert code == 2 and "points: 9 before, 4 now" in error
    code, (_, error), _ = run("killed", "--grid", 3, "--resume", "--states")
    assert code == 2 and "states: none before, given now" in error
    monkeypatch.setattr(WindowStream, "push", lambda *_: pytest.fail("tracked again"))
    code, (said, _), _ = run("killed", "--grid", 3, "--resume")
    assert code == 0 and "9 points through 6 frames of 64 x 48, all by the earlier run" in said
    tracks, wanted = pt.load_tracks(out.with_suffix(".npz")), pt.load_tracks(expected.with_suffix(".npz"))
    assert tracks.xy.equal(wanted.xy)


def test_overwrite_takes_nothing_from_a_run_that_goes_on(run, tmp_path):
    path = tmp_path / "other" / "o.tracks"
    with TrackWriter(path):
        kept = path.stat().st_ino
        code, (_, error), _ = run("other", "--grid", 2, "--flat", "--overwrite")
        assert code == 2 and "another process writes tracks to it" in error
        assert path.stat().st_ino == kept
    assert run("other", "--grid", 2, "--flat", "--overwrite")[0] == 0


@pytest.mark.parametrize("sparsely", [(), ("--every", 2)])
def test_nor_while_the_other_draws_and_writes(run, sparsely, monkeypatch):
    """Then the growing tracks are closed, and no longer locked themselves."""
    write, second = track_flat.spilled_to_npz, []

    def writing(*arguments):
        if not second:
            second.append(run("other", "--grid", 2, "--flat", "--overwrite"))
        return write(*arguments)

    monkeypatch.setattr(track_flat, "spilled_to_npz", writing)
    code, _, out = run("other", "--grid", 3, "--flat", *sparsely)
    assert code == 0 and len(pt.load_tracks(out.with_suffix(".npz")).ids) == 9
    refused, (_, error), _ = second[0]
    assert refused == 2 and "another process writes tracks to it" in error
    assert not out.with_suffix(".tracks.lock").exists()


def test_a_run_killed_before_its_first_state_begins_anew_and_says_so(run, monkeypatch):
    def killed(tracker, opened, *arguments, **settings):
        def frames(stream):
            yield from islice(stream, 5)
            raise KeyboardInterrupt

        return track_file(tracker, lambda at: (s := opened(at)).through(frames(s)), *arguments, **settings)

    assert "resume" not in run("killed", "--grid", 3, "--resume", "--max-frames", 3)[1].out  # no earlier run
    monkeypatch.setattr(track_flat, "track_file", killed)
    code, (_, error), _ = run("killed", "--grid", 3, "--flat", "--overwrite")
    assert code == 130 and "stopped; too early for --resume, as a run saves its state every 30 s" in error
    monkeypatch.undo()
    code, (said, _), _ = run("killed", "--grid", 3, "--resume")
    assert code == 0 and "resume    nothing to continue from" in said and "begins anew" in said


@pytest.mark.long  # `test_a_killed_run_goes_on` holds the command, `pipeline/test_resume.py` and the matrix regions
def test_a_killed_run_with_regions_goes_on_as_in_memory(tiny_tracker_file, tmp_path, monkeypatch, capsys):
    path = write_video(tmp_path / "a.mp4", moving_video(16, (64, 48)))
    tracker = ["--tracker", str(tiny_tracker_file)]
    points = ["--points", "0,10,20", "0,12,21", "0,50,30", "--regions", "32x24"]

    def main(name: str, *more: str) -> int:
        return cli.main(["track", str(path), *points, *tracker, *more, "--out", str(tmp_path / name)])

    def killed(tracker, opened, *arguments, **settings):
        def frames(stream):
            yield from islice(stream, 13)
            raise KeyboardInterrupt

        def watched(seconds):
            stream = opened(seconds)
            return stream.through(frames(stream))

        return track_file(tracker, watched, *arguments, **settings)

    monkeypatch.setattr(track_flat, "track_file", killed)
    monkeypatch.setattr(resume, "STATE_SECONDS", 0)
    assert main("flat", "--flat") == 130
    monkeypatch.undo()
    pushed, push = [], RegionStream.push
    monkeypatch.setattr(RegionStream, "push", lambda self, frame: pushed.append(frame) or push(self, frame))
    assert main("flat", "--resume") == 0
    assert len(pushed) == 4, "from the state on, which was written with the second window"
    assert "3 points through 16 frames of 64 x 48; this run 4 frames in " in capsys.readouterr().out
    assert main("whole") == 0
    resumed, whole = (pt.load_tracks(tmp_path / name / "a.npz") for name in ("flat", "whole"))
    assert same(resumed, whole) and len(whole) == 16


def test_the_summary_counts_this_run_only(tiny_tracker, capsys):
    for gone_on, words in (
        (None, "frames of 64 x 48 in 4.0 s: 25.0 frames per second"),
        (8, "frames of 64 x 48; this run 8 frames in 4.0 s: 2.0 frames per second"),
        (0, "frames of 64 x 48, all by the earlier run"),
    ):
        report.print_tracked(tiny_tracker, 3, 100, (64, 48), 4.0, gone_on)
        assert capsys.readouterr().out.endswith(f"tracked   3 points through 100 {words}\n")


def test_a_video_that_does_not_fit_is_tracked_flat(run, monkeypatch):
    needed, short = 2 * 2 * 64 * 48 * 3, ["--grid", 1, "--max-frames", 2]
    monkeypatch.setattr(report, "machine_memory", lambda: 2 * needed)
    assert "growing" not in run("a", *short)[1].out
    monkeypatch.setattr(report, "machine_memory", lambda: needed)
    assert "growing" in run("b", *short)[1].out
    monkeypatch.setattr(report, "machine_memory", lambda: None)
    assert "growing" not in run("c", *short)[1].out


@pytest.mark.parametrize(
    ("regions", "flat"),
    [
        pytest.param([], True, id="flat"),
        pytest.param([], False, id="whole", marks=pytest.mark.long),
        pytest.param(["--regions", "32x24"], True, id="regions", marks=pytest.mark.long),
    ],
)
def test_the_estimate_comes_first(regions, flat, tiny_tracker_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "WORTH_TIMING", 1)
    path = write_video(tmp_path / "a.mp4", moving_video(8, (64, 48)))
    arguments = ["--grid", "2", "--out", str(tmp_path / "out"), "--tracker", str(tiny_tracker_file), *regions]
    assert cli.main(["track", str(path), *arguments, *["--flat"] * flat]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.match(
        r"estimate  8 frames, about \d+ s \(.* seconds of tracking per frame\); memory \d", lines[0]
    )
    assert any(line.startswith("tracked") for line in lines[1:])
    if not regions:  # which change nothing in whether it is worth it
        monkeypatch.setattr(report, "WORTH_TIMING", 2)
        assert cli.main(["track", str(path), *arguments, *["--flat"] * flat]) == 0
        assert "estimate  " not in capsys.readouterr().out


@pytest.mark.parametrize("flat", [True, pytest.param(False, marks=pytest.mark.long)])
def test_the_estimate_counts_the_frames_that_are_tracked(
    flat, tiny_tracker_file, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(report, "WORTH_TIMING", 1)
    path = write_video(tmp_path / "a.mp4", moving_video(16, (64, 48)))
    arguments = ["--grid", "2", "--out", str(tmp_path / "out"), "--tracker", str(tiny_tracker_file)]
    assert cli.main(["track", str(path), *arguments, "--every", "2", *["--flat"] * flat]) == 0
    told = capsys.readouterr().out
    # The last frame is tracked too. A flat run holds none of the others.
    assert ("estimate  9 frames, " if flat else "estimate  9 of 16 frames, ") in told


def test_the_frames_in_memory_count_once_in_the_estimate(tiny_tracker, monkeypatch, capsys):
    """The peak so far has them already; the figure for a flat run must not have them at all."""
    monkeypatch.setattr(report, "WORTH_TIMING", 1)
    frames, wh = 10_000, (64, 48)
    in_memory = frames * 64 * 48 * 3
    for flat, peak in ((True, 700_000_000), (False, 700_000_000 + in_memory)):
        monkeypatch.setattr(cli_estimate, "peak_memory", lambda peak=peak: peak)
        queries = Queries(torch.zeros(5), torch.ones(5, 2))
        report.print_estimate(tiny_tracker, queries, wh, frames, TrackOptions(), flat=flat)
        drawing = 700_000_000 + WRITING_BYTES  # frames of this size do not count
        whole = drawing + 2 * in_memory + 3 * frames * 5 * 16
        shown = "800 MB, whatever" if flat else f"{whole / 1e6:.0f} MB (--flat: 800 MB)"
        assert f"memory {shown}" in capsys.readouterr().out


def test_an_estimate_is_measured_on_two_windows(tiny_tracker, monkeypatch):
    pushed = []
    push = WindowStream.push
    monkeypatch.setattr(
        WindowStream, "push", lambda self, frames: pushed.append(len(frames)) or push(self, frames)
    )
    queries = Queries(torch.arange(5), torch.ones(5, 2))
    estimate = estimate_run(tiny_tracker, queries, (64, 48))
    assert pushed == [8, 4] and estimate.points == 5
    assert (
        estimate.seconds(200) == pytest.approx(200 * estimate.seconds_per_frame)
        and estimate.seconds_per_frame > 0
    )
    assert estimate.file_bytes(10) == 10 * 5 * 16


def test_estimates_in_words():
    estimate = RunEstimate(0.05, 800_000_000, (640, 480), 100, 24)
    frames, one = 100_000, 640 * 480 * 3
    drawing = 800_000_000 + WRITING_BYTES + WRITING_FRAMES * one
    assert estimate.flat_bytes == drawing + 24 * one
    whole = drawing + 2 * frames * one + 3 * frames * 100 * 16
    assert describe(estimate, frames, flat=False) == (
        "100000 frames, about 83 min (0.05 seconds of tracking per frame); "
        f"memory {whole / 1e9:.1f} GB (--flat: 948 MB)"
    )
    assert describe(estimate, frames, flat=True).endswith("memory 948 MB, whatever the length; tracks 160 MB")
    assert describe(estimate, frames, flat=True, states=True).endswith("tracks 410 MB")
    assert describe(estimate, None, flat=True).startswith(
        "0.05 seconds of tracking per frame, for a video of unknown"
    )
    assert "about 20 s" in describe(estimate, 400, flat=True) and "about 14 h" in describe(
        estimate, 10**6, flat=True
    ).replace("13.9", "14")
