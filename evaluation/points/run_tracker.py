"""Queries a tracker by a `Protocol`: the method "pointtrack" of the harness.

`pointtrack.track` handles the protocol "own". This module runs the others window by window: support points of the
papers may lie outside the image, which the public calls reject with good reason, and with one query at a time
the frames must not be encoded again for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from evaluation.points.paper_answers import PAPER_ANSWERS
from evaluation.points.protocol import Protocol
from pointtrack.cotracker import Answers, published_grid
from pointtrack.geometry import rescale_points, resize_frames
from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.backward import track_video
from pointtrack.pipeline.options import TrackOptions
from pointtrack.tracking.support import support_queries
from pointtrack.tracking.window_stream import model_wh
from pointtrack.types import Queries, Tracks, Video

Pyramid = list[Tensor]  # per level (1, t, h, w, c)
LOCAL_WH = (50.0, 50.0)  # pixels of the input that the papers' local grid extends over


@dataclass
class Answer:
    """Positions in pixels of the input (t, n, 2), visibility and confidence (t, n) in [0, 1]; NaN and 0 if unknown."""

    xy: Tensor
    visibility: Tensor
    confidence: Tensor

    @classmethod
    def none(cls, frames: int, points: int) -> Answer:
        """An answer in which nothing is known."""
        xy = torch.full((frames, points, 2), torch.nan)
        return cls(xy, torch.zeros(frames, points), torch.zeros(frames, points))

    def put(self, rows: slice | Tensor, columns: Tensor, part: Answer) -> None:
        """Write an answer for the points `columns` on the frames `rows`."""
        self.xy[rows, columns] = part.xy
        self.visibility[rows, columns] = part.visibility
        self.confidence[rows, columns] = part.confidence

    def where(self, condition: Tensor, other: Answer) -> Answer:
        """This where a (t, n) condition holds, `other` elsewhere."""
        return Answer(
            torch.where(condition[..., None], self.xy, other.xy),
            torch.where(condition, self.visibility, other.visibility),
            torch.where(condition, self.confidence, other.confidence),
        )


@dataclass(frozen=True, eq=False)
class AskedTracker:
    """A tracker with a protocol: a callable (Video, Queries) -> Tracks whose `visible` uses the protocol's score.

    Args:
        tracker: from `load_tracker`; its config says the size of the input and the iterations, see `by`.
        protocol: a settled one.
        backward: answer for the frames before a query too. Only under the preset "own": the papers use a single
            pass, which covers all frames if one window is the whole video, and otherwise nothing before the query.
    """

    tracker: PointTracker
    protocol: Protocol
    backward: bool = False

    @classmethod
    def by(cls, tracker: PointTracker, protocol: Protocol, *, backward: bool = False) -> AskedTracker:
        """Settle the protocol for the tracker, and set a copy of the tracker (same weights) to its input size.

        Raises:
            ValueError: a protocol that the tracker cannot follow.
        """
        protocol, tracker = protocol.settled(tracker), copy(tracker)
        wh = protocol.input_wh
        tracker.config = replace(tracker.config, input_wh=None if wh is None else (wh[0], wh[1]))
        own = not (protocol.of_cotracker or protocol.of_whole_clip)
        return cls(tracker, protocol, backward and own)

    @torch.inference_mode()
    def __call__(self, video: Video, queries: Queries) -> Tracks:
        """Tracks of the queries over all frames.

        With one query at a time this keeps the features of the whole video: 8 MB per frame for a published model.

        Raises:
            ValueError: a query after the last frame or outside the image.
        """
        if self.protocol.of_whole_clip:
            queries.check_inside(len(video), video.wh)
            xy, visibility, confidence = (
                x.float().cpu() for x in PAPER_ANSWERS[self.protocol.preset](self.tracker, video, queries)
            )
            tracks = Tracks(xy, visibility, confidence, queries, video.wh, fps=video.fps)
            return self._scored(tracks)
        by_call = self.protocol.by_public_call
        return self._scored((self._by_public_call if by_call else self._by_windows)(video, queries))

    def _scored(self, tracks: Tracks) -> Tracks:
        """The same tracks, with the protocol's score as visibility and confidence."""
        if self.protocol.score == "mean":
            return tracks
        score = tracks.visibility * (tracks.confidence if self.protocol.score == "product" else 1.0)
        return replace(tracks, visibility=score, confidence=score)  # whose mean is the score

    def settings(self) -> dict[str, Any]:
        """The settings that the figures depend on, ready for JSON."""
        config, protocol = self.tracker.config, self.protocol
        before = "tracked backward" if self.backward else "no answer"
        return {
            "name": config.name,
            "iterations": config.window.iterations,
            "length": config.window.length,
            "step": None if self._one_window else config.window.step,
            **({"looks": looks} if (looks := self.tracker.inference.looks) > 1 else {}),
            "input_wh": None if config.input_wh is None else list(config.input_wh),
            "input_area": config.input_area if config.input_wh is None else None,
            "resize_rule": config.resize_rule,
            "preset": protocol.preset,
            "one_by_one": protocol.one_by_one,
            "support_grid": protocol.support_grid,
            "support_local": protocol.support_local,
            "score": protocol.score,
            "before_query": "tracked in the same pass" if self._answers_before else before,
        }

    @property
    def _one_window(self) -> bool:
        return self.tracker.config.window.length is None

    @property
    def _answers_before(self) -> bool:
        """Whether the pass that tracks a point also answers for the frames before its query."""
        if self.protocol.of_whole_clip:
            return self.protocol.preset == "locotrack"
        return self._one_window and (self.protocol.of_cotracker or self.backward)

    def _by_public_call(self, video: Video, queries: Queries) -> Tracks:
        options = TrackOptions(
            backward=self.backward,
            support_grid=self.protocol.support_grid,
            support_local=self.protocol.support_local or 0,
        )
        return track_video(self.tracker, video, queries, options)

    def _by_windows(self, video: Video, queries: Queries) -> Tracks:
        queries.check_inside(len(video), video.wh)
        pieces: Iterable[Pyramid] = self._encoded(video)
        groups = [queries]
        if self.protocol.one_by_one:
            pieces = list(pieces)
            groups = [queries.select([i]) for i in range(len(queries))]
        answer = Answer.none(len(video), len(queries))
        done = 0
        for group in groups:
            part = self._answer(pieces, group, video)
            columns = torch.arange(done, done := done + len(group))
            answer.put(slice(None), columns, part)
        rule = self.tracker.config.resize_rule
        xy = rescale_points(answer.xy, self._wh(video), video.wh, rule)
        if not self.protocol.of_cotracker:
            requested = torch.arange(len(video))[:, None] == queries.frame
            xy = torch.where(requested[..., None], queries.xy, xy)
            answer.visibility.masked_fill_(requested, 1.0)
            answer.confidence.masked_fill_(requested, 1.0)
        return Tracks(xy, answer.visibility, answer.confidence, queries, video.wh, fps=video.fps)

    def _wh(self, video: Video) -> tuple[int, int]:
        """Size of the input."""
        return model_wh(video.wh, self.tracker.config)

    def _encoded(self, video: Video) -> Iterator[Pyramid]:
        """Features of the frames, in pieces of one step of the windows."""
        for frames in video.split(self.tracker.config.window.step):
            pixels = torch.from_numpy(np.ascontiguousarray(frames)).to(self._device)
            resized = resize_frames(
                rearrange(pixels, "t h w c -> t c h w"), self._wh(video), self.tracker.config.resize_rule
            )
            yield self.tracker.encode(resized[None])

    @property
    def _device(self) -> torch.device:
        return next(self.tracker.parameters()).device

    def _answer(self, pieces: Iterable[Pyramid], requested: Queries, video: Video) -> Answer:
        """Answer for the queries, with support points, in one run."""
        points = self.with_helpers(requested, video.wh)
        answer = self._track(pieces, points, len(requested))
        early = torch.arange(len(video))[:, None] < requested.frame
        if self._answers_before or not early.any():
            return answer
        before = Answer.none(len(video), len(requested))
        if self.backward:
            # As in pointtrack.track: forward through the frames last..0, of the points asked for later than on 0.
            last, later = int(points.frame.max()), points.frame > 0
            flipped = Queries(last - points.frame[later], points.xy[later])
            columns = (requested.frame > 0).nonzero()[:, 0]
            back = self._track(_reversed(list(pieces), last), flipped, len(columns))
            rows = torch.arange(last, -1, -1)[:, None]
            before.put(rows, columns, back)
        return before.where(early, answer)

    def with_helpers(self, requested: Queries, image_wh: tuple[int, int]) -> Queries:
        """The points of one run: the queries, then support points.

        Args:
            requested: queries in pixels of the video.
            image_wh: size of the video as (width, height).

        Returns:
            Points in pixels of the input. Support points are, under "cotracker", a local grid around every query and
            then the global grid, all on frame 0, also outside the image; under "own", those of `support_queries`.
        """
        protocol, wh = self.protocol, model_wh(image_wh, self.tracker.config)

        def placed(points: Queries) -> Queries:
            return Queries(
                points.frame, rescale_points(points.xy, image_wh, wh, self.tracker.config.resize_rule)
            )

        if not protocol.of_cotracker:
            helpers = support_queries(
                requested, image_wh, global_size=protocol.support_grid, local_size=protocol.support_local or 0
            )
            return placed(Queries.concat([requested, helpers]))
        points, grids = placed(requested), [torch.zeros(0, 2)]
        if protocol.support_local:
            grids += [published_grid(protocol.support_local, LOCAL_WH, (x, y)) for x, y in points.xy.tolist()]
        if protocol.support_grid:
            grids.append(published_grid(protocol.support_grid, wh))
        xy = torch.cat(grids)
        return Queries.concat([points, Queries(torch.zeros(len(xy)), xy)], renumber=True)

    def _track(self, pieces: Iterable[Pyramid], points: Queries, keep: int) -> Answer:
        """One run through the frames; the answer for the first `keep` of the points."""
        answers = Answers(1, len(points))
        loop = self.tracker.loop(
            self.tracker, points.frame[None].to(self._device), points.xy[None].to(self._device)
        )
        for piece in pieces:
            answers.add(loop.push(piece))
        answers.add(loop.finish())
        parts = (answers.xy, answers.visibility, answers.confidence)
        return Answer(*(part[0, :, :keep].float().cpu() for part in parts))


def _reversed(pieces: list[Pyramid], last: int) -> Iterator[Pyramid]:
    """Features of the frames last..0."""
    ends = np.cumsum([piece[0].shape[1] for piece in pieces])
    for piece, end in zip(reversed(pieces), reversed(ends.tolist()), strict=True):
        count = piece[0].shape[1] - max(end - 1 - last, 0)
        if count > 0:
            yield [level[:, :count].flip(1) for level in piece]
