"""What every stage between frames and tracks speaks: frames in, rows of points out, each stage around the one before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from torch import Tensor

from pointtrack.io.state_file import moved
from pointtrack.models.point_tracker import PointTracker
from pointtrack.types import Queries, Tracks

S = TypeVar("S", bound="type[Any]")
Progress = Callable[[int], None]


class PointStream(Protocol):
    """Points through frames that arrive in pieces of any size; the answer does not depend on the pieces.

    Rows hold the helper points too (`Queries.support`).

    Attributes:
        network: tracks the points.
        image_wh: size of the frames as (width, height).
        fps: only noted in the tracks.
        views: number of views that `appearance` has of a point.
    """

    network: PointTracker
    image_wh: tuple[int, int]
    fps: float
    views: int

    @property
    def queries(self) -> Queries:
        """The points that are tracked now, in the order of the tracks."""

    @property
    def cuts(self) -> set[int]:
        """The frames on which a new shot begins, as far as a stage looks for them."""

    @property
    def frames_pushed(self) -> int:
        """Number of frames taken in so far."""

    @property
    def lag(self) -> int:
        """Number of frames pushed of which no final answer was given yet."""

    @property
    def earliest_frame(self) -> int:
        """The first frame on which points can still be added."""

    def cut(self) -> None:
        """Say that a new shot begins with the frame that is pushed next, for a stage that has a use for it."""

    def push(self, frames: np.ndarray | Tensor) -> Tracks:
        """Take in (t, h, w, 3) uint8 RGB frames, or a single (h, w, 3) one; the rows that are final now.

        Raises:
            ValueError: another size or type than expected, or a stream that was finished.
        """

    def preview(self) -> Tracks:
        """A first answer for the frame pushed last, at once: it may change until that frame becomes final.

        Raises:
            ValueError: no frame was pushed yet, or the stream was finished.
        """

    def finish(self) -> Tracks:
        """Everything that was not yet returned; no more frames are taken. ValueError the second time."""

    def add(self, queries: Queries) -> Tracks:
        """Track more points from now on, as a group of their own: the tracker says the same of the others.

        Args:
            queries: with ids that no other point has or had, on the frame `earliest_frame` or later.

        Returns:
            The new points alone, on those frames from `earliest_frame` on that were returned before. From now on the
            pieces that `push` returns have the new points too, behind the others.

        Raises:
            ValueError: a frame before `earliest_frame`, a point outside the image, an id that is taken, or a stream that was
                finished.
        """

    def remove(self, ids: Tensor | Sequence[int]) -> None:
        """Stop to track some points; the tracks of the others stay the same exactly. ValueError for an unknown id."""

    def features(self, frame: int, level: int) -> Tensor:
        """(c, h, w) what the tracker saw of a whole frame, at a level of its pyramid.

        There are those of the newest final rows, also after `finish`. Raises ValueError for frames long before and
        for those not encoded yet.
        """

    def appearance(self, frame: int, xy: Tensor, ids: Tensor) -> Tensor:
        """(n, v, c, 9) what points (n,) look like that are at (n, 2) pixels of a frame whose features are there.

        The first of the v views is read in the whole frame, the others in the point's crop, NaN where it has none.
        """

    def state_dict(self) -> dict[str, Any]:
        """All that `restored` needs to go on exactly from here: tensors and plain values, for `torch.save`.

        Raises:
            ValueError: after `finish`, or with something in it that cannot be saved.
        """


class WrappingStream:
    """What stages have in common that stand around another one: what they leave as it is.

    Args:
        inner: the stream that is wrapped.
    """

    def __init__(self, inner: PointStream):
        self.inner = inner
        self.network, self.image_wh, self.fps, self.views = (
            inner.network,
            inner.image_wh,
            inner.fps,
            inner.views,
        )

    @property
    def queries(self) -> Queries:
        """The points that are tracked now, in the order of the tracks."""
        return self.inner.queries

    @property
    def frames_pushed(self) -> int:
        """Number of frames taken in so far."""
        return self.inner.frames_pushed

    @property
    def lag(self) -> int:
        """Number of frames pushed of which no final answer was given yet."""
        return self.inner.lag

    @property
    def earliest_frame(self) -> int:
        """The first frame on which points can still be added."""
        return self.inner.earliest_frame

    @property
    def cuts(self) -> set[int]:
        """The frames on which a new shot begins, as far as a stage looks for them."""
        return getattr(self.inner, "cuts", set())

    def cut(self) -> None:
        """As `PointStream.cut`."""
        self.inner.cut()

    def features(self, frame: int, level: int) -> Tensor:
        """As `PointStream.features`."""
        return self.inner.features(frame, level)

    def appearance(self, frame: int, xy: Tensor, ids: Tensor) -> Tensor:
        """As `PointStream.appearance`."""
        return self.inner.appearance(frame, xy, ids)


STAGES: dict[str, Any] = {}  # kinds of streams by name, for `restored`


def stage(kind: S) -> S:
    """Let `restored` find a kind of stream, which has `from_state_dict(network, state)`."""
    STAGES[kind.__name__] = kind
    return kind


def saved(stream: PointStream) -> dict[str, Any]:
    """The state of a stream with its kind, for `restored`."""
    return {"stage": type(stream).__name__, **stream.state_dict()}


def restored(network: PointTracker, state: dict[str, Any]) -> Any:
    """The stream as it was when `saved` was asked for, on the same network; push what came behind it.

    The tensors of the state may lie anywhere. Stages around others get theirs on the CPU; the innermost takes its own to
    where the network is.
    """
    kind = STAGES[state["stage"]]
    own = {name: value for name, value in state.items() if name != "stage"}
    if issubclass(kind, WrappingStream):
        streams = {name: value for name, value in own.items() if isinstance(value, dict) and "stage" in value}
        own = moved({name: value for name, value in own.items() if name not in streams}, "cpu") | streams
    return kind.from_state_dict(network, own)
