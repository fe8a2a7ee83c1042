"""A tracker that looks through a trunk: joint features behind the pyramid, read by the first guess and by streams."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from pointtrack.config import EncoderConfig, InitializationConfig, TrackerConfig, TransformerConfig
from pointtrack.models.checkpoint import load_checkpoint, save_checkpoint
from pointtrack.models.initialization import Neighbours, Search, match_through
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.window import Templates
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks

CONFIG = TrackerConfig(
    input_area=96 * 64,
    encoder=EncoderConfig(8, (8, 8, 8), blocks_per_stage=1, channels=8, trunk_stride=16),
    transformer=TransformerConfig(width=16, heads=2, depth=1),
)
FRAMES = torch.randint(0, 256, (1, 3, 3, 64, 96), generator=torch.Generator().manual_seed(0))


def tracker(config=CONFIG):
    torch.manual_seed(0)
    return PointTracker(config).eval().requires_grad_(False)


def test_joint_features_are_the_encoders_and_the_trunks():
    joint = tracker()
    with torch.inference_mode():
        pyramid = joint.encode(FRAMES)
    assert [x.shape[2:] for x in pyramid] == [(16, 24, 8), (8, 12, 8), (4, 6, 8), (16, 24, 8 + 176)]
    assert pyramid[3].dtype == torch.float16
    assert joint.appearance_channels == 8 + 24 + 40 + 112
    assert_close(pyramid[3][..., :8].float(), pyramid[0] / 2, atol=1e-3, rtol=0)
    assert_close(pyramid[3].float().norm(dim=-1), torch.ones(1, 3, 16, 24), atol=1e-3, rtol=0)


def weighted(weights, exact=(), **trunk):
    encoder = replace(CONFIG.encoder, weights=weights, **trunk)
    rules = replace(CONFIG.initialization, exact_weights=exact)
    return tracker(replace(CONFIG, encoder=encoder, initialization=rules))


def test_parts_weigh_what_the_config_says():
    with torch.inference_mode():
        plain = tracker().encode(FRAMES)[3].float()
        joint = weighted((9, 1, 2, 4)).encode(FRAMES)[3].float()
    parts = zip(
        joint.split([8, 24, 40, 112], -1), plain.split([8, 24, 40, 112], -1), (9, 1, 2, 4), strict=True
    )
    for found, alike, weight in parts:
        assert_close(found, alike * 2 * (weight / 16) ** 0.5, atol=1e-3, rtol=0)


def test_other_weights_tell_where_exactly():
    network = weighted((4, 1, 1, 2), exact=(3, 1, 0, 0))
    with torch.inference_mode():
        joint = network.encode(FRAMES)[3].float()
        alone = weighted((3, 1, 0, 0)).encode(FRAMES)[3].float()
    search = Search(
        network.config.initialization, 2, torch.tensor(9.0), None, network.joint.emphasis(FRAMES.device)
    )
    found = torch.einsum("bthwc,bc->bthw", joint, search.exact(joint[:, 1, 4, 4]))
    assert_close(found, torch.einsum("bthwc,bc->bthw", alone, alone[:, 1, 4, 4]), atol=2e-3, rtol=0)
    assert tracker().joint.emphasis(FRAMES.device) is None


def test_a_point_is_put_where_the_exact_weights_say():
    """Two cells beside each other that the coarse part takes for the same, and the fine one does not."""
    level = torch.zeros(1, 2, 8, 8, 3)
    level[0, 0, 4, 4] = torch.tensor([0.6, 0.0, 0.8])
    level[0, 1, 4, 5] = torch.tensor([0.0, 0.6, 0.8])
    level[0, 1, 4, 6] = torch.tensor([0.3, 0.0, 0.55])
    known = torch.full((1, 2, 1, 2), torch.nan)
    known[0, 0, 0] = 4.0
    look = level[:, 0, 4, 4][:, None]
    nobody = Neighbours(known[:, 0], torch.zeros(1, 1, dtype=torch.long))
    rules = InitializationConfig(far=0.0, lost=-1, pace=0, ride=-1)

    def found(emphasis):
        search = Search(rules, 2, torch.tensor(100.0), nobody, emphasis)
        return match_through(level, Templates([], look), look, torch.zeros(1, 1), known, search)[0][0, 1, 0]

    assert_close(found(torch.tensor([1.0, 1.0, 0.0])), torch.tensor([6.0, 4.0]), atol=0.1, rtol=0)
    assert float((found(None) - torch.tensor([6.0, 4.0])).norm()) > 0.5


def test_a_narrowed_trunk_of_few_blocks():
    network = weighted((3, 1, 1, 3, 2), trunk_stride=32, trunk_blocks=2, trunk_narrow=16)
    with torch.inference_mode():
        pyramid = network.encode(FRAMES)
    assert pyramid[3].shape[-1] == network.appearance_channels == 8 + 24 + 40 + 16 + 16
    assert_close(pyramid[3].float().norm(dim=-1), torch.ones(1, 3, 16, 24), atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    ("weights", "exact", "message"),
    [
        ((1, 1), (), "weights: expected 4 numbers from 0 up and one above it"),
        ((1, 1, 1, -1), (), "weights: expected 4 numbers"),
        ((1, 0, 1, 1), (1, 1, 0, 0), "exact_weights: expected 0 where weights is 0"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights, exact, message):
    with pytest.raises(ValueError, match=message):
        weighted(weights, exact)


def test_the_levels_of_the_pyramid_do_not_change():
    joint, plain = tracker(), tracker(replace(CONFIG, encoder=replace(CONFIG.encoder, trunk_stride=0)))
    plain.load_state_dict(
        {name: x for name, x in joint.state_dict().items() if not name.startswith("trunk")}, strict=True
    )
    with torch.inference_mode():
        for ours, theirs in zip(joint.encode(FRAMES)[:3], plain.encode(FRAMES), strict=True):
            assert torch.equal(ours, theirs)


def test_levels_by_stride():
    joint = tracker()
    assert [joint.appearance_level(stride) for stride in (4, 8, 16)] == [3, 4, 5]
    plain = tracker(replace(CONFIG, encoder=replace(CONFIG.encoder, trunk_stride=0)))
    assert [plain.appearance_level(stride) for stride in (4, 8, 16, 32)] == [0, 1, 2, 2]
    with torch.inference_mode():
        pyramid = joint.encode(FRAMES)
    coarse = joint.read_level(pyramid, 5)
    assert coarse.shape == (1, 3, 4, 6, 184)
    assert_close(coarse[0, 1, 2, 3], pyramid[3][0, 1, 8:12, 12:16].float().mean((0, 1)), atol=1e-3, rtol=0)


@pytest.mark.parametrize("chunk", [1, pytest.param(3, marks=pytest.mark.long), 21])
def test_chunk_size_does_not_change_tracks_and_features(chunk):
    joint = tracker()
    frames = torch.randint(
        0, 256, (21, 64, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    queries = Queries(torch.tensor([0, 10, 20]), torch.tensor([[20.0, 20.0], [60.0, 30.0], [5.0, 50.0]]))

    def tracked(size):
        stream = WindowStream(joint, queries, (96, 64))
        rows = [stream.push(piece) for piece in frames.split(size)]
        seen = stream.features(9, joint.appearance_level(16))
        return Tracks.concat([*rows, stream.finish()]), seen

    (rows, seen), (whole, features) = tracked(chunk), tracked(8)
    assert_close(rows.xy, whole.xy, rtol=0, atol=0, equal_nan=True)
    assert seen.shape == (184, 4, 6)
    assert torch.equal(seen, features)


def test_a_checkpoint_keeps_the_trunk(tmp_path):
    joint = tracker()
    save_checkpoint(tmp_path / "joint.safetensors", joint, half=False)
    again = load_checkpoint(tmp_path / "joint.safetensors")
    assert again.config.encoder.trunk_stride == 16
    with torch.inference_mode():
        assert torch.equal(again.encode(FRAMES)[3], joint.encode(FRAMES)[3])


def test_the_trunk_learns_nothing_through_a_first_guess():
    joint = tracker().requires_grad_(True)
    joint.trunk.requires_grad_(False)
    pyramid = joint.encode(FRAMES)
    assert pyramid[0].requires_grad and not pyramid[3].requires_grad


def test_learning_in_bfloat16_encodes_too():
    """Training wraps everything in an autocast, which on a CPU knows no float16."""
    network = tracker()
    frames = torch.rand(1, 2, 3, 32, 48) * 255
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        maps = network.encode(frames)
    assert maps[-1].dtype == torch.float16 and torch.isfinite(maps[-1]).all()
