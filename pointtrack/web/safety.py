"""Access checks for the servers of this package: the right host name, the token, the same site; small bodies only.

Every page in the browser can reach a server on this machine's own address. A page of another site may send requests
to it or, with a name that suddenly points to 127.0.0.1 (DNS rebinding), read the answers. `SafetyMiddleware` around
each app prevents this: it answers loopback names only, refuses requests from other sites, and requires a token on
other addresses.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import math
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

COOKIE = "pointtrack_token"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
LARGEST_BODY = 1 << 20
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)


def is_loopback(host: str) -> bool:
    """Whether no other machine can reach an address to listen on.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("")
    (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """A secret that nobody can guess, for addresses that other machines can reach."""
    return secrets.token_urlsafe(24)


def token_for(host: str) -> str | None:
    """The token that a server on an address needs: None on loopback, a new one elsewhere."""
    return None if is_loopback(host) else new_token()


def json_ready(value: Any) -> Any:
    """A copy with None for numbers that JSON does not have (NaN, infinity).

    >>> json_ready({"x": [1.0, float("nan")]})
    {'x': [1.0, None]}
    """
    if isinstance(value, dict):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_bytes(value: Any) -> bytes:
    """JSON of any value; numbers that are not finite become null."""
    return json.dumps(json_ready(value), allow_nan=False).encode()


class SafetyMiddleware:
    """Passes only permitted requests on to an ASGI app.

    Args:
        app: Starlette, or any other ASGI app; http and websocket.
        token: if given, every request must carry it: in a cookie, as `Authorization: Bearer`, or as ?token=, with
            which a person enters. The answer to a browser then sets the cookie and redirects to the same address
            without the token.
            None: no token is needed, which is safe only with `loopback`.
        largest_body: most bytes of a request's body; a larger one gets 413.
        loopback: requests must name the server by a loopback name.
        cookie: name of the cookie. Cookies ignore ports, so two servers on one machine need two names.

    Refused requests get one line of text: 403 (host, site), 401 (token), 413 (body).
    """

    def __init__(
        self,
        app: Any,
        *,
        token: str | None,
        largest_body: int,
        loopback: bool,
        cookie: str,
    ):
        self.app, self.token, self.largest_body = app, token, largest_body
        self.loopback, self.cookie = loopback, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        refused = self._refused(scope, headers)
        if refused is not None:
            await _answer(scope, receive, send, *refused)
            return
        if self.token is not None and self._comes_in(scope, headers):
            await self._enter(scope, send)
            return
        await self.app(scope, _limited(receive, self.largest_body), _with_headers(send))

    def _refused(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if self.loopback and _name_of(host) not in LOOPBACK_NAMES:
            return 403, f"host: expected {' or '.join(LOOPBACK_NAMES)}, got {host[:80]!r}"
        origin = headers.get("origin")
        if origin is not None and _authority(origin) != host.lower():
            return 403, "origin: expected a request of this server's own page"
        reads = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if headers.get("sec-fetch-site") == "cross-site" and not (
            reads and headers.get("sec-fetch-mode") == "navigate"
        ):
            return 403, "site: expected a request of this server's own page"
        if self.token is not None and not self._has_token(scope, headers):
            return 401, "token: expected the address that the command printed, with ?token= behind it"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > self.largest_body:
            return 413, f"body: expected at most {self.largest_body} bytes, got {length[:20]}"
        return None

    def _has_token(self, scope: Scope, headers: dict[str, str]) -> bool:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            cookies = SimpleCookie()
        given = [headers.get("authorization", "").removeprefix("Bearer ")]
        given += [cookies[self.cookie].value] if self.cookie in cookies else []
        given += [value for name, value in _query(scope) if name == "token"]
        return any(hmac.compare_digest(text.encode(), str(self.token).encode()) for text in given)

    def _comes_in(self, scope: Scope, headers: dict[str, str]) -> bool:
        browses = (
            scope["type"] == "http" and scope["method"] == "GET" and "text/html" in headers.get("accept", "")
        )
        return browses and any(name == "token" for name, _ in _query(scope))

    async def _enter(self, scope: Scope, send: Send) -> None:
        """Set the cookie, and redirect to the address without the token, which must not stay in histories."""
        rest = urlencode([(name, value) for name, value in _query(scope) if name != "token"])
        # One leading slash: two would name another server.
        place = "/" + scope["path"].lstrip("/\\") + (f"?{rest}" if rest else "")
        cookie = f"{self.cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/"
        headers = [(b"location", place.encode("utf-8", "ignore")), (b"set-cookie", cookie.encode())]
        await send({"type": "http.response.start", "status": 303, "headers": [*headers, *HEADERS]})
        await send({"type": "http.response.body", "body": b""})


def _query(scope: Scope) -> list[tuple[str, str]]:
    try:
        return parse_qsl(scope.get("query_string", b"").decode("latin-1"), max_num_fields=100)
    except ValueError:
        return []


def _name_of(host: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _authority(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _limited(receive: Receive, most: int) -> Receive:
    """Count bodies without a length as they arrive; cut off too long a one as if the client had left."""
    seen = 0

    async def counted() -> MutableMapping[str, Any]:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        return {"type": "http.disconnect"} if seen > most else message

    return counted


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", []))
            names = {name.lower() for name, _ in given}
            message = {**message, "headers": [*given, *(pair for pair in HEADERS if pair[0] not in names)]}
        await send(message)

    return sending


async def _answer(scope: Scope, receive: Receive, send: Send, status: int, text: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": text[:120]})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close"), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": (text + "\n").encode()})
