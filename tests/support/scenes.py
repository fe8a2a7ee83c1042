"""Squares that move over a plain ground with exactly known tracks and masks, and a segmenter that sees colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pointtrack.segment.base import Candidates, Embedding, Prompt
from pointtrack.types import Queries, Tracks, Video

WH = (80, 60)
COLOURS = ((40, 90, 40), (220, 40, 40), (40, 40, 220))  # ground, first and second square


@dataclass
class Scene:
    """A video, points on its squares (and on the ground) with their object numbers, and the true masks (t, o, h, w)."""

    video: Video
    tracks: Tracks
    objects: Tensor
    truth: Tensor


def noisy(scene: Scene) -> Video:
    """The video of a scene with some noise, which gives its plain squares a texture; the same every time."""
    noise = np.random.default_rng(0).integers(-8, 9, scene.video.frames.shape)
    return Video(np.clip(scene.video.frames + noise, 0, 255).astype(np.uint8))


def squares(corners: list[list[tuple[int, int] | None]], size: int = 16) -> Scene:
    """One list per square: its top-left corner on every frame, None where it is absent. Later squares are in front."""
    frames = len(corners[0])
    pictures = np.empty((frames, WH[1], WH[0], 3), np.uint8)
    pictures[:] = COLOURS[0]
    truth = torch.zeros(frames, len(corners), WH[1], WH[0], dtype=torch.bool)
    inner = torch.tensor([[x, y] for y in (3, 8, 12) for x in (3, 8, 12)]).float()
    ground = torch.tensor([[2.0, 2.0], [77.0, 3.0], [4.0, 56.0], [75.0, 55.0]])
    xy, seen, objects = [], [], []
    for o, path in enumerate(corners):
        for t, corner in enumerate(path):
            if corner is not None:
                x, y = corner
                area = (slice(max(y, 0), y + size), slice(max(x, 0), x + size))
                pictures[t][area] = COLOURS[o + 1]
                truth[t, :, area[0], area[1]] = False
                truth[t, o, area[0], area[1]] = True
    for o, path in enumerate(corners):
        last = next(corner for corner in path if corner is not None)
        rows, visible = [], []
        for t, corner in enumerate(path):
            last = corner or last
            points = inner + torch.tensor(last)
            x, y = points.long().unbind(1)
            on_frame = (x >= 0) & (x < WH[0]) & (y >= 0) & (y < WH[1])
            hit = truth[t, o, y.clamp(0, WH[1] - 1), x.clamp(0, WH[0] - 1)]
            rows.append(points)
            visible.append(
                on_frame & hit if corner is not None else torch.zeros(len(inner), dtype=torch.bool)
            )
        xy.append(torch.stack(rows))
        seen.append(torch.stack(visible))
        objects += [o + 1] * len(inner)
    xy.append(ground.expand(frames, -1, -1))
    seen.append(torch.ones(frames, len(ground), dtype=torch.bool))
    objects += [0] * len(ground)
    positions, shown = torch.cat(xy, 1), torch.cat(seen, 1).float()
    queries = Queries(torch.zeros(positions.shape[1]), positions[0])
    return Scene(Video(pictures), Tracks(positions, shown, shown, queries, WH), torch.tensor(objects), truth)


class ColourSegmenter:
    """Answers with what has the colours of the positive points: a corner of it, all of it, and the whole frame."""

    name, licence, device = "colours", "none", torch.device("cpu")
    coarse = False

    def __init__(self) -> None:
        self.encoded = 0
        self.prompts: list[Prompt] = []
        self.answers = (0, 1, 2)  # which of the three it gives

    def encode(self, frame: np.ndarray) -> Embedding:
        self.encoded += 1
        picture = torch.from_numpy(frame).permute(2, 0, 1).float()
        cells = F.avg_pool2d(picture[None] - 100, 4)[0]  # coarse, for the memory
        return Embedding((frame.shape[1], frame.shape[0]), cells, parts=(picture,))

    def decode(self, embedding: Embedding, prompt: Prompt, *, several: bool = True) -> Candidates:
        self.prompts.append(prompt)
        (picture,) = embedding.parts
        like = torch.zeros(picture.shape[1:], dtype=torch.bool)
        for point in prompt.points[prompt.labels].round().long():
            colour = picture[:, point[1], point[0], None, None]
            like |= (picture - colour).abs().amax(0) < 20
        part = like.clone()
        part[:, int(prompt.points[0, 0]) if len(prompt.points) else 0 :] = False
        masks = torch.stack([part, like, torch.ones_like(like)])
        logits = masks.float() * 10 - 5
        scores, given = torch.tensor([0.9, 0.8, 0.95]), list(self.answers)
        return Candidates(logits[given], scores[given], logits[given][:, ::4, ::4])

    def look_closer(self, frame: np.ndarray, embedding: Embedding) -> Embedding:
        return embedding

    def as_low(self, mask: Tensor) -> Tensor:
        return mask[::4, ::4].float() * 10 - 5
