"""Runs: the page is told of everything that they change, and they leave nothing out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import pointtrack as pt
from pointtrack.io.video import write_video
from pointtrack.objects.stream import ObjectStream
from pointtrack.ui.project import Project, _Scan
from pointtrack.ui.propagation import Propagation
from tests.support.ui_client import FRAMES, RED, SCENE, Client


def heard(client: Client, act: Callable[[], Any]) -> list[dict[str, Any]]:
    """The events of an act."""
    project = client.desk.projects()[0]
    events: list[dict[str, Any]] = []
    project.notify = events.append
    act()
    return events


def test_masks_on_the_way_to_a_run_are_told_of(client):
    """Forward from a frame after the click: the frames between get masks too."""
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    before = [client.get(f"masks/{frame}")["objects"] for frame in range(FRAMES)]
    told: set[int] = set()
    for event in heard(client, lambda: client.run(start=6, direction="forward")):
        if changed := (event.get("changed") or {}).get("objects"):
            told |= set(range(changed[0], changed[1] + 1))
    after = [client.get(f"masks/{frame}")["objects"] for frame in range(FRAMES)]
    changed = {frame for frame in range(FRAMES) if before[frame] != after[frame]}
    assert changed == set(range(1, FRAMES)) and changed <= told


def test_tracks_that_are_joined_between_two_fixes_are_told_of(client):
    """The last piece from one fix changes all frames up to the other."""
    client.act("points.add", frame=0, xy=[RED])
    client.act("points.correct", point=0, frame=FRAMES - 1, xy=[30, 20])
    project = client.desk.projects()[0]
    shown = project.points.known().xy.clone()

    def read(event: dict[str, Any]) -> None:
        first, last = (event.get("changed") or {}).get("points", (0, -1))
        shown[first : last + 1] = project.points.known().xy[first : last + 1]

    project.notify = read
    client.run(what=["points"])
    assert torch.equal(shown, project.points.known().xy)


def test_a_run_goes_back_to_what_is_corrected_behind_it(client):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    project = client.desk.projects()[0]

    def begin() -> None:
        project.run(["points", "objects"], 0, FRAMES, "both", 0)
        run = project.running
        assert run is not None
        while run._pieces[0][2] == "forward":
            run.step()
        project.act("objects.click", {"frame": 3, "points": [[20, 15]], "labels": [1], "object": 1})
        project.act("points.add", {"frame": 4, "xy": [[22, 16]]})

    project.worker.call(begin).result()
    client.wait(lambda: client.state["run"] is None)
    assert np.isfinite(project.objects.quality().numpy()).all()
    assert project.points.known().tracked().all()


@pytest.mark.parametrize(
    "direction", [*(pytest.param(way, marks=pytest.mark.long) for way in ("forward", "backward")), "both"]
)
def test_a_run_knows_how_much_it_has_to_do(direction, client):
    """What no run in this direction reaches, such as an object that is shown later, does not count."""
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.act("objects.box", frame=FRAMES - 1, box=[20, 30, 50, 54])
    client.act("points.add", frame=6, xy=[RED])
    project = client.desk.projects()[0]

    def count() -> list[int]:
        run = Propagation(project, ["points", "objects"], range(FRAMES), direction, 0)
        return (
            [run._missing(), 0 if run.step() else -1] + [0 for _ in iter(run.step, True)] + [run._missing()]
        )

    found = project.worker.call(count).result()
    ways = 2 if direction == "both" else 1
    points = {"forward": FRAMES - 7, "backward": 6, "both": FRAMES - 1}[direction]
    assert found[0] == ways * (FRAMES - 1) + points and found[-1] == 0


def test_after_opening_again_a_run_that_is_stopped_keeps_what_was_known(new_client):
    first = new_client()
    first.act("objects.click", frame=0, points=[RED], labels=[1])
    first.act("points.add", frame=0, xy=[RED])
    project = first.desk.projects()[0]
    first.run(start=0, stop=8, direction="forward")
    known = project.points.known().tracked()[:, 0], np.isfinite(project.objects.quality().numpy())
    first.desk.close()
    second = new_client()
    project = second.desk.projects()[0]

    def begin() -> None:
        """A run, stopped after its first steps."""
        project.points.propagate(progress=lambda new: None, stop=1)
        for session in (project.points, project.objects):
            with pytest.raises(InterruptedError):
                session.propagate(progress=_stopped)

    project.worker.call(begin).result()
    assert (project.points.known().tracked()[:, 0] | ~known[0]).all()
    assert (np.isfinite(project.objects.quality().numpy()) | ~known[1]).all()
    assert known[0].sum() >= 8 and known[1].sum() == 8


def test_a_run_at_once_knows_the_cuts(client, videos, monkeypatch):
    """The search for them goes on when nothing else does; a run that begins before its end looks itself."""
    frames = SCENE.video.frames
    write_video(videos / "cut.mp4", pt.Video(np.concatenate([frames, 255 - frames])), crf=1)
    told: list[int] = []
    cut = ObjectStream.cut
    monkeypatch.setattr(ObjectStream, "cut", lambda stream: told.append(1) or cut(stream))
    project = Project(videos / "cut.mp4", client.desk.home, client.desk.models)
    project.worker._idle = lambda: False
    project._scan = _Scan()

    def go() -> list[int]:
        project.objects.cuts = []
        project.act("objects.click", {"frame": 0, "points": [RED], "labels": [1]})
        project.run(["objects"], 0, 2 * FRAMES, "both", 0)
        return list(project.objects.cuts)

    assert project.worker.call(go).result() == []
    client.wait(lambda: not project.worker.runs)
    assert project.objects.cuts == [FRAMES] and told == [1]
    project.close()


def _stopped(*_: Any) -> None:
    raise InterruptedError
