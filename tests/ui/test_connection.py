"""What the page says where its project or its server is gone, in a browser."""

from __future__ import annotations

import shutil
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from pointtrack.io.video import write_video
from pointtrack.ui import desk
from tests.support.scenes import squares
from tests.ui.conftest import Page

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def videos(server) -> list[Path]:
    """One more than the server keeps open."""
    scene = squares([[(8 + 2 * t, 10) for t in range(6)]], size=24)
    first = write_video(server.home.parent / "gone0.mp4", scene.video, crf=1)
    others = [first.with_name(f"gone{number}.mp4") for number in range(1, desk.MOST_OPEN + 1)]
    return [first, *(Path(shutil.copy(first, other)) for other in others)]  # others by their names


# The page's patience with its server, and the time until it tries again.
HASTE = """() => {
    const later = window.setTimeout;
    window.setTimeout = (what, time, ...more) => later(what, Math.min(time, 200), ...more);
}"""


class Cable:
    """The sockets of a page, which can be pulled and put back."""

    def __init__(self, page: Any):
        self.on, self.asked, self.sockets = True, 0, []
        page.route_web_socket("**/api/ws*", self.route)

    def route(self, socket: Any) -> None:
        self.asked += 1
        if self.on:
            socket.connect_to_server()
            self.sockets.append(socket)
        else:
            socket.close()

    def pull(self) -> None:
        self.on = False
        for one in self.sockets:
            one.close()
        self.sockets = []


def closed_meanwhile(page: Page, cable: Cable, other: Page, videos: list[Path]) -> None:
    """The first video, which a page shows, is closed while that page has no connection."""
    page.page.route("**/state", lambda route: route.abort())  # what the page asks for counts as used
    cable.pull()
    page.until("app.lost")
    for path in videos[1:]:
        other.open_video(path)  # each leaves the one before
    page.page.unroute("**/state")
    page.until("app.lost === 'closed'", 20)


def test_a_page_whose_project_was_closed_says_so_and_opens_it_again(server, open_page, videos):
    page = open_page(server.url)
    cable = Cable(page.page)
    page.open_video(videos[0])
    page.page.evaluate(HASTE)
    page.ask("app.act('points.add', { frame: 0, xy: [[20, 20]] })")
    page.until("app.state.points.length === 1")
    closed_meanwhile(page, cable, open_page(server.url), videos)
    line = page.page.locator("#lost")
    assert line.inner_text().startswith("gone0.mp4 is no longer open") and "\n\n" not in line.inner_text()
    asked = cable.asked
    page.page.wait_for_timeout(300)
    assert cable.asked == asked, "it does not try for ever"
    cable.on = True
    page.page.get_by_role("button", name="Open it again").click()
    page.until("!app.lost && app.state.name === 'gone0.mp4'")
    assert page.ask("app.state.points.length") == 1 and line.is_hidden()
    page.ask("app.act('points.add', { frame: 0, xy: [[22, 22]] })")
    page.until("app.state.points.length === 2")
    assert not page.errors


def test_what_a_lost_page_says_and_when_it_comes_back(server, open_page, videos):
    """The server is there all the time: its answers are held back or changed. `closed_meanwhile` closes a project."""
    page = open_page(server.url)
    cable = Cable(page.page)
    page.open_video(videos[0])
    page.page.evaluate(HASTE)
    line, answers = page.page.locator("#lost"), {"status": 404}
    page.page.route(
        "**/state", lambda route: route.fulfill(**answers) if answers["status"] else route.abort()
    )
    cable.pull()
    page.until("app.lost === 'closed'", 10)
    # Another tab may have opened it again.
    cable.on = True
    page.page.evaluate("() => window.dispatchEvent(new Event('focus'))")
    page.until("!app.lost", 10)
    assert line.is_hidden()
    answers["status"] = 0
    cable.pull()
    page.until("document.querySelector('#lost:not([hidden])')", 10)
    assert "does not answer" in line.inner_text() and "pointtrack ui" in line.inner_text()
    answers["status"] = 401
    page.until("app.lost === 'token'", 10)
    assert "Open the address" in line.inner_text() and line.is_visible()


def test_after_a_break_nothing_that_was_told_meanwhile_is_missed(server, open_page, videos):
    page = open_page(server.url)
    cable = Cable(page.page)
    page.open_video(videos[0])
    page.ask("app.act('objects.box', { frame: 0, box: [8, 10, 32, 34] })")
    page.until("app.state.objects.length")
    page.press("Control+e")
    page.page.route("**/export", lambda route: (cable.pull(), route.continue_()))
    page.page.locator("#export-go").click()
    page.until("app.lost")
    end = time.monotonic() + 60
    while not (page.ask("(await (await fetch(`${app.base}/state`)).json()).export") or {}).get("files"):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert page.page.locator("#export-results a").count() == 0, "nobody told the page"
    cable.on = True
    page.page.wait_for_selector("#export-results a", timeout=20_000)
    assert not page.errors


@pytest.mark.long  # two servers start; `test_what_a_lost_page_says_and_when_it_comes_back` holds it with one
def test_a_page_of_an_earlier_server_says_what_to_do(start_server, open_page, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    scene = squares([[(8 + 2 * t, 10) for t in range(6)]], size=24)
    video = str(write_video(tmp_path / "short.mp4", scene.video, crf=1))
    first = start_server(tmp_path / "home", video, "--port", port)
    page = open_page(first.url)
    page.opened()
    first.kill()
    page.until("document.querySelector('#lost:not([hidden])')", 20)
    line = page.page.locator("#lost")
    assert "does not answer" in line.inner_text() and "pointtrack ui" in line.inner_text()
    start_server(tmp_path / "home", video, "--port", port)
    page.until("app.lost === 'token'", 60)
    assert "Open the address" in line.inner_text() and line.is_visible()
