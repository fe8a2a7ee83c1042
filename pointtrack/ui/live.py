"""A camera or a stream on the page: frames with their points as they arrive, and points added by clicks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from starlette.websockets import WebSocket, WebSocketDisconnect

from pointtrack.io.live_reader import FrameReader
from pointtrack.pipeline.live import LiveResult, LiveTracker
from pointtrack.types import Queries

if TYPE_CHECKING:
    from pointtrack.ui.desk import Desk

logger = logging.getLogger(__name__)

SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "udp", "srt")
MOST_COMMANDS = 200  # most waiting commands from pages
MOST_POINTS = 400
QUIET_SECONDS = 20.0  # seconds without a viewer after which a source is released


class Live:
    """A source with its tracker, in a thread.

    Args:
        reader: the source.
        tracker: from `load_tracker`.
    """

    def __init__(self, reader: FrameReader, tracker: Any):
        self.reader = reader
        self.tracker = LiveTracker(tracker, Queries.none(), reader)
        self.version, self.watchers, self.looked_at = 0, 0, time.monotonic()
        self.newest: tuple[bytes, bytes] = (b"", b"")  # JSON and JPEG
        self.problem = ""
        self._commands: queue.Queue[dict[str, Any]] = queue.Queue(maxsize=MOST_COMMANDS)
        self._next_id = 0
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """True if no more frames will come."""
        return not self._thread.is_alive()

    def command(self, command: dict[str, Any]) -> None:
        """Queue a page's command: {"add": [x, y], "frame": n} or {"clear": true}. Drops excess ones."""
        with contextlib.suppress(queue.Full):
            self._commands.put_nowait(command)

    def close(self) -> None:
        """Release the source."""
        self.tracker.stop()
        self._thread.join(3.0)

    def _run(self) -> None:
        try:
            with self.tracker:
                while not self.tracker.over:
                    result = self.tracker.take(0.1)
                    if result is not None:
                        self._show(result)
                        self._obey(result)
                    if not self.watchers and time.monotonic() - self.looked_at > QUIET_SECONDS:
                        self.tracker.stop()
        except Exception as error:  # a source may run any code; report the error to the page
            logger.debug("live", exc_info=error)
            self.problem = str(error)

    def _show(self, result: LiveResult) -> None:
        row = result.tracks
        seen = (row.visibility[0] * row.confidence[0]).sqrt()
        points = [
            [int(point), round(float(x), 2), round(float(y), 2), round(float(sure), 3)]
            for point, (x, y), sure in zip(row.ids.tolist(), row.xy[0].tolist(), seen.tolist(), strict=True)
            if np.isfinite(x)
        ]
        head = {
            "frame": row.first_frame,
            "wh": list(row.wh),
            "aspect": float(self.reader.pixel_aspect),
            "points": points,
            "latency": round(1000 * result.latency),
            "dropped": result.dropped,
            "lag": result.lag,
            "state": self.tracker.state.value,
        }
        picture = cv2.cvtColor(result.frame, cv2.COLOR_RGB2BGR)
        jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tobytes()
        self.newest = (json.dumps(head).encode(), jpeg)
        self.version += 1

    def _obey(self, result: LiveResult) -> None:
        stream = self.tracker.stream
        assert stream is not None
        while not self._commands.empty():
            command = self._commands.get_nowait()
            try:
                if "add" in command and len(stream.queries) < MOST_POINTS:
                    frame = min(max(int(command["frame"]), stream.earliest_frame), result.tracks.first_frame)
                    place = torch.tensor([command["add"]], dtype=torch.float32)
                    stream.add(Queries(torch.tensor([frame]), place, torch.tensor([self._next_id])))
                    self._next_id += 1
                elif "clear" in command:
                    stream.remove([point for point in stream.queries.ids.tolist() if point >= 0])
            except (ValueError, TypeError, KeyError) as error:
                self.problem = str(error)


class Lives:
    """The live source of a server: one at a time.

    Args:
        desk: holds the models, and the folders that files may come from.
    """

    def __init__(self, desk: Desk):
        self.desk = desk
        self.current: Live | None = None

    def begin(self, content: dict[str, Any]) -> dict[str, Any]:
        """Open a source instead of the previous one.

        Raises:
            PermissionError: a file outside the folders. FileNotFoundError, ValueError: as `FrameReader`; or the tracker
                needs the whole video.
        """
        source: Any = str(content.get("source", "")).strip()
        if not source:
            raise ValueError("live: expected the number of a camera, a URL, or a file; got nothing")
        scheme = source.partition("://")[0].lower() if "://" in source else ""
        if source.isdecimal():
            source = int(source)
        elif scheme:
            if scheme not in SCHEMES:
                raise ValueError(f"live: expected a URL of {', '.join(SCHEMES)}, got {scheme}://")
        else:
            source = str(self.desk.folders.allowed(source))
        if self.current is not None:
            self.current.close()
            self.current = None
        tracker = self.desk.models.load_tracker()
        tracker.check_windows()  # before the source is opened, as nobody would close it
        reader = FrameReader(source)
        self.current = Live(reader, tracker)
        return {"name": reader.name, "fps": reader.fps}

    async def serve(self, socket: WebSocket) -> None:
        """Send frames to one page, each once it has shown the previous one; take its commands."""
        live = self.current
        if live is None:
            await socket.close(1008)
            return
        await socket.accept()
        live.watchers += 1
        seen, told = 0, ""
        try:
            while True:
                while live.version == seen and not live.over and live.problem == told:
                    await asyncio.sleep(0.01)
                if live.problem != told:
                    told = live.problem
                    await socket.send_json({"problem": told})
                if live.version == seen:
                    if live.over:
                        await socket.send_json({"over": True, "message": live.problem or live.reader.message})
                        break
                    continue
                seen = live.version
                head, jpeg = live.newest
                await asyncio.wait_for(socket.send_bytes(len(head).to_bytes(4, "little") + head + jpeg), 10)
                while (command := await asyncio.wait_for(socket.receive_json(), 60)) != {"next": True}:
                    if isinstance(command, dict):
                        live.command(command)
        except (WebSocketDisconnect, RuntimeError, asyncio.TimeoutError, ValueError, KeyError):
            pass
        finally:
            live.watchers -= 1
            live.looked_at = time.monotonic()
            with contextlib.suppress(RuntimeError):
                await socket.close()
