"""A stream of tracks known beforehand, to replace `WindowStream` in tests of code that uses tracks."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from pointtrack.objects import object_points as feed
from pointtrack.objects import point_engine
from pointtrack.objects import stream as objects
from pointtrack.sessions import carried
from pointtrack.types import Queries, Tracks, Video
from tests.support.scenes import Scene

STEP = 4  # frames that become final together
# Whatever takes a tracker takes this one, once `ExactStream` stands in the place of `window_stream`.
TRACKER = SimpleNamespace(
    config=SimpleNamespace(
        name="exact", window=SimpleNamespace(step=STEP), correlation=SimpleNamespace(levels=1)
    ),
    label="exact",
    appearance_level=lambda stride: 0,
    uses_support=True,
    unled=lambda: TRACKER,
)


def use_exact_tracks(monkeypatch, scene: Scene) -> None:
    """From now on sessions and walks on this scene know exactly where points go, and see colours."""
    monkeypatch.setattr(ExactStream, "scene", scene, raising=False)
    monkeypatch.setattr(feed, "window_stream", ExactStream)
    for module in (objects, point_engine):
        monkeypatch.setattr(module, "tracker_features", lambda tracker: colours)
    monkeypatch.setattr(carried, "walk_points", exact_walk)


def exact_walk(tracker, video: Video, order: range, xy: Tensor, *, together: bool) -> Iterator[Tracks]:
    """What `walk_points` gives."""
    stream = ExactStream(tracker, Queries(torch.zeros(len(xy)), xy), video.wh)
    for start in range(0, len(order), STEP):
        yield stream.push([video.frames[number] for number in order[start : start + STEP]])
    yield stream.finish()


def colours(frame: np.ndarray) -> Tensor:
    """(h, w, 3) -> (3, h / 4, w / 4): what the memory knows objects by."""
    return F.avg_pool2d(rearrange(torch.from_numpy(frame), "h w c -> 1 c h w").float() - 100, 4)[0]


class ExactStream:
    """Moves every point that is put on a square along with it, as long as any of it is in the picture.

    Frames are told apart by their pixels, so a scene must not stand still.
    """

    scene: Scene

    def __init__(self, tracker, queries: Queries, image_wh: tuple[int, int], fps: float = 30.0):
        self.network, self.queries, self.wh = tracker, queries, image_wh
        self.frames: list[int] = []
        self.returned = 0
        self.frames_pushed = 0

    @property
    def earliest_frame(self) -> int:
        return max(0, self.returned - STEP)

    def features(self, frame: int, level: int) -> Tensor:
        return colours(self.scene.video.frames[self.frames[frame]])

    def push(self, frames) -> Tracks:
        self.frames += [self._number(frame) for frame in frames]
        self.frames_pushed += len(frames)
        ready = max(0, len(self.frames) // STEP * STEP - STEP)
        first, self.returned = self.returned, max(ready, self.returned)
        return self._rows(self.queries, first, self.returned)

    def finish(self) -> Tracks:
        first, self.returned = self.returned, len(self.frames)
        return self._rows(self.queries, first, self.returned)

    def add(self, queries: Queries) -> Tracks:
        first = max(0, self.returned - STEP)
        assert not len(queries) or int(queries.frame.min()) >= first
        self.queries = Queries.concat([self.queries, queries])
        return self._rows(queries, first, self.returned)

    def remove(self, ids: Tensor) -> None:
        self.queries = self.queries.select(~torch.isin(self.queries.ids, ids))

    def _number(self, frame) -> int:
        (number,) = (i for i, other in enumerate(self.scene.video.frames) if (other == frame).all())
        return number

    def _rows(self, queries: Queries, first: int, stop: int) -> Tracks:
        scene = self.scene
        corners = torch.stack([self._corner(scene.truth[t]) for t in range(len(scene.video))])  # (t, o, 2)
        xy = torch.full((stop - first, len(queries), 2), torch.nan)
        seen = torch.zeros(stop - first, len(queries))
        for n, (requested, place) in enumerate(zip(queries.frame.tolist(), queries.xy, strict=True)):
            if requested >= len(self.frames):
                continue
            begin = self.frames[requested]
            column, row = place.round().long().tolist()
            owners = scene.truth[begin, :, row, column].nonzero()[:, 0].tolist()
            for i, t in enumerate(range(max(first, requested), stop), start=max(first, requested) - first):
                now = self.frames[t]
                step = corners[now, owners[0]] - corners[begin, owners[0]] if owners else torch.zeros(2)
                if torch.isfinite(step).all():
                    xy[i, n] = place + step
                    x, y = (place + step).round().long().tolist()
                    inside = 0 <= x < self.wh[0] and 0 <= y < self.wh[1]
                    hit = scene.truth[now, :, y, x].nonzero()[:, 0].tolist() if inside else [-1]
                    seen[i, n] = float(hit == owners)
        return Tracks(xy, seen, seen, queries, self.wh, first)

    @staticmethod
    def _corner(truth: Tensor) -> Tensor:
        """(o, 2) where each square is; NaN where it is not seen."""
        places = []
        for mask in truth:
            rows, columns = mask.nonzero().unbind(1)
            places.append(
                torch.tensor([float(columns.max()), float(rows.max())])
                if len(rows)
                else torch.full((2,), torch.nan)
            )
        return torch.stack(places)
