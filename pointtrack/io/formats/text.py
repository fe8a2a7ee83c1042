"""What the formats of other tools share: exact decimals, and tracks from files that name no queries."""

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
    # Not `.astype(str)`, which is slower; the str of a float32 is the shortest exact one.
    flat = [str(value) for value in values.astype(np.float32).reshape(-1)]
    if values.ndim == 1:
        return flat
    width = values.shape[-1]
    return [flat[i : i + width] for i in range(0, len(flat), width)]


def csv_text(text: str) -> str:
    """A field of a .csv file, in quotes where it needs them."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n\r') else text


def size_needed(wh: tuple[int, int] | None) -> tuple[int, int]:
    """The size of the video, which the file does not say.

    Raises:
        ValueError: nobody said it.
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
    """Tracks of a file that does not say where points were asked for: on the first frame where they are known.

    Args:
        xy: (t, n, 2) pixels, NaN where not tracked. visibility, confidence: (t, n); cut to [0, 1], and 0 where
            a point is not tracked.
        ids: n distinct numbers of the points.
        names: n texts, or none; one like "point7" for the id 7 is no name.

    Returns:
        Tracks without the points that are tracked on no frame; a warning names them.
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
    """(t, n) bool: somebody knows where the point is: it is tracked, and not lost (see `Tracks.states`)."""
    known = tracks.tracked().numpy()
    if tracks.states is not None:
        known = known & (tracks.states.state != PointState.LOST).numpy()
    return known


def seen_places(tracks: Tracks) -> np.ndarray:
    """(t, n) bool: the point is seen inside the image, so that its position is a measurement and no guess."""
    return known_places(tracks) & tracks.visible().numpy() & tracks.in_frame().numpy()


def keyed_places(tracks: Tracks) -> np.ndarray:
    """(t, n) bool: frames for the keys of an animated curve: those of `seen_places`, and of a point that is never seen its
    query, as a curve without keys is refused by most tools."""
    keys = seen_places(tracks)
    never = np.flatnonzero(~keys.any(axis=0) & tracks.tracked().numpy().any(axis=0))
    keys[tracks.tracked().numpy()[:, never].argmax(axis=0), never] = True
    return keys


def plain_names(tracks: Tracks) -> list[str]:
    """n distinct names of letters, digits and underscores that begin with a letter, for tools that take no others."""
    names: list[str] = []
    for label in tracks.queries.labels():
        name = re.sub(r"\W", "_", label, flags=re.ASCII).strip("_") or "point"
        name = name if name[0].isalpha() else f"p_{name}"
        while name in names:
            name += f"_{len(names)}"
        names.append(name)
    return names
