"""`pointtrack doctor`: shows the parts of this installation, and tests whether it can track."""

from __future__ import annotations

import os
import platform
import time

import av
import cv2
import numpy as np
import torch

import pointtrack
from pointtrack.checks import counted
from pointtrack.cli.plugins import entry_points, load_command
from pointtrack.cli.runner import one_line
from pointtrack.layers.precision import computes_bfloat16
from pointtrack.models.device import pick_device
from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.backward import track_video
from pointtrack.types import Queries, Video
from pointtrack.zoo import load_tracker


def doctor(tracker: str = "small", device: str = "auto") -> int:
    """Show the parts of this installation, and test whether it can track.

    Args:
        tracker: name of a tracker (small, cotracker3-offline, ...), or its .safetensors or .pth file.
        device: cpu, cuda, mps, or auto.
    """
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    print(f"pointtrack {pointtrack.__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(
        f"torch      {torch.__version__}, {counted(torch.get_num_threads(), 'thread')}, {cuda}, {_bfloat16(device)}"
    )
    print(f"OpenCV     {cv2.__version__}, PyAV {av.__version__}, {counted(os.cpu_count() or 1, 'core')}")
    entries = entry_points()
    for name in entries:
        try:
            load_command(name, {}, entries)
        except ValueError as error:
            print(f"command    {error}")
    try:
        model = load_tracker(tracker, device=device)
        parameters = sum(p.numel() for p in model.parameters())
        print(
            f"tracker    {model.config.name}, {parameters / 1e6:.1f} million parameters, {model.config.licence}"
        )
        error_px, seconds = _track_known_motion(model)
    except Exception as error:  # the doctor reports any error
        print(f"PROBLEM    {type(error).__name__}: {one_line(error)}")
        return 1
    print(f"self-test  a moving texture of 12 frames tracked in {seconds:.1f} s, {error_px:.2f} pixels off")
    if not error_px < 4:
        print(
            "PROBLEM    the tracker loses an easy texture (expected an error below 4 pixels): broken weights?"
        )
        return 1
    print("ok")
    return 0


def _bfloat16(device: str) -> str:
    try:
        fast = computes_bfloat16(pick_device(device))
    except ValueError:  # no such device; loading will say so
        return "bfloat16 unknown"
    return "bfloat16 is faster here" if fast else "bfloat16 is slower here, so float32 takes its place"


def _track_known_motion(tracker: PointTracker) -> tuple[float, float]:
    """Mean error in pixels on a texture that moves by a known step, and the time in seconds."""
    step = np.array([3, 2])
    noise = np.random.default_rng(0).normal(size=(300, 400, 3)).astype(np.float32)
    picture = cv2.GaussianBlur(noise, (0, 0), 1.5) + 2 * cv2.GaussianBlur(noise, (0, 0), 4)
    picture = np.clip(128 + 40 * picture / picture.std(), 0, 255).astype(np.uint8)
    corners = [33 - step * t for t in range(12)] + np.array([0, 0])
    video = Video(np.stack([picture[y : y + 192, x : x + 256] for x, y in corners]))
    queries = Queries(frame=[0] * 4, xy=[[60, 50], [160, 50], [60, 120], [160, 120]])  # type: ignore[arg-type]
    began = time.perf_counter()
    tracks = track_video(tracker, video, queries)
    truth = queries.xy + torch.arange(len(video))[:, None, None] * torch.from_numpy(step)
    return float((tracks.xy - truth).norm(dim=-1).mean()), time.perf_counter() - began
