"""A plot of tracks: where points went, and on which frames they are visible."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pointtrack.checks import counted
from pointtrack.types import Tracks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CURVES = 24  # more cannot be told apart
MOST_NAMES = 12  # that fit into a legend
SEEN, HIDDEN, NOWHERE = 1.0, 0.45, 0.0  # darkness of a cell of the lower panel


def write(path: Path, tracks: Tracks) -> None:
    """Write a .png, .pdf or .svg: x and y of every point over the frames, and which frames it is visible on.

    Curves are drawn where a point is visible. Of more than MOST_CURVES points, an evenly spaced choice is drawn as
    curves, which the title says; the lower panel has all points.
    """
    count = len(tracks.ids)
    shown = np.unique(np.linspace(0, count - 1, min(count, MOST_CURVES)).round().astype(int))
    frames = tracks.first_frame + np.arange(len(tracks))
    seen, tracked = tracks.visible().numpy(), tracks.tracked().numpy()
    xy = np.where(seen[..., None], tracks.xy.numpy(), np.nan)

    figure, axes = _panels()
    labels = tracks.queries.labels()
    for n in shown:
        for axis, ax in enumerate(axes[:2]):
            ax.plot(frames, xy[:, n, axis], marker=".", markersize=3, linewidth=1.2, label=labels[n])
    if len(shown) <= MOST_NAMES:
        axes[0].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize="small")
    cells = np.where(seen, SEEN, np.where(tracked, HIDDEN, NOWHERE))
    extent = (frames[0] - 0.5, frames[-1] + 0.5, count - 0.5, -0.5)
    axes[2].grid(visible=False)
    axes[2].spines[["top", "right"]].set_visible(True)
    axes[2].imshow(
        cells.T, aspect="auto", cmap="Blues", vmin=0, vmax=1.2, extent=extent, interpolation="none"
    )
    axes[2].set(xlabel="frame", ylabel="point", title="dark: visible, pale: hidden, white: not tracked")
    axes[2].locator_params(integer=True, min_n_ticks=1)  # one frame has one number
    some = f" ({len(shown)} of them as curves)" if len(shown) < count else ""
    figure.suptitle(f"{counted(count, 'point')}{some}, {counted(len(tracks), 'frame')}")
    figure.savefig(path, dpi=110)


def _panels() -> tuple[Figure, list[Axes]]:
    """An empty figure: x over the frames, y, which points down as in images, and a third panel below.

    Matplotlib is used without pyplot, so no window opens and no global state changes.
    """
    from matplotlib.figure import Figure  # imported here because it takes a good part of a second

    figure = Figure(figsize=(10, 8), layout="constrained")
    axes: list[Axes] = list(figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 2)))
    for name, ax in zip("xy", axes, strict=False):
        ax.set_ylabel(f"{name} (pixels)")
    for ax in axes:
        ax.grid(alpha=0.25, linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
    axes[1].invert_yaxis()
    return figure, axes
