"""Reads options files (--config) before the parser, which would import classes named there and quote their content."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from pointtrack.cli.option_names import OptionNames

LARGEST = 1 << 20  # bytes
DEEPEST = 16
MOST_VALUES = 20_000
_BARE_COLOUR = re.compile(r"\s*([\w-]+:|-)\s+(#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{3}))\s*")


def check_options(arguments: Sequence[str], command: Callable[..., Any]) -> None:
    """Refuse arguments that must not reach the parser.

    Args:
        arguments: as the user typed them.
        command: a function, or a dataclass with `run`.

    Raises:
        ValueError: an option that has options of its own gets a text, which the parser would take for the name of a
            class to import.
    """
    groups = grouped_options(command)
    for option, value in _pairs(arguments):
        if option in groups:
            raise ValueError(f"{option}: expected options of its own, as --{option}.NAME, got {value[:60]!r}")
        if {"class_path", "init_args"} & set(option.split(".")):
            raise ValueError(f"--{option[:60]}: expected an option of the command; see --help")


def split_config(arguments: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The options files named by --config, and the other arguments."""
    files, others, words = [], [], iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        if option == "--config":
            files.append(Path(value if equals else next(words, "")))
        else:
            others.append(word)
    return files, others


def read_config(path: Path, command: Callable[..., Any], names: OptionNames) -> dict[str, Any]:
    """The options in a file: full name -> value. It may use all names that the command line takes.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no YAML of options, is too large or too deep, has aliases, or names classes. Messages give
            the line, and never the content of other lines.
    """
    content = {key.replace("-", "_"): value for key, value in _content(path).items()}
    groups = grouped_options(command)
    _check_values(path, content, groups)
    pairs: dict[str, Any] = {}
    for name, value in content.items():
        inner = value if name in groups and value is not None else None
        pairs |= {name: value} if inner is None else {f"{name}.{key}": one for key, one in inner.items()}
    return dict(_spelled(name, value, names) for name, value in pairs.items())


def _spelled(name: str, value: Any, names: OptionNames) -> tuple[str, Any]:
    """An option and its value as the parser reads them."""
    key = names.full(name)
    if key is None and isinstance(value, bool) and (switch := names.switched_off(name)):
        return switch, not value
    if key in names.lists and value is not None and not isinstance(value, list):
        value = [value]
    return key or name, value


def _content(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(
            f"config: expected a YAML file with options, found nothing at {str(path)[:200]}"
        )
    size = path.stat().st_size
    if size > LARGEST:
        raise ValueError(f"{path}: expected a YAML file with options, got {size} bytes")
    try:
        text = path.read_text(encoding="utf-8")
        _check_events(path, text)
        _check_colours(path, text)
        content = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected a YAML file with options, got something that is no text"
        ) from error
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        raise ValueError(
            f"{path}{where}: expected YAML with options, but {problem or 'it is not valid YAML'}"
        ) from error
    except (ValueError, RecursionError, OverflowError) as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(f"{path}: expected a YAML file with options, got an invalid value") from error
    content = {} if content is None else content
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ValueError(f"{path}: expected options as NAME: VALUE, got another kind of file")
    return content


def _check_values(path: Path, content: dict[str, Any], groups: Iterable[str]) -> None:
    """Refuse values that the parser would take for names of classes, or for more files."""
    if "config" in content:
        raise ValueError(f"{path}: expected no config within a config")
    for name in groups:
        if content.get(name) is not None and not isinstance(content[name], dict):
            raise ValueError(f"{path}, {name}: expected its own options, as NAME: VALUE below it")
    if _has_class(content):
        raise ValueError(
            f"{path}: expected options, got the name of a class (class_path), which is never imported"
        )


def grouped_options(command: Callable[..., Any]) -> set[str]:
    """Names of the options that have options of their own."""
    hints = typing.get_type_hints(command)
    return {name for name, hint in hints.items() if isinstance(hint, type) and dataclasses.is_dataclass(hint)}


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(option, value) of all options that have a value, the names as the parser knows them."""
    for i, argument in enumerate(arguments):
        if argument.startswith("--"):
            option, equals, value = argument[2:].partition("=")
            following = arguments[i + 1] if i + 1 < len(arguments) else ""
            yield option.rstrip("+").replace("-", "_"), value if equals else following


def _check_events(path: Path, text: str) -> None:
    """Refuse YAML that grows when it is built."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"{path}, line {event.start_mark.line + 1}: expected plain values, got an alias")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST or count > MOST_VALUES:
            raise ValueError(
                f"{path}, line {event.start_mark.line + 1}: expected options, got too many or too deep ones"
            )


def _check_colours(path: Path, text: str) -> None:
    """Refuse colours without quotes, which YAML takes for comments, so that the option would have no value."""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _BARE_COLOUR.fullmatch(line):
            key, colour = found[1], found[2]
            raise ValueError(
                f'{path}, line {number}: expected a colour in quotes, {key} "{colour}", as YAML takes {colour} for a comment'
            )


def _has_class(value: Any) -> bool:
    if isinstance(value, dict):
        return "class_path" in value or "init_args" in value or any(map(_has_class, value.values()))
    return isinstance(value, list) and any(map(_has_class, value))
