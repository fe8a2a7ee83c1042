"""`pointtrack segment`, with a segmenter that sees colours and a tracker of random weights."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from pointtrack.cli import segment as cli_segment
from pointtrack.cli.progress import Bar
from pointtrack.io.masks import load_masks, save_masks
from pointtrack.io.video import read_video, write_image
from pointtrack.objects.prompt_texts import parse_prompts
from pointtrack.types import Masks
from tests.support.segment_command import SCENE, run, segment_files

files = pytest.fixture(segment_files)


@pytest.mark.parametrize(
    "arguments",
    [
        "--click 0,28,28 --click 0,70,5,-",
        "--box 0,20,20,35,35 --click 0,28,28",
        "--mask 0,{dir}/mask.png",
    ],
)
def test_one_object_is_followed(arguments, files, capsys):
    assert run(arguments.replace(" --click 0,70", " 0,70"), files) == 0
    printed = capsys.readouterr().out
    assert "segmented 1 object in 6 frames of 80 x 60" in printed
    assert re.search(r" s; present on \d+ % of them\n", printed)
    masks = load_masks(files["dir"] / "out" / "frames_masks.npz")
    assert torch.equal(masks.masks[0, 0], SCENE.truth[0, 0])
    assert (files["dir"] / "out" / "frames_masks.mp4").stat().st_size > 0
    assert (files["dir"] / "out" / "frames_masks.png").is_file()


def test_results_go_beside_the_video_that_is_named(files):
    target = files["dir"] / "new" / "mine.mp4"
    assert run(f"--mask 0,{{dir}}/mask.png --out {target}", files) == 0
    shown = sorted(path.name for path in target.parent.iterdir() if path.name[0] != ".")
    assert shown == ["mine.mp4", "mine.npz", "mine.png"]
    assert run(f"--mask 0,{{dir}}/mask.png --out {target.with_suffix('.txt')}", files) == 2


def test_kept_frames_are_numbered_as_in_the_whole_video(files, capsys):
    click, exports = "1:0,28,28 2:0,58,42", "npz,davis,coco,cutout"
    assert run(f"--click {click} --export {exports} --out {{dir}}/whole", files) == 0
    assert run(f"--click {click} --export {exports} --keep 2,4", files) == 0
    assert "in 3 frames of 80 x 60" in capsys.readouterr().out
    out = files["dir"] / "out"
    whole = load_masks(files["dir"] / "whole" / "frames_masks.npz")
    for name in ("frames_masks.npz", "frames_coco.json"):
        masks = load_masks(out / name)
        assert masks.first_frame == 2 and torch.equal(masks.masks, whole.masks[2:5]), name
    assert sorted(path.stem for path in (out / "frames_davis").glob("*.png")) == ["00002", "00003", "00004"]
    drawn = read_video(files["dir"] / "whole" / "frames_masks.mp4")
    for name in ("frames_masks.mp4", "frames_cutout.webm"):
        assert len(read_video(out / name)) == 3, name
    difference = read_video(out / "frames_masks.mp4").frames.astype(int) - drawn.frames[2:5]
    assert abs(difference).mean() < 4
    for wrong, words in (("2", "first and the last"), ("4,2", "within 0..5"), ("0,6", "within 0..5")):
        assert run(f"--click {click} --keep {wrong}", files) == 2
        assert words in capsys.readouterr().err
    assert run(f"--click {click} --keep 2,4 --flat", files) == 2
    assert "--start" in capsys.readouterr().err


def test_several_objects_and_every_export(files, capsys):
    arguments = "--click 1:0,28,28 2:0,58,42 --export davis,ytvos,coco,ytvis,yolo,mot,npz,cutout"
    assert run(arguments, files) == 0
    out = files["dir"] / "out"
    for name in ("frames_davis", "frames_ytvos", "frames_coco.json", "frames_ytvis.json", "frames_masks.npz"):
        masks = load_masks(out / name)
        assert masks.object_ids.tolist() == [1, 2], name
        assert torch.equal(masks.masks[0], SCENE.truth[0]), name
    assert (out / "frames_cutout.webm").stat().st_size > 0
    pictures, labels = (sorted((out / "frames_yolo" / name).iterdir()) for name in ("images", "labels"))
    assert [path.stem for path in pictures] == [path.stem for path in labels]  # what data.yaml names is there


@pytest.mark.parametrize(
    "told", ["--click 0,28,28", "--click 1:0,28,28 2:2,58,42 1:3,70,5,-", "--tracks {dir}/tracks.npz"]
)
def test_a_bar_never_shows_more_than_all_and_ends_full(told, files, monkeypatch):
    """Two objects, and one that is followed to a correction first, take more steps than the video has frames."""
    bars, shown = [], []

    class NotedBar(cli_segment.Bar):
        def update(self, done: int = 1) -> None:
            super().update(done)
            bars.append(self)
            shown.append(self.n <= self.total)

    monkeypatch.setattr(cli_segment, "Bar", NotedBar)
    assert run(told, files) == 0
    assert all(shown) and len(set(bars)) == 1 and bars[-1].n == bars[-1].total


def test_a_finished_session_has_nothing_left_in_the_bar(files, monkeypatch):
    made = []
    monkeypatch.setattr(cli_segment, "Bar", lambda *about: made.append(Bar(*about)) or made[-1])
    for told in ("--click 0,28,28", "", "--absent 1:5"):
        assert run(f"{told} --session {{dir}}/s.npz", files) == 0
    assert [(bar.n, bar.total) for bar in made] == [(5, 5), (0, 0), (4, 4)]


def test_a_shorter_run_leaves_no_frames_of_a_longer_one(files, capsys):
    out = files["dir"] / "out"
    told = "--click 0,28,28 --export davis,ytvos,yolo"
    assert run(told, files) == 0
    assert run(f"{told} --max-frames 2", files) == 0
    assert len(load_masks(out / "frames_davis")) == len(load_masks(out / "frames_ytvos")) == 2
    for name in ("images", "labels"):
        kept = sorted(path.stem for path in (out / "frames_yolo" / name).iterdir())
        assert kept == ["frame_000000", "frame_000001"]
    assert run("--click 0,28,28 --export davis --flat --max-frames 1", files) == 0
    assert len(load_masks(out / "frames_davis")) == 1


def test_pictures_of_somebody_else_are_not_replaced(files, capsys):
    mine = files["dir"] / "out" / "frames_davis" / "00000.png"
    write_image(mine, SCENE.video.frames[0])
    before = mine.read_bytes()
    assert run("--click 0,28,28 --export davis", files) == 2
    assert "found another folder; choose another --out" in capsys.readouterr().err
    assert mine.read_bytes() == before
    assert run("--click 0,28,28 --export davis --overwrite", files) == 0


def test_saved_tracks_become_masks(files):
    assert run("--tracks {dir}/tracks.npz", files) == 0
    masks = load_masks(files["dir"] / "out" / "frames_masks.npz")
    assert torch.equal(masks.masks[:, 0], SCENE.truth[:, 0])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("", "expected clicks, boxes or masks (or a session that has some)"),
        (
            "--click 0,28,28 --tracks {dir}/tracks.npz",
            "expected clicks, boxes or masks (or a session that has some)",
        ),
        ("", "got none of them; --click FRAME,X,Y points at an object"),
        ("--absent 3", "absent: expected a click, a box or a mask of object 1 on another frame too"),
        ("--click 0,28,28 --absent 2:3", "a mask of object 2 on another frame"),
        ("--click 0,28", "expected a click frame,x,y or frame,x,y,-, got '0,28'"),
        ("--click 0,28,28,*", "expected a click frame,x,y"),
        ("--click here", "expected a click frame,x,y"),
        ("--box 0,1,2,3", "expected a box frame,x0,y0,x1,y1"),
        ("--click 0,28,28 --mask 0,{dir}/mask.png", "frame 0: expected clicks and a box, or a mask"),
        ("--absent x", "expected an absence frame, got 'x'"),
        (
            "--click 0,28,28 --absent 3,5",
            "expected an absence frame, got '3,5'; give several frames one after",
        ),
        ("--box 0,1,1,9,9 0,20,20,30,30", "box: expected one of object 1 on frame 0, got another"),
        ("--click 0,70,5,-", "expected a click on the object, or a box, as nothing is known of it"),
        ("--click 0,28,28 --session {dir}/out/frames_masks.npz", "session: expected a file of its own"),
        ("--tracks {dir}/tracks.npz --video_segmenter sam2.1-hiera-tiny", "expected prompts"),
        ("--tracks {dir}/tracks.npz --session {dir}/new.npz", "session: expected clicks, boxes or masks"),
        ("--click 0,200,28", "within the 80 x 60 frame"),
        ("--mask 0,{dir}/none.png", "found nothing at"),
        ("--click 9,28,28", "expected a whole number in 0..5, got 9"),
        ("--click 0,28,28 --export gif", "export: expected some of npz"),
    ],
)
def test_mistakes_get_one_line(arguments, message, files, capsys):
    assert run(arguments, files) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("pointtrack: error: ")
    assert not (files["dir"] / "out").exists()


@pytest.mark.parametrize("more", [pytest.param("", marks=pytest.mark.long), " --flat"])
def test_an_annotation_of_davis_gives_all_its_objects(more, files, capsys):
    out = files["dir"] / "out"
    first = Masks(SCENE.truth[:1].numpy(), object_ids=[1, 4])
    davis = save_masks(files["dir"] / "davis", first, format="davis")
    shutil.copy(davis / "00000.png", files["dir"] / "first.png")
    assert run(f"--mask 0,{{dir}}/first.png{more}", files) == 0
    masks = load_masks(out / "frames_masks.npz")
    assert masks.object_ids.tolist() == [1, 4] and torch.equal(masks.masks[0], SCENE.truth[0])
    assert run(f"--mask 4:0,{{dir}}/first.png{more}", files) == 0
    masks = load_masks(out / "frames_masks.npz")
    assert masks.object_ids.tolist() == [4] and torch.equal(masks.masks[0, 0], SCENE.truth[0, 1])
    assert run(f"--mask 2:0,{{dir}}/first.png{more}", files) == 2
    assert "expected one of the objects 1, 4 that" in capsys.readouterr().err


@pytest.mark.parametrize("more", ["", " --flat"])
def test_a_mask_of_another_size_is_named_before_anything_is_loaded(more, files, monkeypatch, capsys):
    monkeypatch.setattr(cli_segment, "load_segmenter", lambda *_, **options: pytest.fail("it was loaded"))
    cv2.imwrite(str(files["dir"] / "wide.png"), np.full((30, 50), 255, np.uint8))
    assert run(f"--mask 2:0,{{dir}}/wide.png{more}", files) == 2
    path = files["dir"] / "wide.png"
    words = f"expected a picture of 80 x 60 (width x height) as the video, got 50 x 30 in {path};"
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1


def test_a_missing_extra_is_said(files, monkeypatch, capsys):
    def missing(name, **options):
        raise ImportError("SAM models need the transformers library")

    monkeypatch.setattr(cli_segment, "load_segmenter", missing)
    assert run("--click 0,28,28", files) == 2
    assert "need the transformers library" in capsys.readouterr().err


def test_texts_become_prompts():
    first, third, later = parse_prompts(
        ["3:4,10,20", "3:4,11.5,21,-", "0,1,2"], ["3:4,5,6,70,80"], [], ["3:7"]
    )
    assert (first.object_id, first.frame) == (1, 0) and (third.object_id, third.frame) == (3, 4)
    prompt = third.prompt()
    assert prompt.points.tolist() == [[10, 20], [11.5, 21]] and prompt.labels.tolist() == [True, False]
    assert prompt.box.tolist() == [5, 6, 70, 80]
    assert (later.frame, later.absent) == (7, True)


def test_several_frames_and_a_session_that_goes_on(files, capsys):
    assert run("--click 0,28,28 --absent 5 --session {dir}/session.npz", files) == 0
    masks = load_masks(files["dir"] / "out" / "frames_masks.npz")
    assert torch.equal(masks.masks[0, 0], SCENE.truth[0, 0]) and not masks.masks[5].any()
    assert run("--click 2:3,58,42 --session {dir}/session.npz", files) == 0
    masks = load_masks(files["dir"] / "out" / "frames_masks.npz")
    assert masks.object_ids.tolist() == [1, 2]
    assert torch.equal(masks.masks[0, 0], SCENE.truth[0, 0]) and not masks.masks[5, 0].any()
    assert torch.equal(masks.masks[3, 1], SCENE.truth[3, 1])
    assert "session" in capsys.readouterr().out


def test_a_session_that_ctrl_c_stops_keeps_its_prompts(files, capsys, monkeypatch):
    class StoppedBar(Bar):
        def update(self, done: int = 1) -> None:
            super().update(done)
            if self.n == 3:
                raise KeyboardInterrupt

    told = "--click 0,28,28 --absent 5 --session {dir}/s.npz"
    with monkeypatch.context() as stopped:
        stopped.setattr(cli_segment, "Bar", StoppedBar)
        assert run(told, files) == 130
    with pytest.raises(
        ValueError, match="session of objects; `pointtrack segment VIDEO --session s.npz` writes"
    ):
        load_masks(files["dir"] / "s.npz")
    said = capsys.readouterr().err
    assert "s.npz keeps what was entered and what is known so far; the same command goes on" in said
    assert said.count("\n") == 1 and said.startswith("pointtrack: stopped; "), said
    assert run("--session {dir}/s.npz", files) == 0
    masks = load_masks(files["dir"] / "out" / "frames_masks.npz").masks
    kept = (files["dir"] / "s.npz").read_bytes()
    assert run(told, files) == 0 and len(kept) == (files["dir"] / "s.npz").stat().st_size, (
        "repeating adds nothing"
    )
    assert run(told.replace("s.npz", "whole.npz"), files) == 0
    assert torch.equal(load_masks(files["dir"] / "out" / "frames_masks.npz").masks, masks)


def test_a_full_disk_does_not_cost_the_masks(files, capsys, monkeypatch):
    def full(*_, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cli_segment, "write_video", full)
    assert run("--click 0,28,28", files) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert len(load_masks(files["dir"] / "out" / "frames_masks.npz")) == 6


def test_a_session_without_suffix_goes_on_too(files):
    """--session work is work.npz, the first time and the next."""
    assert run("--click 0,28,28 --session {dir}/work", files) == 0
    assert run("--click 2:3,58,42 --session {dir}/work", files) == 0
    assert load_masks(files["dir"] / "out" / "frames_masks.npz").object_ids.tolist() == [1, 2]


def test_in_one_pass(files, capsys):
    """The same masks as in memory, where objects are given on the first frame; nothing of the video is held."""
    told = "--click 1:0,28,28 --click 2:0,58,42"
    assert run(told.replace(" --click 2", " 2") + " --export npz,mot", files) == 0
    whole = load_masks(files["dir"] / "out" / "frames_masks.npz")
    lines = (files["dir"] / "out" / "frames_masks_mot.txt").read_text()
    sheet = (files["dir"] / "out" / "frames_masks.png").read_bytes()
    assert run(told.replace(" --click 2", " 2") + " --flat --export npz,mot,davis", files) == 0
    printed = capsys.readouterr().out
    assert "segmented 2 objects in 6 frames of 80 x 60" in printed and "frames_davis" in printed
    assert re.search(r" s; present on \d+, \d+ % of them\n", printed)
    flat = load_masks(files["dir"] / "out" / "frames_masks.npz")
    assert torch.equal(flat.masks, whole.masks) and torch.equal(flat.scores, whole.scores)
    assert (files["dir"] / "out" / "frames_masks_mot.txt").read_text() == lines
    assert (files["dir"] / "out" / "frames_masks.png").read_bytes() == sheet
    assert len(list((files["dir"] / "out" / "frames_davis").iterdir())) == 6


def test_frames_worth_a_look_are_named_whichever_way_masks_come(files, capsys, monkeypatch):
    """Whatever is kept of a pass, the worst frames are those that a session names."""
    monkeypatch.setattr("pointtrack.sessions.doubts.DOUBTFUL", 1.1)
    monkeypatch.setattr("pointtrack.sessions.doubts.APART", 2)

    def named(arguments: str) -> list[str]:
        capsys.readouterr()
        assert run(arguments, files) == 0
        out = capsys.readouterr().out
        found = [line for line in out.splitlines() if line.startswith("worth a look: ")]
        correctable = "--flat" not in arguments and "--tracks" not in arguments
        assert ("with --session FILE.npz" in out) == (bool(found) and correctable)
        return found

    session = named("--click 1:0,28,28 2:0,58,42")
    assert len(session) == 3 and named("--click 1:0,28,28 2:0,58,42 --flat") == session
    assert len(named("--tracks {dir}/tracks.npz")) == 3
    monkeypatch.setattr("pointtrack.sessions.doubts.DOUBTFUL", 0.0)
    assert named("--click 1:0,28,28 --flat --max-frames 2") == named("--tracks {dir}/tracks.npz") == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("--flat --tracks {dir}/tracks.npz", "flat: expected prompts alone"),
        ("--flat --click 0,28,28 --session {dir}/s.npz", "got --session too"),
        (
            "--flat --click 0,28,28 --export yolo",
            "flat: expected exports among npz, davis, coco, mot, cutout",
        ),
        ("--flat --click 9,28,28", "expected a frame in 0..5, got 9"),
        ("--flat --click 0,28,28 --name offline", "expected a tracker of windows, such as small"),
    ],
)
def test_what_one_pass_cannot_do(arguments, message, files, tiny_tracker, capsys, monkeypatch):
    if "offline" in arguments:
        window = replace(tiny_tracker.config.window, length=None)
        tiny_tracker.config = replace(tiny_tracker.config, window=window)
        monkeypatch.setattr(cli_segment.SegmentCommand, "loaded", lambda self, wh: tiny_tracker)
    assert run(arguments, files) == 2
    assert message in capsys.readouterr().err
    assert not (files["dir"] / "out" / "frames_masks.npz").exists()


def test_a_prompt_after_the_end_is_refused_before_anything_is_followed(files, monkeypatch, capsys):
    monkeypatch.setattr(cli_segment, "segment_flat", lambda *_: pytest.fail("it was followed"))
    for told in ("--click 0,28,28 9,28,28", "--click 0,28,28 --absent 9"):
        assert run(f"{told} --flat", files) == 2
        assert "prompt: expected a frame in 0..5, got 9; the video has 6 frames" in capsys.readouterr().err
