"""Two hours of video are looked at as fast as seconds of it: any frame of 200,000, in any order."""

import time

import cv2
import numpy as np
import pytest

from benchmarks.ui import repeat_video
from tests.support.numbered import number_in, write_numbered
from tests.support.ui_client import Client

ONCE, TIMES = 2000, 100


@pytest.mark.long
def test_200_000_frames(client, tmp_path):
    once = write_numbered(tmp_path / "once.mp4", ONCE)
    path = repeat_video(once, client.desk.uploads / "long.mp4", TIMES)
    long = Client(client.desk, path)
    frames = ONCE * TIMES
    assert long.state0["frames"] == frames
    chosen = [0, frames - 1, *np.random.default_rng(0).integers(frames, size=40).tolist()]
    waits = []
    for frame in chosen:
        began = time.perf_counter()
        content = long.http.get(f"{long.base}/frame/{frame}").content
        waits.append(time.perf_counter() - began)
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert number_in(picture) == frame % ONCE
    print(f"a frame of {frames}: median {1000 * np.median(waits):.0f} ms, at most {1000 * max(waits):.0f} ms")
    long.act("points.add", frame=120_000, xy=[[20, 20]])
    long.run(direction="both", start=119_990, stop=120_010)
    assert len(long.get("lanes?bins=400")["groups"]) == 1
