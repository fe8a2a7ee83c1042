"""A review in the browser."""

from __future__ import annotations

import pytest

from pointtrack.io.video import write_video
from tests.support.scenes import squares

pytestmark = pytest.mark.slow


def test_a_review_that_is_over_shows_a_video_and_what_is_next(start_server, open_page, tmp_path):
    scene = squares([[(8 + 2 * t, 10) for t in range(6)]], size=24)
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / "videos" / name, scene.video, crf=1)
    server = start_server(tmp_path / "home", "--review", str(tmp_path / "videos"))
    page = open_page(server.url)
    for name in ("a.mp4", "b.mp4"):
        page.until(f"app.state?.name === '{name}' && stage.shownFrame === app.frame && !app.lost", 60)
        page.press("a")
    page.until("app.review.counts.accepted === 2", 20)
    again = open_page(server.url)
    again.until("app.state?.name === 'a.mp4' && stage.shownFrame === app.frame", 20)
    assert "Training set" in again.page.locator("#messages").inner_text()
    assert not page.errors and not again.errors
