"""Warp clips: the map and its inverse agree, truth sticks to the pixels, the seed decides everything."""

import numpy as np
import pytest
import torch

from evaluation.points.datasets import load_examples
from evaluation.points.warp import make_clip, random_warp
from pointtrack.geometry import inside_image

PICTURE_WH, WH, FRAMES = (427, 300), (256, 144), 24


@pytest.fixture(scope="module")
def clip(textured):
    return make_clip(
        textured(PICTURE_WH),
        textured((300, 300), 5),
        np.random.default_rng(3),
        wh=WH,
        frames=FRAMES,
        points=60,
    )


@pytest.mark.parametrize("seed", range(8))
def test_round_trip(seed):
    generator = np.random.default_rng(seed)
    warp = random_warp((854, 480), (512, 288), 24, generator)
    picture_xy = generator.uniform(0, [853, 479], (200, 2))
    for frame in range(0, 24, 4):
        back = warp.to_picture(frame, warp.to_frame(frame, picture_xy))
        assert np.abs(back - picture_xy).max() < 0.001


def test_motion_is_not_affine():
    warp = random_warp((854, 480), (512, 288), 24, np.random.default_rng(0))
    grid = np.stack(np.meshgrid(np.arange(0, 512, 32.0), np.arange(0, 288, 32.0)), axis=-1).reshape(-1, 2)
    basis = np.c_[grid, np.ones(len(grid))]
    moved = warp.to_picture(5, grid)
    assert np.abs(basis @ np.linalg.lstsq(basis, moved, rcond=None)[0] - moved).max() > 0.5


def test_truth_sticks_to_the_pixels(clip):
    """Visible points show the colour of their query, up to brightness, resampling and noise."""
    error = {0: [], 15: []}
    for offset, errors in error.items():
        for point in range(len(clip.queries)):
            frames = clip.visible[:, point].nonzero().flatten().tolist()
            colours = []
            for frame in frames:
                moved = 0 if frame == int(clip.queries.frame[point]) else offset
                xy = (clip.xy[frame, point] + moved).round().int()
                x, y = int(xy[0].clamp(0, WH[0] - 1)), int(xy[1].clamp(0, WH[1] - 1))
                image = clip.video.frames[frame].astype(float)
                colours.append(image[y, x] - image.mean())
            errors.append(np.abs(colours - np.median(colours, axis=0)).mean())
    assert np.mean(error[0]) < 9
    assert np.mean(error[15]) > 2 * np.mean(error[0])


def test_what_is_in_a_clip(clip):
    points = torch.arange(len(clip.queries))
    assert clip.visible[clip.queries.frame, points].all()
    assert (clip.queries.frame > 0).any() and (clip.queries.frame == 0).any()
    assert not clip.visible[~inside_image(clip.xy, WH)].any()
    assert (inside_image(clip.xy, WH) & ~clip.visible).any()  # some are behind the occluder
    assert (~inside_image(clip.xy, WH)).any()  # some leave the frame
    assert (clip.visible[1:] & ~clip.visible[:-1]).any()  # some come back


def test_the_seed_decides(clip, textured):
    def again(seed):
        return make_clip(
            textured(PICTURE_WH), textured((300, 300), 5), np.random.default_rng(seed), WH, FRAMES, points=60
        )

    same, other = again(3), again(4)
    assert np.array_equal(same.video.frames, clip.video.frames) and torch.equal(same.xy, clip.xy)
    assert not np.array_equal(other.video.frames, clip.video.frames)


def test_warp_dataset(evaluation_data):
    example = next(load_examples("warp"))
    assert example.name == "warp/blackswan-0"
    assert example.video.frames.shape == (24, 288, 512, 3)
    strided = next(load_examples("warp", "strided"))
    assert set(strided.queries.frame.tolist()) <= {0, 5, 10, 15, 20}
    assert np.array_equal(strided.video.frames, example.video.frames)


@pytest.mark.parametrize(
    "picture, frames, message",
    [
        (np.zeros((300, 400), np.uint8), 8, "picture"),
        (np.zeros((200, 400, 3), np.uint8), 8, "256"),
        (np.zeros((300, 400, 3), np.float32), 8, "uint8"),
        (np.zeros((300, 400, 3), np.uint8), 1, "at least 2"),
    ],
)
def test_mistakes_are_named(picture, frames, message, textured):
    with pytest.raises(ValueError, match=message):
        make_clip(picture, textured((300, 300)), np.random.default_rng(0), WH, frames)
