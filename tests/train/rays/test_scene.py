import numpy as np
import pytest

pytest.importorskip("embreex", reason="drawing by rays needs embreex (pip install 'pointtrack[train]')")

from train.kubric.cameras import camera_at
from train.kubric.follow import follow_points
from train.kubric.geometry import bilinear
from train.kubric.plan import Assets, RenderSettings, make_plan
from train.rays.picture import Painter
from train.rays.plan import make_ray_plan
from train.rays.scene import RayStage

SETTINGS = RenderSettings(frames=6, wh=(128, 96), samples=4, tracks=128, seed=3)


@pytest.fixture(scope="module")
def patterns():
    noise = np.random.default_rng(0).uniform(0, 255, (24, 32, 3)).astype(np.float32)
    import cv2

    return [cv2.resize(noise, (480, 320), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)]


@pytest.fixture(scope="module")
def stage(patterns):
    return RayStage(make_ray_plan(SETTINGS, Assets(), 1), SETTINGS, patterns)


def test_the_camera_looks_at_its_target(stage):
    for frame in (0, 3, 5):
        target = camera_at(stage.plan.camera, frame / 5, frame / stage.plan.fps)[1]
        xy, front = stage.posed(frame).lens.project(target[None])
        assert front[0]
        np.testing.assert_allclose(xy[0], (63.5, 47.5), atol=1e-6)


def test_what_a_pixel_sees_projects_back_onto_it_and_is_reached(stage):
    posed = stage.posed(2)
    pixels = np.random.default_rng(1).uniform(0, 95, (400, 2))
    thing, _, points = posed.cast(pixels)
    shown = thing >= 0
    assert shown.mean() > 0.5
    np.testing.assert_allclose(posed.lens.project(points[shown])[0], pixels[shown], atol=0.02)
    assert posed.reached(points[shown]).mean() > 0.995
    # A centimetre and more behind what is seen nothing can be seen.
    behind = points[shown] + 0.02 * (points[shown] - posed.lens.place)
    assert posed.reached(behind).mean() < 0.02


def test_tracks_are_on_the_pixels_of_their_own_thing(stage):
    tracks = follow_points(stage, SETTINGS.tracks, np.random.default_rng(2))
    assert tracks.xy.shape[1] > SETTINGS.tracks / 2
    for frame in range(SETTINGS.frames):
        seen = tracks.visible[frame]
        there = stage.posed(frame).cast(tracks.xy[frame, seen].astype(float))[0]
        assert (there == tracks.thing[seen]).mean() > 0.97


def test_pictures_show_the_same_colour_where_a_track_goes(patterns):
    """Tracks and pixels agree below a pixel: a moving camera before floor and walls, in even light."""
    plan = make_plan(SETTINGS, Assets(), 0)
    plan.things = [thing for thing in plan.things if thing.role == "background"]
    plan.sun_strength, plan.shutter, plan.fps = 0.0, 0.0, 12
    plan.camera.start, plan.camera.end = (-0.6, -4, 2.0), (0.6, -4, 2.0)
    stage = RayStage(plan, SETTINGS, patterns)
    generator = np.random.default_rng(4)
    tracks = follow_points(stage, SETTINGS.tracks, generator)
    painter = Painter(stage, 4, patterns[0], generator)
    first, last = painter.draw(0).astype(float), painter.draw(5).astype(float)
    both = tracks.visible[0] & tracks.visible[5]
    assert both.sum() > 30
    moved = np.linalg.norm(tracks.xy[5, both] - tracks.xy[0, both], axis=1)
    assert np.median(moved) > 5

    def difference(offset):
        return np.abs(
            bilinear(first, tracks.xy[0, both]) - bilinear(last, tracks.xy[5, both] + offset)
        ).mean()

    right = difference((0, 0))
    assert right < 0.5 * min(difference(way) for way in ((2, 0), (-2, 0), (0, 2), (0, -2)))


def test_a_body_that_bends_keeps_its_points(stage, patterns):
    plan = next(
        p for i in range(20) if (p := make_ray_plan(SETTINGS, Assets(), i)).things[1].kind == "creature"
    )
    walker = RayStage(plan, SETTINGS, patterns).things[1]
    a, b = walker.at(0.0), walker.at(0.3)
    assert a.shape == b.shape == walker.rest.shape
    # Legs swing: distances between far corners change, edges of triangles hardly.
    edges = np.linalg.norm(a[walker.triangles[:, 0]] - a[walker.triangles[:, 1]], axis=1)
    later = np.linalg.norm(b[walker.triangles[:, 0]] - b[walker.triangles[:, 1]], axis=1)
    assert np.median(np.abs(later - edges) / edges) < 0.05
    assert np.abs(np.linalg.norm(a[0] - a[-1]) - np.linalg.norm(b[0] - b[-1])) > 1e-4
