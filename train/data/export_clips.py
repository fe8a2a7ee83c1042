"""Write synthetic clips as files of docs/train/data-format.md: `python -m train.data.export_clips OUT`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from einops import rearrange
from tqdm import tqdm

import pointtrack
from pointtrack.cli.runner import run_command
from pointtrack.datasets.clip import Clip, ClipInfo, TrueTracks
from pointtrack.datasets.format import INFO, write_clip
from pointtrack.types import Video
from train.data.synthetic import SceneConfig, SyntheticClips
from train.data.textures import PROCEDURAL, photo_bank, procedural_bank

FPS = 24.0
TERMS = {
    True: "procedural textures only: any use",
    False: "made of photographs; the terms of these hold (BSDS500: research and education)",
}


def export_clips(
    out: Path,
    count: int = 16,
    seed: int = 99,
    scene: SceneConfig | None = None,
    textures: Path | None = None,
    split: str = "val",
    pictures: Literal["png", "jpg", "mp4"] = "png",
) -> None:
    """Write synthetic clips with exact tracks and masks, to keep a held-out set as files.

    The same seed and settings give the same clips. Clips that already exist are kept.

    Args:
        out: folder for the clips, clip-00000 and so on.
        count: number of clips.
        seed: seed of the clips; training never uses 99.
        scene: what the clips are like.
        textures: folder with train, val and test photographs and their outlines; by default, procedural patterns.
        split: which photographs of the folder to use.
        pictures: format of the frames: png (lossless), jpg, or mp4 (one video file).

    Raises:
        ValueError: a count below 1. FileNotFoundError: no photographs in the folder.
    """
    if count < 1:
        raise ValueError(f"count: expected at least 1 clip, got {count}")
    scene = scene or SceneConfig()
    patterns = torch.Generator().manual_seed(6)
    bank = procedural_bank(PROCEDURAL, patterns) if textures is None else photo_bank(textures, (split,))
    clips = SyntheticClips(bank, scene, 1, seed)
    for number in tqdm(range(count), desc="clips", unit="clip", disable=None, leave=False):
        folder = out / f"clip-{number:05d}"
        if not (folder / INFO).is_file():
            write_clip(folder, synthetic_clip(clips, number, textures is None), pictures=pictures)
    print(f"clips     {count} in {out}")


def synthetic_clip(clips: SyntheticClips, number: int, procedural: bool) -> Clip:
    """The first clip of a numbered batch, as a clip of docs/train/data-format.md."""
    batch = clips[number]
    assert batch.objects is not None
    labels = batch.objects[0].numpy()
    info = ClipInfo(
        fps=FPS,
        source="synthetic scenes of pointtrack",
        licence=TERMS[procedural],
        generator=f"pointtrack {pointtrack.__version__}, train.data.synthetic",
        seed=clips.seed,
        objects={int(value): "" for value in np.unique(labels) if value},
        notes={"number": number, "scene": asdict(clips.config)},
    )
    frames = rearrange(batch.frames[0], "t c h w -> t h w c").numpy()
    tracks = TrueTracks(batch.xy[0], batch.visible[0], query_frame=batch.query_frame[0])
    video = Video(np.ascontiguousarray(frames), fps=FPS)
    return Clip(f"clip-{number:05d}", video, info, tracks, labels)


if __name__ == "__main__":
    sys.exit(run_command(lambda: export_clips, sys.argv[1:], "train.data.export_clips"))
