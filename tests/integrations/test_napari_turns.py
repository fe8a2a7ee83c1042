"""One job at a time in the plug-in for napari: what waits has its turn, also after a job that failed. Needs no napari."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "integrations" / "napari"
if str(FOLDER) not in sys.path:
    sys.path.insert(0, str(FOLDER))


class Threads:
    """Threads that end when the test says so."""

    def __init__(self):
        self.running = []

    def start(self, work, returned, errored):
        self.running.append((work, returned, errored))

    def end(self):
        work, returned, errored = self.running.pop(0)
        try:
            result = work()
        except ValueError as error:
            errored(error)
        else:
            returned(result)


@pytest.fixture
def threads():
    return Threads()


@pytest.fixture
def events():
    return []


@pytest.fixture
def turns(threads, events):
    from pointtrack_napari.turns import Turns

    return Turns(
        threads.start,
        begun=lambda: events.append("begun"),
        failed=lambda error: events.append(f"failed: {error}"),
        ended=lambda: events.append("ended"),
    )


def fails():
    raise ValueError("no memory")


@pytest.mark.parametrize(("first", "shown"), [(lambda: "a", "a"), (fails, "failed: no memory")])
def test_what_waits_has_its_turn_however_the_one_before_ended(turns, threads, events, first, shown):
    turns.run(first, events.append)
    turns.run(lambda: "b", events.append)
    turns.run(lambda: "c", events.append)
    assert turns.busy and len(threads.running) == 1
    for _ in range(3):
        threads.end()
    assert events == ["begun", shown, "ended", "begun", "b", "ended", "begun", "c", "ended"]
    assert not turns.busy and not threads.running


def test_a_result_that_cannot_be_shown_stops_nothing(turns, threads, events):
    turns.run(lambda: "a", lambda result: fails())
    turns.run(lambda: "b", events.append)
    with pytest.raises(ValueError, match="no memory"):
        threads.end()
    threads.end()
    assert events == ["begun", "ended", "begun", "b", "ended"] and not turns.busy
