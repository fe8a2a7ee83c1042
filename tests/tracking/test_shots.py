"""Cuts between made-up textured scenes, and between real clips where they are at hand."""

from itertools import islice, permutations

import cv2
import numpy as np
import pytest
import torch

from evaluation.points.datasets import data_root
from pointtrack.io.video import open_video
from pointtrack.tracking.shots import CutFinder, find_cuts
from pointtrack.types import Video

WH = (160, 90)


def scene(seed: int, frames: int, speed: int = 2) -> np.ndarray:
    """(frames, h, w, 3) uint8: a camera that moves over a texture of a colour of its own."""
    rng = np.random.default_rng(seed)
    w = WH[0] + speed * frames
    noise = cv2.GaussianBlur(rng.normal(size=(WH[1], w, 3)).astype(np.float32), (0, 0), 8)
    picture = np.clip(rng.permutation([60, 110, 180]) + 20 * noise / noise.std(), 0, 255).astype(np.uint8)
    return np.stack([picture[:, x : x + WH[0]] for x in range(0, speed * frames, speed)])


def test_cuts_between_scenes_are_found():
    video = Video(np.concatenate([scene(0, 12), scene(1, 8), scene(2, 10)]))
    assert find_cuts(video) == [12, 20]
    assert find_cuts(iter(video.frames)) == [12, 20]


def test_one_shot_has_no_cut():
    assert find_cuts(scene(0, 20)) == []


def test_fast_motion_is_no_cut():
    fast = scene(0, 20, speed=25)
    # Each step is large enough to be one: after a picture that stands still it would be.
    assert all(find_cuts([a, a, a, b]) == [3] for a, b in zip(fast[:-1], fast[1:], strict=True))
    assert find_cuts(fast) == []
    assert find_cuts(np.concatenate([fast, 255 - fast])) == [20]


def test_a_flash_counts_once_and_a_fade_not_at_all():
    flash = scene(0, 16)
    flash[8] = 255
    assert find_cuts(flash) == [8]
    share = np.linspace(0, 1, 16)[:, None, None, None]
    fade = ((1 - share) * scene(0, 16) + share * scene(1, 16)).astype(np.uint8)
    assert find_cuts(fade) == []


def test_a_still_picture_that_starts_to_move_is_no_cut():
    moving = scene(4, 8)
    assert find_cuts([*[moving[0]] * 6, *moving]) == []


def test_a_higher_threshold_leaves_weak_cuts_out():
    frames = np.concatenate([scene(0, 6), scene(0, 6) // 2 + 20])
    assert find_cuts(frames, threshold=5) == [6]
    assert find_cuts(frames, threshold=60) == []


def test_frame_by_frame_says_the_same():
    frames = np.concatenate([scene(5, 7), scene(6, 7)])
    finder = CutFinder()
    assert [finder.push(frame) for frame in frames] == [number == 7 for number in range(14)]


@pytest.mark.parametrize("count", [0, 1, 2, 6, 7, 8])
def test_a_finder_goes_on_from_its_state(tmp_path, count):
    frames = [*scene(5, 7), *scene(6, 7, speed=9)]
    finder = CutFinder(threshold=10)
    for frame in frames[:count]:
        finder.push(frame)
    torch.save(finder.state_dict(), tmp_path / "state")
    again = CutFinder.from_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert [again.push(frame) for frame in frames[count:]] == [number == 7 for number in range(count, 14)]
    assert again.threshold == 10
    for frame in frames[count:]:
        finder.push(frame)
    assert again.state_dict()["recent"] == finder.state_dict()["recent"]


def test_frames_may_be_of_any_size():
    frames = [*scene(0, 5), *(cv2.resize(frame, (33, 41)) for frame in scene(1, 5))]
    assert find_cuts(frames) == [5]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: find_cuts([], threshold=0), "threshold: expected a difference above 0, got 0"),
        (lambda: find_cuts([np.zeros((4, 4, 3), np.float32)]), "expected uint8"),
        (lambda: find_cuts([np.zeros((4, 4), np.uint8)]), r"frame: expected shape \(h, w, 3\), got \(4, 4\)"),
        (lambda: find_cuts([np.zeros((0, 4, 3), np.uint8)]), r"got uint8 \(0, 4, 3\)"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(call, error):
    with pytest.raises(ValueError, match=error):
        call()


def test_nothing_has_no_cuts():
    assert find_cuts([]) == []


@pytest.fixture(scope="module")
def clips():
    """The first 8 frames of four real clips, small; one of them of a fast camera."""
    try:
        folder = data_root() / "videos"
    except FileNotFoundError as error:
        pytest.skip(str(error))
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    taken = []
    for name in ("apple", "bear", "cat", "teddy"):
        with open_video(folder / f"{name}.mp4") as stream:
            taken.append([cv2.resize(frame, (320, 180)) for frame, _ in islice(stream, 8)])
    return taken


def test_real_clips_joined(clips):
    for a, b in permutations(clips, 2):
        assert find_cuts([*a, *b, *a]) == [8, 16]
