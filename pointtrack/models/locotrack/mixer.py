"""The transformer along one point's track: half of its heads look back, the other half ahead."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from pointtrack.layers.linear import linear

MLP_RATIO = 4
# Added to the scores of frames that a head does not look at.
BLIND = -1e9
# The slopes of the heads fall evenly, on a logarithmic scale, to 1 / FLATTEST per frame.
FLATTEST = 24


@functools.lru_cache(maxsize=8)
def time_bias(frames: int, heads: int, device: torch.device) -> Tensor:
    """(heads, frames, frames) bias on the scores of (from frame, to frame), lower with distance.

    The first half of the heads looks at the frame itself and earlier ones, the second half at it and later ones.

    Source: attention with linear biases (Press et al. 2022), both ways, as in LocoTrack.
    """
    half = heads // 2
    slope = FLATTEST ** (-(torch.arange(half, dtype=torch.float64) + 1) / half)
    frame = torch.arange(frames)
    ahead = (frame - frame[:, None]).double()  # key minus query
    back = (slope[:, None, None] * ahead).masked_fill(ahead > 0, BLIND)
    forth = (slope[:, None, None] * -ahead).masked_fill(ahead < 0, BLIND)
    return torch.cat([back, forth]).float().to(device)


class TimeAttention(nn.Module):
    """Multi-head self-attention over frames with a bias by their distance."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, t, c) -> (n, t, c)."""
        parts = (linear(x, layer) for layer in (self.query, self.key, self.value))
        q, k, v = (rearrange(part, "n t (h c) -> n h t c", h=self.heads) for part in parts)
        bias = time_bias(x.shape[1], self.heads, x.device).to(q.dtype)
        heads = F.scaled_dot_product_attention(q, k, v, bias)
        return linear(rearrange(heads, "n h t c -> n t (h c)"), self.out)


class TimeLayer(nn.Module):
    """Attention and MLP, both residual, with learned norms before them."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-5)
        self.attn = TimeAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-5)
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.fc2 = nn.Linear(MLP_RATIO * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, t, c) -> (n, t, c)."""
        x = x + self.attn(self.norm1(x))
        return x + linear(linear(self.norm2(x), self.fc1, "none"), self.fc2)


class Mixer(nn.Module):
    """Tokens of a point on all frames -> how to move its estimate on each."""

    def __init__(self, token_width: int, width: int, heads: int, depth: int):
        super().__init__()
        self.project = nn.Linear(token_width, width)
        self.layers = nn.Sequential(*(TimeLayer(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.head = nn.Linear(width, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, t, token_width) -> (n, t, 4): a move (x, y) and changes of the two logits."""
        return linear(self.norm(self.layers(linear(tokens, self.project))), self.head)
