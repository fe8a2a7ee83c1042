"""Extras of the package that a command needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs_extra() -> Iterator[None]:
    """Raise ValueError, a user's mistake, where the block raises ImportError: its message says what to install."""
    try:
        yield
    except ImportError as error:
        raise ValueError(str(error)) from error
