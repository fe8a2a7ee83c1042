"""Imports only go down the floors of docs/explain/architecture.md; read from the source, nothing is imported."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = [
    {"layers", "types", "config", "checks", "geometry", "system"},
    {"io", "web"},
    {"models", "viz"},
    {"tracking", "segment", "onnx", "datasets"},
    {"states", "regions", "objects", "zoo"},
    {"pipeline", "cotracker"},
    {"tracker"},
    {"sessions"},
    {"edit", "fleet", "ui"},
    {"cli"},
    {"__main__"},
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
# `import pointtrack` brings everything with it: only the commands may do that.
TOP = FLOOR["cli"] - 1


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@functools.cache
def imported(path: Path) -> list[str]:
    """Absolute names of the modules, or names in modules, that a file imports anywhere in it."""
    return list(imports(path))


def imports(path: Path) -> Iterator[str]:
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) + 1 - node.level]) if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def floor_of(name: str) -> int:
    """Floor of pointtrack.<part>...; right below the commands for the package itself and its public names."""
    parts = name.split(".")
    return FLOOR.get(parts[1], TOP) if len(parts) > 1 else TOP


@pytest.mark.parametrize("path", sources("pointtrack"), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_go_down(path):
    part = path.relative_to(ROOT / "pointtrack").with_suffix("").parts[0]
    if part == "__init__":
        return
    assert part in FLOOR, f"give {part} a floor: in FLOORS above and in docs/explain/architecture.md"
    for name in imported(path):
        if name.split(".")[0] != "pointtrack" or name.split(".")[1:2] == [part]:
            continue
        # Not sideways either; but on the lowest floor layers and types may use the modules beside them.
        assert floor_of(name) < FLOOR[part] or floor_of(name) == FLOOR[part] == 0, (
            f"floor {FLOOR[part]} imports {name}, floor {floor_of(name)}"
        )


def test_no_circles_between_packages():
    uses: dict[str, set[str]] = {}
    for path in sources("pointtrack"):
        part = path.relative_to(ROOT / "pointtrack").with_suffix("").parts[0]
        if part != "__init__":
            names = (name.split(".")[1] for name in imported(path) if name.startswith("pointtrack."))
            uses.setdefault(part, set()).update(name for name in names if name in FLOOR and name != part)
    while uses:
        bottom = {part for part, below in uses.items() if not below & uses.keys()}
        assert bottom, f"a circle among {sorted(uses)}"
        uses = {part: below for part, below in uses.items() if part not in bottom}


def test_few_modules_lie_loose():
    assert len(list((ROOT / "pointtrack").glob("*.py"))) <= 9


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


def test_no_test_imports_another_test():
    """What several need is in tests/support."""
    for path in sources("tests"):
        for name in imported(path):
            if name.startswith("tests."):
                assert not any(part.startswith("test_") for part in name.split(".")), f"{path}: {name}"
