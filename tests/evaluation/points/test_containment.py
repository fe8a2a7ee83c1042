"""Points that stay on their object, or do not."""

import math

import numpy as np
import pytest
import torch

from evaluation.masks.datasets import MaskExample
from evaluation.points.containment import inside_figures, inside_queries, measure_inside
from pointtrack.types import Queries, Tracks, Video
from pointtrack.types.masks import Masks


@pytest.fixture
def example():
    """A square of 20 pixels that goes right by 3 pixels per frame, for 5 frames; gone on frame 3."""
    masks = torch.zeros(5, 1, 48, 96, dtype=torch.bool)
    for frame in (0, 1, 2, 4):
        masks[frame, 0, 10:30, 10 + 3 * frame : 30 + 3 * frame] = True
    video = Video(np.zeros((5, 48, 96, 3), np.uint8))
    return MaskExample("square/a", video, Masks(masks), torch.tensor([0]), torch.ones(5, dtype=torch.bool))


def moved(queries, step, visibility=None, frames=5):
    xy = queries.xy + torch.arange(float(frames))[:, None, None] * torch.tensor([step, 0.0])
    seen = torch.ones(frames, len(queries)) if visibility is None else visibility
    return Tracks(xy, seen, seen, queries, (96, 48))


def test_queries_lie_well_inside_and_are_the_same_every_time(example):
    queries = inside_queries(example, 1, 30)
    assert len(queries) == 30
    assert float(queries.xy.min()) >= 13 and float(queries.xy.max()) <= 26
    assert len({tuple(xy) for xy in queries.xy.tolist()}) == 30
    torch.testing.assert_close(inside_queries(example, 1, 30).xy, queries.xy)


def test_thin_objects_get_points_too(example):
    thin = torch.zeros_like(example.truth.masks)
    thin[:, 0, 20, 10:14] = True
    narrow = MaskExample("thin/a", example.video, Masks(thin), example.first_frames, example.annotated)
    assert inside_queries(narrow, 1, 30).xy[:, 1].tolist() == [20.0] * 4


def test_points_that_go_along_stay(example):
    figures = inside_figures(moved(inside_queries(example, 1, 30), 3), example, 1)
    assert figures == {"inside": 100.0, "visible": 100.0, "anywhere": 100.0}


def test_points_left_behind_are_noticed_and_forgiven_where_said_to_be_hidden(example):
    queries = Queries(torch.zeros(2), torch.tensor([[11.0, 20.0], [28.0, 20.0]]))
    # The square leaves the first point on frame 2 (past the 2 px of slack), never the second.
    figures = inside_figures(moved(queries, 0), example, 1)
    assert figures["anywhere"] == pytest.approx(100 * 4 / 6)
    assert figures["inside"] == pytest.approx(100 * 4 / 6)
    honest = torch.ones(5, 2)
    honest[2:, 0] = 0
    figures = inside_figures(moved(queries, 0, honest), example, 1)
    assert figures["inside"] == 100 and figures["visible"] == pytest.approx(100 * 4 / 6)
    assert figures["anywhere"] == pytest.approx(100 * 4 / 6)


def test_out_of_the_frame_is_not_inside(example):
    queries = Queries(torch.zeros(1), torch.tensor([[15.0, 20.0]]))
    assert inside_figures(moved(queries, -100), example, 1)["anywhere"] == 0


def test_nothing_said_to_be_visible(example):
    queries = inside_queries(example, 1, 3)
    figures = inside_figures(moved(queries, 3, torch.zeros(5, 3)), example, 1)
    assert math.isnan(figures["inside"]) and figures["visible"] == 0 and figures["anywhere"] == 100


def test_measured_for_every_method(example):
    methods = {
        "good": lambda video, queries: moved(queries, 3),
        "bad": lambda video, queries: moved(queries, 50),
    }
    found = measure_inside(methods, [example], 5)
    assert found["square/a"]["good"]["inside"] == 100
    assert found["square/a"]["bad"]["inside"] == 0
