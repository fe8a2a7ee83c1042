"""Masks in YouTube-VIS's format: one .json, per object a COCO RLE for each frame, null where it is absent."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from einops import rearrange

from pointtrack.io.formats.coco import category_names
from pointtrack.io.formats.run_lengths import decoded
from pointtrack.io.outside import check_memory, whole
from pointtrack.types.masks import Masks


def content_of(masks: Masks, video_name: str) -> dict[str, Any]:
    """YouTube-VIS JSON, plus keys of our own for what it cannot hold: fps, first_frame, seconds, name, scores."""
    from pycocotools import mask as rle

    width, height = masks.wh
    names = category_names(masks)
    categories = {name: i + 1 for i, name in enumerate(dict.fromkeys(names))}
    annotations: list[dict[str, Any]] = []
    for place, number in enumerate(masks.object_ids.tolist()):
        scores = masks.scores[:, place]
        annotation = {
            "id": number,
            "video_id": 1,
            "category_id": categories[names[place]],
            "width": width,
            "height": height,
            "iscrowd": 0,
            "segmentations": [],
            "areas": [],
            "bboxes": [],
            "score": float(scores[scores > 0].mean()) if bool((scores > 0).any()) else 0.0,
            "scores": scores.tolist(),
        }
        if masks.names:
            annotation["name"] = masks.names[place]
        annotations.append(annotation)
    for frame in masks.masks.numpy():
        coded = rle.encode(np.asfortranarray(rearrange(frame, "o h w -> h w o").view(np.uint8)))
        measured = zip(annotations, coded, rle.area(coded), rle.toBbox(coded), strict=True)
        for annotation, one, area, box in measured:
            text = {"size": [height, width], "counts": one["counts"].decode("ascii")}
            annotation["segmentations"].append(text if area else None)
            annotation["areas"].append(int(area) if area else None)
            annotation["bboxes"].append([int(side) for side in box] if area else None)
    frames = range(masks.first_frame, masks.first_frame + len(masks))
    video = {
        "id": 1,
        "name": video_name,
        "width": width,
        "height": height,
        "length": len(masks),
        "file_names": [f"{video_name}/{number:05d}.jpg" for number in frames],
        "first_frame": masks.first_frame,
        "fps": masks.fps,
        **({} if masks.times is None else {"seconds": masks.times.tolist()}),
    }
    return {
        "info": {"description": "masks of one video by pointtrack, as in YouTube-VIS"},
        "videos": [video],
        "categories": [{"id": i, "name": name} for name, i in categories.items()],
        "annotations": annotations,
    }


def read(content: dict[str, Any], fps: float) -> Masks:
    """Read the masks of the only video; ValueError or KeyError for other content."""
    if len(content["videos"]) != 1:
        raise ValueError(f"it holds {len(content['videos'])} videos")
    video, annotations = content["videos"][0], content["annotations"]
    categories = {entry["id"]: entry["name"] for entry in content.get("categories", [])}
    t, h, w = (whole(video[name], name, least=1, most=1 << 20) for name in ("length", "height", "width"))
    check_memory(t * len(annotations) * h * w, "masks")
    masks = np.zeros((t, len(annotations), h, w), bool)
    scores = np.zeros((t, len(annotations)), np.float32)
    for place, annotation in enumerate(annotations):
        if len(annotation["segmentations"]) != t:
            raise ValueError(
                f"object {annotation['id']} has {len(annotation['segmentations'])} frames, the video {t}"
            )
        for row, segment in enumerate(annotation["segmentations"]):
            if segment:
                masks[row, place] = decoded(segment, h, w)
        scores[:, place] = annotation.get("scores", annotation.get("score", 1.0))
    named = any("name" in annotation for annotation in annotations) or "first_frame" not in video
    names = [entry.get("name", categories.get(entry.get("category_id"), "")) for entry in annotations]
    found = Masks(
        torch.from_numpy(masks),
        torch.tensor([entry["id"] for entry in annotations], dtype=torch.int64),
        torch.from_numpy(scores),
        first_frame=int(video.get("first_frame", 0)),
        fps=float(video.get("fps", fps)),
        names=tuple(names) if named else (),
    )
    return found.with_times(np.asarray(video["seconds"], float)) if "seconds" in video else found
