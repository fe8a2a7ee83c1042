"""Plots one track as curves: where the point was, and how sure the tracker is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pointtrack.io.atomic import atomic_path
from pointtrack.io.formats.plot import panels
from pointtrack.types import VISIBLE, Tracks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_track(
    tracks: Tracks, point_id: int, path: str | Path | None = None, threshold: float = VISIBLE
) -> Figure:
    """Plot x, y, visibility and confidence of one point over time.

    Stretches where the point is hidden are shaded, and the query is marked. Matplotlib is used without
    pyplot: no window opens and no global state changes. For several points: `save_tracks("tracks.png", tracks)`.

    Args:
        tracks: the tracks.
        point_id: id of the point, one of `tracks.ids`.
        path: picture or PDF to write; missing folders are made. None writes nothing.
        threshold: the point is visible above this visibility.

    Returns:
        The figure.

    Raises:
        ValueError: no point has that id, or matplotlib cannot write that suffix.
    """
    columns = np.flatnonzero(tracks.ids.numpy() == point_id)
    if not len(columns):
        known = tracks.ids.tolist()
        raise ValueError(
            f"point_id: expected one of {known[:10]}{' ...' if len(known) > 10 else ''}, got {point_id}"
        )
    n = int(columns[0])
    frames = tracks.first_frame + np.arange(len(tracks))
    xy = tracks.xy[:, n].numpy()
    hidden = (tracks.tracked() & ~tracks.visible(threshold))[:, n].numpy()
    query_frame, query_xy = int(tracks.queries.frame[n]), tracks.queries.xy[n].tolist()

    figure, axes = panels((9, 6), (1, 1, 1))
    for axis, ax in enumerate(axes[:2]):
        ax.plot(frames, xy[:, axis], color="#1f6fd6", marker=".", markersize=4, linewidth=1.5)
        ax.plot([query_frame], [query_xy[axis]], "o", color="#e0492f", markersize=7, label="query")
    axes[0].legend(loc="upper right", frameon=False)
    for values, name, color in (
        (tracks.visibility, "visibility", "#2a9d63"),
        (tracks.confidence, "confidence", "#e08a1e"),
    ):
        axes[2].plot(frames, values[:, n].numpy(), color=color, linewidth=1.5, label=name)
        axes[2].fill_between(frames, values[:, n].numpy(), color=color, alpha=0.15, linewidth=0)
    axes[2].axhline(threshold, color="0.5", linewidth=0.8, linestyle="--")
    axes[2].set(ylim=(-0.03, 1.03), ylabel="probability", xlabel="frame")
    axes[2].legend(loc="lower right", frameon=False, ncols=2)
    for ax in axes:
        for frame in frames[hidden]:
            ax.axvspan(frame - 0.5, frame + 0.5, color="0.88", linewidth=0, zorder=0)
    axes[0].set_title(f"Point {point_id}" + (" (grey: hidden)" if hidden.any() else ""), loc="left")
    if path is not None:
        with atomic_path(path) as part:
            figure.savefig(part, dpi=120)
    return figure
