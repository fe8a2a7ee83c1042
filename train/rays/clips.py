"""Renders clips into a folder, several at once; a stopped run can continue. A clip that exists is complete."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch

from pointtrack.datasets.clip import Clip, ClipInfo, TrueTracks
from pointtrack.datasets.format import write_clip
from pointtrack.io.pictures import read_picture
from pointtrack.types import Video
from train.data.pictures import picture_files
from train.data.textures import procedural_bank
from train.kubric.farm import clip_folder, keep_settings, missing_clips
from train.kubric.follow import follow_points
from train.kubric.plan import Assets, RenderSettings
from train.rays.picture import Painter
from train.rays.plan import make_ray_plan
from train.rays.scene import RayStage

log = logging.getLogger(__name__)

PATTERNS = 24
FEWEST = 0.25  # share of the wanted tracks that a clip must have; with fewer, hardly anything is in view


def draw_clips(
    out: Path, count: int, settings: RenderSettings, pictures: Sequence[Path], workers: int | None = None
) -> dict[int, float]:
    """Renders those of the clips 0 to count - 1 that do not exist yet.

    Args:
        out: folder for clip_00000, clip_00001, ... and settings.json.
        count: total number of clips; clips with hardly anything in view are left out.
        settings: settings of the clips; must be the same as before if `out` has clips already.
        pictures: folders of photographs for surfaces and skies; without any, patterns alone.
        workers: number of clips to render at once; by default, the number of cores.

    Returns:
        Number and CPU seconds of each clip rendered.

    Raises:
        FileNotFoundError: a folder without photographs. ValueError: `out` has clips with other settings
            or pictures.
    """
    files = tuple(str(path) for folder in pictures for path in picture_files(folder))
    out.mkdir(parents=True, exist_ok=True)
    keep_settings(out, settings, pictures=[str(folder.resolve()) for folder in pictures])
    one = partial(draw_clip, out, settings, files)
    numbers = missing_clips(out, count)
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        done = [one(number) for number in numbers]
    else:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            done = list(pool.map(one, numbers))
    return {number: seconds for number, seconds in zip(numbers, done, strict=True) if seconds is not None}


def draw_clip(out: Path, settings: RenderSettings, files: Sequence[str], index: int) -> float | None:
    """Renders one clip; returns its CPU seconds, or None if hardly anything is in view and nothing was written."""
    began = time.process_time()
    cv2.setNumThreads(1)
    generator = np.random.default_rng([settings.seed, index, 78])
    plan = make_ray_plan(settings, Assets(textures=tuple(files)), index)
    patterns = _patterns(settings.seed)
    stage = RayStage(plan, settings, patterns)
    try:
        tracks = follow_points(stage, settings.tracks, generator)
    except RuntimeError as nothing:
        log.warning("%s", nothing)
        return None
    if tracks.xy.shape[1] < FEWEST * settings.tracks:
        log.warning("%s: left out, only %d points are in view", stage.name, tracks.xy.shape[1])
        return None
    sky = read_picture(Path(generator.choice(files))) if files else patterns[0]
    painter = Painter(stage, settings.samples, sky, generator)
    frames = np.stack([painter.draw(frame) for frame in range(settings.frames)])
    # Floor and walls are background in the labels.
    label = [0 if thing.plan.role == "background" else i for i, thing in enumerate(stage.things, start=1)]
    labels = np.stack([_labels(stage, frame, label) for frame in range(settings.frames)])
    info = ClipInfo(
        fps=float(plan.fps),
        source="drawn by rays (pointtrack, train/rays)",
        licence="photographs: their own terms; all else pointtrack's" if files else "pointtrack's",
        generator=f"pointtrack, embreex {version('embreex')}",
        seed=settings.seed,
        objects={int(n): stage.things[n - 1].plan.kind for n in np.unique(labels) if n},
        notes={"index": index},
    )
    truth = TrueTracks(
        torch.from_numpy(tracks.xy),
        torch.from_numpy(tracks.visible),
        object_ids=torch.tensor(label)[torch.from_numpy(tracks.thing)],
        query_frame=torch.from_numpy(tracks.query_frame),
    )
    clip = Clip(clip_folder(out, index).name, Video(frames, plan.fps), info, truth, labels=labels)
    write_clip(clip_folder(out, index), clip, pictures="jpg")
    log.info("%s: %d tracks", stage.name, tracks.xy.shape[1])
    return time.process_time() - began


def _labels(stage: RayStage, frame: int, label: list[int]) -> np.ndarray:
    """(h, w) uint8 number of the object that the centre of each pixel shows, 0 for sky, floor and walls."""
    w, h = stage.wh
    xy = np.stack(np.meshgrid(np.arange(w), np.arange(h)), axis=-1).reshape(-1, 2)
    shown = stage.posed(frame).cast(xy.astype(float))[0]
    return np.array([*label, 0], np.uint8)[shown].reshape(h, w)


@cache
def _patterns(seed: int) -> list[np.ndarray]:
    bank = procedural_bank(PATTERNS, torch.Generator().manual_seed(seed))
    return [picture.permute(1, 2, 0).contiguous().numpy() for picture in bank.pictures]
