"""Endless synthetic clips with exact truth: textured cards that turn, bend and pass behind each other.

A scene is a stack of cards (see `motion.py`) in front of a background, in painter's order. To render a frame, the
formulas find the texture point at every pixel of every card; to make a track, their inverse finds where a texture
point lies on every frame. So the truth is exact, even for hidden points and points outside the image. Everything is
batched and runs on the generator's device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor
from torch.utils.data import Dataset

from train.data.batch import ClipBatch
from train.data.motion import Motion, random_motion
from train.data.photometric import chance, degrade, light, random_colour
from train.data.textures import TextureBank


@dataclass(frozen=True)
class SceneConfig:
    """What the clips are like.

    Attributes:
        frames: frames per clip.
        sizes: frame sizes (width, height) to choose from per batch, multiples of 8.
        points: tracked points per clip.
        objects: largest number of cards in front of the background.
        bodies: share of the cards that are round: their points turn out of sight.
        duration: longest scene time that a clip covers; in a time of 1, things move about their own size.
        speed: range of the factor on all motion.
        motion_blur: share of batches rendered with an open shutter (three sub-frames, thrice the cost).
        query_frames: queries lie on the first `query_frames` frames; 0 for all frames.
        shuffled: take the frames at random times instead of evenly spaced ones (to train matching).
    """

    frames: int = 16
    sizes: tuple[tuple[int, int], ...] = ((256, 256),)
    points: int = 256
    objects: int = 6
    bodies: float = 0.3
    duration: float = 1.0
    speed: tuple[float, float] = (0.3, 1.2)
    motion_blur: float = 0.15
    query_frames: int = 0
    shuffled: bool = False


@dataclass
class Scene:
    """One batch of scenes, to sample pixels and points from.

    Attributes:
        motion: geometry of every card.
        textures: (b * l, 4, h, w) RGB and alpha in [0, 1].
        box: (b, l, 4) texture window of every card: centre x, y and half width, height in [-1, 1].
        brightness: (b, l, t) factor on the colours.
        wh: frame size.
    """

    motion: Motion
    textures: Tensor
    box: Tensor
    brightness: Tensor
    wh: tuple[int, int]

    def sample(self, y: Tensor, alpha_only: bool = False) -> Tensor:
        """Pixels (b, l, t, p, 2) -> (b, l, t, p, c): colour of each card there, alpha last."""
        u, in_front = self.motion.pixel_to_card(y)
        values = self._read(self.textures[:, 3:], u)
        if not alpha_only:  # the outline stays with the card, the colours lie on its surface
            values = torch.cat(
                [self._read(self.textures[:, :3], self.motion.card_to_surface(u)), values], dim=-1
            )
        # A card ends at its window; the background never ends (its mirror image continues it).
        on_card = in_front & (u[..., 0].abs() <= 1) & (u[..., 1].abs() <= 1)
        on_card[:, 0] = True
        values[..., -1] *= on_card
        return values

    def _read(self, textures: Tensor, u: Tensor) -> Tensor:
        """(b * l, c, h, w) pictures at (b, l, t, p, 2) coordinates of their windows -> (b, l, t, p, c)."""
        at = self.box[:, :, None, None, :2] + u * self.box[:, :, None, None, 2:]
        grid = rearrange(at, "b l t p xy -> (b l) t p xy")
        values = F.grid_sample(textures, grid, align_corners=False, padding_mode="reflection")
        return rearrange(values, "(b l) c t p -> b l t p c", b=len(u))


class SyntheticClips(Dataset):
    """Endless numbered batches of clips: batch `i` of a seed is always the same, on any worker.

    Args:
        bank: source of textures; clips are made on its device.
        config: what the clips are like.
        batch: clips per batch.
        seed: with the number of the batch, decides everything random.
    """

    def __init__(self, bank: TextureBank, config: SceneConfig, batch: int, seed: int):
        self.bank, self.config, self.batch, self.seed = bank, config, batch, seed

    @torch.no_grad()
    def __getitem__(self, index: int) -> ClipBatch:
        draw = _Draw(self.bank, self.config, self.batch, self.seed * 1_000_003 + index)
        times, speed = draw.times()
        scene = draw.scene(times, speed)
        rendered, objects = render(scene)
        if draw.decide(self.config.motion_blur):
            gap = 0.17 * self.config.duration / max(self.config.frames - 1, 1)
            early, late = (render(draw.at_times(scene, times + side * gap))[0] for side in (-1, 1))
            rendered = (rendered + early + late) / 3
        xy, visible, query_frame = draw.points(scene)
        return ClipBatch(degrade(rendered, draw.generator), xy, visible, query_frame, objects)


class _Draw:
    """The random choices of one batch, in a fixed order from one generator."""

    def __init__(self, bank: TextureBank, config: SceneConfig, batch: int, seed: int):
        self.bank, self.config, self.batch = bank, config, batch
        self.generator = torch.Generator(device=bank.pictures.device).manual_seed(seed)
        self.wh = config.sizes[self._integer(0, len(config.sizes))]

    def decide(self, probability: float) -> bool:
        """True with the given probability."""
        return float(self._rand(1)) < probability

    def times(self) -> tuple[Tensor, Tensor]:
        """Scene time of every frame (b, t) and speed (b,)."""
        config, b = self.config, self.batch
        even = torch.linspace(0, 1, config.frames, device=self.generator.device).expand(b, -1)
        if config.shuffled:
            even = torch.rand((b, config.frames), generator=self.generator, device=self.generator.device)
        else:
            # Speed up and slow down, even to a standstill.
            warp = 0.15 * chance((b, 1), 0.4, self.generator)
            even = even + warp * torch.sin(2 * torch.pi * (even + self._rand(b, 1)))
        low, high = config.speed
        speed = low * (high / low) ** self._rand(b)
        return even * config.duration, speed

    def scene(self, times: Tensor, speed: Tensor) -> Scene:
        """Choose the cards, their textures and how they move."""
        bank, b, wh = self.bank, self.batch, self.wh
        layers = 1 + self._integer(1, self.config.objects + 1)
        region = bank.regions[self._integers(len(bank.regions), b, layers)]  # (b, l, 6)
        # Look-alikes: sometimes a card has the texture of the previous one.
        twin = self._rand(b, layers) < 0.12
        twin[:, :2] = False
        region = torch.where(twin[..., None], region.roll(1, dims=1), region)
        box = region[..., 2:].float()
        label_map = region[..., 0]
        # One card in five is a plain part of a picture, cut by the outline of another object.
        borrowed = label_map[:, torch.randperm(layers, generator=self.generator, device=times.device)]
        window = self._rand(b, layers) < 0.2
        picture_of = bank.label_picture[torch.where(window, borrowed, label_map)]
        if len(bank.plain):
            # Pictures without outlines make up the same share of backgrounds and windows as of all pictures.
            plain = bank.plain[self._integers(len(bank.plain), b, layers)]
            window[:, 0] = True
            window &= self._rand(b, layers) < len(bank.plain) / len(bank.pictures)
            picture_of = torch.where(window, plain, picture_of)
        pictures = bank.pictures[picture_of]  # (b, l, 3, h, w)
        h, w = pictures.shape[-2:]
        alpha = (bank.labels[label_map] == region[..., 1, None, None]).float()
        alpha[:, 0] = 1.0
        colours = random_colour(rearrange(pictures, "b l c h w -> (b l) c h w").float() / 255, self.generator)
        textures = torch.cat([colours, rearrange(alpha, "b l h w -> (b l) 1 h w")], dim=1)

        centre = (box[..., :2] + box[..., 2:]) / torch.tensor([w, h], device=box.device) - 1
        reach = (box[..., 2:] - box[..., :2]) / torch.tensor([w, h], device=box.device)
        centre[:, 0], reach[:, 0] = 0.0, 1.0
        # Size on the image, as a share of its width: random for objects, larger than the frame for the background.
        # Mirrored at random.
        pixels = box[..., 2:] - box[..., :2]
        size = 0.08 + 0.42 * self._rand(b, layers) ** 1.5
        half = size[..., None] * pixels / pixels.amax(-1, keepdim=True)
        cover = (0.62 + 0.9 * self._rand(b)) * max(1.0, w / h * wh[1] / wh[0])
        half[:, 0] = cover[:, None] * torch.tensor([1.0, h / w], device=box.device)
        flip = torch.where(self._rand(b, layers) < 0.5, -1.0, 1.0)
        reach = reach * torch.stack([flip, torch.ones_like(flip)], dim=-1)
        # Sub-frames of motion blur need the same motion again, so it has its own generator.
        self._motion = (half, speed, self._integer(0, 2**31))
        scene = Scene(
            None,  # type: ignore[arg-type]
            textures,
            torch.cat([centre, reach], dim=-1),
            light(times, layers, self.generator),
            wh,  # type: ignore[arg-type]
        )
        return self.at_times(scene, times)

    def at_times(self, scene: Scene, times: Tensor) -> Scene:
        """The same cards on the same paths, at other times (b, t)."""
        half, speed, seed = self._motion
        generator = torch.Generator(device=times.device).manual_seed(seed)
        return replace(
            scene, motion=random_motion(times, half, scene.wh, speed, generator, bodies=self.config.bodies)
        )

    def points(self, scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
        """Draw points that are visible on their query frame: xy (b, t, n, 2), visible (b, t, n), frame (b, n)."""
        b, n = self.batch, self.config.points
        t = scene.brightness.shape[-1]
        many = 3 * n
        frame = self._integers(self.config.query_frames or t, b, many)
        w, h = scene.wh
        y = self._rand(b, many, 2) * torch.tensor([w - 1.0, h - 1.0], device=frame.device)
        # Test every candidate on its own frame only: a motion with points in the place of frames.
        at_frame = _at_frames(scene.motion, frame)
        layers = scene.box.shape[1]
        spread = y[:, None, :, None].expand(-1, layers, -1, -1, -1)
        requested = Scene(at_frame, scene.textures, scene.box, scene.brightness, scene.wh)
        covers = requested.sample(spread, alpha_only=True)[..., 0, 0] > 0.5  # (b, l, many)
        order = torch.arange(1, layers + 1, device=frame.device)[:, None]
        layer = (covers * order).amax(dim=1) - 1
        # About two thirds of the points on objects, as far as the objects are large enough.
        rank = self._rand(b, many) + 0.45 * (layer > 0)
        keep = rank.topk(n, dim=1).indices
        layer, frame = layer.gather(1, keep), frame.gather(1, keep)
        pick = keep[:, None, :, None, None].expand(-1, layers, -1, 1, 2)
        u = at_frame.card_to_surface(at_frame.pixel_to_card(spread)[0])
        of_layer = layer[:, None, :, None, None].expand(-1, 1, -1, 1, 2)
        u = u.gather(2, pick).gather(1, of_layer)  # (b, 1, n, 1, 2)

        along = scene.motion.of_layers(layer)
        card = rearrange(u, "b 1 n 1 xy -> b n 1 1 xy").expand(-1, -1, t, -1, -1)
        card, seen = along.surface_to_card(card)
        xy, in_front = along.card_to_pixel(card)
        in_front &= seen
        xy, in_front = rearrange(xy, "b n t 1 xy -> b t n xy"), rearrange(in_front, "b n t 1 -> b t n")
        covers = scene.sample(xy[:, None].expand(-1, layers, -1, -1, -1), alpha_only=True)[..., 0] > 0.5
        above = order.reshape(-1, 1, 1) - 1 > layer[:, None, None]
        hidden = (covers & above).any(dim=1)
        inside = (xy >= 0).all(-1) & (xy[..., 0] <= w - 1) & (xy[..., 1] <= h - 1)
        visible = in_front & inside & ~hidden
        # In a loss, a position behind the camera or absurdly far outside would only be noise.
        limit = torch.tensor([w, h], device=xy.device) * 2.0
        xy = torch.minimum(torch.maximum(torch.nan_to_num(xy), -limit), 2 * limit)
        at_query = frame[:, None, :].expand(-1, 1, -1)
        visible.scatter_(1, at_query, True)
        return xy, visible, frame

    def _rand(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, device=self.generator.device)

    def _integers(self, high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=self.generator, device=self.generator.device)

    def _integer(self, low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=self.generator, device=self.generator.device))


def render(scene: Scene) -> tuple[Tensor, Tensor]:
    """All frames of all scenes: (b, t, 3, h, w) in [0, 1], and the card that each pixel shows (b, t, h, w) uint8."""
    w, h = scene.wh
    b, layers, t = scene.brightness.shape
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    pixels = torch.stack([x, y], dim=-1).reshape(-1, 2).float().to(scene.box.device)
    values = scene.sample(pixels.expand(b, layers, t, -1, -1))
    frames = torch.zeros(b, t, h * w, 3, device=pixels.device)
    objects = torch.zeros(b, t, h * w, dtype=torch.uint8, device=pixels.device)
    for i in range(layers):
        colour, alpha = values[:, i, ..., :3], values[:, i, ..., 3:]
        frames += alpha * (colour * scene.brightness[:, i, :, None, None] - frames)
        objects[alpha[..., 0] > 0.5] = i
    return (
        rearrange(frames, "b t (h w) c -> b t c h w", h=h),
        rearrange(objects, "b t (h w) -> b t h w", h=h),
    )


def _at_frames(motion: Motion, frame: Tensor) -> Motion:
    """Motion with one chosen frame per point in the place of all frames: frame (b, n) -> t = n."""

    def pick(x: Tensor) -> Tensor:
        index = frame.reshape(frame.shape[0], 1, -1, *[1] * (x.ndim - 3))
        return x.gather(2, index.expand(-1, x.shape[1], -1, *x.shape[3:]))

    return Motion(
        pick(motion.homography),
        pick(motion.inverse),
        motion.wave_vector,
        pick(motion.wave_shift),
        pick(motion.wave_phase),
        motion.solid,
        pick(motion.spin),
    )
