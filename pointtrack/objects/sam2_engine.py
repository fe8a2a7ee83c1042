"""SAM 2's own way through a video, over the model of the `transformers` library, as an engine for sessions."""

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

from pointtrack.objects.answer import answer_prompt, answer_prompt_variously
from pointtrack.objects.engine import ObjectResult
from pointtrack.objects.point_prompts import KnownMask
from pointtrack.segment.base import Embedding, Prompt
from pointtrack.segment.sam2 import Sam2Segmenter
from pointtrack.segment.zoo import VideoModel, load_video_model
from pointtrack.types import Video


def load_sam2_video(
    name: str | Path = "sam2.1-hiera-tiny",
    *,
    checkpoint: str | Path | None = None,
    device: str | torch.device = "auto",
) -> Sam2VideoEngine:
    """Load SAM 2 to follow objects through videos.

    Args:
        name: "sam2-hiera-tiny", "-small", "-base-plus", "-large" or the same of "sam2.1", whose weights come from
            the Hugging Face hub unless `checkpoint` is given; or the folder, or the "owner/name" on the hub, of
            another SAM 2 for video in the format of `transformers`. All need the extra `sam`.
        checkpoint: with a published model, the folder that holds its config.json and model.safetensors (or one of
            these two files), instead of the hub.
        device: "cpu", "cuda", ...; "auto" takes the GPU where there is one.

    Raises:
        FileNotFoundError: neither a known name nor a folder, or a folder without one of the two files.
        ConnectionError, PermissionError: the hub cannot be reached, or does not give the files.
        ImportError: the extra `sam` is not installed, or too old.
        ValueError: a model that does not follow objects, files that do not hold that model, or a device that this
            machine does not have.
    """
    return Sam2VideoEngine(load_video_model(name, checkpoint=checkpoint, device=device))


class Sam2VideoEngine:
    """SAM 2 as an `Engine`: every settled mask is in its memory, beside the last few frames that it walked.

    A cut is not told to SAM 2: its memory goes on, and what it finds after the cut is there by its looks.

    Scores are the probability that the object is there, times the overlap (IoU) with the true mask that SAM 2
    predicts for its own; on a frame of which the object's mask is known, that mask comes back, with quality 1.

    Memory does not grow with the frames walked; it does with the masks known, all of which SAM 2 reads on every frame.

    Args:
        model: from `load_video_model`; `load_sam2_video` makes the engine by name.

    Source: Ravi et al., SAM 2: Segment Anything in Images and Videos, 2024; inference is that of
    `transformers.Sam2VideoModel` on a whole video, of which only the frames in work are prepared.
    """

    def __init__(self, model: VideoModel) -> None:
        self.name, self.licence, self.device = model.name, model.licence, model.device
        self._model = model.video
        self._segmenter = _Segmenter(model.image, model.name, model.licence, model.device)
        config = model.video.config
        # So many frames back SAM 2 looks for memories of the object's place, or for pointers to it.
        self._reach = max(config.num_maskmem, config.max_object_pointers_in_encoder)
        self._last: tuple[weakref.ref[Video], int, Embedding] | None = None

    def answer(self, video: Video, frame: int, prompt: Prompt, before: Tensor | None = None) -> ObjectResult:
        """What SAM 2 makes of a prompt on that frame alone, as `Engine.answer` says.

        The score is the overlap (IoU) that SAM 2 predicts. The frame asked about last is not encoded again.

        Raises:
            ValueError: a frame that the video does not have, or a prompt outside the frame.
        """
        if not 0 <= frame < len(video):
            raise ValueError(f"prompt: expected a frame in 0..{len(video) - 1}, got {frame}")
        return answer_prompt(
            self._segmenter, video.frames[frame], self._encoded(video, frame), prompt, before
        )

    def answers(
        self, video: Video, frame: int, prompt: Prompt, before: Tensor | None = None
    ) -> list[ObjectResult]:
        """All that a prompt may mean; see `Engine.answers`."""
        encoded = self._encoded(video, frame)
        return answer_prompt_variously(self._segmenter, video.frames[frame], encoded, prompt, before)

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
        """One of the library's, without objects."""
        from transformers import Sam2VideoInferenceSession

        w, h = video.wh
        session: Any = Sam2VideoInferenceSession(
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

        def listen(module: Any, requested: Any, answer: Any) -> None:
            predicted.extend(answer[1].amax(-1).flatten())  # SAM 2 goes on with the best of its candidates

        with self._model.mask_decoder.register_forward_hook(listen):
            seen = self._model(inference_session=session, frame_idx=frame, reverse=backward)
        masks = self._segmenter.to_frame(seen.pred_masks, video.wh).cpu()
        overlaps = iter(predicted)  # the decoder is not asked where the mask is known
        found = {}
        for at, (number, mask) in enumerate(zip(session.obj_ids, masks, strict=True)):
            if number in given:
                found[number] = ObjectResult(given[number], float(given[number].any()), 1.0)
                continue
            logit = session.get_output(at, frame, "object_score_logits", is_conditioning_frame=False)
            there = float(logit.sigmoid())
            score = there * _probability(next(overlaps))
            if mask.any():  # of an absent object the library draws nothing
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


class _Segmenter(Sam2Segmenter):
    """SAM 2 on single frames, and what goes into the video model and comes out of it by the same rules."""

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


class _Frames(Mapping[int, Tensor]):
    """All frames of a video as the model takes them, each prepared when it is asked for and not kept."""

    def __init__(self, segmenter: _Segmenter, video: Video) -> None:
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


def _probability(score: Tensor) -> float:
    return float(score.clamp(0, 1))


def _check(video: Video, known: Mapping[int, Sequence[KnownMask]], frames: range) -> None:
    """Raises ValueError as `Sam2VideoEngine.walk` says."""
    if not known:
        raise ValueError("known: expected at least one object to follow, got none")
    if abs(frames.step) != 1 or not all(0 <= frame < len(video) for frame in (*frames[:1], *frames[-1:])):
        raise ValueError(f"frames: expected a range of step 1 or -1 within 0..{len(video) - 1}, got {frames}")
    start = frames.start - frames.step
    for number, masks in known.items():
        for given in masks:
            # An empty mask is one too: there the object is known to be absent.
            replace(given, mask=torch.ones_like(given.mask)).check(video, number)
        if start not in (given.frame for given in masks):
            raise ValueError(
                f"object {number}: expected a mask on frame {start}, beside the first of {frames}, "
                f"got masks on {sorted(given.frame for given in masks)}"
            )
