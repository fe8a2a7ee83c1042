"""Numbered training batches from folders of clips with known tracks (docs/train/data-format.md).

A batch takes a random span of frames and a random window of the image from each of its clips, resizes them to
one size, and changes colours, light and noise as cameras do. Batch `i` of a seed is always the same.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.utils.data import Dataset

from pointtrack.datasets.clip import Clip, TrueTracks
from pointtrack.datasets.format import INFO, TRACKS, list_clips, read_clip, read_info
from pointtrack.datasets.validate_tracks import refuse_wrong_tracks
from pointtrack.geometry import inside_image
from train.data.ahead import Ahead
from train.data.batch import ClipBatch
from train.data.photometric import chance, degrade, light, random_colour
from train.data.synthetic import SceneConfig

log = logging.getLogger(__name__)

RECOLOURED = 0.5  # share of clips with changed colours
BACKWARD = 0.3  # share of clips that run backward
SKIPPED = 3  # a span takes every 1st to every 3rd frame
AREA = (0.3, 1.0)  # share of the image that a window covers
ASPECT = 1.5  # largest stretch of a window, either way
TRIES = 6  # windows to draw; the one with most points is used
TRIED_CLIPS = 20
CHECKED_CLIPS = 50  # at the start, spread over the set: what is wrong in one is mostly wrong in many


@dataclass(frozen=True)
class Window:
    """A part of the image in whole pixels: left, top, width and height."""

    left: int
    top: int
    width: int
    height: int

    def points(self, xy: Tensor, wh: tuple[int, int]) -> Tensor:
        """(..., 2) pixels of the whole image -> pixels of the window resized to `wh`, outer edges onto outer edges."""
        corner = xy.new_tensor([self.left, self.top])
        scale = xy.new_tensor([wh[0] / self.width, wh[1] / self.height])
        return (xy - corner + 0.5) * scale - 0.5

    def picture(self, picture: np.ndarray, wh: tuple[int, int], labels: bool = False) -> np.ndarray:
        """(h, w[, 3]) picture -> its window, resized to `wh`."""
        part = picture[self.top : self.top + self.height, self.left : self.left + self.width]
        shrinks = wh[0] <= self.width and wh[1] <= self.height
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return cv2.resize(part, wh, interpolation=cv2.INTER_NEAREST if labels else how)


class FolderClips(Dataset):
    """Endless numbered batches from clips with tracks.

    Args:
        folders: folders of clips; clips without tracks, and clips of one frame, are left out.
        config: frames, sizes, points and query frames of a batch, as for synthetic clips.
        batch: clips per batch.
        seed: with the number of the batch, decides everything random.

    A batch uses only points that are known on all frames of a span. If a clip has fewer of them than a batch
    needs, points repeat, on other query frames where possible.

    Raises:
        FileNotFoundError: a folder without clips. ValueError: no clip among them has tracks, or the tracks of one are wrong,
            as `refuse_wrong_tracks` says of up to 50 of them.
    """

    def __init__(self, folders: Sequence[Path], config: SceneConfig, batch: int, seed: int):
        self.config, self.batch, self.seed = config, batch, seed
        found = [path for folder in folders for path in list_clips(folder)]
        tracked = [(path, _frames(path)) for path in found if (path / TRACKS).is_file()]
        self.clips = [(path, frames) for path, frames in tracked if frames > 1]
        if not self.clips:
            raise ValueError(
                f"training clips: expected clips with tracks in {', '.join(map(str, folders))}, "
                f"got {len(found)} without"
            )
        for path, _ in self.clips[:: -(-len(self.clips) // CHECKED_CLIPS)]:
            refuse_wrong_tracks(path)
        log.info("training clips: %d of %d in %s", len(self.clips), len(found), ", ".join(map(str, folders)))

    @torch.no_grad()
    def __getitem__(self, index: int) -> ClipBatch:
        random = np.random.default_rng([self.seed, index])
        wh = self.config.sizes[int(random.integers(len(self.config.sizes)))]
        parts = [self._part(wh, random) for _ in range(self.batch)]
        generator = torch.Generator().manual_seed(int(random.integers(2**31)))
        frames, xy, visible, query_frame = (torch.stack([part[i] for part in parts]) for i in range(4))  # type: ignore[misc]
        labels = [part[4] for part in parts if part[4] is not None]
        objects = torch.stack(labels) if len(labels) == len(parts) else None
        return ClipBatch(_recorded(frames, generator), xy, visible, query_frame, objects)

    def points(self, tracks: TrueTracks, rows: np.ndarray) -> TrueTracks:
        """The given frames of the points that are usable for training."""
        return known_points(tracks, rows)

    def _part(
        self, wh: tuple[int, int], random: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
        """Frames (t, 3, h, w), xy (t, n, 2), visible (t, n), query frames (n,), labels (t, h, w) of one clip."""
        for _ in range(TRIED_CLIPS):
            path, frames = self.clips[int(random.integers(len(self.clips)))]
            order = self._order(frames, random)
            start, stop = int(order.min()), int(order.max()) + 1
            clip = read_clip(path, start, stop - start)
            rows = order - start
            assert clip.tracks is not None
            tracks = self.points(clip.tracks, rows)
            if not tracks.visible.any():
                continue
            window = choose_window(tracks, clip.video.wh, wh, random)
            xy = window.points(tracks.xy.float(), wh)
            visible = tracks.visible & inside_image(xy, wh)
            early = visible[: self.config.query_frames or None]
            if not early.any():
                continue
            point, frame = draw_queries(early, self.config.points, random)
            pictures, labels = _pictures(clip, rows, window, wh)
            xy, visible, mirrored = xy[:, point], visible[:, point], random.random() < 0.5
            if mirrored:
                xy = torch.stack([wh[0] - 1 - xy[..., 0], xy[..., 1]], dim=-1)
                pictures = pictures.flip(-1)
                labels = None if labels is None else labels.flip(-1)
            limit = torch.tensor(wh) * 2.0
            xy = torch.minimum(torch.maximum(xy, -limit), 2 * limit)
            return pictures, xy, visible, frame, labels
        raise ValueError(
            f"training clips: expected points that are known on {self.config.frames} frames in a row and visible "
            f"on the first {self.config.query_frames or self.config.frames}, got none in {TRIED_CLIPS} clips"
        )

    def _order(self, frames: int, random: np.random.Generator) -> np.ndarray:
        """(t,) frames of a clip in the order of the batch; a clip that is too short runs to and fro."""
        wanted = self.config.frames
        if self.config.shuffled:
            span = min(frames, SKIPPED * wanted)
            start = int(random.integers(frames - span + 1))
            return start + random.choice(span, wanted, replace=span < wanted)
        step = int(random.integers(1, max(1, min(SKIPPED, (frames - 1) // max(wanted - 1, 1))) + 1))
        reach = min((wanted - 1) * step, frames - 1)
        start = int(random.integers(frames - reach))
        place = np.arange(wanted) * step
        if reach < place[-1]:
            place = reach - np.abs(place % (2 * reach) - reach)
        return start + (reach - place if random.random() < BACKWARD else place)


class MixedClips(Dataset):
    """Numbered batches, each from one of two sources.

    Args:
        first, second: sources of numbered batches.
        share: share of the batches that come from the second source.
        seed: with the number of a batch, decides its source.
        readers: processes that make batches of the second source ahead of time.

    Raises:
        ValueError: a share outside 0..1.
    """

    def __init__(self, first: Dataset, second: Dataset, share: float, seed: int, readers: int = 0):
        if not 0 <= share <= 1:
            raise ValueError(f"share of clips: expected 0 to 1, got {share}")
        self.is_second = partial(_is_second, share, seed)
        self.first, self.second = first, Ahead(second, self.is_second, readers) if readers else second

    def __getitem__(self, index: int) -> ClipBatch:
        batch: ClipBatch = (self.second if self.is_second(index) else self.first)[index]
        return batch


def _is_second(share: float, seed: int, index: int) -> bool:
    """Whether batch `index` comes from the second source."""
    return bool(np.random.default_rng([seed, index, 1]).random() < share)


def known_points(tracks: TrueTracks, order: np.ndarray) -> TrueTracks:
    """The given frames of the points that are known on all of them, and visible on at least one."""
    rows = torch.from_numpy(order)
    kept = tracks.valid[rows].all(dim=0) & tracks.visible[rows].any(dim=0)
    return TrueTracks(tracks.xy[rows][:, kept], tracks.visible[rows][:, kept], ids=tracks.ids[kept])


def choose_window(
    tracks: TrueTracks, from_wh: tuple[int, int], wh: tuple[int, int], random: np.random.Generator
) -> Window:
    """Draw some windows with about the aspect ratio of `wh`, and return the one that shows most points."""
    best, most = Window(0, 0, *from_wh), -1
    seen = tracks.xy[tracks.visible]
    for _ in range(TRIES):
        area = random.uniform(*AREA) * from_wh[0] * from_wh[1]
        aspect = wh[0] / wh[1] * np.exp(random.uniform(-1, 1) * np.log(ASPECT))
        width = int(np.clip(round(np.sqrt(area * aspect)), 8, from_wh[0]))
        height = int(np.clip(round(np.sqrt(area / aspect)), 8, from_wh[1]))
        centre = seen[int(random.integers(len(seen)))].numpy() + random.normal(0, 0.2, 2) * (width, height)
        left = int(np.clip(centre[0] - width / 2, 0, from_wh[0] - width))
        top = int(np.clip(centre[1] - height / 2, 0, from_wh[1] - height))
        window = Window(left, top, width, height)
        inside = int(inside_image(window.points(seen, (width, height)), (width, height)).sum())
        if inside > most:
            best, most = window, inside
    return best


def draw_queries(visible: Tensor, count: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """(t, n) bool -> points (count,), all in turn, and for each a frame (count,) on which it is visible."""
    able = visible.any(dim=0).nonzero().flatten().numpy()
    rounds = [random.permutation(able) for _ in range(-(-count // len(able)))]
    point = torch.from_numpy(np.concatenate(rounds)[:count])
    score = torch.from_numpy(random.random((len(visible), count))) * visible[:, point]
    return point, score.argmax(dim=0)


def _pictures(
    clip: Clip, rows: np.ndarray, window: Window, wh: tuple[int, int]
) -> tuple[Tensor, Tensor | None]:
    """(t, 3, h, w) uint8 frames, and (t, h, w) uint8 labels if all frames have them."""
    stack = np.stack([window.picture(clip.video.frames[row], wh) for row in rows])
    frames = rearrange(torch.from_numpy(stack), "t h w c -> t c h w")
    if clip.labels is None or clip.annotated is None or not clip.annotated[rows].all():
        return frames, None
    labels = np.stack([window.picture(clip.labels[row], wh, labels=True) for row in rows])
    return frames, torch.from_numpy(labels)


def _recorded(frames: Tensor, generator: torch.Generator) -> Tensor:
    """(b, t, 3, h, w) uint8 -> the same, as another camera in other light might have recorded it."""
    b, t, _, h, w = frames.shape
    clean = frames.float() / 255
    # One draw for all frames of a clip, so they are placed side by side.
    wide = random_colour(rearrange(clean, "b t c h w -> b c (t h) w"), generator)
    other = rearrange(wide, "b c (t h) w -> b t c h w", t=t)
    recoloured = chance((b, 1, 1, 1, 1), RECOLOURED, generator)
    clean = clean + recoloured * (other - clean)
    brightness = light(torch.linspace(0, 1, t).expand(b, -1), 1, generator)[:, 0]
    return degrade(clean * brightness[:, :, None, None, None], generator)


def _frames(path: Path) -> int:
    return int(read_info(path / INFO)[1]["frames"])
