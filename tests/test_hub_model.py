"""Trackers in repositories: saved to a folder, pushed to a hub and loaded from it; the hub is a server of this machine."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import threading
from typing import ClassVar

import pytest
import torch

import pointtrack as pt
from tests.support.programs import run_program

CODE = """
import sys
import pointtrack as pt
tracker = pt.Tracker(sys.argv[1], states=False)
tracker.push_to_hub("anna/mine", token="hf_x")
again = pt.Tracker.from_pretrained("anna/mine", token="hf_x", smooth=2)
print(again.name, again.options.smooth)
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub as one repository needs."""

    protocol_version = "HTTP/1.1"
    files: ClassVar[dict[str, bytes]] = {}

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = {}
        if self.path.endswith("/repos/create"):
            answer = {"url": f"http://{self.headers['Host']}/anna/mine"}
        elif "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            answer = {
                "files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]
            }
        elif "/commit/" in self.path:
            for line in body.splitlines():
                row = json.loads(line)
                if row["key"] == "file":
                    self.files[row["value"]["path"]] = base64.b64decode(row["value"]["content"])
            answer = {
                "commitUrl": f"http://{self.headers['Host']}/anna/mine/commit/{'0' * 40}",
                "commitOid": "0" * 40,
            }
        self.reply(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def do_GET(self):
        content = self.files.get(self.path.partition("/resolve/main/")[2].partition("?")[0])
        if "/resolve/" in self.path and content is not None:
            tag = hashlib.sha1(content).hexdigest()
            self.reply(200, content, {"ETag": f'"{tag}"', "X-Repo-Commit": "0" * 40})
        elif "/resolve/" in self.path:
            self.reply(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": "0" * 40})
        else:
            answer = json.dumps({"id": "anna/mine", "sha": "0" * 40, "siblings": [], "tags": []})
            self.reply(200, answer.encode(), {"Content-Type": "application/json"})

    do_HEAD = do_GET

    def reply(self, code, content, headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    Hub.files = {}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_a_folder_holds_weights_and_a_card(tmp_path, tiny_tracker_file):
    tracker = pt.Tracker(tiny_tracker_file)
    tracker.save_pretrained(tmp_path / "mine")
    card = (tmp_path / "mine" / "README.md").read_text()
    for words in (
        "library_name: pointtrack",
        "point-tracking",
        "license: apache-2.0",
        "Tracker.from_pretrained",
    ):
        assert words in card
    again = pt.Tracker.from_pretrained(str(tmp_path / "mine"))
    for name, value in tracker.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name])
    assert again.network.config == tracker.network.config


def test_push_and_load_over_a_hub(hub, tmp_path, tiny_tracker_file):
    environment = os.environ | {
        "HF_ENDPOINT": hub,
        "HF_HOME": str(tmp_path / "cache"),
        "HF_HUB_DISABLE_XET": "1",
    }
    run = run_program(CODE, tiny_tracker_file, env=environment)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.split()[-1] == "2"
    assert {"model.safetensors", "README.md"} <= set(Hub.files)
    assert b"license: apache-2.0" in Hub.files["README.md"]
