"""The transformer: attention over time, then over points by way of 64 virtual tracks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

WIDTH, HEADS, VIRTUAL = 384, 8, 64
HIDDEN = torch.finfo(torch.float32).min


class Attention(nn.Module):
    """Soft-max of scaled products, eight heads."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q = nn.Linear(WIDTH, WIDTH)
        self.to_kv = nn.Linear(WIDTH, 2 * WIDTH)
        self.to_out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, context: Tensor, bias: Tensor | None = None) -> Tensor:
        """(b, n, c), (b, k, c), bias on the scores that broadcasts to (b, n, k) -> (b, n, c)."""
        k, v = self.to_kv(context).chunk(2, dim=-1)
        q, k, v = (rearrange(part, "b n (h c) -> b h n c", h=HEADS) for part in (self.to_q(x), k, v))
        scores = q @ k.transpose(-1, -2) * (WIDTH // HEADS) ** -0.5
        if bias is not None:
            scores = scores + bias[:, None]
        return self.to_out(rearrange(scores.softmax(dim=-1) @ v, "b h n c -> b n (h c)"))


class Mlp(nn.Module):
    """Two linear layers around a GELU."""

    def __init__(self, sizes: tuple[int, int, int], approximate: str):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(sizes[0], sizes[1]), nn.Linear(sizes[1], sizes[2])
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        """(..., c) -> (..., c')."""
        return self.fc2(F.gelu(self.fc1(x), approximate=self.approximate))


def _norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


class SelfBlock(nn.Module):
    """Tokens look at each other."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = Attention()
        self.mlp = Mlp((WIDTH, 4 * WIDTH, WIDTH), "tanh")

    def forward(self, x: Tensor) -> Tensor:
        """(b, n, c) -> (b, n, c)."""
        x = x + self.attn(_norm(x), _norm(x))
        return x + self.mlp(_norm(x))


class CrossBlock(nn.Module):
    """Tokens look at others."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_context = nn.LayerNorm(WIDTH, eps=1e-5)
        self.cross_attn = Attention()
        self.mlp = Mlp((WIDTH, 4 * WIDTH, WIDTH), "tanh")

    def forward(self, x: Tensor, context: Tensor, bias: Tensor | None = None) -> Tensor:
        """(b, n, c), (b, k, c) -> (b, n, c)."""
        x = x + self.cross_attn(_norm(x), self.norm_context(context), bias)
        return x + self.mlp(_norm(x))


class UpdateFormer(nn.Module):
    """Tokens of points on frames -> what the heads say of them."""

    def __init__(self, token_width: int, depth: int, heads: dict[str, int]):
        super().__init__()
        self.input_transform = nn.Linear(token_width, WIDTH)
        self.virual_tracks = nn.Parameter(torch.zeros(1, VIRTUAL, 1, WIDTH))  # spelt so in the files
        self.time_blocks = nn.ModuleList(SelfBlock() for _ in range(depth))
        self.space_virtual_blocks = nn.ModuleList(SelfBlock() for _ in range(depth))
        self.space_point2virtual_blocks = nn.ModuleList(CrossBlock() for _ in range(depth))
        self.space_virtual2point_blocks = nn.ModuleList(CrossBlock() for _ in range(depth))
        self.heads = tuple(heads)
        for name, outputs in heads.items():
            self.add_module(name, nn.Linear(WIDTH, outputs))

    def forward(self, tokens: Tensor, active: Tensor | None = None) -> Tensor:
        """(b, n, s, token_width), points (b, n) that take part (all where None) -> (b, n, s, outputs of all heads)."""
        b, n, s, _ = tokens.shape
        to_virtual, to_points = self._biases(active, s)
        virtual = repeat(self.virual_tracks, "1 v 1 c -> b v s c", b=b, s=s)
        x = torch.cat([self.input_transform(tokens), virtual], dim=1)
        for i in range(len(self.time_blocks)):
            x = self.time_blocks[i](rearrange(x, "b n s c -> (b n) s c"))
            x = rearrange(x, "(b n) s c -> (b s) n c", b=b)
            points, virtual = x[:, :n], x[:, n:]
            virtual = self.space_virtual2point_blocks[i](virtual, points, to_virtual)
            virtual = self.space_virtual_blocks[i](virtual)
            points = self.space_point2virtual_blocks[i](points, virtual, to_points)
            x = rearrange(torch.cat([points, virtual], dim=1), "(b s) n c -> b n s c", b=b)
        return torch.cat([self.get_submodule(name)(x[:, :n]) for name in self.heads], dim=-1)

    def _biases(self, active: Tensor | None, s: int) -> tuple[Tensor | None, Tensor | None]:
        """On the scores of virtual tracks that read points, and of points that read virtual tracks."""
        if active is None:
            return None, None
        hidden = torch.where(repeat(active, "b n -> (b s) n", s=s), 0.0, HIDDEN)
        to_points = repeat(hidden, "b n -> b n v", v=VIRTUAL)
        # With exactly 64 points the published code takes the mask for one of the virtual tracks.
        n = active.shape[1]
        to_virtual = to_points if n == VIRTUAL else repeat(hidden, "b n -> b v n", v=VIRTUAL)
        return to_virtual, to_points


def wave_table(length: int, width: int) -> Tensor:
    """(length, width) sines, then cosines, of 0, 1, 2, ... at frequencies 10000^(-k / (width / 2))."""
    frequency = 10000.0 ** (-torch.arange(width // 2, dtype=torch.float64) / (width // 2))
    angle = torch.arange(length, dtype=torch.float64)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1).float()
