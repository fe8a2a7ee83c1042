"""Moves points from frame to frame by the pixels, because the network's positions on single frames tremble a little.

Lucas-Kanade leads a point from one frame to the next; it is exact over one step, but drifts over many. From there the
point moves a share of the way towards the network's position, which does not drift. Where the two disagree, the
network wins.

Source: Lucas and Kanade, 1981, as in OpenCV's calcOpticalFlowPyrLK; positions of one source that correct the steps of
another are a complementary filter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from pointtrack.checks import array_of
from pointtrack.geometry import rescale_points
from pointtrack.models.point_tracker import PointTracker
from pointtrack.tracking.stream import PointStream, WrappingStream, restored, saved, stage
from pointtrack.types import Queries, Tracks
from pointtrack.types.frames import pushed_frames

# Chosen on the development sets and the warp clips: docs/explain/training-log.md, section 40. Results depend little
# on them.
SHARE = 0.2  # of the way to the network's position, every frame
PATCH = (11, 11)  # pixels that are compared
APART = 3.0 / 768  # of the frame's longer side: reject a step that ends farther from the network's position
ROUND_TRIP = 1.0 / 768  # of it: reject a step that misses its start by more, there and back
LONGEST = 1024  # pixels of a frame's longer side; larger ones are compared at this size
STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.02)
NO_LEVELS = 0  # the search starts from the network's own step, so nothing is far away


@dataclass
class Steadied:
    """Points on a frame: the network's positions, and the led ones.

    Attributes:
        frame: number of the frame.
        ids: (n,) ids of the points.
        told: (n, 2) pixels, the network's positions; NaN where it has none.
        xy: (n, 2) pixels, the positions that the points were led to.
    """

    frame: int
    ids: Tensor
    told: Tensor
    xy: Tensor

    def of(self, ids: Tensor) -> Steadied:
        """These points in this order, NaN where they were not on the frame."""
        if torch.equal(self.ids, ids):
            return self
        place = {point: i for i, point in enumerate(self.ids.tolist())}
        index = torch.tensor([place.get(point, -1) for point in ids.tolist()], dtype=torch.int64)
        missing = (index < 0)[:, None]
        if not len(self.ids):
            nothing = torch.full((len(ids), 2), torch.nan)
            return Steadied(self.frame, ids, nothing, nothing)
        told, xy = (x[index].masked_fill(missing, torch.nan) for x in (self.told, self.xy))
        return Steadied(self.frame, ids, told, xy)


class Steadier:
    """Leads the points of consecutive rows by the pixels.

    Args:
        wh: size of the frames as (width, height).
    """

    def __init__(self, wh: tuple[int, int]):
        self.wh = wh
        scale = min(1.0, LONGEST / max(wh))
        self.small_wh = (max(2, round(wh[0] * scale)), max(2, round(wh[1] * scale)))
        self.greys: dict[int, np.ndarray] = {}  # frame -> (h, w) uint8

    def see(self, frame: int, pixels: np.ndarray | Tensor) -> None:
        """Take in a frame of (h, w, 3) uint8 RGB."""
        grey = cv2.cvtColor(np.ascontiguousarray(array_of(pixels)), cv2.COLOR_RGB2GRAY)
        if self.small_wh != self.wh:
            grey = cv2.resize(grey, self.small_wh, interpolation=cv2.INTER_AREA)
        self.greys[frame] = grey

    def forget(self, before: int) -> None:
        """Drop the frames before this one."""
        self.greys = {frame: grey for frame, grey in self.greys.items() if frame >= before}

    def lead(
        self, rows: Tracks, former: Steadied | None, cuts: Collection[int] = ()
    ) -> tuple[Tracks, Steadied | None]:
        """Lead the points of some rows from frame to frame; returns the new rows, and the last of them.

        Args:
            rows: rows of frames that `see` took, starting after the frame of `former`.
            former: the previous row, None if there is none.
            cuts: frames on which a new shot begins, where points take the network's positions.
        """
        led = rows.xy.clone()
        for row in range(len(rows)):
            frame, told = rows.first_frame + row, rows.xy[row]
            if former is not None and former.frame == frame - 1 and frame not in cuts:
                led[row] = self._step(former.of(rows.ids), frame, told, rows.queries.frame < frame)
            former = Steadied(frame, rows.ids, told, led[row])
        return replace(rows, xy=led), former

    def _step(self, former: Steadied, frame: int, told: Tensor, due: Tensor) -> Tensor:
        """(n, 2) pixels on a frame: `told`, or for points that are due, where the pixels lead them, if both agree."""
        before, now = self.greys.get(frame - 1), self.greys.get(frame)
        chosen = due & torch.isfinite(torch.cat([former.xy, former.told, told], dim=1)).all(1)
        if before is None or now is None or not bool(chosen.any()):
            return told
        start, from_, to = (
            rescale_points(x[chosen], self.wh, self.small_wh, "edges").numpy().astype(np.float32)
            for x in (former.xy, former.told, told)
        )
        side, told_step = max(self.small_wh), start + to - from_
        there, found = _follow(before, now, start, told_step)
        back, found_back = _follow(now, before, there, start)
        sound = found & found_back & (np.linalg.norm(back - start, axis=1) < ROUND_TRIP * side)
        sound &= np.linalg.norm(there - to, axis=1) < APART * side
        # If the pixels do not lead a point, take the network's step, so that it does not jump to the network's
        # position.
        there = np.where(sound[:, None], there, told_step)
        near = np.linalg.norm(there - to, axis=1) < APART * side
        result = told.clone()
        result[chosen.nonzero()[:, 0][torch.from_numpy(near)]] = rescale_points(
            torch.from_numpy(there + SHARE * (to - there))[near], self.small_wh, self.wh, "edges"
        )
        return result


def steady_tracks(tracks: Tracks, frames: Iterable[np.ndarray]) -> Tracks:
    """Lead complete tracks by the pixels of their frames, as `SteadyStream` does."""
    steadier, former, rows = Steadier(tracks.wh), None, []
    for row, frame in enumerate(frames):
        steadier.see(tracks.first_frame + row, frame)
        led, former = steadier.lead(tracks.clip(row, row + 1), former)
        rows.append(led.xy)
        steadier.forget(tracks.first_frame + row)
    return replace(tracks, xy=torch.cat(rows))


@stage
class SteadyStream(WrappingStream):
    """A stage that leads the points of the rows by the pixels of their frames."""

    def __init__(self, inner: PointStream):
        super().__init__(inner)
        self._steadier = Steadier(inner.image_wh)
        self._last: Steadied | None = None  # of the final rows
        self._newest: Steadied | None = None  # of the latest preview
        self._shown: Steadied | None = None  # of the latest preview of an earlier frame than that

    def push(self, frames: np.ndarray | Tensor) -> Tracks:
        """As `PointStream.push`."""
        frames = pushed_frames(frames, self.image_wh)
        first = self.inner.frames_pushed
        rows = self.inner.push(frames)
        for i, frame in enumerate(frames):
            self._steadier.see(first + i, frame)
        led = self._led(rows)
        reached = self.frames_pushed - self.lag
        self._steadier.forget(min(self.earliest_frame, reached) - 1)
        return led

    def preview(self) -> Tracks:
        """As `PointStream.preview`; each preview is led from the previous one."""
        row = self.inner.preview()
        if self._newest is not None and self._newest.frame < row.first_frame:
            self._shown = self._newest
        near = [x for x in (self._shown, self._last) if x is not None and x.frame == row.first_frame - 1]
        led, self._newest = self._steadier.lead(row, near[0] if near else None, self.cuts)
        return led

    def finish(self) -> Tracks:
        """As `PointStream.finish`."""
        return self._led(self.inner.finish())

    def add(self, queries: Queries) -> Tracks:
        """As `PointStream.add`."""
        late, last = self._steadier.lead(self.inner.add(queries), None, self.cuts)
        if last is not None and self._last is not None:
            both = zip(
                (self._last.ids, self._last.told, self._last.xy), (last.ids, last.told, last.xy), strict=True
            )
            self._last = Steadied(last.frame, *(torch.cat(pair) for pair in both))
        return late

    def remove(self, ids: Tensor | Sequence[int]) -> None:
        """As `PointStream.remove`."""
        self.inner.remove(ids)

    def state_dict(self) -> dict[str, Any]:
        """As `PointStream.state_dict`."""
        rows = {name: getattr(self, name) for name in ("_last", "_shown", "_newest")}
        return {
            "inner": saved(self.inner),
            "greys": {frame: torch.from_numpy(grey) for frame, grey in self._steadier.greys.items()},
            **{name: None if row is None else asdict(row) for name, row in rows.items()},
        }

    @classmethod
    def from_state_dict(cls, network: PointTracker, state: dict[str, Any]) -> SteadyStream:
        """The stream as it was when its state was saved, on the same network."""
        again = cls(restored(network, state["inner"]))
        again._steadier.greys = {frame: grey.numpy() for frame, grey in state["greys"].items()}
        for name in ("_last", "_shown", "_newest"):
            setattr(again, name, None if state[name] is None else Steadied(**state[name]))
        return again

    def _led(self, rows: Tracks) -> Tracks:
        if not len(rows):
            return rows
        led, self._last = self._steadier.lead(rows, self._last, self.cuts)
        return led


def steadied(stream: PointStream, wanted: bool = True) -> PointStream:
    """The stream with its points led by pixels, if wanted and if its network allows it."""
    return SteadyStream(stream) if wanted and stream.network.led_by_pixels else stream


def _follow(
    before: np.ndarray, now: np.ndarray, start: np.ndarray, near: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find (n, 2) pixels of a frame on another one, starting the search at `near`; and (n,) bool, whether found."""
    there, found, _ = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]
        before, now, start[:, None], near[:, None].astype(np.float32).copy(), winSize=PATCH, maxLevel=NO_LEVELS,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW, criteria=STOP,
    )  # fmt: skip
    return there[:, 0], found[:, 0] == 1
