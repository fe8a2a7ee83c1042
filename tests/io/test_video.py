"""Reading, streaming and writing videos; every file is written here, with PyAV, unless it says otherwise."""

import io
import itertools
import logging
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pointtrack.io.video import VideoStream, open_video, read_video, write_image, write_video
from pointtrack.types import Video
from tests.support.video_files import corner_image, corner_names, encode, numbered_frames, numbers

REAL_VIDEOS = Path(__file__).parents[3] / "shared" / "data" / "videos"


@pytest.mark.parametrize(
    ("rotation", "flips", "wh", "expected"),
    [
        (None, (False, False), (64, 48), ["red", "green", "blue", "grey"]),
        (0, (False, False), (64, 48), ["red", "green", "blue", "grey"]),
        (90, (False, False), (48, 64), ["green", "grey", "red", "blue"]),  # a quarter turn to the left
        (-90, (False, False), (48, 64), ["blue", "red", "grey", "green"]),
        (180, (False, False), (64, 48), ["grey", "blue", "green", "red"]),
        (0, (True, False), (64, 48), ["green", "red", "grey", "blue"]),
        (0, (False, True), (64, 48), ["blue", "grey", "red", "green"]),
    ],
)
def test_rotation_of_the_file_is_applied(tmp_path, rotation, flips, wh, expected):
    path = encode(tmp_path / "turned.mp4", [corner_image()] * 3, rotation=rotation, flips=flips)
    video = read_video(path)
    assert video.wh == wh
    assert corner_names(video.frames[1]) == expected


def test_times_of_a_variable_rate_are_kept_through_reading_and_writing(tmp_path):
    pts = [0, 40, 200, 210, 500, 900]
    path = encode(tmp_path / "vfr.mp4", numbered_frames(6), pts=pts)
    video = read_video(path)
    np.testing.assert_allclose(video.times, np.array(pts) / 1000, atol=1e-3)
    assert numbers(video.frames) == [0, 1, 2, 3, 4, 5]
    assert video.fps == pytest.approx(5 / 0.9, rel=0.01)
    again = read_video(write_video(tmp_path / "again.mp4", video))
    np.testing.assert_allclose(again.times, video.times, atol=1e-3)
    assert numbers(again.frames) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (30, Fraction(30)),
        (25.0, Fraction(25)),
        (23.976, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (12.5, Fraction(25, 2)),
        (0.5, Fraction(1, 2)),
        (1 / 3600, Fraction(1, 3600)),  # a frame an hour
    ],
)
def test_rate_is_written_exactly(tmp_path, fps, expected):
    path = write_video(tmp_path / "rate.mp4", numbered_frames(4), fps)
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == expected
    video = read_video(path)
    assert video.fps == pytest.approx(float(expected))
    np.testing.assert_allclose(video.times, np.arange(4) / float(expected), atol=1e-4)


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".mkv", ".webm", ".gif"])
def test_what_is_written_is_read_back(tmp_path, suffix):
    frames = np.stack([np.roll(corner_image((70, 50)), 5 * i, axis=1) for i in range(5)])
    before = frames.copy()
    path = write_video(tmp_path / "new" / "folder" / f"clip{suffix}", Video(frames, fps=20))
    video = read_video(path)
    assert video.frames.shape == frames.shape
    # The median: halved colour resolution blurs the borders between saturated colours.
    assert np.median(np.abs(video.frames.astype(int) - frames), axis=(1, 2, 3)).max() <= 3
    np.testing.assert_allclose(video.times, np.arange(5) / 20, atol=2e-3)
    np.testing.assert_array_equal(frames, before)


@pytest.mark.parametrize(("wh", "written"), [((65, 47), (66, 48)), ((64, 47), (64, 48)), ((3, 5), (4, 6))])
def test_odd_sides_repeat_their_last_row_and_column(tmp_path, wh, written):
    frames = numbered_frames(3, wh)
    video = read_video(write_video(tmp_path / "odd.mp4", frames))
    assert video.wh == written
    assert numbers(video.frames) == [0, 1, 2]


def test_quality_setting_changes_the_file(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (4, 48, 64, 3), dtype=np.uint8)
    fine = write_video(tmp_path / "fine.mp4", noise, crf=10).stat().st_size
    assert fine > 2 * write_video(tmp_path / "coarse.mp4", noise, crf=40).stat().st_size


@pytest.mark.parametrize("count", [1, 2, 3])
def test_short_clips(tmp_path, count):
    video = read_video(write_video(tmp_path / "short.mp4", numbered_frames(count)))
    assert numbers(video.frames) == list(range(count))
    assert video.times[0] == 0


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ({}, range(40)),
        ({"start": 0.5}, range(5, 40)),
        ({"stop": 0.5}, range(5)),
        ({"start": 3.2}, range(32, 40)),  # far enough in to be sought, not decoded from the beginning
        ({"start": 2.5, "stop": 2.8}, range(25, 28)),
        ({"start": 1.0, "max_frames": 3}, range(10, 13)),
        ({"max_frames": 100}, range(40)),
    ],
)
@pytest.mark.parametrize("kind", ["file", "folder", "array", "generator", "video"])
def test_span(tmp_path, kind, span, expected):
    frames = numbered_frames(40, (32, 24))
    fps = {} if kind in ("file", "video") else {"fps": 10}
    if kind == "folder":
        for i, frame in enumerate(frames):
            write_image(tmp_path / f"f{i}.png", frame)
    source = {
        "file": lambda: write_video(tmp_path / "v.mp4", frames, 10),
        "folder": lambda: tmp_path,
        "array": lambda: frames,
        "generator": lambda: (frame for frame in frames),
        "video": lambda: Video(frames, 10),
    }[kind]()
    video = read_video(source, **span, **fps)
    assert numbers(video.frames) == list(expected)
    np.testing.assert_allclose(video.times, np.array(expected) / 10, atol=1e-6)
    assert video.fps == pytest.approx(10)


def test_folder_is_read_in_natural_order(tmp_path):
    for name, value in (("frame10.png", 10), ("frame2.png", 2), ("frame1.PNG", 1)):
        cv2.imwrite(str(tmp_path / name), np.full((10, 16, 3), value, np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "._frame3.png").write_text("what a Mac leaves behind")
    video = read_video(tmp_path, fps=5)
    assert video.frames[:, 0, 0, 0].tolist() == [1, 2, 10]
    assert video.wh == (16, 10)
    assert video.times.tolist() == [0, 0.2, 0.4]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
def test_picture_comes_back_in_rgb(tmp_path, suffix):
    write_image(tmp_path / "deep" / f"a{suffix}", corner_image())
    frame = read_video(tmp_path / "deep").frames[0]
    assert frame.shape == (48, 64, 3)
    assert corner_names(frame) == ["red", "green", "blue", "grey"]


def test_open_files_and_bytes_are_read(tmp_path):
    path = encode(tmp_path / "a.mp4", numbered_frames(4))
    with path.open("rb") as file:
        assert len(read_video(file)) == 4
    assert numbers(read_video(io.BytesIO(path.read_bytes())).frames) == [0, 1, 2, 3]


def test_avi_is_read_in_the_order_it_is_shown(tmp_path):
    frames = np.stack([np.roll(corner_image(), 3 * i, axis=1) for i in range(12)])
    video = read_video(encode(tmp_path / "old.avi", frames))
    np.testing.assert_allclose(video.times, np.arange(12) / 30, atol=1e-6)
    assert np.abs(video.frames.astype(int) - frames).mean() < 4


def test_stream_never_asks_for_more_than_it_gave():
    requested = itertools.count()
    endless = (np.full((8, 12, 3), next(requested) % 250, np.uint8) for _ in itertools.count())
    with open_video(endless, fps=25) as stream:
        assert isinstance(stream, VideoStream)
        assert (stream.wh, stream.fps, stream.frame_count) == ((12, 8), 25.0, None)
        taken = list(itertools.islice(stream, 5))
    assert [int(frame[0, 0, 0]) for frame, _ in taken] == [0, 1, 2, 3, 4]
    assert [seconds for _, seconds in taken] == [0, 0.04, 0.08, 0.12, 0.16]
    assert next(requested) <= 6
    assert list(stream) == []


def test_stream_of_a_file_equals_reading_it(tmp_path):
    path = encode(tmp_path / "a.mp4", numbered_frames(9))
    video = read_video(path)
    stream = open_video(path)
    assert stream.frame_count == 9
    for (frame, seconds), expected, when in zip(stream, video.frames, video.times, strict=True):
        np.testing.assert_array_equal(frame, expected)
        assert seconds == when


def test_stream_can_be_written_while_it_is_read(tmp_path):
    path = encode(tmp_path / "a.mp4", numbered_frames(6), pts=[0, 10, 100, 150, 300, 310])
    video = read_video(write_video(tmp_path / "b.mp4", open_video(path)))
    assert numbers(video.frames) == list(range(6))
    np.testing.assert_allclose(video.times, [0, 0.01, 0.1, 0.15, 0.3, 0.31], atol=1e-3)


@pytest.mark.parametrize("wh", [(32, 24), (20, 40), (128, 96)])
def test_frames_are_resized(tmp_path, wh):
    video = read_video([corner_image()] * 2, wh=wh)
    assert video.wh == wh
    assert corner_names(video.frames[1]) == ["red", "green", "blue", "grey"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_cut_file_keeps_what_can_be_read_and_says_so(tmp_path, caplog, suffix):
    noise = np.random.default_rng(1).integers(0, 255, (30, 48, 64, 3), dtype=np.uint8)
    whole = encode(
        tmp_path / f"whole{suffix}", noise, options={"movflags": "faststart"} if suffix == ".mp4" else {}
    )
    with caplog.at_level(logging.WARNING):
        assert len(read_video(whole)) == 30
    assert not caplog.records
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with caplog.at_level(logging.WARNING):
        video = read_video(cut)
    assert 3 < len(video) < 28
    assert f"read {len(video)} of 30 expected frames" in caplog.text
    np.testing.assert_allclose(video.times, np.arange(len(video)) / 30, atol=2e-3)


def test_colours_survive(tmp_path):
    video = read_video(write_video(tmp_path / "colours.mp4", [corner_image()] * 2, crf=5))
    error = np.abs(video.frames[0].astype(int) - corner_image())
    assert np.median(error) <= 2


@pytest.mark.parametrize(
    ("name", "wh", "count", "fps"),
    [("bear", (854, 480), 82, 30), ("cat", (368, 480), 87, 20), ("teddy", (368, 480), 141, 20)],
)
def test_real_videos(name, wh, count, fps):
    path = REAL_VIDEOS / f"{name}.mp4"
    if not path.is_file():
        pytest.skip(f"needs {path}, which is not part of the project")
    video = read_video(path)
    assert (video.wh, len(video)) == (wh, count)
    assert video.fps == pytest.approx(fps)
    np.testing.assert_allclose(np.diff(video.times), 1 / fps, atol=1e-3)
