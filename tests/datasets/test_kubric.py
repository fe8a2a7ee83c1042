"""Kubric's layouts, on a scene whose depth and truth are computed by other formulas than the reader's."""

import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from pointtrack.datasets.kubric import cotracker_kubric_clips, kubric_clips, movi_clips
from pointtrack.datasets.rigid_tracks import Rendering, rendered_tracks, rotations

FRAMES, W, H = 6, 72, 48
FOCAL, SENSOR = 35.0, 32.0
BACK = -12.0  # the background is the plane z = BACK, the object a card of 2 x 2
DOWN = np.diag([1.0, -1.0, -1.0])  # OpenCV's cameras look along +z, y down


def quaternion(axis_angle):
    angle = np.linalg.norm(axis_angle)
    return [np.cos(angle / 2), *(np.sin(angle / 2) * np.array(axis_angle) / max(angle, 1e-9))]


class Scene:
    """A turning card in front of a plane, seen by a camera that moves and turns."""

    def __init__(self):
        t = np.arange(FRAMES)[:, None]
        self.camera_turn = t * np.array([0.02, -0.03, 0.04])
        self.camera = np.array([0.3, -0.2, 1.0]) + t * np.array([0.1, 0.05, -0.1])
        self.card_turn = np.array([0.3, 0.4, 0.1]) + t * np.array([0.05, 0.1, 0.2])
        self.card = np.array([-1.0, 0.2, -5.0]) + t * np.array([0.4, -0.1, 0.1])
        self.focal_px = FOCAL / SENSOR * W
        self.matrix = np.array([[self.focal_px, 0, (W - 1) / 2], [0, self.focal_px, (H - 1) / 2], [0, 0, 1]])

    def turn(self, vectors, frame):
        return cv2.Rodrigues(vectors[frame])[0]

    def cast(self, frame, xy):
        """(n, 2) pixels -> (n, 3) places, (n,) distances, (n,) bool on the card."""
        rays = np.concatenate([xy, np.ones((len(xy), 1))], axis=1) @ np.linalg.inv(self.matrix).T
        rays = rays @ DOWN @ self.turn(self.camera_turn, frame).T
        own = self.turn(self.card_turn, frame)
        normal = own[:, 2]
        reach = ((self.card[frame] - self.camera[frame]) @ normal) / (rays @ normal)
        local = (self.camera[frame] + rays * reach[:, None] - self.card[frame]) @ own
        on_card = (np.abs(local[:, :2]) <= 1).all(axis=1) & (reach > 0)
        reach = np.where(on_card, reach, (BACK - self.camera[frame, 2]) / rays[:, 2])
        return self.camera[frame] + rays * reach[:, None], np.linalg.norm(rays, axis=1) * reach, on_card

    def follow(self, place, frame, on_card):
        """(n, 3) places on a frame -> (t, n, 2) pixels."""
        tracks = []
        local = (place - self.card[frame]) @ self.turn(self.card_turn, frame)
        for t in range(FRAMES):
            moved = local @ self.turn(self.card_turn, t).T + self.card[t]
            turn = DOWN @ self.turn(self.camera_turn, t).T
            world = np.where(on_card[:, None], moved, place)
            shown, _ = cv2.projectPoints(
                world, cv2.Rodrigues(turn)[0], -turn @ self.camera[t], self.matrix, None
            )
            tracks.append(shown[:, 0])
        return np.stack(tracks)

    def pictures(self):
        """(t, h, w) depth and labels."""
        x, y = np.meshgrid(np.arange(W), np.arange(H))
        pixels = np.stack([x, y], axis=-1).reshape(-1, 2).astype(float)
        cast = [self.cast(t, pixels) for t in range(FRAMES)]
        depth = np.stack([one[1] for one in cast]).reshape(FRAMES, H, W).astype(np.float32)
        return depth, np.stack([one[2] for one in cast]).reshape(FRAMES, H, W).astype(np.uint8)


def poses(places, turns):
    return {
        "positions": places.tolist(),
        "quaternions": [quaternion(turn) for turn in turns],
    }


def check_truth(scene, source, error_px):
    tracks = source.tracks
    assert len(tracks.ids) > 500
    agree = []
    for frame in range(FRAMES):
        some = np.flatnonzero(tracks.query_frame == frame)
        requested = tracks.xy[frame, some].numpy()
        np.testing.assert_allclose(requested, requested.round(), atol=1e-3)  # points are drawn from pixels
        place, _, on_card = scene.cast(frame, requested)
        assert np.array_equal(tracks.object_ids[some] == 1, on_card)
        truth = scene.follow(place, frame, on_card)
        assert np.abs(tracks.xy[:, some].numpy() - truth).max() < error_px
        for t in range(FRAMES):
            covered = scene.cast(t, truth[t])[2] & ~on_card
            inside = ((truth[t] > -0.5) & (truth[t] < (W - 0.5, H - 0.5))).all(axis=1)
            facing = scene.cast(t, truth[t])[2] | ~on_card
            agree.append(tracks.visible[t, some].numpy() == (inside & ~covered & facing))
    assert np.concatenate(agree).mean() > 0.97  # the rest lies on the edge of the card
    assert (tracks.object_ids == 1).double().mean() > 1.15 * (scene.pictures()[1] == 1).mean()
    share = tracks.visible.float().mean()
    assert 0.5 < share < 0.98


@pytest.fixture
def worker(tmp_path):
    """A scene in the folder of Kubric's worker; depth and labels beside it."""
    scene, folder = Scene(), tmp_path / "worker" / "one"
    folder.mkdir(parents=True)
    depth, labels = scene.pictures()
    for t in range(FRAMES):
        cv2.imwrite(str(folder / f"rgba_{t:05d}.png"), np.full((H, W, 4), 10 * t, np.uint8))
        cv2.imwrite(str(folder / f"depth_{t:05d}.tiff"), depth[t])
        picture = Image.fromarray(labels[t])
        picture.putpalette([0, 0, 0, 255, 0, 0] + [0] * 762)
        picture.save(folder / f"segmentation_{t:05d}.png")
    described = {
        "flags": {"seed": 12},
        "metadata": {"frame_rate": 24, "num_frames": FRAMES},
        "camera": {"focal_length": FOCAL, "sensor_width": SENSOR, **poses(scene.camera, scene.camera_turn)},
        "instances": [{"asset_id": "card", **poses(scene.card, scene.card_turn)}],
    }
    (folder / "metadata.json").write_text(json.dumps(described))
    return scene, folder, depth, labels


def test_worker_folder(worker):
    scene, folder, _, labels = worker
    (source,) = kubric_clips(folder.parent)
    assert source.name == "one" and len(source.frames) == FRAMES
    assert (source.info.fps, source.info.seed, source.info.objects) == (24, 12, {1: "card"})
    assert np.array_equal(source.label_picture(2), labels[2])
    check_truth(scene, source, 0.01)
    again = next(kubric_clips(folder.parent))
    assert torch.equal(source.tracks.xy, again.tracks.xy)
    (folder / "depth_00003.tiff").unlink()
    with pytest.raises(ValueError, match=r"labels: expected shape \(5, 48, 72\), got \(6, 48, 72\)"):
        next(kubric_clips(folder.parent))
    (folder / "metadata.json").write_text('{"camera": {}}')
    with pytest.raises(ValueError, match="expected camera and instances"):
        next(kubric_clips(folder.parent))
    with pytest.raises(FileNotFoundError, match="metadata.json"):
        next(kubric_clips(folder.parent / "none"))


@pytest.mark.parametrize("joint", ["/", "."])
def test_movi(worker, tmp_path, joint):
    scene, _, depth, labels = worker
    low, high = float(depth.min()), float(depth.max())
    fields = {
        "video": np.zeros((FRAMES, H, W, 3), np.uint8),
        "segmentations": labels[..., None],
        "depth": ((depth - low) / (high - low) * 65535).round().astype(np.uint16)[..., None],
        "metadata/depth_range": np.array([low, high]),
        "camera/focal_length": FOCAL,
        "camera/sensor_width": SENSOR,
        **{f"camera/{name}": value for name, value in poses(scene.camera, scene.camera_turn).items()},
        **{f"instances/{name}": [value] for name, value in poses(scene.card, scene.card_turn).items()},
    }
    fields = {name.replace("/", joint): np.asarray(value) for name, value in fields.items()}
    path = tmp_path / "movi" / "3210.npz"
    path.parent.mkdir()
    np.savez(path, **fields)
    (source,) = movi_clips(path.parent)
    assert (source.name, source.info.fps) == ("3210", 12)
    check_truth(scene, source, 0.05)
    np.savez(path, **{name: value for name, value in fields.items() if "quaternions" not in name})
    with pytest.raises(ValueError, match="lacks camera/quaternions, instances/quaternions"):
        next(movi_clips(path))
    np.savez(path, **{**fields, "depth": depth[..., None]})
    with pytest.raises(ValueError, match="expected uint16, got float32"):
        next(movi_clips(path))


def test_rotations_and_shapes():
    assert np.allclose(rotations(np.array([2.0, 0, 0, 2.0])) @ [1, 0, 0], [0, 1, 0])  # a quarter turn about z
    zero = np.zeros((2, 4, 4))
    arrays = [np.zeros((2, 3)), np.zeros((2, 4)), np.zeros((1, 2, 3)), np.zeros((1, 2, 4))]
    with pytest.raises(ValueError, match="camera_xyz: expected shape"):
        Rendering(zero, zero.astype(np.uint8), 1.0, arrays[0][:1], *arrays[1:])
    with pytest.raises(ValueError, match="labels up to 1"):
        Rendering(zero, zero.astype(np.uint8) + 2, 1.0, *arrays)


def test_what_is_nearer_covers_whatever_its_label():
    depth = np.full((2, 24, 24), 10.0)
    depth[1, 6:18, 6:18] = 5
    still = [np.zeros((2, 3)), np.tile([1.0, 0, 0, 0], (2, 1)), np.zeros((0, 2, 3)), np.zeros((0, 2, 4))]
    rendering = Rendering(depth, np.zeros(depth.shape, np.uint8), 400.0, *still)
    tracks = rendered_tracks(rendering, 300, np.random.default_rng(0))
    requested = tracks.xy[0].round()
    behind = ((requested >= 7) & (requested < 17)).all(dim=1) & (tracks.query_frame == 0)
    beside = ((requested < 5) | (requested > 18)).any(dim=1)
    assert min(int(behind.sum()), int(beside.sum())) > 20
    assert not tracks.visible[1, behind].any() and tracks.visible[1, beside].all()
    assert tracks.visible[0].all()


@pytest.fixture
def cotracker_kubric(tmp_path):
    """One sequence of CoTracker3_Kubric, 4 frames of 32 x 24, 3 points."""
    folder = tmp_path / "0003"
    (folder / "frames").mkdir(parents=True)
    for t in range(4):
        cv2.imwrite(str(folder / "frames" / f"{t:03d}.png"), np.full((24, 32, 3), t, np.uint8))
    coords = np.random.default_rng(0).uniform(2, 20, (3, 4, 2)).astype(np.float32)
    coords[2, 1] = (31.4, 3)  # beyond the last pixel's centre
    hidden = np.zeros((3, 4), bool)
    hidden[1, 2] = True
    content = {"coords": coords, "visibility": hidden}
    np.save(folder / "0003.npy", content, allow_pickle=True)
    return folder, content


def test_cotracker_kubric(cotracker_kubric):
    folder, content = cotracker_kubric
    (source,) = cotracker_kubric_clips(folder.parent)
    assert source.name == "0003" and [path.name for path in source.frames][:2] == ["000.png", "001.png"]
    assert np.allclose(source.tracks.xy[1], content["coords"][:, 1])
    hidden = torch.zeros(4, 3, dtype=torch.bool)
    hidden[2, 1] = hidden[1, 2] = True
    assert torch.equal(source.tracks.visible, ~hidden)


def test_other_files_of_cotracker_kubric(cotracker_kubric):
    folder, content = cotracker_kubric
    path = folder / "0003.npy"
    for other, message in (
        ({"coords": content["coords"]}, "coords and visibility, got \\['coords'\\]"),
        ({**content, "coords": content["coords"][:, :3]}, "coords: expected shape"),
        ({**content, "visibility": content["visibility"].T}, "visibility: expected shape"),
        ({"coords": json.loads, "visibility": 1}, "only numpy arrays"),
    ):
        np.save(path, other, allow_pickle=True)
        with pytest.raises(ValueError, match=message):
            next(cotracker_kubric_clips(folder.parent))
    np.save(path, np.zeros(3))
    with pytest.raises(ValueError, match="got an array of float64"):
        next(cotracker_kubric_clips(folder.parent))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"0003\.npy"):
        next(cotracker_kubric_clips(folder.parent))
