"""SAM 2 and its like through a video as the library itself does it, on the whole video at once."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from tests.support.tiny_sam import SIDE, SIDE_OF

WH = (50, 36)

transformers = pytest.importorskip("transformers", reason="SAM models need the extra `sam`")


SESSIONS = {
    "sam2_video": "Sam2VideoInferenceSession",
    "edgetam_video": "EdgeTamVideoInferenceSession",
    "sam3_tracker_video": "Sam3TrackerVideoInferenceSession",
}


def pixels(video, kind="sam2_video"):
    """(t, 3, side, side) by the rules of the library's video processor: bytes resized, then normalised."""
    frames = torch.from_numpy(video.frames).movedim(-1, 1).contiguous()
    frames = F.interpolate(frames, size=(SIDE_OF[kind],) * 2, mode="bilinear", antialias=True)
    rule = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]] if not kind.startswith("sam3") else [[0.5] * 3] * 2
    mean, deviation = torch.tensor(rule)[..., None, None]
    return (frames / 255 - mean) / deviation


def processor(side=SIDE):
    """The library's, without its part for pictures, which needs torchvision and takes no part here."""
    made = object.__new__(transformers.Sam2VideoProcessor)
    made.target_size = side
    made.point_pad_value = -10
    return made


def library_session(video, kind="sam2_video"):
    """The library's own, on all of a video."""
    return getattr(transformers, SESSIONS[kind])(
        video=pixels(video, kind), video_height=WH[1], video_width=WH[0],
        inference_device=torch.device("cpu"), dtype=torch.float32,
    )  # fmt: skip


def library_answer(model, video, frame, prompt, kind):
    """(h, w) bool and the predicted overlap that the library's own way gives for clicks or a box on one frame."""
    session = library_session(video, kind)
    asked = {}
    if len(prompt.points):
        asked = {"input_points": [[prompt.points.tolist()]], "input_labels": [[prompt.labels.int().tolist()]]}
    if prompt.box is not None:
        asked["input_boxes"] = [[prompt.box.tolist()]]
    processor(SIDE_OF[kind]).process_new_points_or_boxes_for_video_frame(session, frame, [1], **asked)
    heard = []
    with model.mask_decoder.register_forward_hook(lambda *call: heard.append(call[2][1].max())):
        seen = model(inference_session=session, frame_idx=frame)
    return F.interpolate(seen.pred_masks, size=WH[::-1], mode="bilinear")[0, 0] > 0, float(heard[0])


def library_walk(model, video, known, frames, kind="sam2_video"):
    """What the library's own way gives, on the whole video: frame -> logits (o, h, w), presence (o,), overlaps (o,)."""
    session = library_session(video, kind)
    by_frame = {}
    for number, masks in known.items():
        for given in masks:
            by_frame.setdefault(given.frame, {})[number] = given.mask
    start = frames.start - frames.step
    for frame in sorted(by_frame):
        processor(SIDE_OF[kind]).add_inputs_to_inference_session(
            session,
            frame_idx=frame,
            obj_ids=list(by_frame[frame]),
            input_masks=list(by_frame[frame].values()),
        )
        model(inference_session=session, frame_idx=frame)
    overlaps, heard = {}, []
    walk = model.propagate_in_video_iterator(session, start_frame_idx=start, reverse=frames.step < 0)
    logits, present = {}, {}
    with model.mask_decoder.register_forward_hook(lambda *call: heard.append(call[2][1].max())):
        for seen in walk:
            low = seen.pred_masks.clone()
            logits[seen.frame_idx] = F.interpolate(low, size=WH[::-1], mode="bilinear")[:, 0]
            present[seen.frame_idx] = seen.object_score_logits.clone().flatten()
            overlaps[seen.frame_idx] = torch.tensor(heard)
            heard.clear()
    keep = [frame for frame in frames if frame in logits]
    assert keep == list(frames)
    return SimpleNamespace(
        logits={t: logits[t] for t in keep}, present={t: present[t] for t in keep}, overlaps=overlaps, session=session
    )  # fmt: skip
