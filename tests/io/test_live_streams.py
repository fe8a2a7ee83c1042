"""Streams that break: an error, or opened again; time goes on, another size is said."""

import http.server
import io
import socketserver
import threading
import time

import av
import numpy as np
import pytest

from pointtrack.io import live_reader
from pointtrack.io.live_reader import FrameReader, LiveState


def stream_of(frames: int, wh=(96, 64)) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = *wh, "yuv420p"
        for t in range(frames):
            picture = np.full((wh[1], wh[0], 3), 4 * t, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.fixture
def camera():
    """A camera on the net that gives one answer after the other, each for one connection; then it is gone."""
    answers: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if not answers:
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            self.wfile.write(answers.pop(0))
            self.close_connection = True

        def log_message(self, *_):
            pass

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield answers, f"http://127.0.0.1:{server.server_address[1]}/cam.ts"
    server.shutdown()
    server.server_close()


def taken(reader, seconds=20.0):
    frames, began = [], time.monotonic()
    while not reader.over and time.monotonic() - began < seconds:
        frame = reader.take(0.2)
        frames += [] if frame is None else [frame]
    return frames


def test_a_stream_that_breaks_is_an_error(camera):
    answers, url = camera
    answers.append(stream_of(20)[:-3000])
    reader = FrameReader(url, drop=False)
    frames = taken(reader)
    assert 3 < len(frames) < 20
    assert reader.state is LiveState.ERROR
    assert "broke off after" in reader.message and "--reconnect" in reader.message
    reader.close()


def test_a_stream_that_comes_back_is_gone_on_with(camera, monkeypatch):
    monkeypatch.setattr(live_reader, "FIRST_WAIT", 0.2)
    answers, url = camera
    answers += [stream_of(10), b"", stream_of(12), *[stream_of(30, (64, 48))] * 4]
    reader = FrameReader(url, drop=False, reconnect=True)
    frames = taken(reader)
    assert [frame.number for frame in frames] == list(range(len(frames))) and len(frames) >= 15
    seconds = [frame.seconds for frame in frames]
    gap = int(np.argmax(np.diff(seconds)))
    assert np.all(np.diff(seconds) > 0)
    assert [frame.number for frame in frames if not frame.follows] == [frames[gap + 1].number]
    arrived = frames[gap + 1].arrived - frames[gap].arrived
    assert seconds[gap + 1] - seconds[gap] == pytest.approx(arrived, abs=0.5), "time went on meanwhile"
    assert reader.state is LiveState.SIZE_CHANGED and "64 x 48" in reader.message
    reader.close()


def test_waiting_for_a_stream_can_be_stopped(camera):
    answers, url = camera
    answers.append(stream_of(5))
    reader = FrameReader(url, drop=False, reconnect=True, stall_seconds=0.3)
    assert reader.take(3.0) is not None
    while reader.take(0.8) is not None:
        pass
    assert reader.state is LiveState.STALLED
    began = time.monotonic()
    reader.close()
    assert time.monotonic() - began < 1.5 and reader.over
