"""Who is answered, and what careless and hostile clients cannot use up."""

import contextlib
import json
import os
import socket
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

from pointtrack.cli.live_server import LiveServer
from pointtrack.web.server import Limits, WebServer

FRAME = np.zeros((48, 64, 3), np.uint8)


def ask(server, request: str, wait: float = 5.0) -> bytes:
    """Send bytes, and return all that comes until the server closes or nothing comes any more."""
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=wait) as connection:
        connection.sendall(request.replace("\n", "\r\n").encode())
        answer = b""
        try:
            while piece := connection.recv(4096):
                answer += piece
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


def port_of(server) -> int:
    return server._web.port


def status(server, *headers: str, target: str = "/state", method: str = "GET") -> int:
    lines = "\n".join([f"{method} {target} HTTP/1.1", *headers, "Connection: close", "", ""])
    return int(ask(server, lines).split(b" ")[1])


def handles() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(scope="module")
def local():
    with LiveServer() as server:
        server.show(FRAME)
        yield server


@pytest.fixture(scope="module")
def public():
    with LiveServer(host="0.0.0.0") as server:
        server.show(FRAME)
        yield server


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:80", "LOCALHOST", "[::1]:9"])
def test_loopback_names_are_answered(local, host):
    assert status(local, f"Host: {host}") == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "[", "localhost@evil.example", "a" * 9000]
)
def test_other_names_are_refused(local, host):
    """A page whose name suddenly points to this machine must not read the camera (DNS rebinding)."""
    for target in ("/", "/state", "/frame.jpg", "/stream.mjpg"):
        assert status(local, f"Host: {host}", target=target) in (400, 403)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (["Origin: http://127.0.0.1:{port}"], 200),
        (["Origin: http://evil.example"], 403),
        (["Origin: null"], 403),
        (["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"], 403),
        (["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"], 200),  # a link that somebody follows
        (["Content-Length: 99999999"], 413),
        (["Content-Length: 9" + "9" * 60], 400),
    ],
)
def test_what_other_sites_send_is_refused(local, headers, expected):
    headers = [header.format(port=port_of(local)) for header in headers]
    assert status(local, f"Host: 127.0.0.1:{port_of(local)}", *headers) == expected


def test_elsewhere_than_on_loopback_a_token_is_needed(public):
    address, _, query = public.url.partition("?")
    token = query.removeprefix("token=")
    assert len(token) >= 32
    host = "Host: 192.168.0.9"
    assert status(public, host) == 401
    assert status(public, host, target="/state?token=wrong") == 401
    assert status(public, host, f"Cookie: pointtrack_token_{port_of(public)}={token[:-1]}") == 401
    assert status(public, host, target=f"/state?token={token}") == 200
    assert status(public, host, f"Authorization: Bearer {token}") == 200
    assert status(public, host, f"Cookie: a=b; pointtrack_token_{port_of(public)}={token}") == 200
    assert status(public, host, "Cookie: \x01;;=", f"Authorization: Bearer {token}") in (200, 400)
    page = ask(
        public,
        f"GET //evil.example/?token={token}&a=1 HTTP/1.1\n{host}\nAccept: text/html\nConnection: close\n\n",
    )
    assert page.startswith(b"HTTP/1.1 303")
    assert b"location: /evil.example/?a=1\r\n" in page  # never to another server, and without the token
    assert b"HttpOnly; SameSite=Strict" in page


def test_numbers_that_json_does_not_have_are_null(local):
    local.set_state({"points": [{"x": float("nan"), "y": float("inf"), "id": 3}]})
    with urllib.request.urlopen(local.url + "state", timeout=5) as answer:
        assert json.load(answer) == {"points": [{"x": None, "y": None, "id": 3}]}


def settles(condition, seconds: float) -> bool:
    """Whether a condition holds within this time; how soon depends on what else the machine does."""
    latest = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > latest:
            return False
        time.sleep(0.02)
    return True


def half_sent(server, number: int) -> list[socket.socket]:
    """Clients that connect and send nothing or half of a request."""
    clients = []
    for index in range(number):
        client = socket.create_connection(("127.0.0.1", port_of(server)), timeout=5)
        with contextlib.suppress(ConnectionError):  # it may be shut out already
            client.sendall(b"GET / HTTP/1.1\r\nHost: local" if index % 2 else b"")
        clients.append(client)
    return clients


def until_ended(client: socket.socket) -> None:
    """Wait until the server ends a connection: before that, it may not even have taken it."""
    client.settimeout(20)
    with contextlib.suppress(ConnectionError):
        while client.recv(4096):
            pass


def test_a_crowd_holds_neither_threads_nor_handles():
    with LiveServer(limits=Limits(connections=20, seconds=60.0)) as server:
        threads, before = threading.active_count(), handles()
        clients = half_sent(server, 400)
        try:
            until_ended(clients[-1])
            # Each client here is a handle of this process too.
            assert settles(lambda: handles() - before - len(clients) <= 21, 20)
            assert threading.active_count() <= threads + 2
        finally:
            for client in clients:
                client.close()


def test_slow_clients_are_shown_out():
    with LiveServer(limits=Limits(connections=20, seconds=0.3)) as server:
        server.show(FRAME)
        before = handles()
        clients = half_sent(server, 20)
        try:
            for client in clients:
                until_ended(client)
            assert settles(lambda: handles() - before - len(clients) <= 1, 20)
            with urllib.request.urlopen(server.url + "state", timeout=5) as answer:
                assert answer.status == 200
        finally:
            for client in clients:
                client.close()


def test_a_body_that_does_not_come_and_a_viewer_that_does_not_read_are_shown_out():
    big = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3), np.uint8)
    with LiveServer(limits=Limits(seconds=0.4)) as server:
        server.show(big)
        before = handles()
        slow = socket.create_connection(("127.0.0.1", port_of(server)))
        slow.sendall(b"POST /state HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc")
        blind = socket.socket()
        blind.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        blind.connect(("127.0.0.1", port_of(server)))
        blind.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(30):
            server.show(big)
            time.sleep(0.05)
        assert settles(lambda: handles() - before <= 2, 20), "both of ours, none of the server's"
        slow.close()
        blind.close()


def test_closing_ends_streams(local):
    with LiveServer() as server:
        server.show(FRAME)
        stream = urllib.request.urlopen(server.url + "stream.mjpg", timeout=5)
        assert b"--frame" in stream.read(20)
        began = time.monotonic()
    assert time.monotonic() - began < 3
    stream.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(server.url, timeout=2)


def test_bodies_without_a_length_are_counted():
    async def app(scope, receive, send):
        kinds = []
        while True:
            message = await receive()
            kinds.append(message["type"])
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": kinds[-1].encode()})

    with WebServer(app, limits=Limits(body_bytes=1000)) as server:
        chunks = "".join(f"64\n{'a' * 100}\n" for _ in range(20)) + "0\n\n"
        request = (
            f"POST / HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked\nConnection: close\n\n{chunks}"
        )
        fake = type("Server", (), {"_web": server})
        assert b"http.disconnect" in ask(fake, request)
