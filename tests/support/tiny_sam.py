"""Settings of tiny SAMs, and random weights for them with which pixels, prompts and memory all matter to the answer."""

import torch

SIDE = 64
LOW = 16
SMALL_DECODER = {"hidden_size": 32, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32}


def vit_settings(**decoder):
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


def hiera_settings(width=32):
    backbone = {
        "model_type": "sam2_hiera_det_model", "hidden_size": 16, "image_size": [SIDE, SIDE], "num_attention_heads": 1,
        "blocks_per_stage": [1, 1, 2, 1], "embed_dim_per_stage": [16, 32, 64, 128],
        "num_attention_heads_per_stage": [1, 2, 4, 8], "window_size_per_stage": [8, 4, 2, 2],
        "global_attention_blocks": [3], "window_positional_embedding_background_size": [4, 4],
    }  # fmt: skip
    vision = {
        "backbone_config": backbone, "backbone_channel_list": [128, 64, 32, 16], "fpn_hidden_size": width,
        "backbone_feature_sizes": [[SIDE // cell] * 2 for cell in (4, 8, 16)],
    }  # fmt: skip
    prompts = {"hidden_size": width, "image_size": SIDE, "patch_size": 16}
    return {
        "vision_config": vision,
        "prompt_encoder_config": prompts,
        "mask_decoder_config": {**SMALL_DECODER, "hidden_size": width},
    }


def video_settings():
    """The library takes memories of 64 channels alone, and features of more."""
    width = 128
    memory = {
        "memory_attention_hidden_size": width, "memory_attention_num_layers": 1,
        "memory_attention_feed_forward_hidden_size": 64, "memory_attention_rope_feat_sizes": [SIDE // 16] * 2,
        "memory_encoder_hidden_size": width, "memory_encoder_output_channels": 64, "memory_fuser_embed_dim": width,
        "memory_fuser_intermediate_dim": 64, "mask_downsampler_embed_dim": width, "image_size": SIDE,
    }  # fmt: skip
    return {**hiera_settings(width), **memory}


def edgetam_settings():
    """As SAM 2's, with memories that a perceiver makes smaller."""
    settings = {
        **video_settings(),
        "memory_attention_rope_k_sizes": [4, 4],
        "memory_attention_mlp_hidden_size": 64,
    }
    settings.pop("memory_attention_feed_forward_hidden_size")
    perceiver = {"num_latents": 16, "num_latents_2d": 16, "num_layers": 1, "mlp_intermediate_size": 64}
    return {**settings, **{f"perceiver_resampler_{name}": value for name, value in perceiver.items()}}


def sam3_settings():
    """Cells of 14 pixels, as its own."""
    side = SIDE_OF["sam3_tracker_video"]
    backbone = {
        "model_type": "sam3_vit_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": side, "patch_size": 14, "window_size": 2, "global_attn_indexes": [1],
        "pretrain_image_size": 28,
    }  # fmt: skip
    settings = video_settings()
    width = settings["memory_encoder_hidden_size"]
    vision = {
        "model_type": "sam3_vision_model", "backbone_config": backbone, "fpn_hidden_size": width,
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
    }  # fmt: skip
    prompts = {"hidden_size": width, "image_size": side, "patch_size": 14}
    return {**settings, "vision_config": vision, "prompt_encoder_config": prompts, "image_size": side}


SIDE_OF = {"sam2_video": SIDE, "edgetam_video": SIDE, "sam3_tracker_video": 56}
VIDEO_SETTINGS = {
    "sam2_video": video_settings,
    "edgetam_video": edgetam_settings,
    "sam3_tracker_video": sam3_settings,
}


def draw_weights(model, seed):
    """A library's own start leaves logits near 1e-5, where any two answers agree; so all weights are drawn anew."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.ndim > 1:
            gain = 1.5 if name.startswith("mask_decoder") else 1.0
            fan = 1 if "point_embed" in name or "temporal" in name else weight[0].numel()
            weight.data.normal_(std=gain / fan**0.5, generator=generator)
        elif name.endswith("bias"):
            weight.data.normal_(std=0.2, generator=generator)
        elif name.endswith("scale"):
            weight.data.fill_(1.0)
