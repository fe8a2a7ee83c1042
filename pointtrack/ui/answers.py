"""Helpers for all answers of the server: headers, checked request bodies, errors in one line."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from pointtrack.io.atomic import atomic_path

log = logging.getLogger(__name__)

MOST_JSON = 8 * 2**20  # bytes of a body; enough for a painted mask of many pieces
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Headers:
    """Adds headers: a strict policy for what the page may load, and no caching."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                more = [(b"content-security-policy", CONTENT_POLICY.encode())]
                more += [] if b"cache-control" in names else [(b"cache-control", b"no-store")]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        await self.app(scope, receive, sending)


def told(endpoint: Callable[[Any, Request], Awaitable[Response]]) -> Any:
    """Wrap a method so that its errors become one line of JSON."""

    async def answer(self: Any, request: Request) -> Response:
        try:
            return await endpoint(self, request)
        except PermissionError as error:
            return mistake(403, error)
        except FileNotFoundError as error:
            return mistake(404, error)
        except (ValueError, OSError, ImportError) as error:
            return mistake(400, error)
        except (TypeError, OverflowError, IndexError) as error:  # values of types that the page never sends
            log.debug("request", exc_info=error)
            return mistake(400, ValueError(f"request: expected other values ({error})"))

    return answer


async def json_of(request: Request) -> dict[str, Any]:
    """The JSON object in a request's body; {} for an empty body. Raises ValueError for anything else."""
    content = b""
    try:
        async for piece in request.stream():
            content += piece
            if len(content) > MOST_JSON:
                raise ValueError(f"body: expected at most {MOST_JSON} bytes, got more")
        value = json.loads(content or b"{}")
    except (ClientDisconnect, RecursionError) as error:
        raise ValueError("body: expected JSON, got a part of it") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"body: expected JSON, got something else ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"body: expected a JSON object, got {type(value).__name__}")  # noqa: TRY004
    return value


def number_of(request: Request, name: str, default: int) -> int:
    """A whole number from the query of a request's address. Raises ValueError for anything else."""
    text = request.query_params.get(name, str(default))
    if not text.removeprefix("-").isdecimal() or len(text) > 12:
        raise ValueError(f"{name}: expected a whole number, got {text[:40]!r}")
    return int(text)


def whole(value: Any, name: str) -> int:
    """A whole number from a JSON body. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 10**12:
        raise ValueError(f"{name}: expected a whole number, got {str(value)[:40]}")
    return value


def mistake(code: int, error: Exception) -> Response:
    """The answer that tells of an error in one line."""
    return JSONResponse({"error": " ".join(str(error).split())}, status_code=code)


def zipped(folder: Path) -> Path:
    """The .zip of a folder that does not change any more, beside it; written when it is first asked for."""
    target = folder.with_name(f"{folder.name}.zip")
    if not target.exists():
        with atomic_path(target) as part:
            shutil.make_archive(str(part.with_suffix("")), "zip", folder)
    return target
