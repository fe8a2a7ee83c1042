"""`pointtrack segment` on two squares, with a segmenter that sees colours and a tracker of random weights."""

from __future__ import annotations

import cv2
import numpy as np

from pointtrack.cli import main as cli
from pointtrack.cli import segment as cli_segment
from pointtrack.io.tracks import save_tracks
from pointtrack.io.video import write_image
from tests.support.scenes import ColourSegmenter, squares

SCENE = squares([[(20, 20)] * 6, [(50, 34)] * 6])


def segment_files(tmp_path, monkeypatch, tiny_tracker_file):
    """For `pytest.fixture`: the frames, a mask and tracks of the first square, a picture, and the tiny tracker."""
    segmenter = ColourSegmenter()
    segmenter.answers = (1,)
    monkeypatch.setattr(cli_segment, "load_segmenter", lambda name, **options: segmenter)
    frames = tmp_path / "frames"
    for t, frame in enumerate(SCENE.video.frames):
        write_image(frames / f"{t:03}.png", frame)
    cv2.imwrite(str(tmp_path / "mask.png"), SCENE.truth[0, 0].numpy().astype(np.uint8) * 255)
    save_tracks(tmp_path / "tracks.npz", SCENE.tracks.select(SCENE.objects == 1))
    write_image(tmp_path / "sky.png", np.full((50, 50, 3), (90, 160, 250), np.uint8))
    return {"video": frames, "dir": tmp_path, "tracker": tiny_tracker_file}


def run(arguments: str, files) -> int:
    """The exit code of the command; `files` are named in braces, as in {dir}/mask.png."""
    text = "--tracker {tracker} --device cpu --out {dir}/out " + arguments
    return cli.main(["segment", str(files["video"]), *text.format(**files).split()])
