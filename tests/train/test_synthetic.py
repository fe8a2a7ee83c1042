"""Synthetic clips: exact truth, the same from the same seed, and truth that agrees with the pixels."""

import numpy as np
import pytest
import torch

from pointtrack.geometry import sample_features
from train.data.synthetic import SceneConfig, SyntheticClips, _Draw
from train.data.textures import find_regions, photo_bank, procedural_bank


@pytest.fixture(scope="module")
def bank():
    return procedural_bank(6, torch.Generator().manual_seed(0))


def small(bank, batch=2, seed=0, **changes):
    settings = {"frames": 6, "sizes": ((128, 96),), "points": 50, **changes}
    return SyntheticClips(bank, SceneConfig(**settings), batch, seed)


@pytest.mark.parametrize("seed", range(4))
def test_truth_moved_back_returns_to_its_start(bank, seed):
    draw = _Draw(bank, SceneConfig(frames=5, sizes=((128, 96),)), 2, seed)
    scene = draw.scene(*draw.times())
    u = torch.rand((*scene.brightness.shape, 200, 2), generator=draw.generator) * 2 - 1
    pixel, in_front = scene.motion.card_to_pixel(u)
    again, _ = scene.motion.pixel_to_card(pixel)
    back, _ = scene.motion.card_to_pixel(again)
    near = in_front & (pixel.abs() < 1000).all(-1)
    assert near.float().mean() > 0.5
    assert (back - pixel)[near].norm(dim=-1).max() < 0.05
    assert (again - u)[near].abs().max() < 1e-3


def test_batches_are_numbered(bank):
    one, other = small(bank)[3], small(bank)[3]
    assert torch.equal(one.frames, other.frames) and torch.equal(one.xy, other.xy)
    assert not torch.equal(one.frames, small(bank)[4].frames)
    assert not torch.equal(one.frames, small(bank, seed=1)[3].frames)


@pytest.mark.parametrize(
    "settings", [{}, {"frames": 1}, {"motion_blur": 1.0}, {"shuffled": True}, {"query_frames": 2}]
)
def test_shapes_and_query_frames(bank, settings):
    clips = small(bank, **settings)
    batch = clips[0]
    t = clips.config.frames
    assert batch.frames.shape == (2, t, 3, 96, 128) and batch.frames.dtype == torch.uint8
    assert batch.xy.shape == (2, t, 50, 2) and torch.isfinite(batch.xy).all()
    assert batch.visible.gather(1, batch.query_frame[:, None]).all()
    assert int(batch.query_frame.max()) < (clips.config.query_frames or t)
    inside = (batch.xy >= 0).all(-1) & (batch.xy[..., 0] <= 127) & (batch.xy[..., 1] <= 95)
    assert not (batch.visible & ~inside).any()


@pytest.mark.parametrize("bodies", [0.0, 1.0])
def test_visible_points_look_like_themselves(bank, bodies):
    """The pixels around a visible point resemble those at its query, more than those 4 px beside it."""
    right, beside = [], []
    for index in range(6):
        batch = small(bank, batch=1, points=80, speed=(0.1, 0.3), bodies=bodies)[index]
        frames = batch.frames[0].float()
        xy, visible = batch.xy[0], batch.visible[0]
        appearance = sample_features(frames, xy)
        query = appearance.gather(0, batch.query_frame[0][None, :, None].expand(1, -1, 3))[0]
        moved = sample_features(frames, xy + torch.tensor([4.0, 0.0]))
        right.append(((appearance - query).abs().mean(-1))[visible])
        beside.append(((moved - query).abs().mean(-1))[visible])
    assert torch.cat(right).median() < 0.6 * torch.cat(beside).median()


def test_hidden_points_lie_under_another_card(bank):
    """A point inside the image is hidden exactly where the picture shows another card than its own."""
    agree = []
    for index in range(4):
        batch = small(bank, batch=1, points=60, bodies=0.0)[index]
        xy = batch.xy[0].round().long()
        inside = (xy[..., 0] >= 0) & (xy[..., 0] < 128) & (xy[..., 1] >= 0) & (xy[..., 1] < 96)
        t = torch.arange(xy.shape[0])[:, None]
        seen = batch.objects[0][t, xy[..., 1].clamp(0, 95), xy[..., 0].clamp(0, 127)]
        own = seen.gather(0, batch.query_frame)
        agree.append(((seen == own) == batch.visible[0])[inside])
    assert torch.cat(agree).float().mean() > 0.95  # the rest lies on the edge of a card


def test_surface_of_a_body_and_back(bank):
    draw = _Draw(bank, SceneConfig(frames=5, sizes=((128, 96),), bodies=1.0), 2, 3)
    motion = draw.scene(*draw.times()).motion
    assert bool(motion.solid[:, 1:].all()) and not bool(motion.solid[:, 0].any())
    u = torch.rand((*motion.spin.shape, 50, 2), generator=draw.generator) * 1.9 - 0.95
    v = motion.card_to_surface(u)
    again, seen = motion.surface_to_card(v)
    assert seen.float().mean() > 0.8  # the outermost strip of a body counts as out of sight
    torch.testing.assert_close(again, u, atol=1e-5, rtol=0)
    assert not torch.allclose(v[:, 1:], u[:, 1:], atol=0.1) and torch.equal(v[:, 0], u[:, 0])


def test_points_turn_out_of_sight_on_a_body_alone(bank):
    """Where a body shows itself, its points may be hidden all the same; on flat cards that does not happen."""
    shares = []
    for bodies in (0.0, 1.0):
        gone = []
        for index in range(6):
            batch = small(bank, batch=1, points=80, bodies=bodies, speed=(1.0, 1.5), objects=3)[index]
            xy = batch.xy[0].round().long()
            inside = (xy[..., 0] >= 2) & (xy[..., 0] < 126) & (xy[..., 1] >= 2) & (xy[..., 1] < 94)
            t = torch.arange(xy.shape[0])[:, None]
            seen = batch.objects[0][t, xy[..., 1].clamp(0, 95), xy[..., 0].clamp(0, 127)]
            own = seen.gather(0, batch.query_frame)
            gone.append(((seen == own) & (own > 0) & ~batch.visible[0])[inside & (own > 0)])
        shares.append(float(torch.cat(gone).float().mean()))
    assert shares[0] < 0.03 and shares[1] > 0.08, shares


def test_regions_have_boxes_around_them():
    labels = torch.ones(1, 80, 90, dtype=torch.uint8)
    labels[0, 10:50, 20:70] = 2
    rows = find_regions(labels, largest=0.99).tolist()
    assert rows == [[0, 1, 0, 0, 90, 80], [0, 2, 20, 10, 70, 50]]


def test_photographs_make_a_bank(tmp_path):
    cv2 = pytest.importorskip("cv2")
    (tmp_path / "train").mkdir()
    cv2.imwrite(str(tmp_path / "train" / "one.jpg"), np.full((481, 321, 3), 90, np.uint8))  # a portrait
    maps = np.ones((3, 481, 321), np.int32)
    maps[:, 100:300, 50:200] = 2
    np.savez(tmp_path / "train_segments.npz", one=maps)
    bank = photo_bank(tmp_path)
    assert bank.pictures.shape == (1, 3, 320, 480) and len(bank.labels) == 2
    assert len(bank.regions) == 2  # the inner region of both maps; the outer one is too large
    with pytest.raises(FileNotFoundError, match="expected photographs"):
        photo_bank(tmp_path, ("val",))
