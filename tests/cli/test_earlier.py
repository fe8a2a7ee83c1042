"""Files that an earlier run left beside new results get a name that says so; nothing is lost."""

from __future__ import annotations

import json

import pytest

from pointtrack.cli import segment
from pointtrack.cli.main import main
from pointtrack.io.outputs import ORIGINS
from tests.support.scenes import ColourSegmenter


@pytest.fixture
def run(tiny_video_file, tiny_tracker_file, tmp_path, monkeypatch, capsys):
    """Runs a command on the tiny video; returns what it printed. `run.names()` are those of the results."""
    monkeypatch.setattr(segment, "load_segmenter", lambda *_, **__: ColourSegmenter())  # quick ones
    monkeypatch.setattr("pointtrack.cli.live_recording.load_segmenter", lambda *_, **__: ColourSegmenter())

    def call(command: str, *more: str) -> str:
        arguments = [
            *command.split(),
            *more,
            "--out",
            str(tmp_path / "o.mp4"),
            "--tracker",
            str(tiny_tracker_file),
        ]
        assert main([arguments[0], str(tiny_video_file), *arguments[1:]]) == 0
        return capsys.readouterr().out

    call.names = lambda: {path.name for path in tmp_path.glob("o*")}
    return call


@pytest.mark.parametrize("flat", ["", pytest.param(" --flat", marks=pytest.mark.long)])
def test_sheets_smoothed_tracks_and_exports_of_other_points_are_renamed(run, tmp_path, flat):
    assert "earlier" not in run("track --grid 2 --smooth 1 --export csv,mot")
    before = {
        name: (tmp_path / name).read_bytes() for name in ("o.png", "o_smooth.npz", "o.csv", "o_mot.txt")
    }
    printed = run(f"track --grid 3{flat}")
    assert "o.csv was of an earlier run, and is now o_earlier.csv" in printed
    own, aside = {"o.mp4", "o.npz", "o.png"}, {"o_smooth_earlier.npz", "o_earlier.csv", "o_mot_earlier.txt"}
    assert run.names() == own | aside
    assert (tmp_path / "o.png").read_bytes() != before["o.png"]
    assert (tmp_path / "o_earlier.csv").read_bytes() == before["o.csv"]
    assert (tmp_path / "o_smooth_earlier.npz").read_bytes() == before["o_smooth.npz"]
    run("track --grid 4 --export csv")
    run("track --grid 3")  # a name that is taken is not taken again
    assert (tmp_path / "o_earlier.csv").read_bytes() == before["o.csv"] and "o_earlier2.csv" in run.names()


def test_more_exports_of_the_same_tracks_stay_together(run):
    run("track --grid 2 --export csv")
    assert "earlier" not in run("track --grid 2 --export comfyui")
    assert "earlier" not in run("track --grid 2 --flat --export mot")
    assert "earlier" not in run("track --grid 2 --flat --resume --export nuke")
    assert run.names() == {"o.mp4", "o.npz", "o.png", "o.csv", "o_comfyui.json", "o_mot.txt", "o.nk"}


def test_files_of_the_user_stay(run, tmp_path):
    (tmp_path / "o.csv").write_text("frame,x,y\n0,20,20\n")  # this one is even read
    (tmp_path / "o_plot.png").write_bytes(b"mine")
    run("track --export json", "--queries", str(tmp_path / "o.csv"))
    run("track --grid 2")
    assert run.names() == {"o.mp4", "o.npz", "o.png", "o.csv", "o_plot.png", "o_earlier.json"}


def test_an_export_that_is_read_stays(run, tmp_path):
    run("track --grid 2 --export csv")
    points = tmp_path / "o.csv"
    points.write_text("frame,x,y\n0,20,20\n")
    assert "earlier" not in run("track", "--queries", str(points))
    assert points.is_file()


def test_masks_of_other_prompts_are_renamed(run, tmp_path):
    run("segment --click 0,30,20 --export npz,davis,coco")
    same = run("segment --click 0,30,20 --export mot")
    assert "earlier" not in same and {"o.npz", "o_davis", "o_coco.json", "o_masks_mot.txt"} < run.names()
    printed = run("segment --click 0,30,20 --absent 5 --export mot --flat")
    assert "o_davis was of an earlier run, and is now o_davis_earlier" in printed
    assert run.names() == {
        "o.mp4", "o_masks_mot.txt", "o.png", "o_earlier.npz", "o_davis_earlier", "o_coco_earlier.json",
    }  # fmt: skip
    assert len(list((tmp_path / "o_davis_earlier").glob("*.png"))) == 6


def test_a_recording_is_another_run(run):
    run("track --grid 2 --export csv")
    run("live --grid 2 --no_drop --overwrite")
    assert run.names() == {"o.mp4", "o.npz", "o_earlier.png", "o_earlier.csv"}


def test_commands_leave_each_other_s_files_alone(run, tmp_path):
    """Also where both are told to write their video, and so their .npz, to one place."""
    run("segment --click 0,30,20 --export mot")
    run("track --grid 2 --flat")
    assert "o_masks_mot.txt" in run.names()
    known = json.loads((tmp_path / ORIGINS).read_text())
    assert known["/runs"]["o.npz"].startswith("track ")
