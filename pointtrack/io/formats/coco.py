"""Masks in COCO's format: one .json with an image for each frame, and an annotation for each object on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange

from pointtrack.io.formats.run_lengths import decoded
from pointtrack.io.outside import check_memory, finite, whole
from pointtrack.io.video import write_image
from pointtrack.types import Masks, Video


def picture_name(frame: int) -> str:
    """The file name of a frame, as CVAT names the frames of a video."""
    return f"frame_{frame:06d}"


def category_names(masks: Masks) -> list[str]:
    """The names of the o objects, "object" for those without one."""
    return [name or "object" for name in masks.names] or ["object"] * len(masks.object_ids)


def content_of(masks: Masks, video_name: str) -> dict[str, Any]:
    """Images, annotations with compressed RLE, and categories; keys of our own for what COCO cannot hold."""
    from pycocotools import mask as rle

    width, height = masks.wh
    names, ids = category_names(masks), masks.object_ids.tolist()
    categories = {name: i + 1 for i, name in enumerate(dict.fromkeys(names))}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for t, frame in enumerate(masks.masks.numpy()):
        number = masks.first_frame + t
        # Ids start at 1 because some readers take 0 for none.
        images.append(
            {
                "id": number + 1,
                "file_name": f"{picture_name(number)}.jpg",
                "width": width,
                "height": height,
                "frame_index": number,
                "video": video_name,
            }
        )
        coded = rle.encode(np.asfortranarray(rearrange(frame, "o h w -> h w o").view(np.uint8)))
        for place, (one, area, box) in enumerate(zip(coded, rle.area(coded), rle.toBbox(coded), strict=True)):
            if area:
                annotation: dict[str, Any] = {
                    "id": len(annotations) + 1,
                    "image_id": number + 1,
                    "category_id": categories[names[place]],
                    "segmentation": {"size": [height, width], "counts": one["counts"].decode("ascii")},
                    "area": float(area),
                    "bbox": [float(side) for side in box],
                    "iscrowd": 0,
                    "score": float(masks.scores[t, place]),
                    "attributes": {"track_id": ids[place], "occluded": False},
                }
                if masks.names:
                    annotation["attributes"]["name"] = masks.names[place]
                annotations.append(annotation)
    if masks.times is not None:
        for image, seconds in zip(images, masks.times.tolist(), strict=True):
            image["seconds"] = seconds
    objects = [
        {"id": number, **({"name": masks.names[place]} if masks.names else {})}
        for place, number in enumerate(ids)
    ]
    return {
        "info": {
            "description": f"masks of {video_name} by pointtrack",
            "fps": masks.fps,
            "objects": objects,
        },
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i, "name": name, "supercategory": ""} for name, i in categories.items()],
    }


def write_pictures(folder: Path, masks: Masks, video: Video) -> None:
    """Write the frames of the masks as .jpg, under the names that `content_of` gives them."""
    for t in range(len(masks)):
        number = masks.first_frame + t
        write_image(folder / f"{picture_name(number)}.jpg", video.frames[number])


def read(content: dict[str, Any], fps: float) -> Masks:
    """Read the masks of one video; ValueError or KeyError for other content.

    Frames are the images in the order of `frame_index`, or else in natural order of their names. Annotations with
    the same `attributes.track_id` (CVAT), `track_id` or `instance_id` are one object.
    """
    images = sorted(content["images"], key=_order)
    if not images:
        raise ValueError("it holds no images")
    sizes = {
        tuple(whole(image[side], side, least=1, most=1 << 20) for side in ("height", "width"))
        for image in images
    }
    if len(sizes) != 1:
        raise ValueError(f"its images are of different sizes: {sorted(sizes)[:3]}")
    ((h, w),) = sizes
    first = int(images[0].get("frame_index", 0))
    rows = {image["id"]: row for row, image in enumerate(images)}
    if any("frame_index" in image and image["frame_index"] != first + rows[image["id"]] for image in images):
        raise ValueError("its frame_index are not frame after frame")
    categories = {entry["id"]: entry["name"] for entry in content.get("categories", [])}
    info = content.get("info", {})
    # In our own files, in the stored order and with objects that never appear; otherwise in order of appearance.
    columns = {int(one["id"]): place for place, one in enumerate(info.get("objects", ()))}
    names = {int(one["id"]): str(one["name"]) for one in info.get("objects", ()) if "name" in one}
    for annotation in content["annotations"]:
        number = _track(annotation)
        columns.setdefault(number, len(columns))
        name = annotation.get("attributes", {}).get("name")
        category = categories.get(annotation.get("category_id"), "")
        names.setdefault(number, str(category if name is None else name))
    check_memory(len(images) * len(columns) * h * w, "masks")
    masks = np.zeros((len(images), len(columns), h, w), bool)
    scores = np.zeros(masks.shape[:2], np.float32)
    for annotation in content["annotations"]:
        place = rows[annotation["image_id"]], columns[_track(annotation)]
        segment = annotation["segmentation"]
        masks[place] |= decoded(segment, h, w)
        scores[place] = finite(annotation.get("score", 1.0), "score", least=0, most=1)
    named = tuple(names.get(number, "") for number in columns)
    found = Masks(
        torch.from_numpy(masks),
        torch.tensor(list(columns), dtype=torch.int64),
        torch.from_numpy(scores),
        first_frame=first,
        fps=float(info.get("fps", fps)),
        names=() if all(name in ("", "object") for name in named) else named,
    )
    if any("seconds" not in image for image in images):
        return found
    return found.with_times(np.array([finite(image["seconds"], "seconds") for image in images]))


def _order(image: dict[str, Any]) -> list[Any]:
    if "frame_index" in image:
        return [int(image["frame_index"])]
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", str(image["file_name"]))]


def _track(annotation: dict[str, Any]) -> int:
    inner = annotation.get("attributes", {})
    for number in (inner.get("track_id"), annotation.get("track_id"), annotation.get("instance_id")):
        if number is not None:
            return int(number)
    raise ValueError(
        f"annotation {annotation['id']} does not say which object it is: expected attributes.track_id"
    )
