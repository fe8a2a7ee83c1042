"""The names of options: from what people type, or write into files, to the parser's names."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

from jsonargparse import ArgumentParser


class OptionNames:
    """The options of a command.

    Attributes:
        defaults: full name -> default; an option in a group has the group before its name, as in style.trail.
        lists: full names of the options that take several values.
    """

    def __init__(self, command: Callable[..., Any], parser: ArgumentParser):
        self.defaults = dict(parser.get_defaults().items())
        self.lists = {name for name, hint in typing.get_type_hints(command).items() if _is_list(hint)}
        self._grouped: dict[str, list[str]] = {}
        for full in self.defaults:
            self._grouped.setdefault(full.rpartition(".")[2], []).append(full)

    def full(self, typed: str) -> str | None:
        """The full name: max-frames is max_frames, trail is style.trail; None if the command has no such option.

        Raises:
            ValueError: options of several groups have that name.
        """
        name = typed.replace("-", "_")
        keys = self._grouped.get(name, [])
        if name in self.defaults:
            return name
        if len(keys) > 1:
            raise ValueError(
                f"--{typed}: expected its group too, --{' or --'.join(keys)}, got the name alone"
            )
        return keys[0] if keys else None

    def switched_off(self, typed: str) -> str | None:
        """The full name of the switch that no-NAME turns off; None for another name."""
        key = self.full(typed[3:]) if typed.startswith(("no-", "no_")) else None
        return key if key is not None and isinstance(self.defaults[key], bool) else None


def _is_list(hint: Any) -> bool:
    return any(typing.get_origin(part) is list for part in (hint, *typing.get_args(hint)))
