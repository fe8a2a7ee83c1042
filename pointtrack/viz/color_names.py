"""Colours that people name, as green or 00ff00, and choose for single points and objects."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Color = tuple[int, int, int]


def named_color(text: str) -> Color | None:
    """(red, green, blue) in 0..255 of a colour's name in HTML, or of its 6 (or 3) hexadecimal digits; None for others.

    >>> named_color("red"), named_color("#00ff80"), named_color("fff"), named_color("blur")
    ((255, 0, 0), (0, 255, 128), (255, 255, 255), None)
    """
    from PIL import ImageColor  # imported here because most commands name no colour

    text = text.strip().lower()
    if re.fullmatch("[0-9a-f]{6}|[0-9a-f]{3}", text):
        text = f"#{text}"  # a bare # begins a comment in shells and in YAML
    if not re.fullmatch("#([0-9a-f]{6}|[0-9a-f]{3})|[a-z]+", text):
        return None
    try:
        return ImageColor.getrgb(text)[:3]
    except ValueError:
        return None


@dataclass(frozen=True)
class ChosenColors:
    """Colours that a person chose for single points or objects.

    Args:
        rules: first and last number, and the colour of all from the one to the other; None leaves them out. Of several
            rules for a number the last one counts.
    """

    rules: tuple[tuple[int, int, Color | None], ...] = ()

    @classmethod
    def parse(cls, text: str | None) -> ChosenColors:
        """Read "3:red,5-9:00ff00,7:none". Raises ValueError for another text.

        >>> ChosenColors.parse("3:red,5-9:none").rules
        ((3, 3, (255, 0, 0)), (5, 9, None))
        """
        return _parsed(text)

    def of(self, number: int) -> Color | str | None:
        """The colour of a number; None if it is left out, "" if it has none of its own."""
        found = [color for first, last, color in self.rules if first <= number <= last]
        return found[-1] if found else ""

    def shown(self, ids: Sequence[int]) -> np.ndarray:
        """(n,) bool: which of the numbers are not left out."""
        return np.array([self.of(number) is not None for number in ids], bool)

    def over(self, colors: np.ndarray, ids: Sequence[int]) -> np.ndarray:
        """(n, 3) uint8 colours with those that were chosen in their places, as a new array."""
        colors = colors.copy()
        for place, number in enumerate(ids):
            if color := self.of(number):
                colors[place] = color
        return colors


@lru_cache(maxsize=16)
def _parsed(text: str | None) -> ChosenColors:
    rules: list[tuple[int, int, Color | None]] = []
    for part in (text or "").split(","):
        numbers, colon, name = part.strip().partition(":")
        if text is None:
            continue
        first, dash, last = numbers.partition("-")
        last = last if dash else first
        color = named_color(name)
        known = color is not None or name.strip().lower() == "none"
        if not (colon and first.isdecimal() and last.isdecimal() and int(first) <= int(last) and known):
            raise ValueError(
                f"colors: expected numbers with colours (red, 00ff00, none), as in 3:red,5-9:00ff00, got {part.strip()!r}"
            )
        rules.append((int(first), int(last), color))
    return ChosenColors(tuple(rules))


def told_colors(colors: Mapping[int, str]) -> str:
    """Numbers with the names of their colours, as a text that `ChosenColors.parse` reads.

    >>> told_colors({4: "ff0000", 2: "none", 3: "ff0000", 9: "ff0000"})
    '2:none,3-4:ff0000,9:ff0000'
    """
    runs: list[tuple[int, int, str]] = []
    for number, color in sorted(colors.items()):
        if runs and runs[-1][1:] == (number - 1, color):
            runs[-1] = runs[-1][0], number, color
        else:
            runs.append((number, number, color))
    return ",".join(
        f"{first}:{color}" if first == last else f"{first}-{last}:{color}" for first, last, color in runs
    )
