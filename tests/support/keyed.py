"""A small tracker with learnt joint features and keys for objects."""

from pointtrack.config import EncoderConfig, TrackerConfig, TransformerConfig

KEYED = TrackerConfig(
    input_area=96 * 64,
    encoder=EncoderConfig(
        8, (8, 8, 8), blocks_per_stage=1, channels=8, trunk_stride=32, trunk_blocks=1, joint_channels=24,
        key_channels=15,
    ),
    transformer=TransformerConfig(width=16, heads=2, depth=1),
)  # fmt: skip
