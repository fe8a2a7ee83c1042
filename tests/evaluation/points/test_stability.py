"""Jitter, and the still clips it is measured on."""

import numpy as np
import pytest
import torch

from evaluation.points import stability as still
from evaluation.points.metrics import jitter_px
from pointtrack.cli.runner import run_command
from pointtrack.types import Queries, Tracks


def still_tracks(xy, visibility=None):
    t, n = xy.shape[:2]
    visibility = torch.ones(t, n) if visibility is None else visibility
    return Tracks(xy, visibility, visibility, Queries(torch.zeros(n), xy[0]), (64, 48))


def test_jitter_of_noise_and_of_uniform_motion():
    generator = torch.Generator().manual_seed(0)
    noise = 0.5 * torch.randn(400, 50, 2, generator=generator)
    motion = torch.arange(400.0)[:, None, None] * torch.tensor([3.0, -1.0])
    seen = torch.ones(400, 50, dtype=torch.bool)
    assert jitter_px(motion.expand(-1, 50, -1), seen) == pytest.approx(0, abs=1e-3)
    assert jitter_px(motion + noise, seen) == pytest.approx(0.5 * np.sqrt(6 * np.pi / 2), rel=0.02)


def test_jitter_reads_only_three_visible_frames_in_a_row():
    xy = torch.zeros(7, 1, 2)
    xy[3] = 50.0
    seen = torch.ones(7, 1, dtype=torch.bool)
    assert jitter_px(xy, seen) > 0
    seen[3] = False
    assert np.isnan(jitter_px(xy[1:6], seen[1:6]))
    assert jitter_px(xy, seen) != jitter_px(xy, seen | True)
    assert np.isnan(jitter_px(torch.full((5, 2, 2), float("nan")), torch.ones(5, 2, dtype=torch.bool)))
    with pytest.raises(ValueError, match="visible: expected shape"):
        jitter_px(xy, seen[1:])


def test_still_video_is_the_picture_and_noise_is_as_large_as_told(textured):
    picture = textured((64, 48)) // 2 + 60  # far from 0 and 255, where noise is cut off
    video = still.still_video(picture, 5)
    assert (video.frames == picture).all()
    noisy = still.still_video(picture, 20, 4.0, np.random.default_rng(0)).frames.astype(float) - picture
    assert noisy.std() == pytest.approx(4.0, rel=0.05)
    assert abs(noisy.mean()) < 0.1
    assert (noisy[0] != noisy[1]).mean() > 0.8
    again = still.still_video(picture, 20, 4.0, np.random.default_rng(0)).frames
    assert (again == noisy + picture).all()
    for mistake in ((0, 0.0, None), (3, -1.0, None), (3, 1.0, None)):
        with pytest.raises(ValueError, match="still video: expected"):
            still.still_video(picture, *mistake)


def test_figures_of_a_drift_and_a_tremble():
    xy = torch.zeros(5, 2, 2)
    xy[:, 0, 0] = torch.arange(5.0)  # drifts by 1 pixel per frame: no jitter
    xy[:, 1, 1] = torch.tensor([0.0, 1, 0, 1, 0])  # trembles: second differences of 2 pixels
    figures = still.still_figures(still_tracks(xy))
    assert figures == pytest.approx({"jitter px": 1.0, "drift px": (2.5 + 0.5) / 2, "visible %": 100})
    visibility = torch.ones(5, 2)
    visibility[1:, 0] = 0
    figures = still.still_figures(still_tracks(xy, visibility))
    assert figures == pytest.approx({"jitter px": 2.0, "drift px": 0.5, "visible %": 50})


def test_command_prints_a_row_for_each_method_and_noise(tiny_tracker_file, tiny_video_file, capsys):
    arguments = ["--videos", str(tiny_video_file), "--frames", "6", "--grid", "3", "--noise", "0", "5"]
    arguments += ["--methods", "pointtrack,static", "--tracker", str(tiny_tracker_file)]
    assert run_command(lambda: still.still_command, arguments, "still") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 still clips of 6 frames (64x48), 3 x 3 points each"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[4:]]
    assert [row[:2] for row in rows] == [
        ["pointtrack", "0"], ["pointtrack", "5"], ["static", "0"], ["static", "5"],
    ]  # fmt: skip
    assert float(rows[0][2]) > 0
    assert rows[2][2:] == rows[3][2:] == ["0.000", "0.000", "100.0"]
    assert run_command(lambda: still.still_command, [*arguments, "--smooth", "3"], "still") == 0
    smoothed = capsys.readouterr().out.splitlines()
    assert "smoothed over 3 frames" in smoothed[0]
    assert smoothed[4] != lines[4]
    assert run_command(lambda: still.still_command, ["--frames", "2"], "still") == 2
    assert "frames: expected at least 3" in capsys.readouterr().err
