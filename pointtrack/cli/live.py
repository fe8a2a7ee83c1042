"""The command `pointtrack live`: a camera, a stream or a file, frame by frame, in a window, a web page or a file."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pointtrack.checks import counted
from pointtrack.cli.earlier import conclude, track_products
from pointtrack.cli.live_recording import MaskRecording, TrackRecording, objects_live, objects_of
from pointtrack.cli.live_server import LiveServer
from pointtrack.cli.options import track_options, video_target
from pointtrack.cli.states import word
from pointtrack.cli.videos import stem_of
from pointtrack.io.live_reader import FrameReader, LiveState, raw_frames
from pointtrack.io.outputs import check_outputs, record_origin
from pointtrack.io.video import VideoStream, write_video
from pointtrack.models.speed import SPEEDS, options_at
from pointtrack.objects.prompt_texts import parse_prompts
from pointtrack.pipeline.live import LiveMasks, LiveObjects, LiveReport, LiveResult, LiveTracker
from pointtrack.pipeline.sinks import MaskDrawer, Piece, Trail
from pointtrack.tracking.point_choice import PointChoice
from pointtrack.types import Queries
from pointtrack.types.point_states import PointState
from pointtrack.viz.styles import MaskStyle, TrackStyle
from pointtrack.zoo import load_tracker

WINDOW = "pointtrack live (q ends)"
AnyLive = LiveTracker | LiveObjects
Recording = TrackRecording | MaskRecording
LATEST_CUTS = 5  # newest cuts that `/state` lists


@dataclass(frozen=True)
class LiveCommand:
    """Track points, or follow objects, in a camera, a stream or a file, one answer per frame; show, serve and record them.

    Each frame gets a first answer at once, which becomes final some frames later. The recorded video shows first answers;
    the recorded tracks are final. If frames arrive faster than they are tracked, the newest wins, and the dropped ones are
    counted. Ctrl-C, or q in the window, ends the run. If you give no points, it tracks a grid of 10 x 10. With clicks, boxes
    or masks it follows objects instead, each from the frame of its prompt.

    Args:
        source: index of a camera, a URL (rtsp://, http://), a file or folder of pictures (played at its own speed),
            or - for a video on standard input, which holds bare RGB frames if you pass --wh.
        grid: track a grid of this many points per side.
        points: single points, each as frame,x,y in pixels: --points 0,120,80 0,300.5,210
        queries: CSV or JSON file of points.
        click: follow objects from clicks as frame,x,y; append ,- for a click beside the object. For several objects put a
            number and a colon before each click, as in 2:0,310,250. A correction changes later frames only.
        box: boxes as frame,x0,y0,x1,y1 in pixels.
        mask: pictures of the frames' size, not black where the object is, as frame,FILE.
        segmenter: name of a segmenter (small, sam-vit-b, sam2.1-hiera-tiny, ...), or a folder of one.
        wh: size of bare RGB frames on standard input, as in 640x480.
        fps: frames per second of a source that does not state it.
        no_drop: make the source wait instead of dropping frames.
        tracker: name of a tracker (small, cotracker3-online, ...), or its .safetensors or .pth file.
        precision: float32, or bfloat16 on processors that support it.
        speed: fast, balanced or exact: trade time for exactness.
        device: cpu, cuda, mps, or auto.
        show: open a window.
        serve: serve a web page on this port (0: any free one), with /stream.mjpg, /frame.jpg and /state.
        host: who may see that page: 127.0.0.1 for this machine only, 0.0.0.0 for the network.
        out: folder, or video file, for the drawn frames; the final tracks go beside it as .npz. While the run lasts they
            are in a .tracks file, which survives a crash. Without --out nothing is written.
        states: tell for every point whether it is visible, hidden, out of frame or lost; from a cut on all points are lost.
        redetect: like --states, and also search for lost points and track them on from where they are found.
        regions: follow small things in crops too, as in `pointtrack track`.
        smooth: smooth the final tracks over this many frames on each side; 0 turns it off.
        max_frames: end after this many tracked frames.
        stall: seconds without a frame after which the source counts as stalled.
        give_up: end when a stall has lasted this many seconds; by default the run waits for a stalled source.
        reconnect: reopen a camera or stream that breaks off, as often as needed; otherwise that is an error.
        overwrite: replace files of an earlier recording.
        style: how to draw the tracks.
    """

    source: str
    grid: int | None = None
    points: list[str] | None = None
    queries: str | None = None
    click: list[str] | None = None
    box: list[str] | None = None
    mask: list[str] | None = None
    segmenter: str = "small"
    wh: str | None = None
    fps: float | None = None
    no_drop: bool = False
    tracker: str = "small"
    precision: str = "float32"
    speed: str = "balanced"
    device: str = "auto"
    show: bool = False
    serve: int | None = None
    host: str = "127.0.0.1"
    out: str | None = None
    states: bool = False
    redetect: bool = False
    regions: str | None = None
    smooth: int = 0
    max_frames: int | None = None
    stall: float = 2.0
    give_up: float | None = None
    reconnect: bool = False
    overwrite: bool = False
    style: TrackStyle = field(default_factory=TrackStyle)

    def run(self) -> int:
        """Run, print how it went, and return 0 if the source simply ended."""
        if self.max_frames is not None and self.max_frames < 1:
            raise ValueError(f"max_frames: expected at least 1, got {self.max_frames}")
        if self.speed not in SPEEDS:
            raise ValueError(f"speed: expected one of {', '.join(SPEEDS)}, got {self.speed!r}")
        target = None if self.out is None else video_target(self.out, self.stem)
        outputs = (
            [] if target is None else [target, target.with_suffix(".npz"), target.with_suffix(".tracks")]
        )
        # Every recording of a source that is not a file is another video.
        source = self.source if Path(self.source).exists() else f"recording {uuid.uuid4()}"
        pictures = [text.partition(",")[2] for text in self.mask or ()]
        inputs = [self.source, self.queries, self.tracker, self.segmenter, *pictures]
        check_outputs(inputs, outputs, source=source, overwrite=self.overwrite)
        prompts = parse_prompts(self.click or (), self.box or (), self.mask or ())
        if prompts:
            self.check_alone()
        if self.show:
            open_window()
        options = track_options(self.states, self.redetect, self.regions, self.smooth)
        points = PointChoice(self.points, self.queries, grid=self.grid, usual=10)
        tracker = load_tracker(self.tracker, device=self.device, precision=self.precision)
        tracker.check_windows()  # before anything is opened or written
        loaded = tracker.inference

        def prepared(wh: tuple[int, int]) -> Queries:
            tracker.inference = options_at(loaded, tracker.own_config, self.speed, wh)
            return points.on(wh)

        with ExitStack() as stack:
            server = None if self.serve is None else stack.enter_context(LiveServer(self.serve, self.host))
            reader = FrameReader(
                self.opened_source(), fps=self.fps, drop=not self.no_drop, stall_seconds=self.stall,
                reconnect=self.reconnect, name=None if self.wh is None else "standard input",
            )  # fmt: skip
            stack.callback(reader.close)
            if target is not None:
                record_origin(outputs, source)
            live: AnyLive
            recording: Recording
            if prompts:
                recording = MaskRecording(target, prompts, reader)
                live = objects_live(
                    tracker, self.segmenter, self.device, prompts, reader, recording.add, prepared
                )
            else:
                recording = TrackRecording(target, overwrite=self.overwrite)
                live = LiveTracker(tracker, prepared, reader, on_final=recording.add, options=options)
            stack.enter_context(recording)
            stack.enter_context(live)
            if server is not None:
                print(f"serving   {server.url}", flush=True)
            stack.enter_context(ending_politely(live))
            take_all(self.frames(live, server), target, reader, recording)
            state = reader.state
            live.close()
            report = live.report()
        recording.print()
        if target is not None:
            # Each recording is another run, as live frames depend on the time they take.
            run, read = str(uuid.uuid4()), [self.source, self.queries, *pictures]
            conclude(outputs[:2], track_products(target), "track", run, *read)
        print(f"source    {state.value}: {reader.message or reader.name}")
        policy = "the source waits" if self.no_drop else "the newest wins"
        print_report(report, policy, "object" if prompts else "point")
        recording.tally.print()
        return 0 if state is LiveState.ENDED else 1

    def check_alone(self) -> None:
        """Raise ValueError for an option that does not apply to objects."""
        for name in ("grid", "points", "queries", "states", "redetect", "regions", "smooth"):
            if getattr(self, name):
                raise ValueError(
                    f"{name}: expected points, or objects to follow (click, box, mask), got both"
                )

    @property
    def stem(self) -> str:
        """Base name of a recording in a folder: that of the source file, or live."""
        return stem_of(Path(self.source)) if Path(self.source).exists() else "live"

    def opened_source(self) -> Any:
        """The source in a form that `FrameReader` takes."""
        if self.wh is not None:
            if self.source != "-":
                raise ValueError(
                    f"wh: expected only with bare frames on standard input (-), got {self.source!r}"
                )
            return raw_frames(sys.stdin.buffer, parse_wh(self.wh))
        return int(self.source) if self.source.isdigit() else self.source

    def frames(self, live: AnyLive, server: LiveServer | None) -> Iterator[tuple[np.ndarray, float]]:
        """Drawn frames with their times, until the source or the user ends the run; shows and serves each."""
        aspect = live.reader.pixel_aspect
        drawer = (
            MaskDrawer(MaskStyle(label="score"), aspect)
            if isinstance(live, LiveObjects)
            else Trail(self.style, aspect)
        )
        count, waited = 0, 0.0
        result: LiveResult | LiveMasks | None = None
        while not live.over:
            preview = live.take(0.1)
            waited = 0.0 if preview is not None else waited + 0.1
            result = preview or result
            if server is not None:
                server.set_state(state_of(live, result))
            if self.show and cv2.waitKey(1) & 0xFF == ord("q"):
                live.stop()
            if self.give_up is not None and waited > self.give_up:
                return
            if preview is None:
                continue
            count += 1
            if count == self.max_frames:
                live.stop(f"ended by --max-frames {count}")
            row = preview.masks if isinstance(preview, LiveMasks) else preview.tracks
            ((drawn, seconds),) = drawer.draw(Piece(row, [(preview.frame, preview.seconds)]))
            if server is not None:
                server.show(drawn)
            if self.show:
                cv2.imshow(WINDOW, cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
            yield drawn, seconds


def take_all(
    frames: Iterator[tuple[np.ndarray, float]], target: Path | None, reader: FrameReader, recording: Recording
) -> None:
    """Take all drawn frames, and write them to the video `target` if there is one. Raises ValueError if none comes."""
    first = next(frames, None)
    if first is None:
        recording.discard()
        raise ValueError(reader.message or f"{reader.name}: no frame came")
    everything = itertools.chain([first], frames)
    if target is None:
        for _ in everything:
            pass
        return
    aspect = reader.pixel_aspect
    written = write_video(target, VideoStream(everything, reader.fps, None, reader.name, pixel_aspect=aspect))
    print(f"video     {written}")


def parse_wh(text: str) -> tuple[int, int]:
    """A size like 640x480 as (width, height). Raises ValueError for a text of another form."""
    width, cross, height = text.partition("x")
    if not (cross and width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise ValueError(f"wh: expected width x height as in 640x480, got {text!r}")
    return int(width), int(height)


def open_window() -> None:
    """Open the window. Raises ValueError if this machine or this OpenCV has none."""
    display = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if sys.platform.startswith("linux") and not display:  # Qt would end the whole process
        raise ValueError("show: expected a display, found none; use --serve and a browser, or --out")
    try:
        cv2.namedWindow(WINDOW, cv2.WINDOW_NORMAL)
    except cv2.error as error:
        raise ValueError(
            "show: expected an OpenCV with windows, got opencv-python-headless; install opencv-python, "
            "or use --serve and a browser, or --out"
        ) from error


def state_of(live: AnyLive, result: LiveResult | LiveMasks | None) -> dict[str, Any]:
    """The state that viewers get, ready for JSON; `points` or `objects` are those of the newest frame."""
    report = live.report()
    state: dict[str, Any] = {
        "state": live.state.value,
        "message": live.reader.message,
        "frames": report.frames,
        "dropped": report.dropped,
        "fps": round(report.fps, 2),
    }
    if result is not None:
        state |= {"lag": result.lag, "latency_ms": round(1000 * result.latency, 1), "number": result.number}
    if isinstance(result, LiveMasks):
        return state | objects_of(result.masks)
    if result is not None:
        row = result.tracks
        numbers = zip(
            row.ids.tolist(),
            row.xy[0].tolist(),
            row.visibility[0].tolist(),
            row.confidence[0].tolist(),
            strict=True,
        )
        state["points"] = [
            {
                "id": point,
                "x": x if np.isfinite(x) else None,
                "y": y if np.isfinite(y) else None,
                "visibility": round(visibility, 4),
                "confidence": round(confidence, 4),
            }
            for point, (x, y), visibility, confidence in numbers
        ]
        if row.states is not None:
            states = [PointState(number) for number in row.states.state[0].tolist()]
            for point, name in zip(state["points"], states, strict=True):
                point["state"] = word(name)
            state["states"] = {word(name): states.count(name) for name in PointState}
            state["cuts"] = latest_cuts(live)
    return state


def latest_cuts(live: AnyLive) -> list[int]:
    """The newest frames on which a shot begins, if a stage of points looks for cuts."""
    if isinstance(live, LiveObjects) or live.stream is None:
        return []
    return sorted(live.stream.cuts)[-LATEST_CUTS:]


def print_report(report: LiveReport, policy: str, what: str) -> None:
    """Print the figures of a run."""
    print(
        f"tracked   {counted(report.frames, 'frame')}, {report.fps:.1f} per second; {report.dropped} dropped ({policy}); "
        f"final after at most {counted(report.lag, 'frame')}"
    )
    for points, (p50, p95, count) in report.latency_ms.items():
        number, over = counted(points, what), counted(count, "frame")
        print(f"latency   {number}: p50 {p50:.0f} ms, p95 {p95:.0f} ms, over {over}")


@contextmanager
def ending_politely(live: AnyLive) -> Iterator[None]:
    """Make Ctrl-C and SIGTERM end the source first, so that everything is written; a second one ends the process."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield
        return

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(number: int, frame: Any) -> None:
        restore()
        live.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        restore()
