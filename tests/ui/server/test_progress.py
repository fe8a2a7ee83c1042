"""The time that a run says is left is about what it then takes, though masks take far longer than points."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pointtrack.io.video import write_video
from pointtrack.sessions.mask_store import Results
from pointtrack.sessions.point_walks import PointWalk
from pointtrack.ui import progress, propagation
from pointtrack.ui.project import Project
from pointtrack.ui.propagation import Propagation
from tests.support.scenes import squares

FRAMES = 60
POINTS, MASK = 0.1, 0.5  # seconds for a piece of points, and for a mask
STEPS = [(2 + t // 2, 4 + t // 3) for t in range(FRAMES)]


@pytest.fixture
def project(client, videos, monkeypatch):
    """A project whose clock goes on with what is computed, and with nothing else."""
    clock = SimpleNamespace(now=1000.0)

    def slow(function, seconds):
        def call(*arguments):
            clock.now += seconds
            return function(*arguments)

        return call

    video = write_video(videos / "longer.mp4", squares([STEPS, [(60 - x // 2, 38) for x, _ in STEPS]]).video)
    project = Project(video, client.desk.home, client.desk.models)
    project.worker.call(lambda: [project._idle() for _ in range(20)]).result()  # finds the cuts
    monkeypatch.setattr(propagation, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(PointWalk, "advance", slow(PointWalk.advance, POINTS))
    monkeypatch.setattr(Results, "put", slow(Results.put, MASK))
    project.clock = clock
    yield project
    project.close()


def told(
    project: Project, what: list[str], meanwhile=None, frames: int = FRAMES
) -> list[tuple[float, float | None, float]]:
    """When a run said how much time is left, how much, and which part is done; the last one when it is over."""

    def go() -> list[tuple[float, float | None, float]]:
        run, rows = Propagation(project, what, range(frames), "both", 0), []
        over = False
        while not over:
            over = run.step()
            row = run.told()
            rows.append((project.clock.now, row["left"], row["fraction"]))
            if meanwhile is not None and len(rows) == 60:
                meanwhile()
        return rows

    return project.worker.call(go).result()


def check(rows: list[tuple[float, float | None, float]], least: int, after: float = 0.0) -> None:
    began, (end, _, _) = rows[0][0], rows[-1]
    shown = [(now, left, part) for now, left, part in rows[:-1] if left is not None and now > after]
    assert len(shown) >= least
    for now, left, part in shown:
        assert left == pytest.approx(end - now, rel=0.2, abs=2.0), (now, left, end - now)
        assert part == pytest.approx((now - began) / (end - began), abs=0.1)


def begin(project: Project, act: str, **arguments) -> None:
    project.worker.call(lambda: project.act(act, arguments)).result()


@pytest.mark.long  # more points; `test_it_is_known_at_once_where_a_run_was_before` holds it too
def test_the_time_left_is_honest_with_points_and_masks(project):
    begin(project, "objects.click", frame=0, points=[[10.0, 12.0]], labels=[1])
    for place in range(3):
        begin(project, "points.grid", frame=20 * place, size=6)
    check(told(project, ["points", "objects"]), 40)


def test_it_is_known_at_once_where_a_run_was_before(project):
    begin(project, "objects.click", frame=0, points=[[10.0, 12.0]], labels=[1])
    begin(project, "points.add", frame=0, xy=[[10.0, 12.0]])
    first = told(project, ["points", "objects"], frames=FRAMES // 4)
    assert first[2][1] is None, "no mask was made yet: nobody knows how long one takes"
    begin(project, "undo")
    begin(project, "points.grid", frame=30, size=8)
    begin(project, "objects.click", frame=0, points=[[68.0, 46.0]], labels=[1])
    rows = told(project, ["points", "objects"])
    assert rows[2][1] is not None
    check(rows, 40)


def test_a_point_between_two_corrections_is_followed_from_both_sides(project):
    begin(project, "points.add", frame=0, xy=[[10.0, 12.0]])
    begin(project, "points.correct", point=0, frame=FRAMES - 1, xy=[40.0, 30.0])
    check(told(project, ["points"]), 8)


def test_what_a_person_removes_does_not_count_as_done(project):
    begin(project, "objects.click", frame=0, points=[[10.0, 12.0]], labels=[1])
    begin(project, "objects.click", frame=40, points=[[50.0, 46.0]], labels=[1])  # a walk of its own
    rows = told(project, ["objects"], lambda: project.act("objects.remove", {"object": 2}))
    check(rows, 8, after=rows[62][0])


def test_the_bar_does_not_go_back_when_a_pace_becomes_known(project, monkeypatch):
    monkeypatch.setitem(progress.GUESS, "objects", MASK / 20)
    begin(project, "objects.click", frame=0, points=[[10.0, 12.0]], labels=[1])
    parts = [part for _, _, part in told(project, ["objects"])]
    assert parts == sorted(parts) and len(set(parts)) > 20
