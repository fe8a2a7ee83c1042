"""Sessions as they are at a moment: a copy that later acts and runs do not change, with the names that a person gave."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

from pointtrack.sessions.history import History
from pointtrack.sessions.keyframes import SessionObject
from pointtrack.sessions.mask_store import Results
from pointtrack.sessions.object_session import ObjectSession
from pointtrack.sessions.schedule import Direction, Schedule
from pointtrack.sessions.track_session import TrackSession, wanted_of


def objects_now(session: ObjectSession, names: Mapping[int, str] | None = None) -> ObjectSession:
    """A session of the same objects, prompts and masks; models and video are shared, and walks under way start over.

    Args:
        session: the session, which can go on meanwhile.
        names: object id -> another name, at every step of the history.
    """
    names = names or {}
    known: dict[int, SessionObject] = {}  # states share the objects that did not change; their copies do too

    def named(one: SessionObject) -> SessionObject:
        if names.get(one.id, one.name) == one.name:
            return one
        return known.setdefault(id(one), replace(one, name=names[one.id]))

    history, schedule = session._history, session._schedule
    moment = copy.copy(session)
    moment._history = History([tuple(map(named, state)) for state in history.states], history.now)
    results = Results({side: list(rows) for side, rows in schedule.results.sides.items()})
    moment._schedule = Schedule(session.video, session.engine, results)
    moment._cuts = None if session._cuts is None else list(session._cuts)
    return moment


def points_now(session: TrackSession, names: Mapping[int, str] | None = None) -> TrackSession:
    """A session of the same points, corrections and tracks; see `objects_now`.

    Args:
        session: the session, which can go on meanwhile.
        names: point id -> another name.
    """
    moment = copy.copy(session)
    moment._history = History(session._history.states, session._history.now)
    moment._groups, moment._parts = dict(session._groups), dict(session._parts)
    moment._names = session._names | dict(names or {})
    moment._walks = [
        replace(walk, rows=list(walk.rows), before=list(walk.before), steps=None) for walk in session._walks
    ]
    return moment


def frames_to_track(session: TrackSession, frames: range, direction: Direction) -> int:
    """The frames that `session.propagate` would track, summed over its walks. Points that were added together share one."""
    walks = points_now(session)._wanted_walks(frames, direction)  # a copy, as this begins walks
    return sum(max(wanted_of(walk, frames) - walk.done, 0) for walk in walks)
