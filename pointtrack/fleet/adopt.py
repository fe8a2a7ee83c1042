"""Rows for results whose driver was killed before it recorded them, measured again from the files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pointtrack.fleet.job import JobSetup, first_row, main_name, masks_name, tracks_name
from pointtrack.fleet.manifest import VideoTask
from pointtrack.fleet.measures import mask_measures, track_measures
from pointtrack.fleet.output import Output
from pointtrack.fleet.tables import arrow
from pointtrack.io.masks import load_masks
from pointtrack.io.storage import download
from pointtrack.io.tracks import load_tracks
from pointtrack.types import VISIBLE, Masks, Tracks


def adopted_row(output: Output, setup: JobSetup, task: VideoTask) -> dict[str, Any]:
    """The row of a video whose main result is in OUT; values that only its worker knew are null.

    Raises:
        ValueError, FileNotFoundError: a result cannot be read.
    """
    options = setup.options.with_changes(task.changes)
    row = first_row(setup, task, 1) | {
        "status": "done",
        "message": "found in OUT: its driver ended before it could note it",
    }
    name = main_name(setup, options, task.key)
    if options.wants_tracks:
        row["tracks"] = "tracks" if setup.staging else name
        if name.endswith(".parquet"):
            row.update(_table_measures(output, tracks_name(setup, task.key)))
        else:
            tracks = load_tracks(_path(output, name))
            row.update(track_measures([tracks]) | _facts(tracks))
    if options.wants_masks:
        row["masks"] = masks_name(task.key)
        masks = load_masks(_path(output, masks_name(task.key)))
        row.update(mask_measures(masks) | _facts(masks))
    return row


def _facts(rows: Tracks | Masks) -> dict[str, Any]:
    return {"frames": len(rows), "width": rows.wh[0], "height": rows.wh[1], "fps": rows.fps}


def _path(output: Output, name: str) -> str:
    return output.url(name) if output.folder is None else str(output.folder / name)


def _table_measures(output: Output, name: str) -> dict[str, Any]:
    """As `track_measures`, but without jumps, as a table lacks the image size that they need."""
    with tempfile.TemporaryDirectory(prefix="pointtrack-") as folder:
        path = Path(_path(output, name)) if output.folder is not None else download(output.url(name), folder)
        table = arrow().parquet.read_table(path)
    known = table["x"].is_valid().to_numpy()
    visibility, confidence = (
        table[key].to_numpy()[known].astype(float) for key in ("visibility", "confidence")
    )
    states = table["state"].to_numpy(zero_copy_only=False)[known]
    count = int(known.sum())
    has_states = count and states[0] is not None
    frames = table["frame"].to_numpy()
    return {
        "frames": int(frames.max()) + 1 if len(frames) else 0,
        "points": len(np.unique(table["point"].to_numpy())),
        "share_visible": float((np.sqrt(visibility * confidence) > VISIBLE).mean()) if count else None,
        "mean_confidence": float(confidence.mean()) if count else None,
        "share_lost": float((states == "lost").mean()) if has_states else None,
    }
