"""Files of options (--config) are looked at before the parser gets them: it would import what they name, and quote all of them."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

LARGEST = 1 << 20  # bytes
DEEPEST = 16
MOST_VALUES = 20_000


def check_options(arguments: Sequence[str], command: Callable[..., Any]) -> None:
    """Refuse what must not reach the parser, in files of options and on the command line.

    Args:
        arguments: as the user typed them.
        command: a function, or a dataclass with `run`.

    Raises:
        FileNotFoundError: no such file of options.
        ValueError: a file that is no YAML of options, one that is too large, too deep or has aliases; a text for an option
            that has options of its own, which the parser would take for the name of a class to import.
    """
    groups = grouped_options(command)
    for option, value in _pairs(arguments):
        if option == "config":
            check_config_file(Path(value), groups)
        elif option in groups:
            raise ValueError(f"{option}: expected its own options, as --{option}.NAME, got {value[:60]!r}")
        elif {"class_path", "init_args"} & set(option.split(".")):
            raise ValueError(f"--{option[:60]}: expected an option of the command; see --help")


def check_config_file(path: Path, groups: Iterable[str]) -> None:
    """The same for one file. Errors tell the line, and never the content of others."""
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
        content = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected a YAML file with options, got something that is no text"
        ) from error
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        raise ValueError(
            f"{path}{where}: expected YAML with options, but {problem or 'it is none'}"
        ) from error
    except (ValueError, RecursionError, OverflowError) as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(f"{path}: expected a YAML file with options, but a value of it is none") from error
    if content is None:
        return
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ValueError(f"{path}: expected options as NAME: VALUE, got another kind of file")
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


def _pairs(arguments: Sequence[str]) -> Iterable[tuple[str, str]]:
    """(option, value) of all options that have a value, the names as the parser knows them."""
    for i, argument in enumerate(arguments):
        if argument.startswith("--"):
            option, equals, value = argument[2:].partition("=")
            following = arguments[i + 1] if i + 1 < len(arguments) else ""
            yield option.rstrip("+").replace("-", "_"), value if equals else following


def _check_events(path: Path, text: str) -> None:
    """Refuse what grows when it is built."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"{path}, line {event.start_mark.line + 1}: expected plain values, got an alias")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST or count > MOST_VALUES:
            raise ValueError(
                f"{path}, line {event.start_mark.line + 1}: expected options, got too many or too deep ones"
            )


def _has_class(value: Any) -> bool:
    if isinstance(value, dict):
        return "class_path" in value or "init_args" in value or any(map(_has_class, value.values()))
    return isinstance(value, list) and any(map(_has_class, value))
