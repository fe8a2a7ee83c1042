"""How much time a run still takes, by the measured seconds of each kind of step."""

from __future__ import annotations

from collections.abc import Mapping

FEW = 8  # steps of a kind from which its pace counts as measured
# Steps after which earlier ones count half: a run's first steps are slow, and so are some frames.
RECENT = 100
GUESS = {"points": 0.05, "objects": 0.3}  # seconds per step, for the bar until there is a measure


class Pace:
    """Seconds per step of each kind, as measured in the runs of a project, the latest above all."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._steps: dict[str, float] = {}

    def add(self, kind: str, seconds: float, steps: int) -> None:
        """Some steps took some time."""
        self._seconds[kind] = self._seconds.get(kind, 0.0) + seconds
        self._steps[kind] = self._steps.get(kind, 0.0) + steps
        if self._steps[kind] > RECENT:
            self._seconds[kind] /= 2
            self._steps[kind] /= 2

    def known(self, kind: str) -> bool:
        """Whether it was measured."""
        return self._steps.get(kind, 0.0) >= FEW

    def of(self, kind: str) -> float:
        """Seconds per step; a guess where it was not measured."""
        return self._seconds[kind] / self._steps[kind] if self.known(kind) else GUESS[kind]


class Progress:
    """The steps of a run that are done and to do.

    Args:
        pace: of the project; the run adds what it measures.
        left: kind -> steps to do.
    """

    def __init__(self, pace: Pace, left: Mapping[str, int]):
        self._pace, self.left = pace, dict(left)
        self._done = dict.fromkeys(left, 0)
        self._open: dict[str, float] = {}  # seconds by kind since the last look
        self.fraction = 0.0

    def spend(self, kind: str, seconds: float) -> None:
        """The run worked on steps of a kind."""
        self._open[kind] = self._open.get(kind, 0.0) + seconds

    def look(self, left: Mapping[str, int], measures: bool = True) -> None:
        """See how many steps are left.

        Args:
            left: kind -> steps to do.
            measures: False where a person changed something since the last look, so that steps came and went undone.
        """
        for kind, before in self.left.items():
            done = before - left.get(kind, 0)
            if measures and done > 0:
                self._done[kind] = self._done.get(kind, 0) + done
                self._pace.add(kind, self._open.pop(kind, 0.0), done)
        if not measures:
            self._open = {}
        self.left = dict(left)
        behind, ahead = self._seconds(self._done), self._seconds(self.left)
        self.fraction = behind / (behind + ahead) if behind else 0.0

    def seconds_left(self) -> float | None:
        """Seconds that the run still takes; None while some kind of step that it needs was never measured."""
        if not all(self._pace.known(kind) for kind, count in self.left.items() if count):
            return None
        # Time since the last look is gone already.
        return max(self._seconds(self.left) - sum(self._open.values()), 0.0)

    def _seconds(self, steps: Mapping[str, int]) -> float:
        return sum(count * self._pace.of(kind) for kind, count in steps.items() if count)
