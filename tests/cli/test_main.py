"""The command line: ordinary runs on a tiny video, and one clear line for every mistake."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from pathlib import Path

import cv2
import numpy as np
import pytest

import demo
import pointtrack as pt
from pointtrack.cli import main as cli
from pointtrack.cli import plugins
from pointtrack.cli import runner as launch
from pointtrack.cli.runner import run_command
from pointtrack.tracking.smooth import smooth_tracks


@pytest.fixture(autouse=True)
def plain_environment(tmp_path, monkeypatch):
    monkeypatch.delenv(launch.DEBUG, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def files(tmp_path, tiny_video_file, tiny_tracker_file) -> dict[str, Path]:
    """Files to make mistakes with, by the names that stand in braces below."""
    (tmp_path / "text.mp4").write_text("this is not a video")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    (tmp_path / "late.json").write_text("[[99, 1, 2]]")
    (tmp_path / "bad.yaml").write_text("gird: 3\n")
    (tmp_path / "weights.safetensors").write_bytes(b"nothing of the kind")
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((48, 64), np.uint8))
    cv2.imwrite(str(tmp_path / "dot.png"), np.zeros((1, 1), np.uint8))
    cv2.imwrite(str(tmp_path / "small.png"), np.full((24, 32), 255, np.uint8))
    return {"video": tiny_video_file, "dir": tmp_path, "tracker": tiny_tracker_file}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("trakc", "expected a command or a video, got 'trakc'; did you mean track"),
        ("track", "required: video"),
        ("track {dir}/none.mp4", "none.mp4: expected a video .* found nothing"),
        ("track {dir}/text.mp4", "text.mp4: expected a video"),
        ("track {dir}/empty", "empty: expected a folder of pictures"),
        ("track {video} --start 60", "expected at least one frame in the span"),
        ("track {video} --start 2 --end 1", "expected 0 <= start < stop"),
        ("track {video} --max-frames 0", "max_frames: expected at least 1, got 0"),
        ("track {video} --tracker huge", "tracker 'huge': expected one of small"),
        ("track {video} --tracker {dir}/weights.safetensors", "expected a file of weights"),
        (
            "track {video} --tracker {tracker} --device toaster",
            "device: expected one that this machine has .*; take cpu or auto",
        ),
        ("track {dir}/dot.png --points 0,0,0", r"expected frames of .* at least 2 pixels, got \(1, 1\)"),
        ("track {video} --points 0;1;2", "points: expected frame,x,y as in .* got '0;1;2'"),
        ("track {video} --points 0,5,5 0.5,1,2", "query frame: expected whole numbers|whole"),
        ("track {video} --points 0,100,20", r"inside the 64 x 48 image, got \(100, 20\)"),
        ("track {video} --points 0,nan,20", "expected finite pixels"),
        ("track {video} --points 6,10,10", r"expected a frame in 0..5, got 6"),
        ("track {video} --frame 6", r"frame: expected 0..5, got 6"),
        ("track {video} --queries {dir}/none.csv", "found nothing at .*none.csv"),
        ("track {video} --queries {dir}/bad.csv", "expected a header with frame"),
        ("track {video} --queries {dir}/late.json", "expected a frame in 0..5, got 99"),
        ("track {video} --mask {dir}/none.png", "mask: expected a picture, found nothing"),
        ("track {video} --mask {dir}/bad.csv", "mask: expected a picture"),
        ("track {video} --mask {dir}/black.png", "got an empty mask"),
        (
            "track {video} --mask {dir}/small.png",
            r"a picture of 64 x 48 \(width x height\) as the video, got \d+ x \d+ in .*small.png;",
        ),
        ("track {video} --grid -3", "grid size: expected at least 1 point per side, got -3 x -3"),
        ("track {video} --grid many", "grid: expected a whole number, got many"),
        ("track {video} --corners 0", "count: expected at least 1 corner"),
        ("track {video} --out {dir}/out.xyz", "out: expected a folder or a file in .mp4"),
        ("track {video} --mask {dir}/black.png --points 0,5,5", "mask: expected --grid or --corners with it"),
        ("track {video} --mask {dir}/black.png --queries q.csv", "mask: expected --grid or --corners"),
        ("batch {dir}/empty --out o --mask {dir}/black.png --points 0,5,5", "mask: expected --grid"),
        ("track {video} --out {dir}/bad.csv", "out: expected a folder or a file in .mp4"),
        ("track {video} --export xml", "export: expected some of csv, json, parquet, dlc, .*, got 'xml'"),
        ("track {video} --smooth -1", "smooth: expected 0 or more frames on each side, got -1"),
        ("track {video} --hidden blink", "hidden: expected one of ring, dot, none, got 'blink'"),
        ("track {video} --trail -1", "expected trail >= 0"),
        ("track {video} --gird 3", "unrecognized option --gird; did you mean --grid"),
        ("track {video} --config {dir}/none.yaml", "config.*none.yaml"),
        ("track {video} --config {dir}/bad.yaml", "gird"),
    ],
)
def test_mistakes_get_one_clear_line(arguments, message, files, capsys):
    arguments = [part.format(**files) for part in arguments.split()]
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pointtrack: error: ")
    assert err.count("\n") == 1
    assert re.search(message, err), err


def test_debug_shows_the_traceback(monkeypatch):
    with pytest.raises(FileNotFoundError):
        cli.main(["track", "none.mp4", "--debug"])
    monkeypatch.setenv(launch.DEBUG, "1")
    with pytest.raises(FileNotFoundError):
        cli.main(["track", "none.mp4"])


def test_track_writes_everything(tiny_video_file, tiny_tracker_file, tmp_path, capsys):
    out = tmp_path / "results" / "mine.mp4"
    arguments = ["--grid", "3", "--points", "2,10,20.5", "4,30,11", "--export", "csv,json", "--trail", "3"]
    arguments += ["--tracker", str(tiny_tracker_file), "--out", str(out), "--legend"]
    assert cli.main(["track", str(tiny_video_file), *arguments]) == 0
    printed, warned = capsys.readouterr()
    assert "11 points through 6 frames of 64 x 48" in printed
    assert "frames per second" in printed
    assert not re.sub(r"tracking  \d+ of .* left\n", "", warned)  # no bar where there is no terminal
    drawn = pt.read_video(out)
    assert (len(drawn), drawn.wh, drawn.fps) == (6, (64, 48), 10)
    tracks = pt.load_tracks(out.with_suffix(".npz"))
    assert tracks.xy[2, 0].tolist() == [10, 20.5]
    assert bool(tracks.tracked().all())  # backward too
    for suffix in (".png", ".csv", ".json"):
        assert out.with_suffix(suffix).stat().st_size > 0
        assert str(out.with_suffix(suffix)) in printed


def test_forward_only_into_a_folder(tiny_video_file, tiny_tracker_file, tmp_path):
    arguments = ["--points", "3,10,20", "--backward=false", "--max-frames", "5", "--out", str(tmp_path)]
    assert cli.main(["track", str(tiny_video_file), *arguments, "--tracker", str(tiny_tracker_file)]) == 0
    tracks = pt.load_tracks(tmp_path / "tiny.npz")
    assert tracks.tracked()[:, 0].tolist() == [False, False, False, True, True]


def test_kept_frames_of_tracks_are_those_of_the_whole_run(
    tiny_video_file, tiny_tracker_file, tmp_path, capsys
):
    arguments = ["--points", "0,10,20", "4,30,11", "--smooth", "1", "--export", "csv", "--overwrite"]
    track = ["track", str(tiny_video_file), *arguments, "--tracker", str(tiny_tracker_file)]
    assert cli.main([*track, "--out", str(tmp_path / "whole")]) == 0
    assert cli.main([*track, "--keep", "2,4", "--out", str(tmp_path)]) == 0
    for name in ("tiny.npz", "tiny_smooth.npz", "tiny.csv"):
        whole, kept = pt.load_tracks(tmp_path / "whole" / name), pt.load_tracks(tmp_path / name)
        assert (kept.first_frame, len(kept)) == (2, 3) and kept.xy.equal(whole.xy[2:5]), name
    drawn = [
        pt.read_video(folder / "tiny.mp4").frames.astype(int) for folder in (tmp_path / "whole", tmp_path)
    ]
    nearest = [int(abs(drawn[0] - one).mean((1, 2, 3)).argmin()) for one in drawn[1]]
    assert nearest == [2, 3, 4]
    capsys.readouterr()
    for more in (["--keep", "2,9"], ["--keep", "2,4", "--flat"], ["--resume"], ["--keep", "x"]):
        assert cli.main([*track, *more, "--out", str(tmp_path)]) == 2, more
        assert "keep" in capsys.readouterr().err


def test_smoothed_tracks_are_exported_and_the_raw_ones_kept(
    tiny_video_file, tiny_tracker_file, tmp_path, capsys
):
    arguments = [
        "--grid",
        "2",
        "--smooth",
        "2",
        "--export",
        "csv,napari,cvat,dlc,tapvid",
        "--out",
        str(tmp_path),
    ]
    assert cli.main(["track", str(tiny_video_file), *arguments, "--tracker", str(tiny_tracker_file)]) == 0
    raw = pt.load_tracks(tmp_path / "tiny.npz")
    smoothed = pt.load_tracks(tmp_path / "tiny_smooth.npz")
    assert not raw.xy.equal(smoothed.xy)
    assert smooth_tracks(raw, radius=2).xy.equal(smoothed.xy)
    assert pt.load_tracks(tmp_path / "tiny.csv").xy.equal(smoothed.xy)
    printed = capsys.readouterr().out
    for name in ("tiny_napari.csv", "tiny_cvat.xml", "tinyDLC_pointtrack.csv", "tiny_tapvid.npz"):
        assert str(tmp_path / name) in printed
        assert (tmp_path / name).stat().st_size > 0


def test_preset_file_and_mask(tiny_video_file, tiny_tracker_file, tmp_path, capsys):
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:50] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    (tmp_path / "preset.yaml").write_text(
        f"grid: 9\nmask: {tmp_path / 'mask.png'}\ntracker: {tiny_tracker_file}\n"
        f"out: {tmp_path / 'out'}\nstyle:\n  trail: 2\n"
    )
    assert cli.main(["track", str(tiny_video_file), "--config", "preset.yaml", "--grid", "4"]) == 0
    assert "mask      covers 20 % of the image" in capsys.readouterr().out
    x, y = pt.load_tracks(tmp_path / "out" / "tiny.npz").queries.xy.T
    assert 8 <= len(x) <= 30  # the --grid behind the preset wins
    assert bool(((x >= 20) & (x < 50) & (y >= 10) & (y < 30)).all())


def sample_command(
    max_frames: int = 1, names: list[str] | None = None, resume: bool = False, strict: bool = True
) -> None:
    """Takes one option of each kind."""


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("--resume", {"resume": True}),
        ("--resume --max-frames 3", {"resume": True, "max_frames": 3}),
        ("--resume=false --max_frames=4", {"resume": False, "max_frames": 4}),
        ("--strict false", {"strict": False}),
        ("--names a", {"names": ["a"]}),
        ("--names a b -1,2 --resume", {"names": ["a", "b", "-1,2"], "resume": True}),
        ("--names a --names b", {"names": ["a", "b"]}),
        ("--names=[a,b]", {"names": ["a", "b"]}),
        ("3 --resume", {"max_frames": 3, "resume": True}),
        ("--resume 3", {"max_frames": 3, "resume": True}),
        ("--strict false 3", {"max_frames": 3, "strict": False}),
    ],
)
def test_options_as_people_type_them(typed, expected):
    parser = launch.build_parser(sample_command, "sample")
    values = parser.parse_args(launch.spell_out(typed.split(), sample_command, parser))
    defaults = {"names": None, "resume": False, "strict": True, "max_frames": 1}
    assert {name: values[name] for name in defaults} == defaults | expected


def test_commands_of_the_checkout_and_of_other_packages(monkeypatch, capsys):
    entries = [EntryPoint("colour", "no_such_package:command", plugins.GROUP)]
    monkeypatch.setattr(
        plugins.metadata, "entry_points", lambda group: entries if group == plugins.GROUP else []
    )
    assert cli.main([]) == 0
    overview = capsys.readouterr().out
    assert re.search(r"^  eval +score trackers", overview, re.MULTILINE)
    assert re.search(r"^  colour +of no_such_package", overview, re.MULTILINE)
    assert cli.main(["colour"]) == 2
    assert "pip install 'pointtrack[colour]'" in capsys.readouterr().err
    assert cli.main(["eval", "--methods", "magic"]) == 2
    assert "expected some of pointtrack" in capsys.readouterr().err


def test_a_wheel_says_which_commands_need_a_checkout(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(plugins.pointtrack, "__file__", str(tmp_path / "pointtrack" / "__init__.py"))
    assert cli.main(["train"]) == 2
    assert "train: expected a checkout of pointtrack, which has the package train" in capsys.readouterr().err


def test_doctor_finds_broken_weights(tiny_tracker_file, capsys):
    assert cli.main(["doctor", "--tracker", "none"]) == 1
    assert "PROBLEM    FileNotFoundError: tracker 'none'" in capsys.readouterr().out
    code = cli.main(["doctor", "--tracker", str(tiny_tracker_file)])
    printed = capsys.readouterr().out
    assert "self-test  a moving texture of 12 frames" in printed
    assert code == (0 if printed.endswith("\nok\n") else 1)


def test_demo_on_a_video(tiny_video_file, tiny_tracker_file, tmp_path, capsys):
    arguments = [str(tiny_video_file), "--grid", "4", "--corners", "3", "--tracker", str(tiny_tracker_file)]
    assert demo.main(arguments) == 0
    printed = capsys.readouterr().out
    for name in ("demo.mp4", "demo.png", "tracks.npz"):
        assert (tmp_path / "outputs" / name).is_file()
        assert f"outputs/{name}" in printed


@pytest.mark.parametrize("clip", ["easy", "hard"])
def test_demo_on_the_bundled_clips_says_how_far_off_it_was(clip, tiny_tracker_file, capsys):
    arguments = ["--grid", "2", "--max-frames", "3", "--clip", clip, "--tracker", str(tiny_tracker_file)]
    assert cli.main(["demo", *arguments]) == 0
    printed = capsys.readouterr().out
    for method in ("pointtrack", "Lucas-Kanade", "DIS flow"):
        assert re.search(
            rf"^{method} +[0-9.]+ px +[0-9.]+ +[0-9]+ % +[0-9]+ % +[0-9.]+$", printed, re.MULTILINE
        )
    assert re.search(r"^next      pointtrack ui ", printed, re.MULTILINE)


def test_regions(tiny_video_file, tiny_tracker_file, tmp_path, capsys):
    out = tmp_path / "small.mp4"
    arguments = ["--points", "0,20,20", "--tracker", str(tiny_tracker_file), "--out", str(out)]
    assert cli.main(["track", str(tiny_video_file), *arguments, "--regions", "32x24"]) == 0
    with_regions = pt.load_tracks(out.with_suffix(".npz"))
    assert cli.main(["track", str(tiny_video_file), *arguments]) == 0
    assert bool(with_regions.xy.isfinite().all())
    assert bool((with_regions.xy != pt.load_tracks(out.with_suffix(".npz")).xy).any())
    assert cli.main(["track", str(tiny_video_file), *arguments, "--regions", "32x24", "--states"]) == 0
    tracks = pt.load_tracks(out.with_suffix(".npz"))
    assert tracks.states is not None and tracks.states.raw_xy.equal(with_regions.xy)


def test_a_list_may_stand_first_without_its_name():
    found = []

    def command(numbers: list[int] | None = None, more: int = 3) -> None:
        """Take numbers.

        Args:
            numbers: some.
            more: another.
        """
        found.append((numbers, more))

    for arguments in ["4 5 --more 2", "--more 2 7", "", "--numbers 1 2"]:
        assert run_command(lambda: command, arguments.split(), "command") == 0
    assert found == [([4, 5], 2), ([7], 2), (None, 3), ([1, 2], 3)]


@pytest.mark.parametrize("flat", [[], ["--flat"]])
def test_one_of_a_thing_is_told_as_one(tiny_video_file, tiny_tracker_file, tmp_path, capsys, flat):
    arguments = [
        "--grid",
        "1",
        "--max_frames",
        "1",
        "--tracker",
        str(tiny_tracker_file),
        "--out",
        str(tmp_path),
    ]
    assert cli.main(["track", str(tiny_video_file), *arguments, *flat]) == 0
    assert "tracked   1 point through 1 frame of 64 x 48" in capsys.readouterr().out
    assert cli.main(["track", str(tiny_video_file), "--points", "3,1,1", *arguments[2:], *flat]) == 2
    assert "the video has 1 frame\n" in capsys.readouterr().err
