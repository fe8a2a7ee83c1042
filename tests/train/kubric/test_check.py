"""A made-up render: a square of 20 px on a wall; the square moves 2 px to the right and 1 down per frame."""

import numpy as np
import pytest

from train.kubric.check import problems, self_check

FRAMES, SIZE = 5, 64


@pytest.fixture
def render():
    """(segmentation, depth, flow): wall 1 at 9 m, square 2 at 4 m, a strip of sky at the top."""
    segmentation = np.ones((FRAMES, SIZE, SIZE), np.uint8)
    segmentation[:, :6] = 0
    flow = np.zeros((FRAMES, SIZE, SIZE, 2), np.float32)
    for t in range(FRAMES):
        rows, columns = slice(20 + t, 40 + t), slice(15 + 2 * t, 35 + 2 * t)
        segmentation[t, rows, columns] = 2
        flow[t, rows, columns] = (2, 1)
    depth = np.choose(segmentation, (1e10, 9.0, 4.0)).astype(np.float32)
    return segmentation, depth, flow


@pytest.fixture
def tracks():
    """(xy, visible, thing, distance) of 40 points on the square and 60 on the wall, some behind it."""
    generator = np.random.default_rng(0)
    square = generator.uniform((15, 20), (34, 39), (40, 2)) + np.arange(FRAMES)[:, None, None] * (2, 1)
    wall = np.broadcast_to(generator.uniform((0, 7), (63, 63), (60, 2)), (FRAMES, 60, 2))
    corner = np.array((14.5, 19.5)) + np.arange(FRAMES)[:, None, None] * (2, 1)
    behind = ((wall > corner) & (wall < corner + 20)).all(-1)
    visible = np.concatenate([np.ones((FRAMES, 40), bool), ~behind], axis=1)
    thing = np.repeat((1, 0), (40, 60))
    distance = np.broadcast_to(np.where(thing == 1, 4.0, 9.0), (FRAMES, 100))
    return np.concatenate([square, wall], axis=1), visible, thing, distance


def test_right_tracks_pass(tracks, render):
    report = self_check(tracks, *render)
    assert report.visible == tracks[1].sum() and report.own_pixel == 1 == report.within_one_px
    assert report.wrongly_hidden == report.flow_median_px == report.depth_median == 0
    assert problems(report, 100, 100) == []
    assert report.record()["own_pixel"] == 1


def wrong(tracks, render, wanted=100):
    return "; ".join(problems(self_check(tracks, *render), len(tracks[2]), wanted))


def test_shifted_tracks_are_found(tracks, render):
    xy, *rest = tracks
    said = wrong((xy + np.array((6, 0)), *rest), render)
    assert "own object's pixels" in said and "within 1 px" in said


def test_points_on_another_object_are_found(tracks, render):
    xy, visible, thing, distance = tracks
    assert "own object's pixels" in wrong((xy, visible, 1 - thing, distance), render)


def test_forgotten_occlusion_is_found(tracks, render):
    xy, visible, *rest = tracks
    assert not visible.all()
    assert "within 1 px" in wrong((xy, np.ones_like(visible), *rest), render)


def test_one_bad_object_among_many_points_is_found(tracks, render):
    xy, visible, thing, distance = tracks
    # Twenty times as many points on the wall, and four of the forty on the square lie beside it.
    more = np.r_[np.arange(40), np.tile(np.arange(40, 100), 20)]
    xy = xy[:, more]
    xy[:, :4] += (28, 0)
    said = wrong((xy, visible[:, more], thing[more], distance[:, more]), render)
    assert said.startswith("only 9") and said.endswith("of the points on object 2 lie within 1 px of it")
    assert wrong((tracks[0][:, more], visible[:, more], thing[more], distance[:, more]), render) == ""


def test_false_occlusion_is_found(tracks, render):
    xy, visible, *rest = tracks
    assert "plainly shown" in wrong((xy, visible & False, *rest), render)


def test_wrong_motion_is_found(tracks, render):
    segmentation, depth, flow = render
    xy, visible, thing, distance = (part[:, :40] if part.ndim > 1 else part[:40] for part in tracks)
    assert "rendered flow by 1.414 px" in wrong(
        (xy, visible, thing, distance), (segmentation, depth, flow[..., ::-1])
    )


def test_wrong_distance_is_found(tracks, render):
    xy, visible, thing, distance = tracks
    assert "depth by 2.00%" in wrong((xy, visible, thing, distance / 1.02), render)


def test_too_few_tracks_are_found(tracks, render):
    assert "only 100 of 500 tracks" in wrong(tracks, render, wanted=500)
