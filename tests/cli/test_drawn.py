"""What commands draw: points over masks of another run, in chosen colours, with or without sound."""

from __future__ import annotations

import av
import numpy as np
import pytest

import pointtrack as pt
from pointtrack.cli import main as cli
from pointtrack.types import Masks
from tests.support.video_files import with_sound


@pytest.fixture
def run(track_tiny, tmp_path):
    """Runs `track` on the tiny video; its exit code, and what it printed."""

    def call(*arguments: str) -> tuple[int, str]:
        code, said = track_tiny(tmp_path / "out" / "o.mp4", *arguments)
        return code, said.out + said.err

    return call


@pytest.fixture
def masks(tiny_video_file) -> Masks:
    """Two objects on all frames but the first: the left and the right third."""
    video = pt.read_video(tiny_video_file)
    w, h = video.wh
    pixels = np.zeros((len(video) - 1, 2, h, w), bool)
    pixels[:, 0, :, : w // 3] = pixels[:, 1, :, -w // 3 :] = True
    return Masks(pixels, first_frame=1, fps=video.fps)


def test_points_are_drawn_over_masks(run, masks, tmp_path):
    path = pt.save_masks(tmp_path / "m.npz", masks)
    point = "0,5,5"
    assert run("--points", point)[0] == 0
    plain = pt.read_video(tmp_path / "out" / "o.mp4").frames.astype(int)
    colors = ("--mask-colors", "1:ff0000,2:none", "--colors", "0:00ff00")
    code, said = run("--points", point, "--masks", str(path), "--mask-opacity", "1", *colors)
    assert code == 0, said
    drawn = pt.read_video(tmp_path / "out" / "o.mp4").frames.astype(int)
    w = drawn.shape[2]
    left = drawn[3:, -6:, 3 : w // 3 - 5]
    assert np.abs(left - (255, 0, 0)).max(-1).mean() < 25
    assert np.abs(drawn - plain)[:, :, w // 2 :].mean() < 5, "object 2 is left out"
    assert np.abs(drawn[0] - plain[0])[-6:].mean() < 5, "no mask on the first frame"
    x, y = pt.load_tracks(tmp_path / "out" / "o.npz").xy[4, 0].round().int().tolist()
    around = drawn[4, max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4]
    assert (around[..., 1] - around[..., 0]).max() > 60, "the point is on top, in its own colour"


def test_masks_of_another_video_and_flat_runs_are_refused(run, masks, tmp_path):
    small = pt.save_masks(tmp_path / "s.npz", Masks(np.ones((2, 1, 8, 9), bool)))
    code, said = run("--grid", "2", "--masks", str(small))
    assert code == 2 and "as the masks are for" in said
    path = pt.save_masks(tmp_path / "m.npz", masks)
    code, said = run("--grid", "2", "--masks", str(path), "--flat")
    assert code == 2 and "masks: expected a run in memory, got a flat one" in said
    assert run("--grid", "2", "--masks", str(tmp_path / "no.npz"))[0] == 2
    code, said = run("--grid", "2", "--mask-colors", "1:red")
    assert code == 2 and "expected a file of masks to draw too" in said
    own = pt.save_masks(tmp_path / "out" / "o.npz", masks)
    code, said = run("--grid", "2", "--masks", str(own), "--overwrite")
    assert code == 2 and "not the input" in said
    assert pt.load_masks(own).masks.equal(masks.masks)


def test_a_command_can_leave_the_sound_out(tmp_path, tiny_tracker_file, tiny_video_file, capsys):
    clip = with_sound(tmp_path / "loud.mp4", pt.read_video(tiny_video_file).frames[:4], 10, samples=16000)
    for flat in ((), ("--flat",)):
        for word, count in ((("--no-sound",), 0), ((), 1)):
            out = tmp_path / f"{len(flat)}{count}"
            line = ["track", str(clip), "--grid", "2", "--tracker", str(tiny_tracker_file), "--out", str(out)]
            assert cli.main([*line, *word, *flat]) == 0, capsys.readouterr().err
            with av.open(str(out / "loud.mp4")) as drawn:
                assert len(drawn.streams.audio) == count
