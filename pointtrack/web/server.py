"""Serves an ASGI app with uvicorn in a separate thread, with limits that a careless or hostile client cannot evade."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

from pointtrack.web.safety import COOKIE, LARGEST_BODY, SafetyMiddleware, is_loopback, token_for

BACKLOG = 128
"""Connections that may wait to be taken. asyncio takes as many at once before it looks at one of them, and uvicorn's 2,048
are more file handles than many systems give a process."""

HOW = "the web server needs starlette and uvicorn: pip install 'pointtrack[live]'"


@dataclass(frozen=True)
class Limits:
    """Limits on what clients may use.

    Attributes:
        connections: most open connections of all clients together; more are closed at once. This keeps file handles
            for the process that tracks.
        seconds: time for a client to send the head of its request, to send each next piece of its body, and to take
            an answer.
        idle_seconds: time that an open connection may wait for its next request.
        head_bytes: most bytes of a request's head.
        body_bytes: most bytes of its body.
    """

    connections: int = 64
    seconds: float = 10.0
    idle_seconds: float = 5.0
    head_bytes: int = 16 << 10
    body_bytes: int = LARGEST_BODY


class WebServer:
    """Serves an app until it is closed.

    Args:
        app: Starlette, or any other ASGI app; `SafetyMiddleware` is put around it.
        port: port to listen on; 0 takes a free one.
        host: whose requests to answer: by default this machine's own; "0.0.0.0" for those of the whole network, which
            then need a token.
        limits: limits on what clients may use.
        token: token that requests must carry even on loopback; by default none is needed there.

    Raises:
        ImportError: the extra `live` is not installed.
        OSError: the port is taken, or the address does not exist.

    Attributes:
        url: address of the first page, with the token if there is one.
        token: what requests must carry; None if they need no token.
        loop: the asyncio loop, for `call_soon_threadsafe`.
    """

    def __init__(
        self,
        app: Any,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        limits: Limits | None = None,
        token: str | None = None,
    ):
        uvicorn, protocol = _uvicorn()
        limits = limits or Limits()
        self.token = token or token_for(host)
        self._socket = _listening(host, port)
        number = self._socket.getsockname()[1]
        shown = "localhost" if not is_loopback(host) and host in ("", "0.0.0.0", "::") else host
        self.host, self.port = host, number
        self.url = f"http://{f'[{shown}]' if ':' in shown else shown}:{number}/"
        if self.token is not None:
            self.url += f"?token={self.token}"
        guarded = SafetyMiddleware(
            app,
            token=self.token,
            largest_body=limits.body_bytes,
            loopback=is_loopback(host),
            cookie=f"{COOKIE}_{number}",
        )
        config = uvicorn.Config(
            guarded,
            http=protocol(limits),
            ws="auto",
            ws_max_size=limits.body_bytes,
            lifespan="off",
            backlog=BACKLOG,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=max(int(limits.idle_seconds), 1),
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=limits.head_bytes,
        )
        self._server = uvicorn.Server(config)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="web server", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._server.serve(sockets=[self._socket]))
        finally:
            self.loop.close()

    def close(self) -> None:
        """Stop serving, and close open connections."""
        self._server.should_exit = True
        self._thread.join(timeout=5.0)
        self._socket.close()

    def __enter__(self) -> WebServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _listening(host: str, port: int) -> socket.socket:
    """A listening socket; an error names the address."""
    if not 0 <= port <= 65535:
        raise ValueError(f"port: expected one of 0..65535, got {port}")
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, number)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(
            f"port {port} on {host}: expected a free one to serve on, but {reason}".lower()
        ) from error
    return listening


def _uvicorn() -> tuple[Any, Any]:
    """The library, and a function that makes the protocol class for some limits."""
    try:
        import uvicorn
        from uvicorn.protocols.http.h11_impl import H11Protocol
    except ImportError as error:
        raise ImportError(HOW) from error
    # A client's mistake does not concern the user.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

    def limited(limits: Limits) -> type:
        class LimitedProtocol(H11Protocol):
            """Closes connections beyond the limit, and those whose client takes too long.

            uvicorn alone waits for ever for the second half of a request.
            """

            _timer: asyncio.TimerHandle | None = None
            _write_timer: asyncio.TimerHandle | None = None

            def connection_made(self, transport: Any) -> None:
                crowded = len(self.connections) >= limits.connections
                super().connection_made(transport)
                if crowded:
                    transport.abort()
                    return
                self._watch()

            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                if self._owes() is None:
                    self._unwatch()
                elif self._timer is None or self._owes() == "body":
                    self._watch()

            def pause_writing(self) -> None:
                super().pause_writing()
                self._write_timer = self.loop.call_later(limits.seconds, self.transport.abort)

            def resume_writing(self) -> None:
                super().resume_writing()
                if self._write_timer is not None:
                    self._write_timer.cancel()

            def connection_lost(self, exc: Exception | None) -> None:
                self._unwatch()
                if self._write_timer is not None:
                    self._write_timer.cancel()
                super().connection_lost(exc)

            def _owes(self) -> str | None:
                """The part of a request that the client still has to send, or None."""
                if self.cycle is None or self.cycle.response_complete:
                    return "head"
                return "body" if self.cycle.more_body else None

            def _watch(self) -> None:
                self._unwatch()
                self._timer = self.loop.call_later(limits.seconds, self._too_slow)

            def _unwatch(self) -> None:
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None

            def _too_slow(self) -> None:
                self._timer = None
                if self.transport.get_protocol() is self and self._owes() is not None:
                    self.transport.abort()

        return LimitedProtocol

    return uvicorn, limited
