"""Tables and JSON files of reports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pointtrack.io.atomic import write_text
from pointtrack.io.outputs import check_outputs


def split_names(text: str) -> list[str]:
    """Names of a comma-separated list.

    >>> split_names("dis, lk")
    ['dis', 'lk']
    """
    return [name.strip() for name in text.split(",") if name.strip()]


def markdown_table(lines: Sequence[Sequence[str]], names: int = 2) -> str:
    """Rows of cells, titles first -> an aligned Markdown table; the first `names` columns are aligned left."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width if i < names else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    padded = [
        [
            cell.ljust(width) if i < names else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in (lines[0], rule, *lines[1:])
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in padded)


def print_values(
    titles: Sequence[str],
    rows: Iterable[Sequence[Any]],
    out: Path | None = None,
    content: Mapping[str, Any] | None = None,
) -> None:
    """Print a table of values, and write a report.

    Args:
        titles: of the columns.
        rows: a name and its values, which are printed with one decimal; texts are printed as they are.
        out: JSON file of the report, if it is wanted.
        content: of the report.
    """
    cells = [[cell if isinstance(cell, str) else f"{cell:.1f}" for cell in row] for row in rows]
    print(markdown_table([titles, *cells], names=1))
    if out is not None:
        print(f"\nvalues: {write_json(out, dict(content or {}))}")


def check_report(out: Path | None, datasets: str, *read: str | Path | None) -> None:
    """Raise ValueError if a report would overwrite its own inputs. Call it before you measure anything.

    Args:
        out: file of the report, if any.
        datasets: comma-separated, as KIND:PATH or KIND; a report never goes into folders of data.
        read: weights and earlier reports that the run reads.
    """
    if out is None:
        return
    for name in split_names(datasets):
        path = name.partition(":")[2] or name
        check_outputs([path, *read], [out], source=path, overwrite=True)


def write_json(path: str | Path, content: Any) -> Path:
    """Write a JSON file atomically; creates its folder."""
    return write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
