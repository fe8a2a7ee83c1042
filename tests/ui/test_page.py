"""The page: its modules fit together by TypeScript's rules, load nothing from elsewhere, and come with the package."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

PAGE = Path(str(resources.files("pointtrack.ui").joinpath("page")))
TYPESCRIPT = "typescript@5.9.3"


@pytest.mark.slow
def test_the_modules_fit_together():
    compiler = shutil.which("tsc")
    command = [compiler] if compiler else ["npx", "--yes", "--prefer-offline", "--package", TYPESCRIPT, "tsc"]
    if compiler is None and shutil.which("npx") is None:
        pytest.skip("needs npm")
    done = subprocess.run(
        [*command, "--project", str(PAGE / "tsconfig.json")], capture_output=True, text=True, timeout=300
    )
    if "npm error" in done.stderr:
        pytest.skip("npm cannot get TypeScript here")
    assert done.returncode == 0, done.stdout


def test_nothing_comes_from_elsewhere_and_nothing_becomes_html():
    files = [path for path in PAGE.iterdir() if path.suffix in (".js", ".html", ".css")]
    assert len(files) > 10
    for path in files:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://(?!camera)", text), path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text), (
            path.name
        )


def test_every_key_of_the_sheet_is_there_once():
    text = (PAGE / "keys.js").read_text(encoding="utf-8")
    plain = text.partition("const plain = {")[2].partition("};")[0]
    names = re.findall(r"^    (?:\"(.+?)\"|(\w+)):", plain, flags=re.M)
    flat = [one or other for one, other in names]
    assert len(flat) == len(set(flat)) > 30


def test_no_module_is_long():
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in PAGE.glob("*.js")}
    assert {name: count for name, count in lengths.items() if count > 400} == {}
