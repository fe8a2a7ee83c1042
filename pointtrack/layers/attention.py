"""Transformer blocks: self-attention along one axis, and attention to other tokens."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from pointtrack.layers.linear import linear, onednn_takes

TOKENS = 2048  # per pass of an MLP on a CPU


class Attention(nn.Module):
    """Multi-head attention of tokens (b, n, c) to a context (b, k, c)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width)
        self.to_kv = nn.Linear(width, 2 * width)
        self.to_out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor, hidden: Tensor | None = None) -> Tensor:
        """(b, n, c), (b, k, c) -> (b, n, c).

        `hidden`, bool and broadcast to (b, n, k): pairs that do not see each other. A row that sees nothing
        attends to everything with equal weight.
        """
        q = rearrange(linear(x, self.to_q), "b n (h c) -> b h n c", h=self.heads)
        k, v = rearrange(linear(context, self.to_kv), "b k (two h c) -> two b h k c", two=2, h=self.heads)
        bias = None
        if hidden is not None:
            # The lowest finite number, not -inf: the soft-max of a row without any other value must not be NaN.
            full = hidden.expand(len(x), q.shape[2], k.shape[2])[:, None]
            bias = torch.zeros_like(full, dtype=q.dtype).masked_fill_(full, torch.finfo(q.dtype).min)
        heads = F.scaled_dot_product_attention(q, k, v, bias)
        return linear(rearrange(heads, "b h n c -> b n (h c)"), self.to_out)


class Mlp(nn.Module):
    """Two linear layers with a GELU (tanh form) in between."""

    def __init__(self, width: int, ratio: int):
        super().__init__()
        self.fc1 = nn.Linear(width, ratio * width)
        self.fc2 = nn.Linear(ratio * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., c) -> (..., c)."""
        if not onednn_takes(x):
            return self._digest(x)
        # A few tokens at a time, so that intermediate results stay in the processor's cache.
        return torch.cat([self._digest(part) for part in x.reshape(-1, x.shape[-1]).split(TOKENS)]).view_as(x)

    def _digest(self, x: Tensor) -> Tensor:
        return linear(linear(x, self.fc1, gelu="tanh"), self.fc2)


class SelfBlock(nn.Module):
    """Tokens attend to each other: pre-norm attention and MLP, both residual."""

    def __init__(self, width: int, heads: int, mlp_ratio: int):
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.attn = Attention(width, heads)
        self.mlp = Mlp(width, mlp_ratio)

    def forward(self, x: Tensor) -> Tensor:
        """(b, n, c) -> (b, n, c)."""
        normed = self.norm(x)
        x = x + self.attn(normed, normed)
        return x + self.mlp(self.norm(x))


class CrossBlock(nn.Module):
    """Tokens attend to other tokens: pre-norm attention to the context and MLP, both residual."""

    def __init__(self, width: int, heads: int, mlp_ratio: int):
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.norm_context = nn.LayerNorm(width, eps=1e-5)
        self.attn = Attention(width, heads)
        self.mlp = Mlp(width, mlp_ratio)

    def forward(self, x: Tensor, context: Tensor, hidden: Tensor | None = None) -> Tensor:
        """(b, n, c), (b, k, c) -> (b, n, c); `hidden` as in `Attention`."""
        x = x + self.attn(self.norm(x), self.norm_context(context), hidden)
        return x + self.mlp(self.norm(x))
