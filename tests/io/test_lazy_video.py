"""Frames read on demand are those of `read_video`, whatever the order they are asked for in."""

from __future__ import annotations

import av
import numpy as np
import pytest

from pointtrack.io.lazy_video import lazy_video
from pointtrack.io.video import read_video, write_image, write_video
from pointtrack.types import Video
from pointtrack.types.lazy_frames import LazyFrames
from tests.support.video_files import encode


@pytest.fixture(scope="module")
def numbered() -> Video:
    """150 frames, each darker or lighter than the others, at a varying rate."""
    frames = np.zeros((150, 32, 48, 3), np.uint8)
    frames[:] = np.arange(150, dtype=np.uint8)[:, None, None, None]
    frames[:, 8:20, 10:30, 0] = 250
    times = np.cumsum(np.where(np.arange(150) % 3 == 0, 0.08, 0.04))
    return Video(frames, 25.0, times)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_any_order_gives_the_frames_of_the_file(numbered, suffix, tmp_path):
    path = write_video(tmp_path / f"numbered{suffix}", numbered)
    whole, lazy = read_video(path), lazy_video(path, cache_bytes=10 * 48 * 32 * 3)
    assert isinstance(lazy.frames, LazyFrames) and len(lazy) == len(whole) and lazy.wh == (48, 32)
    assert np.allclose(lazy.times, whole.times, atol=1e-6)
    assert lazy.fingerprint() == whole.fingerprint()
    for frame in [149, 0, 75, 74, 73, *range(140, 120, -1), *range(10, 30), 5]:
        assert np.array_equal(lazy.frames[frame], whole.frames[frame]), frame
    assert np.array_equal(lazy.frames[20:4:-3], whole.frames[20:4:-3])
    backward = lazy.frames[::-1]
    assert isinstance(backward, LazyFrames) and np.array_equal(backward[0:3], whole.frames[:-4:-1])
    assert len(lazy.frames._kept) <= 10, "no more is kept than was allowed"


@pytest.mark.parametrize("rotation", [90, 180])
def test_turned_videos_stand_upright(numbered, rotation, tmp_path):
    path = encode(tmp_path / "turned.mp4", list(numbered.frames[:9]), rotation=rotation)
    whole, lazy = read_video(path), lazy_video(path)
    assert lazy.wh == whole.wh == ((32, 48) if rotation == 90 else (48, 32))
    assert np.array_equal(lazy.frames[7], whole.frames[7])


def test_a_folder_of_pictures_and_a_file_without_time_stamps(numbered, tmp_path):
    for number in range(6):
        write_image(tmp_path / "pictures" / f"{number}.png", numbered.frames[number])
    lazy = lazy_video(tmp_path / "pictures")
    assert len(lazy) == 6 and np.array_equal(lazy.frames[4], numbered.frames[4])
    write_image(tmp_path / "pictures" / "9.png", numbered.frames[0][:16])
    with pytest.raises(ValueError, match="9.png: expected 48 x 32 pixels"):
        lazy_video(tmp_path / "pictures").frames[6]
    with av.open(str(tmp_path / "old.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for frame in numbered.frames[:9]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")))
        container.mux(stream.encode(None))
    assert len(lazy_video(tmp_path / "old.avi")) == 9


def test_what_is_no_video_is_told_in_one_line(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(ValueError, match=r"text.mp4: expected a video"):
        lazy_video(tmp_path / "text.mp4")
    with pytest.raises(FileNotFoundError):
        lazy_video(tmp_path / "none.mp4")


def test_a_frame_that_is_not_there(numbered, tmp_path):
    lazy = lazy_video(write_video(tmp_path / "numbered.mp4", numbered))
    with pytest.raises(IndexError, match=r"expected 0\.\.149, got 150"):
        lazy.frames[150]


def test_few_frames_on_the_way_are_kept_where_asked(numbered, tmp_path):
    path = write_video(tmp_path / "numbered.mp4", numbered)
    whole, lazy = read_video(path), lazy_video(path, before=3)
    for frame in [100, 97, 99, 149, 20]:
        assert np.array_equal(lazy.frames[frame], whole.frames[frame]), frame
    assert sorted(lazy.frames._kept) == [17, 18, 19, 20, 97, 98, 99, 100, 146, 147, 148, 149]
