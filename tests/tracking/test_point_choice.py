"""What commands track by their options: the same points, whether the video is in memory or read frame by frame."""

import cv2
import numpy as np
import pytest
import torch

from pointtrack.io.video import open_video
from pointtrack.tracking.point_choice import PointChoice
from pointtrack.tracking.queries import corner_queries, grid_queries
from tests.support.tracks import moving_video

VIDEO = moving_video(6, (64, 48))


def test_single_points_then_a_file_then_corners_then_a_grid(tmp_path):
    (tmp_path / "q.csv").write_text("frame,x,y\n2,7,8\n")
    chosen = PointChoice(["0,5,6"], f"{tmp_path}/q.csv", corners=3, grid=2, frame=4).on(VIDEO)
    corners, grid = corner_queries(VIDEO, 3, 4), grid_queries(VIDEO, 2, 4)
    assert torch.equal(chosen.xy, torch.cat([torch.tensor([[5.0, 6], [7, 8]]), corners.xy, grid.xy]))
    assert chosen.frame.tolist() == [0, 2] + [4] * (len(corners) + 4)
    assert chosen.ids.tolist() == list(range(len(chosen)))


@pytest.mark.parametrize(("options", "count"), [({}, 9), ({"points": ["0,5,6"]}, 1), ({"grid": 2}, 4)])
def test_the_usual_grid_if_nothing_is_chosen(options, count):
    choice = PointChoice(**options, usual=3)
    assert len(choice.on(VIDEO)) == count and choice.is_made == bool(options)
    assert torch.equal(choice.on((64, 48)).xy, choice.on(VIDEO).xy)


def test_the_frame_alone_gives_the_same_points(tmp_path):
    mask = np.zeros((48, 64), np.uint8)
    mask[10:40, 5:60] = 255
    cv2.imwrite(f"{tmp_path}/mask.png", mask)
    choice = PointChoice(corners=5, grid=4, mask=f"{tmp_path}/mask.png", frame=3)
    whole, alone = choice.on(VIDEO), choice.on_frame_of(lambda: open_video(VIDEO))
    assert torch.equal(whole.xy, alone.xy) and alone.frame.tolist() == [3] * len(whole)
    assert all(mask[round(y), round(x)] for x, y in whole.xy.tolist())
    with pytest.raises(ValueError, match=r"frame: expected 0\.\.5, got 6"):
        PointChoice(grid=4, frame=6).on_frame_of(lambda: open_video(VIDEO))
