"""A folder of the VOT toolkit's point challenge, as its folder protocol says."""

import cv2
import numpy as np
import pytest

from evaluation.votsp import votsp_command
from pointtrack.cli.runner import run_command
from pointtrack.io.video import read_video
from pointtrack.tracker import Tracker
from pointtrack.types import Queries


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    wide = cv2.resize(
        random.integers(256, size=(12, 20, 3), dtype=np.uint8), (160, 96), interpolation=cv2.INTER_CUBIC
    )
    (tmp_path / "color").mkdir()
    paths = []
    for i in range(9):
        path = tmp_path / "color" / f"{i + 1:08d}.png"
        cv2.imwrite(str(path), wide[10 : 10 + 64, 20 - 2 * i : 20 - 2 * i + 96])
        paths.append(str(path) if i % 2 else f"color/{path.name}")
    (tmp_path / "frames_color.txt").write_text("\n".join(paths) + "\n")
    (tmp_path / "query_obj0.txt").write_text("0\n30.0,20.5\n")
    (tmp_path / "query_obj1.txt").write_text("3\n50.25,40\nvisible=1\n")
    return tmp_path


def test_every_point_gets_its_file(folder, tiny_tracker_file):
    votsp_command(folder, str(tiny_tracker_file))
    lines = [(folder / f"output_obj{i}.txt").read_text().splitlines() for i in (0, 1)]
    assert [len(one) for one in lines] == [9, 9]
    assert lines[1][:3] == ["0", "0", "0"] and "0" not in lines[1][3:]
    found = [np.array([row.split(",") for row in one if row != "0"], float) for one in lines]
    np.testing.assert_allclose([found[0][0], found[1][0]], [[30, 20.5], [50.25, 40]], atol=2e-3)
    queries = Queries(frame=[0, 3], xy=[[30, 20.5], [50.25, 40]])
    tracks = Tracker(str(tiny_tracker_file)).track(read_video(sorted((folder / "color").iterdir())), queries)
    np.testing.assert_allclose(found[1], tracks.xy[3:, 1], atol=2e-3)


@pytest.mark.parametrize("content", ["0\n1,2,3,4\n", "0\n", "now\n1,2\n", "-1\n1,2\n", "0\nnan,2\n", ""])
def test_other_queries_are_refused_in_a_line(folder, content, tiny_tracker_file, capsys):
    (folder / "query_obj1.txt").write_text(content)
    arguments = [str(folder), "--tracker", str(tiny_tracker_file)]
    assert run_command(lambda: votsp_command, arguments, "evaluation.votsp") == 2
    message = capsys.readouterr().err
    assert "query_obj1.txt: expected the number of a frame" in message and "Traceback" not in message
    assert not list(folder.glob("output_*"))


def test_a_folder_without_points_is_refused(folder, tiny_tracker_file):
    for path in folder.glob("query_*"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match="expected files query_ID.txt"):
        votsp_command(folder, str(tiny_tracker_file))
