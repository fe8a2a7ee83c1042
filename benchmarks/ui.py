"""Measure waiting times in `pointtrack ui` (first mask, later clicks, scrubbing), and memory over an hour of clicking.

python -m benchmarks.ui --page docs/guides/ui.md
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
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
from pointtrack.io.atomic import write_text

CLIP = Path(pointtrack.__file__).parent / "assets" / "clip.mp4"
CLIP_FRAMES = 72
WH = (854, 480)
KEY_FRAMES = 250  # frames from one keyframe to the next, as in x264
TABLE_BEGINS, TABLE_ENDS = "<!-- figures of benchmarks.ui -->", "<!-- end of figures -->"


def main(
    frames: int = 200_000,
    acts: int = 1200,
    scrubs: int = 100,
    out: Path = Path("outputs/bench_ui.json"),
    page: Path | None = None,
) -> None:
    """Start the server, act as the page, and print the time of each answer.

    Args:
        frames: frames of the generated video to scrub.
        acts: actions of a user, without pauses; an hour has some 1,200. Memory is read before and after.
        scrubs: random frames to request, of each video.
        out: JSON file for the figures.
        page: Markdown file in which to rewrite the table of these figures.
    """
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / "long.mp4"
        write_long(long, frames)
        server, client = start(Path(folder))
        try:
            figures: dict[str, Any] = {**machine(), "load": round(os.getloadavg()[0], 1), "frames": frames}
            clip = opened(client, CLIP, figures, "clip")
            figures |= click_figures(client, clip, server.pid)
            figures["scrub_clip_ms"] = scrub(client, clip, CLIP_FRAMES, scrubs)
            figures |= hour_figures(client, clip, server.pid, acts)
            base = opened(client, long, figures, "long")
            figures["scrub_long_ms"] = scrub(client, base, frames, scrubs)
            figures["memory_long_mb"] = resident_mb(server.pid)
        finally:
            server.kill()  # its work is saved already
            server.wait()
    for name, value in figures.items():
        print(f"{name:24}{value}")
    save_figures(figures, out)
    if page is not None:
        text = page.read_text(encoding="utf-8")
        before, mark, rest = text.partition(TABLE_BEGINS)
        if not mark or TABLE_ENDS not in rest:
            raise ValueError(f"{page}: expected {TABLE_BEGINS} and {TABLE_ENDS} in it, found none")
        table = f"{TABLE_BEGINS}\n\n{as_page(figures)}\n{TABLE_ENDS}"
        write_text(page, before + table + rest.partition(TABLE_ENDS)[2])


def as_page(figures: dict[str, Any]) -> str:
    """Write the figures in words, as Markdown."""
    first, later = figures["first_mask_ms"], figures["later_mask_ms"]
    rows = [
        ("compute time for the first mask of a frame, all threads together", f"{figures['first_mask_cpu_ms'] / 1000:.2f} s"),
        ("wait for that mask", in_words(first)),
        ("wait for the mask after one more click on the frame", in_words(later)),
        ("a frame of the bundled clip, in random order", in_words(figures["scrub_clip_ms"])),
        (f"a frame of a video of {figures['frames']:,} frames with a key frame every {KEY_FRAMES}, in random order", in_words(figures["scrub_long_ms"])),
        ("opening that video", f"{figures['open_long_s']:.1f} s"),
        (f"memory of the server with the clip open and its models loaded; after {figures['acts']:,} actions (an hour of work has about 1,200)", f"{figures['memory_before_mb']:,.0f} MB; {figures['memory_after_mb']:,.0f} MB"),
        ("memory after each tenth of those actions", ", ".join(f"{mb:,.0f}" for mb in figures["memory_mb"])),
        ("memory with the long video open too", f"{figures['memory_long_mb']:,.0f} MB"),
    ]  # fmt: skip
    head = (
        f"On {figures['cores']} cores of an {figures['processor']}, 854 x 480, with a load of {figures['load']} from this and all other work "
        "on the machine; median, then 95th percentile:"
    )
    return "\n".join(
        [head, "", "| | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows), ""]
    )


def in_words(spread: dict[str, float]) -> str:
    """Median and 95th percentile, in seconds."""
    return f"{spread['p50'] / 1000:.2f} s, {spread['p95'] / 1000:.2f} s"


def write_long(path: Path, frames: int) -> None:
    """A disc on a textured ground, over and over: the packets of a few hundred frames, repeated."""
    once = path.with_name("once.mp4")
    ground = cv2.resize(
        np.random.default_rng(0).integers(40, 200, (30, 54, 3), np.uint8), WH, interpolation=cv2.INTER_CUBIC
    )
    with av.open(str(once), "w") as container:
        options = {"preset": "ultrafast", "g": str(KEY_FRAMES)}
        stream: Any = container.add_stream("libx264", rate=Fraction(30), options=options)
        stream.width, stream.height, stream.pix_fmt = *WH, "yuv420p"
        for number in range(KEY_FRAMES):
            picture = ground.copy()
            place = (int(427 + 300 * np.sin(number / 40)), int(240 + 150 * np.cos(number / 57)))
            cv2.circle(picture, place, 40, (250, 40, 40), -1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    repeat_video(once, path, -(-frames // KEY_FRAMES))
    once.unlink()


def repeat_video(source: Path, path: Path, times: int) -> Path:
    """Repeat the packets of a video without decoding, to make long videos in seconds."""
    with av.open(str(source)) as once:
        packets = [packet for packet in once.demux(video=0) if packet.pts is not None]
        length = sum(packet.duration for packet in packets)
        with av.open(str(path), "w") as container:
            stream = container.add_stream_from_template(once.streams.video[0])
            stamps = [(packet.pts, packet.dts) for packet in packets]
            base = packets[0].time_base
            for i in range(times):
                for packet, (pts, dts) in zip(packets, stamps, strict=True):
                    # Writing rescales a packet to the clock of its container.
                    packet.time_base, packet.stream = base, stream
                    packet.pts, packet.dts = pts + i * length, dts + i * length
                    packet.duration = length // len(packets)
                    container.mux(packet)
    return path


def start(folder: Path) -> tuple[subprocess.Popen[str], httpx.Client]:
    """Start the server in its own process, and a client with its token."""
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
    """Open a video; returns the base address of its answers."""
    seconds, answer = timed(lambda: client.post("/api/open", json={"path": str(path)}))
    figures[f"open_{name}_s"] = round(seconds, 2)
    return f"/api/p/{answer.json()['state']['id']}"


def click_figures(client: httpx.Client, base: str, process: int) -> dict[str, Any]:
    """Time the first click on a frame, and later ones on the same frame."""
    wait_idle(client, base)
    spent = cpu_seconds(process)
    first = [timed(partial(click, client, base, frame, 240, 190, None))[0] for frame in range(0, 50, 5)]
    spent = cpu_seconds(process) - spent
    later = [timed(partial(click, client, base, 45, 240 + 4 * step, 200, 10))[0] for step in range(8)]
    return {
        "first_mask_ms": spread(first),
        "first_mask_cpu_ms": round(1000 * spent / len(first)),
        "later_mask_ms": spread(later),
    }


def hour_figures(client: httpx.Client, base: str, process: int, acts: int) -> dict[str, Any]:
    """Memory while a user visits a frame, looks, clicks and corrects an object, sets and drags a point, goes back.

    The objects of `click_figures` exist already.
    """
    rng = np.random.default_rng(0)
    memory = [resident_mb(process)]
    done = 0
    while done < acts:
        frame, number = int(rng.integers(CLIP_FRAMES)), 1 + int(rng.integers(10))
        for near in range(frame, min(frame + 3, CLIP_FRAMES)):
            client.get(f"{base}/frame/{near}")
        x, y = float(rng.uniform(5, 820)), float(rng.uniform(5, 450))
        click(client, base, frame, x, y, number)
        client.get(f"{base}/masks/{frame}")
        click(client, base, frame, x + 20, y + 10, number)
        act(client, base, "objects.choose", object=number, frame=frame, place=int(rng.integers(3)))
        (point,) = act(client, base, "points.add", frame=frame, xy=[[x, y]]).json()["points"]
        act(client, base, "points.correct", point=point, frame=frame, xy=[x + 2, y + 1])
        act(client, base, "undo")
        client.get(f"{base}/state")
        done += 6
        if done // (acts / 10) >= len(memory):
            memory.append(resident_mb(process))
    return {
        "acts": done,
        "memory_before_mb": memory[0],
        "memory_after_mb": resident_mb(process),
        "memory_mb": memory[1:],
    }


def click(
    client: httpx.Client, base: str, frame: int, x: float, y: float, number: int | None
) -> httpx.Response:
    """Click on an object, or on a new one."""
    return act(client, base, "objects.click", frame=frame, points=[[x, y]], labels=[1], object=number)


def act(client: httpx.Client, base: str, name: str, **arguments: Any) -> httpx.Response:
    """Send an action of a user."""
    answer = client.post(f"{base}/act", json={"act": name, "args": arguments})
    if answer.status_code != 200:
        raise RuntimeError(f"{name}: expected it to be done, got {answer.status_code}: {answer.text[:200]}")
    return answer


def scrub(client: httpx.Client, base: str, frames: int, count: int) -> dict[str, float]:
    """Request frames in random order, each for the first time."""
    chosen = np.random.default_rng(1).permutation(frames)[:count].tolist()
    return spread([timed(partial(client.get, f"{base}/frame/{frame}"))[0] for frame in chosen])


def wait_idle(client: httpx.Client, base: str) -> None:
    """Wait until the search for cuts is over."""
    while (state := client.get(f"{base}/state").json())["scanned"] < state["frames"]:
        time.sleep(0.2)


def timed(ask: Callable[[], httpx.Response]) -> tuple[float, httpx.Response]:
    """Time a request; returns seconds and the answer."""
    began = time.perf_counter()
    answer = ask()
    return time.perf_counter() - began, answer


def spread(seconds: list[float]) -> dict[str, float]:
    """Median and 95th percentile in milliseconds."""
    p50, p95 = np.percentile(np.array(seconds) * 1000, [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "n": len(seconds)}


def cpu_seconds(process: int) -> float:
    """CPU seconds of a process, all threads together, which do not depend on other work of the machine."""
    with open(f"/proc/{process}/stat", encoding="ascii") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def resident_mb(process: int) -> float:
    """Memory of a process, in MB."""
    with open(f"/proc/{process}/statm", encoding="ascii") as file:
        return round(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


if __name__ == "__main__":
    sys.exit(run_command(lambda: main, sys.argv[1:], "benchmarks.ui"))
