"""Runs a command: its parameters become options, and a user's mistake becomes one clear line.

A command is a function, or a dataclass with a method `run`. The programs `pointtrack`, `demo.py`, the
benchmarks, `python -m train` and `python -m evaluation` all go through `run_command`.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import difflib
import functools
import inspect
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from pointtrack.cli.config_file import check_options, read_config, split_config
from pointtrack.cli.cores import share_cores
from pointtrack.cli.help_text import help_text, options_of
from pointtrack.cli.option_names import OptionNames
from pointtrack.cli.pipes import reader_may_leave
from pointtrack.cli.stopping import Stop, sigterm_as_ctrl_c

DEBUG = "POINTTRACK_DEBUG"
LONGEST = 1500  # most characters of a message
USER_ERRORS = (ValueError, OSError, argparse.ArgumentError)


def run_command(load: Callable[[], Callable[..., Any]], arguments: Sequence[str], prog: str) -> int:
    """Parse the arguments of a command, call it, and turn a user's mistake into one line and exit code 2.

    Args:
        load: returns the command, a function or a dataclass with `run`.
        arguments: what the user typed after the command's name. --debug, or the environment variable
            POINTTRACK_DEBUG, shows the traceback of a mistake.
        prog: name of the command in help texts; its first word begins error messages.
    """
    with reader_may_leave(), sigterm_as_ctrl_c() as stop:
        return _run(load, arguments, prog, stop)
    return 0


def _run(load: Callable[[], Callable[..., Any]], arguments: Sequence[str], prog: str, stop: Stop) -> int:
    command: Callable[..., Any] | None = None
    debug = "--debug" in arguments or bool(os.environ.get(DEBUG))
    arguments = [argument for argument in arguments if argument != "--debug"]
    name = prog.split()[0]
    logging.basicConfig(format=f"{name}: %(message)s")
    keep_freed_memory()
    share_cores()
    try:
        command = load()
        if "-h" in arguments or "--help" in arguments:
            print(help_text(command, prog))
            return 0
        check_options(arguments, command)
        parser = build_parser(command, prog)
        values = parser.instantiate(parser.parse_args(spell_out(arguments, command, parser)))
        values.pop("config", None)
        result = command(**vars(values))
        run = getattr(result, "run", None)
        code = run() if run is not None else result
    except BrokenPipeError:  # no mistake: `reader_may_leave`
        raise
    except USER_ERRORS as error:
        if debug:
            raise
        print(f"{name}: error: {_with_hint(one_line(error), command, prog)}", file=sys.stderr)
        return 2
    except (MemoryError, RecursionError) as error:
        if debug:
            raise
        what = "more memory than this machine has" if isinstance(error, MemoryError) else "too deep nesting"
        reason = f" ({one_line(error)})" if str(error) else ""
        print(f"{name}: error: this takes {what}{reason}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:  # its text says what of the run is kept
        print(f"{name}: stopped{'; ' * bool(str(stopped))}{stopped}", file=sys.stderr)
        return stop.code
    return code if isinstance(code, int) else 0


def keep_freed_memory() -> None:
    """Keep freed memory for the next tensors instead of giving it back to the system, where glibc allows it.

    Torch frees and requests the same tens of megabytes again and again, and on a CPU fresh pages cost a good part
    of the time. The setting affects the whole process, so commands make it, and the library does not.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-4, 0)  # M_MMAP_MAX: no block gets pages of its own
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: no trimming below 2 GB of free memory


@functools.lru_cache(maxsize=8)  # one call may run the same command on many videos
def build_parser(command: Callable[..., Any], prog: str) -> ArgumentParser:
    """The parser of one command: its parameters, and --config for a preset file."""
    # Abbreviations such as --conf would bypass the check of options files.
    parser = ArgumentParser(prog=prog, exit_on_error=False, allow_abbrev=False)
    parser.add_argument(
        "--config", action="config", help="YAML file with any of these options; the command line wins"
    )
    add = parser.add_class_arguments if isinstance(command, type) else parser.add_function_arguments
    add(command, as_positional=True)
    return parser


def spell_out(arguments: Sequence[str], command: Callable[..., Any], parser: ArgumentParser) -> list[str]:
    """What users type -> what jsonargparse reads.

    --max-frames becomes --max_frames, --trail --style.trail, and a bare --resume true. A list option takes all values up to
    the next option, and a first parameter with a default may come without its name. Options from files come first, so that
    the command line wins, also over their lists.

    Raises:
        FileNotFoundError: there is no such options file.
        ValueError: options of several groups share a name, or an options file is broken.
    """
    names = OptionNames(command, parser)
    files, arguments = split_config(arguments)
    given = [read_config(path, command, names) for path in files]
    spelled = [_COLOR.sub(r"\1\2", word) for word in _spell_out(arguments, command, names)]
    for key in names.lists & {key for options in given for key in options}:
        added = (i for i, word in enumerate(spelled) if word.startswith(f"--{key}+="))
        if (first := next(added, None)) is not None:
            spelled.insert(first, f"--{key}=[]")
    return [*(f"--config={yaml.safe_dump(options)}" for options in given), *spelled]


# A colour as a whole value. The parser would take it for a comment of YAML, which is nothing.
_COLOR = re.compile(r"^(--[\w.]+=)?#([0-9a-fA-F]{6}|[0-9a-fA-F]{3})$")


def _spell_out(arguments: Sequence[str], command: Callable[..., Any], names: OptionNames) -> list[str]:
    """Like `spell_out`, without options files."""
    defaults, lists = names.defaults, names.lists
    first = next(iter(inspect.signature(command).parameters.values()), None)
    unnamed = first.name if first is not None and first.default is not first.empty else None
    spelled: list[str] = []
    listing, value_due = None, False
    for i, argument in enumerate(arguments):
        if not argument.startswith("--"):
            if listing:
                argument = f"--{listing}+={argument}"
            elif unnamed and not value_due and not argument.startswith("-"):
                listing = unnamed if unnamed in lists else None
                argument, unnamed = f"--{unnamed}{'+' * bool(listing)}={argument}", None
            spelled.append(argument)
            value_due = False
            continue
        option, equals, value = argument[2:].partition("=")
        key = names.full(option)
        # An option of an optional group, as --loop.save-every, or the parser's own.
        if key is None and ("." in option or option == "print-config"):
            argument = f"--{option.replace('-', '_')}{equals}{value}"
        listing = key if key in lists and not equals else None
        following = arguments[i + 1] if i + 1 < len(arguments) else "--"
        if key is None and not equals and (switch := names.switched_off(option)):
            key, equals, value = switch, "=", "false"
        if key and isinstance(defaults[key], bool) and not equals and following not in ("true", "false"):
            equals, value = "=", "true"
        if key in lists and equals and not value.startswith("["):
            equals = "+="
        if not listing:
            spelled.append(f"--{key}{equals}{value}" if key else argument)
        value_due = not equals
    return spelled


KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "list": "a list",
}


def one_line(error: BaseException) -> str:
    """The message of an error on one line of readable length; messages of jsonargparse are cut to what matters."""
    text = " ".join(str(error).split())
    if isinstance(error, argparse.ArgumentError) and text.startswith("Parser key"):
        key, given = text.split('"')[1], re.search("(?:Given|Got) value: (.*)", text)
        kinds = dict.fromkeys(re.findall(r"Expected (?:an? )?<class '(\w+)'>", text))
        kinds.pop("NoneType", None)
        choices = re.findall(r"'([^']*)'", one[1]) if (one := re.search(r"Literal\[(.*?)\]", text)) else []
        nested = re.search(r"NestedArg\(key='(\S+)', val='(.*)'\)", text)  # an option of an optional group
        if nested and f"Option '{nested[1]}' is not accepted" in text:
            return f"unrecognized option --{key}.{nested[1]}; --{key}.help shows its settings"
        if given and (kinds or choices):
            named = [", ".join(choices)] if choices else []
            expected = " or ".join([*named, *(KINDS.get(kind, kind) for kind in kinds)])
            name, value = (nested[1], nested[2]) if nested else (key.rpartition(".")[2], given[1])
            text = f"{name}: expected {expected}, got {value}"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def _with_hint(message: str, command: Callable[..., Any] | None, prog: str) -> str:
    """The message; for an unknown option or argument, with a suggestion."""
    # An option in a file.
    message = re.sub(r"^Option '(\S+)' is not accepted$", r"unrecognized argument: --\1", message)
    unknown = re.search(r"unrecognized arguments?: (.*)", message, re.IGNORECASE)
    if command is not None and unknown:
        given = unknown[1].split()[0].partition("=")[0]
        options = [option for option in options_of(command) if not option.is_positional]
        known = [*(form for option in options for form in option.forms()), "--config"]
        if not given.startswith("--"):
            return f"unrecognized argument {unknown[1].split()[0]}; {prog} --help shows what it takes"
        typed = given.replace("_", "-")
        near = [
            form for form in known if typed in (form[: len(typed)], form.replace("--no-", "--")[: len(typed)])
        ][:4]
        near = near or difflib.get_close_matches(typed, known, 1, 0.6)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        return f"unrecognized option {given}; {hint}{prog} --help shows all"
    missing = re.search(r'Key "(\w+)" is required|required: (.+)$', message)
    if missing and command is not None:
        name = missing[1] or missing[2]
        return f"required: {name}; {prog} --help shows examples"
    return message
