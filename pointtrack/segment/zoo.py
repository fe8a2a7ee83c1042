"""Segmenters by name."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pointtrack.models.device import pick_device
from pointtrack.models.hub import fetch
from pointtrack.segment.base import Segmenter
from pointtrack.segment.sam import SamHqSegmenter, SamSegmenter
from pointtrack.segment.sam2 import Sam2Segmenter

log = logging.getLogger(__name__)

SHIPPED = "small"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
OLDEST_TRANSFORMERS = "4.56"


@dataclass(frozen=True)
class Published:
    """A published segmenter.

    Attributes:
        kind: `model_type` of its config.json.
        repo: where it lies on the Hugging Face hub.
        licence: SPDX name of the licence of its weights.
    """

    kind: str
    repo: str
    licence: str = "Apache-2.0"


@dataclass(frozen=True)
class Kind:
    """How models of a `model_type` are loaded: names of their classes in `transformers`, and our adapter."""

    config: str
    model: str
    adapter: type[SamSegmenter]


PUBLISHED = {
    "sam-vit-b": Published("sam", "facebook/sam-vit-base"),
    "sam-vit-l": Published("sam", "facebook/sam-vit-large"),
    "sam-vit-h": Published("sam", "facebook/sam-vit-huge"),
    "sam-hq-vit-b": Published("sam_hq", "syscv-community/sam-hq-vit-base"),
    "sam-hq-vit-l": Published("sam_hq", "syscv-community/sam-hq-vit-large"),
    "sam-hq-vit-h": Published("sam_hq", "syscv-community/sam-hq-vit-huge"),
    **{
        f"{version}-hiera-{size}": Published("sam2", f"facebook/{version}-hiera-{size}")
        for version in ("sam2", "sam2.1")
        for size in ("tiny", "small", "base-plus", "large")
    },
}
BY_REPO = {row.repo: name for name, row in PUBLISHED.items()}
KINDS = {
    "sam": Kind("SamConfig", "SamModel", SamSegmenter),
    "sam_hq": Kind("SamHQConfig", "SamHQModel", SamHqSegmenter),
    "sam2": Kind("Sam2Config", "Sam2Model", Sam2Segmenter),
}
# The published SAM 2 files hold the video model, of which the image model is a part.
PART_OF = {"sam2_video": "sam2"}
VIDEO_KIND, VIDEO_CONFIG, VIDEO_MODEL = "sam2_video", "Sam2VideoConfig", "Sam2VideoModel"


@dataclass(frozen=True, eq=False)
class VideoModel:
    """SAM 2 as published: the model for video, and the one for single frames over the same weights.

    Attributes:
        video: a `transformers.Sam2VideoModel`, on `device` and set to evaluate.
        image: a `transformers.Sam2Model` whose weights are those of `video`, not a copy.
        name, licence: as those of a segmenter.
        device: where both are.
    """

    video: Any
    image: Any
    name: str
    licence: str
    device: torch.device


def load_segmenter(
    name: str | Path = SHIPPED,
    *,
    checkpoint: str | Path | None = None,
    device: str | torch.device = "auto",
) -> Segmenter:
    """Load a segmenter, ready to use.

    Args:
        name: "small", the model that ships with the package; a published model, whose weights come from the
            Hugging Face hub unless `checkpoint` is given: "sam-vit-b", "-l", "-h", "sam-hq-vit-b", "-l",
            "-h", "sam2-hiera-tiny", "-small", "-base-plus", "-large" and the same of "sam2.1"; the folder,
            or the "owner/name" on the hub, of another SAM, SAM-HQ or SAM 2 in the format of `transformers`;
            or the .safetensors file of another model like "small". All SAMs need the extra `sam`.
        checkpoint: with a published model, the folder that holds its config.json and model.safetensors (or
            one of these two files), instead of the hub; with "small", the file with other weights for it.
        device: "cpu", "cuda", ...; "auto" takes the GPU where there is one.

    Raises:
        FileNotFoundError: neither a known name nor a folder, or a folder without one of the two files.
        ConnectionError, PermissionError: the hub cannot be reached, or does not give the files.
        ImportError: the extra `sam` is not installed, or too old.
        ValueError: files that do not hold that segmenter, or a device that this machine does not have.
    """
    name = BY_REPO.get(str(name), str(name))
    where = pick_device(device)
    if name == SHIPPED:
        return _load_small(checkpoint, where)
    if name.endswith(".safetensors") and checkpoint is None:
        return _load_small(name, where)
    folder = _find(name, checkpoint)
    kind = _kind_of(folder)
    kind = PART_OF.get(kind, kind)
    row = PUBLISHED.get(name)
    if row is not None and kind != row.kind:
        raise _not_that_kind(folder, name, row.kind, kind)
    model = _load_model(folder, kind, KINDS[kind].config, KINDS[kind].model)
    segmenter = KINDS[kind].adapter(model, *_called(name, folder), where)
    log.info("segmenter %s from %s, licence %s, on %s", segmenter.name, folder, segmenter.licence, where)
    return segmenter


def load_video_model(
    name: str | Path, *, checkpoint: str | Path | None = None, device: str | torch.device = "auto"
) -> VideoModel:
    """Load a SAM 2 that follows objects through a video; `pointtrack.objects.load_sam2_video` is its user.

    Args:
        name: of the published models of `load_segmenter` those of SAM 2, or the folder, or the "owner/name" on
            the hub, of another SAM 2 for video in the format of `transformers`.
        checkpoint, device: as for `load_segmenter`.

    Raises:
        FileNotFoundError, ConnectionError, PermissionError, ImportError: as `load_segmenter`.
        ValueError: a model that does not follow objects, files that do not hold that model, or a device that this
            machine does not have.
    """
    name = BY_REPO.get(str(name), str(name))
    row = PUBLISHED.get(name)
    if name == SHIPPED or (row is not None and row.kind != PART_OF[VIDEO_KIND]):
        able = [other for other, row in PUBLISHED.items() if row.kind == PART_OF[VIDEO_KIND]]
        raise ValueError(
            f"{name}: expected a model that follows objects, got one for single frames; "
            f"choose one of {', '.join(able)}"
        )
    where = pick_device(device)
    transformers = _transformers([VIDEO_MODEL])
    folder = _find(name, checkpoint)
    kind = _kind_of(folder)
    if kind != VIDEO_KIND:
        raise _not_that_kind(folder, name if row else "SAM 2 for video", VIDEO_KIND, kind)
    video = _load_model(folder, kind, VIDEO_CONFIG, VIDEO_MODEL)
    video = video.float().eval().requires_grad_(False).to(where)
    model = VideoModel(video, _image_part(transformers, video), *_called(name, folder), where)
    log.info("video model %s from %s, licence %s, on %s", model.name, folder, model.licence, where)
    return model


def _image_part(transformers: Any, video: Any) -> Any:
    """The model for single frames over the tensors of the one for video."""
    part = KINDS[PART_OF[VIDEO_KIND]]
    with torch.device("meta"):  # without storage: all of it is given below
        image = getattr(transformers, part.model)(
            getattr(transformers, part.config).from_dict(video.config.to_dict())
        )
    own = image.state_dict().keys()
    image.load_state_dict({key: x for key, x in video.state_dict().items() if key in own}, assign=True)
    return image.eval().requires_grad_(False)


def _called(name: str, folder: Path) -> tuple[str, str]:
    """Name and licence of a model that was asked for by `name` and found in `folder`."""
    if name in PUBLISHED:
        return name, PUBLISHED[name].licence
    return Path(name).name or folder.resolve().name, "unknown"


def _not_that_kind(folder: Path, expected: str, kind: str, got: str) -> ValueError:
    return ValueError(
        f"{folder}: expected {expected}, a model of type {kind}, got one of type {got}; "
        "pass the folder of that model, or the folder in the place of the name"
    )


def _load_small(checkpoint: str | Path | None, device: torch.device) -> Segmenter:
    from pointtrack.segment.small import load_small  # here: whoever loads a SAM does not need it

    return load_small(device=device) if checkpoint is None else load_small(checkpoint, device=device)


def _find(name: str, checkpoint: str | Path | None) -> Path:
    """The folder with the config and the weights."""
    if checkpoint is not None:
        if name not in PUBLISHED:
            raise ValueError(
                f"checkpoint: expected with {SHIPPED} or one of {', '.join(PUBLISHED)}, got it with {name!r}; "
                "pass the folder in the place of the name"
            )
        path = Path(checkpoint)
        return _complete(path.parent if path.is_file() else path)
    if name in PUBLISHED:
        return _download(PUBLISHED[name].repo)
    if Path(name).is_dir():
        return _complete(Path(name))
    if re.fullmatch(r"[\w.-]*[\w-]/[\w.-]+", name):
        return _download(name)
    raise FileNotFoundError(
        f"segmenter {name!r}: expected {SHIPPED}, one of {', '.join(PUBLISHED)}, a folder with {CONFIG} and "
        f"{WEIGHTS}, or owner/name of a model on the Hugging Face hub"
    )


def _download(repo: str) -> Path:
    """Both files of a repository, which the hub's cache keeps in one folder."""
    _transformers()  # better told before gigabytes are fetched than after
    fetch(repo, CONFIG)
    return fetch(repo, WEIGHTS).parent


def _complete(folder: Path) -> Path:
    missing = [file for file in (CONFIG, WEIGHTS) if not (folder / file).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder}: expected a folder with {CONFIG} and {WEIGHTS}, found no {' and no '.join(missing)}; "
            "copy the files of the model's page on the Hugging Face hub there"
        )
    return folder


def _kind_of(folder: Path) -> str:
    """Key of KINDS or of PART_OF."""
    try:
        kind = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"{folder / CONFIG}: expected a JSON object, got something else ({error}); copy the file again"
        ) from error
    if kind not in (*KINDS, *PART_OF):
        raise ValueError(
            f"{folder / CONFIG}: expected a model_type of {', '.join([*KINDS, *PART_OF])}, got {kind!r}; "
            "pass the folder of a SAM, SAM-HQ or SAM 2"
        )
    return kind


def _load_model(folder: Path, kind: str, config_class: str, model_class: str) -> Any:
    """The library's model of that class with the weights of a folder."""
    transformers = _transformers([model_class])
    settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    try:
        # The config is made here so that a video model's is taken for its part without a warning.
        config = getattr(transformers, config_class).from_dict(settings)
        model, told = getattr(transformers, model_class).from_pretrained(
            folder, config=config, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # the library has no error of its own for files that do not fit
        raise _not_those_weights(folder, kind, str(error)) from error
    # The library only warns of these, and leaves such weights random.
    missing = sorted(told.get("missing_keys", ()))
    if missing:
        raise _not_those_weights(folder, kind, f"{len(missing)} tensors are missing, such as {missing[0]}")
    return model


def _not_those_weights(folder: Path, kind: str, reason: str) -> ValueError:
    first_lines = "\n  ".join(reason.strip().splitlines()[:8])
    return ValueError(
        f"{folder}: expected the config and the weights of a model of type {kind}, got others; "
        f"copy both files of one model again\n  {first_lines}"
    )


def _transformers(needed: Iterable[str] = ()) -> Any:
    """The library, imported only where one of its models is asked for: it takes seconds.

    Args:
        needed: names of the classes that it must have, besides those of KINDS.
    """
    how = f'install it with: pip install "pointtrack[sam]" (transformers {OLDEST_TRANSFORMERS} or later)'
    try:
        import transformers
    except ImportError as error:
        raise ImportError(
            f"SAM models need the transformers library, which is not installed; {how}"
        ) from error
    named = dict.fromkeys([*(kind.model for kind in KINDS.values()), *needed])
    missing = [model for model in named if not hasattr(transformers, model)]
    if missing:
        raise ImportError(
            f"SAM models: expected a transformers with {', '.join(missing)}, got {transformers.__version__}; {how}"
        )
    return transformers
