"""`pointtrack segment --background, --objects`: the edited video, and PNGs with alpha."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from pointtrack.cli import segment as cli_segment
from pointtrack.io.video import read_video, write_image
from tests.support.segment_command import SCENE, run, segment_files

BOTH = "--click 1:0,28,28 2:0,58,42"
files = pytest.fixture(segment_files)


@pytest.mark.parametrize(
    ("color", "flat"),
    [
        ("lime", ""),
        ("=#00ff00", " --flat"),
        *(
            pytest.param(color, flat, marks=pytest.mark.long)
            for color in ("lime", "00ff00", "#00ff00", "=#00ff00")
            for flat in ("", " --flat")
            if (color, flat) not in (("lime", ""), ("=#00ff00", " --flat"))
        ),
    ],
)
def test_the_edited_video_lies_beside_the_drawn_one(flat, color, files, capsys):
    how = f"--background{color}" if color[0] == "=" else f"--background {color}"
    assert run(f"{BOTH} {how}{flat}", files) == 0
    path = files["dir"] / "out" / "frames_edited.mp4"
    assert f"edited    {path}\n" in capsys.readouterr().out
    edited, drawn = read_video(path), read_video(files["dir"] / "out" / "frames_masks.mp4")
    assert edited.frames.shape == drawn.frames.shape
    outside = ~cv2.dilate(SCENE.truth[0].any(0).numpy().astype(np.uint8), np.ones((9, 9))).astype(bool)
    assert abs(edited.frames[0][outside].astype(int) - (0, 255, 0)).max() < 24
    assert edited.frames[0][28, 28].tolist() == pytest.approx(SCENE.video.frames[0][28, 28].tolist(), abs=30)


def test_one_object_hidden_another_kept_before_a_picture(files, capsys):
    assert run(f"{BOTH} --objects 2:black --background {{dir}}/sky.png --keep 2,4", files) == 0
    edited = read_video(files["dir"] / "out" / "frames_edited.mp4")
    assert len(edited) == 3
    assert abs(edited.frames[1][3, 3].astype(int) - (90, 160, 250)).max() < 12
    assert edited.frames[1][42, 58].max() < 30 < edited.frames[1][28, 28].max()


@pytest.mark.parametrize("flat", ["", " --flat"])
def test_frames_on_which_nothing_is_hidden_are_named(flat, files, capsys):
    """Who hides a face must know where it can still be seen."""
    assert run(f"{BOTH} --objects 1:pixelate --absent 1:4{flat}", files) == 0
    text = capsys.readouterr().out
    named = re.search(
        r"look at   object 1 has no mask on (\d) frames, so nothing is hidden there: .*-5\n", text
    )
    assert named is not None and int(named[1]) >= 2
    assert "object 2 has no mask" not in text


@pytest.mark.parametrize(
    "arguments, message",
    [
        (f"{BOTH} --objects 3:blur", "objects: expected numbers of objects, 1, 2, got 3 in '3:blur'"),
        (f"{BOTH} --background nosuch.jpg", "or a picture file, got 'nosuch.jpg'"),
        (f"{BOTH} --objects smear", "objects: expected blur, pixelate or a colour"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_computed(arguments, message, files, capsys, monkeypatch):
    monkeypatch.setattr(cli_segment, "read_video", lambda *_: pytest.fail("it was read"))
    assert run(arguments, files) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_the_edited_video_replaces_neither_an_input_nor_a_file_of_others(files, capsys):
    out = files["dir"] / "out"
    out.mkdir()
    (out / "frames_edited.mp4").write_bytes(b"mine")
    assert run(f"{BOTH} --background blur", files) == 2
    assert "frames_edited.mp4: expected a new file or an earlier result" in capsys.readouterr().err
    assert (out / "frames_edited.mp4").read_bytes() == b"mine"
    picture = out / "frames_masks.png"
    write_image(picture, np.zeros((5, 5, 3), np.uint8))
    assert run(f"{BOTH} --background {picture} --overwrite", files) == 2
    assert "expected an output that is not the input" in capsys.readouterr().err


def test_an_earlier_edited_video_of_other_masks_is_set_aside(files, capsys):
    assert run(f"{BOTH} --background blur", files) == 0
    assert run("--click 0,28,28", files) == 0
    assert "frames_edited.mp4 was of an earlier run" in capsys.readouterr().out


@pytest.mark.parametrize("flat", [pytest.param("", marks=pytest.mark.long), " --flat"])
def test_pictures_with_alpha_of_every_object(flat, files):
    assert run(f"{BOTH} --export cutout-png{flat}", files) == 0
    folder = files["dir"] / "out" / "frames_cutout"
    assert len(list(folder.glob("*.png"))) == len(list((folder / "object_1").glob("*.png"))) == 6
    assert len(list((folder / "object_2").iterdir())) == 6
    alpha = cv2.imread(str(folder / "object_2" / "00003.png"), cv2.IMREAD_UNCHANGED)[..., 3]
    assert alpha[42, 58] == 255 and not alpha[28, 28]
    assert run(f"--click 0,28,28 --export cutout-png --max-frames 4{flat}", files) == 0
    assert len(list(folder.rglob("*"))) == 4, "nothing of the earlier run is left"
