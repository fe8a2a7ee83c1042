"""Videos wider than the pictures that the page keeps."""

from __future__ import annotations

import numpy as np
import pytest

import pointtrack as pt

pytestmark = pytest.mark.slow
SPREAD = """(() => {
    const { width, height } = stage.ground;
    const { data } = stage.ground.getContext('2d').getImageData(0, Math.round(height / 2), width, 1);
    const reds = data.filter((value, at) => at % 4 === 0 && data[at + 3]);
    return Math.max(...reds) - Math.min(...reds);
})()"""


def test_all_pixels_are_seen_when_zoomed_in(server, page):
    stripes = np.zeros((2, 64, 3840, 3), np.uint8)
    stripes[:, :, ::2] = 255  # in a picture of half the width, all is grey
    path = pt.write_video(server.home.parent / "wide.mp4", pt.Video(stripes, 25), crf=1)
    page.open_video(path)
    assert page.ask("app.frames.whole.picture") is None
    page.page.mouse.move(*page.at(1920, 32))
    for _ in range(6):
        page.page.mouse.wheel(0, -600)
    page.until(f"stage.port.scale > 2 && {SPREAD} > 150", 30)
    page.press("0")
    page.until("stage.port.scale < 0.5")
    assert page.ask("[...app.frames.pictures.values()].map(one => one.width)[0]") == 1920
