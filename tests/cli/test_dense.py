"""`pointtrack dense`: files and a picture, and going on."""

import cv2
import numpy as np
import pytest
import torch

from pointtrack.cli.dense import DenseCommand
from pointtrack.cli.runner import run_command
from pointtrack.io.track_arrays import FileStore, open_dense
from pointtrack.types import Queries, Tracks
from pointtrack.viz.layer import text_mask
from pointtrack.viz.motion import LEAST, _titled, _wheel, _wrapped, dense_picture, full_length, motion_colors


def dense(*arguments) -> int:
    return run_command(lambda: DenseCommand, [str(a) for a in arguments], "pointtrack dense")


def test_the_command(tiny_video_file, tiny_tracker_file, tmp_path, capsys):
    options = ["--stride", 16, "--frame", 2, "--tracker", tiny_tracker_file, "--out", tmp_path / "o"]
    assert dense(tiny_video_file, *options) == 0
    assert "tracked   12 points through 6 frames of 64 x 48" in capsys.readouterr().out
    tracks = open_dense(tmp_path / "o").read()
    assert tracks.queries.frame.tolist() == [2] * 12 and torch.isfinite(tracks.xy).all()
    assert cv2.imread(str(tmp_path / "o" / "motion.png")).shape == (3 * 48, 64, 3)
    assert dense(tiny_video_file, *options, "--resume") == 0
    capsys.readouterr()
    assert dense(tiny_video_file, *options, "--resume", "--chunk", 5) == 2
    assert ", got others: chunk: " in capsys.readouterr().err
    assert dense(tiny_video_file, *options, "--frame", 6) == 2
    assert "expected a frame in 0..5, got 6" in capsys.readouterr().err


def test_what_a_stopped_run_keeps_is_told(tiny_video_file, tiny_tracker_file, tmp_path, capsys, monkeypatch):
    options = ["--stride", 16, "--tracker", tiny_tracker_file, "--out", tmp_path / "o", "--chunk", 5]
    finish = FileStore.finish

    def stopped(store, done):
        finish(store, done)
        if done:
            raise KeyboardInterrupt

    monkeypatch.setattr(FileStore, "finish", stopped)
    assert dense(tiny_video_file, *options, "--memory", 1e-9) == 130
    assert f"stopped; 5 of 12 points are kept in {tmp_path / 'o'}, and the same command with --resume" in (
        capsys.readouterr().err
    )
    monkeypatch.undo()
    assert dense(tiny_video_file, *options, "--resume") == 0
    assert len(open_dense(tmp_path / "o").queries) == 12


def two_points(visibility: float) -> Tracks:
    """Two points 10 pixels right and 8 down."""
    xy = torch.tensor([[[4.0, 4.0], [20.0, 4.0]]])
    seen = torch.tensor([[1.0, 1.0], [1.0, visibility]])
    queries = Queries([0, 0], xy[0])
    return Tracks(torch.cat([xy, xy + torch.tensor([10.0, 8.0])]), seen, seen, queries, (40, 20))


def test_the_picture_shows_points_where_they_are():
    black = np.zeros((20, 40, 3), np.uint8)
    picture = (
        dense_picture(black, black, two_points(1.0), spacing=2, legend=False).reshape(3, 20, 40, 3).max(-1)
    )
    for part, places in zip(
        picture, [[(4, 4), (20, 4)], [(14, 12), (30, 12)], [(4, 4), (20, 4)]], strict=True
    ):
        assert all(part[y, x] for x, y in places) and np.count_nonzero(part) == 8
    hidden = dense_picture(black, black, two_points(0.2), legend=False).reshape(3, 20, 40, 3).max(-1)
    assert hidden[1, 12, 14] and not hidden[1, 12, 30]
    with pytest.raises(ValueError, match="expected tracks of 2 frames, got 1"):
        dense_picture(black, black, two_points(1.0).clip(0, 1))


def test_the_legend_says_what_colours_mean():
    grey, still = np.full((240, 320, 3), 90, np.uint8), Queries([0], [[4.0, 4.0]])
    xy = torch.tensor([[[4.0, 4.0]], [[14.0, 12.0]]])
    tracks = Tracks(xy, torch.ones(2, 1), torch.ones(2, 1), still, (320, 240))
    with_it, without = (dense_picture(grey, grey, tracks, legend=shown) for shown in (True, False))
    first, last, motion = (with_it != without).any(-1).reshape(3, 240, 320)
    assert first.any() and last.any() and (first != last).any(), "titles"
    wheel = with_it[480:][motion].astype(int)
    assert len(np.unique(wheel[np.ptp(wheel, axis=1) > 60] // 64, axis=0)) > 8, "colours of all directions"


def test_colours_of_motion():
    colors = motion_colors(np.array([[5.0, 0], [-5, 0], [0, 0], [10, 0]])).astype(int)
    spread = np.ptp(colors, axis=1)
    assert spread[2] <= 2 and spread[2] < spread[0] < spread[3], "grey stands still, strong is fast"
    assert np.abs(colors[0] - colors[1]).max() > 40
    assert motion_colors(np.zeros((0, 2))).shape == (0, 3)


@pytest.mark.parametrize("width", [80, 200])
def test_titles_of_a_narrow_picture_are_whole(width):
    """They take more lines; a phone's video cut them off."""
    title = "where they are on the last frame, hidden ones left out"
    lines = _wrapped(title, 9, width - 18)
    assert " ".join(lines) == title and len(lines) > 1
    assert all(text_mask(line, 9).shape[1] <= width - 18 for line in lines)
    shown = _titled((300, width), title)[..., 3] > 0
    assert not shown[:, width - 2 :].any() and shown[: len(lines) * 9].any()


def test_points_that_stay_have_no_full_colour():
    assert full_length(np.zeros((4, 2))) == LEAST
    layers = [_wheel((100, 200), full) for full in (LEAST, 2.0)]
    assert not np.array_equal(*layers)  # in words, not as so many pixels
