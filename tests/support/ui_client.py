"""The page without a browser: its requests to a server, and two squares to ask about."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from pointtrack.ui.desk import Desk
from pointtrack.ui.rle import decode_mask
from pointtrack.ui.server import create_app
from tests.support.scenes import squares

FRAMES = 12
SCENE = squares(
    [[(2 + 3 * t, 4 + t) for t in range(FRAMES)], [(60 - 3 * t, 38 - t // 2) for t in range(FRAMES)]]
)
RED, BLUE = [10.0, 12.0], [68.0, 46.0]  # on the squares of frame 0


class Client:
    """A page, as the server sees it."""

    def __init__(self, desk: Desk, video: Path):
        self.desk, self.http = desk, TestClient(create_app(desk))
        opened = self.http.post("/api/open", json={"path": str(video)})
        assert opened.status_code == 200, opened.text
        self.state0 = opened.json()["state"]
        self.base = f"/api/p/{self.state0['id']}"

    def act(self, act: str, code: int = 200, **args: Any) -> dict[str, Any]:
        answer = self.http.post(f"{self.base}/act", json={"act": act, "args": args})
        assert answer.status_code == code, answer.text
        return answer.json()

    def get(self, path: str, code: int = 200) -> Any:
        answer = self.http.get(f"{self.base}/{path}")
        assert answer.status_code == code, answer.text
        return answer.json()

    def post(self, path: str, code: int = 200, **content: Any) -> Any:
        answer = self.http.post(f"{self.base}/{path}", json=content)
        assert answer.status_code == code, answer.text
        return answer.json()

    @property
    def state(self) -> dict[str, Any]:
        return self.get("state")

    def mask(self, number: int, frame: int) -> np.ndarray:
        rows = self.get(f"masks/{frame}")["objects"]
        coded = next(row["mask"] for row in rows if row["id"] == number)
        return np.zeros((60, 80), bool) if coded is None else decode_mask(coded, (80, 60))

    def wait(self, done: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end
            time.sleep(0.02)

    def run(self, **content: Any) -> None:
        self.post("run", **content)
        self.wait(lambda: self.state["run"] is None)
