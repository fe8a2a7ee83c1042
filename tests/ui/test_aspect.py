"""Videos whose pixels are not square, as those of DVDs: the page shows them in their shape."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

import pointtrack as pt

pytestmark = pytest.mark.slow
ASPECT = Fraction(16, 11)
CENTRE, RADIUS = (120, 150), 60

SHAPE = """(() => {
    const { width, height } = stage.ground;
    const { data } = stage.ground.getContext('2d').getImageData(0, 0, width, height);
    const [xs, ys] = [new Set(), new Set()];
    for (let i = 0; i < data.length; i += 4) if (data[i] > 128) { xs.add((i / 4) % width); ys.add(Math.floor(i / 4 / width)); }
    return [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
})()"""


@pytest.fixture(scope="module")
def video(server):
    """A disc that is as wide as high where it is shown."""
    frame = np.zeros((288, 352, 3), np.uint8)
    cv2.ellipse(frame, CENTRE, (round(RADIUS / ASPECT), RADIUS), 0, 0, 360, (230, 230, 230), -1)
    shown = pt.Video(np.stack([frame] * 4), 25, pixel_aspect=ASPECT)
    return pt.write_video(server.home.parent / "dvd.mp4", shown)


def test_a_disc_is_round_and_clicks_are_where_they_are_seen(video, page):
    page.open_video(video)
    page.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")  # it is drawn
    left, right, top, bottom = page.ask(SHAPE)
    assert right - left == pytest.approx(bottom - top, rel=0.03)
    x, y = page.ask(f"stage.port.toStage({CENTRE[0]}, {CENTRE[1]})")
    assert [x, y] == pytest.approx([(left + right) / 2, (top + bottom) / 2], abs=3)
    assert page.ask(f"stage.port.toFrame({x}, {y})") == pytest.approx(CENTRE, abs=0.01)
    page.page.mouse.move(*page.at(50, 50))
    page.page.mouse.wheel(0, -300)
    x, y = page.ask("stage.port.toStage(50, 50)")
    assert page.ask(f"stage.port.toFrame({x}, {y})") == pytest.approx([50, 50], abs=0.01), "also when zoomed"
    page.press("0")
    page.press("p")
    page.click(*CENTRE)
    page.until("app.state.points.length === 1")
    page.until("app.tracks.at(0)?.ids.length && !Number.isNaN(app.tracks.at(0).values[0])")
    assert page.ask("[...app.tracks.at(0).values.slice(0, 2)]") == pytest.approx(CENTRE, abs=1.5)
    page.press("c")
    page.click(CENTRE[0] + 20, CENTRE[1] + 20)
    page.until("app.state.objects.length === 1 && app.masks.frames.get(0)?.answer.objects[0]?.mask")
    page.idle()
    page.shot("aspect")
