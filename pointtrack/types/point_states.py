"""States of points, frame by frame: visible, hidden, out of frame or lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor

from pointtrack.checks import check_shape


class PointState(IntEnum):
    """State of a point on a frame; `docs/guides/states.md` explains how pointtrack determines it."""

    NOT_TRACKED = 0
    VISIBLE = 1
    HIDDEN = 2
    OUT_OF_FRAME = 3
    LOST = 4


@dataclass(frozen=True, eq=False)
class PointStates:
    """States of n points on t frames, and the values behind them.

    Args:
        state: (t, n) uint8, values of `PointState`.
        similarity: (t, n) in [-1, 1], similarity between the appearance at the point and at its query; NaN where it was
            not computed.
        times_redetected: (t, n) whole numbers: 0 while a point is tracked from its query, k after it was found again
            for the k-th time. On the frame where this grows, the similarity is the score of the match.
        raw_xy: (t, n, 2) pixels, the tracker's positions; those of the tracks differ where a point is out of frame.
        raw_visibility: (t, n) in [0, 1], the tracker's visibility; that of the tracks is 0 where a point is lost.

    Raises:
        ValueError: shapes do not fit together, or a state is unknown.
    """

    state: Tensor
    similarity: Tensor
    times_redetected: Tensor
    raw_xy: Tensor
    raw_visibility: Tensor

    def __post_init__(self) -> None:
        for name, blank in BLANK.items():
            value = torch.as_tensor(getattr(self, name)).detach().cpu().to(blank.dtype)
            object.__setattr__(self, name, value)
        sizes = check_shape(self.state, "t n", "states")
        for name, blank in BLANK.items():
            expected = (sizes["t"], sizes["n"], *blank.shape)
            if tuple(getattr(self, name).shape) != expected:
                raise ValueError(
                    f"states {name}: expected {expected}, got {tuple(getattr(self, name).shape)}"
                )
        if self.state.numel() and int(self.state.max()) > max(PointState):
            raise ValueError(
                f"states: expected values of PointState, 0..{max(PointState)}, got {int(self.state.max())}"
            )

    @classmethod
    def blank(cls, frames: int, points: int) -> PointStates:
        """States of points that are not tracked."""
        return cls(
            **{name: value.expand(frames, points, *value.shape).clone() for name, value in BLANK.items()}
        )

    @classmethod
    def concat(cls, parts: Sequence[PointStates]) -> PointStates:
        """The frames of all parts in order. All parts have the same points."""
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in BLANK})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> PointStates | None:
        """The states from `arrays`, found among other arrays; None if there are none."""
        if "state" not in arrays:
            return None
        return cls(**{name: torch.as_tensor(arrays[name]) for name in BLANK})

    def arrays(self) -> dict[str, Any]:
        """As numpy arrays by name."""
        return {name: getattr(self, name).numpy() for name in BLANK}

    def __getitem__(self, index: Any) -> PointStates:
        """Some frames, or some frames and points, as for a tensor (t, n)."""
        return PointStates(**{name: getattr(self, name)[index] for name in BLANK})

    def where(self, condition: Tensor, other: PointStates) -> PointStates:
        """This where (t, n) bool `condition` holds, `other` elsewhere."""
        parts = {}
        for name, blank in BLANK.items():
            chosen = condition if blank.ndim == 0 else condition[..., None]
            parts[name] = torch.where(chosen, getattr(self, name), getattr(other, name))
        return PointStates(**parts)

    def put(self, index: Any, other: PointStates) -> None:
        """Change some frames and points in place."""
        for name in BLANK:
            getattr(self, name)[index] = getattr(other, name)


# The value in each array of `PointStates` for a point that is not tracked.
BLANK: dict[str, Tensor] = {
    "state": torch.tensor(PointState.NOT_TRACKED, dtype=torch.uint8),
    "similarity": torch.tensor(torch.nan),
    "times_redetected": torch.tensor(0),
    "raw_xy": torch.full((2,), torch.nan),
    "raw_visibility": torch.tensor(0.0),
}
assert list(BLANK) == [field.name for field in fields(PointStates)]
