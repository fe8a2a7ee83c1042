"""Long videos whose frames show their numbers, so that tests can identify each frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np

WH = (96, 64)
BITS, SIDE = 15, 16


def write_numbered(path: Path, frames: int) -> Path:
    """A video in which 15 bright and dark squares are the bits of each frame's number."""
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "crf": "30", "g": "250"}
        stream: Any = container.add_stream("libx264", rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = *WH, "yuv420p"
        stream.thread_count = 1  # handing such small frames between threads takes longer than encoding them
        for number in range(frames):
            bits = np.array([(number >> bit) & 1 for bit in range(BITS)] + [0] * 9, np.uint8).reshape(4, 6)
            picture = (bits * 200 + 20).repeat(SIDE, axis=0).repeat(SIDE, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "gray")))
        container.mux(stream.encode(None))
    return path


def number_in(picture: np.ndarray) -> int:
    """The number that a frame shows, (64, 96, 3) uint8 RGB."""
    centre = SIDE // 2
    return sum(
        1 << bit
        for bit in range(BITS)
        if picture[SIDE * (bit // 6) + centre, SIDE * (bit % 6) + centre].mean() > 128
    )
