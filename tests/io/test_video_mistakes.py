"""What reading and writing videos says about mistakes."""

from pathlib import Path

import av
import numpy as np
import pytest

import pointtrack as pt
from pointtrack.io.video import read_video, write_image, write_video
from pointtrack.types import Video
from tests.support.video_files import corner_image, encode, numbered_frames


def make_bad(tmp_path, what):
    """A source that cannot be read as a video."""
    path = tmp_path / f"{what}.mp4"
    if what == "sizes":
        write_image(tmp_path / "folder" / "1.png", corner_image((20, 10)))
        write_image(tmp_path / "folder" / "2.png", corner_image((10, 20)))
        return tmp_path / "folder"
    if what == "broken picture":
        (tmp_path / "1.png").write_bytes(b"no picture")
        return tmp_path
    if what == "no index":
        encode(path, numbered_frames(8))
        path.write_bytes(path.read_bytes()[:-600])
    elif what == "sound":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=16000, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 16000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    else:
        path.write_bytes({"empty": b"", "zeros": bytes(5000), "text": b"frames and frames\n" * 50}[what])
        if what == "text":
            path = path.rename(tmp_path / "notes.txt")
    return path


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("empty", r"empty\.mp4: expected a video"),
        ("zeros", r"zeros\.mp4: expected a video"),
        ("text", "no moving pictures"),
        ("sound", "no moving pictures"),
        ("no index", r"no index\.mp4: expected a video"),
        ("sizes", "expected 20 x 10 pixels like the frames before it, got 10 x 20"),
        ("broken picture", r"1\.png: expected a picture"),
    ],
)
def test_files_that_are_no_videos(tmp_path, what, message):
    with pytest.raises(ValueError, match=message):
        read_video(make_bad(tmp_path, what))


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("nowhere/missing.mp4", FileNotFoundError, r"missing\.mp4: expected a video or a folder"),
        (Path("nowhere"), FileNotFoundError, "nowhere: expected a video or a folder"),
        ([], ValueError, "at least one frame"),
        (np.zeros((0, 4, 6, 3), np.uint8), ValueError, "at least one frame"),
        (
            np.zeros((4, 6, 3), np.uint8),
            ValueError,
            r"expected shape \(t, h, w, 3\), RGB last, got \(4, 6, 3\)",
        ),
        (
            np.zeros((2, 7, 6, 5), np.uint8),
            ValueError,
            r"expected 3 channels last \(or 1 or 4, or first\), got shape \(7, 6, 5\)",
        ),
        (np.zeros((2, 4, 6, 3)), ValueError, "expected uint8 values 0..255, got float64"),
        ([np.zeros(6, np.uint8)], ValueError, r"frame 0: expected shape \(h, w, 3\)"),
        (
            [np.zeros((4, 6, 3), np.uint8), np.zeros((6, 4, 3), np.uint8)],
            ValueError,
            "frame 1: expected 6 x 4 pixels .* got 4 x 6",
        ),
        (None, ValueError, "expected a path, an array or an iterable of frames, got None"),
        (2.5, ValueError, "expected a path, an array or an iterable of frames, got float"),
    ],
)
def test_sources_that_are_no_videos(source, error, message):
    with pytest.raises(error, match=message):
        read_video(source)


def test_folder_without_pictures(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a folder of pictures"):
        read_video(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": -1.0}, "expected 0 <= start < stop"),
        ({"start": 2.0, "stop": 1.0}, "expected 0 <= start < stop"),
        (
            {"start": 9.0},
            r"at least one frame in the span, found none from second 9 on; the video is 0\.1 s long",
        ),
        ({"start": 0.2, "stop": 0.5}, r"from second 0\.2 to 0\.5; the video is 0\.1 s long"),
        ({"max_frames": 0}, "max_frames: expected at least 1"),
        ({"wh": (0, 10)}, r"wh: expected \(width, height\)"),
        ({"fps": 0}, "fps: expected a positive number"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        read_video(numbered_frames(3), **settings)


def test_rate_cannot_be_given_for_what_has_times(tmp_path):
    path = encode(tmp_path / "a.mp4", numbered_frames(2))
    with pytest.raises(ValueError, match="has time stamps of its own"):
        read_video(path, fps=10)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: write_video(p / "a.xyz", numbered_frames(2)), r"expected a video suffix, one of \.mp4"),
        (lambda p: write_video(p / "a.mp4", []), "at least one frame"),
        (lambda p: write_video(p / "a.mp4", numbered_frames(2), crf=90), "crf: expected 0"),
        (lambda p: write_video(p / "a.mp4", numbered_frames(2), fps=0), "fps: expected a positive number"),
        (
            lambda p: write_video(p / "a.mp4", Video(numbered_frames(2)), fps=0),
            "fps: expected a positive number",
        ),
        (lambda p: write_video(p / "a.mp4", numbered_frames(2), -5), "fps: expected a positive number"),
        (lambda p: write_video(p / "a.mp4", np.zeros((2, 8, 8, 3))), "expected uint8"),
        (lambda p: write_image(p / "a.mp4", corner_image()), r"expected a picture suffix, one of \.png"),
        (lambda p: write_image(p / "a.png", numbered_frames(2)), r"expected shape \(h, w, 3\)"),
    ],
)
def test_mistakes_in_writing_leave_no_file(tmp_path, write, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [pt.write_video, pt.save_tracks, pt.save_masks])
def test_a_path_comes_first(write):
    with pytest.raises(ValueError, match=rf"{write.__name__}\(path, \.\.\.\), got Video"):
        write(Video(numbered_frames(2)), "a.mp4")
