"""How long a person waits for `pointtrack ui`: first mask, later clicks, scrubbing a long video, memory after many clicks.

python -m benchmarks.ui --frames 20000 --clicks 200
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import cv2
import httpx
import numpy as np

import pointtrack
from benchmarks.machine import machine, save_figures
from pointtrack.cli.runner import run_command

CLIP = Path(pointtrack.__file__).parent / "assets" / "clip.mp4"
WH = (854, 480)


def main(frames: int = 20_000, clicks: int = 200, scrubs: int = 100, out: str | None = None) -> None:
    """Start the server, be the page, and print how long answers took.

    Args:
        frames: of the generated video that is scrubbed.
        clicks: corrections in a row, after which memory is read.
        scrubs: random frames that are asked for, of each video.
        out: JSON file for the figures.
    """
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / "long.mp4"
        write_long(long, frames)
        server, client = start(Path(folder))
        try:
            figures: dict[str, Any] = {"machine": machine(), "load": os.getloadavg()[0]}
            clip = opened(client, CLIP, figures, "clip")
            figures |= click_figures(client, clip, server.pid, clicks)
            figures["scrub_clip_ms"] = scrub(client, clip, 72, scrubs)
            figures["scrub_long_ms"] = scrub(client, opened(client, long, figures, "long"), frames, scrubs)
            figures["memory_end_mb"] = resident_mb(server.pid)
        finally:
            server.terminate()
            server.wait(60)
    for name, value in figures.items():
        print(f"{name:24}{value}")
    if out is not None:
        save_figures(figures, Path(out))


def write_long(path: Path, frames: int) -> None:
    """A disc on a textured ground, the number of the frame in a corner."""
    ground = cv2.resize(
        np.random.default_rng(0).integers(40, 200, (30, 54, 3), np.uint8), WH, interpolation=cv2.INTER_CUBIC
    )
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(30), options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *WH, "yuv420p"
        for number in range(frames):
            picture = ground.copy()
            place = (int(427 + 300 * np.sin(number / 40)), int(240 + 150 * np.cos(number / 57)))
            cv2.circle(picture, place, 40, (250, 40, 40), -1)
            cv2.putText(picture, str(number), (20, 60), 0, 2, (255, 255, 255), 4)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))


def start(folder: Path) -> tuple[subprocess.Popen[str], httpx.Client]:
    """The server in a process of its own, and a client with its token."""
    command = [
        sys.executable,
        "-m",
        "pointtrack.cli.main",
        "ui",
        "--no-browser",
        "--out",
        str(folder / "home"),
    ]
    command += ["--folders", str(folder), str(CLIP.parent)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = urlsplit(server.stdout.readline().split()[1])
    client = httpx.Client(base_url=f"http://{url.netloc}", timeout=300)
    client.headers["Authorization"] = f"Bearer {url.query.removeprefix('token=')}"
    return server, client


def opened(client: httpx.Client, path: Path, figures: dict[str, Any], name: str) -> str:
    """Open a video; where its answers are."""
    seconds, answer = timed(lambda: client.post("/api/open", json={"path": str(path)}))
    figures[f"open_{name}_s"] = round(seconds, 2)
    return f"/api/p/{answer.json()['state']['id']}"


def click_figures(client: httpx.Client, base: str, process: int, clicks: int) -> dict[str, Any]:
    """First click of a frame, later ones, and memory: clicks on random places and frames, some taken back."""

    def click(frame: int, x: float, y: float, number: int | None) -> Callable[[], httpx.Response]:
        arguments = {"frame": frame, "points": [[x, y]], "labels": [1], "object": number}
        return lambda: client.post(f"{base}/act", json={"act": "objects.click", "args": arguments})

    wait_idle(client, base)
    spent = cpu_seconds(process)
    first = [timed(click(frame, 240, 190, None))[0] for frame in range(0, 50, 5)]
    spent = cpu_seconds(process) - spent
    later = [timed(click(45, 240 + 4 * step, 200, 10))[0] for step in range(8)]
    before = resident_mb(process)
    rng = np.random.default_rng(0)
    for step in range(clicks):
        frame, x, y = int(rng.integers(72)), float(rng.uniform(5, 840)), float(rng.uniform(5, 470))
        click(frame, x, y, 1 + step % 10)()
        client.get(f"{base}/masks/{frame}")
        if step % 5 == 4:
            client.post(f"{base}/act", json={"act": "undo", "args": {}})
    return {
        "first_mask_ms": spread(first),
        "first_mask_cpu_ms": round(1000 * spent / len(first)),
        "later_mask_ms": spread(later),
        "clicks": clicks,
        "memory_before_mb": before,
        "memory_after_mb": resident_mb(process),
    }


def scrub(client: httpx.Client, base: str, frames: int, count: int) -> str:
    """Frames in random order, each of which nobody has asked for."""
    chosen = np.random.default_rng(1).permutation(frames)[:count].tolist()
    return spread([timed(lambda frame=frame: client.get(f"{base}/frame/{frame}"))[0] for frame in chosen])


def wait_idle(client: httpx.Client, base: str) -> None:
    """Until the search for cuts is over."""
    while (state := client.get(f"{base}/state").json())["scanned"] < state["frames"]:
        time.sleep(0.2)


def timed(ask: Callable[[], httpx.Response]) -> tuple[float, httpx.Response]:
    """Seconds and the answer."""
    began = time.perf_counter()
    answer = ask()
    return time.perf_counter() - began, answer


def spread(seconds: list[float]) -> str:
    """Median and 95th percentile in milliseconds."""
    p50, p95 = np.percentile(np.array(seconds) * 1000, [50, 95])
    return f"p50 {p50:.0f}, p95 {p95:.0f}, n {len(seconds)}"


def cpu_seconds(process: int) -> float:
    """What a process has computed for, all threads together: that does not depend on what else the machine does."""
    with open(f"/proc/{process}/stat", encoding="ascii") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def resident_mb(process: int) -> float:
    """Memory of a process, in MB."""
    with open(f"/proc/{process}/statm", encoding="ascii") as file:
        return round(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


if __name__ == "__main__":
    sys.exit(run_command(lambda: main, sys.argv[1:], "benchmarks.ui"))
