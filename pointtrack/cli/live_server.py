"""A small web page that shows frames as they arrive: the page, the pictures as MJPEG, the state as JSON."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import MutableMapping
from typing import Any

import cv2
import numpy as np

from pointtrack.cli.extras import needs_extra
from pointtrack.web.safety import json_bytes
from pointtrack.web.server import HOW, Limits, WebServer

BOUNDARY = "frame"
PAGE = """<!doctype html>
<meta charset="utf-8"><title>pointtrack live</title>
<style>body{background:#16161a;color:#ddd;font:15px system-ui;margin:1.5em}img{max-width:100%}</style>
<img src="/stream.mjpg" alt="the newest frame">
<p id="state">waiting for frames</p>
<script>
// What a value is in words: states with their counts, cuts one after the other.
const say = (v) => v === null ? "not known" : Array.isArray(v) ? v.join(", ") || "none" :
  typeof v === "object" ? Object.entries(v).filter(([, n]) => n).map(([k, n]) => n + " " + k).join(", ") || "none" : v;
setInterval(async () => {
  const words = document.getElementById("state");
  try {
    const s = await (await fetch("/state")).json();
    words.textContent = Object.entries(s).filter(([k]) => k != "points" && k != "objects").map(([k, v]) => k + ": " + say(v)).join("  ·  ");
  } catch { words.textContent = "the command has ended"; }
}, 500);
</script>
"""


class LiveServer:
    """Serves `/`, `/stream.mjpg`, `/frame.jpg` and `/state` until closed. It encodes pictures only while there are viewers.

    Args:
        port: port to listen on; 0 takes a free one.
        host: whose requests to answer: by default only this machine's; "0.0.0.0" for the whole network, where requests need
            the token in the address that `url` shows.
        limits: resources that clients may use.

    Raises:
        OSError: the port is taken.
        ValueError: the extra `live` is not installed.

    Attributes:
        url: address of the page.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1", *, limits: Limits | None = None):
        self._lock = threading.Lock()
        self._frame: np.ndarray | None = None
        self._jpeg: bytes | None = None  # the newest frame, encoded on request
        self._version = 0
        self._state: dict[str, Any] = {}
        self._viewers: set[asyncio.Event] = set()
        self._closed = False
        with needs_extra():
            self._web = WebServer(self._app(), port, host, limits=limits)
        self.url = self._web.url

    def show(self, frame: np.ndarray) -> None:
        """Give viewers a new (h, w, 3) uint8 RGB frame."""
        with self._lock:
            self._frame, self._jpeg, self._version = frame, None, self._version + 1
        self._wake()

    def set_state(self, state: dict[str, Any]) -> None:
        """Set the answer of `/state`. Numbers that JSON does not have become null."""
        self._state = state

    def close(self) -> None:
        """Stop serving."""
        self._closed = True
        self._wake()
        self._web.close()

    def __enter__(self) -> LiveServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wake(self) -> None:
        def wake() -> None:
            for viewer in self._viewers:
                viewer.set()

        if not self._web.loop.is_closed():
            self._web.loop.call_soon_threadsafe(wake)

    def _app(self) -> Any:
        try:
            from starlette.applications import Starlette
            from starlette.responses import HTMLResponse, Response
            from starlette.routing import Route
        except ImportError as error:
            raise ImportError(HOW) from error
        fresh = {"Cache-Control": "no-store"}

        async def page(request: Any) -> Response:
            return HTMLResponse(PAGE, headers=fresh)

        async def state(request: Any) -> Response:
            return Response(json_bytes(self._state), media_type="application/json", headers=fresh)

        async def picture(request: Any) -> Response:
            if self._frame is None:
                return Response("no frame came yet\n", status_code=404, media_type="text/plain")
            jpeg = (await asyncio.to_thread(self._newest))[1]
            return Response(jpeg, media_type="image/jpeg", headers=fresh)

        return Starlette(
            routes=[
                Route("/", page),
                Route("/state", state),
                Route("/frame.jpg", picture),
                Route("/stream.mjpg", _Stream(self)),
            ]
        )

    def _newest(self) -> tuple[int, bytes]:
        """Number of the newest frame, and the frame as JPEG, encoded once for all viewers."""
        with self._lock:
            assert self._frame is not None
            if self._jpeg is None:
                coded = cv2.imencode(
                    ".jpg", cv2.cvtColor(self._frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85]
                )
                self._jpeg = coded[1].tobytes()
            return self._version, self._jpeg


class _Stream:
    """ASGI app that sends MJPEG until the viewer leaves or the server closes. Slow viewers skip to the newest frame."""

    def __init__(self, server: LiveServer):
        self._server = server

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        server, changed = self._server, asyncio.Event()
        kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}".encode()
        headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        leaves = asyncio.ensure_future(_gone(receive))
        leaves.add_done_callback(lambda _: changed.set())
        server._viewers.add(changed)
        seen = 0
        try:
            while not (server._closed or leaves.done()):
                changed.clear()
                if server._version == seen:
                    await changed.wait()
                    continue
                seen, jpeg = await asyncio.to_thread(server._newest)
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                body = head.encode() + jpeg + b"\r\n"
                await send({"type": "http.response.body", "body": body, "more_body": True})
            if not leaves.done():
                await send({"type": "http.response.body", "body": b""})
        finally:
            server._viewers.discard(changed)
            leaves.cancel()


async def _gone(receive: Any) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
