"""Our own engine: tracked points prompt a segmenter, a memory knows the looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.answer import ObjectOptions, answer_prompt, answer_prompt_variously
from pointtrack.objects.engine import ObjectResult
from pointtrack.objects.memory_only import tracker_features
from pointtrack.objects.object_points import ObjectPoints
from pointtrack.objects.point_prompts import KnownMask
from pointtrack.objects.propagator import ObjectPropagator, ObjectState
from pointtrack.segment.base import Embedding, Prompt, Segmenter
from pointtrack.types import Video

# Frames whose embeddings are kept, so that one more click on them is answered at once.
KEPT_EMBEDDINGS = 4


class PointEngine:
    """Follows objects by points, segmenter and memory; see `engine.Engine`.

    Every object is followed for itself: what is found of one does not depend on the others.

    Args:
        tracker: from `load_tracker`.
        segmenter: from `load_segmenter`.
        config: how points become masks.
    """

    own_answers = True

    def __init__(self, tracker: PointTracker, segmenter: Segmenter, config: ObjectOptions | None = None):
        self.tracker, self.segmenter, self.config = tracker, segmenter, config or ObjectOptions()
        self.name = f"{tracker.config.name} + {segmenter.name}"
        self.licence = segmenter.licence
        self._video: Video | None = None
        self._embeddings: dict[int, Embedding] = {}

    def answer(self, video: Video, frame: int, prompt: Prompt, before: Tensor | None = None) -> ObjectResult:
        """What the segmenter makes of a prompt; see `Engine.answer`."""
        embedding = self._embedding(video, frame)
        return answer_prompt(self.segmenter, embedding, prompt, before)

    def answers(
        self, video: Video, frame: int, prompt: Prompt, before: Tensor | None = None
    ) -> list[ObjectResult]:
        """All that a prompt may mean; see `Engine.answers`."""
        embedding = self._embedding(video, frame)
        return answer_prompt_variously(self.segmenter, embedding, prompt, before)

    def walk(
        self,
        video: Video,
        known: Mapping[int, Sequence[KnownMask]],
        frames: range,
        cuts: Sequence[int] = (),
    ) -> Iterator[dict[int, ObjectResult]]:
        """Along frames from known masks; see `Engine.walk`."""
        begin = frames.start - frames.step
        order = range(begin, frames.stop, frames.step)
        feed = ObjectPoints(video, order, self.config.rules, self.tracker)
        states = {number: ObjectState() for number in known}
        look = tracker_features(self.tracker)  # made here, as engines are pickled and functions are not
        walker = ObjectPropagator(
            video, self.segmenter, feed, states, self.config, rivals=False, appearance=look
        )
        elsewhere = {number: [one for one in masks if one.frame != begin] for number, masks in known.items()}
        given = {number: one.mask for number, masks in known.items() for one in masks if one.frame == begin}
        walker.start(begin, given, self._embedding(video, begin))
        walker.learn(elsewhere)
        # Of a cut the first frame of the later shot is named: backward the one before is across it.
        across = set(cuts) if frames.step > 0 else {cut - 1 for cut in cuts}
        for frame in frames:
            if frame in across:
                walker.cut()
            yield walker.step(frame)

    @torch.no_grad()
    def _embedding(self, video: Video, frame: int) -> Embedding:
        if video is not self._video:
            self._video, self._embeddings = video, {}
        if frame not in self._embeddings:
            while len(self._embeddings) >= KEPT_EMBEDDINGS:
                self._embeddings.pop(next(iter(self._embeddings)))
            self._embeddings[frame] = self.segmenter.encode(video.frames[frame])
        return self._embeddings[frame]
