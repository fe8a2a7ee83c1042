"""Sends events from any thread to all pages that show a project; drops pages that cannot keep up."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from typing import Any

MOST_WAITING = 400  # most events that a page may lag behind


class Hub:
    """Topics (ids of projects or other things) and their listeners."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._listeners: dict[str, set[asyncio.Queue[Any]]] = defaultdict(set)

    def listen(self, topic: str) -> asyncio.Queue[Any]:
        """A queue of events; None in it means that the listener was too slow. Call this in the server's loop."""
        self.loop = asyncio.get_running_loop()
        listener: asyncio.Queue[Any] = asyncio.Queue(maxsize=MOST_WAITING)
        self._listeners[topic].add(listener)
        return listener

    def leave(self, topic: str, listener: asyncio.Queue[Any]) -> None:
        """Send no more events to this listener."""
        self._listeners[topic].discard(listener)

    def count(self, topic: str) -> int:
        """Number of listeners."""
        return len(self._listeners[topic])

    def send(self, topic: str, event: Any) -> None:
        """Send an event to all listeners; works from any thread."""
        if self.loop is None or self.loop.is_closed():
            return
        with contextlib.suppress(RuntimeError):  # the loop was closed just now
            self.loop.call_soon_threadsafe(self._send, topic, event)

    def _send(self, topic: str, event: Any) -> None:
        for listener in list(self._listeners[topic]):
            try:
                listener.put_nowait(event)
            except asyncio.QueueFull:
                self._listeners[topic].discard(listener)
                while not listener.empty():
                    listener.get_nowait()
                listener.put_nowait(None)
