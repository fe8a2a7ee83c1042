"""The smoother: less tremble, nothing else."""

import numpy as np
import pytest
import torch

from pointtrack.tracking.smooth import HELD_WEIGHT, smooth_tracks
from pointtrack.types import Queries, Tracks

NAN = float("nan")


def tracks_at(xy, visibility=None, query_frame=0, first_frame=0):
    """Tracks at (t, n, 2) positions, asked for on row `query_frame`, visible where not told."""
    t, n = xy.shape[:2]
    visibility = torch.ones(t, n) if visibility is None else visibility
    at = torch.where(torch.isfinite(xy[query_frame]), xy[query_frame], 0.0)
    queries = Queries(torch.full((n,), query_frame + first_frame), at)
    return Tracks(xy, visibility, visibility, queries, (640, 480), first_frame)


def straight(t=40, n=5):
    """(t, n, 2) points that each move straight on at a speed of their own."""
    generator = torch.Generator().manual_seed(0)
    start, step = torch.rand(2, n, 2, generator=generator) * torch.tensor([300.0, 5.0])[:, None, None]
    return start + torch.arange(t)[:, None, None] * step


def noise(shape, size=1.0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)) * size


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("t", [1, 2, 3, 5, 40])
def test_straight_uniform_motion_comes_out_as_it_was(degree, t):
    tracks = tracks_at(straight(t))
    again = smooth_tracks(tracks, degree=degree)
    np.testing.assert_allclose(again.xy, tracks.xy, atol=2e-4)


def test_parabola_is_kept_by_degree_2_and_flattened_by_degree_1():
    time = torch.arange(30.0)
    xy = torch.stack([time**2 / 4, 3 * time], dim=-1)[:, None]
    tracks = tracks_at(xy)
    np.testing.assert_allclose(smooth_tracks(tracks, degree=2).xy, xy, atol=1e-3)
    assert float((smooth_tracks(tracks, degree=1).xy - xy).abs().max()) > 0.1


@pytest.mark.parametrize(("radius", "at_most"), [(2, 0.95), (4, 0.75), (8, 0.55)])
def test_noise_shrinks(radius, at_most):
    truth = straight(200, 20)
    tracks = tracks_at(truth + noise(truth.shape))
    raw_error = float((tracks.xy - truth).square().mean().sqrt())
    error = float((smooth_tracks(tracks, radius=radius).xy - truth).square().mean().sqrt())
    assert 0.2 * raw_error < error < at_most * raw_error


def test_no_lag_and_the_same_backward():
    truth = straight(41)
    tracks = tracks_at(truth + noise(truth.shape), query_frame=20)
    forward = smooth_tracks(tracks).xy
    backward = smooth_tracks(tracks_at(tracks.xy.flip(0), query_frame=20)).xy.flip(0)
    np.testing.assert_allclose(forward, backward, atol=1e-4)


def test_the_given_tracks_and_all_else_stay():
    tracks = tracks_at(straight() + noise((40, 5, 2)))
    before = tracks.xy.clone()
    again = smooth_tracks(tracks)
    assert torch.equal(tracks.xy, before)
    assert not torch.equal(again.xy, before)
    assert torch.equal(again.visibility, tracks.visibility)
    assert torch.equal(again.confidence, tracks.confidence)
    assert again.queries is tracks.queries


def test_queries_and_what_was_put_right_stay_and_pull_their_neighbours():
    truth = torch.zeros(41, 1, 2)
    raw = noise(truth.shape, 0.5)
    raw[20] = raw[30] = 6.0  # both far from the rest
    keep = torch.zeros(41, 1, dtype=torch.bool)
    keep[30] = True
    tracks = tracks_at(raw, query_frame=20, first_frame=100)
    again = smooth_tracks(tracks, keep=keep).xy
    free = smooth_tracks(tracks).xy
    assert torch.equal(again[20], raw[20])
    assert torch.equal(again[30], raw[30])
    assert not torch.equal(free[30], raw[30])
    step = again.diff(dim=0).norm(dim=-1)
    assert float(step[[19, 20, 29, 30]].max()) < 0.5 * float(raw.diff(dim=0).norm(dim=-1).max())
    assert HELD_WEIGHT > 1


@pytest.mark.parametrize("gap", ["hidden", "not tracked"])
def test_nothing_is_smeared_across_gaps(gap):
    """A point that is elsewhere after a gap: each side comes out as if the other were not there."""
    xy = noise((40, 1, 2))
    xy[22:] += 100
    visibility = torch.ones(40, 1)
    visibility[18:22] = 0.2 if gap == "hidden" else 0
    xy[18:22] += NAN if gap == "not tracked" else 30
    again = smooth_tracks(tracks_at(xy, visibility)).xy
    np.testing.assert_array_equal(again[18:22], xy[18:22])
    before = smooth_tracks(tracks_at(xy[:18], visibility[:18])).xy
    after = smooth_tracks(tracks_at(xy[22:], visibility[22:], query_frame=0)).xy
    np.testing.assert_allclose(again[:18], before, atol=1e-4)
    # There the query is far away; in the piece it is the first frame and stays, so only the end compares.
    np.testing.assert_allclose(again[28:], after[6:], atol=1e-4)
    assert float((again[22:28] - xy[22:28]).abs().max()) < 3


def test_a_single_hidden_frame_parts_two_runs():
    xy = torch.zeros(21, 1, 2)
    xy[11:] = 50.0
    visibility = torch.ones(21, 1)
    visibility[10] = 0
    assert torch.equal(smooth_tracks(tracks_at(xy, visibility)).xy, xy)


def test_many_points_are_done_in_pieces_that_do_not_matter():
    xy = straight(12, 600) + noise((12, 600, 2))
    whole = smooth_tracks(tracks_at(xy)).xy
    np.testing.assert_array_equal(whole[:, 250:260], smooth_tracks(tracks_at(xy[:, 250:260])).xy)


@pytest.mark.parametrize(("t", "n"), [(0, 0), (0, 3), (5, 0)])
def test_nothing_to_do(t, n):
    empty = Tracks(
        torch.zeros(t, n, 2),
        torch.zeros(t, n),
        torch.zeros(t, n),
        Queries([0] * n, torch.zeros(n, 2)),
        (9, 9),
    )
    assert smooth_tracks(empty).xy.shape == (t, n, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": 0}, "radius: expected at least 1"),
        ({"degree": 4}, "degree: expected 0..3, got 4"),
        ({"keep": torch.zeros(3, 5)}, r"keep: expected shape \(40, 5\)"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(ValueError, match=message):
        smooth_tracks(tracks_at(straight()), **options)
