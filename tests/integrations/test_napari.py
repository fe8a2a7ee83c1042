"""The plug-in for napari, offscreen: points of a layer are tracked, and a dragged one is a correction."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import pointtrack as pt
from tests.support.tracks import moving_video

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
REASON = "needs napari and a Qt binding, pip install 'napari[pyqt6]'"
pytest.importorskip("napari", reason=REASON)
pytest.importorskip("qtpy", reason=REASON)
FOLDER = Path(__file__).parents[2] / "integrations" / "napari"
sys.path.insert(0, str(FOLDER))
FRAMES, WH = 12, (64, 48)


@pytest.fixture
def viewer():
    """Without its canvas, for which a machine needs OpenGL."""
    from napari.components import ViewerModel

    return ViewerModel()


@pytest.fixture
def widget(viewer, tiny_tracker):
    from pointtrack_napari.widget import TrackWidget

    widget = TrackWidget(viewer)
    widget._networks["small"] = pt.Tracker(tiny_tracker)
    return widget


def settled(widget) -> None:
    """Let Qt's events run until nothing is tracked any more."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + 120
    while True:
        QApplication.processEvents()
        if not widget.busy:
            return
        assert time.monotonic() < end, "still tracking"
        time.sleep(0.01)


def dragged(layer, row: int, to: tuple[float, float, float]) -> None:
    """What napari does at the end of a drag: the data change, and it says which."""
    layer.selected_data = {row}
    data = layer.data.copy()
    data[row] = to
    with layer.events.data.blocker():
        layer.data = data
    layer.events.data(value=layer.data, action="changed", data_indices=(row,), vertex_indices=((),))


def test_points_are_tracked_and_a_dragged_one_is_a_correction(viewer, widget, tiny_tracker):
    video = moving_video(FRAMES, WH)
    viewer.add_image(video.frames, rgb=True, name="mouse", scale=(1, 2, 2))
    seeds = viewer.add_points(
        np.array([[0, 20.0, 24.0], [5, 60.0, 80.0]]), name="paws"
    )  # world: two per pixel
    widget.images.value, widget.points.value = viewer.layers["mouse"], seeds
    widget.track()
    settled(widget)
    layer = viewer.layers["paws (tracked)"]
    assert len(layer.data) == 2 * FRAMES and set(layer.features["id"]) == {0, 1}
    wanted = pt.Tracker(tiny_tracker).track(video, pt.Queries([0, 5], [[12.0, 10.0], [40.0, 30.0]]))
    np.testing.assert_allclose(layer.data[::2, [2, 1]], wanted.xy[:, 0], atol=1e-3)
    np.testing.assert_allclose(layer.data[1::2, [2, 1]], wanted.xy[:, 1], atol=1e-3)
    before = layer.data.copy()
    row = 2 * 8  # frame 8 of the first point
    dragged(layer, row, (8, 15.0, 33.0))
    settled(widget)
    assert layer.data[row].tolist() == [8, 15, 33] and bool(layer.features["corrected"][row])
    np.testing.assert_array_equal(layer.data[1::2], before[1::2], "the other point stays")
    np.testing.assert_array_equal(layer.data[0], before[0])
    assert np.abs(layer.data[2 * 7] - before[2 * 7]).max() > 0.1, "its neighbours follow"
    widget.undo()
    settled(widget)
    np.testing.assert_allclose(layer.data, before, atol=1e-4)


def test_points_of_one_frame_lie_on_the_frame_that_is_shown(viewer, widget):
    viewer.add_image(moving_video(FRAMES, WH).frames[..., 0], name="grey")
    viewer.add_points(np.array([[20.0, 24.0]]), name="flat", ndim=2)
    viewer.dims.set_current_step(0, 4)
    widget.images.value, widget.points.value = viewer.layers["grey"], viewer.layers["flat"]
    widget.track()
    settled(widget)
    layer = viewer.layers["flat (tracked)"]
    assert layer.data[4].tolist() == [4, 20, 24] and layer.features["corrected"].sum() == 1


def test_deleted_rows_come_back_and_mistakes_are_said(viewer, widget):
    viewer.add_image(moving_video(FRAMES, WH).frames, rgb=True, name="mouse")
    viewer.add_points(np.array([[0, 20.0, 240.0]]), name="outside")
    widget.images.value, widget.points.value = viewer.layers["mouse"], viewer.layers["outside"]
    widget.track()
    settled(widget)
    assert "inside the 64 x 48 image" in widget.told.value and len(viewer.layers) == 2
    viewer.add_points(np.array([[0, 20.0, 24.0]]), name="inside")
    widget.points.value = viewer.layers["inside"]
    widget.track()
    settled(widget)
    layer = viewer.layers["inside (tracked)"]
    layer.selected_data = {3}
    layer.remove_selected()
    assert len(layer.data) == FRAMES


def test_the_manifest_is_valid():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(FOLDER / "pointtrack_napari" / "napari.yaml")
    assert next(iter(manifest.contributions.widgets)).display_name == "Track points"
    for command in manifest.contributions.commands:
        module, _, name = str(command.python_name).partition(":")
        assert f"def {name}" in (text := (FOLDER / f"{module.replace('.', '/')}.py").read_text()) or (
            f"class {name}" in text
        )


def test_images_of_other_types_and_wrong_shapes():
    from pointtrack_napari.layers import frames_of, queries_of

    grey = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4)
    assert frames_of(grey).shape == (2, 3, 4, 3) and frames_of(grey).max() == 255
    assert frames_of(grey, (0, 2)).max() == 128
    for wrong in (np.zeros((3, 4)), np.zeros((2, 3, 4, 2))):
        with pytest.raises(ValueError, match="images: expected"):
            frames_of(wrong)
    with pytest.raises(ValueError, match="points: expected"):
        queries_of(np.zeros((0, 3)))


@pytest.mark.parametrize("backward", [False, True])
def test_deeplabcut_tracks_with_it(monkeypatch, tiny_tracker, backward):
    """As its worker calls a backbone: inputs, run, outputs, check."""
    pytest.importorskip("napari_deeplabcut.tracking.core.models", reason="needs napari-deeplabcut")
    import pandas as pd
    from napari_deeplabcut.tracking.core.data import TrackingWorkerData
    from napari_deeplabcut.tracking.core.models import AVAILABLE_TRACKERS
    from pointtrack_napari.deeplabcut import NAME, PointtrackBackbone

    assert AVAILABLE_TRACKERS[NAME]["class"] is PointtrackBackbone
    monkeypatch.setattr(PointtrackBackbone, "load_model", lambda self, device: pt.Tracker(tiny_tracker))
    video = moving_video(FRAMES, WH).frames
    seeds = pd.DataFrame({"label": ["paw", "ear"], "id": ["", ""]})
    frames = video[2:9][::-1] if backward else video[2:9]
    data = TrackingWorkerData(
        NAME, frames, np.array([[0, 10.0, 12.0], [0, 30.0, 40.0]]), seeds, (2, 9), backward, 8 if backward else 2
    )  # fmt: skip
    model, told = PointtrackBackbone(data), []
    inputs = model.prepare_inputs(data)
    raw = model.run(inputs, lambda *done: told.append(done), lambda: False)
    output = model.prepare_outputs(raw, data)
    assert model.validate_outputs(inputs, output) == (True, "")
    assert told[-1] == (7, 7)
    queries = pt.Queries([0, 0], [[12.0, 10.0], [40.0, 30.0]])
    wanted = pt.Tracker(tiny_tracker).track(pt.Video(np.ascontiguousarray(frames)), queries).xy.numpy()
    wanted = wanted[::-1] if backward else wanted
    rows = output.keypoints.reshape(7, 2, 3)
    assert rows[:, 0, 0].tolist() == list(range(2, 9))
    np.testing.assert_allclose(rows[..., [2, 1]], wanted, atol=1e-3)
    assert output.keypoint_features["label"].tolist() == ["paw", "ear"] * 7
    assert model.run(inputs, lambda *done: None, lambda: True) is None, "it can be stopped"


def test_coordinates_turn_round():
    from pointtrack_napari.layers import queries_of, rows_of

    queries = queries_of([[3, 20.0, 24.0]])
    assert queries.frame.tolist() == [3] and queries.xy.tolist() == [[24, 20]]
    tracks = pt.Tracks(queries.xy[None], torch.ones(1, 1), torch.ones(1, 1), queries, WH, 3)
    data, features = rows_of(tracks)
    assert data.tolist() == [[3, 20, 24]] and features["visible"].tolist() == [True]
