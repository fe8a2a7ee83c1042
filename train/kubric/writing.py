"""Writes a clip's folder in the layout of docs/train/data-format.md, together with its passes and scene.

Uses numpy and Pillow alone: the Kubric environment has no torch, which pointtrack.datasets needs.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

BACKGROUND = "background"


def write_clip(
    folder: Path,
    pictures: np.ndarray,
    tracks: dict[str, np.ndarray],
    layers: dict[str, np.ndarray],
    meta: dict,
) -> None:
    """Writes a clip into an existing, empty folder.

    frames/00000.png, masks/00000.png, tracks.npz and clip.json are the common format; layers.npz holds the arrays
    of `layers`, and scene.json holds `meta`: everything that was drawn or measured.

    Args:
        folder: the folder.
        pictures: (t, h, w, 3) uint8 RGB.
        tracks: xy (t, n, 2) float32 pixels, visible (t, n) bool, query_frame (n,) and object (n,), which
            counts the entries of meta["objects"] from 1.
        layers: segmentation (t, h, w) uint8 of the same numbers, 0 for the sky; depth, flow, camera.
        meta: with fps, frames, wh, seed, objects, sky, versions and check.
    """
    # Floor and walls are background in the masks, whatever their number in the segmentation.
    label = np.array([0] + [0 if o["role"] == BACKGROUND else o["id"] for o in meta["objects"]], np.uint8)
    (folder / "frames").mkdir()
    (folder / "masks").mkdir()
    colours = np.random.default_rng(0).integers(60, 256, (256, 3)).astype(np.uint8)
    colours[0] = 0
    for frame, (picture, segmentation) in enumerate(zip(pictures, layers["segmentation"], strict=True)):
        Image.fromarray(picture).save(folder / "frames" / f"{frame:05d}.png")
        mask = Image.fromarray(label[segmentation])
        mask.putpalette(colours.tobytes())
        mask.save(folder / "masks" / f"{frame:05d}.png")
    np.savez_compressed(
        folder / "tracks.npz",
        xy=tracks["xy"].astype(np.float32),
        visible=tracks["visible"],
        query_frame=tracks["query_frame"].astype(np.int64),
        object_ids=label[tracks["object"]].astype(np.int64),
    )
    np.savez_compressed(folder / "layers.npz", **layers)
    (folder / "scene.json").write_text(json.dumps(meta, indent=1) + "\n")
    (folder / "clip.json").write_text(json.dumps(clip_description(meta, label), indent=1) + "\n")


def clip_description(meta: dict, label: np.ndarray) -> dict:
    """The content of clip.json; `label` gives the number of each object in the masks, 0 for none."""
    licences = {o[name] for o in meta["objects"] for name in ("mesh_licence", "surface_licence")}
    licences.add(meta["sky"]["licence"])
    return {
        "format": "pointtrack-clip",
        "version": 1,
        "frames": meta["frames"],
        "wh": meta["wh"],
        "fps": float(meta["fps"]),
        "source": "Kubric-rendered, local assets (pointtrack, train/kubric)",
        "licence": "assets: " + "; ".join(sorted(licences)),
        "generator": ", ".join(f"{name} {version}" for name, version in meta["versions"].items()),
        "seed": meta["seed"],
        "visibility_known": True,
        "first_masks_only": False,
        "objects": {
            str(o["id"]): Path(o["mesh"].rpartition(":")[2]).stem for o in meta["objects"] if label[o["id"]]
        },
        "notes": {"index": meta["index"], "attempt": meta["attempt"], "check": meta["check"]},
    }
