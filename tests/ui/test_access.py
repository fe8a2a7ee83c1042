"""The page for everybody: axe-core finds nothing serious, in dark and in light, on every screen."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pointtrack.io.video import write_video
from tests.support.scenes import squares

pytestmark = pytest.mark.slow
AXE = "axe-core@4.10.3"
FOUND = {"resultTypes": ["violations"]}  # it need not describe all that is right


@pytest.fixture(scope="module")
def axe(tmp_path_factory) -> str:
    """The checker, from npm."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    folder = tmp_path_factory.mktemp("axe")
    quick = ["--silent", "--no-save", "--no-audit", "--prefer-offline"]
    command = ["npm", "install", *quick, "--prefix", str(folder), AXE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    path = folder / "node_modules" / "axe-core" / "axe.min.js"
    if done.returncode or not path.is_file():
        pytest.skip("npm cannot get axe-core here")
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def video(server) -> Path:
    """A small one, so that it takes no time."""
    scene = squares([[(8 + 2 * t, 10) for t in range(8)]], size=24)
    return write_video(server.home.parent / "square.mp4", scene.video, crf=1)


def test_the_page_begins_as_the_system_looks(page):
    for scheme in ("light", "dark"):
        page.page.emulate_media(color_scheme=scheme)
        page.page.reload()
        page.opened()
        assert page.page.evaluate("() => document.documentElement.dataset.theme") == scheme


def test_nothing_serious_is_found(page, axe, video):
    page.open_video(video)
    page.page.evaluate(axe)
    found = []

    def look(what: str) -> None:
        """By all rules, and by those on colours in the other theme, which changes nothing else."""
        for theme, rules in (("dark", {}), ("light", {"runOnly": ["color-contrast"]})):
            page.page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
            told = page.page.evaluate(
                "([what, options]) => axe.run(what, options)", [what, {**rules, **FOUND}]
            )
            found.extend(told["violations"])

    page.page.evaluate(
        "() => document.querySelectorAll('#panels details').forEach(one => { one.open = true; })"
    )
    objects = page.ask("app.state.objects.length")
    page.press("n")
    page.click(20, 22)
    page.until(f"app.state.objects.length === {objects + 1}")
    page.until("app.busy === 0")
    page.press("p")
    page.click(40, 40)
    page.until("app.state.points.length > 0")
    look("html")
    for button in ("help", "export", "open", "live", "review", "many-points"):
        page.page.locator(f"#{button}").click()
        page.page.wait_for_selector("dialog[open]")
        page.until(
            "document.querySelector('dialog').querySelectorAll('.files:empty, code:empty').length === 0", 20
        )
        look("dialog[open]")  # what is behind it was looked at
        page.press("Escape")
    told = [
        (one["id"], one["impact"], [node["html"][:120] for node in one["nodes"]][:3])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert not told
