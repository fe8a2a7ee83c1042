"""Small synthetic inputs, and OpenCV kept to one thread while these tests run."""

import cv2
import numpy as np
import pytest

from evaluation.points.datasets import data_root
from pointtrack.types import Video


@pytest.fixture(scope="session", autouse=True)
def one_opencv_thread():
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@pytest.fixture(scope="session")
def evaluation_data():
    try:
        return data_root()
    except FileNotFoundError as error:
        pytest.skip(str(error))


def _textured(wh: tuple[int, int], seed: int = 0) -> np.ndarray:
    """(h, w, 3) uint8 smooth random texture."""
    noise = np.random.default_rng(seed).normal(size=(wh[1], wh[0], 3)).astype(np.float32)
    picture = sum(cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in (1.5, 4, 9))
    low, high = picture.min(), picture.max()
    return ((picture - low) / (high - low) * 255).astype(np.uint8)


def _panning(frames: int, wh: tuple[int, int], shift: tuple[int, int]) -> Video:
    """A view that leaves each pixel (x, y) at (x, y) - shift on the next frame."""
    reach = [abs(s) * (frames - 1) for s in shift]
    picture = _textured((wh[0] + reach[0], wh[1] + reach[1]))
    start = [0 if s >= 0 else r for s, r in zip(shift, reach, strict=True)]
    corners = [(start[0] + t * shift[0], start[1] + t * shift[1]) for t in range(frames)]
    return Video(np.stack([picture[y : y + wh[1], x : x + wh[0]] for x, y in corners]))


@pytest.fixture(scope="session")
def textured():
    """Function (wh, seed) -> picture."""
    return _textured


@pytest.fixture(scope="session")
def panning():
    """Function (frames, wh, shift) -> Video."""
    return _panning
