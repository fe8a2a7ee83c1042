"""The command `pointtrack live`: what it records, serves and prints, and one clear line for every mistake."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

import pointtrack as pt
from pointtrack.checks import counted
from pointtrack.cli import live as cli_live
from pointtrack.cli import live_recording
from pointtrack.cli import main as cli
from pointtrack.cli.live_server import LiveServer
from pointtrack.io.masks import load_masks
from pointtrack.io.track_log import read_spilled
from pointtrack.models.checkpoint import save_checkpoint
from pointtrack.pipeline import sinks
from pointtrack.types import Masks
from pointtrack.types.point_states import PointState
from tests.support.live_sources import VIDEO, WH, Gate, fetch, other_size, raising
from tests.support.scenes import ColourSegmenter, squares


def live(*arguments) -> int:
    return cli.main(["live", *map(str, arguments)])


def test_the_command_records(tiny_video_file, tiny_tracker_file, tmp_path, capsys):
    out = tmp_path / "new" / "out.mp4"
    code = live(
        tiny_video_file, "--grid", 3, "--points", "0,10,20.5", "--no-drop", "--out", out,
        "--tracker", tiny_tracker_file, "--device", "cpu", "--precision", "bfloat16", "--speed", "fast", "--trail", 2,
    )  # fmt: skip
    printed, warned = capsys.readouterr()
    assert code == 0 and warned == ""
    assert "6 frames" in printed and "0 dropped (the source waits)" in printed and "ended" in printed
    assert re.search(r"latency   10 points: p50 \d+ ms, p95 \d+ ms, over 6 frames", printed)
    drawn, tracks = pt.read_video(out), pt.load_tracks(out.with_suffix(".npz"))
    assert (len(drawn), drawn.wh) == (6, WH)
    assert np.abs(drawn.frames.astype(int) - pt.read_video(tiny_video_file).frames).max() > 40, (
        "something is drawn"
    )
    assert drawn.times == pytest.approx(np.arange(6) / 10, abs=0.02)
    assert tracks.xy.shape == (6, 10, 2) and tracks.xy[0, 0].tolist() == [10, 20.5]
    assert not out.with_suffix(".tracks").exists()


def test_the_command_ends_after_so_many_frames_and_serves(
    tiny_video_file, tiny_tracker_file, tmp_path, monkeypatch, capsys
):
    seen = {}

    class Watched(LiveServer):
        def show(self, frame):
            super().show(frame)
            seen["state"] = json.loads(fetch(self.url + "state")[1])
            seen["kind"] = fetch(self.url + "frame.jpg")[0]

    monkeypatch.setattr(cli_live, "LiveServer", Watched)
    arguments = [
        "--points",
        "0,10,20",
        "3,5,5",
        "--no-drop",
        "--max-frames",
        2,
        "--serve",
        0,
        "--out",
        tmp_path,
    ]
    assert live(tiny_video_file, *arguments, "--tracker", tiny_tracker_file) == 0
    assert len(pt.read_video(tmp_path / "tiny.mp4")) == 2, "called as its source"
    printed = capsys.readouterr().out
    assert "serving   http://127.0.0.1:" in printed and "2 frames" in printed
    assert re.search(r"source    ended: .*tiny\.mp4: ended by --max-frames 2\n", printed), printed
    assert seen["kind"] == "image/jpeg"
    assert (seen["state"]["state"], seen["state"]["lag"], seen["state"]["frames"]) == ("running", 2, 2)
    first, second = seen["state"]["points"]
    assert first["id"] == 0 and first["x"] == pytest.approx(10, abs=20)
    assert second["x"] is None and second["visibility"] == 0, "this point does not exist yet"
    assert "states" not in seen["state"] and "state" not in first and "states    " not in printed


@pytest.mark.parametrize("option", [pytest.param("--states", marks=pytest.mark.long), "--redetect"])
def test_the_command_tells_states(option, tiny_tracker_file, tmp_path, monkeypatch, capsys):
    """A cut: what is served, drawn and recorded says from there on that all are lost."""
    told, drawn = [], []
    state_of, draw_frame = cli_live.state_of, sinks.draw_frame
    monkeypatch.setattr(cli_live, "state_of", lambda *given: told.append(state_of(*given)) or told[-1])
    monkeypatch.setattr(
        sinks,
        "draw_frame",
        lambda frame, rows, *rest: drawn.append(rows) or draw_frame(frame, rows, *rest),
    )
    frames = [*VIDEO.frames[:9], *(255 - VIDEO.frames[9:])]
    monkeypatch.setattr(cli_live.LiveCommand, "opened_source", lambda self: iter(frames))
    arguments = ["--grid", 2, "--no-drop", "--out", tmp_path / "o.mp4", "--tracker", tiny_tracker_file]
    assert live("0", *arguments, "--serve", 0, option) == 0
    printed = capsys.readouterr().out
    tracks = pt.load_tracks(tmp_path / "o.npz")
    lost, again = tracks.states.state == PointState.LOST, tracks.states.times_redetected
    assert (lost | (again > 0))[9:].all() and lost[9:].any() and not lost[0].any()
    found = counted(int(again.amax(dim=0).sum()), "time")
    assert f"{100 * lost.float().mean():.0f} % lost; found again {found}\n" in printed
    assert again.any() == (option == "--redetect")
    states = drawn[-1].states.state
    assert (states[-11:-8] == PointState.LOST).all(), "at once, though most of these were final only later"
    last = json.loads(json.dumps(told[-1]))
    words = [point["state"] for point in last["points"]]
    assert words == [PointState(state).name.lower().replace("_", " ") for state in states[-1].tolist()]
    assert last["states"] == {word: words.count(word) for word in last["states"]} and len(last["states"]) == 5
    assert last["cuts"] == [9]


def test_bare_frames_through_a_pipe(tiny_tracker_file, tmp_path, monkeypatch, capsys):
    (tmp_path / "pipe").write_bytes(VIDEO.frames[:5].tobytes())
    with (tmp_path / "pipe").open("rb") as file:
        monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": file}))
        arguments = ["--wh", "64x48", "--grid", 2, "--no-drop", "--out", tmp_path / "o.mp4", "--fps", 5]
        assert live("-", *arguments, "--tracker", tiny_tracker_file) == 0
    assert "source    ended: standard input: ended after 5 frames" in capsys.readouterr().out
    assert pt.load_tracks(tmp_path / "o.npz").xy.shape == (5, 4, 2)
    assert pt.read_video(tmp_path / "o.mp4").times[-1] == pytest.approx(0.8, abs=0.01)


def test_an_mp4_whose_index_is_at_its_end_through_a_pipe(
    tiny_video_file, tiny_tracker_file, tmp_path, monkeypatch
):
    content = tiny_video_file.read_bytes()
    assert content.index(b"mdat") < content.index(b"moov")
    with tiny_video_file.open("rb") as file:
        pipe = SimpleNamespace(read=file.read)  # nobody can go back in it
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
        arguments = ["--grid", 2, "--no-drop", "--out", tmp_path / "o.mp4", "--tracker", tiny_tracker_file]
        assert live("-", *arguments) == 0
    assert pt.load_tracks(tmp_path / "o.npz").xy.shape == (6, 4, 2)


@pytest.mark.parametrize(
    "source, arguments, code, words",
    [
        (raising, [], 1, "error: video: RuntimeError: the cable was pulled"),
        (other_size, [], 1, "size changed: "),
        (lambda: iter(Gate([4])), ["--give-up", "0.15", "--stall", "0.05"], 1, "stalled: "),
    ],
)
def test_the_command_keeps_what_there_is(
    source, arguments, code, words, tiny_tracker_file, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(cli_live.LiveCommand, "opened_source", lambda self: source())
    record = ["--out", tmp_path / "o.mp4", "--tracker", tiny_tracker_file, "--grid", 2, "--no-drop"]
    assert live("0", *record, *arguments) == code
    assert words in capsys.readouterr().out
    frames = 4 if "stalled" in words else 7
    assert len(pt.load_tracks(tmp_path / "o.npz")) == frames == len(pt.read_video(tmp_path / "o.mp4"))


def test_a_crash_leaves_the_tracks(tiny_tracker_file, tmp_path, monkeypatch):
    def crash(*_):
        if crash.left == 0:
            raise MemoryError
        crash.left -= 1

    crash.left = 13
    monkeypatch.setattr(sinks, "draw_frame", lambda frame, *_: crash() or frame)
    monkeypatch.setattr(cli_live.LiveCommand, "opened_source", lambda self: iter(VIDEO.frames))
    assert live("0", "--out", tmp_path / "o.mp4", "--tracker", tiny_tracker_file, "--no-drop") != 0
    assert len(read_spilled(tmp_path / "o.tracks")) >= 8


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["none.mp4"], "none.mp4: expected a video"),
        (["97"], "camera 97: expected the index of a connected camera"),
        (["{video}", "--wh", "64x48"], "wh: expected only with bare frames on standard input"),
        (["-", "--wh", "64"], "wh: expected width x height as in 640x480, got '64'"),
        (["{video}", "--out", "a.txt"], "out: expected a folder or a file in .mp4"),
        (["{video}", "--max-frames", "0"], "max_frames: expected at least 1"),
        (["{video}", "--points", "0,70,1"], "inside the 64 x 48 image"),
        (["{video}", "--points", "1;2"], "points: expected frame,x,y"),
        (["{video}", "--precision", "int8"], "precision: expected float32 or bfloat16"),
        (["{video}", "--speed", "slow"], "speed: expected one of fast, balanced, exact, got 'slow'"),
        (["{video}", "--stall", "0"], "stall_seconds > 0"),
        (["{video}", "--trail", "-1"], "expected trail >= 0"),
    ],
)
def test_mistakes_get_one_clear_line(
    arguments, message, tiny_video_file, tiny_tracker_file, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    assert (
        live(*(part.format(video=tiny_video_file) for part in arguments), "--tracker", tiny_tracker_file) == 2
    )
    out, err = capfd.readouterr()
    assert message in err and out == ""
    assert list(tmp_path.glob("*.tracks")) == []


def test_a_tracker_of_whole_videos_is_refused_before_anything_is_written(tiny_tracker, tmp_path, capsys):
    window = replace(tiny_tracker.own_config.window, length=None)
    tiny_tracker.config = replace(tiny_tracker.own_config, window=window)
    save_checkpoint(tmp_path / "whole.safetensors", tiny_tracker)
    assert live("0", "--tracker", tmp_path / "whole.safetensors", "--out", tmp_path / "o") == 2
    assert "needs the whole video at once" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_no_window_is_told(monkeypatch, tiny_video_file, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert live(tiny_video_file, "--show") == 2
    assert "show: expected a display, found none; use --serve" in capsys.readouterr().err

    def headless(*_):
        raise cv2.error("The function is not implemented")

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "namedWindow", headless)
    assert live(tiny_video_file, "--show") == 2
    assert "opencv-python-headless" in capsys.readouterr().err


def test_q_in_the_window_ends_it(monkeypatch, tiny_video_file, tiny_tracker_file, capsys):
    shown = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
    monkeypatch.setattr(cv2, "imshow", lambda name, frame: shown.append(frame))
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q") if len(shown) == 2 else -1)
    assert live(tiny_video_file, "--show", "--no-drop", "--grid", 2, "--tracker", tiny_tracker_file) == 0
    assert len(shown) == 3 and shown[0].shape == (48, 64, 3)
    assert "stopped" in capsys.readouterr().out


def test_objects_are_followed(tiny_tracker_file, tmp_path, monkeypatch, capsys):
    """Drawn, served and recorded; what is told of them is ready for JSON."""
    scene = squares([[(20 + t, 20) for t in range(9)]])
    segmenter = ColourSegmenter()
    segmenter.answers = (1,)
    monkeypatch.setattr(live_recording, "load_segmenter", lambda name, **_: segmenter)
    monkeypatch.setattr(cli_live.LiveCommand, "opened_source", lambda self: iter(scene.video.frames))
    told = []
    monkeypatch.setattr(cli_live.LiveServer, "set_state", lambda self, state: told.append(state))
    arguments = ["--click", "0,28,28", "--no-drop", "--serve", 0, "--out", tmp_path / "o.mp4"]
    assert live("0", *arguments, "--tracker", tiny_tracker_file) == 0
    printed, warned = capsys.readouterr()
    assert warned == ""
    assert "1 object: p50" in printed and "final after at most" in printed and "object 1 on" in printed
    masks = load_masks(tmp_path / "o.npz")
    assert len(masks) == 9 == len(pt.read_video(tmp_path / "o.mp4")) and masks.object_ids.tolist() == [1]
    assert masks.masks[0, 0].equal(scene.truth[0, 0])
    state = json.loads(json.dumps(next(one for one in told if "objects" in one)))
    (one,) = state["objects"]
    assert (
        one["box"] == [20, 20, 35, 35]
        and one["pixels"] == 256
        and state["there"] == [1]
        and state["lag"] >= 1
    )


def test_clicks_on_frames_that_never_come_are_told_of(tiny_tracker_file, monkeypatch, caplog):
    scene = squares([[(20, 20)] * 3])
    monkeypatch.setattr(live_recording, "load_segmenter", lambda name, **_: ColourSegmenter())
    monkeypatch.setattr(cli_live.LiveCommand, "opened_source", lambda self: iter(scene.video.frames))
    arguments = ["--click", "0,28,28", "0,20,20", "5,28,28", "2:9,1,1", "2:9,2,2", "--no-drop"]
    assert live("0", *arguments, "--tracker", tiny_tracker_file) == 0
    assert "prompts on 2 frames, from 5 on, lie after the last frame (2)" in caplog.text


def test_a_mask_of_another_size_is_named(tiny_tracker_file, tmp_path, monkeypatch, capsys):
    scene = squares([[(20, 20)] * 3])
    monkeypatch.setattr(live_recording, "load_segmenter", lambda name, **_: ColourSegmenter())
    monkeypatch.setattr(cli_live.LiveCommand, "opened_source", lambda self: iter(scene.video.frames))
    path = tmp_path / "wide.png"
    cv2.imwrite(str(path), np.full((30, 50), 255, np.uint8))
    assert live("0", "--mask", f"0,{path}", "--no-drop", "--tracker", tiny_tracker_file) == 2
    w, h = scene.video.wh
    error = capsys.readouterr().err
    assert f"a picture of {w} x {h} (width x height) as the video, got 50 x 30 in {path};" in error


def test_points_or_objects(tiny_video_file, tiny_tracker_file, capsys):
    assert live(tiny_video_file, "--click", "0,9,9", "--grid", 3, "--tracker", tiny_tracker_file) == 2
    assert (
        "grid: expected points, or objects to follow (click, box, mask), got both" in capsys.readouterr().err
    )


def test_frames_of_a_recording_that_are_worth_a_look_are_named(capsys):
    tally = live_recording.MaskTally([4])
    tally.add(Masks(torch.ones(2, 1, 4, 4, dtype=torch.bool), [4], [[0.9], [0.25]]))
    tally.print()
    assert capsys.readouterr().out.splitlines() == [
        "objects   object 4 on 100% of 2 frames",
        "worth a look: object 4 on frame 1 (quality 0.25)",
    ]
