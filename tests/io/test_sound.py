"""The sound of one video for another, in every kind of file."""

import av
import numpy as np
import pytest

import pointtrack as pt
from pointtrack.io.sound import copy_sound
from pointtrack.io.video import write_video
from tests.support.video_files import with_sound

FRAMES = np.random.default_rng(0).integers(0, 255, (12, 48, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("codec", ["aac", "libmp3lame"])
def test_pictures_stay_and_sound_comes(suffix, codec, tmp_path):
    source = with_sound(tmp_path / "source.mkv", FRAMES, 12, codec, 48000)
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
    source = with_sound(tmp_path / "source.mkv", FRAMES, 12, samples=48000)
    target = write_video(tmp_path / "drawn.mp4", pt.Video(FRAMES, 12.0))
    before = target.read_bytes()

    def fails(*_):
        raise ValueError("expected packets with times, got some without")

    monkeypatch.setattr("pointtrack.io.sound._packets", fails)
    assert not copy_sound(source, target)
    assert target.read_bytes() == before and "sound: left out of drawn.mp4" in caplog.text
    assert len(list(tmp_path.iterdir())) == 2
