"""The settings that a batch began with, kept in OUT; a run with other options on the same OUT is refused."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pointtrack.fleet.options import FREE, JobOptions
from pointtrack.fleet.output import Output
from pointtrack.models.published import PUBLISHED
from pointtrack.models.weight_files import file_sha256
from pointtrack.system import package_version
from pointtrack.zoo import SHIPPED

NAME = "settings.json"


def keep_settings(output: Output, options: JobOptions, weights: str) -> None:
    """Write the settings into OUT, or compare them with those already there.

    Raises:
        ValueError: OUT was begun with other options or other weights.
        OSError: OUT cannot be written to.
    """
    mine = json.loads(json.dumps(_settings(options, weights), default=str))
    if output.create(NAME, json.dumps(mine, indent=1).encode() + b"\n"):
        return
    try:
        theirs = json.loads(output.read(NAME))
        before = {**theirs["options"], "weights": theirs["weights"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{output.url(NAME)}: expected settings of a batch, but {error}") from error
    after = {**mine["options"], "weights": mine["weights"]}
    other = [
        f"{name} {before.get(name)} -> {after.get(name)}"
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]
    if other:
        raise ValueError(
            f"{output.root}: expected the options it was begun with, got others ({'; '.join(other)}); "
            "take another --out for other options"
        )


def weights_digest(options: JobOptions) -> str:
    """SHA-256 of the networks' weights that are single files, with the names of the others."""
    parts = []
    if options.wants_tracks or options.video_segmenter is None:
        name = options.tracker
        path = SHIPPED.get(name, Path(name))
        known = PUBLISHED.get(name)
        parts.append(
            file_sha256(path)[:16]
            if path.is_file()
            else known.sha256[:16]
            if known and known.sha256
            else name
        )
    if options.wants_masks:
        name = options.video_segmenter or options.segmenter
        parts.append(f"{name}:{file_sha256(name)[:16]}" if Path(name).is_file() else name)
    return "+".join(parts)


def _settings(options: JobOptions, weights: str) -> dict[str, Any]:
    values = {name: value for name, value in asdict(options).items() if name not in FREE}
    return {"options": values, "weights": weights, "version": package_version()}
