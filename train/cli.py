"""The command `pointtrack train`, also `python -m train`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch.utils.data import Dataset

from pointtrack.config import EncoderConfig, TrackerConfig
from pointtrack.io.outputs import check_outputs
from pointtrack.models.checkpoint import load_checkpoint
from pointtrack.models.point_tracker import PointTracker, check_kind
from pointtrack.segment.small import SmallSegmenter
from pointtrack.segment.small_network import SegmenterConfig
from train.data.agreed import AgreedClips
from train.data.clips import FolderClips, MixedClips
from train.data.parts import ClipParts
from train.data.pictures import Pictures
from train.data.segments import Picture, SegmentImages, read_outlined, read_photos, weighted_folders
from train.data.synthetic import SceneConfig, SyntheticClips
from train.data.textures import texture_banks
from train.data.views import PictureViews
from train.loop import CHECKPOINT, LoopConfig, Task, for_clips, make_fabric, run
from train.settings import check_noted, plain, without
from train.tasks.distilling import DistillingTask
from train.tasks.matching import MatchingTask
from train.tasks.remembering import RememberingTask
from train.tasks.segmenting import SegmentingTask, new_segmenter
from train.tasks.spoiling import AS_GUESSED, SpoilConfig
from train.tasks.tracking import TrackingTask

if TYPE_CHECKING:
    from lightning_fabric import Fabric

HELD_OUT = 16  # clips for validation
# What may change when a stopped run goes on: its length, what is shown and saved, and how the machine shares the work.
FREE = ("out", "batch", "held_out")
FREE_IN_LOOP = (
    "steps", "minutes", "accumulate", "log_every", "validate_every", "save_every",
    "workers", "bf16", "recompute", "accelerator", "devices", "nodes",
)  # fmt: skip


def train_command(
    task: Literal["matching", "tracking", "remembering", "distilling", "segmenting"] = "matching",
    out: Path = Path("runs/train"),
    scene: SceneConfig | None = None,
    loop: LoopConfig | None = None,
    tracker: TrackerConfig | None = None,
    segmenter: SegmenterConfig | None = None,
    textures: Path | None = None,
    objects: str | None = None,
    init: Path | None = None,
    batch: int = 4,
    parts: int = 1,
    train_encoder: bool = False,
    clips: str | None = None,
    clips_share: float = 0.5,
    views_share: float = 0.0,
    labels: str | None = None,
    labels_share: float = 0.25,
    spoil: SpoilConfig | None = None,
    match_weight: float = 0.0,
    encoder: EncoderConfig | None = None,
    pictures: str | None = None,
    held_out: int | None = None,
) -> None:
    """Train a tracker or a segmenter; the same command continues a stopped run in `out`.

    Args:
        task: matching trains the encoder to find a point again; tracking trains the whole tracker;
            remembering trains the tracker's keys for objects, by which the object memory compares cells;
            distilling trains another encoder to reproduce the features of the tracker's own;
            segmenting trains the small segmenter, on photographs and on first frames of clips.
        out: folder for log.csv, last.ckpt, model.safetensors (the running average) and validation pictures.
        scene: what the clips are like.
        loop: length of the training, learning rate and device.
        tracker: config of a new tracker; leave it out with init.
        segmenter: config of a new segmenter (task segmenting).
        textures: folder with train, val and test photographs and their outlines; by default, procedural patterns.
        objects: comma-separated folders of pictures with outlined objects, each as FOLDER or FOLDER=WEIGHT. For task
            segmenting the textures have weight 1. Synthetic clips (all other tasks but distilling) use a share WEIGHT of these
            outlines in addition to those of the textures.
        init: weights to start from, of a tracker or a segmenter.
        batch: clips per batch.
        parts: use every batch this many times, each time with another share of its points. Saves time while the encoder
            is frozen (task tracking); the batches are reproducible only without workers.
        train_encoder: train the encoder too (task tracking); a step then costs several times as much.
        clips: comma-separated folders of clips with tracks (docs/train/data-format.md) to train on as well; their
            frames are cropped and resized to the sizes of the scene.
        clips_share: share of the batches from these clips; the others are synthetic.
        views_share: share of the batches that are single pictures of `objects`, each seen several times (task
            remembering).
        labels: comma-separated folders of labelled real video (`python -m train.pseudo_labels`) that teach positions
            (task tracking).
        labels_share: share of the batches from these labels.
        spoil: how to spoil first guesses, so that refinement learns to correct them (task tracking); off by default.
        match_weight: weight of an additional loss that teaches joint features to tell points apart (task tracking, with
            a tracker of `python -m train.trunk_weights --learnt`).
        encoder: sizes of the new encoder, which replaces the one that teaches it (task distilling).
        pictures: comma-separated folders of photographs to train on (task distilling), or to use as backgrounds and
            cards of synthetic clips (all other tasks but segmenting).
        held_out: clips or images for validation; 16 by default.

    Raises:
        ValueError: a tracker config together with init, clips for a segmenter, no pictures to distil with, or an `out` of a
            run with other settings.
    """
    given = dict(locals())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    if tracker is not None and init is not None:
        raise ValueError(
            "train: expected either a tracker config or --init weights (which carry theirs), got both"
        )
    read = [
        init,
        textures,
        *(clips or "").split(","),
        *(pictures or "").split(","),
        *(path for path, _ in weighted_folders(objects)),
    ]
    check_outputs(read, [out / "model.safetensors"], folders=[out])
    scene, loop = scene or SceneConfig(), loop or LoopConfig()
    fabric = make_fabric(loop, out)
    torch.manual_seed(loop.seed)
    settings = plain({**without(given, FREE), "scene": scene, "loop": without(asdict(loop), FREE_IN_LOOP)})
    if (out / CHECKPOINT).exists():
        check_noted(out, settings)
    if task != "tracking" and (labels is not None or spoil is not None):
        raise ValueError(f"labels and spoil: expected task tracking with them, got {task}")
    if views_share and (task != "remembering" or objects is None):
        raise ValueError(
            f"views_share: expected task remembering and objects with it, got {task} and {objects}"
        )
    if task == "distilling" and pictures is None:
        raise ValueError("pictures: expected folders of photographs with task distilling, got none")
    if task == "segmenting":
        if clips is not None:
            raise ValueError(
                "clips: expected task matching, tracking or remembering with them, got segmenting"
            )
        network = new_segmenter(segmenter, init)
        segmenting, images = _segmenting(scene, loop, network, textures, objects, batch, held_out or HELD_OUT)
        run(segmenting, images, loop, out, fabric, settings)
        _print_files(out, fabric)
        return
    model = load_checkpoint(init) if init is not None else PointTracker(tracker or TrackerConfig())
    check_kind(model, "init")
    if task == "distilling":
        bank, held_out_bank = texture_banks(textures)
    else:
        bank, held_out_bank = texture_banks(textures, weighted_folders(objects), _folders(pictures or ""))
    clip_loop, readers = for_clips(loop, fabric)
    source: Dataset = SyntheticClips(bank.to(fabric.device), scene, batch, loop.seed)
    if clips is not None:
        recorded = FolderClips(_folders(clips), scene, batch, loop.seed)
        source = MixedClips(source, recorded, clips_share, loop.seed, readers)
    if labels is not None:
        own = AgreedClips(_folders(labels), scene, batch, loop.seed)
        source = MixedClips(source, own, labels_share, loop.seed + 1, readers)
    if views_share:
        views = PictureViews(weighted_folders(objects), scene, batch, loop.seed)
        source = MixedClips(source, views, views_share, loop.seed + 2, readers)
    source = ClipParts(source, parts)
    others = SyntheticClips(held_out_bank, replace(scene, points=scene.points // parts), 1, seed=99)
    batches = [others[i] for i in range(held_out or HELD_OUT)]
    learnt: Task
    if task == "distilling":
        source = Pictures(_folders(pictures or ""), scene.sizes, batch, loop.seed)
        learnt = DistillingTask(model, encoder or EncoderConfig(), batches)
    elif task == "matching":
        learnt = MatchingTask(model, batches)
    elif task == "remembering":
        learnt = RememberingTask(model, batches)
    else:
        learnt = TrackingTask(
            model,
            batches,
            freeze_encoder=not train_encoder,
            spoil=spoil or AS_GUESSED,
            match_weight=match_weight,
        )
    run(learnt, source, loop if task == "distilling" else clip_loop, out, fabric, settings)
    _print_files(out, fabric)


def _print_files(out: Path, fabric: Fabric) -> None:
    """Say where the results of a run are, in the first process."""
    files = {"weights": "model.safetensors", "figures": "log.csv", "pictures": "validation.jpg"}
    for title, name in files.items():
        if fabric.is_global_zero and (out / name).is_file():
            print(f"{title:9} {out / name}")


def _folders(names: str) -> list[Path]:
    return [Path(folder.strip()) for folder in names.split(",") if folder.strip()]


def _segmenting(
    scene: SceneConfig,
    loop: LoopConfig,
    segmenter: SmallSegmenter,
    textures: Path | None,
    objects: str | None,
    batch: int,
    held_out: int,
) -> tuple[SegmentingTask, SegmentImages]:
    """Task segmenting and its images: hold out the photographs of the val split, and some of every folder of outlined objects.

    Frames of synthetic clips are training data only where there are no photographs.
    """
    groups: list[tuple[float, Sequence[Picture]]] = []
    others: list[tuple[float, Sequence[Picture]]] = []
    if textures is not None:
        groups.append((1.0, read_photos(textures, ("train", "test"))))
        others.append((1.0, read_photos(textures, ("val",))))
    for folder, weight in weighted_folders(objects):
        groups.append((weight, read_outlined(folder)))  # type: ignore[arg-type]
        others.append((weight, read_outlined(folder, validation=True)))  # type: ignore[arg-type]
    bank, held_out_bank = texture_banks(None)
    images = SegmentImages(groups, SyntheticClips(bank, scene, batch, loop.seed), synthetic=0.0)
    known = SegmentImages(others, SyntheticClips(held_out_bank, scene, 1, seed=99), synthetic=0.0, pasted=0.0)
    return SegmentingTask(segmenter, [known[i] for i in range(held_out)]), images
