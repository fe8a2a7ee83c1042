"""The results of a check: each `Finding` is one sentence that says expected, got and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """Something wrong with a clip.

    Args:
        code: short name of the kind of mistake.
        text: expected, got, and what to do.
        level: "error" if you must fix it before you use the clip, "warning" if you should look at it.
    """

    code: str
    text: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.level} [{self.code}] {self.text}"


def warning(code: str, text: str) -> Finding:
    """A finding that is not an error."""
    return Finding(code, text, "warning")
