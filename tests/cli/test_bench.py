"""`pointtrack bench`: one row for each way to track here, and mistakes named before anything is measured."""

import re

import numpy as np
import pytest

import pointtrack as pt
from pointtrack.cli import main as cli
from tests.support.scenes import ColourSegmenter


@pytest.fixture
def clip(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (6, 32, 48, 3), np.uint8)
    return str(pt.write_video(tmp_path / "clip.mp4", pt.Video(frames)))


def test_each_way_has_its_row(clip, tiny_tracker_file, monkeypatch, capsys):
    monkeypatch.setattr("pointtrack.cli.bench.load_segmenter", lambda *_, **options: ColourSegmenter())
    monkeypatch.setattr("pointtrack.cli.bench.computes_bfloat16", lambda device: False)
    monkeypatch.setattr("pointtrack.cli.bench.WARM_UP", 2)
    assert cli.main(["bench", clip, "--points", "3", "--tracker", str(tiny_tracker_file)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("6 frames of 48 x 32, 3 points, tiny on cpu, ")
    rows = re.findall(r"^(\w.*?)  +([\d.]+) +(\d+)$", said, re.M)
    assert [name for name, *_ in rows] == [
        "track --speed fast",
        "track --speed balanced",
        "track --speed exact",
        "live, an answer per frame",
        "segment, one object",
    ]
    for _, rate, milliseconds in rows:
        assert float(rate) == pytest.approx(1000 / int(milliseconds), rel=0.5, abs=0.1), (
            "two units of one figure"
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--points", "0"], "at least 1 point"),
        (["--frames", "15"], "and 16 frames"),
        (["nowhere.mp4"], "nowhere.mp4"),
    ],
)
def test_what_cannot_be_measured(arguments, message, capsys):
    assert cli.main(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_video_that_is_too_short(tiny_video_file, capsys):
    assert cli.main(["bench", str(tiny_video_file)]) == 2
    assert "expected 16 frames or more, got 6" in capsys.readouterr().err
