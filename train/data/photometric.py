"""Effects of cameras on pictures: light, lens, noise, compression. Batched, on any device."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from train.data.motion import smooth_curves


def chance(shape: tuple[int, ...], probability: float, generator: torch.Generator) -> Tensor:
    """Float 0/1 of the given shape, 1 with the given probability."""
    return (torch.rand(shape, generator=generator, device=generator.device) < probability).float()


def random_colour(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Recolour textures: (m, 3, h, w) in [0, 1] -> same; hue, saturation, contrast and brightness drawn per picture."""
    m = len(pictures)
    grey = torch.full((3, 3), 1 / 3, device=pictures.device)
    eye = torch.eye(3, device=pictures.device)
    saturation = _uniform((m, 1, 1), 0.2, 1.6, generator)
    mix = (
        grey
        + saturation * (eye - grey)
        + 0.12 * torch.randn((m, 3, 3), generator=generator, device=pictures.device)
    )
    contrast = _uniform((m, 1, 1), 0.6, 1.4, generator)
    offset = _uniform((m, 3, 1), -0.12, 0.12, generator)
    flat = rearrange(pictures, "m c h w -> m c (h w)") - 0.5
    flat = torch.baddbmm(offset + 0.5, contrast * mix, flat)
    return flat.clamp(0, 1).reshape(pictures.shape)


def light(times: Tensor, layers: int, generator: torch.Generator) -> Tensor:
    """(b, t) times -> (b, l, t) brightness factors: one for the scene, one per layer."""
    scene = 0.12 * smooth_curves((1,), times, generator)
    own = 0.10 * smooth_curves((layers,), times, generator)
    return torch.exp(scene + own)


def degrade(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Lens blur, exposure, noise and JPEG-like compression, each on a share of the clips.

    Args:
        frames: (b, t, 3, h, w) in [0, 1], h and w multiples of 8.

    Returns:
        (b, t, 3, h, w) uint8.
    """
    b = len(frames)
    blurred = (chance((b,), 0.25, generator) > 0).nonzero()[:, 0]
    if len(blurred):
        frames = frames.index_copy(
            0, blurred, _blur(frames[blurred], _uniform((len(blurred),), 0.3, 1.3, generator))
        )
    gamma = torch.exp(_uniform((b, 1, 1, 1, 1), -0.3, 0.3, generator))
    frames = frames.clamp(1e-4, 1) ** gamma
    noise = _uniform((b, 1, 1, 1, 1), 0.0, 0.03, generator) * chance((b, 1, 1, 1, 1), 0.6, generator)
    if bool((noise > 0).any()):
        frames = frames + noise * torch.randn(frames.shape, generator=generator, device=frames.device)
    squeezed = (chance((b,), 0.4, generator) > 0).nonzero()[:, 0]
    if len(squeezed):
        strength = _uniform((len(squeezed), 1, 1, 1, 1), 0.01, 0.10, generator)
        frames = frames.index_copy(0, squeezed, _compress(frames[squeezed], strength))
    return (frames.clamp(0, 1) * 255).round().to(torch.uint8)


def _blur(frames: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur with one width per clip: (b, t, 3, h, w), (b,) -> (b, t, 3, h, w)."""
    reach = torch.arange(-3, 4, device=frames.device)
    kernel = torch.exp(-0.5 * (reach / sigma[:, None]) ** 2)
    kernel = (kernel / kernel.sum(-1, keepdim=True))[:, :, None, None, None, None]
    h, w = frames.shape[-2:]
    # Sums of shifted copies, since grouped convolutions with so few channels are slow on a CPU.
    padded = F.pad(frames, (0, 0, 3, 3, 0, 0), mode="replicate")
    frames = sum(kernel[:, k] * padded[..., k : k + h, :] for k in range(7))  # type: ignore[assignment]
    padded = F.pad(frames, (3, 3, 0, 0, 0, 0), mode="replicate")
    return sum(kernel[:, k] * padded[..., k : k + w] for k in range(7))  # type: ignore[return-value]


def _compress(frames: Tensor, strength: Tensor) -> Tensor:
    """Round the 8x8 cosine coefficients, those of fine detail more coarsely, as JPEG and video codecs do."""
    k = torch.arange(8, device=frames.device)
    basis = torch.cos(math.pi * (2 * k + 1) * k[:, None] / 16) * 0.5
    basis[0] /= math.sqrt(2)
    h, w = frames.shape[-2:]
    blocks = rearrange(frames, "b t c (i y) (j x) -> b t c i j y x", y=8, x=8)
    step = strength[..., None, None] * (1 + 0.5 * (k[:, None] + k))
    coefficients = basis @ blocks @ basis.T
    blocks = basis.T @ (torch.round(coefficients / step) * step) @ basis
    return rearrange(blocks, "b t c i j y x -> b t c (i y) (j x)", i=h // 8, j=w // 8)


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)
