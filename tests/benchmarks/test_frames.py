"""Timing of single frames and of clips, on a tiny tracker. No test asserts a time."""

import json
from dataclasses import replace

import pytest
import torch

import pointtrack as pt
from benchmarks.frames import bench, push_all
from benchmarks.machine import moving_texture
from benchmarks.track import apart, timed, watch
from tests.support.streams import track


def test_the_parts_of_a_frame_add_up_to_it(tiny_tracker):
    row, tracks = push_all(tiny_tracker, watch(tiny_tracker), moving_texture(20, (96, 64)), points=5, skip=16)
    assert len(tracks) == 20 and len(tracks.queries) == 5
    assert 0 < row["median"] <= row["worst"] and row["mean"] <= row["worst"]
    assert {"encoder", "transformer", "rest"} <= set(row["parts"])
    assert sum(row["parts"].values()) == pytest.approx(row["mean"])


def test_the_parts_of_a_clip_add_up_to_it(tiny_tracker, tiny_video):
    queries = pt.Queries(frame=[0], xy=[[20.0, 20.0]])
    best, totals, tracks = timed(tiny_tracker, watch(tiny_tracker), tiny_video, queries, repeats=2)
    assert best.pop("total") == min(totals) == pytest.approx(sum(best.values()))
    assert len(tracks) == len(tiny_video)


def test_distance_between_answers_leaves_out_what_is_not_tracked(tiny_tracker, tiny_video):
    tracks = track(tiny_tracker, tiny_video, pt.Queries(frame=[0, 3], xy=[[20.0, 20.0]] * 2), backward=False)
    assert bool(torch.isnan(tracks.xy).any())
    assert apart(tracks, replace(tracks, xy=tracks.xy + torch.tensor([3.0, 4.0]))) == pytest.approx((5, 5))


def test_too_few_frames_are_told(tmp_path, tiny_tracker_file):
    with pytest.raises(ValueError, match="more frames"):
        bench([3], frames=16, tracker=str(tiny_tracker_file), out=tmp_path / "x.json")


@pytest.mark.usefixtures("bfloat16_anywhere")
def test_what_a_switch_changes_is_measured(tmp_path, tiny_tracker_file, capsys):
    """Two rounds in bfloat16 over windows of another length; the answers are near those in float32, and not the same."""
    bench(
        [3], frames=14, wh="96x64", length=6, iterations=2, precision="bfloat16",
        tracker=str(tiny_tracker_file), out=tmp_path / "x.json",
    )  # fmt: skip
    figures = json.loads((tmp_path / "x.json").read_text())
    assert (figures["length"], figures["step"], figures["iterations"]) == (6, 1, 2)
    assert 0 < figures["milliseconds"]["3"]["px_median"] < 1
    assert "windows of 6 frames" in capsys.readouterr().out
