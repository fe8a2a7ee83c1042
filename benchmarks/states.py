"""Measure how well "lost" is detected on clips with exact truth: visible claims before and after the state is judged.

python -m benchmarks.states --clips 10
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

import pointtrack as pt
from benchmarks.machine import machine, parse_wh, save_figures, use_threads
from pointtrack.cli.runner import run_command
from pointtrack.pipeline.backward import track_video
from pointtrack.pipeline.options import TrackOptions
from pointtrack.states.stream import StateOptions
from pointtrack.types.point_states import PointState
from pointtrack.zoo import load_tracker
from train.data.synthetic import SceneConfig, SyntheticClips
from train.data.textures import texture_banks

WRONG, RIGHT = 0.05, 0.02  # shares of the diagonal: further off than the one, or nearer than the other
WH = (256, 192)
COUNTS = (
    "frames", "claims", "wrong claims", "right claims", "lost", "lost and not right", "lost and wrong claims",
    "seen and wrong", "seen and right", "outside", "called outside", "called outside and outside",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Scene:
    """Frames with the truth about some points.

    Attributes:
        video: the frames.
        queries: the points.
        xy: (t, n, 2) positions, also where hidden.
        visible: (t, n) bool.
    """

    video: pt.Video
    queries: pt.Queries
    xy: Tensor
    visible: Tensor


def textured(wh: tuple[int, int], seed: int) -> np.ndarray:
    """(h, w, 3) uint8 random texture with fine and coarse parts."""
    noise = np.random.default_rng(seed).normal(size=(wh[1], wh[0], 3)).astype(np.float32)
    picture = sum(cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in (1.5, 4, 9))
    return ((picture - picture.min()) / np.ptp(picture) * 255).astype(np.uint8)


def pan_scene(frames: int = 48, step: int = 4) -> Scene:
    """A camera that turns to the right, `step` pixels per frame, and back: points leave on the left and return."""
    half = frames // 2
    turned = np.minimum(np.arange(frames), frames - 1 - np.arange(frames)) * step
    picture = textured((WH[0] + half * step, WH[1]), 1)
    video = pt.Video(np.stack([picture[:, left : left + WH[0]] for left in turned.tolist()]))
    queries = pt.Queries([0] * 4, [[20.0, 60.0], [60.0, 100.0], [180.0, 60.0], [240.0, 150.0]])
    xy = queries.xy - torch.stack([torch.from_numpy(turned), torch.zeros(frames)], dim=-1)[:, None].float()
    return Scene(video, queries, xy, (xy[..., 0] >= 0) & (xy[..., 0] <= WH[0] - 1))


def twin_scene() -> Scene:
    """Points on a card that is covered for a long time while an identical card passes by."""
    background, card, cover = (textured(wh, seed) for wh, seed in ((WH, 2), ((32, 32), 52), ((64, 64), 92)))
    frames, visible = [], []
    queries = pt.Queries([0] * 4, [[60.0, 80.0], [52.0, 72.0], [68.0, 88.0], [60.0, 90.0]])
    for t in range(60):
        frame = background.copy()
        top = round(np.interp(t, [4, 10, 45, 52], [-70, 48, 48, -70]))
        for picture, left, above in (
            (card, 44, 64),
            (card, round(np.interp(t, [14, 40, 60], [262, 70, -40])), 104),
            (cover, 28, top),
        ):
            paste(frame, picture, left, above)
        frames.append(frame)
        visible.append((queries.xy[:, 1] < top) | (queries.xy[:, 1] >= top + len(cover)))
    return Scene(pt.Video(np.stack(frames)), queries, queries.xy.expand(60, -1, -1), torch.stack(visible))


def paste(frame: np.ndarray, picture: np.ndarray, left: int, top: int) -> None:
    """Paste the part of a picture that lies within a frame, in place."""
    height, width = frame.shape[:2]
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + picture.shape[1], width), min(top + picture.shape[0], height)
    if x0 < x1 and y0 < y1:
        frame[y0:y1, x0:x1] = picture[y0 - top : y1 - top, x0 - left : x1 - left]


def card_scene(clips: SyntheticClips, number: int) -> Scene:
    """A clip of textured cards that turn, bend and pass behind each other."""
    batch = clips[number]
    frames = batch.frames[0].permute(0, 2, 3, 1).contiguous().numpy()
    queries = pt.Queries(batch.query_frame[0], batch.query_xy()[0])
    return Scene(pt.Video(frames), queries, batch.xy[0], batch.visible[0])


def count(scene: Scene, tracks: pt.Tracks) -> dict[str, int]:
    """Count the events that `COUNTS` names, over all points and frames."""
    assert tracks.states is not None
    state = tracks.states.state
    diagonal = math.hypot(*scene.video.wh)
    off = (tracks.states.raw_xy - scene.xy).norm(dim=-1) / diagonal
    claims = tracks.states.raw_visibility > 0.5
    lost, seen = state == PointState.LOST, state == PointState.VISIBLE
    seen_off = (tracks.xy - scene.xy).norm(dim=-1) / diagonal
    wh = torch.tensor(scene.video.wh)
    outside = ((scene.xy < -0.5) | (scene.xy > wh - 0.5)).any(dim=-1)
    called = state == PointState.OUT_OF_FRAME
    right = (off < RIGHT) & scene.visible
    values = (
        torch.ones_like(claims), claims, claims & (off > WRONG), claims & right, lost, lost & ~right,
        lost & claims & (off > WRONG), seen & (seen_off > WRONG), seen & (seen_off < RIGHT) & scene.visible,
        outside, called, called & outside,
    )  # fmt: skip
    return {name: int(value.sum()) for name, value in zip(COUNTS, values, strict=True)}


def bench(
    clips: int = 10,
    tracker: str = "small",
    redetect: bool = False,
    wh: str | None = None,
    textures: Path | None = None,
    threads: int | None = None,
    out: Path = Path("outputs/bench_states.json"),
) -> None:
    """Judge a tracker's answers about three kinds of scenes, and print how often they are right.

    Args:
        clips: number of clips of cards (see `train.data.synthetic`), of 48 frames with 80 points each.
        tracker: name of a tracker, or its .safetensors file.
        redetect: search for lost points too.
        wh: track at this size, width x height in pixels, instead of the tracker's size, which is far slower.
        textures: folder of photographs for the cards; by default, patterns.
        threads: threads of torch; by default its own choice.
        out: JSON file for the figures.
    """
    use_threads(threads)
    model = load_tracker(tracker)
    if wh is not None:
        model.config = replace(model.config, input_wh=parse_wh(wh))
    config = SceneConfig(
        frames=48,
        sizes=((384, 256),),
        points=80,
        duration=1.2,
        speed=(0.4, 1.0),
        motion_blur=0.0,
        query_frames=1,
    )
    cards = SyntheticClips(texture_banks(textures)[1], config, batch=1, seed=77)
    scenes = {
        "pan": [pan_scene],
        "twin": [twin_scene],
        "cards": [partial(card_scene, cards, number) for number in range(clips)],
    }
    rows: dict[str, dict[str, int]] = {}
    for name, makers in scenes.items():
        totals = dict.fromkeys(COUNTS, 0)
        for make in tqdm(makers, desc=name, disable=None, leave=False):
            scene = make()
            tracks = track_video(
                model, scene.video, scene.queries, TrackOptions(StateOptions(redetect=redetect))
            )
            for key, value in count(scene, tracks).items():
                totals[key] += value
        rows[name] = totals
        if totals["frames"]:
            print(f"{name:8}{describe(totals)}", flush=True)
    save_figures(
        {"rows": rows, "tracker": tracker, "redetect": redetect, "clips": clips, "wh": wh, **machine()}, out
    )


def describe(totals: dict[str, int]) -> str:
    """Describe the main shares in words."""

    def share(part: str, whole: str) -> str:
        return f"{totals[part] / totals[whole]:.1%}" if totals[whole] else "none"

    return (
        f"wrong claims {share('wrong claims', 'claims')} of all claims; of these called lost "
        f"{share('lost and wrong claims', 'wrong claims')}; seen and wrong {totals['seen and wrong']} "
        f"(claimed {totals['wrong claims']}), seen and right {totals['seen and right']} (claimed "
        f"{totals['right claims']}); lost: {share('lost and not right', 'lost')} not right; out of frame: "
        f"{share('called outside and outside', 'called outside')} right, "
        f"{share('called outside and outside', 'outside')} of all outside"
    )


if __name__ == "__main__":
    sys.exit(run_command(lambda: bench, sys.argv[1:], "benchmarks.states"))
