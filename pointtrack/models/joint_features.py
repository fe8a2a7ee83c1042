"""The encoder's and the trunk's features side by side, with weights for what a thing is and for where it is.

Coarse maps distinguish things, fine ones distinguish places. One tensor serves both: its parts are scaled so that a plain
product is the cosine for what a thing is, and factors on the channels turn it into the cosine for where exactly it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pointtrack.config import EncoderConfig, TrackerConfig
from pointtrack.layers.trunk import Trunk, kept_channels


def build_trunk(encoder: EncoderConfig) -> Trunk:
    """The trunk of a config that has one."""
    return Trunk(encoder.trunk_stride, encoder.trunk_scale, encoder.trunk_blocks, encoder.trunk_narrow)


def part_channels(encoder: EncoderConfig) -> list[int]:
    """Channels of the parts in order: the encoder's own, then the trunk's maps, finest first.

    >>> part_channels(EncoderConfig(channels=64, trunk_stride=16))
    [64, 24, 40, 112]
    """
    kept = kept_channels(encoder.trunk_stride, encoder.trunk_blocks, encoder.trunk_narrow)
    return [encoder.channels, *kept.values()]


class JointWeights:
    """The weight of each part, in plain numbers, as networks are built before their tensors have memory.

    Raises:
        ValueError: weights that are not one per part, are negative, or all zero; a part used for places but not for
            things; weights for the exact place although joint features are learnt and so have no parts.
    """

    def __init__(self, config: TrackerConfig):
        if config.encoder.joint_channels and config.initialization.exact_weights:
            raise ValueError(
                "exact_weights: expected none with joint features that are learnt (joint_channels), "
                f"got {config.initialization.exact_weights}"
            )
        self.channels = part_channels(config.encoder)
        self.what = _shares("weights", config.encoder.weights or (1.0,) * len(self.channels), self.channels)
        exact = config.initialization.exact_weights
        self.where = _shares("exact_weights", exact, self.channels) if exact else None
        if any(where and not what for where, what in zip(self.where or [], self.what, strict=False)):
            raise ValueError(
                f"exact_weights: expected 0 where weights is 0, got {exact} and {config.encoder.weights}"
            )

    def scales(self) -> list[float]:
        """Factors that join parts of unit length, side by side, into one feature of unit length."""
        return [share**0.5 for share in self.what]

    def emphasis(self, device: torch.device) -> Tensor | None:
        """(c,) factors on the products of a joint feature's channels for finding the exact place.

        None if the exact place uses the same weights.
        """
        if self.where is None:
            return None
        factors = [where / what if where else 0.0 for where, what in zip(self.where, self.what, strict=True)]
        return torch.tensor(
            [factor for factor, count in zip(factors, self.channels, strict=True) for _ in range(count)],
            device=device,
        )


def _shares(name: str, weights: Sequence[float], channels: list[int]) -> list[float]:
    if len(weights) != len(channels) or min(weights) < 0 or max(weights) <= 0:
        raise ValueError(
            f"{name}: expected {len(channels)} numbers from 0 up and one above it, for the encoder and each map of the "
            f"trunk, got {list(weights)}"
        )
    return [weight / sum(weights) for weight in weights]
