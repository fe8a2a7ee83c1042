"""The files that keep sessions from one run of a command to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pointtrack.io.outputs import check_outputs
from pointtrack.io.storage import exists, local_path
from pointtrack.sessions.object_session import ObjectSession
from pointtrack.sessions.track_session import TrackSession
from pointtrack.ui.store import JOURNAL, SNAPSHOT


def session_file(path: str | None) -> str | None:
    """The file that keeps a session: the path itself if it exists or ends in .npz, otherwise with that suffix."""
    if path is None or path.lower().endswith(".npz") or exists(path):
        return path
    return f"{path}.npz"


def check_session_file(path: str, outputs: Sequence[Path]) -> None:
    """Make sure that a command can write a session.

    Raises:
        ValueError: it is one of the `outputs`, belongs to the page's own state, or cannot be written.
    """
    if Path(path).resolve() in {output.resolve() for output in outputs}:
        raise ValueError(
            f"session: expected a file of its own, got {path}, to which the results go; choose another name"
        )
    if (kept := local_path(path)) is None:
        return
    if all(Path(kept).with_name(name).is_file() for name in (JOURNAL, SNAPSHOT)):
        raise ValueError(
            f"session: expected a file that may be changed, but {path} is what the page opens again; export session files "
            "from the page, or copy it elsewhere"
        )
    check_outputs([], [kept])


@contextmanager
def kept_if_stopped(
    path: str | None, session: ObjectSession | TrackSession, holds: Callable[[], bool] = lambda: True
) -> Iterator[None]:
    """Save a session if Ctrl-C stops the work in this block, and say so in the line about the stop.

    Args:
        path: the file that keeps the session; None keeps nothing.
        session: the session.
        holds: whether there is something in it by then.
    """
    try:
        yield
    except KeyboardInterrupt:
        if path is None or not holds():
            raise
        raise KeyboardInterrupt(
            f"{session.save(path)} keeps what was entered and what is known so far; the same command goes on"
        ) from None
