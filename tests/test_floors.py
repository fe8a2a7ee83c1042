"""Imports only go down the floors of docs/explain/architecture.md; read from the source, nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = [
    {"layers", "types", "config", "checks", "geometry", "system"},
    {"models", "io", "viz", "web"},
    {"tracking", "segment", "onnx", "datasets"},
    {"states", "regions", "objects", "zoo"},
    {"pipeline", "cotracker"},
    {"tracker"},
    {"sessions", "edit", "fleet"},
    {"cli", "ui", "__main__"},
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
# `import pointtrack` brings everything with it: only the top floor may do that.
TOP = len(FLOORS) - 1


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Absolute names of the modules, or names in modules, that a file imports anywhere in it."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) + 1 - node.level]) if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def floor_of(name: str) -> int:
    """Floor of pointtrack.<part>...; the top one for the package itself and its public names."""
    parts = name.split(".")
    return FLOOR.get(parts[1], TOP) if len(parts) > 1 else TOP


@pytest.mark.parametrize("path", sources("pointtrack"), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_go_down(path):
    part = path.relative_to(ROOT / "pointtrack").with_suffix("").parts[0]
    if part == "__init__":
        return
    assert part in FLOOR, f"give {part} a floor: in FLOORS above and in docs/explain/architecture.md"
    for name in imported(path):
        if name.split(".")[0] == "pointtrack":
            assert floor_of(name) <= FLOOR[part], (
                f"floor {FLOOR[part]} imports {name}, floor {floor_of(name)}"
            )


@pytest.mark.parametrize(
    ("package", "banned"), [("pointtrack", {"train", "evaluation"}), ("evaluation", {"train"})]
)
def test_packages_keep_apart(package, banned):
    assert sources(package)
    for path in sources(package):
        above = [name for name in imported(path) if name.split(".")[0] in banned]
        assert not above, f"{path.relative_to(ROOT)} imports {above}"


def test_relative_imports_are_resolved(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "pointtrack" / "models" / "new.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "from .point_tracker import A\nfrom .. import cli\nfrom ..tracking.window_stream import track\nimport torch.nn\n"
    )
    assert list(imported(path)) == [
        "pointtrack.models.point_tracker.A",
        "pointtrack.cli",
        "pointtrack.tracking.window_stream.track",
        "torch.nn",
    ]
