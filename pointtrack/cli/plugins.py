"""Commands of other packages, registered as entry points of the group `pointtrack.commands`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

GROUP = "pointtrack.commands"


def entry_points() -> dict[str, metadata.EntryPoint]:
    """Commands of other packages by name."""
    return {entry.name: entry for entry in metadata.entry_points(group=GROUP)}


def load_command(
    name: str, commands: Mapping[str, Callable[..., Any]], entries: Mapping[str, metadata.EntryPoint]
) -> Callable[..., Any]:
    """The command of that name; ValueError where a package that it needs is not installed."""
    try:
        return commands.get(name) or entries[name].load()
    except ImportError as error:
        raise ValueError(f"{name} cannot be used: {error}; try pip install 'pointtrack[{name}]'") from error
