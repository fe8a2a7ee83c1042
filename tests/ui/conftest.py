"""A server as the command starts it, in a process of its own, and a browser to look at it with."""

from __future__ import annotations

import multiprocessing
import os
import re
import runpy
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

SERVER = Path(__file__).parents[1] / "support" / "ui_process.py"
# With every page chromium would start another process for a list below its address bar, half a second of computing. This
# replaces Playwright's list of features, of which those that matter here are first.
OFF = (
    "DestroyProfileOnBrowserClose", "HttpsUpgrades", "LensOverlay", "MediaRouter", "PaintHolding", "OptimizationHints",
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup",
)  # fmt: skip
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run", f"--disable-features={','.join(OFF)}"]  # fmt: skip
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Server:
    """A running `pointtrack ui`; `url` has the token in it."""

    process: multiprocessing.process.BaseProcess
    url: str
    home: Path

    def kill(self) -> None:
        """At once, as a power cut does."""
        self.process.kill()
        self.process.join(20)


def short_clip(path: Path, frames: int) -> Path:
    """The first frames of the bundled clip: points are followed through all that there are."""
    from pointtrack.io.video import read_video, write_video  # not for record.py, which needs none

    clip = read_video(str(resources.files("pointtrack").joinpath("assets", "clip.mp4")), max_frames=frames)
    return write_video(path, clip, crf=1)


@pytest.fixture(scope="session")
def start_server(tmp_path_factory) -> Iterator[Callable[..., Server]]:
    """Starts servers, and ends them. They are copies of a process that has imported all they need, which takes seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pointtrack.ui.server", "pointtrack.cli.runner", "pointtrack.tracker"])
    servers: list[Server] = []

    def start(home: Path, *arguments: str) -> Server:
        log = tmp_path_factory.mktemp("server") / "log"
        told = {
            "arguments": [*arguments, "--no-browser", "--out", str(home)],
            "log": str(log),
            "folder": str(home.parent),
        }
        process = context.Process(target=runpy.run_path, args=(str(SERVER), told))
        process.start()
        while not (log.exists() and (found := re.search(r"^open +(\S+)\n", log.read_text(), re.M))):
            assert process.is_alive(), f"the server did not start: {log.read_text() if log.exists() else ''}"
            time.sleep(0.02)
        server = Server(process, found[1], home)
        servers.append(server)
        return server

    yield start
    for server in servers:
        if server.process.is_alive():
            server.kill()  # which must lose nothing, and does not wait


@pytest.fixture(scope="session")
def server(start_server, tmp_path_factory) -> Server:
    """One for all tests that do not end it, with the first frames of the bundled clip; with all of them for the guide.

    Whatever is followed looks at all of them.
    """
    folder = tmp_path_factory.mktemp("ui")
    if "POINTTRACK_SHOTS" in os.environ:
        return start_server(folder / "home", "demo")
    return start_server(folder / "home", str(short_clip(folder / "clip.mp4", 8)))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, as the system has it; the tests are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("needs chromium")
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


BEGIN = """async (settings) => {
    const { app } = window.pointtrack;
    document.querySelectorAll("dialog[open]").forEach((one) => one.close());
    document.querySelectorAll(".message:not(#lost)").forEach((one) => one.remove());
    document.querySelectorAll("#panels details").forEach((one, at) => { one.open = at < 2; });
    document.activeElement?.blur();
    app.set(settings);
    app.use("click");
    await app.open(app.boot.first);  // which chooses nothing, and shows all of a frame and of the lanes
}"""


class Page:
    """A page of the browser, spoken to in the video's own pixels."""

    def __init__(self, page: Any, url: str):
        self.page = page
        self.errors: list[str] = []
        self.settings: dict[str, Any] = {}  # as they were at first
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(url)

    def until(self, what: str, seconds: float = 240) -> None:
        """Wait for an expression of the page, in which `app` and `stage` are known."""
        end = time.monotonic() + seconds
        # The page looks by itself, for a while at a time: to be asked every time takes three processes.
        look = f"""async () => {{
            for (const end = Date.now() + 500; Date.now() < end; await new Promise((done) => setTimeout(done, 20))) {{
                const {{ app, stage }} = window.pointtrack ?? {{}};
                if (app && ({what})) return true;
            }}
            return false;
        }}"""
        while not self.page.evaluate(look):
            if time.monotonic() > end:
                told = self.page.locator("#messages").inner_text()
                raise AssertionError(f"still waiting for {what}; the page says {told!r}; {self.errors}")

    def ask(self, what: str) -> Any:
        """The value of an expression."""
        return self.page.evaluate(
            f"async () => {{ const {{ app, stage }} = window.pointtrack ?? {{}}; return app ? ({what}) : null; }}"
        )

    def opened(self) -> None:
        """Wait for the video's first picture."""
        self.until("app.state && stage.shownFrame === app.frame")

    def open_video(self, path: Path) -> None:
        """Open another video than the server was started with, and wait for its first picture and its events."""
        self.opened()
        self.page.evaluate("path => window.pointtrack.app.open(path)", str(path.resolve()))
        shown = "app.frames.pictures.has(app.frame) && stage.shownFrame === app.frame"
        self.until(f"app.state.name === '{path.name}' && {shown} && !app.lost")

    def open_clip(self, path: Path, frames: int = 3) -> None:
        """Open the first frames of the bundled clip, written to `path` if need be: it has a project of its own."""
        self.open_video(path if path.exists() else short_clip(path, frames))

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the video is on the screen."""
        sx, sy = self.ask(f"stage.port.toStage({x}, {y})")
        box = self.page.locator("#picture").bounding_box()
        return box["x"] + sx, box["y"] + sy

    def click(self, x: float, y: float, button: str = "left") -> None:
        """Click on a pixel of the video."""
        self.page.mouse.click(*self.at(x, y), button=button)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """From one pixel of the video to another."""
        self.page.mouse.move(*self.at(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at((start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
        self.page.mouse.move(*self.at(*end))
        self.page.mouse.up()

    def begin_again(self) -> None:
        """As it was when it was opened: the first frame of the server's video, nothing chosen."""
        self.settings = self.settings or self.ask("({ ...app.settings })")
        self.page.evaluate(BEGIN, self.settings)
        self.page.evaluate("() => window.pointtrack.app.show(0)")
        self.until("app.frames.pictures.has(0) && stage.shownFrame === 0 && !app.lost")

    def press(self, key: str) -> None:
        """A key."""
        self.page.keyboard.press(key)

    def idle(self) -> None:
        """Wait until nothing runs."""
        self.until("app.busy === 0 && !app.state.run")

    def show(self, frame: int) -> None:
        """Go to a frame, and wait for it."""
        self.page.evaluate("frame => window.pointtrack.app.show(frame)", frame)
        self.until(f"stage.shownFrame === {frame}")

    def shot(self, name: str) -> None:
        """A picture for the guide, where POINTTRACK_SHOTS names a folder for them."""
        folder = os.environ.get("POINTTRACK_SHOTS")
        if folder:
            self.page.wait_for_timeout(400)
            self.page.screenshot(path=str(Path(folder) / f"{name}.png"))


LOOK = {"viewport": {"width": 1280, "height": 720}, "color_scheme": "dark"}


@pytest.fixture
def open_page(browser) -> Iterator[Callable[..., Page]]:
    """Opens pages, each in a browser profile of its own."""
    contexts: list[Any] = []

    def open_one(url: str, **options: Any) -> Page:
        contexts.append(browser.new_context(**{**LOOK, **options}))
        return Page(contexts[-1].new_page(), url)

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def shared_page(server, browser) -> Page:
    """Opening a page takes a second of computing, so that tests share one where they can; see `page`."""
    page = Page(browser.new_context(**LOOK).new_page(), server.url)
    page.opened()
    return page


@pytest.fixture
def page(shared_page) -> Iterator[Page]:
    """A page with the server's video; what a test does to that is taken back."""
    shared_page.begin_again()
    project, steps = shared_page.ask("[app.state.id, app.state.history.now]")
    yield shared_page
    shared_page.page.unroute_all()
    errors, shared_page.errors = shared_page.errors, []
    assert not errors
    if shared_page.ask("app.state.id") == project:
        shared_page.ask(f"app.act('go', {{ position: {steps} }})")
        shared_page.until(f"app.state.history.now === {steps}")


@pytest.fixture(scope="session")
def long_video(tmp_path_factory) -> Path:
    """10,000 frames, each of which shows its number."""
    from tests.support.numbered import write_numbered  # not for record.py, which is no test

    return write_numbered(tmp_path_factory.mktemp("long") / "long.mp4", 10_000)
