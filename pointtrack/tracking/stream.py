"""`PointStream`, the interface of every stage between frames and tracks. Each stage wraps the previous one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from torch import Tensor

from pointtrack.checks import counted
from pointtrack.io.state_file import moved
from pointtrack.models.point_tracker import PointTracker
from pointtrack.types import Queries, Tracks

S = TypeVar("S", bound="type[Any]")
Progress = Callable[[int], None]


class PointStream(Protocol):
    """Tracks points through frames that arrive in pieces of any size. The tracks do not depend on the pieces.

    Rows also hold the support points (`Queries.support`).

    Attributes:
        network: tracks the points.
        image_wh: size of the frames as (width, height).
        fps: recorded in the tracks; it changes nothing else.
        views: number of views of a point that `appearance` returns.
    """

    network: PointTracker
    image_wh: tuple[int, int]
    fps: float
    views: int

    @property
    def queries(self) -> Queries:
        """The points tracked now, in the order of the tracks."""

    @property
    def cuts(self) -> set[int]:
        """The frames on which a new shot begins, if a stage looks for cuts."""

    @property
    def frames_pushed(self) -> int:
        """Number of frames pushed so far."""

    @property
    def lag(self) -> int:
        """Number of frames pushed whose final rows were not returned yet."""

    @property
    def earliest_frame(self) -> int:
        """The first frame on which you can still add points."""

    def cut(self) -> None:
        """Mark a cut at the frame pushed next, for the stages that use cuts."""

    def push(self, frames: np.ndarray | Tensor) -> Tracks:
        """Take (t, h, w, 3) uint8 RGB frames, a single (h, w, 3) one or a list of these, and return the final rows.

        Grey, RGBA and channels first work as in `Video`.

        Raises:
            ValueError: the frames have another size or type, or the stream is finished. The stream is as before.
        """

    def preview(self) -> Tracks:
        """A first row for the newest frame, at once. It may change until that frame becomes final.

        Raises:
            ValueError: no frame was pushed yet, or the stream is finished.
        """

    def finish(self) -> Tracks:
        """End the stream and return all remaining rows. ValueError the second time."""

    def add(self, queries: Queries) -> Tracks:
        """Track more points from now on, as a group of their own. The tracks of the other points do not change.

        Args:
            queries: points with ids that no other point has or had, on frame `earliest_frame` or later; or rows of
                (frame, x, y), which have the ids 0, 1, ....

        Returns:
            Tracks of the new points alone, on those frames from `earliest_frame` on that were returned before. From now
            on, `push` returns the new points too, after the others.

        Raises:
            ValueError: a query lies before `earliest_frame` or outside the image, an id is taken, or the stream is
                finished.
        """

    def remove(self, ids: Tensor | Sequence[int]) -> None:
        """Stop tracking some points. The tracks of the others stay exactly the same. ValueError for an unknown id."""

    def features(self, frame: int, level: int) -> Tensor:
        """(c, h, w) the tracker's feature map of a whole frame, at one level of its pyramid.

        Available for the newest final rows, also after `finish`. Raises ValueError for much earlier frames and for
        frames not encoded yet.
        """

    def appearance(self, frame: int, xy: Tensor, ids: Tensor) -> Tensor:
        """(n, v, c, 9) the appearance of points (n,) at (n, 2) pixels of a frame whose features are available.

        The first of the v views comes from the whole frame, the others from the point's crop, NaN where it has none.
        """

    def state_dict(self) -> dict[str, Any]:
        """All that `restored` needs to continue exactly from here: tensors and plain values, for `torch.save`.

        Raises:
            ValueError: after `finish`, or if the stream holds something that cannot be saved.
        """


def described(stream: Any, held: int, thing: str = "point") -> str:
    """A stream in one line: its kind, how many points it tracks, the size of the frames, and how many were pushed."""
    width, height = stream.image_wh
    things, frames = counted(held, thing), counted(stream.frames_pushed, "frame")
    return f"{type(stream).__name__}({things} in frames of {width} x {height}, {frames} pushed)"


class WrappingStream:
    """Base of the stages that wrap another stream: passes on what they do not change.

    Args:
        inner: the wrapped stream.
    """

    def __init__(self, inner: PointStream):
        self.inner = inner
        self.network, self.image_wh, self.fps, self.views = (
            inner.network,
            inner.image_wh,
            inner.fps,
            inner.views,
        )

    def __repr__(self) -> str:
        """As `described`."""
        return described(self, len(self.queries))

    @property
    def queries(self) -> Queries:
        """The points tracked now, in the order of the tracks."""
        return self.inner.queries

    @property
    def frames_pushed(self) -> int:
        """Number of frames pushed so far."""
        return self.inner.frames_pushed

    @property
    def lag(self) -> int:
        """Number of frames pushed whose final rows were not returned yet."""
        return self.inner.lag

    @property
    def earliest_frame(self) -> int:
        """The first frame on which you can still add points."""
        return self.inner.earliest_frame

    @property
    def cuts(self) -> set[int]:
        """The frames on which a new shot begins, as far as a stage looks for them."""
        return getattr(self.inner, "cuts", set())

    @property
    def redetected(self) -> list[Any]:
        """The lost points found again in the latest `push` or `finish`, as `Redetection`s; none without a search."""
        return getattr(self.inner, "redetected", [])

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
    """Register a class of streams, with `from_state_dict(network, state)`, for `restored`."""
    STAGES[kind.__name__] = kind
    return kind


def saved(stream: PointStream) -> dict[str, Any]:
    """The state of a stream with the name of its class, for `restored`."""
    return {"stage": type(stream).__name__, **stream.state_dict()}


def restored(network: PointTracker, state: dict[str, Any]) -> Any:
    """The stream as it was when `saved` was called, on the same network. Push the frames that follow.

    The tensors of the state may be on any device. Wrapping stages get theirs on the CPU; the innermost stage moves its
    own to the network's device.
    """
    kind = STAGES[state["stage"]]
    own = {name: value for name, value in state.items() if name != "stage"}
    if issubclass(kind, WrappingStream):
        streams = {name: value for name, value in own.items() if isinstance(value, dict) and "stage" in value}
        own = moved({name: value for name, value in own.items() if name not in streams}, "cpu") | streams
    return kind.from_state_dict(network, own)
