"""The demo clip in pointtrack/assets and its exact tracks fit each other (numpy and PyAV only)."""

from pathlib import Path

import av
import numpy as np
import pytest

ASSETS = Path(__file__).parents[1] / "pointtrack" / "assets"
WH = (854, 480)
FRAMES = 72
# Half the side of the compared patches, px.
RADIUS = 3


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """(t, h, w) float32 grey frames."""
    with av.open(str(ASSETS / "clip.mp4")) as container:
        assert float(container.streams.video[0].average_rate) == 24
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return np.stack(frames).astype(np.float32)


@pytest.fixture(scope="module")
def tracks() -> dict[str, np.ndarray]:
    with np.load(ASSETS / "clip_tracks.npz") as file:
        return dict(file)


def sample_patches(image: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Bilinear patches around (n, 2) pixels, (0, 0) the centre of the top-left one -> (n, side * side)."""
    span = np.arange(-RADIUS, RADIUS + 1)
    x = xy[:, 0, None, None] + span[None, None, :]
    y = xy[:, 1, None, None] + span[None, :, None]
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = x - x0, y - y0
    top = image[y0, x0] * (1 - fx) + image[y0, x0 + 1] * fx
    bottom = image[y0 + 1, x0] * (1 - fx) + image[y0 + 1, x0 + 1] * fx
    return (top * (1 - fy) + bottom * fy).reshape(len(xy), -1)


def patch_error(clip: np.ndarray, tracks: dict, later: int, offset: tuple[float, float] = (0, 0)) -> float:
    """Mean grey difference between a query's patch and that `later` frames on, `offset` px off the track.

    Only points whose neighbourhood lies inside both images count. Each patch is freed of its mean, so that a
    moving shadow does not count as a wrong place.
    """
    margin = RADIUS + 6
    errors = []
    for start in np.unique(tracks["query_frame"]):
        frame = start + later
        if not 0 <= frame < FRAMES:
            continue
        xy = tracks["xy"][[start, frame]].astype(np.float64)
        inside = ((xy >= margin) & (xy <= np.array(WH) - 1 - margin)).all((0, 2))
        chosen = (tracks["query_frame"] == start) & tracks["visible"][frame] & inside
        before = sample_patches(clip[start], xy[0, chosen])
        after = sample_patches(clip[frame], xy[1, chosen] + offset)
        before, after = (patch - patch.mean(1, keepdims=True) for patch in (before, after))
        errors.append(np.abs(before - after).mean(1))
    return float(np.concatenate(errors).mean())


def test_the_files_are_small():
    assert (ASSETS / "clip.mp4").stat().st_size < 2_000_000
    assert (ASSETS / "clip_tracks.npz").stat().st_size < 500_000


def test_the_clip_has_the_promised_frames(clip):
    assert clip.shape == (FRAMES, WH[1], WH[0])


def test_the_arrays_have_the_promised_types(tracks):
    n = tracks["xy"].shape[1]
    assert 200 <= n <= 300
    expected = {
        "xy": ((FRAMES, n, 2), np.float32),
        "visible": ((FRAMES, n), bool),
        "query_frame": ((n,), np.int64),
        "object_id": ((n,), np.int64),
    }
    for name, (shape, dtype) in expected.items():
        assert tracks[name].shape == shape and tracks[name].dtype == dtype, name
    assert np.isfinite(tracks["xy"]).all()
    assert float(tracks["fps"]) == 24
    assert set(tracks["object_id"]) == set(range(len(tracks["object_names"])))


def test_every_query_is_visible_in_its_frame(tracks):
    n = tracks["xy"].shape[1]
    assert tracks["visible"][tracks["query_frame"], np.arange(n)].all()


def test_visible_points_lie_inside_the_image(tracks):
    seen = tracks["xy"][tracks["visible"]]
    assert (seen >= 0).all() and (seen <= np.array(WH) - 1).all()


def test_the_tracks_hold_what_a_tracker_finds_hard(tracks):
    """Late queries, points hidden by something that come back, points that leave the image and come back."""
    visible, xy = tracks["visible"], tracks["xy"]
    gone = ~visible & np.logical_or.accumulate(visible) & np.logical_or.accumulate(visible[::-1])[::-1]
    outside = ((xy < 0) | (xy > np.array(WH) - 1)).any(-1)
    assert (tracks["query_frame"] > 0).sum() >= 40
    assert (gone & ~outside).any(0).sum() >= 20
    assert (gone & outside).any(0).sum() >= 5


@pytest.mark.parametrize("later", [1, 2, 4, -1, -3])
def test_surfaces_look_alike_along_the_track(clip, tracks, later):
    true = patch_error(clip, tracks, later)
    beside = [patch_error(clip, tracks, later, offset) for offset in ((3, 0), (-3, 0), (0, 3), (0, -3))]
    assert true < 0.6 * min(beside), f"error {true:.2f} on the track, {np.round(beside, 2)} at 3 px beside it"


@pytest.mark.parametrize("axis", ["x", "y"])
def test_the_best_place_is_the_track_itself(clip, tracks, axis):
    """Within a quarter of a pixel: a frame too early or too late would show here.

    A half-pixel mistake that is the same in every frame would not; the generator rules it out against the
    renderer's own world positions.
    """
    offsets = np.arange(-4, 5) / 4
    along = [(o, 0.0) if axis == "x" else (0.0, o) for o in offsets]
    errors = [np.mean([patch_error(clip, tracks, later, offset) for later in (1, 2, -1)]) for offset in along]
    assert abs(offsets[int(np.argmin(errors))]) <= 0.25, np.round(errors, 2)


def test_the_clip_is_not_one_frame_off(clip, tracks):
    """Tracks read one frame early or late fit the picture worse than tracks read in their own frame."""
    moved = {shift: tracks | {"xy": np.roll(tracks["xy"], shift, 0)} for shift in (-1, 0, 1)}
    start = tracks["query_frame"]
    for shifted in moved.values():
        # The query itself keeps its place; only the later frames are misread.
        shifted["xy"][start, np.arange(len(start))] = tracks["xy"][start, np.arange(len(start))]
    errors = {shift: patch_error(clip, shifted, later=3) for shift, shifted in moved.items()}
    assert errors[0] < 0.8 * min(errors[-1], errors[1]), errors
