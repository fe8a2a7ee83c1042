"""The clips that come with pointtrack."""

from __future__ import annotations

from pathlib import Path

from pointtrack.io.video import read_video
from pointtrack.types import Video

ASSETS = Path(__file__).parents[1] / "assets"
CLIPS = {"hard": "clip.mp4"}


def example_video(name: str = "hard") -> Video:
    """A short clip that comes with pointtrack, made by ourselves; exact tracks of some points lie beside it.

    Args:
        name: "hard": small, blurred, with things that turn and hide.

    Raises:
        ValueError: another name.
    """
    return read_video(example_path(name))


def example_path(name: str) -> Path:
    """The file of a clip. Errors as `example_video`."""
    if name not in CLIPS:
        raise ValueError(f"example: expected one of {', '.join(CLIPS)}, got {name!r}")
    return ASSETS / CLIPS[name]
