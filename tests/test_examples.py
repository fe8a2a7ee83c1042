"""Every example runs as it stands, in a folder of its own."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "start" / "examples.md").read_text(encoding="utf-8")
EXAMPLES = [ROOT / name for name in re.findall(r"examples/\w+\.py(?=\")", PAGE)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example, tmp_path, monkeypatch, capsys):
    (tmp_path / "outputs").mkdir()
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out.strip()


def test_they_are_short():
    assert len(EXAMPLES) >= 6
    for example in EXAMPLES:
        assert len(example.read_text(encoding="utf-8").splitlines()) < 40
