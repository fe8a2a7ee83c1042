"""Segmenters by name."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pointtrack.io.outside import read_json
from pointtrack.models.device import pick_device
from pointtrack.models.hub import fetch
from pointtrack.segment.base import Segmenter
from pointtrack.segment.sam import SamHqSegmenter, SamSegmenter
from pointtrack.segment.sam2 import Sam2Segmenter, Sam3Segmenter

log = logging.getLogger(__name__)

SHIPPED = "small"
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
LARGEST_CONFIG = 1 << 24  # bytes
OLDEST_TRANSFORMERS = "4.56"


@dataclass(frozen=True)
class Published:
    """A published segmenter.

    Attributes:
        kind: `model_type` of its config.json.
        repo: its repository on the Hugging Face hub.
        licence: SPDX name of the licence of its weights.
    """

    kind: str
    repo: str
    licence: str = "Apache-2.0"


@dataclass(frozen=True)
class Kind:
    """How to load models of a `model_type`: names of their classes in `transformers`, and our adapter."""

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
    "edgetam": Published("edgetam", "yonigozlan/EdgeTAM-hf"),
    "sam3": Published("sam3_tracker", "facebook/sam3", "LicenseRef-SAM"),
}
BY_REPO = {row.repo: name for name, row in PUBLISHED.items()}
KINDS = {
    "sam": Kind("SamConfig", "SamModel", SamSegmenter),
    "sam_hq": Kind("SamHQConfig", "SamHQModel", SamHqSegmenter),
    "sam2": Kind("Sam2Config", "Sam2Model", Sam2Segmenter),
    "edgetam": Kind("EdgeTamConfig", "EdgeTamModel", Sam2Segmenter),
    "sam3_tracker": Kind("Sam3TrackerConfig", "Sam3TrackerModel", Sam3Segmenter),
}
# Kinds whose published files hold the video model, of which the image model is a part.
PART_OF = {
    "sam2_video": "sam2",
    "edgetam_video": "edgetam",
    "sam3_tracker_video": "sam3_tracker",
    "sam3_video": "sam3_tracker",
}
# Class of the config of files that hold a detector beside the tracker, by `model_type`.
CONFIGS_OF_WHOLE = {"sam3_video": "Sam3VideoConfig"}
# Kinds that every supported version of transformers has; the others are checked where they are needed.
OLD_KINDS = ("sam", "sam_hq", "sam2")


def load_segmenter(
    name: str | Path = SHIPPED,
    *,
    checkpoint: str | Path | None = None,
    device: str | torch.device = "auto",
    precision: str = "float32",
) -> Segmenter:
    """Load a segmenter, ready to use.

    Args:
        name: "small", the model that ships with the package; a published model, whose weights come from the
            Hugging Face hub unless `checkpoint` is given: "sam-vit-b", "-l", "-h", "sam-hq-vit-b", "-l",
            "-h", "sam2-hiera-tiny", "-small", "-base-plus", "-large" and the same of "sam2.1", "edgetam", "sam3";
            the folder, or the "hf:owner/name" on the hub, of another model of these kinds in the format of
            `transformers`; or the .safetensors file of another model like "small". All SAMs need the extra `sam`.
        checkpoint: for a published model, the folder that holds its config.json and model.safetensors (or one of these
            two files), in place of the hub; for "small", a file with other weights.
        device: "cpu", "cuda", ...; "auto" takes the GPU if there is one.
        precision: "float32", or "bfloat16" on processors that support it. It applies to models like "small"; published
            models always compute in float32.

    Raises:
        FileNotFoundError: `name` is neither a known name nor a folder, or the folder lacks one of the two files.
        ConnectionError, PermissionError: the hub cannot be reached, or refuses the files.
        ImportError: the extra `sam` is not installed, or too old.
        ValueError: the files do not hold that segmenter, or this machine lacks the device.
    """
    name = BY_REPO.get(str(name), str(name))
    where = pick_device(device)
    if name == SHIPPED:
        return _load_small(checkpoint, where, precision)
    if name.endswith(".safetensors") and checkpoint is None:
        return _load_small(name, where, precision)
    folder = find_folder(name, checkpoint)
    given = kind_of(folder)
    kind = PART_OF.get(given, given)
    row = PUBLISHED.get(name)
    if row is not None and kind != row.kind:
        raise wrong_kind(folder, name, row.kind, kind)
    config = CONFIGS_OF_WHOLE.get(given, KINDS[kind].config)
    model = load_library_model(folder, kind, config, KINDS[kind].model)
    segmenter = KINDS[kind].adapter(model, *name_and_licence(name, folder), where)
    log.info("segmenter %s from %s, licence %s, on %s", segmenter.name, folder, segmenter.licence, where)
    return segmenter


def name_and_licence(name: str, folder: Path) -> tuple[str, str]:
    """Name and licence of a model requested as `name` and found in `folder`."""
    if name in PUBLISHED:
        return name, PUBLISHED[name].licence
    return Path(name).name or folder.resolve().name, "unknown"


def wrong_kind(folder: Path, expected: str, kind: str, got: str) -> ValueError:
    """The error for a folder with a model of the type `got`, where `expected`, of the type `kind`, was requested."""
    return ValueError(
        f"{folder}: expected {expected}, a model of type {kind}, got one of type {got}; "
        "pass the folder of that model, or the folder in the place of the name"
    )


def _load_small(checkpoint: str | Path | None, device: torch.device, precision: str) -> Segmenter:
    from pointtrack.segment.small import load_small  # here, as SAM does not need it

    chosen = [] if checkpoint is None else [checkpoint]
    return load_small(*chosen, device=device, precision=precision)


def find_folder(name: str, checkpoint: str | Path | None) -> Path:
    """The folder with the config and the weights of a model: `checkpoint`, `name` itself, or one in the hub's cache.

    Raises what `load_segmenter` raises for files that are not there.
    """
    if checkpoint is not None:
        if name not in PUBLISHED:
            raise ValueError(
                f"checkpoint: expected with {SHIPPED} or one of {', '.join(PUBLISHED)}, got it with {name!r}; "
                "pass the folder in the place of the name"
            )
        path = Path(checkpoint)
        return _complete(path.parent if path.is_file() else path)
    if name in PUBLISHED:
        try:
            return _download(PUBLISHED[name].repo)
        except ConnectionError as error:
            raise ConnectionError(
                f"segmenter {name}: {error}, or put a folder with {CONFIG_FILE} and {WEIGHTS_FILE} in the place of the name; "
                f"`pointtrack models --download {name}` fills the cache"
            ) from error
    if Path(name).is_dir():
        return _complete(Path(name))
    # With "hf:" alone, as a mistyped path must not become a download.
    if re.fullmatch(r"hf:[\w.-]*[\w-]/[\w.-]+", name):
        return _download(name.removeprefix("hf:"))
    raise FileNotFoundError(
        f"segmenter {name!r}: expected {SHIPPED}, one of {', '.join(PUBLISHED)}, a folder with {CONFIG_FILE} and "
        f"{WEIGHTS_FILE}, or hf:owner/name of a model on the Hugging Face hub"
    )


def _download(repo: str) -> Path:
    """Both files of a repository, which the hub's cache keeps in one folder."""
    transformers_with()  # fail before downloading gigabytes, not after
    fetch(repo, CONFIG_FILE)
    return fetch(repo, WEIGHTS_FILE).parent


def _complete(folder: Path) -> Path:
    missing = [file for file in (CONFIG_FILE, WEIGHTS_FILE) if not (folder / file).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder}: expected a folder with {CONFIG_FILE} and {WEIGHTS_FILE}, found no {' and no '.join(missing)}; "
            "copy the files of the model's page on the Hugging Face hub there"
        )
    return folder


def kind_of(folder: Path) -> str:
    """The `model_type` of the model in a folder, a key of KINDS or of PART_OF. Raises ValueError for any other."""
    try:
        kind = read_json(folder / CONFIG_FILE, "a config", largest=LARGEST_CONFIG).get("model_type")
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"{folder / CONFIG_FILE}: expected a JSON object, got something else ({error}); copy the file again"
        ) from error
    if not isinstance(kind, str) or kind not in (*KINDS, *PART_OF):
        raise ValueError(
            f"{folder / CONFIG_FILE}: expected a model_type of {', '.join([*KINDS, *PART_OF])}, got {kind!r}; "
            "pass the folder of a SAM of the project's list"
        )
    return kind


def load_library_model(folder: Path, kind: str, config_class: str, model_class: str) -> Any:
    """A model of `transformers` with the weights of a folder.

    Args:
        folder: with config and weights.
        kind: the model's type, for messages.
        config_class, model_class: names of its classes.

    Raises:
        ImportError: the library is missing or lacks the class.
        ValueError: other files, or weights that lack some tensors.
    """
    transformers = transformers_with([model_class])
    settings = read_json(folder / CONFIG_FILE, "a config", largest=LARGEST_CONFIG)
    try:
        # Build the config here, so that a video model's config serves for its part without a warning.
        config = getattr(transformers, config_class).from_dict(settings)
        model, report = getattr(transformers, model_class).from_pretrained(
            folder, config=config, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # the library has no error class for files that do not fit
        raise _not_those_weights(folder, kind, str(error)) from error
    # The library only warns of missing weights, and leaves them random.
    missing = sorted(report.get("missing_keys", ()))
    if missing:
        raise _not_those_weights(folder, kind, f"{len(missing)} tensors are missing, such as {missing[0]}")
    return model


def _not_those_weights(folder: Path, kind: str, reason: str) -> ValueError:
    first_lines = "\n  ".join(reason.strip().splitlines()[:8])
    return ValueError(
        f"{folder}: expected the config and the weights of a model of type {kind}, got others; "
        f"copy both files of one model again\n  {first_lines}"
    )


def transformers_with(needed: Iterable[str] = ()) -> Any:
    """The library `transformers`, imported only when one of its models is requested, as the import takes seconds.

    Args:
        needed: names of the classes that it must have, besides those of OLD_KINDS.
    """
    how = f'install it with: pip install "pointtrack[sam]" (transformers {OLDEST_TRANSFORMERS} or later)'
    try:
        import transformers
    except ImportError as error:
        raise ImportError(
            f"SAM models need the transformers library, which is not installed; {how}"
        ) from error
    named = dict.fromkeys([*(KINDS[kind].model for kind in OLD_KINDS), *needed])
    missing = [model for model in named if not hasattr(transformers, model)]
    if missing:
        raise ImportError(
            f"SAM models: expected a transformers with {', '.join(missing)}, got {transformers.__version__}; {how}"
        )
    return transformers
