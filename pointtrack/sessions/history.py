"""The states of a session in order, with undo and redo. A state never changes; an action makes a new one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from pointtrack.checks import counted

State = TypeVar("State")


class History(Generic[State]):
    """All states that undo and redo can reach.

    Args:
        states: at least one, in the order of their creation.
        now: position of the current one; the last one if not given.

    Raises:
        ValueError: there is no state, or none at that position.

    >>> history = History([()])
    >>> history.do(("a point",))
    >>> history.undo(), history.state, history.redo(), history.state
    (True, (), True, ('a point',))
    """

    def __init__(self, states: Sequence[State], now: int | None = None):
        now = len(states) - 1 if now is None else now
        if not 0 <= now < len(states):
            raise ValueError(f"history: expected a position among {len(states)} states, got {now}")
        self.states, self.now = list(states), now

    @property
    def state(self) -> State:
        """The current state."""
        return self.states[self.now]

    def nearest_first(self) -> list[State]:
        """All states: the current one, then those that one step of undo or redo leads to, and so on."""
        order = sorted(range(len(self.states)), key=lambda place: abs(place - self.now))
        return [self.states[place] for place in order]

    def do(self, state: State) -> None:
        """Add a new state after the current one; drop the undone ones."""
        self.states = [*self.states[: self.now + 1], state]
        self.now += 1

    def mark(self) -> tuple[list[State], int]:
        """The whole history, for `back_to`."""
        return list(self.states), self.now

    def back_to(self, mark: tuple[list[State], int]) -> None:
        """Restore the history as it was at `mark`: drops what was done since, and redo reaches what it did then."""
        self.states, self.now = list(mark[0]), mark[1]

    def undo(self) -> bool:
        """Go back by one state; False if there is none before."""
        moved = self.now > 0
        self.now -= moved
        return moved

    def redo(self) -> bool:
        """Go forward by one state; False if nothing was undone."""
        moved = self.now < len(self.states) - 1
        self.now += moved
        return moved


def repr_with(things: str) -> Callable[[Any], str]:
    """The `__repr__` of a session whose property `things`, a plural, holds what was entered."""

    def describe(session: Any) -> str:
        """How many things there are, and in what video."""
        held, video = len(getattr(session, things)), session.video
        size = f"{counted(len(video), 'frame')} of {video.wh[0]} x {video.wh[1]}"
        return f"{type(session).__name__}({counted(held, things[:-1])}, {size})"

    return describe
