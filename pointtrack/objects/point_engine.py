"""Our own engine: tracked points prompt a segmenter, and a memory keeps the appearance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.answer import ObjectOptions, as_cells
from pointtrack.objects.engine import ObjectResult
from pointtrack.objects.frame_buffer import working_wh
from pointtrack.objects.known_mask import Expected, expected_mask
from pointtrack.objects.memory import ObjectMemory
from pointtrack.objects.memory_only import tracker_features
from pointtrack.objects.point_prompts import KnownMask, Shown
from pointtrack.objects.prompted import answer_prompt, answer_prompt_variously
from pointtrack.objects.stream import ObjectStream
from pointtrack.segment.base import Embedding, Prompt, Segmenter
from pointtrack.types import Video

# Number of frames whose embeddings are kept, so that another click on them is answered at once.
KEPT_EMBEDDINGS = 4
NEAREST = 2  # masks on other frames that help to answer a click


class PointEngine:
    """Follows objects by points, segmenter and memory; see `engine.Engine`.

    It follows every object on its own: the result for one does not depend on the others.

    Args:
        tracker: from `load_tracker`.
        segmenter: from `load_segmenter`.
        config: how points become masks.
    """

    own_answers = True

    @property
    def corrector(self) -> PointEngine:
        """This engine carries corrections."""
        return self

    def __init__(self, tracker: PointTracker, segmenter: Segmenter, config: ObjectOptions | None = None):
        self.tracker, self.segmenter, self.config = tracker, segmenter, config or ObjectOptions()
        self.name = f"{tracker.label} + {segmenter.name}"
        self.licence = segmenter.licence
        self._video: Video | None = None
        self._embeddings: dict[int, Embedding] = {}
        self._features: dict[int, Tensor] = {}

    def answer(
        self,
        video: Video,
        frame: int,
        prompt: Prompt,
        before: Tensor | None = None,
        shown: Shown | None = None,
        elsewhere: Sequence[KnownMask] = (),
    ) -> ObjectResult:
        """The segmenter's answer to a prompt; see `Engine.answer`."""
        embedding = self._closer(video, frame)
        expected = partial(self._expected, video, frame, elsewhere)
        return answer_prompt(self.segmenter, embedding, prompt, before, shown, expected)

    def answers(
        self,
        video: Video,
        frame: int,
        prompt: Prompt,
        before: Tensor | None = None,
        elsewhere: Sequence[KnownMask] = (),
    ) -> list[ObjectResult]:
        """All candidates for a prompt; see `Engine.answers`."""
        embedding = self._closer(video, frame)
        expected = partial(self._expected, video, frame, elsewhere)
        return answer_prompt_variously(self.segmenter, embedding, prompt, before, expected)

    @torch.no_grad()
    def correct(self, video: Video, frame: int, points: Prompt, mask: Tensor) -> ObjectResult:
        """Change a mask where tracked points contradict it, with one look at the frame; see `Corrector.correct`."""
        shown = Shown(len(points.points) - 1, mask)  # all at once
        return answer_prompt(self.segmenter, self._embedding(video, frame), points, mask, shown)

    def walk(
        self,
        video: Video,
        known: Mapping[int, Sequence[KnownMask]],
        frames: range,
        cuts: Sequence[int] = (),
    ) -> Iterator[dict[int, ObjectResult]]:
        """Follow objects along frames from known masks; see `Engine.walk`."""
        begin = frames.start - frames.step
        stream = ObjectStream(
            self.tracker, self.segmenter, video.wh, video.fps, self.config, finds_cuts=False
        )
        stream.push_results(video.frames[begin])
        if working_wh(video.wh) == video.wh:
            # A stream treats every frame alike, whether it was prompted or not, so it gets no second look.
            stream.know_embedding(0, replace(self._embedding(video, begin), closer=None))
        for number, masks in known.items():
            for one in masks:
                if one.frame == begin:
                    stream.give(number, 0, one.mask, one.score)
                else:
                    stream.learn(number, video.frames[one.frame], one.mask)
        results = self._results(stream, video, frames, cuts)
        next(results)  # skip the known frame
        yield from results

    @staticmethod
    def _results(
        stream: ObjectStream, video: Video, frames: range, cuts: Sequence[int]
    ) -> Iterator[dict[int, ObjectResult]]:
        """The stream's results, from as few frames as each needs."""
        # A cut is the first frame of the later shot. Backward, the frame before it is the first across the cut.
        late = 0 if frames.step > 0 else 1
        for frame in frames:
            if frame + late in cuts:  # some may have been found since the walk began
                stream.cut()
            yield from stream.push_results(video.frames[frame])
        yield from stream.finish_results()

    @torch.no_grad()
    def _expected(self, video: Video, frame: int, elsewhere: Sequence[KnownMask]) -> Expected | None:
        """What the nearest masks on other frames tell of an object on this one; None if nothing is recognised."""
        # The nearest first, as an object may be marked absent on thousands of frames.
        by_distance = sorted(elsewhere, key=lambda one: abs(one.frame - frame))
        near = list(islice((one for one in by_distance if one.mask.any()), NEAREST))
        if not near:
            return None
        memory = ObjectMemory(1)
        for one in near:
            grid = self._grid(video, one.frame)
            memory.add(one.frame, grid.features, as_cells(one.mask, grid)[None], given=True)
        score = min(one.score for one in near)
        return expected_mask(memory, self._grid(video, frame), self.config.prior, score)

    def _grid(self, video: Video, frame: int) -> Embedding:
        """A frame's cells, with the tracker's features."""
        self._look_at(video)
        if frame not in self._features:
            while len(self._features) >= KEPT_EMBEDDINGS:
                self._features.pop(next(iter(self._features)))
            self._features[frame] = tracker_features(self.tracker)(video.frames[frame])
        return Embedding(video.wh, self._features[frame])

    def _look_at(self, video: Video) -> None:
        """Forget what is known of frames of another video."""
        if video is not self._video:
            self._video, self._embeddings, self._features = video, {}, {}

    @torch.no_grad()
    def _embedding(self, video: Video, frame: int) -> Embedding:
        self._look_at(video)
        if frame not in self._embeddings:
            while len(self._embeddings) >= KEPT_EMBEDDINGS:
                self._embeddings.pop(next(iter(self._embeddings)))
            self._embeddings[frame] = self.segmenter.encode(video.frames[frame])
        return self._embeddings[frame]

    @torch.no_grad()
    def _closer(self, video: Video, frame: int) -> Embedding:
        """The embedding with the second look, which prompts get."""
        embedding = self.segmenter.look_closer(video.frames[frame], self._embedding(video, frame))
        self._embeddings[frame] = embedding
        return embedding
