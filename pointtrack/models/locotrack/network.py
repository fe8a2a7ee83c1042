"""The network: encodes frames, remembers what points look like, finds and refines them on all frames at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from pointtrack.layers.correlation import channels_last, local_products, read_patch
from pointtrack.layers.embeddings import neighbour_motion
from pointtrack.models.locotrack.config import MAP_CHANNELS, RADIUS, UNIT, LocoTrackConfig
from pointtrack.models.locotrack.correlation import PatchEncoder
from pointtrack.models.locotrack.encoder import LocoEncoder
from pointtrack.models.locotrack.first_guess import FirstGuess
from pointtrack.models.locotrack.mixer import Mixer
from pointtrack.models.locotrack.resolutions import resize

# Points times frames that are refined at a time, so that what lies between the steps stays in the cache of a CPU,
# and the memory of other devices is bounded.
POSITIONS = {"cpu": 1024}
MANY_POSITIONS = 16384
HIRES, LOWRES = 0, 1  # places in the list of maps
OCTAVES = 10


@dataclass(frozen=True)
class Maps:
    """Features of some frames.

    Attributes:
        levels: (b, t, h + 2, w + 2, c) at 1/4, 1/8 and 1/2 of the frame. A ring of zeros lies around each, as
            products outside the frame count as zero.
        wh: size of the frames that were encoded.
    """

    levels: list[Tensor]
    wh: tuple[int, int]

    def __getitem__(self, frames: slice) -> Maps:
        return Maps([level[:, frames] for level in self.levels], self.wh)

    def __len__(self) -> int:
        return self.levels[0].shape[1]

    @staticmethod
    def concat(parts: list[Maps]) -> Maps:
        """The maps of frames behind each other."""
        if len(parts) == 1:
            return parts[0]
        levels = [torch.cat(level, dim=1) for level in zip(*(p.levels for p in parts), strict=True)]
        return Maps(levels, parts[0].wh)


@dataclass(frozen=True)
class Looks:
    """What points look like on their own frame.

    Attributes:
        features: (b, n, c) at the point, at 1/4 and 1/8, from the maps of the first guess.
        patches: (b, n, 49, c) cells around it at 1/4, 1/8 and 1/2, from the maps of the refinement, x slow.
    """

    features: list[Tensor]
    patches: list[Tensor]


@dataclass(frozen=True)
class Guess:
    """Where points are thought to be on all frames.

    Attributes:
        xy: (b, t, n, 2) from the corner of the frame, which measures 256 x 256 whatever its size.
        occluded_logit, wrong_logit: (b, t, n) that the point is hidden; that the position is wrong.
    """

    xy: Tensor
    occluded_logit: Tensor
    wrong_logit: Tensor


class LocoTrack(nn.Module):
    """Finds points on every frame by themselves, then refines each track over all frames.

    Source: LocoTrack (Cho et al. 2024), by a description of what the published models compute.
    """

    def __init__(self, config: LocoTrackConfig):
        super().__init__()
        self.config = config
        self.encoder = LocoEncoder()
        self.first_guess = FirstGuess()
        self.correlations = nn.ModuleList(PatchEncoder(config.correlation) for _ in MAP_CHANNELS)
        token_width = 2 + sum(x.width for x in self.correlations) + 4 + 8 * OCTAVES  # type: ignore[misc]
        self.mixer = Mixer(token_width, config.width, config.heads, config.depth)

    def encode(self, frames: Tensor, wh: tuple[int, int] | None = None) -> Maps:
        """(b, t, 3, h, w) RGB 0..255 -> maps of the frames, resized to `wh` first; one frame at a time on a CPU."""
        b = len(frames)
        pixels = resize(rearrange(frames, "b t c h w -> (b t) c h w") / 127.5 - 1, wh)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        one_by_one = pixels.device.type == "cpu" and not torch.is_grad_enabled()
        parts = [self.encoder(x) for x in (pixels.split(1) if one_by_one else [pixels])]
        levels = []
        for part in zip(*parts, strict=True):
            ringed = [F.pad(channels_last(x, 1 if one_by_one else b), (0, 0, 1, 1, 1, 1)) for x in part]
            level = torch.cat(ringed, dim=1)
            levels.append(level.view(b, -1, *level.shape[2:]))
        return Maps(levels, (pixels.shape[-1], pixels.shape[-2]))

    def remember(self, coarse: Maps, fine: Maps, frame: Tensor, xy: Tensor) -> Looks:
        """What points look like.

        Args:
            coarse, fine: maps for the first guess and for the refinement, often the same.
            frame: (b, n) in these maps; between two frames it is a blend of both.
            xy: (b, n, 2) places as in `Guess`.
        """
        return Looks(
            [_look(coarse, i, frame, xy, 0)[..., 0, :] for i in (HIRES, LOWRES)],
            [_look(fine, i, frame, xy, RADIUS) for i in range(len(MAP_CHANNELS))],
        )

    def forward(self, coarse: Maps, fine: Maps, looks: Looks, frame: Tensor, xy: Tensor) -> list[Guess]:
        """Track points through all frames of the maps.

        Args:
            coarse, fine, frame, xy: as in `remember`; frames that the maps do not have may be among `frame`.
            looks: of the n points.

        Returns:
            The first guess, and the estimate after each round of refinement.
        """
        t, n = len(fine), frame.shape[1]
        size = n if torch.is_grad_enabled() else POSITIONS.get(xy.device.type, MANY_POSITIONS)
        size = max(1, size // t) if not torch.is_grad_enabled() else max(n, 1)
        rounds = []
        for start in range(0, max(n, 1), size):
            points = slice(start, start + size)
            part = Looks([x[:, points] for x in looks.features], [x[:, points] for x in looks.patches])
            guess = self._guess(coarse, part, frame[:, points], xy[:, points])
            guesses = [guess]
            for _ in range(self.config.iterations):
                guesses.append(self._refine(fine, part, guesses[-1]))
            rounds.append(guesses)
        return [
            Guess(
                torch.cat([g.xy for g in group], dim=2),
                torch.cat([g.occluded_logit for g in group], dim=2),
                torch.cat([g.wrong_logit for g in group], dim=2),
            )
            for group in zip(*rounds, strict=True)
        ]

    def _guess(self, coarse: Maps, looks: Looks, frame: Tensor, xy: Tensor) -> Guess:
        """The best place on each frame by itself; on the point's own frame that is known."""
        inner = [coarse.levels[i][:, :, 1:-1, 1:-1] for i in (HIRES, LOWRES)]
        places, logits = [], []
        for item in range(len(frame)):
            features = [x[item] for x in looks.features]
            found = [
                self.first_guess(inner[0][item, i], inner[1][item, i], features) for i in range(len(coarse))
            ]
            places.append(torch.stack([place for place, _ in found]))
            logits.append(torch.stack([logit for _, logit in found]))
        place, logit = torch.stack(places) * UNIT, torch.stack(logits)
        own = torch.arange(len(coarse), device=frame.device)[:, None] == frame.round()[:, None]
        place = torch.where(own[..., None], xy[:, None], place)
        return Guess(place, logit[..., 0], logit[..., 1])

    def _refine(self, fine: Maps, looks: Looks, now: Guess) -> Guess:
        """One round for all points on all frames."""
        now = Guess(now.xy.detach(), now.occluded_logit.detach(), now.wrong_logit.detach())
        numbers = [now.occluded_logit[..., None], now.wrong_logit[..., None]]
        for level, patch, encoder in zip(fine.levels, looks.patches, self.correlations, strict=True):
            products = local_products(level, patch, _cells(level, now.xy) + 1, RADIUS)
            b, t, n = products.shape[:3]
            digest = encoder(products.flatten(0, 2))
            numbers.append(digest.view(b, t, n, -1))
        # The wave lengths are those of fractions of 256 encoded pixels.
        scale = now.xy.new_tensor(fine.wh) / UNIT
        numbers.append(neighbour_motion(now.xy * (scale / UNIT), OCTAVES))
        tokens = rearrange(torch.cat(numbers, dim=-1), "b t n c -> (b n) t c")
        change = rearrange(self.mixer(tokens), "(b n) t c -> b t n c", b=len(now.xy))
        return Guess(
            now.xy + change[..., :2] / scale,
            now.occluded_logit + change[..., 2],
            now.wrong_logit + change[..., 3],
        )


def _cells(level: Tensor, xy: Tensor) -> Tensor:
    """Places as in `Guess` -> cells of a map without its ring."""
    return xy * (xy.new_tensor([level.shape[3] - 2, level.shape[2] - 2]) / UNIT) - 0.5


def _look(maps: Maps, index: int, frame: Tensor, xy: Tensor, radius: int) -> Tensor:
    """(b, n, (2 * radius + 1)^2, c) cells around points; beyond the frame its border repeats."""
    level = maps.levels[index]
    frame = frame.float().clamp(0, len(maps) - 1)
    cells = _cells(level, xy) + 1
    before = frame.floor()
    blend = (frame - before)[..., None, None]
    look = read_patch(level, before.long(), cells, radius, margin=1)
    if not blend.any():
        return look
    behind = (before.long() + 1).clamp(max=len(maps) - 1)
    return torch.lerp(look, read_patch(level, behind, cells, radius, margin=1), blend)
