"""Colours that people name: green, #00ff00, 00ff00."""

from __future__ import annotations

import re

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
