"""Settings of a run beside its results, so that a stopped run does not go on with others."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from pointtrack.io.atomic import write_text
from pointtrack.io.outside import read_json

FILE = "settings.json"


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as values of JSON; paths become texts."""
    whole = {
        name: asdict(one) if is_dataclass(one) and not isinstance(one, type) else one
        for name, one in settings.items()
    }
    return dict(json.loads(json.dumps(whole, default=str)))


def check_settings(out: Path, known: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Compare the settings of the run in `out` with those given now; settings that it did not know count as equal.

    Raises:
        ValueError: some differ; the message names them.
    """
    if other := list(_others("", known, settings)):
        raise ValueError(
            f"{out}: expected the settings of the run that is there, got other {', '.join(other)}; "
            "choose another --out"
        )


def check_noted(out: Path, settings: Mapping[str, Any]) -> None:
    """Compare settings with those that `note_settings` wrote to `out`; runs of older versions have none.

    Raises ValueError as `check_settings`.
    """
    if (out / FILE).is_file():
        noted = read_json(out / FILE, "the settings of a run")
        check_settings(out, noted["settings"], settings)


def note_settings(out: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings of a new run."""
    write_text(out / FILE, json.dumps({"settings": dict(settings)}, indent=1) + "\n")


def without(values: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The values without those of some names."""
    return {name: value for name, value in values.items() if name not in names}


def _others(prefix: str, known: Any, now: Any) -> Iterator[str]:
    """Dotted names of what differs."""
    if isinstance(known, Mapping) and isinstance(now, Mapping):
        for name, value in known.items():
            yield from _others(f"{prefix}.{name}" if prefix else name, value, now.get(name))
    elif known != now:
        yield prefix
