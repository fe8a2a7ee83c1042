"""An export is of the moment at which it was asked for, whatever a person or a run does until it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pointtrack as pt
from pointtrack.ui import exported_videos, exports
from pointtrack.ui.exports import ExportOptions
from pointtrack.ui.project import Project
from pointtrack.viz.colors import id_colors
from tests.support.ui_client import BLUE, FRAMES, RED

ALL = ExportOptions(tracks=("csv",), masks=("davis", "coco"), videos=("mp4",), sessions=True, sound=False)


def written(project: Project, options: ExportOptions, meanwhile: Any = None) -> Path:
    """The folder of an export, in the course of which something happens."""

    def steps() -> Path:
        folder = Path(project.export(options)["folder"])
        (export,) = project.worker.runs
        export.step()
        if meanwhile is not None:
            meanwhile()
        while not export.step():
            pass
        project.worker.runs = []
        return folder

    return project.worker.call(steps).result()


def kept(target: Path, frames: Any) -> None:
    """The frames as they were drawn, as x264 may write equal ones differently."""
    np.save(target.with_name("drawn.npy"), np.stack([frame for frame, _ in frames]))
    target.touch()


def content(folder: Path) -> dict[str, Any]:
    return {
        "masks": pt.load_masks(folder / "squares_davis").masks.numpy(),
        "coco": pt.load_masks(folder / "squares_coco.json").masks.numpy(),
        "drawn": np.load(folder / "drawn.npy"),
        "tracks": np.nan_to_num(pt.load_tracks(folder / "squares.csv").xy.numpy(), nan=-1),
    }


@pytest.mark.parametrize(
    "act",
    ["undo", "run", *(pytest.param(act, marks=pytest.mark.long) for act in ("remove", "click", "hide"))],
)
def test_an_export_is_of_one_moment(act, client, monkeypatch):
    monkeypatch.setattr(exports, "PIECE", 3)
    monkeypatch.setattr(exported_videos, "write_video", kept)
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.act("points.add", frame=0, xy=[RED])
    client.run(direction="both", stop=FRAMES if act != "run" else 6)
    client.act("objects.click", frame=0, points=[BLUE], labels=[1])
    client.act("points.add", frame=0, xy=[BLUE])
    project = client.desk.projects()[0]
    expected = content(written(project, ALL))

    def meanwhile() -> None:
        if act == "undo":
            project.act("go", {"position": 1})
        elif act == "remove":
            project.act("objects.remove", {"object": 1})
            project.act("points.remove", {"points": [0]})
        elif act == "click":
            project.act("objects.click", {"frame": 5, "points": [BLUE], "labels": [1], "object": 1})
            project.act("points.correct", {"point": 0, "frame": 5, "xy": BLUE})
        elif act == "hide":
            project.act("view", {"changes": {"hidden": ["o1", "p0"], "names": {"o1": "thing"}}})
        else:
            project.objects.propagate()
            project.points.propagate()

    found = content(written(project, ALL, meanwhile))
    for name, value in expected.items():
        assert np.array_equal(found[name], value), name


def test_session_files_have_the_names_that_a_person_gave(client):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.act("points.add", frame=0, xy=[RED])
    client.act("view", changes={"names": {"o1": "red", "p0": "corner"}})
    project = client.desk.projects()[0]
    folder = written(project, ExportOptions(sessions=True))
    objects = pt.ObjectSession(project.video, engine=project.objects.engine, cuts=())
    objects.load(folder / "squares_objects.npz")
    points = pt.TrackSession(project.video, project.points.tracker)
    points.load(folder / "squares_points.npz")
    assert objects.objects == {1: "red"} and points.known().queries.names == ("corner",)
    assert torch.equal(objects.masks().masks, project.objects.masks().masks)
    assert project.objects.objects != {1: "red"}, "the history of the project is as it was"


def test_the_drawn_video_has_the_colours_of_the_page(client, monkeypatch):
    monkeypatch.setattr(exported_videos, "write_video", kept)
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.act("points.add", frame=0, xy=[[40, 50], [20, 50]])
    client.act("points.add", frame=0, xy=[[60, 50]])
    client.act("view", changes={"colors": {"o1": "#ff0000", "g1": "#0000ff", "p1": "#00ff00", "p2": "red"}})
    project = client.desk.projects()[0]
    options = ExportOptions(videos=("mp4",), stop=1, sound=False, opacity=1)
    drawn = np.load(written(project, options) / "drawn.npy")[0]
    assert drawn[12, 10].tolist() == [255, 0, 0]
    found = [drawn[50, x].tolist() for x in (40, 20, 60)]
    assert found == [[0, 0, 255], [0, 255, 0], id_colors(np.array([2]))[0].tolist()]


def test_labels_for_yolo_come_with_their_pictures(client):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.run(direction="forward", stop=3)
    options = ExportOptions(masks=("yolo",), stop=3)
    folder = written(client.desk.projects()[0], options) / "squares_yolo"
    pictures, labels = (
        sorted(path.stem for path in (folder / name).iterdir()) for name in ("images", "labels")
    )
    assert pictures == labels == [f"frame_{number:06d}" for number in range(3)]
