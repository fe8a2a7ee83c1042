"""Pictures of the page for the documentation, and a short film for the README.

python tests/ui/record.py docs/images/ui
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from conftest import BROWSERS, FLAGS, Page  # run as a script: its folder is on the path
from PIL import Image
from playwright.sync_api import sync_playwright

CLIP = Path(__file__).parents[2] / "pointtrack" / "assets" / "clip.mp4"
LAST = 22
FILM_WH = (720, 405)
MOST_BYTES = 2_000_000


class Camera:
    """Takes pictures of a page, whole ones for the guide, and small ones for the film."""

    def __init__(self, page: Page, folder: Path):
        self.page, self.folder = page, folder
        self.film: list[tuple[Image.Image, int]] = []

    def shot(self, name: str) -> None:
        """A picture for the guide."""
        self.page.page.wait_for_timeout(500)
        picture = self.taken()
        picture.save(self.folder / f"{name}.jpg", quality=82, optimize=True)

    def frame(self, milliseconds: int = 600) -> None:
        """A frame of the film, shown for so long."""
        self.page.page.wait_for_timeout(150)
        self.film.append((self.taken().resize(FILM_WH, Image.Resampling.LANCZOS), milliseconds))

    def taken(self) -> Image.Image:
        return Image.open(io.BytesIO(self.page.page.screenshot())).convert("RGB")

    def develop(self, path: Path) -> None:
        """Write the film, with as many colours as fit."""
        for colors in (160, 96, 64, 40, 28):
            pictures = [picture.quantize(colors, dither=Image.Dither.NONE) for picture, _ in self.film]
            times = [milliseconds for _, milliseconds in self.film]
            pictures[0].save(
                path, save_all=True, append_images=pictures[1:], duration=times, loop=0, optimize=True
            )
            if path.stat().st_size < MOST_BYTES:
                return


def record(folder: Path) -> None:
    """Start the server, do what the guide tells, and take the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    browser_path = next(found for name in BROWSERS if (found := shutil.which(name)))
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        command = [
            sys.executable,
            "-m",
            "pointtrack.cli.main",
            "ui",
            shutil.copy(CLIP, scratch),  # its path is in the pictures
            "--no-browser",
            "--out",
            f"{scratch}/outputs",
        ]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        url = server.stdout.readline().split()[1]
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        try:
            context = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme="dark")
            page = Page(context.new_page(), url)
            tell(page, Camera(page, folder))
        finally:
            browser.close()
            server.terminate()
            server.wait(60)


def tell(page: Page, camera: Camera) -> None:
    """The story."""
    page.opened()
    camera.frame(900)
    page.click(82, 374)
    page.until("app.candidates")
    camera.shot("click")
    camera.frame(1400)
    page.press("b")
    page.page.mouse.move(*page.at(-0.4, 294))
    page.page.mouse.down()
    page.page.mouse.move(*page.at(100, 380))
    camera.frame(400)
    page.page.mouse.move(*page.at(161, 452))
    page.page.mouse.up()
    page.until("app.state.history.now === 2")
    page.idle()
    page.until("app.masks.frames.get(0)")
    page.page.evaluate("() => window.pointtrack.app.view({ names: { o1: 'ball' } }, 'renamed to ball')")
    page.press("v")
    camera.frame(900)
    page.show(LAST)
    page.press("u")
    page.until(f"app.state.view.out === {LAST}")
    page.show(0)
    page.page.evaluate(
        "() => import('/page/points.js').then(points => points.addMany(window.pointtrack.app, 'grid', 4, [450, 70, 600, 260], null))"
    )
    page.until("app.state.points.length > 0")
    page.page.evaluate("() => window.pointtrack.app.select({ kind: 'object', id: 1 })")
    page.page.mouse.move(1100, 600)
    page.idle()
    page.press("Shift+P")
    for frame in (4, 8, 12):
        page.until(f"app.masks.at({frame})?.answer.objects[0].known", 300)
        page.page.evaluate("frame => window.pointtrack.app.show(frame)", frame)
        page.until(f"stage.shownFrame === {frame} && app.masks.frames.has({frame})")
        camera.frame(350)
        if frame == 8:
            camera.shot("run")
    page.idle()
    page.until(f"app.masks.at({LAST})?.answer.objects[0].known", 300)
    for frame in (16, 20, LAST):
        page.show(frame)
        page.until(
            f"app.masks.frames.get({frame})?.answer.objects[0].known && app.tracks.at({frame}) && !app.tracks.old.size"
        )
        camera.frame(350)
    page.press("p")
    x, y = page.ask(f"[...app.tracks.at({LAST}).values.slice(0, 2)]")
    page.page.mouse.move(*page.at(x, y))
    page.page.mouse.down()
    page.page.mouse.move(*page.at(x + 12, y + 8))
    page.page.mouse.move(*page.at(x + 24, y + 16))
    camera.frame(700)
    page.page.mouse.up()
    page.until("app.state.points[0].fixes.length === 2")
    page.until(
        "app.tracks.old.size === 0 && Number.isNaN(app.tracks.at(10)?.values[0] ?? 0) || app.state.run"
    )
    page.until("app.tracks.at(10) && !app.tracks.old.size && !Number.isNaN(app.tracks.at(10).values[0])", 300)
    page.idle()
    camera.shot("corrected")
    camera.frame(700)
    page.press("Control+z")
    page.press("Control+e")
    page.page.wait_for_selector("dialog[open]")
    page.page.locator("#export-masks-coco").check()
    page.page.wait_for_timeout(700)
    camera.frame(1000)
    page.page.locator("#export-go").click()
    page.page.wait_for_selector("#export-results a", timeout=120_000)
    camera.shot("export")
    camera.frame(1600)
    camera.develop(camera.folder / "ui.gif")


if __name__ == "__main__":
    record(Path(sys.argv[1]))
