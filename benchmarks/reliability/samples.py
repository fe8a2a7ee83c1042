"""Small good files of everything that is read, and how each is read: what the fuzzing mutates."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pointtrack.config import (
    CorrelationConfig,
    EncoderConfig,
    TrackerConfig,
    TransformerConfig,
    WindowConfig,
)
from pointtrack.datasets.clip import Clip, ClipInfo, TrueTracks
from pointtrack.datasets.convert import KINDS
from pointtrack.datasets.format import list_clips, read_clip, write_clip
from pointtrack.datasets.validate import check_clip
from pointtrack.io.mask_pictures import read_mask
from pointtrack.io.masks import load_masks, save_masks
from pointtrack.io.queries import load_queries, save_queries
from pointtrack.io.state_file import read_state, write_state
from pointtrack.io.track_log import TrackWriter, read_spilled
from pointtrack.io.tracks import load_tracks, save_tracks
from pointtrack.io.video import read_video, write_video
from pointtrack.models.checkpoint import load_checkpoint, save_checkpoint
from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.engine import ObjectResult
from pointtrack.onnx.manifest import ENCODER, Manifest, read_manifest, refine_file
from pointtrack.sessions.files import read_session, write_session
from pointtrack.sessions.history import History
from pointtrack.sessions.keyframes import Keyframe, SessionObject, Side
from pointtrack.sessions.mask_store import Results
from pointtrack.types import Masks, Queries, Tracks, Video

WH = (24, 16)


@dataclass(frozen=True)
class Sample:
    """A kind of input.

    Attributes:
        name: of the kind.
        path: of the file that is mutated, within its own folder.
        read: reads the folder, and raises ValueError or OSError for what is wrong with it.
    """

    name: str
    path: Path
    read: Callable[[Path], Any]


def make_samples(root: Path) -> list[Sample]:
    """Write a good file of every kind below a folder."""
    samples = []

    def add(name: str, file: str, read: Callable[[Path], Any]) -> Path:
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        samples.append(Sample(name, folder / file, read))
        return folder / file

    video, tracks, masks, queries = _video(), _tracks(), _masks(), _tracks().queries
    for suffix in (".mp4", ".mkv", ".webm", ".gif"):
        write_video(add(f"video{suffix}", f"a{suffix}", read_video), video)
    for suffix in (".png", ".jpg", ".tif", ".webp", ".bmp"):
        path = add(f"picture{suffix}", f"a{suffix}", lambda path: (read_video(path), read_mask(path)))
        picture = video.frames[0].copy()
        picture[:, ::2] = 0  # a photograph, which has hardly any black, is no mask
        Image.fromarray(picture).save(path)
    path = add("folder of pictures", "0.png", lambda path: read_video(path.parent))
    for t in range(2):
        Image.fromarray(video.frames[t]).save(path.with_name(f"{t}.png"))
    for suffix in (".npz", ".csv", ".json", ".tracks"):
        save_tracks(add(f"tracks{suffix}", f"a{suffix}", load_tracks), tracks)
    for format, name in (
        ("dlc", "a.csv"),
        ("napari", "a.csv"),
        ("cvat", "a.xml"),
        ("tapvid", "a.npz"),
        ("mot", "a.txt"),
    ):
        path = add(
            f"tracks of {format}", name, lambda path, format=format: load_tracks(path, format=format, wh=WH)
        )
        save_tracks(path, tracks, format=format)
    with TrackWriter(add("growing tracks", "b.tracks", read_spilled)) as writer:
        writer.append(tracks.clip(0, 3))
        writer.append(tracks.clip(3))
    for suffix in (".npz", ".json"):
        save_masks(add(f"masks{suffix}", f"m{suffix}", load_masks), masks)
    save_masks(add("masks of ytvis", "y.json", load_masks), masks, format="ytvis")
    save_masks(
        add("masks of davis", "00000.png", lambda path: load_masks(path.parent)).parent, masks, format="davis"
    )
    for suffix in (".csv", ".json"):
        save_queries(add(f"queries{suffix}", f"q{suffix}", load_queries), queries)
    _session(add("session", "s.npz", lambda path: read_session(path, _video())), video)
    write_state(
        add("state", "a.state", read_state), {"about": {"a": "b"}, "frames": 3, "x": torch.arange(9.0)}
    )
    _weights(add("weights", "w.safetensors", load_checkpoint))
    torch.save({"a": torch.zeros(3)}, add("weights of torch", "w.pth", load_checkpoint))
    _manifest(add("graphs", "tracker.json", lambda path: read_manifest(path.parent).check_files(path.parent)))
    _pickles(add)
    for part in ("clip.json", "tracks.npz"):
        path = add(f"clip, {part}", f"c/{part}", _read_clips)
        write_clip(path.parent, _clip(video, tracks))
    return samples


def _read_clips(path: Path) -> None:
    for clip in list_clips(path.parents[1]):
        check_clip(clip)
        read_clip(clip)


def _pickles(add: Callable[..., Path]) -> None:
    t, n = 3, 2
    content = {
        "a": {
            "video": np.zeros((t, 16, 24, 3), np.uint8),
            "points": np.full((n, t, 2), 0.5),
            "occluded": np.zeros((n, t), bool),
        }
    }
    for protocol in (2, 4):
        path = add(
            f"TAP-Vid pickle {protocol}",
            "a.pkl",
            lambda path: [clip.read() for clip in KINDS["tapvid"](path)],
        )
        path.write_bytes(pickle.dumps(content, protocol))
    path = add(
        "BADJA",
        "joint_annotations/a.json",
        lambda path: [clip.read() for clip in KINDS["badja"](path.parents[1])],
    )
    path.parent.mkdir(exist_ok=True)
    rows = []
    (path.parents[1] / "p").mkdir(exist_ok=True)
    for frame in range(t):
        Image.fromarray(np.zeros((16, 24, 3), np.uint8)).save(path.parents[1] / "p" / f"{frame}.png")
        rows.append({"image_path": f"p/{frame}.png", "joints": [[2, 3], [4, 5]], "visibility": [1, 0]})
    path.write_text(json.dumps(rows))
    path = add(
        "CoTracker's Kubric",
        "a/a.npy",
        lambda path: [clip.read() for clip in KINDS["cotracker3-kubric"](path.parents[1])],
    )
    (path.parent / "frames").mkdir(parents=True, exist_ok=True)
    for frame in range(t):
        Image.fromarray(np.zeros((16, 24, 3), np.uint8)).save(path.parent / "frames" / f"{frame}.png")
    np.save(
        path, {"coords": np.full((n, t, 2), 4.0), "visibility": np.zeros((n, t), bool)}, allow_pickle=True
    )


def _video() -> Video:
    rng = np.random.default_rng(0)
    return Video(rng.integers(0, 255, (6, WH[1], WH[0], 3), np.uint8), fps=10)


def _tracks() -> Tracks:
    rng = np.random.default_rng(0)
    xy = torch.from_numpy(rng.uniform(1, 15, (6, 3, 2)).astype(np.float32))
    seen = torch.from_numpy(rng.uniform(0, 1, (6, 3)).astype(np.float32))
    return Tracks(xy, seen, seen, Queries([0, 0, 1], xy[0]), WH, fps=10)


def _masks() -> Masks:
    masks = np.zeros((3, 2, WH[1], WH[0]), bool)
    masks[:, 0, 2:6, 3:9] = masks[1:, 1, 8:12, 10:20] = True
    return Masks(masks, object_ids=[1, 2], fps=10)


def _clip(video: Video, tracks: Tracks) -> Clip:
    visible = torch.ones(tracks.xy.shape[:2], dtype=torch.bool)
    return Clip("c", video, ClipInfo(fps=10), TrueTracks(tracks.xy, visible))


def _session(path: Path, video: Video) -> None:
    mask = torch.zeros(WH[1], WH[0], dtype=torch.bool)
    mask[3:7, 4:9] = True
    key = Keyframe(0, 1, mask, torch.tensor([[5.0, 5.0]]), torch.tensor([True]))
    results, side = Results(), Side(1, 1, None, range(1, 6))
    for _ in range(3):
        results.put(side, results.done(side), ObjectResult(mask, 0.9, 0.8))
    write_session(path, video, History([(), (SessionObject(1, "bear", (key,)),)]), results)


def _weights(path: Path) -> None:
    config = TrackerConfig(
        name="tiny",
        encoder=EncoderConfig(stem_channels=4, stage_channels=(4, 4, 4), blocks_per_stage=1, channels=8),
        correlation=CorrelationConfig(levels=1, radius=1, support_radius=0, hidden=4, channels=4),
        transformer=TransformerConfig(width=8, heads=2, depth=1, proxies=2),
        window=WindowConfig(length=4, step=2, iterations=1, search_radius=1),
    )
    save_checkpoint(path, PointTracker(config))


def _manifest(path: Path) -> None:
    digests = {}
    for name in (ENCODER, refine_file(64)):
        path.with_name(name).write_bytes(b"a graph")
        digests[name] = "f8fe3f0f0a5c4bd1a3d1ab9b2d1e9a2f" * 2
    import hashlib

    digests = dict.fromkeys(digests, hashlib.sha256(b"a graph").hexdigest())
    Manifest(TrackerConfig(), (64, 48), 16, (64,), {}, digests, {"torch": "2"}).write(path.parent)
