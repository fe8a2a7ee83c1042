"""Layers against slow, obvious versions of themselves."""

import pytest
import torch
import torch.nn.functional as F

from pointtrack.config import CorrelationConfig, EncoderConfig
from pointtrack.geometry import sample_features
from pointtrack.layers.correlation import PatchCorrelation, read_patch
from pointtrack.layers.embeddings import neighbour_motion, time_code
from pointtrack.layers.encoder import Encoder, build_pyramid
from pointtrack.layers.norms import exact_instance_norm, instance_norm


def test_instance_norm_equals_the_textbook():
    x = torch.randn(2, 5, 7, 9, generator=torch.Generator().manual_seed(0)) * 3 + 1
    assert torch.allclose(instance_norm(x), F.instance_norm(x), atol=1e-5)


def test_exact_instance_norm_is_exact_on_large_maps():
    x = 3 * torch.randn(2, 8, 200, 250, generator=torch.Generator().manual_seed(0)) + 5
    wanted = F.instance_norm(x.double())
    for layout in (torch.channels_last, torch.contiguous_format):
        with torch.inference_mode():
            ours = x.clone(memory_format=layout)
            assert (exact_instance_norm(ours) - wanted).abs().max() < 5e-6
            assert torch.equal(ours, x)  # not touched
            assert (exact_instance_norm(ours, overwrite=True) - wanted).abs().max() < 5e-6


@pytest.mark.parametrize("wh", [(64, 48), (100, 84), (33, 70)])
@pytest.mark.parametrize("fusion", ["concat", "sum"])
def test_encoder_gives_unit_features_at_stride_four(wh, fusion):
    config = EncoderConfig(8, (8, 12, 16), (2, 2, 2), 1, 6, fusion)
    features = Encoder(config)(torch.rand(2, 3, wh[1], wh[0]) * 255)
    assert features.shape == (2, 6, wh[1] // 4, wh[0] // 4)
    assert torch.allclose(features.norm(dim=1), torch.ones(()), atol=1e-5)


def test_a_shift_of_the_image_shifts_the_features():
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(8, (8, 8), (2, 1), 1, 6))
    image = torch.rand(1, 3, 96, 96) * 255
    moved = torch.roll(image, (8, -4), dims=(2, 3))
    inner = encoder(image)[..., 8:16, 8:16]
    # Not exactly equal: the statistics of the norm see other borders.
    same, other = encoder(moved)[..., 10:18, 7:15], encoder(moved)[..., 8:16, 8:16]
    assert (same * inner).sum(1).mean() > 0.98 > (other * inner).sum(1).mean() + 0.3


@pytest.mark.parametrize("radius", [0, 1, 3])
def test_patches_equal_bilinear_sampling_with_border_values(radius):
    generator = torch.Generator().manual_seed(1)
    b, t, n, h, w, c = 2, 3, 40, 9, 14, 5
    level = torch.randn(b, t, h, w, c, generator=generator)
    frame = torch.randint(t, (b, n), generator=generator)
    xy = torch.rand(b, n, 2, generator=generator) * torch.tensor([w + 12.0, h + 12.0]) - 6
    patch = read_patch(level, frame, xy, radius)
    reach = torch.arange(-radius, radius + 1).float()
    offsets = torch.stack(torch.meshgrid(reach, reach, indexing="ij"), -1).reshape(-1, 2)  # x slow
    for i in range(b):
        for point in range(n):
            image = level[i, frame[i, point]].permute(2, 0, 1)[None]
            wanted = sample_features(image, (xy[i, point] + offsets)[None])[0]
            assert torch.allclose(patch[i, point], wanted, atol=1e-5)


def test_products_equal_dot_products_of_sampled_patches():
    generator = torch.Generator().manual_seed(2)
    correlation = PatchCorrelation(
        CorrelationConfig(levels=2, radius=2, support_radius=1, hidden=8, channels=4)
    )
    features = torch.randn(3, 6, 12, 16, generator=generator)
    pyramid = [x.permute(0, 2, 3, 1)[None] for x in build_pyramid(features, 2)]
    cells = torch.rand(1, 3, 5, 2, generator=generator) * torch.tensor([15.0, 11.0])
    support = correlation.remember(pyramid, torch.tensor([[0, 1, 2, 0, 1]]), cells[:, 0])
    for level, products in enumerate(correlation.products(pyramid, support, cells)):
        frame = torch.arange(3)[:, None].expand(1, 3, 5)
        target = read_patch(pyramid[level], frame, cells / 2**level, 2)
        wanted = torch.einsum("btnpc,bnqc->btnpq", target, support[level])
        assert torch.allclose(products, wanted, atol=1e-5)
    assert correlation(correlation.products(pyramid, support, cells)).shape == (1, 3, 5, correlation.width)


def test_time_code_and_motion_are_what_they_say():
    code = time_code(5, 8)
    assert torch.allclose(code[:, 0], torch.arange(5).float().sin(), atol=1e-6)
    assert torch.allclose(code[0], torch.tensor([0.0] * 4 + [1.0] * 4))
    xy = torch.tensor([[0.0, 0.0], [0.25, 0.0], [0.25, 0.5]])[None, :, None]
    motion = neighbour_motion(xy, octaves=2)[0, :, 0]
    assert motion[0, :4].tolist() == [-0.25, 0.0, 0.0, 0.0]
    assert motion[1, :4].tolist() == [0.0, -0.5, 0.25, 0.0]
    assert motion.shape[-1] == 4 + 8 * 2
    assert torch.allclose(motion[1, 8:12], torch.tensor([0.0, -1.0, 0.5, 0.0]).sin(), atol=1e-6)
