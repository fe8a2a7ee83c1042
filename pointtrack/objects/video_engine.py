"""SAM 2, EdgeTAM and the tracker of SAM 3 as an engine for sessions, based on the models of `transformers`."""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from pointtrack.objects.engine import ObjectResult
from pointtrack.objects.point_prompts import KnownMask, Shown
from pointtrack.objects.prompted import answer_prompt, answer_prompt_variously
from pointtrack.segment.base import Embedding, Prompt, check_inside
from pointtrack.segment.sam2 import Sam2Segmenter, Sam3Segmenter
from pointtrack.segment.video_zoo import VIDEO_KINDS, VideoModel, load_video_model
from pointtrack.types import Video


def load_video_engine(
    name: str | Path = "sam2.1-hiera-tiny",
    *,
    checkpoint: str | Path | None = None,
    device: str | torch.device = "auto",
    own_answers: bool = False,
) -> VideoEngine:
    """Load a published model to follow objects through videos.

    Args:
        name: "sam2-hiera-tiny", "-small", "-base-plus", "-large" or the same of "sam2.1", "edgetam", or "sam3" (its
            tracker), whose weights come from the Hugging Face hub unless `checkpoint` is given; or the folder, or the
            "owner/name" on the hub, of another one of these kinds in the format of `transformers`. All need the
            extra `sam`.
        checkpoint: with a published model, the folder that holds its config.json and model.safetensors (or one of
            these two files), instead of the hub.
        device: "cpu", "cuda", ...; "auto" takes the GPU where there is one.
        own_answers: see `VideoEngine`.

    Raises:
        FileNotFoundError: neither a known name nor a folder, or a folder without one of the two files.
        ConnectionError, PermissionError: the hub cannot be reached, or does not give the files.
        ImportError: the extra `sam` is not installed, or too old.
        ValueError: a model that does not follow objects, files that do not hold that model, or a device that this
            machine does not have.
    """
    return VideoEngine(load_video_model(name, checkpoint=checkpoint, device=device), own_answers=own_answers)


class VideoEngine:
    """SAM 2, EdgeTAM or the tracker of SAM 3 as an `Engine`: every settled mask is in its memory, beside its last frames.

    The model ignores cuts: its memory continues, and after a cut it finds objects by their appearance.

    A score is the probability that the object is present, times the overlap (IoU) with the true mask that the model predicts.
    On a frame with a known mask of the object, the engine returns that mask with quality 1.

    Memory does not grow with the frames walked, but with the known masks, all of which the model reads on every frame.

    Args:
        model: from `load_video_model`; `load_video_engine` makes the engine by name.
        own_answers: a prompt is answered by our rules: of several candidates the one that agrees with the clicks, bent
            so that every click lies on its side. Otherwise by the library's: the candidate with the highest predicted
            overlap, as it is; clicks that correct a mask are given with it.

    Source: Ravi et al., SAM 2: Segment Anything in Images and Videos, 2024; inference is that of
    `transformers.Sam2VideoModel` and its like on a whole video, of which only the frames in work are prepared.
    """

    corrector = None  # its memory reads every settled mask, and so the corrections on other frames too

    def __init__(self, model: VideoModel, *, own_answers: bool = False) -> None:
        self.name, self.licence, self.device = model.name, model.licence, model.device
        self.own_answers = own_answers
        self._model, self._kind = model.video, model.kind
        of_kind = _Sam3Frames if model.image.__class__.__name__.startswith("Sam3") else _Sam2Frames
        self._segmenter = of_kind(model.image, model.name, model.licence, model.device)
        config = model.video.config
        # How many frames back the model looks for memories of the object's place, or for pointers to it.
        self._reach = max(config.num_maskmem, config.max_object_pointers_in_encoder)
        self._last: tuple[weakref.ref[Video], int, Embedding] | None = None
        self._seen: tuple[weakref.ref[Video], int, Any] | None = None

    def answer(
        self,
        video: Video,
        frame: int,
        prompt: Prompt,
        before: Tensor | None = None,
        shown: Shown | None = None,
        elsewhere: Sequence[KnownMask] = (),
    ) -> ObjectResult:
        """The model's answer to a prompt on that frame alone, as `Engine.answer` says.

        The score is the overlap (IoU) that it predicts; masks `elsewhere` are not used. The latest prompted frame is not
        encoded again.

        Raises:
            ValueError: a frame that the video does not have, or a prompt outside the frame.
        """
        if self.own_answers and 0 <= frame < len(video):
            encoded = self._encoded(video, frame)
            return answer_prompt(self._segmenter, encoded, prompt, before, shown)
        return self.answers(video, frame, prompt, before)[0]

    def answers(
        self,
        video: Video,
        frame: int,
        prompt: Prompt,
        before: Tensor | None = None,
        elsewhere: Sequence[KnownMask] = (),
    ) -> list[ObjectResult]:
        """All candidates for a prompt; see `Engine.answers`. Errors as of `answer`."""
        if not 0 <= frame < len(video):
            raise ValueError(f"prompt: expected a frame in 0..{len(video) - 1}, got {frame}")
        check_inside(prompt, video.wh)
        if self.own_answers:
            encoded = self._encoded(video, frame)
            return answer_prompt_variously(self._segmenter, encoded, prompt, before)
        if before is None:
            masks, scores = self._first_candidates(video, frame, prompt)
        else:
            prompt = replace(prompt, mask_logits=self._segmenter.as_low(before))
            found = self._segmenter.decode(self._encoded(video, frame), prompt, several=False)
            masks, scores = found.masks, found.scores
        order = scores.argsort(descending=True, stable=True).tolist()
        return [_result(masks[place].cpu(), _probability(scores[place])) for place in order]

    def _first_candidates(self, video: Video, frame: int, prompt: Prompt) -> tuple[Tensor, Tensor]:
        """(m, h, w) bool candidates of the video model for an object's first prompt, and (m,) predicted overlaps."""
        session = self._session(video)
        if self._seen is not None and self._seen[0]() is video and self._seen[1] == frame:
            session.cache.cache_vision_features(frame, self._seen[2])
        points, labels = prompt.points, prompt.labels.long()
        if prompt.box is not None:  # its corners are points of two more kinds, and come first
            points = torch.cat([rearrange(prompt.box, "(k xy) -> k xy", xy=2), points])
            labels = torch.cat([torch.tensor([2, 3]), labels])
        scale = self._segmenter.side / torch.tensor(video.wh).double()
        inputs = {
            "point_coords": rearrange((points * scale).float(), "k xy -> 1 1 k xy").to(self.device),
            "point_labels": rearrange(labels.int(), "k -> 1 1 k").to(self.device),
        }
        session.add_point_inputs(session.obj_id_to_idx(1), frame, inputs)
        session.obj_with_new_inputs = [1]
        outputs: list[tuple[Tensor, Tensor]] = []
        hook = self._model.mask_decoder.register_forward_hook(
            lambda module, requested, answer: outputs.append((answer[0], answer[1]))
        )
        with hook:
            seen = self._model(inference_session=session, frame_idx=frame)
        features = session.cache.get_vision_features(frame)
        if features is not None:
            self._seen = weakref.ref(video), frame, features
        low, overlaps = outputs[0]
        masks = self._segmenter.to_frame(rearrange(low, "1 1 m h w -> m 1 h w"), video.wh)
        there = bool((seen.object_score_logits > 0).all())  # the library draws nothing for an absent object
        return masks & there, overlaps.flatten().float()

    def walk(
        self,
        video: Video,
        known: Mapping[int, Sequence[KnownMask]],
        frames: range,
        cuts: Sequence[int] = (),
    ) -> Iterator[dict[int, ObjectResult]]:
        """Follow objects along some frames, as `Engine.walk` says; `cuts` change nothing.

        Raises:
            ValueError: no object, masks or frames that do not fit the video, a step other than 1 and -1, or an
                object without a mask on the frame beside the first.
        """
        _check(video, known, frames)
        return self._walk(video, known, frames)

    def _walk(
        self, video: Video, known: Mapping[int, Sequence[KnownMask]], frames: range
    ) -> Iterator[dict[int, ObjectResult]]:
        if not frames:
            return
        given: dict[int, dict[int, Tensor]] = defaultdict(dict)
        session = self._session(video)
        for number, masks in known.items():
            session.obj_id_to_idx(number)
            for row in masks:
                given[row.frame][number] = row.mask
        for frame in sorted(given):
            self._learn(session, video, frame, given[frame])
        for frame in frames:
            found = self._look(session, video, frame, backward=frames.step < 0, given=given.get(frame, {}))
            _forget(session, frame, self._reach)
            yield found

    def _session(self, video: Video) -> Any:
        """A new session of the library, without objects."""
        import transformers

        w, h = video.wh
        session: Any = getattr(transformers, VIDEO_KINDS[self._kind].session)(
            video_height=h,
            video_width=w,
            inference_device=self.device,
            inference_state_device=self.device,
            dtype=torch.float32,
        )
        session.processed_frames = _Frames(self._segmenter, video)
        return session

    def _learn(self, session: Any, video: Video, frame: int, given: Mapping[int, Tensor]) -> None:
        """Put settled masks of a frame, object id -> (h, w), into a session's memory."""
        # In a session of their own: in this one SAM 2 would also look for the other objects there.
        apart = self._session(video)
        for number, mask in given.items():
            apart.add_mask_inputs(apart.obj_id_to_idx(number), frame, self._segmenter.mask_input(mask))
        apart.obj_with_new_inputs = list(given)
        self._model(inference_session=apart, frame_idx=frame)
        _forget(apart, frame, reach=0)
        for number in given:
            learned = apart.output_dict_per_obj[apart.obj_id_to_idx(number)]["cond_frame_outputs"][frame]
            session.store_output(session.obj_id_to_idx(number), frame, output_value=learned)

    def _look(
        self, session: Any, video: Video, frame: int, *, backward: bool, given: Mapping[int, Tensor]
    ) -> dict[int, ObjectResult]:
        """The next frame of a walk."""
        predicted: list[Tensor] = []

        def note_overlaps(module: Any, requested: Any, answer: Any) -> None:
            predicted.extend(answer[1].amax(-1).flatten())  # SAM 2 continues with the best of its candidates

        with self._model.mask_decoder.register_forward_hook(note_overlaps):
            seen = self._model(inference_session=session, frame_idx=frame, reverse=backward)
        masks = self._segmenter.to_frame(seen.pred_masks, video.wh).cpu()
        overlaps = iter(predicted)  # the decoder does not run where the mask is known
        found = {}
        for at, (number, mask) in enumerate(zip(session.obj_ids, masks, strict=True)):
            if number in given:
                found[number] = ObjectResult(given[number], float(given[number].any()), 1.0)
                continue
            logit = session.get_output(at, frame, "object_score_logits", is_conditioning_frame=False)
            there = float(logit.sigmoid())
            score = there * _probability(next(overlaps))
            if mask.any():  # the library draws nothing for an absent object
                found[number] = ObjectResult(mask, score, score)
            else:
                found[number] = ObjectResult(torch.zeros_like(mask), 0.0, 1.0 - there)
        return found

    def _encoded(self, video: Video, frame: int) -> Embedding:
        if self._last is not None:
            last_video, last_frame, embedding = self._last
            if last_video() is video and last_frame == frame:
                return embedding
        embedding = self._segmenter.encode(video.frames[frame])
        self._last = weakref.ref(video), frame, embedding  # the engine keeps no video alive
        return embedding


class _Sam2Frames(Sam2Segmenter):
    """SAM 2 or EdgeTAM on single frames; converts the video model's inputs and outputs by the same rules."""

    def frame_input(self, frame: np.ndarray) -> Tensor:
        """(h, w, 3) uint8 -> (3, side, side)."""
        return self._pixels(frame, (self.side, self.side))[0]

    def mask_input(self, mask: Tensor) -> Tensor:
        """(h, w) bool -> (1, 1, side, side) of 0 and 1."""
        mask = rearrange(mask.float(), "h w -> 1 1 h w").to(self.device)
        mask = F.interpolate(mask, size=(self.side, self.side), mode="bilinear", antialias=True)
        return (mask >= 0.5).float()

    def to_frame(self, low: Tensor, wh: tuple[int, int]) -> Tensor:
        """(o, 1, h', w') logits -> (o, h, w) masks."""
        return self._to_frame(low, wh)[:, 0] > 0


class _Sam3Frames(Sam3Segmenter, _Sam2Frames):
    """The same for the tracker of SAM 3."""


class _Frames(Mapping[int, Tensor]):
    """All frames of a video as the model takes them, each prepared on demand and not kept."""

    def __init__(self, segmenter: _Sam2Frames, video: Video) -> None:
        self._segmenter, self._video = segmenter, video

    def __len__(self) -> int:
        return len(self._video)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __getitem__(self, frame: int) -> Tensor:
        return self._segmenter.frame_input(self._video.frames[frame])


def _forget(session: Any, frame: int, reach: int) -> None:
    """Drop what SAM 2 does not read after a frame; the library keeps all of it."""
    for outputs in session.output_dict_per_obj.values():
        walked = outputs["non_cond_frame_outputs"]
        for old in [at for at in walked if abs(at - frame) > reach]:
            del walked[old]
        for output in (*walked.values(), *outputs["cond_frame_outputs"].values()):
            output.pop("high_res_masks", None)
    for tracked in session.frames_tracked_per_obj.values():
        for old in [at for at in tracked if abs(at - frame) > reach]:
            del tracked[old]


def _result(mask: Tensor, score: float) -> ObjectResult:
    score *= bool(mask.any())
    return ObjectResult(mask, score, score)


def _probability(score: Tensor) -> float:
    return float(score.clamp(0, 1))


def _check(video: Video, known: Mapping[int, Sequence[KnownMask]], frames: range) -> None:
    """Raises ValueError as `VideoEngine.walk` says."""
    if not known:
        raise ValueError("known: expected at least one object to follow, got none")
    if abs(frames.step) != 1 or not all(0 <= frame < len(video) for frame in (*frames[:1], *frames[-1:])):
        raise ValueError(f"frames: expected a range of step 1 or -1 within 0..{len(video) - 1}, got {frames}")
    start = frames.start - frames.step
    for number, masks in known.items():
        for given in masks:
            # An empty mask is valid too: it marks the object as absent.
            replace(given, mask=torch.ones_like(given.mask)).check(video, number)
        if start not in (given.frame for given in masks):
            raise ValueError(
                f"object {number}: expected a mask on frame {start}, beside the first of {frames}, "
                f"got masks on {sorted(given.frame for given in masks)}"
            )
