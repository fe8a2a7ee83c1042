"""The transformer that looks along time and, through proxy tokens, across points."""

from __future__ import annotations

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from pointtrack.config import TransformerConfig
from pointtrack.layers.attention import CrossBlock, SelfBlock
from pointtrack.layers.linear import linear


class Updater(nn.Module):
    """Tokens of all points on all frames of a window -> the transformer's output for them.

    Every point attends along its own track. Then, frame by frame, a fixed number of proxy tokens attend to the
    points, to each other, and the points attend to them. Work grows linearly with the points.

    Source: CoTracker (Karaev et al. 2023), section "virtual tracks".
    """

    def __init__(self, config: TransformerConfig, token_width: int):
        super().__init__()
        width, depth = config.width, config.depth
        shape = (width, config.heads, config.mlp_ratio)
        self.project = nn.Linear(token_width, width)
        self.proxies = nn.Parameter(torch.empty(config.proxies, width))
        nn.init.normal_(self.proxies)
        self.time_blocks = nn.ModuleList(SelfBlock(*shape) for _ in range(depth))
        self.read_blocks = nn.ModuleList(CrossBlock(*shape) for _ in range(depth))
        self.proxy_blocks = nn.ModuleList(SelfBlock(*shape) for _ in range(depth))
        self.write_blocks = nn.ModuleList(CrossBlock(*shape) for _ in range(depth))

    def forward(self, tokens: Tensor, hidden: Tensor | None = None, by_proxy: bool = False) -> Tensor:
        """(b, t, n, token_width) -> (b, t, n, width).

        Args:
            hidden: (b, n) bool, points that proxy tokens do not read, and that read all proxy tokens with equal weight.
            by_proxy: with as many points as proxy tokens, apply `hidden` to the proxy tokens instead, which then
                read all points with equal weight, as the published CoTracker2 does by mistake.
        """
        b, t, n, _ = tokens.shape
        reading = writing = None
        if hidden is not None:
            per_frame = repeat(hidden, "b n -> (b t) n", t=t)
            reading, writing = per_frame[:, None, :], per_frame[:, :, None]
            if by_proxy and n == len(self.proxies):
                reading = writing
        points = linear(tokens, self.project)
        # Until the first attention along time, the proxies of all frames are equal: one frame stands for all.
        proxies = repeat(self.proxies, "k c -> b 1 k c", b=b).to(points.dtype)
        blocks = zip(self.time_blocks, self.read_blocks, self.proxy_blocks, self.write_blocks, strict=True)
        for along_time, read, among_proxies, write in blocks:
            points = _along_time(along_time, points)
            proxies = _along_time(along_time, proxies).expand(-1, t, -1, -1).flatten(0, 1)
            points = points.flatten(0, 1)
            proxies = among_proxies(read(proxies, points, reading))
            points = write(points, proxies, writing).unflatten(0, (b, t))
            proxies = proxies.unflatten(0, (b, t))
        return points


def _along_time(block: nn.Module, x: Tensor) -> Tensor:
    """(b, t, n, c) -> (b, t, n, c)."""
    return rearrange(block(rearrange(x, "b t n c -> (b n) t c")), "(b n) t c -> b t n c", b=len(x))


class FilledUp(nn.Module):
    """An updater that hides filler points of a batch from all others.

    Args:
        updater: of the tracker.
        filler: (b, n) bool. A window contains the first points of these.
    """

    def __init__(self, updater: Updater, filler: Tensor):
        super().__init__()
        self.updater, self.filler = updater, filler

    def forward(self, tokens: Tensor, hidden: Tensor | None = None, by_proxy: bool = False) -> Tensor:
        filler = self.filler[:, : tokens.shape[2]]
        return self.updater(tokens, filler if hidden is None else hidden | filler, by_proxy)
