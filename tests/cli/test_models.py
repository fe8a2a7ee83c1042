"""`pointtrack models`: what there is; downloads against a local server that hangs up."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pointtrack.cli.main import main
from pointtrack.cli.models import rows
from pointtrack.models.families import PUBLISHED
from pointtrack.segment.zoo import PUBLISHED as SEGMENTERS
from tests.support.programs import run_program

CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Hub(ThreadingHTTPServer):
    """Has any file of any repository: the same bytes. Hangs up after `bytes_left`, if that is set."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.paths: list[str] = []
        self.starts: list[int] = []  # of the parts that were asked for
        self.bytes_left: int | None = None


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self):
        self.answer(b"")

    def do_GET(self):
        if "/resolve/" not in self.path:  # the library asks for more than files
            self.send_error(404)
            return
        start = int((re.match(r"bytes=(\d+)-", self.headers["Range"] or "") or [0, "0"])[1])
        self.server.starts.append(start)
        self.answer(CONTENT[start:], start)

    def answer(self, body: bytes, start: int = 0):
        self.server.paths.append(self.path)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.send_header("ETag", f'"{SHA256}"')
        asked = re.search("/resolve/([0-9a-f]{40})/", self.path)
        self.send_header("X-Repo-Commit", asked[1] if asked else "0123456789abcdef0123456789abcdef01234567")
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        if body and self.server.bytes_left is not None:
            self.server.bytes_left, body = 0, body[: self.server.bytes_left]
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub():
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(hub: Hub, home: Path, name: str) -> subprocess.CompletedProcess[str]:
    """`pointtrack models --download NAME` in a process of its own, which asks the local hub."""
    kept = {
        key: x for key, x in os.environ.items() if not re.match("HF_|HUGGING|.*_proxy$", key, re.IGNORECASE)
    }
    environment = {
        **kept,
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(home),
        "NO_PROXY": "*",
    }
    return run_program("pointtrack", "models", "--download", name, module=True, env=environment)


def test_every_model_is_listed(capsys):
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    for name in [*PUBLISHED, *SEGMENTERS]:
        (line,) = re.findall(rf"^  {re.escape(name)} .*", printed, re.MULTILINE)
        assert " no " in line or " yes " in line
    assert "CC-BY-NC-4.0" in printed and "no licence is stated" in printed
    assert all(row.purpose() for row in rows())
    for row in rows()[:1]:
        assert row.path().is_file() and row.size()


def test_an_unknown_name_is_told(capsys):
    assert main(["models", "--download", "locotrack"]) == 2
    assert "download: expected one of cotracker2" in capsys.readouterr().err


@pytest.mark.slow
def test_a_download_goes_on_where_it_was_cut_off(hub, tmp_path):
    hub.bytes_left = 100_000
    first = run(hub, tmp_path, "locotrack-small")
    err = first.stderr
    assert first.returncode == 2 and "100000 of 300000 bytes are here" in err and "call it again" in err
    hub.bytes_left = None
    assert hub.starts == [0, *[100_000] * 5], "what came is kept"
    tried = len(hub.starts)
    second = run(hub, tmp_path, "locotrack-small")
    out, err = second.stdout, second.stderr
    assert second.returncode == 0, err
    assert hub.starts[tried:] == [100_000], "only what was missing is fetched"
    assert f"SHA-256 {SHA256}" in out and "no licence is stated" in out
    assert "locotrack_small.ckpt" in err and "%" in err, "progress"
    path = next(tmp_path.rglob("locotrack_small.ckpt"))
    assert path.read_bytes() == CONTENT
    assert any(part.startswith("/datasets/hamacojr/") for part in hub.paths)


@pytest.mark.slow
def test_another_file_than_the_known_one_is_refused(hub, tmp_path):
    done = run(hub, tmp_path, "alltracker-tiny")
    assert (
        "not the file that is expected here" in done.stderr and "43991b4fc" in done.stderr and not done.stdout
    )
