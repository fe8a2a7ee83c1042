"""One round of refinement: improves the previous estimate from the results of the comparison."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from pointtrack.layers.attention import SelfBlock
from pointtrack.layers.convnext import ConvNextBlock
from pointtrack.layers.encoder import relu
from pointtrack.layers.linear import convolve1x1_relu, linear
from pointtrack.layers.winograd import convolve
from pointtrack.models.alltracker.config import CHANNELS
from pointtrack.models.alltracker.correlation import WIDTH

HEADS, MLP_RATIO = 8, 4
PAIRS = 3  # of a block over time and one over space
# Cells whose frames attend to each other at a time, so that intermediate results stay in the cache of a CPU.
CELLS = {"cpu": 128}
MANY_CELLS = 16384


class MotionEncoder(nn.Module):
    """Products and flow of one frame -> 128 features, the last two of which are the flow itself."""

    def __init__(self) -> None:
        super().__init__()
        self.products1 = nn.Conv2d(WIDTH, 512, 1)
        self.products2 = nn.Conv2d(512, 192, 3, padding=1)
        self.flow1 = nn.Conv2d(2, 256, 5, padding=2)
        self.flow2 = nn.Conv2d(256, 64, 3, padding=1)
        self.mix = nn.Conv2d(256, CHANNELS - 2, 3, padding=1)

    def forward(self, products: Tensor, flow: Tensor) -> Tensor:
        """(h, w, 405), (2, h, w) -> (h, w, 128)."""
        digest = rearrange(convolve1x1_relu(products, self.products1), "h w c -> 1 c h w")
        compared = relu(convolve(digest, self.products2))
        moved = relu(self.flow2(relu(self.flow1(flow[None]))))
        mixed = relu(convolve(torch.cat([compared, moved], dim=1), self.mix))
        return rearrange(torch.cat([mixed, flow[None]], dim=1), "1 c h w -> h w c")


class TimeBlock(nn.Module):
    """Frames of one cell attend to each other; adds the output of a whole transformer block, scaled by channel."""

    def __init__(self) -> None:
        super().__init__()
        self.block = SelfBlock(CHANNELS, HEADS, MLP_RATIO)
        self.scale = nn.Parameter(torch.full((CHANNELS,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """(s, h, w, c) -> same."""
        cells = rearrange(x, "s h w c -> (h w) s c")
        size = CELLS.get(x.device.type, MANY_CELLS)
        parts = [torch.addcmul(part, self.block(part), self.scale) for part in cells.split(size)]
        return rearrange(torch.cat(parts), "(h w) s c -> s h w c", h=x.shape[1])


class Update(nn.Module):
    """Motion, context and scores of all frames of a window -> new features of every frame."""

    def __init__(self) -> None:
        super().__init__()
        self.motion = MotionEncoder()
        # Of the feature, the context, the motion and the two scores.
        self.compress = nn.Linear(3 * CHANNELS + 2, CHANNELS)
        pairs = [(TimeBlock(), ConvNextBlock(CHANNELS)) for _ in range(PAIRS)]
        self.blocks = nn.ModuleList(block for pair in pairs for block in pair)
        self.project = nn.Linear(CHANNELS, CHANNELS)

    def token(self, feature: Tensor, context: Tensor, motion: Tensor, scores: Tensor) -> Tensor:
        """Of one frame: three (h, w, 128) and one (h, w, 2) -> (h, w, 128)."""
        return linear(torch.cat([feature, context, motion, scores], dim=-1), self.compress)

    def forward(self, tokens: Tensor) -> Tensor:
        """(s, h, w, c) -> new features (s, h, w, c)."""
        for block in self.blocks:
            if isinstance(block, TimeBlock):
                tokens = block(tokens)
            else:
                frames = [block(rearrange(x, "h w c -> 1 c h w")) for x in tokens]
                tokens = rearrange(torch.cat(frames), "s c h w -> s h w c")
        return linear(tokens, self.project)


class ConvHead(nn.Module):
    """A 3x3 convolution to 256 channels, ReLU, and a convolution to the output."""

    def __init__(self, channels: int, kernel: int):
        super().__init__()
        self.conv1 = nn.Conv2d(CHANNELS, 256, 3, padding=1)
        self.conv2 = nn.Conv2d(256, channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 128, h, w) -> (b, channels, h, w)."""
        return self.conv2(relu(convolve(x, self.conv1)))
