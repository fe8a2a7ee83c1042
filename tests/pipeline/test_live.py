"""Live tracking with sources that are fast, stall, change size or break; and the page that shows it."""

from __future__ import annotations

import json
import threading
import urllib.error
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

import pointtrack as pt
from pointtrack.cli.live_server import LiveServer
from pointtrack.io.live_reader import FrameReader, LiveFrame, LiveState, raw_frames
from pointtrack.io.video import write_video
from pointtrack.pipeline.live import LiveTracker
from pointtrack.pipeline.options import TrackOptions
from pointtrack.states.stream import StateOptions
from pointtrack.tracking.steady import SteadyStream
from pointtrack.tracking.support import support_queries
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks
from pointtrack.types.point_states import PointState
from tests.support.live_sources import VIDEO, WH, Gate, fetch, other_size, raising
from tests.support.states import GENEROUS
from tests.support.streams import state_stream, track
from tests.support.tracks import moving_video, same

QUERIES = Queries([0, 0, 3], [[20.0, 20.0], [40.5, 30.0], [9.0, 7.0]])


def wait_until(condition) -> None:
    for _ in range(2000):
        if condition():
            return
        threading.Event().wait(0.01)
    pytest.fail("waited in vain")


def live_run(tracker, source, **settings):
    """(results, final tracks, the LiveTracker) of a whole run in which no frame is dropped."""
    pieces: list[Tracks] = []
    reader = FrameReader(source, **{"drop": False, **settings})
    with LiveTracker(tracker, QUERIES, reader, on_final=pieces.append) as live:
        results = list(live)
        return results, (Tracks.concat(pieces) if pieces else None), live


def test_one_in_one_out_and_all_becomes_final(tiny_tracker):
    results, final, live = live_run(tiny_tracker, iter(VIDEO.frames), fps=10)
    held = f"SteadyStream(3 points in frames of {WH[0]} x {WH[1]}, 20 frames pushed)"
    assert repr(live) == f"LiveTracker({live.reader.name!r}, ended, {held})"
    assert live.state is LiveState.ENDED and "ended after 20 frames" in live.reader.message
    assert [result.tracks.first_frame for result in results] == list(range(20))
    assert [result.number for result in results] == list(range(20))
    assert all(len(result.tracks) == 1 and result.tracks.ids.tolist() == [0, 1, 2] for result in results)
    assert all(
        np.array_equal(result.frame, frame) for result, frame in zip(results, VIDEO.frames, strict=True)
    )
    assert [result.seconds for result in results] == pytest.approx(VIDEO.times.tolist())
    assert results[0].tracks.xy[0, :2].equal(QUERIES.xy[:2]) and torch.isnan(results[0].tracks.xy[0, 2]).all()
    lags = [result.lag for result in results]
    assert lags == [1, 2, 3, *[4, 5, 6, 7] * 4, 4][:20], "windows of 8 frames that move on by 4"
    plain = track(tiny_tracker, VIDEO, QUERIES, backward=False)
    torch.testing.assert_close(final.xy, plain.xy, atol=1e-3, rtol=0, equal_nan=True)
    assert final.fps == 10 and final.ids.tolist() == [0, 1, 2]


def test_first_answers_are_those_of_the_stream(tiny_tracker):
    results, _, _ = live_run(tiny_tracker, iter(VIDEO.frames))
    helpers = support_queries(QUERIES, WH)
    stream = SteadyStream(WindowStream(tiny_tracker, Queries.concat([QUERIES, helpers]), WH))
    for result, frame in zip(results, VIDEO.frames, strict=True):
        stream.push(frame)
        assert same(result.tracks, stream.preview().select(slice(0, 3)))


def test_a_source_that_is_faster_loses_frames_and_the_newest_wins(tiny_tracker):
    source = Gate([15])
    reader = FrameReader(iter(source), waiting=2)
    with LiveTracker(tiny_tracker, QUERIES, reader) as live:
        assert source.reached.wait(20)
        wait_until(lambda: reader.dropped == 13)
        results = [live.take(5), live.take(5)]
        assert [result.number for result in results] == [13, 14], "the newest two of the 15 that came"
        assert [result.dropped for result in results] == [13, 13]
        assert [result.tracks.first_frame for result in results] == [0, 1], "tracked frames are counted"
        source.go.set()
        results += list(live)
        report = live.report()
    assert report.frames + report.dropped == 20 and report.frames == len(results)
    assert results[-1].number == 19
    assert list(report.latency_ms) == [3] and report.latency_ms[3][2] == report.frames
    assert 0 < report.latency_ms[3][0] <= report.latency_ms[3][1]


def test_without_dropping_the_source_waits(tiny_tracker):
    given = []

    def source():
        for frame in VIDEO.frames:
            given.append(frame)
            yield frame

    reader = FrameReader(source(), drop=False, waiting=2)
    wait_until(lambda: len(given) == 3)
    assert not threading.Event().wait(0.2) and len(given) == 3, "two wait in the queue, one at its door"
    with LiveTracker(tiny_tracker, QUERIES, reader) as live:
        assert [result.number for result in live] == list(range(20))
    assert live.report().dropped == 0


def test_a_stalling_source_is_waited_for(tiny_tracker, caplog):
    source = Gate([9])
    pieces = []
    reader = FrameReader(iter(source), drop=False, stall_seconds=0.4)
    with LiveTracker(tiny_tracker, QUERIES, reader, on_final=pieces.append) as live:
        results = [live.take(5) for _ in range(9)]
        wait_until(lambda: live.state is LiveState.STALLED)
        assert live.take(0.01) is None and not live.over
        assert "no frame comes" in caplog.text
        source.go.set()
        results += list(live)
    assert live.state is LiveState.ENDED and [result.number for result in results] == list(range(20))
    assert len(Tracks.concat(pieces)) == 20
    assert caplog.text.count("no frame comes") == 1


def test_a_stalled_source_can_be_left(tiny_tracker, monkeypatch):
    """It is waited for once, whoever closes the reader again."""
    source = Gate([9])
    pieces, waits = [], []
    reader = FrameReader(iter(source), drop=False, stall_seconds=0.05)
    monkeypatch.setattr(reader._thread, "join", lambda timeout: waits.append(timeout))
    with LiveTracker(tiny_tracker, QUERIES, reader, on_final=pieces.append) as live:
        for _ in range(9):
            assert live.take(5) is not None
        live.stop()
        assert list(live) == [] and live.over
        assert live.state is LiveState.ENDED and live.reader.message.endswith("stopped")
        source.go.set()
    assert len(Tracks.concat(pieces)) == 9 and waits == [1.0]


def floats():
    yield from VIDEO.frames[:7]
    yield np.zeros((48, 64, 3))


@pytest.mark.parametrize(
    "source, state, message",
    [
        (raising, LiveState.ERROR, "RuntimeError: the cable was pulled"),
        (other_size, LiveState.SIZE_CHANGED, "frame 7 has 70 x 50 pixels, those before it 64 x 48"),
        (floats, LiveState.ERROR, "frame 7: expected uint8 values 0..255, got float64"),
        (lambda: iter(VIDEO.frames[:7]), LiveState.ENDED, "ended after 7 frames"),
    ],
)
def test_whatever_ends_a_source_nothing_is_lost(tiny_tracker, source, state, message, caplog):
    results, final, live = live_run(tiny_tracker, source())
    assert (message in caplog.text) == (state is not LiveState.ENDED)
    assert live.state is state and message in live.reader.message
    assert len(results) == 7 and len(final) == 7
    assert torch.isfinite(final.xy[3:]).all()
    assert live.take() is None


def test_nothing_came(tiny_tracker):
    results, final, live = live_run(tiny_tracker, iter(()))
    assert results == [] and final is None and live.state is LiveState.ENDED
    assert live.report().frames == 0 and live.report().latency_ms == {}


def test_a_source_that_gives_nothing_but_an_error_is_one(tiny_tracker):
    """As where a whole video is asked for, the one call that helps is told."""
    with pytest.raises(ValueError, match="frame 0: expected uint8 .*, got float32; .* convert with"):
        live_run(tiny_tracker, iter(VIDEO.frames.astype(np.float32) / 255))


def test_points_on_frames_that_never_come_are_told_of(tiny_tracker, caplog):
    live_run(tiny_tracker, iter(VIDEO.frames[:4]))
    assert "points" not in caplog.text
    live_run(tiny_tracker, iter(VIDEO.frames[:2]))
    assert "video: 1 query lies after the last frame (1)" in caplog.text


def test_points_may_be_made_for_the_size_and_must_lie_inside(tiny_tracker):
    reader = FrameReader(iter(VIDEO.frames), drop=False)
    with LiveTracker(tiny_tracker, lambda wh: pt.grid_queries(wh, 2), reader) as live:
        assert live.take(5).tracks.xy.shape == (1, 4, 2)
    reader = FrameReader(iter(VIDEO.frames), drop=False)
    outside = Queries([0], [[64.0, 1.0]])
    with (
        LiveTracker(tiny_tracker, outside, reader) as live,
        pytest.raises(ValueError, match="inside the 64 x 48"),
    ):
        live.take(5)


def test_a_tracker_of_one_window_is_refused(tiny_tracker):
    object.__setattr__(tiny_tracker.config.window, "length", None)
    with pytest.raises(ValueError, match="needs the whole video at once"):
        LiveTracker(tiny_tracker, QUERIES, FrameReader(iter(VIDEO.frames)))


@pytest.mark.parametrize("queries", [QUERIES, [[0, 1]]])
def test_a_run_that_is_refused_leaves_no_source_open(tiny_tracker, queries):
    if queries is QUERIES:
        object.__setattr__(tiny_tracker.config.window, "length", None)
    gate = Gate([0])
    with pytest.raises(ValueError, match="whole video at once|expected rows of"):
        pt.Tracker(tiny_tracker).live(gate, queries)
    assert not gate.reached.wait(0.5)


def test_points_come_and_go(tiny_tracker):
    pieces = []
    reader = FrameReader(iter(VIDEO.frames), drop=False)
    with LiveTracker(tiny_tracker, QUERIES, reader, on_final=pieces.append) as live:
        counts = []
        for result in live:
            if result.number == 9:
                live.stream.add(Queries([9], [[30.0, 30.0]], [50]))
            if result.number == 14:
                live.stream.remove([0])
            counts.append(len(result.tracks.ids))
    assert counts == [3] * 10 + [4] * 5 + [3] * 5
    assert list(live.report().latency_ms) == [3, 4]
    assert Tracks.concat(pieces).ids.tolist() == [0, 1, 2, 50]


@pytest.mark.parametrize("redetect", [pytest.param(False, marks=pytest.mark.long), True])
def test_states_are_those_of_the_stream(tiny_tracker, redetect):
    video = np.concatenate([VIDEO.frames[:12], 255 - VIDEO.frames[12:]])
    pieces, options = [], StateOptions(GENEROUS, redetect=redetect)
    reader = FrameReader(iter(video), drop=False)
    with LiveTracker(
        tiny_tracker, QUERIES, reader, on_final=pieces.append, options=TrackOptions(options)
    ) as live:
        results = []
        for result in live:
            results.append(result)
            if result.number == 9:
                live.stream.add(Queries([9], [[30.0, 30.0]], [50]))
            if result.number == 15:
                live.stream.remove([0])
    assert [result.tracks.ids.tolist() for result in results][8::7] == [[0, 1, 2], [0, 1, 2, 50]]
    assert results[-1].tracks.ids.tolist() == [1, 2, 50]
    final = Tracks.concat(pieces)
    assert final.ids.tolist() == [0, 1, 2, 50] and live.stream.cuts == {12}
    lost, found = final.states.state == PointState.LOST, final.states.times_redetected > 0
    assert (lost | found)[12:, 1:].all() and found.any() == redetect, "from the cut on"
    assert (results[11].tracks.states.state[0, :2] != PointState.LOST).all()
    assert (results[12].tracks.states.state == PointState.LOST).all(), "at once"
    stream = state_stream(tiny_tracker, QUERIES, WH, rules=GENEROUS, redetect=redetect)
    for result, frame in zip(results[:9], video[:9], strict=True):
        stream.push(frame)
        assert torch.equal(result.tracks.states.state, stream.preview().states.state)


@pytest.mark.parametrize("redetect", [pytest.param(False, marks=pytest.mark.long), True])
def test_behind_a_break_of_the_source_points_are_lost_until_they_are_found(
    tiny_tracker, redetect, monkeypatch
):
    """The picture is the same as before: nobody knows what happened meanwhile."""
    reader = FrameReader(iter(VIDEO.frames), drop=False)
    take, pieces = reader.take, []

    def taken(timeout):
        frame = take(timeout)
        return None if frame is None else replace(frame, follows=frame.number != 12)

    monkeypatch.setattr(reader, "take", taken)
    options = TrackOptions(StateOptions(GENEROUS, redetect=redetect))
    with LiveTracker(tiny_tracker, QUERIES, reader, on_final=pieces.append, options=options) as live:
        results = list(live)
    assert live.stream.cuts == {12}
    assert (results[11].tracks.states.state[0, :2] != PointState.LOST).all()
    assert (results[12].tracks.states.state == PointState.LOST).all(), "at once"
    final = Tracks.concat(pieces)
    lost, found = final.states.state == PointState.LOST, final.states.times_redetected > 0
    assert (lost | found)[12:].all() and bool(found.any()) == redetect


def test_a_break_whose_first_frame_is_dropped_is_told_with_the_next():
    reader = FrameReader(iter([]))
    for number in range(4):
        reader._put(LiveFrame(VIDEO.frames[0], number, 0.1 * number, 0.0, follows=number != 2))
    frame = reader.take(1.0)
    assert (frame.number, frame.follows, reader.dropped) == (3, False, 3)


def test_a_file_plays_at_its_own_speed(tmp_path):
    path = write_video(tmp_path / "a.mp4", moving_video(3, WH), 10)
    for source in (str(path), path, path.as_uri()):
        reader = FrameReader(source, drop=False)
        arrived = [reader.take(5).arrived for _ in range(3)]
        reader.close()
        assert arrived[2] - arrived[0] > 0.19, "never sooner"


def test_a_file_that_changes_its_size(tmp_path):
    pictures = [*VIDEO.frames[:4], np.zeros((32, 40, 3), np.uint8)]
    (tmp_path / "a.mjpeg").write_bytes(
        b"".join(cv2.imencode(".jpg", frame)[1].tobytes() for frame in pictures)
    )
    reader = FrameReader(tmp_path / "a.mjpeg", drop=False, pace=False)
    for _ in range(4):
        assert reader.take(5).pixels.shape == (48, 64, 3)
    assert reader.take(5) is None and reader.state is LiveState.SIZE_CHANGED
    assert len(pt.read_video(tmp_path / "a.mjpeg")) == 5, "a file that is read as a whole keeps one size"


@pytest.mark.parametrize("cut, frames", [(0, 3), (1, 2), (48 * 64 * 3 - 1, 2)])
def test_bare_frames(tmp_path, caplog, cut, frames):
    path = tmp_path / "pipe"
    path.write_bytes(VIDEO.frames[:3].tobytes()[: -cut or None])
    with path.open("rb") as file:
        got = list(raw_frames(file, WH))
    assert np.array_equal(np.stack(got), VIDEO.frames[:frames])
    assert ("the last one has" in caplog.text) == bool(cut)


def test_the_page_the_state_and_the_picture():
    with LiveServer() as server:
        kind, page = fetch(server.url)
        assert kind.startswith("text/html") and b"/stream.mjpg" in page
        assert fetch(server.url + "state") == ("application/json", b"{}")
        for missing in ("frame.jpg", "nothing"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                fetch(server.url + missing)
        for frame in VIDEO.frames[:2]:
            server.show(frame)
            kind, jpeg = fetch(server.url + "frame.jpg")
            shown = cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1), cv2.COLOR_BGR2RGB)
            assert kind == "image/jpeg" and np.abs(shown.astype(int) - frame).mean() < 20
        server.set_state({"state": "running"})
        assert json.loads(fetch(server.url + "state")[1]) == {"state": "running"}
    with pytest.raises(urllib.error.URLError):
        fetch(server.url)


def test_a_taken_port_is_an_error():
    with LiveServer() as server, pytest.raises(OSError, match="in use"):
        LiveServer(int(server.url.rsplit(":")[-1].strip("/")))


def test_one_live_run_can_watch_another_over_http():
    """What is served as MJPEG is a source: two ends of the same wire."""
    frames = moving_video(60, (64, 48)).frames
    with LiveServer() as server:
        done = threading.Event()

        def play():
            for frame in frames.repeat(20, axis=0):
                if done.wait(0.01):
                    return
                server.show(frame)

        player = threading.Thread(target=play)
        player.start()
        try:
            reader = FrameReader(server.url + "stream.mjpg", drop=False)
            taken = [reader.take(10) for _ in range(3)]
        finally:
            done.set()
            player.join()
        reader.close()
    for frame in taken:
        assert frame is not None and frame.pixels.shape == (48, 64, 3)
        nearest = min(np.abs(frame.pixels.astype(int) - known).mean() for known in frames)
        assert nearest < 20
