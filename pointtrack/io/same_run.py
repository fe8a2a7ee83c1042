"""Checks that a run to resume has the same settings, and says in words what differs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pointtrack.io.outside import read_arrays

DIGEST = re.compile(r"(, )?((weights|sha256|digest|first frame) )?\b[0-9a-f]{8,64}\b")
NONE = "none"
RUN = "run"  # name of the array


def check_same_run(known: Mapping[str, str], wanted: Mapping[str, str], place: str | Path) -> None:
    """Compare the recorded settings of a run with the current ones.

    Args:
        known: recorded name -> value; a value may be JSON, and may hold digests, which nobody wants to read.
        wanted: the current settings in the same form.
        place: where the run is stored.

    Raises:
        ValueError: the run is another one; the message says what differs, and how.
    """
    words = differences(known, wanted)
    if words:
        raise ValueError(
            f"resume: expected the options of the run in {place}, got others: {'; '.join(words)}; "
            "run it as before, or anew without resume"
        )


def run_note(settings: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The settings that a result depends on, as an array to store in its .npz file."""
    return {RUN: np.array(json.dumps(dict(settings)))}


def noted_run(path: str | Path) -> dict[str, str]:
    """The settings that `run_note` put into a file. Raises ValueError if there are none."""
    expected = "a result that says how it was made; run it anew without resume"
    return dict(json.loads(str(read_arrays(path, expected, (RUN,), only=(RUN,))[RUN])))


def differences(known: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """The differences, one sentence each; takes the arguments of `check_same_run`."""
    return [one for name in wanted for one in _differences(name, known.get(name, NONE), wanted[name])]


def _differences(name: str, before: str, now: str) -> Iterator[str]:
    if before == now:
        return
    settings = _settings(before), _settings(now)
    if settings[0] is not None and settings[1] is not None:
        for key in {**settings[0], **settings[1]}:
            pair = [flat.get(key, NONE) for flat in settings]  # type: ignore[union-attr]
            if pair[0] != pair[1]:
                yield f"{name}, {key}: {pair[0]} before, {pair[1]} now"
        return
    texts = zip(settings, (before, now), strict=True)
    plain = ["given" if some is not None else DIGEST.sub("", text) for some, text in texts]
    if plain[0] != plain[1]:
        yield f"{name}: {plain[0]} before, {plain[1]} now"
    else:
        yield f"{name}: not the same" + (f", though {plain[0]} again" if plain[0] else "")


def _settings(text: str) -> dict[str, Any] | None:
    """The values of a JSON object by dotted names; None for other texts."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return dict(_flat("", value)) if isinstance(value, dict) else None


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else key, inner)
    else:
        yield prefix, value
