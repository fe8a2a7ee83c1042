"""`Example`: one video with its queries and the truth about them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from evaluation.points.metrics import QueryMode, evaluated_frames, sample_queries
from pointtrack.checks import check_shape
from pointtrack.types import Queries, Video


@dataclass(frozen=True, eq=False)
class Example:
    """One video to evaluate on.

    Args:
        name: "dataset/sequence"; names are distinct within a report.
        video: t frames.
        queries: n points.
        truth_xy: (t, n, 2) float pixels of the video, outside the image too where known; NaN where unknown.
        truth_visible: (t, n) bool, False where unknown.
        evaluated: (t, n) bool, frames of each point that count.
        area: (t,) pixels of the object's mask, NaN where unknown; None if the metric does not need it.
        visibility_known: whether an evaluated point that is not visible is truly hidden. If not, only δ and
            PCK-T are meaningful, not AJ and OA.

    Raises:
        ValueError: shapes that do not fit, queries outside the video, or a visible evaluated point whose
            position is unknown.
    """

    name: str
    video: Video
    queries: Queries
    truth_xy: Tensor
    truth_visible: Tensor
    evaluated: Tensor
    area: Tensor | None = None
    visibility_known: bool = True

    def __post_init__(self) -> None:
        t, n = len(self.video), len(self.queries)
        check_shape(self.truth_xy, f"{t} {n} 2", f"{self.name}: truth xy")
        check_shape(self.truth_visible, f"{t} {n}", f"{self.name}: truth visible")
        check_shape(self.evaluated, f"{t} {n}", f"{self.name}: evaluated")
        if self.area is not None:
            check_shape(self.area, f"{t}", f"{self.name}: area")
        self.queries.check_inside(t, self.video.wh)
        unknown = self.evaluated & self.truth_visible & ~torch.isfinite(self.truth_xy).all(dim=-1)
        if unknown.any():
            frame, point = unknown.nonzero()[0].tolist()
            raise ValueError(
                f"{self.name}: expected a position for every visible evaluated point, "
                f"got NaN on frame {frame} for point {point}"
            )

    @property
    def dataset(self) -> str:
        """The part of the name before the slash."""
        return self.name.split("/")[0]


def onto_image(xy: Tensor, wh: tuple[int, int]) -> Tensor:
    """(..., 2) positions -> the nearest ones inside an image of this size, up to its outer edge."""
    return torch.minimum(xy.clamp(min=-0.5), torch.tensor(wh, dtype=xy.dtype) - 0.5)


def sampled_example(
    name: str, video: Video, truth_xy: Tensor, truth_visible: Tensor, mode: QueryMode = "first"
) -> Example:
    """Annotated points -> an example whose queries follow the TAP-Vid rule `mode`.

    A visible point that lies outside the image, by rounding or by annotation, is queried on the nearest
    border.

    Args:
        truth_xy: (t, n, 2) pixels of the video. truth_visible: (t, n) bool, complete.

    Raises:
        ValueError: as `Example` and `sample_queries`.
    """
    frame, point = sample_queries(truth_visible, mode)
    xy = onto_image(truth_xy[frame, point], video.wh)
    evaluated = evaluated_frames(frame, len(video), mode)
    return Example(name, video, Queries(frame, xy), truth_xy[:, point], truth_visible[:, point], evaluated)
