"""What users import: the public names, and that importing them touches nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pointtrack
from tests.support.programs import run_program

# A name that goes from here breaks users: it needs an entry in CHANGELOG.md.
PUBLIC = [
    "Masks",
    "ObjectSession",
    "PointState",
    "Queries",
    "RegionOptions",
    "StateOptions",
    "TrackSession",
    "Tracker",
    "Tracks",
    "Video",
    "batch",
    "corner_queries",
    "draw_masks",
    "draw_tracks",
    "example_video",
    "grid_queries",
    "load_masks",
    "load_queries",
    "load_segmenter",
    "load_tracks",
    "open_video",
    "read_video",
    "save_masks",
    "save_tracks",
    "segment_tracks",
    "write_video",
]

STATE = """
import json, logging, random, sys
import cv2, matplotlib, numpy, torch

def state():
    return [
        str(torch.get_default_dtype()), torch.get_num_threads(), torch.get_num_interop_threads(),
        torch.is_grad_enabled(), torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark,
        torch.are_deterministic_algorithms_enabled(), torch.get_rng_state().sum().item(),
        str(numpy.random.get_state()), str(random.getstate()), str(numpy.get_printoptions()),
        str(numpy.geterr()), cv2.getNumThreads(), matplotlib.get_backend(auto_select=False),
        str(logging.root.handlers), logging.root.level,
    ]

before = state()
import pointtrack, pointtrack.cli.main
print(json.dumps([before, state(), [name for name in ("train", "evaluation") if name in sys.modules]]))
"""


def test_public_names():
    assert sorted(pointtrack.__all__) == PUBLIC and len(PUBLIC) <= 26
    assert not [name for name in PUBLIC if not hasattr(pointtrack, name)]


def test_version_is_in_the_changelog():
    changelog = Path(__file__).parents[1] / "CHANGELOG.md"
    assert f"## {pointtrack.__version__}" in changelog.read_text(encoding="utf-8")


def test_import_changes_no_global_state():
    run = run_program(STATE)
    assert run.returncode == 0, run.stderr
    before, after, above = json.loads(run.stdout)
    assert after == before
    assert above == []  # neither train nor evaluation came along


def test_a_tracker_tells_what_it_is():
    tracker = pointtrack.Tracker("small", states=True, smooth=2)
    assert repr(tracker) == "Tracker('pointtrack-small', states=StateOptions(...), smooth=2)"
    assert repr(pointtrack.Tracker("small", device="cpu")) == "Tracker('pointtrack-small')"


@pytest.mark.parametrize("made", [lambda: pointtrack.Tracker(None), lambda: pointtrack.Tracker([1])])
def test_a_tracker_is_made_of_a_network(made):
    with pytest.raises(
        ValueError, match="name: expected the name of a model, a path or a loaded network, got"
    ):
        made()


def test_frames_to_smooth_over_are_counted():
    with pytest.raises(ValueError, match=r"smooth: expected 0 or more frames on each side, got 1\.5"):
        pointtrack.Tracker(smooth=1.5)
