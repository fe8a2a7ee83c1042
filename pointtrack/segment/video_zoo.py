"""Published models that follow objects through a video, by name."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pointtrack.layers.unfilled import unfilled
from pointtrack.models.device import pick_device
from pointtrack.models.pins import pinned_revision
from pointtrack.segment.zoo import (
    BY_REPO,
    KINDS,
    PART_OF,
    PUBLISHED,
    SHIPPED,
    WEIGHTS_FILE,
    find_folder,
    kind_of,
    load_library_model,
    name_and_licence,
    transformers_with,
    wrong_kind,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoKind:
    """Names of the `transformers` classes for a `model_type`: of the config, the model, and a video in progress."""

    config: str
    model: str
    session: str


VIDEO_KINDS = {
    "sam2_video": VideoKind("Sam2VideoConfig", "Sam2VideoModel", "Sam2VideoInferenceSession"),
    "edgetam_video": VideoKind("EdgeTamVideoConfig", "EdgeTamVideoModel", "EdgeTamVideoInferenceSession"),
    "sam3_tracker_video": VideoKind(
        "Sam3TrackerVideoConfig", "Sam3TrackerVideoModel", "Sam3TrackerVideoInferenceSession"
    ),
    "sam3_video": VideoKind("Sam3VideoConfig", "Sam3TrackerVideoModel", "Sam3TrackerVideoInferenceSession"),
}


@dataclass(frozen=True, eq=False)
class VideoModel:
    """A published model for video, and the one for single frames with the same weights.

    Attributes:
        video: a model of `transformers`, on `device` and in evaluation mode.
        image: the library's model for single frames; it shares the weights of `video`.
        kind: key of VIDEO_KINDS.
        name, licence: as in a segmenter.
        device: the device of both.
    """

    video: Any
    image: Any
    kind: str
    name: str
    licence: str
    device: torch.device


def load_video_model(
    name: str | Path, *, checkpoint: str | Path | None = None, device: str | torch.device = "auto"
) -> VideoModel:
    """Load a model that follows objects through a video, for `pointtrack.objects.video_engine.load_video_engine`.

    Args:
        name: one of `load_segmenter`'s published models of SAM 2, "edgetam" or "sam3"; or the folder, or the
            "owner/name" on the hub, of another video model in the format of `transformers`.
        checkpoint, device: as in `load_segmenter`.

    Raises:
        FileNotFoundError, ConnectionError, PermissionError, ImportError: as in `load_segmenter`.
        ValueError: the model does not follow objects, the files do not hold that model, or this machine lacks the
            device.
    """
    name = BY_REPO.get(str(name), str(name))
    row = PUBLISHED.get(name)
    if name == SHIPPED or (row is not None and row.kind not in PART_OF.values()):
        raise ValueError(
            f"{name}: expected a model that follows objects, got one for single frames; "
            f"choose one of {', '.join(video_names())}"
        )
    where = pick_device(device)
    transformers_with([])
    folder = find_folder(name, checkpoint)
    kind = kind_of(folder)
    if kind not in VIDEO_KINDS or (row is not None and PART_OF[kind] != row.kind):
        wanted = [one for one, part in PART_OF.items() if row is None or part == row.kind]
        raise wrong_kind(folder, name if row else "a model for video", " or ".join(wanted), kind)
    classes = VIDEO_KINDS[kind]
    video = load_library_model(folder, kind, classes.config, classes.model)
    video = video.float().eval().requires_grad_(False).to(where)
    model = VideoModel(video, image_part(video, kind), kind, *name_and_licence(name, folder), where)
    log.info("video model %s from %s, licence %s, on %s", model.name, folder, model.licence, where)
    return model


def video_names() -> list[str]:
    """Names of the published models that follow objects."""
    return [name for name, row in PUBLISHED.items() if row.kind in PART_OF.values()]


def cached_video_names() -> list[str]:
    """Those whose weights are in the hub's cache, ready to use; none without the extra `sam`."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return []
    repos = {name: PUBLISHED[name].repo for name in video_names()}
    cached = [
        name
        for name, repo in repos.items()
        if isinstance(try_to_load_from_cache(repo, WEIGHTS_FILE, revision=pinned_revision(repo)), str)
    ]
    if cached:  # the library takes seconds to import, so do not import it for an empty cache
        try:
            transformers_with([])
        except ImportError:
            return []
    return cached


def image_part(video: Any, kind: str) -> Any:
    """The model for single frames that shares the tensors of a video model of a `kind`."""
    part = KINDS[PART_OF[kind]]
    transformers = transformers_with([part.model])
    with unfilled():  # without storage, as all tensors are set below
        image = getattr(transformers, part.model)(
            getattr(transformers, part.config).from_dict(video.config.to_dict())
        )
    own = image.state_dict().keys()
    image.load_state_dict({key: x for key, x in video.state_dict().items() if key in own}, assign=True)
    tables = dict(video.named_buffers())
    for name, buffer in list(image.named_buffers()):
        if buffer.is_meta:  # computed from the config, and not in any file
            module, _, last = name.rpartition(".")
            image.get_submodule(module).register_buffer(last, tables[name], persistent=False)
    return image.eval().requires_grad_(False)
