"""The network: encodes frames, keeps the appearance of points, finds and refines them on all frames at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from pointtrack.layers.correlation import channels_last, local_products, read_patch
from pointtrack.layers.embeddings import neighbour_motion
from pointtrack.layers.precision import narrow
from pointtrack.models.locotrack.config import MAP_CHANNELS, PATCH, RADIUS, UNIT, LocoTrackConfig
from pointtrack.models.locotrack.correlation import PatchEncoder
from pointtrack.models.locotrack.encoder import LocoEncoder
from pointtrack.models.locotrack.first_guess import FirstGuess
from pointtrack.models.locotrack.mixer import Mixer
from pointtrack.models.locotrack.resolutions import resize
from pointtrack.models.tracking_network import TrackingNetwork
from pointtrack.models.window import Estimate, Templates, WindowQueries, WindowState

# Points times frames that are refined at a time, so that intermediate results stay in the cache of a CPU, and
# the memory of other devices is bounded.
POSITIONS = {"cpu": 1024}
MANY_POSITIONS = 16384
HIRES, LOWRES = 0, 1  # places in the list of maps
STRIDES = (4, 8, 2)  # of the maps
RING = (0, 0, 1, 1, 1, 1)  # padding: a row or column of zeros on every side
OCTAVES = 10


@dataclass(frozen=True)
class Looks:
    """Appearance of the points on their query frames.

    Attributes:
        features: (b, n, c) at the point, at 1/4 and 1/8, from the maps of the first guess.
        patches: (b, n, 49, c) cells around it at 1/4, 1/8 and 1/2, from the maps of the refinement, x slow.
    """

    features: list[Tensor]
    patches: list[Tensor]


@dataclass(frozen=True)
class Guess:
    """Estimated positions of the points on all frames.

    Attributes:
        xy: (b, t, n, 2) from the corner of the frame, which measures 256 x 256 whatever its size.
        occluded_logit, wrong_logit: (b, t, n) logits that the point is hidden, and that the position is wrong.
    """

    xy: Tensor
    occluded_logit: Tensor
    wrong_logit: Tensor


class LocoTrack(TrackingNetwork):
    """Finds every point on each frame separately, then refines each track over all frames.

    Source: LocoTrack (Cho et al. 2024), by a description of what the published models compute.
    """

    config: LocoTrackConfig
    uses_support = False  # points see nothing of each other
    tells_confidence = True

    def __init__(self, config: LocoTrackConfig):
        super().__init__()
        self.config = config
        self.encoder = LocoEncoder()
        self.first_guess = FirstGuess()
        self.correlations = nn.ModuleList(PatchEncoder(config) for _ in MAP_CHANNELS)
        token_width = 2 + sum(x.width for x in self.correlations) + 4 + 8 * OCTAVES  # type: ignore[misc]
        self.mixer = Mixer(token_width, config.width, config.heads, config.depth)

    @property
    def appearance_channels(self) -> int:
        """Channels of the features by which things are recognised."""
        return MAP_CHANNELS[LOWRES]

    def appearance_level(self, stride: int) -> int:
        """The level to pass to `read_level` for these features: the one at 1/8, whatever the stride."""
        return LOWRES

    def level_stride(self, level: int) -> int:
        """Pixels per cell of a level."""
        return STRIDES[level]

    def read_level(self, pyramid: list[Tensor], level: int) -> Tensor:
        """(b, t, h, w, c) float32 features of a level."""
        return pyramid[level][:, :, 1:-1, 1:-1].float()

    def bytes_per_point(self) -> int:
        """Memory that a point takes from window to window, beside its estimates: its appearance."""
        return 4 * (PATCH**2 * sum(MAP_CHANNELS) + MAP_CHANNELS[LOWRES])

    def bytes_at_work(self, wh: tuple[int, int], points: int) -> int:
        """Memory that a window of frames of this size and a chunk of points take while they are tracked.

        It counts the maps of the window and of the step before it, joined, and cells and products of a level for the
        positions that are refined at a time.
        """
        frames, positions = self.config.window.length or 1, max(POSITIONS.values())
        maps = sum(c * (wh[0] // s) * (wh[1] // s) for c, s in zip(MAP_CHANNELS, STRIDES, strict=True))
        block = (2 * RADIUS + 2) ** 2 * (max(MAP_CHANNELS) + 2 * PATCH**2)
        return 4 * (3 * frames * maps + positions * block)

    def encode(self, frames: Tensor, wh: tuple[int, int] | None = None) -> list[Tensor]:
        """Features of frames, resized to `wh` first, and one at a time on a CPU.

        Args:
            frames: (b, t, 3, h, w) RGB 0..255; after resizing, sides must be multiples of 8.

        Returns:
            (b, t, h + 2, w + 2, c) at 1/4, 1/8 and 1/2 of the frame. A ring of zeros lies around each, as products
            outside the frame count as zero.
        """
        b = len(frames)
        pixels = resize(rearrange(frames, "b t c h w -> (b t) c h w") / 127.5 - 1, wh)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        one_by_one = pixels.device.type == "cpu" and not torch.is_grad_enabled()
        if not one_by_one:
            with narrow(pixels.device, self.inference.narrow):
                maps = self.encoder(pixels)
            return [F.pad(channels_last(x, b), RING) for x in maps]
        levels: list[Tensor] = []
        for i, frame in enumerate(pixels.split(1)):
            with narrow(pixels.device, self.inference.narrow):
                maps = [rearrange(x, "1 c h w -> h w c") for x in self.encoder(frame)]
            if not levels:
                levels = [x.new_zeros(len(pixels), x.shape[0] + 2, x.shape[1] + 2, x.shape[2]) for x in maps]
            for level, x in zip(levels, maps, strict=True):
                level[i, 1:-1, 1:-1] = x
        return [rearrange(level, "(b t) h w c -> b t h w c", b=b) for level in levels]

    def remember(self, pyramid: list[Tensor], frame: Tensor, xy: Tensor) -> Templates:
        """Read the appearance of points: (b, n) frames of this pyramid and (b, n, 2) pixels -> templates."""
        looks = self.look(pyramid, pyramid, frame, self._unit(pyramid, xy))
        return Templates(looks.patches, F.normalize(looks.features[LOWRES], dim=-1))

    def forward(
        self, pyramid: list[Tensor], queries: WindowQueries, state: WindowState | None, step: int
    ) -> tuple[list[Estimate], None]:
        """Track points through all frames of a window.

        Args:
            pyramid: of the frames, from `encode`.
            queries: the points. If a query frame lies outside the window, only the appearance of the point is used.
            state, step: not used: every window starts afresh.

        Returns:
            The first guess, and the estimate after each round of refinement; nothing for the next window.
        """
        patches = queries.templates.support
        middle = [patches[i][..., PATCH**2 // 2, :] for i in (HIRES, LOWRES)]
        guesses = self.guesses(
            pyramid, pyramid, Looks(middle, patches), queries.frame.float(), self._unit(pyramid, queries.xy)
        )
        scale = queries.xy.new_tensor(encoded_wh(pyramid)) / UNIT
        return [Estimate(g.xy * scale - 0.5, -g.occluded_logit, -g.wrong_logit) for g in guesses], None

    def _unit(self, pyramid: list[Tensor], xy: Tensor) -> Tensor:
        """Pixels of the encoded frames -> places as in `Guess`."""
        return (xy + 0.5) * (UNIT / xy.new_tensor(encoded_wh(pyramid)))

    def look(self, coarse: list[Tensor], fine: list[Tensor], frame: Tensor, xy: Tensor) -> Looks:
        """Read the appearance of points.

        Args:
            coarse, fine: maps for the first guess and for the refinement, often the same.
            frame: (b, n) in these maps; a fractional one blends two frames.
            xy: (b, n, 2) places as in `Guess`.
        """
        return Looks(
            [_look(coarse[i], frame, xy, 0)[..., 0, :] for i in (HIRES, LOWRES)],
            [_look(level, frame, xy, RADIUS) for level in fine],
        )

    def guesses(
        self, coarse: list[Tensor], fine: list[Tensor], looks: Looks, frame: Tensor, xy: Tensor
    ) -> list[Guess]:
        """Track points through all frames of the maps.

        Args:
            coarse, fine, frame, xy: as in `look`; `frame` may contain frames that the maps lack.
            looks: of the n points.

        Returns:
            The first guess, and the estimate after each round of refinement.
        """
        t, n = fine[0].shape[1], frame.shape[1]
        size = max(n, 1)
        if not torch.is_grad_enabled():
            size = max(1, POSITIONS.get(xy.device.type, MANY_POSITIONS) // t)
        rounds = []
        for start in range(0, max(n, 1), size):
            points = slice(start, start + size)
            part = Looks([x[:, points] for x in looks.features], [x[:, points] for x in looks.patches])
            found = [self._guess(coarse, part, frame[:, points], xy[:, points])]
            with narrow(xy.device, self.inference.narrow):
                for _ in range(self.config.window.iterations):
                    found.append(self._refine(fine, part, found[-1]))
            rounds.append(found)
        return [
            Guess(
                torch.cat([g.xy for g in group], dim=2),
                torch.cat([g.occluded_logit for g in group], dim=2),
                torch.cat([g.wrong_logit for g in group], dim=2),
            )
            for group in zip(*rounds, strict=True)
        ]

    def _guess(self, coarse: list[Tensor], looks: Looks, frame: Tensor, xy: Tensor) -> Guess:
        """The best place on each frame separately; on the query frame, the query position."""
        inner = [coarse[i][:, :, 1:-1, 1:-1].float() for i in (HIRES, LOWRES)]
        b, t = inner[0].shape[:2]
        places, logits = [], []
        for item in range(b):
            features = [x[item].float() for x in looks.features]
            found = [self.first_guess(inner[0][item, i], inner[1][item, i], features) for i in range(t)]
            places.append(torch.stack([place for place, _ in found]))
            logits.append(torch.stack([logit for _, logit in found]))
        place, logit = torch.stack(places) * UNIT, torch.stack(logits)
        own = torch.arange(t, device=frame.device)[:, None] == frame.round()[:, None]
        place = torch.where(own[..., None], xy[:, None], place)
        return Guess(place, logit[..., 0], logit[..., 1])

    def _refine(self, fine: list[Tensor], looks: Looks, now: Guess) -> Guess:
        """One round for all points on all frames."""
        now = Guess(now.xy.detach(), now.occluded_logit.detach(), now.wrong_logit.detach())
        numbers = [now.occluded_logit[..., None], now.wrong_logit[..., None]]
        for level, patch, encoder in zip(fine, looks.patches, self.correlations, strict=True):
            products = local_products(level, patch, _cells(level, now.xy) + 1, RADIUS)
            b, t, n = products.shape[:3]
            digest = encoder(products.flatten(0, 2)).float()
            numbers.append(digest.view(b, t, n, -1))
        # Wavelengths refer to fractions of 256 encoded pixels.
        scale = now.xy.new_tensor(encoded_wh(fine)) / UNIT
        numbers.append(neighbour_motion(now.xy * (scale / UNIT), OCTAVES))
        tokens = rearrange(torch.cat(numbers, dim=-1), "b t n c -> (b n) t c")
        change = rearrange(self.mixer(tokens).float(), "(b n) t c -> b t n c", b=len(now.xy))
        return Guess(
            now.xy + change[..., :2] / scale,
            now.occluded_logit + change[..., 2],
            now.wrong_logit + change[..., 3],
        )


def encoded_wh(pyramid: list[Tensor]) -> tuple[int, int]:
    """Size of the frames that maps were made from."""
    _, _, h, w, _ = pyramid[LOWRES].shape
    return (w - 2) * STRIDES[LOWRES], (h - 2) * STRIDES[LOWRES]


def _cells(level: Tensor, xy: Tensor) -> Tensor:
    """Places as in `Guess` -> cells of a map without its ring."""
    return xy * (xy.new_tensor([level.shape[3] - 2, level.shape[2] - 2]) / UNIT) - 0.5


def _look(level: Tensor, frame: Tensor, xy: Tensor, radius: int) -> Tensor:
    """(b, n, (2 * radius + 1)^2, c) cells around points; beyond the frame its border repeats."""
    last = level.shape[1] - 1
    frame = frame.float().clamp(0, last)
    cells = _cells(level, xy) + 1
    before = frame.floor()
    share = (frame - before)[..., None, None]
    look = read_patch(level, before.long(), cells, radius, margin=1)
    if not share.any():
        return look
    behind = (before.long() + 1).clamp(max=last)
    return torch.lerp(look, read_patch(level, behind, cells, radius, margin=1), share)
