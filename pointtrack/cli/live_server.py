"""A small web server that shows frames as they come: a page, the pictures as MJPEG, the state as JSON."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np

BOUNDARY = "frame"
PAGE = """<!doctype html>
<meta charset="utf-8"><title>pointtrack live</title>
<style>body{background:#16161a;color:#ddd;font:15px system-ui;margin:1.5em}img{max-width:100%}</style>
<img src="/stream.mjpg" alt="the newest frame">
<p id="state">waiting for frames</p>
<script>
setInterval(async () => {
  const words = document.getElementById("state");
  try {
    const s = await (await fetch("/state")).json();
    words.textContent = Object.entries(s).filter(([k]) => k != "points").map(([k, v]) => k + ": " + v).join("  ·  ");
  } catch { words.textContent = "the command has ended"; }
}, 500);
</script>
"""


class LiveServer:
    """Serves `/`, `/stream.mjpg`, `/frame.jpg` and `/state` until it is closed; pictures are coded only for viewers.

    Args:
        port: to listen on; 0 takes a free one.
        host: whose requests are answered: this machine's own by default; "0.0.0.0" for those of the whole network.

    Raises:
        OSError: the port is taken.

    Attributes:
        url: of the page.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1"):
        self._changed = threading.Condition()
        self._frame: np.ndarray | None = None
        self._jpeg: bytes | None = None  # of that frame, once somebody asked
        self._version = 0
        self._state: dict[str, Any] = {}
        self._closed = False
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer((host, port), Handler)
        self._http.daemon_threads = True
        self.url = f"http://{host}:{self._http.server_address[1]}/"
        threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name="live server", daemon=True
        ).start()

    def show(self, frame: np.ndarray) -> None:
        """Give viewers a new (h, w, 3) uint8 RGB frame."""
        with self._changed:
            self._frame, self._jpeg, self._version = frame, None, self._version + 1
            self._changed.notify_all()

    def tell(self, state: dict[str, Any]) -> None:
        """What `/state` answers from now on: anything that is JSON."""
        self._state = state

    def close(self) -> None:
        """Stop serving."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._http.shutdown()
        self._http.server_close()

    def __enter__(self) -> LiveServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        try:
            if path == "/":
                _send(request, "text/html; charset=utf-8", PAGE.encode())
            elif path == "/state":
                _send(request, "application/json", json.dumps(self._state, allow_nan=False).encode())
            elif path == "/stream.mjpg":
                self._stream(request)
            elif path == "/frame.jpg" and self._frame is not None:
                _send(request, "image/jpeg", self._next_jpeg(-1)[1])
            else:
                request.send_error(404)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the viewer went away

    def _stream(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        request.send_header("Cache-Control", "no-store")
        request.end_headers()
        version = 0
        while True:
            version, jpeg = self._next_jpeg(version)
            if not jpeg:
                return
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            request.wfile.write(head.encode() + jpeg + b"\r\n")

    def _next_jpeg(self, seen: int) -> tuple[int, bytes]:
        """The newest frame once it is another than `seen`, and its number; no bytes when the server is closed."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or (self._frame is not None and self._version != seen)
            )
            if self._closed or self._frame is None:
                return seen, b""
            if self._jpeg is None:
                picture = cv2.cvtColor(self._frame, cv2.COLOR_RGB2BGR)
                self._jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
            return self._version, self._jpeg


def _send(request: BaseHTTPRequestHandler, kind: str, content: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(content)))
    request.send_header("Cache-Control", "no-store")
    request.end_headers()
    request.wfile.write(content)
