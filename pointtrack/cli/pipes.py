"""A program whose output is read only in part: `pointtrack track --help | head`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """End quietly where the reader of the output, such as `head`, has enough; Python would complain at its end."""
    try:
        yield
        sys.stdout.flush()  # what is still in the buffer would be written, and fail, after the last line of ours
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
