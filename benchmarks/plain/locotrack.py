"""LocoTrack as a reader of its paper would write it in PyTorch: all frames at once, sampled maps, weights by their names."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]
LAYERS = {"small": ((5, 4), (2, 2)), "base": ((3, 2), (3, 2), (2, 2))}  # kernel, stride
STRIDES = (1, 2, 2, 1)


def same(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """A convolution whose output is ceil(size / stride)."""
    pads = []
    for size in (x.shape[-1], x.shape[-2]):
        total = max((-(-size // stride) - 1) * stride + weight.shape[-1] - size, 0)
        pads += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, pads), weight, bias, stride)


def encode(w: Weights, frames: Tensor) -> list[Tensor]:
    """(t, 3, h, w) in [-1, 1] -> hires, lowres, highest maps (t, c, h, w), of unit length."""
    x = same(frames, w["resnet_torch.initial_conv.weight"], None, 2)
    maps = []
    for g, stride in enumerate(STRIDES):
        for b in (0, 1):
            name = f"resnet_torch.block_groups.{g}.blocks.{b}."
            u = F.relu(F.instance_norm(x, weight=w[name + "bn_0.weight"], bias=w[name + "bn_0.bias"]))
            shortcut = same(u, w[name + "proj_conv.weight"], None, stride) if b == 0 else x
            v = same(u, w[name + "conv_0.weight"], None, stride if b == 0 else 1)
            v = F.relu(F.instance_norm(v, weight=w[name + "bn_1.weight"], bias=w[name + "bn_1.bias"]))
            x = same(v, w[name + "conv_1.weight"], None, 1) + shortcut
        maps.append(F.normalize(x, dim=1, eps=1e-6))
    return [maps[1], maps[3], maps[0]]


def sample(level: Tensor, xy: Tensor, padding: str) -> Tensor:
    """(t, c, h, w) at (t, k, 2) raster positions -> (t, k, c)."""
    size = xy.new_tensor([level.shape[3], level.shape[2]])
    grid = (xy / size * 2 - 1)[:, :, None]
    found = F.grid_sample(level, grid, align_corners=False, padding_mode=padding)
    return found[..., 0].transpose(1, 2)


def patch(xy: Tensor) -> Tensor:
    """(..., 2) -> (..., 49, 2), y slow."""
    reach = torch.arange(-3.0, 4.0)
    y, x = torch.meshgrid(reach, reach, indexing="ij")
    return xy[..., None, :] + torch.stack([x, y], dim=-1).reshape(49, 2)


def side(w: Weights, k: int, x: Tensor, layers: tuple[tuple[int, int], ...]) -> Tensor:
    for i, (_, stride) in enumerate(layers):
        name = f"cmdtop.{k}.conv.{i}."
        x = same(x, w[name + "0.weight"], w[name + "0.bias"], stride)
        x = F.relu(F.group_norm(x, x.shape[1] // 16, w[name + "1.weight"], w[name + "1.bias"]))
    return x.mean(dim=(2, 3))


def mixer(w: Weights, tokens: Tensor) -> Tensor:
    """(n, t, 854) -> (n, t, 388)."""

    def lin(x: Tensor, name: str) -> Tensor:
        return F.linear(x, w[name + ".weight"], w[name + ".bias"])

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"])

    x = lin(tokens, "torch_pips_mixer.input_proj")
    n, t, width = x.shape
    heads = width // 64
    half = heads // 2
    slopes = 24 ** (-(torch.arange(half) + 1.0) / half)
    ahead = (torch.arange(t) - torch.arange(t)[:, None]).float()
    back = (slopes[:, None, None] * ahead).masked_fill(ahead > 0, -1e9)
    forth = (slopes[:, None, None] * -ahead).masked_fill(ahead < 0, -1e9)
    bias = torch.cat([back, forth])
    for i in range(3):
        name = f"torch_pips_mixer.transformer.layers.{i}."
        y = norm(x, name + "layer_norm1")
        q, k, v = (
            lin(y, f"{name}attn.{part}_proj").view(n, t, heads, 64).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        scores = (q @ k.transpose(-1, -2)) / 8 + bias
        y = (scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(n, t, width)
        x = x + lin(y, name + "attn.final_proj")
        x = x + lin(F.gelu(lin(norm(x, name + "layer_norm2"), name + "dense.0")), name + "dense.2")
    return lin(norm(x, "torch_pips_mixer.transformer.ln_out"), "torch_pips_mixer.output_proj")


def track(w: Weights, video: Tensor, frame: Tensor, xy: Tensor, size: str, chunk: int = 64) -> Tensor:
    """(t, 3, 256, 256) RGB 0..255, (n,) frames and (n, 2) raster positions -> (t, n, 2) raster positions."""
    maps = encode(w, video / 255 * 2 - 1)
    parts = [_track(w, maps, f, p, size) for f, p in zip(frame.split(chunk), xy.split(chunk), strict=True)]
    return torch.cat(parts, dim=1)


def _track(w: Weights, maps: list[Tensor], frame: Tensor, xy: Tensor, size: str) -> Tensor:
    t, n = len(maps[0]), len(frame)
    scales = [torch.tensor([m.shape[3], m.shape[2]]) / 256 for m in maps]
    support = [
        sample(m[frame], patch(xy * s), "border") for m, s in zip(maps, scales, strict=True)
    ]  # (n, 49, c)
    costs = [torch.einsum("nc,tchw->nthw", s[:, 24], m) for s, m in zip(support[:2], maps[:2], strict=True)]
    fine, coarse = costs[0].flatten(0, 1)[:, None], costs[1].flatten(0, 1)[:, None]
    coarse = F.interpolate(coarse, fine.shape[2:], mode="bilinear", align_corners=False)
    both = torch.cat([coarse, fine], dim=1)
    heat = F.conv2d(both, w["cost_conv.weight"], w["cost_conv.bias"], padding=1)
    h, width = heat.shape[2:]
    p = (20 * heat).flatten(1).softmax(dim=1)
    index = p.argmax(dim=1)
    y, x = torch.meshgrid(torch.arange(h), torch.arange(width), indexing="ij")
    cells = torch.stack([x, y], dim=-1).reshape(-1, 2).float()
    best = torch.stack([index % width, index // width], dim=-1).float()
    near = ((cells - best[:, None]) ** 2).sum(dim=-1) < 25
    p = p * near
    pos = (p[..., None] * (cells + 0.5)).sum(dim=1) / p.sum(dim=1, keepdim=True)
    pos = (pos * 256 / torch.tensor([width, h])).view(n, t, 2)
    pos = torch.where((torch.arange(t) == frame[:, None])[..., None], xy[:, None], pos)
    flat = both.flatten(2)
    numbers = torch.cat([flat.mean(dim=2), flat.amax(dim=2), flat.amin(dim=2)], dim=1)
    logits = F.linear(numbers, w["occ_linear.weight"], w["occ_linear.bias"]).view(n, t, 2)
    for _ in range(4):
        parts = [logits]
        for k in range(3):
            around = sample(maps[k], patch(pos.transpose(0, 1) * scales[k]).flatten(1, 2), "zeros")
            around = around.view(t, n, 49, -1)
            products = torch.einsum("tnac,nbc->ntab", around, support[k]).flatten(0, 1)
            target = products.transpose(1, 2).reshape(-1, 49, 7, 7)
            query = products.reshape(-1, 49, 7, 7)
            digest = [side(w, k, target, LAYERS[size]), side(w, k, query, LAYERS[size])]
            parts.append(torch.cat(digest, dim=-1).view(n, t, -1))
        none = torch.zeros(n, 1, 2)
        step = pos[:, 1:] - pos[:, :-1]
        motion = torch.cat([torch.cat([-step, none], dim=1), torch.cat([none, step], dim=1)], dim=-1) / 256
        waves = (motion[..., None, :] * 2.0 ** torch.arange(10)[:, None]).flatten(-2)
        tokens = torch.cat([*parts, motion, waves.sin(), (waves + math.pi / 2).sin()], dim=-1)
        change = mixer(w, tokens)
        pos, logits = pos + change[..., :2], logits + change[..., 2:4]
    return pos.transpose(0, 1)
