"""`pointtrack data convert` and `pointtrack data check`: two words, one line for a mistake, an exit code."""

import pickle
import re

import numpy as np
import pytest

from pointtrack.cli import main as cli
from pointtrack.cli.data import convert_data
from pointtrack.datasets.convert import KINDS


@pytest.fixture
def pickled(tmp_path):
    """A TAP-Vid pickle of two videos with a point each."""
    video = {
        "video": np.random.default_rng(0).integers(0, 255, (4, 16, 24, 3), np.uint8),
        "points": np.full((1, 4, 2), 0.5),
        "occluded": np.zeros((1, 4), bool),
    }
    path = tmp_path / "set.pkl"
    path.write_bytes(pickle.dumps([video, video]))
    return path


def test_convert_and_check(pickled, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["data", "convert", "tapvid", str(pickled), str(out), "--subset", "1"]) == 0
    assert cli.main(["data", "convert", "tapvid", str(pickled), str(out)]) == 0
    printed, warned = capsys.readouterr()
    assert "1 written" in printed and "1 were there already" in printed and warned == ""
    assert cli.main(["data", "check", str(out)]) == 0
    assert "warning [unsaid]" in capsys.readouterr().out
    (out / "set" / "0001" / "frames" / "00002.png").unlink()
    assert cli.main(["data", "check", str(out), "--quiet"]) == 1
    printed = capsys.readouterr().out
    assert "0001: error [missing-frames]" in printed and "unsaid" not in printed
    assert "2 clips: 1 error, 2 warnings" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("data", "expected a command .*did you mean data check or data convert"),
        ("data chekc x", "data check"),
        ("data check {dir}/none", "expected folders with a clip.json"),
        ("data convert tapvid {dir}/none.pkl {dir}/out", "expected a pickle file"),
        ("data convert coco {dir} {dir}/out", "kind: expected one of badja"),
        ("data convert tapvid {dir}/set.pkl {dir}/out --subset 0", "subset: expected at least 1"),
        ("data convert tapvid {dir}/set.pkl {dir}/out --pictures bmp", "pictures"),
    ],
)
def test_mistakes_get_one_clear_line(arguments, message, pickled, capsys):
    parts = [part.format(dir=pickled.parent) for part in arguments.split()]
    assert cli.main(parts) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("pointtrack: error: ")
    assert re.search(message, err), err


def test_help_names_every_kind(capsys):
    assert cli.main([]) == 0
    assert "data convert  convert published data sets" in capsys.readouterr().out
    for kind in KINDS:
        assert kind in convert_data.__doc__
