"""How the layers of a synthetic scene move: flat cards in a 3-D world in front of a moving camera.

Every card has its own plane coordinates u in [-1, 1]^2, glued to its texture. Two steps lead from there
to the image, both exact in both directions:

    bend:     u = z + e_t(z)      a few travelling sine waves, weak enough to be undone by iteration
    project:  y ~ H_t (z, 1)      a pinhole camera looking at the card: position, tilt, roll, zoom

Some cards are bodies: they keep their outline, but show one half of a round surface that turns. So their points go
out of sight without anything passing in front of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

WAVES = 3
# The sum over waves of |amplitude| * |wave vector|: below 1 the bend is invertible, and each round of
# the iteration that undoes it leaves this share of the error.
LARGEST_BEND = 0.5
UNBEND_ROUNDS = 24
FRONT_RAD = 1.4  # a little less than a quarter turn: nothing is recognisable closer to the edge of a body


@dataclass
class Motion:
    """Geometry of all cards on all frames.

    Attributes:
        homography: (b, l, t, 3, 3) z -> pixel; the third homogeneous coordinate is the depth.
        inverse: (b, l, t, 3, 3) pixel -> z.
        wave_vector: (b, l, k, 2) radians per unit of z.
        wave_shift: (b, l, t, k, 2) amplitude of every wave on every frame, a vector in units of z.
        wave_phase: (b, l, t, k) radians.
        solid: (b, l) bool: the card is a body.
        spin: (b, l, t) radians by which it has turned.
    """

    homography: Tensor
    inverse: Tensor
    wave_vector: Tensor
    wave_shift: Tensor
    wave_phase: Tensor
    solid: Tensor
    spin: Tensor

    def card_to_surface(self, u: Tensor) -> Tensor:
        """(b, l, t, p, 2) card coordinates -> the texture coordinates that the card shows there."""
        angle = torch.asin(u[..., 0].clamp(-1, 1)) + self.spin[..., None]
        x = torch.where(self.solid[..., None, None], angle * (2 / math.pi), u[..., 0])
        return torch.stack([x, u[..., 1]], dim=-1)

    def surface_to_card(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """(b, l, t, p, 2) texture coordinates -> (card coordinates, (b, l, t, p) bool on the front side)."""
        angle = v[..., 0] * (math.pi / 2) - self.spin[..., None]
        solid = self.solid[..., None, None]
        x = torch.where(solid, torch.sin(angle), v[..., 0])
        return torch.stack([x, v[..., 1]], dim=-1), (angle.abs() < FRONT_RAD) | ~solid

    def bend(self, z: Tensor) -> Tensor:
        """(b, l, t, p, 2) straight card coordinates -> e_t(z), the displacement by the waves."""
        # One wave at a time: the whole (p, k, 2) block would be the largest array of the renderer.
        total = torch.zeros_like(z)
        for k in range(self.wave_vector.shape[2]):
            vector = self.wave_vector[:, :, None, None, k]
            angle = torch.addcmul(self.wave_phase[..., None, k], z[..., 0], vector[..., 0])
            wave = angle.addcmul_(z[..., 1], vector[..., 1]).sin_()
            total.addcmul_(wave[..., None], self.wave_shift[:, :, :, None, k])
        return total

    def pixel_to_card(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """(b, l, t, p, 2) pixels -> ((b, l, t, p, 2) card coordinates u, (b, l, t, p) bool in front)."""
        z, in_front = _project(self.inverse, y)
        return z + self.bend(z), in_front

    def card_to_pixel(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """(b, l, t, p, 2) card coordinates -> ((b, l, t, p, 2) pixels, (b, l, t, p) bool in front)."""
        z = u
        for _ in range(UNBEND_ROUNDS):
            z = u - self.bend(z)
        return _project(self.homography, z)

    def of_layers(self, layer: Tensor) -> Motion:
        """The motion of one layer per point, points taking the place of layers: layer (b, n) -> l = n."""

        def pick(x: Tensor) -> Tensor:
            index = layer.reshape(*layer.shape, *[1] * (x.ndim - 2)).expand(*layer.shape, *x.shape[2:])
            return x.gather(1, index)

        return Motion(*(pick(getattr(self, name)) for name in self.__dataclass_fields__))


def _project(matrix: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """(..., 3, 3) x (..., p, 2) -> ((..., p, 2) after division, (..., p) bool positive depth)."""
    out = points @ matrix[..., :2].mT + matrix[..., None, :, 2]
    depth = out[..., 2:]
    return out[..., :2] / torch.where(depth > 1e-6, depth, 1.0), depth[..., 0] > 1e-6


def smooth_curves(shape: tuple[int, ...], times: Tensor, generator: torch.Generator) -> Tensor:
    """Random smooth functions of time, about unit size: times (b, t) -> (b, *shape, t)."""
    b, t = times.shape
    size = (b, *shape, 1, 3)
    frequency = 0.1 + 1.4 * _rand(size, generator, times) ** 2
    phase = 2 * math.pi * _rand(size, generator, times)
    weight = (_rand(size, generator, times) + 0.2) / (1 + 1.5 * frequency)
    s = times.reshape(b, *[1] * len(shape), t, 1)
    return (weight * torch.sin(2 * math.pi * frequency * s + phase)).sum(-1)


def random_motion(
    times: Tensor,
    half: Tensor,
    wh: tuple[int, int],
    speed: Tensor,
    generator: torch.Generator,
    *,
    bodies: float = 0.0,
) -> Motion:
    """Draw the motion of one batch of scenes.

    Args:
        times: (b, t) scene time of every frame; in a time of 1, things move about their own size.
        half: (b, l, 2) half width and height of every card as a share of the image width; card 0 is the
            background.
        wh: image size as (width, height) in pixels.
        speed: (b,) factor on all motion.
        generator: source of randomness, on the device of `times`.
        bodies: share of the cards that are bodies; the background never is.

    Returns:
        Motion of b scenes with l cards on t frames.
    """
    b, t = times.shape
    layers = half.shape[1]
    rest = times[:, :1] * 0
    # Every scene and card moves at its own pace.
    pace = speed[:, None] * (0.3 + 1.2 * _rand((b, 1), generator, times))
    moving = rest + times * pace

    focal = (0.7 + 0.8 * _rand((b, 1, 1), generator, times)) * wh[0]
    zoom = torch.exp(0.15 * smooth_curves((1,), moving, generator))
    camera_turn = 0.10 * smooth_curves((3,), moving, generator)
    camera_shake = 0.006 * smooth_curves((3,), times * 8 * speed[:, None], generator)
    shaken = (_rand((b, 1, 1), generator, times) < 0.3).float()
    camera = _rotation((camera_turn + shaken * camera_shake)[:, None])  # (b, 1, t, 3, 3)
    camera_shift = 0.25 * smooth_curves((3,), moving, generator)

    depth = 1.3 + 2.2 * _rand((b, layers), generator, times).sort(dim=1, descending=True).values
    depth[:, 0] = 4.0
    unit = wh[0] / focal[:, :, 0]  # width of the image at depth 1, in world units
    place = 0.55 * (2 * _rand((b, layers, 2), generator, times) - 1)
    place = place[..., None] + 0.35 * smooth_curves((layers, 2), moving, generator)
    place[:, 0] = 0.0
    z = depth[..., None] * torch.exp(0.22 * smooth_curves((layers,), moving, generator))
    z[:, 0] = depth[:, :1]
    aspect = torch.tensor([1.0, wh[1] / wh[0]], device=times.device)[:, None]
    # (b, l, 3, t)
    centre = torch.cat([place * aspect * (unit * depth)[:, :, None, None], z[:, :, None]], dim=2)

    still = 0.7 * (2 * _rand((b, layers, 1), generator, times) - 1)
    roll = 3 * still + 1.0 * smooth_curves((layers,), moving, generator)
    tilt = 0.8 * torch.tanh(0.6 * smooth_curves((layers, 2), moving, generator) + still[..., None])
    tilt[:, 0] *= 0.35
    roll[:, 0] *= 0.15
    turn = _rotation(torch.cat([tilt, torch.zeros_like(roll)[:, :, None]], dim=2)) @ _roll(roll)

    world = camera.mT @ torch.cat([turn[..., :2], (centre - camera_shift[:, None]).mT[..., None]], dim=-1)
    pinhole = torch.zeros(b, 1, t, 3, 3, device=times.device)
    pinhole[..., 0, 0] = pinhole[..., 1, 1] = focal * zoom
    pinhole[..., 0, 2], pinhole[..., 1, 2], pinhole[..., 2, 2] = (wh[0] - 1) / 2, (wh[1] - 1) / 2, 1.0
    pose = (pinhole @ world).unbind(1)  # per layer (b, t, 3, 3), plane units are world units

    # Limbs: a card may hang from a hinge on the previous card and swing there.
    size = half * (unit * depth)[..., None]  # world units
    is_limb = _rand((b, layers), generator, times) < 0.3
    is_limb[:, :2] = False
    swing = 0.9 * smooth_curves((layers,), moving * 1.5, generator)
    hinged = [pose[0]]
    for i in range(1, layers):
        hinge = 0.8 * (2 * _rand((b, 1, 2), generator, times) - 1) * size[:, i - 1, None]
        arm = 0.8 * size[:, i, None] * torch.sign(_rand((b, 1, 2), generator, times) - 0.5)
        bone = _roll(swing[:, i])
        bone[..., :2, 2] = hinge + (bone[..., :2, :2] @ arm.expand(-1, t, -1)[..., None])[..., 0]
        hinged.append(torch.where(is_limb[:, i, None, None, None], hinged[-1] @ bone, pose[i]))
    scale = torch.diag_embed(torch.cat([size, torch.ones_like(size[..., :1])], dim=-1))
    homography = torch.stack(hinged, dim=1) @ scale[:, :, None]

    waves = (b, layers, WAVES)
    direction = 2 * math.pi * _rand(waves, generator, times)
    pitch = 1.0 + 4.0 * _rand(waves, generator, times)
    vector = torch.stack([direction.cos(), direction.sin()], dim=-1) * pitch[..., None]
    limit = (
        LARGEST_BEND
        * _rand((b, layers, 1), generator, times)
        * (_rand((b, layers, 1), generator, times) < 0.6)
    )
    limit[:, 0] *= 0.2
    share = _rand(waves, generator, times) + 0.1
    amplitude = limit * share / share.sum(-1, keepdim=True) / pitch
    heading = 2 * math.pi * _rand(waves, generator, times)
    heading = torch.stack([heading.cos(), heading.sin()], dim=-1)
    pulse = torch.tanh(smooth_curves((layers, WAVES), moving * 1.5, generator)).mT  # (b, l, t, k)
    drift = 2.0 * smooth_curves((layers, WAVES), moving, generator).mT
    solid = _rand((b, layers), generator, times) < bodies
    solid[:, 0] = False
    spin = 3.0 * smooth_curves((layers,), moving, generator)
    return Motion(
        homography=homography,
        inverse=torch.linalg.inv(homography.double()).float(),
        wave_vector=vector,
        wave_shift=(amplitude[:, :, None] * pulse)[..., None] * heading[:, :, None],
        wave_phase=drift + 2 * math.pi * _rand((b, layers, 1, WAVES), generator, times),
        solid=solid,
        spin=spin,
    )


def _rotation(angles: Tensor) -> Tensor:
    """(b, l, 3, t) angles about x, y, z in radians -> (b, l, t, 3, 3) rotation matrices Rx Ry Rz."""
    x, y, z = angles.unbind(2)
    one, zero = torch.ones_like(x), torch.zeros_like(x)

    def matrix(*rows: Tensor) -> Tensor:
        return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))

    rx = matrix(one, zero, zero, zero, x.cos(), -x.sin(), zero, x.sin(), x.cos())
    ry = matrix(y.cos(), zero, y.sin(), zero, one, zero, -y.sin(), zero, y.cos())
    return rx @ ry @ _roll(z)


def _roll(angle: Tensor) -> Tensor:
    """(...) radians -> (..., 3, 3) rotations in the plane."""
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    rows = (angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero, zero, zero, one)
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def _rand(size: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    return torch.rand(size, generator=generator, device=like.device)
