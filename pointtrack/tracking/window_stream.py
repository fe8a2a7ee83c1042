"""The innermost stage: sends windows of frames through the network.

Only this module resizes frames to the model's size, adds the batch axis, cuts windows, and undoes all of that.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from pointtrack.config import TrackerConfig
from pointtrack.geometry import rescale_points, resize_frames
from pointtrack.io.state_file import moved
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.window_loop import TrackedWindow, WindowLoop
from pointtrack.tracking.appearance import STRIDE, read_appearance, unit_cells
from pointtrack.tracking.groups import PointGroup
from pointtrack.tracking.stream import described, stage
from pointtrack.types import Queries, Tracks
from pointtrack.types.frames import pushed_frames


def model_wh(image_wh: tuple[int, int], config: TrackerConfig) -> tuple[int, int]:
    """The size at which a video is tracked: the config's own, or the video's shape with about the config's area.

    In the second case the sides are multiples of 16.

    >>> model_wh((854, 480), TrackerConfig(input_area=512 * 288))
    (512, 288)
    """
    if config.input_wh is not None:
        return config.input_wh
    scale = math.sqrt(config.input_area / (image_wh[0] * image_wh[1]))
    width, height = (max(64, 16 * round(side * scale / 16)) for side in image_wh)
    return width, height


@stage
class WindowStream:
    """Tracks points through frames that arrive in pieces of any size.

    Every `push` returns the rows that have become final; `finish` returns the rest. The tracks do not depend on how the
    frames are cut into pieces. Memory does not grow with the video: it holds one window of frames and features. (A
    tracker that takes the whole video as one window keeps the features of all frames until `finish`.)

    Args:
        tracker: from `load_tracker`.
        queries: points to track; frame 0 is the first frame pushed. A point exists from its query frame on; its track
            is NaN before that. (A tracker that takes the whole video as one window tracks it on earlier frames too.)
        image_wh: size of the frames as (width, height).
        fps: recorded in the tracks; it changes nothing else.

    Raises:
        ValueError: a query lies outside the image.
    """

    views = 1  # of a point

    def __init__(self, tracker: PointTracker, queries: Queries, image_wh: tuple[int, int], fps: float = 30.0):
        queries.check_inside(None, image_wh)
        self.network, self.fps = tracker, fps
        self.image_wh = (int(image_wh[0]), int(image_wh[1]))
        self.device = next(tracker.parameters()).device
        self.wh = model_wh(self.image_wh, tracker.config)
        self.rule = tracker.config.resize_rule
        # The first group leads: it exists from the first frame on, with or without points.
        self._groups = [
            PointGroup(queries, torch.arange(len(queries)), tracker.loop(tracker, *self._in_model(queries)))
        ]
        self._waiting: list[Tensor] = []  # resized frames (1, 1, 3, h, w) not encoded yet
        self._returned = 0  # frames
        self._pushed = 0
        self._finished = False
        self._ended: WindowLoop | None = None  # the loop before `finish`, for its features
        self._cells: tuple[int, Tensor] | None = None  # the latest frame that appearance was read on

    def __repr__(self) -> str:
        """As `described`."""
        return described(self, len(self.queries))

    @property
    def queries(self) -> Queries:
        """The points tracked now, in the order of the tracks."""
        return Queries.concat([group.queries for group in self._groups])

    @property
    def cuts(self) -> set[int]:
        """Empty: this stage does not look for cuts."""
        return set()

    def cut(self) -> None:
        """Do nothing: this stage tracks points across cuts."""

    @property
    def frames_pushed(self) -> int:
        """Number of frames pushed so far."""
        return self._pushed

    @property
    def earliest_frame(self) -> int:
        """The first frame on which you can still add points."""
        return self._groups[0].loop.earliest_frame

    def features(self, frame: int, level: int) -> Tensor:
        """(c, h, w) the tracker's features of a frame, at a level of its pyramid or beyond: see `appearance_level`.

        After `finish`, the features of the frames that it returned are still available.

        Raises:
            ValueError: a frame before `earliest_frame`, or not encoded yet.
        """
        loop = self._ended or self._groups[0].loop
        return rearrange(self.network.read_level(loop.features(frame), level), "1 1 h w c -> c h w")

    def appearance(self, frame: int, xy: Tensor, ids: Tensor) -> Tensor:
        """(n, 1, c, 9) the appearance of points; see `PointStream`."""
        level = self.network.appearance_level(STRIDE)
        if self._cells is None or self._cells[0] != frame:
            self._cells = frame, unit_cells(self.features(frame, level))
        cells = rescale_points(xy, self.image_wh, self.wh, self.rule) / self.network.level_stride(level)
        return read_appearance(self._cells[1], cells)[:, None]

    @torch.inference_mode()
    def push(self, frames: np.ndarray | Tensor) -> Tracks:
        """Take (t, h, w, 3) uint8 RGB frames, or a single (h, w, 3) one, and return the rows that are final now.

        Raises:
            ValueError: the frames have another size or type, or the stream is finished.
        """
        if self._finished:
            raise ValueError(
                "WindowStream: expected push before finish; make a new WindowStream for a new video"
            )
        parts = [self._rows([(group, None) for group in self._groups], 0)]
        for frame in self._checked(frames):
            pixels = rearrange(frame, "h w c -> 1 c h w").to(self.device)
            self._waiting.append(resize_frames(pixels, self.wh, self.rule)[None])
            self._pushed += 1
            if len(self._waiting) == self._group_size():
                parts += self._encode()
        return Tracks.concat(parts)

    @property
    def lag(self) -> int:
        """Number of frames pushed whose final rows were not returned yet."""
        return self._pushed - self._returned

    @torch.inference_mode()
    def preview(self) -> Tracks:
        """A first row for the newest frame, at once. It may change until that frame becomes final.

        Up to rounding, it does not change what `push` and `finish` return. Each call costs a window of tracking.

        Raises:
            ValueError: no frame was pushed yet, or the stream is finished.
        """
        if self._finished or not self._pushed:
            raise ValueError("WindowStream: expected preview after the first push and before finish")
        self._encode()
        last = self._pushed - 1
        return self._rows_at([(group, group.loop.peek() or group.last) for group in self._groups], last, 1)

    @torch.inference_mode()
    def finish(self) -> Tracks:
        """Track the frames that no full window covered, and return all remaining rows."""
        if self._finished:
            raise ValueError("WindowStream: expected finish once")
        self._finished = True
        self._encode()
        self._ended = copy.copy(self._groups[0].loop)
        with self._groups[0].loop.sharing():
            for group in self._groups:
                group.keep(group.loop.finish())
        rest = self._rows([(group, group.last) for group in self._groups], self._pushed - self._returned)
        for group in self._groups:
            group.last = None
        return rest

    @torch.inference_mode()
    def add(self, queries: Queries) -> Tracks:
        """Track more points from now on, as a group of their own. The tracks of the other points do not change.

        Args:
            queries: points with ids that no other point has or had, on frame `earliest_frame` or later. That frame
                lies up to one step of the tracker's windows before the frames that are not final yet.

        Returns:
            Tracks of the new points alone, on those frames from `earliest_frame` on that were returned before. From now
            on, `push` returns the new points too, after the others.

        Raises:
            ValueError: a query lies before `earliest_frame` or outside the image, an id is taken, or the stream is
                finished.
        """
        if self._finished:
            raise ValueError("WindowStream: expected points to be added before finish")
        queries = Queries.of(queries)
        queries.check_inside(None, self.image_wh)
        first = self.earliest_frame
        if len(queries) and int(queries.frame.min()) < first:
            raise ValueError(
                f"WindowStream: expected points on frame {first} or later, got frame {int(queries.frame.min())}; "
                "the frames before are gone"
            )
        taken = queries.ids[torch.isin(queries.ids, self.queries.ids)].tolist()
        if taken:
            raise ValueError(
                f"WindowStream: expected distinct ids, that no point of the stream has, got {taken[:5]}; give others, as in "
                f"Queries(frame, xy, ids=[{max(self.queries.ids.tolist()) + 1}])"
            )
        loop, windows = self._groups[0].loop.branch(*self._in_model(queries))
        group = PointGroup(queries, torch.arange(len(queries)), loop)
        group.keep(windows)
        self._groups.append(group)
        return self._rows_at([(group, group.last)], first, self._returned - first)

    def remove(self, ids: Tensor | Sequence[int]) -> None:
        """Stop tracking some points. The tracks of the others stay exactly the same.

        A group without remaining points costs no more time.

        Raises:
            ValueError: an unknown id.
        """
        ids = self.queries.known_ids(ids, "WindowStream")
        for group in self._groups:
            kept = ~torch.isin(group.queries.ids, ids)
            group.queries, group.places = group.queries.select(kept), group.places[kept]
        leader = self._groups[0]
        if not len(leader.queries) and leader.loop.frame.shape[1]:
            leader.loop, windows = leader.loop.branch(*self._in_model(leader.queries))
            leader.keep(windows)
        self._groups = [leader, *(group for group in self._groups[1:] if len(group.queries))]

    def state_dict(self) -> dict[str, Any]:
        """All that `restored` needs to continue exactly from here: tensors and plain values, for `torch.save`."""
        if self._finished:
            raise ValueError("WindowStream: expected state_dict before finish")
        kept = {name: getattr(self, name) for name in ("image_wh", "fps", "_returned", "_pushed")}
        groups = [group.state_dict() for group in self._groups]
        return {**kept, "_waiting": list(self._waiting), "groups": groups}

    @classmethod
    def from_state_dict(cls, tracker: PointTracker, state: dict[str, Any]) -> WindowStream:
        """The stream as it was when `state` was saved, on the same tracker. Push the frames that follow."""
        rest = moved(state, next(tracker.parameters()).device)
        groups = [PointGroup.from_state_dict(tracker, saved) for saved in rest.pop("groups")]
        stream = cls(tracker, groups[0].queries, rest["image_wh"], rest["fps"])
        vars(stream).update(rest, _groups=groups)
        return stream

    def _in_model(self, queries: Queries) -> tuple[Tensor, Tensor]:
        """(1, n) query frames and (1, n, 2) pixels of the model's input, as a loop takes them."""
        xy = rescale_points(queries.xy, self.image_wh, self.wh, self.rule)
        return queries.frame[None].to(self.device), xy[None].to(self.device)

    def _group_size(self) -> int:
        """Number of frames to encode together: always the same frames, however they are pushed."""
        loop = self._groups[0].loop
        return loop.step if loop.length is None else min(loop.step, loop.length - loop.held)

    def _encode(self) -> list[Tracks]:
        """Encode the waiting frames, track the windows that they complete, and return the rows that are final then.

        There are such rows only if `_group_size` frames waited: fewer complete no window.
        """
        if not self._waiting:
            return []
        pyramid = self.network.encode(torch.cat(self._waiting, dim=1))
        self._waiting = []
        with self._groups[0].loop.sharing():
            found = [group.keep(group.loop.push(pyramid)) for group in self._groups]
        return [
            self._rows(list(zip(self._groups, windows, strict=True)), self._final_rows())
            for windows in zip(*found, strict=True)
        ]

    def _final_rows(self) -> int:
        """Number of frames that the next window makes final: a step, plus the context in the first window."""
        context = 0 if self._returned else self.network.config.window.context
        return self._groups[0].loop.step + context

    def _checked(self, frames: np.ndarray | Tensor) -> Tensor:
        frames = pushed_frames(frames, self.image_wh)
        if isinstance(frames, np.ndarray) and (min(frames.strides) < 0 or not frames.flags.writeable):
            frames = frames.copy()  # torch does not take reversed views, and warns of what it cannot write to
        return torch.as_tensor(frames)

    def _rows(self, windows: Sequence[tuple[PointGroup, TrackedWindow | None]], count: int) -> Tracks:
        """The rows of the next `count` frames, which are final now."""
        first = self._returned
        self._returned += count
        return self._rows_at(windows, first, count)

    def _rows_at(
        self, windows: Sequence[tuple[PointGroup, TrackedWindow | None]], first: int, count: int
    ) -> Tracks:
        """Some frames of the windows, as tracks of the groups' points in pixels of the video."""
        queries = Queries.concat([group.queries for group, _ in windows])
        parts = [self._rows_of(group, window, first, count) for group, window in windows]
        xy, visibility, confidence = (torch.cat(values, dim=1) for values in zip(*parts, strict=True))
        number = torch.arange(count)[:, None] + first
        early, requested = number < queries.frame, number == queries.frame
        if self._groups[0].loop.length is None:
            early = torch.zeros_like(early)
        xy = torch.where(early[..., None], torch.nan, xy)
        xy = torch.where(requested[..., None], queries.xy, xy)
        visibility = torch.where(early, 0.0, torch.where(requested, 1.0, visibility))
        confidence = torch.where(early, 0.0, torch.where(requested, 1.0, confidence))
        return Tracks(xy, visibility, confidence, queries, self.image_wh, first, self.fps)

    def _rows_of(
        self, group: PointGroup, window: TrackedWindow | None, first: int, count: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """xy (count, k, 2), visibility and confidence (count, k) of a group; NaN and 0 for points its window lacks."""
        n = group.loop.frame.shape[1]
        xy = torch.full((count, n, 2), torch.nan, dtype=torch.float32)  # whatever the caller's default is
        visibility, confidence = torch.zeros(2, count, n, dtype=torch.float32)
        if window is not None:
            points = window.points.cpu()
            part = window.estimates[-1].frames(first - window.start, first - window.start + count)
            xy[:, points] = rescale_points(part.xy[0].float().cpu(), self.wh, self.image_wh, self.rule)
            visibility[:, points] = part.visibility_logit[0].float().sigmoid().cpu()
            confidence[:, points] = part.confidence_logit[0].float().sigmoid().cpu()
        return xy[:, group.places], visibility[:, group.places], confidence[:, group.places]
