"""The output of `--help`, made from docstrings and signatures, short and without names of Python classes."""

from __future__ import annotations

import dataclasses
import inspect
import re
import shutil
import textwrap
import typing
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, Literal

from pointtrack.cli.examples import EXAMPLES

COLUMN = 26  # column where the texts of options begin
WORDS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of a command.

    Attributes:
        name: as typed, without leading dashes.
        value: placeholder for its value, "" for a switch.
        text: what it does.
        default: as a text, "" if not worth showing.
        is_positional: it is typed without a name.
        is_required: the command cannot do without it.
        group: the title that lists it.
        nested_in: the parameter whose dataclass has it, "" for the command's own.
        is_on: it is a switch that is on unless it is typed with no- before its name.
    """

    name: str
    value: str
    text: str
    default: str
    is_positional: bool
    is_required: bool
    group: str = "options"
    nested_in: str = ""
    is_on: bool = False

    def forms(self) -> list[str]:
        """How it may be typed."""
        return [f"--{self.name}", *([f"--no-{self.name}"] if self.is_on else [])]


def help_text(command: Callable[..., Any], prog: str) -> str:
    """The whole help text: usage, what the command does, its options, examples."""
    about, _ = sections(command)
    examples = EXAMPLES.get(prog.partition(" ")[2], ())
    options = options_of(command)
    width = min(shutil.get_terminal_size((100, 24)).columns, 110)
    places = [one.value if one.is_required else f"[{one.value}]" for one in options if one.is_positional]
    lines = [f"usage: {' '.join([prog, *places])} [options]", ""]
    for paragraph in about.split("\n\n"):
        lines += [*textwrap.wrap(" ".join(paragraph.split()), width), ""]
    for group in dict.fromkeys(option.group for option in options):
        lines.append(f"{group}:")
        for option in options:
            if option.group == group:
                lines += _option_lines(option, width)
        lines.append("")
    if examples:
        lines += ["examples:", *(f"  {line}" for line in examples), ""]
    lines += textwrap.wrap(
        "--no-NAME turns a switch off. --config FILE.yaml reads options from a file; "
        "--debug shows full error reports.",
        width,
    )
    return "\n".join(lines)


def options_of(command: Callable[..., Any], *, nested_in: str = "", settings: object = None) -> list[Option]:
    """The options of a command; those of nested dataclasses come last, under titles of their own.

    Args:
        command: a function or a dataclass.
        nested_in: the parameter that takes this dataclass.
        settings: an instance of it whose values are the defaults.
    """
    texts = sections(command)[1]
    hints = typing.get_type_hints(command if inspect.isfunction(command) else _init_hints(command))
    found: list[Option] = []
    nested: list[Option] = []
    for i, (name, parameter) in enumerate(inspect.signature(command).parameters.items()):
        hint = hints.get(name, str)
        if dataclasses.is_dataclass(hint):
            title = texts.get(name, name).rstrip(".")
            given = parameter.default if dataclasses.is_dataclass(parameter.default) else None
            nested += [
                dataclasses.replace(one, group=title)
                for one in options_of(typing.cast(Any, hint), nested_in=name, settings=given)
            ]
            continue
        has_default = parameter.default is not parameter.empty
        default = parameter.default if has_default else None
        if settings is not None:
            default = getattr(settings, name)
        several = any(typing.get_origin(part) is list for part in (hint, *typing.get_args(hint)))
        text = texts.get(name, "")
        value = _value(hint, text)
        if any(dataclasses.is_dataclass(part) for part in _parts(hint)):
            text = f"{text.rstrip('.')}; its settings: --{name}.help"
        found.append(
            Option(
                name.replace("_", "-"),
                f"{value} ..." if several else value,
                text,
                "on" if default is True else "" if default in (None, False, "") else str(default),
                not has_default or (i == 0 and not nested_in),
                not has_default,
                is_on=default is True,
            )
        )
        if found[-1].is_positional:
            found[-1] = dataclasses.replace(found[-1], value=name.upper() + " ..." * several)
    if nested_in:
        return [dataclasses.replace(option, nested_in=nested_in) for option in found] + nested
    # A name that occurs in two groups is typed with its group.
    names = Counter(option.name for option in (*found, *nested))
    return [
        dataclasses.replace(option, name=f"{option.nested_in}.{option.name}")
        if option.nested_in and names[option.name] > 1
        else option
        for option in (*found, *nested)
    ]


def sections(command: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """The parts of a docstring: the description, and the texts of the arguments by name.

    A dataclass also has the arguments of its parents.
    """
    arguments: dict[str, str] = {}
    for kind in reversed(inspect.getmro(command)) if isinstance(command, type) else (command,):
        if kind is object or not kind.__doc__:
            continue
        arguments |= _arguments(inspect.cleandoc(kind.__doc__))
    text = inspect.getdoc(command) or ""
    return re.split(r"\n\n(?:Args|Raises|Returns):", text)[0], arguments


def _arguments(text: str) -> dict[str, str]:
    block = re.search(r"\n\n(?:Args|Attributes):\n((?:    .*(?:\n|$)|\n)+)", text)
    found: dict[str, str] = {}
    names: list[str] = []
    for line in block[1].split("\n") if block else ():
        head = re.match(r"    ([a-z_][\w, ]*): (.*)", line)
        if head:
            names = [name.strip() for name in head[1].split(",")]
            found |= dict.fromkeys(names, head[2].strip())
        else:
            for name in names:
                found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def _init_hints(command: Any) -> Any:
    return command if dataclasses.is_dataclass(command) else command.__init__


def _value(hint: Any, text: str) -> str:
    """Placeholder for the value of an option of this type, or the first form in its text, such as frame,x,y."""
    form = re.search(r"\bas ((?:[a-zA-Z0-9:]+,)+[a-zA-Z0-9]+)", text)
    kinds = [part for part in _parts(hint) if part is not type(None)]
    if bool in kinds:
        return ""
    choices = [
        str(value) for part in kinds if typing.get_origin(part) is Literal for value in typing.get_args(part)
    ]
    if choices:
        return "|".join(choices)
    if form and str in kinds:
        return form[1].upper()
    return next((WORDS[kind] for kind in kinds if kind in WORDS), "VALUE")


def _parts(hint: Any) -> list[Any]:
    """The types in a union or a list."""
    if typing.get_origin(hint) in (typing.Union, UnionType, list):
        return [inner for part in typing.get_args(hint) for inner in _parts(part)]
    return [hint]


def _option_lines(option: Option, width: int) -> list[str]:
    name = f"[no-]{option.name}" if option.is_on else option.name
    head = f"  {option.value}" if option.is_positional else f"  --{name} {option.value}".rstrip()
    text = option.text.rstrip(".") + (f" (default: {option.default})" if option.default else "")
    wrapped = textwrap.wrap(text, width - COLUMN) or [""]
    if len(head) > COLUMN - 2:
        return [head, *(" " * COLUMN + line for line in wrapped)]
    return [head.ljust(COLUMN) + wrapped[0], *(" " * COLUMN + line for line in wrapped[1:])]
