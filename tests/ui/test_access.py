"""The page for everybody: axe-core finds nothing serious, in dark and in light, on every screen."""

from __future__ import annotations

import shutil
import subprocess

import pytest

pytestmark = pytest.mark.slow
AXE = "axe-core@4.10.3"


@pytest.fixture(scope="module")
def axe(tmp_path_factory) -> str:
    """The checker, from npm."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    folder = tmp_path_factory.mktemp("axe")
    command = ["npm", "install", "--silent", "--no-save", "--prefix", str(folder), AXE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    path = folder / "node_modules" / "axe-core" / "axe.min.js"
    if done.returncode or not path.is_file():
        pytest.skip("npm cannot get axe-core here")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_nothing_serious_is_found(start_server, open_page, axe, scheme, tmp_path_factory):
    home = tmp_path_factory.mktemp("access") / "home"
    page = open_page(start_server(home, "demo").url, color_scheme=scheme)
    page.opened()
    page.page.evaluate(axe)
    found = page.page.evaluate("() => axe.run()")["violations"]
    page.page.evaluate(
        "() => document.querySelectorAll('#panels details').forEach(one => { one.open = true; })"
    )
    page.click(300, 250)
    page.until("app.state.objects.length === 1")
    page.until("app.candidates")
    found += page.page.evaluate("() => axe.run()")["violations"]
    for button in ("help", "export", "open", "live"):
        page.page.locator(f"#{button}").click()
        page.page.wait_for_selector("dialog[open]")
        page.page.wait_for_timeout(300)
        found += page.page.evaluate("() => axe.run()")["violations"]
        page.press("Escape")
    told = [
        (one["id"], one["impact"], [node["html"][:120] for node in one["nodes"]][:3])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert not told
