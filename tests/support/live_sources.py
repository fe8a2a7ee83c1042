"""Sources of frames that wait, fail or change their size, and the answers of a page."""

from __future__ import annotations

import threading
import urllib.request

import numpy as np

from tests.support.tracks import moving_video

WH = (64, 48)
VIDEO = moving_video(20, WH)


class Gate:
    """Frames that pause at some numbers until the test lets them continue."""

    def __init__(self, stops: list[int], frames=VIDEO.frames):
        self.stops, self.frames = stops, frames
        self.reached, self.go = threading.Event(), threading.Event()

    def __iter__(self):
        for number, frame in enumerate(self.frames):
            if number in self.stops:
                self.reached.set()
                assert self.go.wait(20)
            yield frame


def raising():
    yield from VIDEO.frames[:7]
    raise RuntimeError("the cable was pulled")


def other_size():
    yield from VIDEO.frames[:7]
    yield np.zeros((50, 70, 3), np.uint8)


def fetch(url: str) -> tuple[str, bytes]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read()
