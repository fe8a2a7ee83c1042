"""Helpers for the formats of other tools: exact decimals, and tracks from files without queries."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pointtrack.types import PointState, Queries, Tracks

logger = logging.getLogger(__name__)


def number_texts(values: np.ndarray) -> Any:
    """Nested lists of the shortest decimals that read back as the same float32."""
    # `.astype(str)` is slower. The str of a float32 is the shortest exact text.
    flat = [str(value) for value in values.astype(np.float32).reshape(-1)]
    if values.ndim == 1:
        return flat
    width = values.shape[-1]
    return [flat[i : i + width] for i in range(0, len(flat), width)]


def csv_text(text: str) -> str:
    """A field of a .csv file, quoted if necessary."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n\r') else text


def size_needed(wh: tuple[int, int] | None) -> tuple[int, int]:
    """The size of the video, for a file that does not hold it.

    Raises:
        ValueError: the size is not given.
    """
    if wh is None:
        raise ValueError("it does not say how large the video is; give wh=(width, height)")
    return int(wh[0]), int(wh[1])


def tracks_of(
    xy: np.ndarray,
    visibility: np.ndarray,
    confidence: np.ndarray,
    *,
    ids: list[int],
    wh: tuple[int, int],
    fps: float,
    first_frame: int = 0,
    names: Sequence[str] = (),
) -> Tracks:
    """Tracks from a file without queries: each point's query is on the first frame where its position is known.

    Args:
        xy: (t, n, 2) pixels, NaN where not tracked. visibility, confidence: (t, n); clipped to [0, 1], and set to 0
            where a point is not tracked.
        ids: n distinct numbers of the points.
        names: n texts, or none; a text like "point7" for the id 7 does not count as a name.

    Returns:
        Tracks without the points that are not tracked on any frame; a warning names those.
    """
    known = np.isfinite(xy).all(axis=-1)
    ever = known.any(axis=0)
    if not ever.all():
        lost = [point for point, there in zip(ids, ever, strict=True) if not there]
        logger.warning("points %s are tracked on no frame: left out", lost[:10])
    xy, known = np.where(known[..., None], xy, np.nan)[:, ever], known[:, ever]
    start = known.argmax(axis=0)
    seen, sure = (
        torch.from_numpy(np.where(known, np.clip(np.nan_to_num(values[:, ever]), 0, 1), 0))
        for values in (visibility, confidence)
    )
    queries = Queries(
        torch.from_numpy(first_frame + start),
        torch.from_numpy(xy[start, np.arange(len(start))]),
        torch.tensor([point for point, there in zip(ids, ever, strict=True) if there], dtype=torch.int64),
        tuple(
            "" if name == f"point{point}" else name
            for name, point, there in zip(names, ids, ever, strict=False)
            if there
        ),
    )
    return Tracks(torch.from_numpy(xy), seen, sure, queries, wh, first_frame, fps)


def known_places(tracks: Tracks) -> np.ndarray:
    """(t, n) bool: the position is known, as the point is tracked and not lost (see `Tracks.states`)."""
    known = tracks.tracked().numpy()
    if tracks.states is not None:
        known = known & (tracks.states.state != PointState.LOST).numpy()
    return known


def seen_places(tracks: Tracks) -> np.ndarray:
    """(t, n) bool: the point is visible inside the image, so that its position is measured, not guessed."""
    return known_places(tracks) & tracks.visible().numpy() & tracks.in_frame().numpy()


def keyed_places(tracks: Tracks) -> np.ndarray:
    """(t, n) bool: frames for the keys of an animated curve: those of `seen_places`. A point that has none gets one on
    its first tracked frame, as most tools refuse a curve without keys."""
    keys = seen_places(tracks)
    never = np.flatnonzero(~keys.any(axis=0) & tracks.tracked().numpy().any(axis=0))
    keys[tracks.tracked().numpy()[:, never].argmax(axis=0), never] = True
    return keys


def plain_names(tracks: Tracks) -> list[str]:
    """n distinct names of letters, digits and underscores that begin with a letter, for tools that require this."""
    names: list[str] = []
    for label in tracks.queries.labels():
        name = re.sub(r"\W", "_", label, flags=re.ASCII).strip("_") or "point"
        name = name if name[0].isalpha() else f"p_{name}"
        while name in names:
            name += f"_{len(names)}"
        names.append(name)
    return names
