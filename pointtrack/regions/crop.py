"""A crop of the full-resolution frame that follows its points by whole pixels, and the stream that tracks inside it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointtrack.models.point_tracker import PointTracker
from pointtrack.tracking.stream import restored, saved
from pointtrack.tracking.support import with_support
from pointtrack.tracking.window_stream import WindowStream, model_wh
from pointtrack.types import Queries, Tracks

EDGE_PX = 8  # pixels of the model's input; closer to an edge of the crop, a point's surroundings are cut off


class Camera:
    """The position of a crop of fixed size, frame by frame.

    It moves as far as most points have moved since the first frame; between two updates it keeps its latest speed.

    Args:
        left_top: of the crop on the first frame, in pixels; moved where the crop would reach beyond the frame.
        wh: size of the crop as (width, height), at most that of the frames.
        image_wh: size of the frames.

    Attributes:
        first: (2,) left and top of the crop on the first frame.
    """

    def __init__(self, left_top: tuple[float, float], wh: tuple[int, int], image_wh: tuple[int, int]):
        self.wh, self.image_wh = wh, image_wh
        self._limit = torch.tensor(image_wh) - torch.tensor(wh)
        self.first = torch.tensor(left_top).round().clamp(min=0).minimum(self._limit)
        self._shift, self._speed, self._looked = torch.zeros(2), torch.zeros(2), 0

    def left_top(self, number: int) -> tuple[int, int]:
        """Left and top of the crop on frame `number`, from the first one; whole pixels, the crop inside the frame."""
        expected = self.first + self._shift + self._speed * (number - self._looked)
        left, top = expected.round().clamp(min=0).minimum(self._limit).int().tolist()
        return left, top

    def follow(self, number: int, moved: Tensor, seen: Tensor) -> None:
        """Update the crop's motion from how far the points have moved since the first frame.

        Args:
            number: the frame on which they are now.
            moved: (n, 2) pixels.
            seen: (n,) bool, which points are visible; if none is, the crop waits.
        """
        if not bool(seen.any()):
            self._shift, self._speed, self._looked = (
                self._shift + self._speed * (number - self._looked),
                torch.zeros(2),
                number,
            )
            return
        shift = moved[seen].median(dim=0).values
        self._speed = (shift - self._shift) / (number - self._looked)
        self._shift, self._looked = shift, number

    def state_dict(self) -> dict[str, Any]:
        """All that `from_state_dict` needs, as tensors and plain values."""
        return dict(vars(self))  # tensors are replaced, not changed

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> Camera:
        """The camera as it was when `state` was taken."""
        camera = cls(state["first"].tolist(), state["wh"], state["image_wh"])
        vars(camera).update(state)
        return camera


class CropStream:
    """Tracks points of one frame inside a crop that follows them.

    Args:
        network: tracks the points.
        queries: points on one frame, in its pixels, all inside the crop.
        camera: where the crop lies.
        fps: recorded in the rows; it changes nothing else.
        support_grid: support points per side, over the first crop.
        update_interval: frames from one update of the crop's position to the next.

    Attributes:
        first: number of the points' frame, the first one to be pushed.
    """

    def __init__(
        self,
        network: PointTracker,
        queries: Queries,
        camera: Camera,
        fps: float,
        *,
        support_grid: int,
        update_interval: int,
    ):
        self.first = int(queries.frame[0])
        self._queries, self._camera, self._update_interval = queries, camera, update_interval
        inside = Queries(queries.frame - self.first, queries.xy - camera.first, queries.ids)
        helped = with_support(network, inside, camera.wh, support_grid)
        self._stream = WindowStream(network, helped, camera.wh, fps)
        sides = zip(camera.wh, model_wh(camera.wh, network.config), strict=True)
        self._edge = torch.tensor([EDGE_PX * side / seen for side, seen in sides])
        # Left and top of the crop on frames that are not final, or whose features are still held.
        self._left_tops: dict[int, tuple[int, int]] = {}

    @property
    def ids(self) -> Tensor:
        """(k,) ids of its points."""
        return self._queries.ids

    @property
    def begun(self) -> bool:
        """Whether its first frame was pushed."""
        return self._stream.frames_pushed > 0

    def push(self, frame: np.ndarray) -> Tracks:
        """Take the next (h, w, 3) frame, and return the rows that are final now.

        Rows are in pixels of the frame, NaN where a point is not inside the crop.
        """
        number = self._stream.frames_pushed
        (left, top), (width, height) = self._camera.left_top(number), self._camera.wh
        self._left_tops[number] = left, top
        rows = self._located(self._stream.push(frame[top : top + height, left : left + width]))
        if number == 1 or (number and number % self._update_interval == 0):
            preview = self._stream.preview().requested()
            moved = preview.xy[0] + torch.tensor([left, top]) - self._queries.xy
            self._camera.follow(number, moved, preview.visible()[0])
        return rows

    def preview(self) -> Tracks:
        """A preview of the newest frame."""
        return self._located(self._stream.preview())

    def appearance(self, frame: int, xy: Tensor) -> Tensor:
        """(k, c, 9) appearance around (k, 2) pixels of the frame; NaN where a point is not inside the crop.

        Only for frames whose features are held; these reach back one step before the newest final row.
        """
        number = frame - self.first
        if number not in self._left_tops:  # before the first frame, or no longer held
            return torch.full((len(xy), self._stream.network.appearance_channels, 9), torch.nan)
        left_top = torch.tensor(self._left_tops[number])
        found = self._stream.appearance(number, xy - left_top, self._queries.ids)[:, 0]
        return torch.where(self._inside(xy - left_top, left_top)[..., None], found, torch.nan)

    def finish(self) -> Tracks:
        """End the stream and return the remaining rows."""
        return self._located(self._stream.finish())

    def state_dict(self) -> dict[str, Any]:
        """All that `from_state_dict` needs to continue exactly, as tensors and plain values. ValueError after `finish`."""
        return {
            "queries": asdict(self._queries),
            "camera": self._camera.state_dict(),
            "update_interval": self._update_interval,
            "left_tops": dict(self._left_tops),
            "stream": saved(self._stream),
        }

    @classmethod
    def from_state_dict(cls, network: PointTracker, state: dict[str, Any]) -> CropStream:
        """The stream as it was when `state` was taken, on the same tracker; push the frames that follow."""
        stream = restored(network, state["stream"])
        queries, camera = Queries(**state["queries"]), Camera.from_state_dict(state["camera"])
        again = cls(
            network, queries, camera, stream.fps, support_grid=0, update_interval=state["update_interval"]
        )
        again._stream, again._left_tops = stream, dict(state["left_tops"])
        return again

    def _located(self, rows: Tracks) -> Tracks:
        """Rows of the crop as rows of the frame, without the support points."""
        rows = rows.requested()
        numbers = range(rows.first_frame, rows.first_frame + len(rows))
        left_top = torch.tensor([self._left_tops[number] for number in numbers]).reshape(-1, 1, 2)
        kept = min(self._stream.earliest_frame, self._stream.frames_pushed - self._stream.lag)
        self._left_tops = {number: place for number, place in self._left_tops.items() if number >= kept}
        return replace(
            rows,
            xy=torch.where(self._inside(rows.xy, left_top), rows.xy + left_top, torch.nan),
            queries=self._queries,
            wh=self._camera.image_wh,
            first_frame=rows.first_frame + self.first,
        )

    def _inside(self, xy: Tensor, left_top: Tensor) -> Tensor:
        """(..., 1) bool: positions (..., 2) in the crop whose surroundings are not cut off."""
        wh, image_wh = torch.tensor(self._camera.wh), torch.tensor(self._camera.image_wh)
        # Where the crop ends with the frame, it cuts nothing off.
        inside = (left_top == 0) | (xy >= self._edge)
        inside &= (left_top + wh == image_wh) | (xy <= wh - 1 - self._edge)
        return inside.all(dim=-1, keepdim=True)
