"""`pointtrack track --session` and `--correct`: points that a file keeps, and positions that a person sets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pointtrack.checks import counted
from pointtrack.cli.progress import Bar
from pointtrack.cli.session_files import check_session_file, kept_if_stopped
from pointtrack.io.same_run import NONE
from pointtrack.io.storage import exists
from pointtrack.models.point_tracker import PointTracker
from pointtrack.sessions.moments import frames_to_track, points_now
from pointtrack.sessions.track_session import TrackSession
from pointtrack.types import Queries, Tracks, Video

if TYPE_CHECKING:
    from pointtrack.cli.track import TrackCommand

CORRECTION = "a correction frame,x,y of point 0, or point:frame,x,y"


@dataclass(frozen=True)
class Correction:
    """Where a person says that a point is on a frame, in pixels."""

    point: int
    frame: int
    xy: tuple[float, float]


def parse_corrections(texts: Sequence[str]) -> list[Correction]:
    """Texts as the command takes them -> corrections. Raises ValueError for another form.

    >>> parse_corrections(["3:20,131,90.5"])
    [Correction(point=3, frame=20, xy=(131.0, 90.5))]
    """
    corrections = []
    for text in texts:
        number, colon, rest = text.rpartition(":")
        try:
            frame, x, y = rest.split(",")
            point = int(number) if colon else 0
            corrections.append(Correction(point, int(frame), (float(x), float(y))))
        except ValueError:
            raise ValueError(f"correct: expected {CORRECTION}, got {text!r}") from None
    return corrections


def check_session_options(command: TrackCommand, outputs: Sequence[Path]) -> None:
    """Raise ValueError for options that do not go with a session, and for a session file that cannot be written."""
    given = "session" if command.session is not None else "correct"
    others = {
        "states": command.states,
        "redetect": command.redetect,
        "regions": command.regions is not None,
        "every": command.every != 1,
        "no-backward": not command.backward,
        "flat": command.flat,
        "resume": command.resume,
    }
    if wrong := [name for name, is_given in others.items() if is_given]:
        raise ValueError(
            f"{given}: expected plain tracking of the whole video in memory, which corrections join, got --{wrong[0]} too; "
            f"leave out one of --{given} and --{wrong[0]}"
        )
    if command.session is not None:
        check_session_file(command.session, outputs)


def track_in_session(
    tracker: PointTracker,
    video: Video,
    queries: Queries | None,
    corrections: Sequence[Correction],
    path: str | None,
    track: Callable[[Queries], Tracks],
) -> Tracks:
    """Add points to a session, correct them, and track what is not known yet.

    Args:
        tracker: from `load_tracker`.
        video: the frames.
        queries: points to add, unless the session has them already; None for none.
        corrections: positions that a person sets.
        path: file that keeps the session, which goes on if it exists; None keeps it nowhere.
        track: tracks the new points through the whole video.

    Returns:
        The tracks of all points of the session.

    Raises:
        ValueError: a correction is of an unknown point, or outside the video; the file is no session of this video. Nothing
            was tracked then.
    """
    session = TrackSession(video, tracker)
    if path is not None and exists(path):
        session.load(path)
    queries = None if queries is None else _new_ones(queries, session)
    corrections = [one for one in corrections if not _is_set(session, one)]
    trial = points_now(session)
    if queries is not None:
        trial.add(queries, follow=False)
    for one in corrections:
        trial.correct(one.point, one.frame, one.xy)
    if queries is not None:
        with kept_if_stopped(path, trial):
            tracks = track(queries)
        session.adopt(tracks)
    for one in corrections:
        session.correct(one.point, one.frame, one.xy)
    with kept_if_stopped(path, session):
        _follow(session)
    if path is not None:
        print(f"session   {session.save(path)}")
    return session.known()


def corrections_text(tracks: Tracks) -> str:
    """The positions that a person set, besides the queries, as a text that differs if they do."""
    frames = torch.arange(len(tracks))[:, None] + tracks.first_frame
    places = (tracks.corrected() & (frames != tracks.queries.frame)).nonzero().tolist()
    if not places:
        return NONE
    fixed = [
        f"{int(tracks.ids[column])}:{row + tracks.first_frame},{x:g},{y:g}"
        for row, column in places
        for x, y in [tracks.xy[row, column].tolist()]
    ]
    return " ".join(fixed)


def _new_ones(queries: Queries, session: TrackSession) -> Queries | None:
    """The queries that are not in the session, so that a command may be repeated; None if all are."""
    there = session.known(0, 1).queries
    rows = torch.cat([there.frame[:, None], there.xy], 1).tolist()
    new = torch.tensor(
        [row not in rows for row in torch.cat([queries.frame[:, None], queries.xy], 1).tolist()]
    )
    return queries.select(new) if bool(new.any()) else None


def _is_set(session: TrackSession, one: Correction) -> bool:
    """Whether a session has a correction already, so that repeating a command tracks nothing anew."""
    if one.frame not in session.points.get(one.point, ()) or one.frame >= len(session.video):
        return False
    row = session.known(one.frame, one.frame + 1)
    return bool((row.xy[0, row.ids == one.point] == torch.tensor(one.xy)).all())


def _follow(session: TrackSession) -> None:
    """Track what is not known yet, and print how much that was."""
    video, began = session.video, time.perf_counter()
    left = frames_to_track(session, range(len(video)), "both")
    if left:
        with Bar(left, "following") as bar:
            session.propagate(progress=lambda new: bar.update(len(new)))
        seconds = time.perf_counter() - began
        print(f"followed  {counted(left, 'frame')} that were not known yet in {seconds:.1f} s")
    fixed = sum(len(frames) - 1 for frames in session.points.values())
    print(f"points    {len(session.points)}, with {counted(fixed, 'correction')}")
