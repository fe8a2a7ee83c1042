"""The sound of one video for another, in every kind of file."""

from fractions import Fraction

import av
import numpy as np
import pytest

import pointtrack as pt
from pointtrack.io.sound import copy_sound
from pointtrack.io.video import write_video

FRAMES = np.random.default_rng(0).integers(0, 255, (12, 48, 64, 3), dtype=np.uint8)


def with_sound(path, codec):
    """A video of a second with noise to be heard."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=12)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream(codec, rate=48000)
        sound.format = "fltp"
        sound.layout = "mono"
        for frame in FRAMES:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(picture.encode())
        size = sound.codec_context.frame_size or 1024
        noise = np.random.default_rng(1).normal(0, 3000, 48000 // size * size)
        for start in range(0, len(noise), size):
            data = (noise[None, start : start + size] / 32768).astype(np.float32)
            heard = av.AudioFrame.from_ndarray(data, format="fltp", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = 48000, start, Fraction(1, 48000)
            container.mux(sound.encode(heard))
        container.mux(sound.encode())
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("codec", ["aac", "libmp3lame"])
def test_pictures_stay_and_sound_comes(suffix, codec, tmp_path):
    source = with_sound(tmp_path / "source.mkv", codec)
    target = write_video(tmp_path / f"drawn{suffix}", pt.Video(FRAMES, 12.0))
    before = pt.read_video(target)
    assert copy_sound(source, target)
    after = pt.read_video(target)
    np.testing.assert_array_equal(after.frames, before.frames)
    np.testing.assert_allclose(after.times, before.times, atol=2e-3)
    with av.open(str(target)) as container:
        heard = [frame.samples for frame in container.decode(audio=0)]
    assert sum(heard) > 40_000


def test_sound_that_cannot_be_copied_costs_no_pictures(tmp_path, monkeypatch, caplog):
    source = with_sound(tmp_path / "source.mkv", "aac")
    target = write_video(tmp_path / "drawn.mp4", pt.Video(FRAMES, 12.0))
    before = target.read_bytes()

    def fails(*_):
        raise ValueError("expected packets with times, got some without")

    monkeypatch.setattr("pointtrack.io.sound._packets", fails)
    assert not copy_sound(source, target)
    assert target.read_bytes() == before and "sound: left out of drawn.mp4" in caplog.text
    assert len(list(tmp_path.iterdir())) == 2
