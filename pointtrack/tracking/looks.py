"""Tracks frames twice, the second time mirrored and larger. The agreement of the two results shows how good they are.

Source: averaging the results for an image and its mirror image is common (test-time augmentation, as in Simonyan and
Zisserman, 2014); the weights are those of a geometric median (Weiszfeld, 1937).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointtrack.models.point_tracker import PointTracker
from pointtrack.tracking.stream import PointStream, WrappingStream, restored, saved, stage
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks
from pointtrack.types.frames import pushed_frames

# Chosen on the development sets: docs/explain/training-log.md, section 41.
LARGER = 1.4  # number of pixels as a multiple of the first look's
CLOSE = 4.0 / 768  # of the frame's longer side: positions closer than this count as the same
DOUBT = 16.0 / 768  # of it: at this distance confidence is halved
LEAST = 0.02  # least score of a position
ROUNDS = 15  # of reweighting


def window_stream(network: PointTracker, queries: Queries, wh: tuple[int, int], fps: float) -> PointStream:
    """The innermost stage: a `WindowStream`, or two of them if the network was loaded for two looks."""
    first = WindowStream(network, queries, wh, fps)
    if network.inference.looks == 1:
        return first
    return TwoLooks(first, WindowStream(closer(network), _mirrored(queries, wh), wh, fps))


def closer(network: PointTracker) -> PointTracker:
    """The same network for the second look, with larger frames if it takes frames of any size."""
    twin = copy.copy(network)
    area = None if network.one_size else round(LARGER * network.config.input_area)
    twin.inference = replace(network.inference, looks=1, input_area=area)
    return twin


@stage
class TwoLooks(WrappingStream):
    """Tracks points twice: through the frames, and through the mirrored ones.

    Args:
        inner: tracks through the frames; features and appearance come from it.
        second: tracks the mirrored points through the mirrored frames, in windows of the same frames.
    """

    def __init__(self, inner: PointStream, second: PointStream):
        super().__init__(inner)
        self.second = second

    def push(self, frames: np.ndarray | Tensor) -> Tracks:
        """As `PointStream.push`."""
        frames = pushed_frames(frames, self.image_wh)
        rows = self.inner.push(frames)
        mirrored = frames.flip(-2) if isinstance(frames, Tensor) else frames[..., ::-1, :]
        return self._joined(rows, self.second.push(mirrored))

    def preview(self) -> Tracks:
        """As `PointStream.preview`."""
        return self._joined(self.inner.preview(), self.second.preview())

    def finish(self) -> Tracks:
        """As `PointStream.finish`."""
        return self._joined(self.inner.finish(), self.second.finish())

    def add(self, queries: Queries) -> Tracks:
        """As `PointStream.add`."""
        queries = Queries.of(queries)
        late = self.inner.add(queries)
        return self._joined(late, self.second.add(_mirrored(queries, self.image_wh)))

    def remove(self, ids: Tensor | Sequence[int]) -> None:
        """As `PointStream.remove`."""
        self.inner.remove(ids)
        self.second.remove(ids)

    def state_dict(self) -> dict[str, Any]:
        """As `PointStream.state_dict`."""
        return {"inner": saved(self.inner), "second": saved(self.second)}

    @classmethod
    def from_state_dict(cls, network: PointTracker, state: dict[str, Any]) -> TwoLooks:
        """The stream as it was when its state was saved, on the same network."""
        return cls(restored(network, state["inner"]), restored(closer(network), state["second"]))

    def _joined(self, rows: Tracks, other: Tracks) -> Tracks:
        mirrored = other.xy.clone()
        mirrored[..., 0] = self.image_wh[0] - 1 - mirrored[..., 0]
        side = float(max(self.image_wh))
        xy, apart = agreed(
            torch.stack([rows.xy, mirrored]),
            torch.stack([(x.visibility * x.confidence).sqrt() for x in (rows, other)]),
            CLOSE * side,
        )
        frame = torch.arange(len(rows))[:, None] + rows.first_frame
        own = frame == rows.queries.frame
        agrees = 1 / (1 + (apart / (DOUBT * side)) ** 2)
        confidence = (rows.confidence + other.confidence) / 2 * torch.nan_to_num(agrees)
        return replace(
            rows,
            xy=torch.where(own[..., None], rows.xy, xy),
            visibility=torch.where(own, rows.visibility, (rows.visibility + other.visibility) / 2),
            confidence=torch.where(own, rows.confidence, confidence),
        )


def agreed(xy: Tensor, score: Tensor, close: float) -> tuple[Tensor, Tensor]:
    """Combine several positions of a point: about their mean if they are close, else nearer to those of high score.

    Args:
        xy: (k, ..., 2) positions in pixels.
        score: (k, ...) the score of each, in [0, 1].
        close: distance in pixels below which positions count as the same.

    Returns:
        (..., 2) combined positions, and (...) twice the mean distance of `xy` from them: for two, their distance.
    """
    sure = score.clamp(min=LEAST)[..., None]
    place = (xy * sure).sum(0) / sure.sum(0)
    for _ in range(ROUNDS):
        weight = sure / ((xy - place).norm(dim=-1, keepdim=True) + close)
        place = (xy * weight).sum(0) / weight.sum(0)
    return place, 2 * (xy - place).norm(dim=-1).mean(0)


def _mirrored(queries: Queries, wh: tuple[int, int]) -> Queries:
    xy = queries.xy.clone()
    xy[:, 0] = wh[0] - 1 - xy[:, 0]
    return replace(queries, xy=xy)
