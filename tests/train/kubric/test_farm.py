"""The driver, with a stand-in for the worker: which clips are made, what a second run does, what is said."""

import json
import sys
import time

import pytest

from train.kubric import farm
from train.kubric.__main__ import main, make_parser
from train.kubric.farm import ENVIRONMENT, kubric_python, missing_clips, render_clips
from train.kubric.plan import RenderSettings
from train.rays.__main__ import main as draw_main

WORKER = """#!{python}
import json, os, sys
from pathlib import Path
order = json.loads(sys.argv[3])
target = Path(order["target"])
with open(target.parent / "orders.txt", "a") as orders:
    orders.write(json.dumps([order["index"], order["attempt"]]) + "\\n")
what = {behaviour}.get(str(order["index"]), "fine")
if what == "crash":
    sys.exit("out of memory")
if what == "reject" or (what == "reject once" and order["attempt"] == 0):
    print("noise\\nREJECTED " + json.dumps(["half of the tracks are wrong"]))
    sys.exit(3)
(target.parent / ".making_x").mkdir(exist_ok=True)
(target.parent / ".making_x" / "clip.json").write_text(json.dumps(order["settings"]))
scene = {{"cpu_seconds": {{"scene": 1.5, "pictures": 20.0}}}}
(target.parent / ".making_x" / "scene.json").write_text(json.dumps(scene))
os.rename(target.parent / ".making_x", target)
"""


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """Function (behaviour by clip) that puts a stand-in for the Kubric environment's python in place."""

    def stand_in(**behaviour):
        path = tmp_path / "python"
        behaviour = {name[1:]: what for name, what in behaviour.items()}
        path.write_text(WORKER.format(python=sys.executable, behaviour=behaviour))
        path.chmod(0o755)
        monkeypatch.setenv(ENVIRONMENT, str(path))

    stand_in()
    return stand_in


def orders(out):
    path = out / "orders.txt"
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_second_run_makes_only_what_is_missing(tmp_path, worker):
    out = tmp_path / "clips"
    assert render_clips(out, 3, RenderSettings(), workers=1).rendered == [0, 1, 2]
    (out / "clip_00001").rename(tmp_path / "gone")
    (out / ".making_killed").mkdir()
    report = render_clips(out, 4, RenderSettings(), workers=1)
    assert (report.rendered, report.there) == ([1, 3], [0, 2])
    assert orders(out) == [(0, 0), (1, 0), (2, 0), (1, 0), (3, 0)]
    assert not (out / ".making_killed").exists()
    assert missing_clips(out, 6) == [4, 5]
    assert report.clips_per_hour() > 0 and report.cpu_seconds_per_clip() == 21.5


def test_other_settings_need_another_folder(tmp_path, worker):
    render_clips(tmp_path / "clips", 1, RenderSettings(seed=1), workers=1)
    with pytest.raises(ValueError, match="seed was 1, now 2"):
        render_clips(tmp_path / "clips", 2, RenderSettings(seed=2), workers=1)
    assert missing_clips(tmp_path / "clips", 2) == [1]


def test_a_rejected_scene_is_logged_and_replaced(tmp_path, worker):
    worker(_1="reject once")
    report = render_clips(tmp_path / "clips", 2, RenderSettings(), workers=1)
    assert (report.rendered, report.rejected) == ([0, 1], 1)
    assert orders(tmp_path / "clips") == [(0, 0), (1, 0), (1, 1)]
    line = json.loads((tmp_path / "clips" / "rejected.jsonl").read_text())
    assert line == {"index": 1, "attempt": 0, "why": ["half of the tracks are wrong"]}


def test_a_stopped_run_does_not_try_a_rejected_scene_again(tmp_path, worker):
    out = tmp_path / "clips"
    out.mkdir()
    (out / "rejected.jsonl").write_text(json.dumps({"index": 0, "attempt": 0, "why": []}) + "\n")
    render_clips(out, 2, RenderSettings(), workers=1)
    assert orders(out) == [(0, 1), (1, 0)]


def test_what_always_fails_is_given_up_and_the_rest_goes_on(tmp_path, worker):
    worker(_0="reject", _1="crash")
    report = render_clips(tmp_path / "clips", 3, RenderSettings(), workers=2)
    assert (report.failed, report.rendered, report.rejected) == ([0, 1], [2], 4)
    assert "out of memory" in (tmp_path / "clips" / "logs" / "clip_00001.txt").read_text()


def test_a_stopped_run_begins_no_more_clips(tmp_path, worker, monkeypatch):
    begun = []

    def stopped(python, out, index, order):
        begun.append(index)
        time.sleep(0.05)
        raise KeyboardInterrupt

    monkeypatch.setattr(farm, "_one_clip", stopped)
    with pytest.raises(KeyboardInterrupt):
        render_clips(tmp_path / "clips", 40, RenderSettings(), workers=1)
    assert 1 <= len(begun) < 40


def test_workers_learn_the_settings(tmp_path, worker):
    (tmp_path / "pictures").mkdir()
    settings = RenderSettings(8, (96, 64), 4, 32, 5, textures=tmp_path / "pictures")
    render_clips(tmp_path / "clips", 1, settings, workers=1)
    told = json.loads((tmp_path / "clips" / "clip_00000" / "clip.json").read_text())
    expected = {"frames": 8, "wh": [96, 64], "samples": 4, "tracks": 32, "seed": 5}
    assert told == expected | {"textures": str(tmp_path / "pictures"), "meshes": None, "manifests": []}


def test_missing_environment_and_folders_are_named(tmp_path, monkeypatch, worker):
    with pytest.raises(FileNotFoundError, match="nowhere: expected a folder"):
        render_clips(tmp_path / "clips", 1, RenderSettings(meshes=tmp_path / "nowhere"))
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="run `make kubric-env`"):
        kubric_python()


def test_command(tmp_path, worker, capsys):
    arguments = [
        "render",
        "--out",
        str(tmp_path / "clips"),
        "--clips",
        "2",
        "--size",
        "96x64",
        "--workers",
        "1",
    ]
    assert main(arguments) == 0
    assert "2 clips rendered" in capsys.readouterr().out
    assert main([*arguments, "--seed", "9"]) == 2
    assert "seed was 0, now 9" in capsys.readouterr().err
    assert make_parser().parse_args([*arguments[:5], "--size", "128"]).size == (128, 128)
    with pytest.raises(SystemExit):
        make_parser().parse_args([*arguments[:5], "--size", "big"])
    assert "expected WIDTHxHEIGHT like 256x256, got 'big'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [main, draw_main])
def test_a_picture_of_no_clips_is_one_clear_line(command, tmp_path, capsys):
    assert command(["sheet", str(tmp_path), "--out", str(tmp_path / "sheet.png")]) == 2
    assert f"error: sheet: expected clip_00000 and so on in {tmp_path}, found none" in capsys.readouterr().err
