"""What commands print of how points fared: how many are visible, and their states."""

from __future__ import annotations

from collections import Counter

from pointtrack.checks import counted
from pointtrack.states.stream import StateOptions
from pointtrack.types import Tracks
from pointtrack.types.point_states import PointState


class StateTally:
    """Counts visible positions and states over consecutive pieces of tracks.

    Attributes:
        known, visible: number of positions, summed over frames and points, and of the visible ones among them.
        last: the same two numbers on the last frame.
        frames: state -> number of frames with it, summed over points.
        found: id of a point -> how often it was found again.
    """

    def __init__(self) -> None:
        self.known = self.visible = 0
        self.last = 0, 0
        self.frames: Counter[PointState] = Counter()
        self.found: dict[int, int] = {}

    def add(self, tracks: Tracks) -> None:
        """Count the positions of a piece, and its states, if it has any."""
        if len(tracks):
            known = tracks.tracked()
            visible = tracks.visible() & known
            self.known += int(known.sum())
            self.visible += int(visible.sum())
            self.last = int(known[-1].sum()), int(visible[-1].sum())
        if tracks.states is None or not tracks.states.state.numel():
            return
        counts = tracks.states.state.flatten().bincount(minlength=len(PointState)).tolist()
        self.frames.update({state: counts[state] for state in PointState})
        again = tracks.states.times_redetected.amax(dim=0).tolist()
        for point, times in zip(tracks.ids.tolist(), again, strict=True):
            if times:
                self.found[point] = max(times, self.found.get(point, 0))

    def print(self) -> None:
        """Print the shares of the states and how often points were found again; without states, how many are visible."""
        total = sum(self.frames.values())
        if total:
            shares = [f"{percent(self.frames[state], total)} {word(state)}" for state in PointState]
            print(f"states    {', '.join(shares)}; found again {counted(sum(self.found.values()), 'time')}")
        elif self.known:
            known, visible = self.last
            print(
                f"visible   {percent(self.visible, self.known)} of all positions; on the last frame {visible} of "
                f"{counted(known, 'point')}"
            )


def percent(part: int, total: int) -> str:
    """A share in words.

    >>> percent(1, 3)
    '33 %'
    """
    return f"{100 * part / total:.0f} %"


def word(state: PointState) -> str:
    """A state in small letters, such as "out of frame"."""
    return state.name.lower().replace("_", " ")


def state_options(states: bool, redetect: bool) -> StateOptions | None:
    """The `StateOptions` for --states and --redetect of a command; None for no states."""
    return StateOptions(redetect=redetect) if states or redetect else None
