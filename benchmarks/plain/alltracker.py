"""AllTracker-Tiny as a reader of its paper would write it in PyTorch: whole windows, all products, weights by their names."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.plain.encoder import Encoder

Weights = dict[str, Tensor]
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TinyEncoder(Encoder):
    """The encoder of CoTracker with cells of 8 pixels."""

    def forward(self, frames: Tensor) -> Tensor:
        size = (frames.shape[2] // 8, frames.shape[3] // 8)
        mean, deviation = (torch.tensor(x)[:, None, None] for x in (MEAN, DEVIATION))
        x = F.relu(self.norm1(self.conv1((frames / 255 - mean) / deviation)))
        stages = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            stages.append(F.interpolate(x, size, mode="bilinear", align_corners=True))
        return self.conv3(F.relu(self.norm2(self.conv2(torch.cat(stages, dim=1)))))


def conv(w: Weights, x: Tensor, name: str) -> Tensor:
    weight = w[name + ".weight"]
    return F.conv2d(x, weight, w[name + ".bias"], padding=weight.shape[-1] // 2)


def lin(w: Weights, x: Tensor, name: str) -> Tensor:
    return F.linear(x, w[name + ".weight"], w[name + ".bias"])


def correlate(pyramid: list[Tensor], cells: Tensor) -> Tensor:
    """Products per level (s * p, 1, h, w) around (s, p, 2) cells -> (s, p, 405)."""
    s, p, _ = cells.shape
    reach = torch.arange(-4.0, 5.0)
    x, y = torch.meshgrid(reach, reach, indexing="ij")
    offsets = torch.stack([x, y], dim=-1).reshape(81, 2)
    parts = []
    for i, level in enumerate(pyramid):
        size = torch.tensor([max(level.shape[3] - 1, 1), max(level.shape[2] - 1, 1)])
        grid = (cells.reshape(-1, 1, 2) / 2**i + offsets) * 2 / size - 1
        found = F.grid_sample(level, grid[:, :, None], align_corners=True, padding_mode="border")
        parts.append(found.view(s, p, 81))
    return torch.cat(parts, dim=-1)


def time_block(w: Weights, x: Tensor, name: str) -> Tensor:
    """(s, c, h, w): the frames of a cell attend to each other."""
    s, c, h, width = x.shape
    z = x.permute(2, 3, 0, 1).reshape(h * width, s, c)
    y = F.layer_norm(z, (c,), eps=1e-6)
    q = lin(w, y, name + ".block.attn.to_q").view(-1, s, 8, 16).transpose(1, 2)
    k, v = lin(w, y, name + ".block.attn.to_kv").view(-1, s, 2, 8, 16).permute(2, 0, 3, 1, 4)
    heads = ((q @ k.transpose(-1, -2)) / 4).softmax(dim=-1) @ v
    u = z + lin(w, heads.transpose(1, 2).reshape(-1, s, c), name + ".block.attn.to_out")
    hidden = F.gelu(lin(w, F.layer_norm(u, (c,), eps=1e-6), name + ".block.mlp.fc1"), approximate="tanh")
    g = u + lin(w, hidden, name + ".block.mlp.fc2")
    z = z + w[name + ".layer_scale"][:, 0] * g
    return z.view(h, width, s, c).permute(2, 3, 0, 1)


def space_block(w: Weights, x: Tensor, name: str) -> Tensor:
    c = x.shape[1]
    y = F.conv2d(x, w[name + ".block.0.weight"], w[name + ".block.0.bias"], padding=3, groups=c)
    y = F.layer_norm(
        y.permute(0, 2, 3, 1), (c,), w[name + ".block.2.weight"], w[name + ".block.2.bias"], 1e-6
    )
    y = lin(w, F.gelu(lin(w, y, name + ".block.3")), name + ".block.5")
    return x + w[name + ".layer_scale"] * y.permute(0, 3, 1, 2)


def upsample(values: Tensor, weights: Tensor) -> Tensor:
    """(s, k, h, w), (s, 576, h, w) -> (s, k, 8 h, 8 w)."""
    s, k, h, w = values.shape
    shares = weights.view(s, 1, 9, 8, 8, h, w).softmax(dim=2)
    around = F.unfold(8 * values, 3, padding=1).view(s, k, 9, 1, 1, h, w)
    return (shares * around).sum(dim=2).permute(0, 1, 4, 2, 5, 3).reshape(s, k, 8 * h, 8 * w)


def window(
    w: Weights, anchor: Tensor, frames: Tensor, flow: Tensor, scores: Tensor, rounds: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Flow and scores in cells (s, 2, h, w), and in pixels (s, 2, 8 h, 8 w)."""
    s, c, h, width = frames.shape
    products = torch.einsum("cp,schw->sphw", anchor.flatten(1), frames) / c**0.5
    pyramid = [products.reshape(s * h * width, 1, h, width)]
    for _ in range(4):
        pyramid.append(F.avg_pool2d(pyramid[-1], 2))
    y, x = torch.meshgrid(torch.arange(h), torch.arange(width), indexing="ij")
    own = torch.stack([x, y]).float()
    feature = anchor.expand(s, -1, -1, -1)
    context = feature + w["time_emb"][0, :, :, None, None]
    for _ in range(rounds):
        cells = (own + flow).flatten(2).transpose(1, 2)
        corr = correlate(pyramid, cells).transpose(1, 2).reshape(s, -1, h, width)
        name = "update_block.motion_encoder."
        a = F.relu(conv(w, F.relu(conv(w, corr, name + "convc1")), name + "convc2"))
        b = F.relu(conv(w, F.relu(conv(w, flow, name + "convf1")), name + "convf2"))
        motion = torch.cat([F.relu(conv(w, torch.cat([a, b], dim=1), name + "conv")), flow], dim=1)
        z = conv(w, torch.cat([feature, context, motion, scores], dim=1), "update_block.compressor")
        for r in range(6):
            z = (space_block if r % 2 else time_block)(w, z, f"update_block.refine.{r}")
        feature = conv(w, z, "update_block.final_conv")
        flow = flow + conv(w, F.relu(conv(w, feature, "flow_head.0")), "flow_head.2")
        scores = scores + conv(w, F.relu(conv(w, feature, "visconf_head.0")), "visconf_head.2")
        weights = 0.25 * conv(w, F.relu(conv(w, feature, "upsample_weight.0")), "upsample_weight.2")
        pixels, logits = upsample(flow, weights), upsample(scores, weights)
    return flow, scores, pixels, logits


def track(w: Weights, encoder: Encoder, video: Tensor, xy: Tensor, rounds: int = 4) -> Tensor:
    """(t, 3, h, w) RGB 0..255 with sides in multiples of 64, whole pixels (n, 2) of frame 0 -> (t, n, 2) pixels."""
    maps = encoder(video)
    t = len(maps)
    starts = [0]
    while starts[-1] + 16 < t:
        starts.append(starts[-1] + 8)
    maps = torch.cat([maps, maps[-1:].expand(starts[-1] + 16 - t, -1, -1, -1)])
    flow = scores = torch.zeros(16, 2, *maps.shape[2:])
    found = torch.zeros(len(maps), len(xy), 2)
    for start in starts:
        flow, scores, pixels, _ = window(w, maps[0], maps[start : start + 16], flow, scores, rounds)
        moved = pixels[:, :, xy[:, 1], xy[:, 0]].transpose(1, 2)
        first = start if start == 0 else start + 8  # the first window that has a frame answers for it
        found[first : start + 16] = moved[first - start :]
        flow, scores = (torch.cat([x[8:], x[-1:].expand(8, -1, -1, -1)]) for x in (flow, scores))
    return found[:t] + xy
