"""Graphs track as torch does, whatever the clip's length and the number of points; mistakes are told plainly."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace

import pytest
import torch

from pointtrack.onnx.export import export_graphs
from pointtrack.onnx.runtime import OnnxTracker
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks
from pointtrack.zoo import load_tracker
from tests.onnx.conftest import CLIP_FRAMES, POINTS, WH, small_tracker
from tests.support.streams import track

PX, PROBABILITY = 1e-3, 1e-4


def assert_alike(found: Tracks, wanted: Tracks, times: float = 1) -> None:
    assert torch.equal(found.xy.isnan(), wanted.xy.isnan())
    assert torch.nan_to_num(found.xy - wanted.xy).abs().max() <= times * PX
    assert (found.visibility - wanted.visibility).abs().max() <= times * PROBABILITY
    assert (found.confidence - wanted.confidence).abs().max() <= times * PROBABILITY


@pytest.fixture(scope="module")
def ours(exported):
    one = exported("ours")
    return one.tracker, OnnxTracker(one.folder, threads=1)


@pytest.mark.parametrize(
    ("frames", "helpers"),
    [
        *((1, 0), (3, 5), (8, 0), (13, 5), (18, 0)),
        *(pytest.param(*one, marks=pytest.mark.long) for one in ((1, 5), (3, 0), (8, 5), (13, 0), (18, 5))),
    ],
)
def test_tracks_are_those_of_torch(ours, clip, requested, frames, helpers):
    tracks = [track(one, clip(frames), requested(frames), support_grid=helpers) for one in ours]
    assert_alike(tracks[1], tracks[0])


def test_a_second_look_of_graphs_is_mirrored_and_as_large(ours, clip, requested):
    _, graphs = ours
    twice = OnnxTracker(graphs.folder, threads=1)
    twice.inference = replace(graphs.inference, looks=2)
    found, once = (track(one, clip(13), requested(13)) for one in (twice, graphs))
    assert found.tracked().equal(once.tracked()) and not found.xy.nan_to_num().equal(once.xy.nan_to_num())


def assert_joint_features_come_out(tracker, graphs, clip, requested):
    frames = torch.from_numpy(clip(2).frames).movedim(-1, 1)[None]
    with torch.inference_mode():
        found, wanted = graphs.encode(frames), tracker.encode(frames)
    assert found[-1].dtype == torch.float16 and found[-1].shape[-1] == tracker.appearance_channels
    torch.testing.assert_close(found[-1], wanted[-1], atol=2e-3, rtol=0)
    # Refinement looks at learnt ones, which are float16 and round differently.
    times = 5 if tracker.config.name == "learnt" else 1
    assert_alike(track(graphs, clip(9), requested(9)), track(tracker, clip(9), requested(9)), times)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["joint", "learnt"])
def test_joint_features_come_out_of_the_graph(exported, clip, requested, kind):
    one = exported(kind)
    assert_joint_features_come_out(one.tracker, OnnxTracker(one.folder, threads=1), clip, requested)


def test_refinement_in_the_graph_moves_points(ours, clip, requested):
    _, graphs = ours
    guess_alone = OnnxTracker(graphs.folder, threads=1)
    guess_alone.config = replace(graphs.config, window=replace(graphs.config.window, iterations=0))
    moved = track(graphs, clip(9), requested(9)).xy - track(guess_alone, clip(9), requested(9)).xy
    assert moved.abs().max() > 100 * PX


def test_a_point_does_not_notice_how_many_places_are_empty(ours, clip):
    _, graphs = ours
    one = Queries(torch.zeros(1, dtype=torch.int64), torch.tensor([[40.0, 30.0]]))
    full = torch.rand(POINTS - 1, 2, generator=torch.Generator().manual_seed(0)) * 60
    many = Queries(torch.zeros(POINTS, dtype=torch.int64), torch.cat([one.xy, full]))
    for queries in (one, many):
        tracks = [track(tracker, clip(11), queries, support_grid=0) for tracker in ours]
        assert_alike(tracks[1], tracks[0])


def test_stream_with_first_answers_and_points_that_come_and_go(ours, clip, requested):
    video, found = clip(14), []
    for tracker in ours:
        stream = WindowStream(tracker, requested(6), video.wh)
        parts, first = [], []
        for t, frame in enumerate(video.frames):
            if t == 10:
                more = Queries(torch.tensor([9]), torch.tensor([[33.0, 22.0]]), torch.tensor([50]))
                stream.add(more)
                stream.remove([1])
            parts.append(stream.push(frame))
            first.append(stream.preview())
        found.append([*parts, stream.finish(), *first])
    for torch_rows, graph_rows in zip(*found, strict=True):
        if len(torch_rows):
            assert_alike(graph_rows, torch_rows)


PUBLISHED = ("cotracker2.1", "cotracker3-online", "cotracker3-offline")


def assert_the_published_are_alike(kind, tracker, graphs, clip, requested):
    for frames in [CLIP_FRAMES] if kind == "cotracker3-offline" else [5, 11, 17]:
        tracks = [track(one, clip(frames), requested(frames)) for one in (tracker, graphs)]
        assert_alike(tracks[1], tracks[0])


@pytest.fixture
def parts_of(tmp_path, monkeypatch):
    """Function tracker -> its parts that become graphs, run by torch in their place: to write graphs takes long."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")

    def of(tracker):
        parts = {}

        def keep(path, step, inputs, outputs):
            parts[path.name] = step, list(inputs)
            path.touch()

        def run(name, given):
            step, inputs = parts[name]
            found = step(*(given[key] for key in inputs))
            return [found] if isinstance(found, torch.Tensor) else list(found)

        monkeypatch.setattr("pointtrack.onnx.export.write_graph", keep)
        clips = None if tracker.config.window.length else CLIP_FRAMES
        export_graphs(tracker, tmp_path / "graphs", WH, points=[POINTS], frames=clips)
        graphs = OnnxTracker(tmp_path / "graphs", threads=1)
        monkeypatch.setattr(graphs, "_run", run)
        return graphs

    return of


# CoTracker3 of windows is that of whole clips in the windows of our own tracker.
@pytest.mark.parametrize(
    "kind", [pytest.param(one, marks=[pytest.mark.long] if "online" in one else []) for one in PUBLISHED]
)
def test_the_parts_of_published_kinds_that_become_graphs(parts_of, clip, requested, kind):
    """As graphs in `test_published_kinds`."""
    tracker = small_tracker(kind)
    assert_the_published_are_alike(kind, tracker, parts_of(tracker), clip, requested)


def test_the_parts_of_learnt_joint_features_that_become_graphs(parts_of, clip, requested):
    """As graphs in `test_joint_features_come_out_of_the_graph`."""
    tracker = small_tracker("learnt")
    assert_joint_features_come_out(tracker, parts_of(tracker), clip, requested)


@pytest.mark.long
@pytest.mark.parametrize("kind", PUBLISHED)
def test_published_kinds(exported, clip, requested, kind):
    one = exported(kind)
    graphs = OnnxTracker(one.folder, threads=1)
    assert_the_published_are_alike(kind, one.tracker, graphs, clip, requested)


@pytest.mark.long
def test_whole_clips_of_another_length(exported, clip, requested):
    graphs = OnnxTracker(exported("cotracker3-offline").folder)
    with pytest.raises(ValueError, match=f"expected windows of {CLIP_FRAMES} frames, got 9; .*--frames 9"):
        track(graphs, clip(9), requested(9))


def test_other_graphs_have_another_digest_where_runs_are_told_apart(ours):
    _, graphs = ours
    other = OnnxTracker(graphs.folder)
    other.manifest.values["match_sharpness"] = 3.0
    assert other.manifest.digest() != graphs.manifest.digest()
    assert bytes(graphs.state_dict()["digest"].tolist()) == graphs.manifest.digest()


def test_wrong_size(ours, requested):
    _, graphs = ours
    with pytest.raises(
        ValueError, match="expected frames of 96x64, .*at 64x64: export again with --wh 64x64"
    ):
        graphs.encode(torch.zeros(1, 1, 3, 64, 64))


def test_too_many_points(ours, clip):
    _, graphs = ours
    queries = Queries(torch.zeros(POINTS, dtype=torch.int64), torch.full((POINTS, 2), 20.0))
    with pytest.raises(
        ValueError, match=f"at most {POINTS} points together, got {POINTS + 25} .*--points 57"
    ):
        track(graphs, clip(2), queries)


def test_the_smallest_graph_that_is_large_enough(ours):
    graphs = OnnxTracker(ours[1].folder)
    graphs.manifest = replace(graphs.manifest, points=(4, 16, 32))
    assert [graphs._graph_for(n) for n in (1, 4, 5, 16, 32)] == [4, 4, 16, 16, 32]


def test_several_videos_at_once(ours):
    with pytest.raises(ValueError, match="one video at a time, got 2"):
        ours[1].encode(torch.zeros(2, 1, 3, WH[1], WH[0]))


def test_changed_and_missing_graphs(ours, tmp_path):
    folder = shutil.copytree(ours[1].folder, tmp_path / "graphs")
    path = folder / "encoder.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="SHA-256"):
        OnnxTracker(folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"encoder\.onnx: expected a graph there"):
        OnnxTracker(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "its format is '2'"),
        ({"wh": None}, "export the graphs again"),
        ({"x": 1}, "'x'"),
    ],
)
def test_manifest_of_another_kind(ours, tmp_path, change, message):
    folder = shutil.copytree(ours[1].folder, tmp_path / "graphs")
    path = folder / "tracker.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=message):
        OnnxTracker(folder)


def test_no_graphs_there(tmp_path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(FileNotFoundError, match="expected a folder that `pointtrack export-onnx` wrote"):
        OnnxTracker(tmp_path)


def test_without_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r'pip install "pointtrack\[onnx\]"'):
        OnnxTracker(tmp_path)


def test_a_folder_of_graphs_loads_like_any_tracker(ours, clip, requested, caplog):
    folder = ours[1].folder
    tracker = load_tracker(folder, device="cpu", step=2)
    assert isinstance(tracker, OnnxTracker) and tracker.config.window.step == 2
    assert torch.isfinite(track(tracker, clip(8), requested(8)).xy).all()
    with pytest.raises(ValueError, match="expected no checkpoint, sha256, precision or strict_parity"):
        load_tracker(folder, precision="bfloat16")
    caplog.clear()
    load_tracker(folder, device="cuda")
    assert "ONNX graphs run on the CPU, not on cuda" in caplog.text


def test_a_copy_opens_its_graphs_anew(ours, clip, requested):
    import copy
    import pickle

    video, queries = clip(3), requested(3)
    expected = track(ours[1], video, queries)
    for again in (pickle.loads(pickle.dumps(ours[1])), copy.deepcopy(ours[1])):
        assert torch.equal(track(again, video, queries).xy, expected.xy)
