"""Two squares, of which one leaves for three frames, and a segmenter with one answer."""

from __future__ import annotations

from tests.support.scenes import ColourSegmenter, noisy, squares

RED = [(6 + 2 * t, 8 + t) for t in range(10)] + [None] * 3 + [(50 - 2 * t, 36 - t) for t in range(7)]
BLUE = [(60 - 2 * t, 40 - t) for t in range(20)]
SCENE = squares([RED, BLUE])
VIDEO = noisy(SCENE)


def segmenter() -> ColourSegmenter:
    sees = ColourSegmenter()
    sees.answers = (1,)
    return sees
