"""Weights from the hub, against a local server that answers as the hub does."""

import hashlib
import logging
import os
import re
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pointtrack.models.hub import fetch
from pointtrack.models.pins import PINS, Pin
from tests.support.programs import run_program

REPO = "someone/tracker"
GATED = "someone/gated"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SMALL, LARGE = "config.json", "weights/tracker.pth"
CONTENT = {SMALL: b'{"length": 16}', LARGE: b"PK\x03\x04 weights"}
SHA256 = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
BY_HAND = "download https://huggingface.co/someone/{}/resolve/main/{} by hand and pass it as checkpoint="


class Answers(BaseHTTPRequestHandler):
    """HEAD and GET of /REPO/resolve/REVISION/FILE.

    A large file is a redirect to another host, as with git-lfs: 127.0.0.1 is the hub and localhost its store.
    """

    server: "LocalHub"

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        if match := re.fullmatch(r"/store/(.+)", self.path):
            self.server.requests.append(f"{self.command} store")
            return self.send(200, CONTENT[match[1]])
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        if not match:  # the library may ask for more than files
            return self.send(404)
        self.server.requests.append(f"{self.command} hub")
        repo, revision, name = match.groups()
        if self.server.trouble:
            return self.send(*self.server.trouble)
        if repo == GATED and self.headers["Authorization"] != "Bearer hf_secret":
            return self.send(401, {"X-Error-Code": "GatedRepo"})
        if repo not in (REPO, GATED):
            return self.send(404, {"X-Error-Code": "RepoNotFound"})
        if revision not in ("main", COMMIT):
            return self.send(404, {"X-Error-Code": "RevisionNotFound"})
        found = {"X-Repo-Commit": COMMIT}
        if name not in CONTENT:
            return self.send(404, {"X-Error-Code": "EntryNotFound", **found})
        if name == SMALL:
            return self.send(200, {"ETag": f'"{SHA256[name][:40]}"', **found}, CONTENT[name])
        linked = {"X-Linked-Etag": f'"{SHA256[name]}"', "X-Linked-Size": str(len(CONTENT[name]))}
        store = f"http://localhost:{self.server.server_port}/store/{name}"
        return self.send(302, {"Location": store, **linked, **found})

    def send(self, status, *parts):
        """Status, then headers (a dict) and a body (bytes), if any; of the body the range asked for."""
        headers = next((part for part in parts if isinstance(part, dict)), {})
        body = next((part for part in parts if isinstance(part, bytes)), b"")
        if body and (resumed := re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")):
            start = int(resumed[1])
            headers = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}", **headers}
            status, body = 206, body[start:]
        if self.command == "GET" and self.server.lost_half:
            body = body[: len(body) // 2]
        length = len(body)
        if self.command == "GET" and self.server.hangs_up:
            body = body[: length // 2]
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args):
        pass


class LocalHub(ThreadingHTTPServer):
    """What it was asked for, and what is wrong with it."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.requests: list[str] = []
        self.trouble: tuple = ()  # the answer to everything
        self.hangs_up = False  # in the middle of a file
        self.lost_half = False  # of every file


def forget_library():
    """Take huggingface_hub out of this process, so that the next import reads the environment again."""
    names = [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]
    return {name: sys.modules.pop(name) for name in names}


@pytest.fixture
def anew(monkeypatch):
    """Go on as a new process would, with these environment variables beside the old ones."""

    def start(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        forget_library()

    before = forget_library()
    yield start
    forget_library()
    sys.modules.update(before)


@pytest.fixture
def hub(monkeypatch, tmp_path, anew):
    """A hub of one public and one gated repository, which `fetch` asks, with an empty cache."""
    for name in os.environ:
        if re.match("HF_|HUGGING|TRANSFORMERS_|.*_proxy$", name, re.IGNORECASE):
            monkeypatch.delenv(name)
    with LocalHub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        anew(
            HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}",
            HF_HOME=str(tmp_path / "home"),
            HF_HUB_DISABLE_PROGRESS_BARS="1",
            NO_PROXY="*",
        )
        yield server
        server.shutdown()
        thread.join()


def test_pinned_repositories_are_fetched_at_their_commit(hub, monkeypatch):
    monkeypatch.setitem(PINS, REPO, Pin(COMMIT, {LARGE: SHA256[LARGE]}))
    path = fetch(REPO, LARGE)
    assert path.parents[1].name == COMMIT and path.read_bytes() == CONTENT[LARGE]
    asked = len(hub.requests)
    assert fetch(REPO, LARGE) == path
    assert len(hub.requests) == asked, "nothing to ask for"
    monkeypatch.setitem(PINS, REPO, Pin(COMMIT, {LARGE: SHA256[SMALL]}))
    with pytest.raises(ValueError, match=SHA256[SMALL][:9]):
        fetch(REPO, LARGE)
    monkeypatch.setitem(PINS, REPO, Pin("f" * 40))
    with pytest.raises(FileNotFoundError, match="no such revision"):
        fetch(REPO, LARGE)


def test_pins_are_whole():
    for repo, pin in PINS.items():
        assert repo.count("/") == 1 and re.fullmatch("[0-9a-f]{40}", pin.revision)
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in pin.sha256.values())


@pytest.fixture
def no_waiting(monkeypatch):
    """huggingface_hub waits longer and longer before it tries again."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.mark.parametrize(("name", "source"), [(SMALL, "hub"), (LARGE, "store")])
def test_a_file_is_downloaded_once(hub, tmp_path, name, source):
    path = fetch(REPO, name)
    assert path.read_bytes() == CONTENT[name]
    assert path.name == Path(name).name and path.is_relative_to(tmp_path / "home")
    assert hub.requests == ["HEAD hub", f"GET {source}"]
    assert fetch(REPO, name) == path
    assert hub.requests == ["HEAD hub", f"GET {source}", "HEAD hub"], "asks for news, downloads nothing"
    assert fetch(REPO, name, revision=COMMIT) == path
    assert len(hub.requests) == 3, "a commit never changes: nothing to ask for"


def test_cache_serves_offline(hub, anew):
    path = fetch(REPO, LARGE)
    hub.requests.clear()
    anew(HF_HUB_OFFLINE="1")
    assert fetch(REPO, LARGE, sha256=SHA256[LARGE]) == path
    assert hub.requests == []


def test_offline_without_cache(hub, anew):
    fetch(REPO, SMALL)
    hub.requests.clear()
    anew(HF_HUB_OFFLINE="1")
    with pytest.raises(ConnectionError, match="not in the cache, and HF_HUB_OFFLINE forbids") as caught:
        fetch(REPO, LARGE)
    assert BY_HAND.format("tracker", LARGE) in str(caught.value)
    assert hub.requests == []


def test_digest_is_checked(hub, caplog):
    fetch(REPO, LARGE, sha256=SHA256[LARGE])
    for _ in range(2):  # also when it comes from the cache
        with pytest.raises(ValueError, match=f"expected SHA-256 {SHA256[SMALL]}\n.*got .*{SHA256[LARGE]}"):
            fetch(REPO, LARGE, sha256=SHA256[SMALL])
    for sha256 in (None, SHA256[LARGE]):
        caplog.clear()
        with caplog.at_level(logging.INFO, "pointtrack"):
            fetch(REPO, LARGE, sha256=sha256)
        [record] = [r for r in caplog.records if r.name == "pointtrack.models.hub"]
        assert SHA256[LARGE] in record.getMessage() and REPO in record.getMessage()


@pytest.mark.parametrize(
    ("repo", "name", "revision", "error", "message"),
    [
        (REPO, "other.pth", None, FileNotFoundError, "the repository has no such file"),
        (REPO, LARGE, "v9", FileNotFoundError, " at revision v9: .* no such revision"),
        ("someone/else", LARGE, None, FileNotFoundError, "the hub knows none of this name"),
        (GATED, LARGE, None, PermissionError, "accept the terms at https://huggingface.co/someone/gated"),
    ],
)
def test_what_the_hub_does_not_give(hub, repo, name, revision, error, message):
    with pytest.raises(error, match=rf"^{name} of {repo}.*{message}") as caught:
        fetch(repo, name, revision=revision)
    by_hand = BY_HAND.format(repo.partition("/")[2], name).replace("main", revision or "main")
    assert by_hand in str(caught.value)
    assert hub.requests == ["HEAD hub"]


def test_name_that_no_repository_has(hub):
    with pytest.raises(ValueError, match="expected a hub name like owner/name, got 'https://x/y'"):
        fetch("https://x/y", LARGE)
    assert hub.requests == []


def test_token_opens_a_gated_repository(hub, monkeypatch):
    with pytest.raises(PermissionError):
        fetch(GATED, SMALL)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert fetch(GATED, SMALL).read_bytes() == CONTENT[SMALL]


@pytest.mark.parametrize(
    ("trouble", "error", "message"),
    [
        # The hub hides private repositories in this way.
        ((401, {"X-Error-Code": "RepoNotFound"}), FileNotFoundError, "the hub knows none of this name"),
        ((401,), PermissionError, "does not give access"),
        (
            (401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
            PermissionError,
            "log in",
        ),
        ((403, {"X-Error-Code": "GatedRepo"}), PermissionError, "accept the terms"),
        ((403,), PermissionError, "does not give access"),
        ((429,), ConnectionError, "the download failed .*429"),
        ((503,), ConnectionError, "the download failed .*503"),
        ((200, b"<html>Log in to this network</html>"), ConnectionError, "the download failed"),
    ],
)
def test_hub_in_trouble(hub, no_waiting, trouble, error, message):
    hub.trouble = trouble
    with pytest.raises(error, match=rf"^{LARGE} of {REPO}.*{message}") as caught:
        fetch(REPO, LARGE)
    assert BY_HAND.format("tracker", LARGE) in str(caught.value)
    hub.trouble = ()
    path = fetch(REPO, LARGE)
    hub.trouble = trouble
    assert fetch(REPO, LARGE) == path, "the cache serves"


def test_hub_that_is_down(hub, anew, no_waiting):
    path = fetch(REPO, SMALL)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        anew(HF_ENDPOINT=f"http://127.0.0.1:{unused.getsockname()[1]}")
        assert fetch(REPO, SMALL) == path
        with pytest.raises(ConnectionError, match="the download failed .*(refused|been closed)") as caught:
            fetch(REPO, LARGE)
    assert BY_HAND.format("tracker", LARGE) in str(caught.value)


def test_a_hub_that_cannot_be_reached_is_not_asked_again_and_again(hub, anew, monkeypatch, caplog):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        anew(HF_ENDPOINT=f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(ConnectionError, match="not in the cache, and the download failed"):
            fetch(REPO, LARGE)
    assert not waits and not caplog.records


@pytest.mark.parametrize("name", [SMALL, LARGE])
@pytest.mark.parametrize("fault", ["hangs_up", "lost_half"])
def test_half_a_download(hub, no_waiting, name, fault):
    setattr(hub, fault, True)
    with pytest.raises(ConnectionError, match="the download failed"):
        fetch(REPO, name)
    setattr(hub, fault, False)
    assert fetch(REPO, name).read_bytes() == CONTENT[name]


def test_trouble_with_the_disk_is_not_the_hubs(hub, anew, tmp_path):
    (tmp_path / "file").touch()
    anew(HF_HUB_CACHE=str(tmp_path / "file" / "cache"))
    with pytest.raises(OSError) as caught:
        fetch(REPO, LARGE)
    assert not isinstance(caught.value, ConnectionError | FileNotFoundError)
    assert str(tmp_path / "file") in str(caught.value)


def test_library_is_imported_when_needed(hub, tmp_path):
    """In a new process: local weights do not wait for it, and a program can still set its variables."""
    program = f"""
import os, sys
from pointtrack.models.hub import fetch
assert "huggingface_hub" not in sys.modules
os.environ["HF_HOME"] = {str(tmp_path / "elsewhere")!r}
print(fetch({REPO!r}, {LARGE!r}))
"""
    done = run_program(program)
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert path.read_bytes() == CONTENT[LARGE] and path.is_relative_to(tmp_path / "elsewhere")
