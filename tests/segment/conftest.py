"""SAM, SAM-HQ and SAM 2 from tiny configs with random weights, in folders as on the hub.

A library's own start leaves logits near 1e-5, where any two answers agree; so all weights are drawn anew.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

SIDE = 64
LOW = 16
KINDS = ("sam", "sam_hq", "sam2")


def _vit(**decoder):
    vision = {
        "hidden_size": 32, "output_channels": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "mlp_dim": 64,
        "image_size": SIDE, "patch_size": 16, "window_size": 2, "global_attn_indexes": [1, 2], "num_pos_feats": 16,
    }  # fmt: skip
    prompts = {"hidden_size": 32, "image_size": SIDE, "patch_size": 16, "image_embedding_size": SIDE // 16}
    return {
        "vision_config": vision,
        "prompt_encoder_config": prompts,
        "mask_decoder_config": {**SMALL_DECODER, **decoder},
    }


def _hiera(**more):
    backbone = {
        "model_type": "sam2_hiera_det_model", "hidden_size": 16, "image_size": [SIDE, SIDE], "num_attention_heads": 1,
        "blocks_per_stage": [1, 1, 2, 1], "embed_dim_per_stage": [16, 32, 64, 128],
        "num_attention_heads_per_stage": [1, 2, 4, 8], "window_size_per_stage": [8, 4, 2, 2],
        "global_attention_blocks": [3], "window_positional_embedding_background_size": [4, 4],
    }  # fmt: skip
    vision = {
        "backbone_config": backbone, "backbone_channel_list": [128, 64, 32, 16], "fpn_hidden_size": 32,
        "backbone_feature_sizes": [[SIDE // cell] * 2 for cell in (4, 8, 16)],
    }  # fmt: skip
    prompts = {"hidden_size": 32, "image_size": SIDE, "patch_size": 16}
    return {
        "vision_config": vision,
        "prompt_encoder_config": prompts,
        "mask_decoder_config": SMALL_DECODER,
        **more,
    }


SMALL_DECODER = {"hidden_size": 32, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
SMALL_MEMORY = {
    "memory_attention_hidden_size": 32, "memory_attention_num_layers": 1, "memory_attention_feed_forward_hidden_size": 64,
    "memory_encoder_hidden_size": 32, "memory_encoder_output_channels": 16, "memory_fuser_embed_dim": 32,
    "image_size": SIDE,
}  # fmt: skip


@pytest.fixture(scope="session")
def transformers():
    return pytest.importorskip("transformers", reason="SAM models need the extra `sam`")


@pytest.fixture(scope="session")
def tiny_sam(transformers, tmp_path_factory):
    """Kind -> the library's model and processor, and the folder with its weights."""
    root = tmp_path_factory.mktemp("sam")
    rows = {
        "sam": ("Sam", _vit()),
        "sam_hq": ("SamHQ", _vit(vit_dim=32)),
        "sam2": ("Sam2", _hiera()),
        "sam2_video": ("Sam2Video", _hiera(**SMALL_MEMORY)),
    }
    made = {}
    for kind, (prefix, settings) in rows.items():
        config = getattr(transformers, f"{prefix}Config")(**settings)
        model = getattr(transformers, f"{prefix}Model")(config).eval()
        generator = torch.Generator().manual_seed(len(made))
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                # Wide enough that points, boxes and pixels all matter to the answer.
                gain = 1.5 if name.startswith("mask_decoder") else 1.0
                fan = 1 if "point_embed" in name else weight[0].numel()
                weight.data.normal_(std=gain / fan**0.5, generator=generator)
            elif name.endswith("bias"):
                weight.data.normal_(std=0.2, generator=generator)
        model.save_pretrained(root / kind)
        made[kind] = SimpleNamespace(
            model=model, folder=root / kind, processor=_processor(transformers, prefix)
        )
    return made


def _processor(transformers, prefix):
    """The library's own; SAM 2's shares the one of SAM for what it takes of it, as its own needs torchvision."""
    # The one of several that works without torchvision, in releases 5 and in releases 4.
    of_pillow = getattr(transformers, "SamImageProcessorPil", None) or transformers.SamImageProcessor
    pictures = of_pillow(
        size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE}, mask_size={"longest_edge": LOW}
    )
    if prefix.startswith("Sam2"):
        return transformers.Sam2Processor(image_processor=pictures, target_size=SIDE)
    return getattr(transformers, f"{prefix}Processor")(image_processor=pictures)


@pytest.fixture(scope="session")
def frame_of():
    """Function (wh, seed) -> (h, w, 3) uint8 frame with smooth and with hard parts."""

    def make(wh, seed=0):
        rng = np.random.default_rng(seed)
        w, h = wh
        y, x = np.mgrid[:h, :w]
        waves = [np.sin(x * rng.uniform(0.05, 0.5) + y * rng.uniform(0.05, 0.5)) for _ in range(3)]
        frame = (
            (127 + 80 * np.stack(waves, axis=-1) + rng.uniform(-40, 40, (h, w, 3)))
            .clip(0, 255)
            .astype(np.uint8)
        )
        frame[h // 4 : h // 2, w // 4 : w // 2] = rng.integers(0, 256, 3)
        return frame

    return make
