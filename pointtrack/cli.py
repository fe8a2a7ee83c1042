"""The command `pointtrack`: `track`, `live`, `segment`, `convert`, `doctor`, and what is registered as an entry point `pointtrack.commands`.

How they are run is in `launch.py`.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from tqdm import tqdm

import pointtrack
from pointtrack.cli_data import DATA_COMMANDS
from pointtrack.cli_dense import DenseCommand
from pointtrack.cli_flat import does_not_fit, print_estimate, track_flat
from pointtrack.cli_live import LiveCommand
from pointtrack.cli_prompts import parse_points
from pointtrack.cli_segment import SegmentCommand
from pointtrack.draw import TrackStyle, contact_sheet, draw_tracks
from pointtrack.export import export_tracks, load_tracks, parse_exports, save_tracks
from pointtrack.launch import one_line, run_command
from pointtrack.models.checkpoint import save_checkpoint
from pointtrack.models.files import file_sha256
from pointtrack.models.tracker import PointTracker
from pointtrack.models.zoo import load_tracker
from pointtrack.predict import track
from pointtrack.queries import corner_queries, grid_queries, read_queries
from pointtrack.smooth import smooth_tracks
from pointtrack.types import Queries, Tracks, Video
from pointtrack.video import (
    VIDEO_CODECS,
    VideoStream,
    read_mask,
    read_video,
    stream_video,
    write_image,
    write_video,
)

GROUP = "pointtrack.commands"


@dataclass(frozen=True)
class TrackCommand:
    """Track points through a video; write the video with the tracks, a contact sheet and the numbers.

    Without any points a grid of 20 x 20 is tracked. The whole video is held in memory, unless it would take most of it,
    or --flat says so: then frames are read twice, one by one, memory does not grow with the length, and a run that was
    killed goes on with --resume.

    Args:
        video: a video file, a folder of pictures, or a URL.
        grid: track a grid of this many points per side.
        points: single points, each as frame,x,y in pixels: --points 0,120,80 10,300.5,210
        queries: CSV or JSON file of points.
        corners: track this many of the strongest corners.
        mask: picture as large as the video; grid and corners lie where it is not black.
        frame: frame of grid, corners and mask.
        tracker: name of a tracker (small, cotracker3-offline, ...), or its .safetensors or .pth file.
        device: cpu, cuda, mps, or auto.
        out: folder, or video file with the other results beside it.
        start: second of the video at which to begin.
        stop: second before which to end.
        max_frames: end after this many frames.
        backward: also track from each point's frame back to the first one.
        export: more files of the tracks besides .npz, comma-separated: csv, json, dlc, dlc-h5, napari, cvat, tapvid.
        smooth: even out positions over so many frames on each side, in the video and the exports; 0: not. The
            .npz keeps them as they were tracked, and a second one holds the smoothed ones.
        flat: never hold more than a window of frames. Points have no tracks before their own frames then.
        resume: go on with a flat run that was killed, given the same options; the result is the same.
        style: how the tracks are drawn.
    """

    video: str
    grid: int | None = None
    points: list[str] | None = None
    queries: str | None = None
    corners: int | None = None
    mask: str | None = None
    frame: int = 0
    tracker: str = "small"
    device: str = "auto"
    out: str = "outputs"
    start: float = 0.0
    stop: float | None = None
    max_frames: int | None = None
    backward: bool = True
    export: str | None = None
    smooth: int = 0
    flat: bool = False
    resume: bool = False
    style: TrackStyle = field(default_factory=TrackStyle)

    def run(self) -> None:
        """Do it, and print where the results are."""
        exports = parse_exports(self.export)
        if self.smooth < 0:
            raise ValueError(f"smooth: expected 0 or more frames on each side, got {self.smooth}")
        target = _video_target(self.out, Path(self.video).stem or "video")
        given = self.given_queries()
        with self.opened() as stream:
            too_large = does_not_fit(stream)
            if too_large and not self.flat:
                print(
                    f"flat      {stream.frame_count} frames would take most of this machine's memory: --flat"
                )
            if self.flat or self.resume or too_large:
                stream.close()
                self.run_flat(target, given, exports)
                return
            video = read_video(stream)
        queries = self.choose_queries(video, given)
        queries.check_inside(len(video), video.wh)
        tracker = load_tracker(self.tracker, device=self.device)
        print_estimate(tracker, queries, video.wh, len(video), flat=False)
        tracks = track_and_report(tracker, video, queries, backward=self.backward)
        shown = smooth_tracks(tracks, radius=self.smooth) if self.smooth else tracks
        write_results(video, shown, target, [], self.style)
        print(f"tracks    {save_tracks(target.with_suffix('.npz'), tracks)}")
        if self.smooth:
            print(f"smoothed  {save_tracks(target.with_name(f'{target.stem}_smooth.npz'), shown)}")
        for path in export_tracks(target.with_suffix(""), shown, exports, video):
            print(f"tracks    {path}")

    def run_flat(self, target: Path, given: Sequence[Queries], exports: Sequence[str]) -> None:
        """The same with frames that are read one by one."""
        if self.smooth:
            raise ValueError("smooth: expected 0 with --flat; smooth_tracks does it with the .npz afterwards")
        if self.video == "-":
            raise ValueError("flat: expected a video that can be read twice, got standard input")
        queries = self.choose_queries(self.picture(), given, self.frame)
        if self.backward and len(queries) and int(queries.frame.max()):
            raise ValueError(
                f"flat: expected points on frame 0, as nothing is tracked backward, got one on frame "
                f"{int(queries.frame.max())}; add --backward=false if tracks may begin there"
            )
        tracker = load_tracker(self.tracker, device=self.device)
        with self.opened() as stream:
            queries.check_inside(None, stream.wh)
        saved = track_flat(self.opened, tracker, queries, target, resume=self.resume, style=self.style)
        if exports:
            for path in export_tracks(target.with_suffix(""), load_tracks(saved), list(exports)):
                print(f"tracks    {path}")

    def opened(self) -> VideoStream:
        """The video from its first frame on."""
        return stream_video(self.video, start=self.start, stop=self.stop, max_frames=self.max_frames)

    def picture(self) -> Video:
        """The frame on which grid and corners lie, alone."""
        count = 0
        with self.opened() as stream:
            for count, (frame, _) in enumerate(stream, 1):
                if count - 1 == self.frame:
                    return Video(frame[None])
        raise ValueError(f"frame: expected 0..{count - 1}, got {self.frame}")

    def given_queries(self) -> list[Queries]:
        """The points that are known without the video."""
        parts = [parse_points(self.points)] if self.points else []
        return parts if self.queries is None else [*parts, read_queries(self.queries)]

    def choose_queries(self, video: Video, given: Sequence[Queries] = (), first: int = 0) -> Queries:
        """The given points, and those chosen on the video; a grid of 20 x 20 where there are none at all.

        `first` is the number of the video's first frame.
        """
        frame = self.frame - first
        mask = None if self.mask is None else read_mask(self.mask)
        parts = list(given)
        if self.corners is not None:
            parts.append(corner_queries(video, self.corners, frame, mask).moved(first))
        if self.grid is not None or not parts:
            size = 20 if self.grid is None else self.grid
            parts.append(grid_queries(video, size, frame, mask).moved(first))
        return parts[0] if len(parts) == 1 else Queries.concat(parts, renumber=True)


def track_and_report(
    tracker: PointTracker, video: Video, queries: Queries, *, backward: bool = True
) -> Tracks:
    """`pointtrack.track` with a progress bar on a terminal; prints what was done and how fast."""
    late = int(queries.frame.max()) if len(queries) else 0
    total = len(video) + (late + 1 if backward and late else 0)
    began = time.perf_counter()
    with tqdm(total=total, desc="tracking", unit="frame", disable=None, leave=False) as bar:
        tracks = track(
            tracker, video, queries, backward=backward, progress=lambda done: bar.update(done) and None
        )
    seconds = time.perf_counter() - began
    device = next(tracker.parameters()).device
    print(f"tracker   {tracker.config.name} ({tracker.config.licence}) on {device}")
    print(
        f"tracked   {len(queries)} points through {len(video)} frames of {video.wh[0]} x {video.wh[1]} in "
        f"{seconds:.1f} s: {len(video) / seconds:.1f} frames per second"
    )
    return tracks


def write_results(
    video: Video, tracks: Tracks, target: Path, files: Sequence[Path], style: TrackStyle | None = None
) -> None:
    """Write the video with its tracks to `target`, a contact sheet beside it, and the tracks to `files`."""
    drawn = draw_tracks(video, tracks, style)
    print(f"video     {write_video(target, drawn)}")
    print(f"pictures  {write_image(target.with_suffix('.png'), contact_sheet(drawn))}")
    for path in files:
        print(f"tracks    {save_tracks(path, tracks)}")


def _video_target(out: str, stem: str) -> Path:
    """The video file to write: `out` itself, or out/stem.mp4 where `out` is a folder."""
    path = Path(out)
    if path.suffix.lower() in VIDEO_CODECS and not path.is_dir():
        return path
    if path.suffix and not path.is_dir():
        raise ValueError(f"out: expected a folder or a file in {', '.join(VIDEO_CODECS)}, got {out!r}")
    if path.exists() and not path.is_dir():
        raise ValueError(f"out: expected a folder or a video file, but {out} is a file of another kind")
    return path / f"{stem}.mp4"


def doctor(tracker: str = "small", device: str = "auto") -> int:
    """Say what this installation consists of, and whether it can track.

    Args:
        tracker: name of a tracker (small, cotracker3-offline, ...), or its .safetensors or .pth file.
        device: cpu, cuda, mps, or auto.
    """
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    print(f"pointtrack {pointtrack.__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(f"torch      {torch.__version__}, {torch.get_num_threads()} threads, {cuda}")
    print(f"OpenCV     {cv2.__version__}, PyAV {av.__version__}, {os.cpu_count()} cores")
    entries = _entry_points()
    for name in entries:
        try:
            _load(name, entries)
        except ValueError as error:
            print(f"command    {error}")
    try:
        model = load_tracker(tracker, device=device)
        parameters = sum(p.numel() for p in model.parameters())
        print(
            f"tracker    {model.config.name}, {parameters / 1e6:.1f} million parameters, {model.config.licence}"
        )
        error_px, seconds = _track_known_motion(model)
    except Exception as error:  # whatever it is, the doctor is there to say it
        print(f"PROBLEM    {type(error).__name__}: {one_line(error)}")
        return 1
    print(f"self-test  a moving texture of 12 frames tracked in {seconds:.1f} s, {error_px:.2f} pixels off")
    if not error_px < 4:
        print("PROBLEM    the tracker loses an easy texture (expected less than 4 pixels): broken weights?")
        return 1
    print("ok")
    return 0


def convert(weights: str, out: str, half: bool = False, sha256: str | None = None) -> None:
    """Write the weights of a published tracker as one .safetensors file that needs no name beside it.

    Args:
        weights: a .pth or .safetensors file, or the name of a published tracker, downloaded if need be.
        out: the .safetensors file to write.
        half: in half precision: half as large, and no longer exactly the same answers.
        sha256: digest that the file of weights must have.
    """
    path = Path(out)
    if path.suffix != ".safetensors":
        raise ValueError(f"out: expected a .safetensors file, got {out!r}")
    tracker = load_tracker(weights, device="cpu", sha256=sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, tracker, half=half)
    print(f"tracker   {tracker.config.name}, under {tracker.config.licence}")
    print(f"weights   {path}, {path.stat().st_size / 1e6:.1f} MB, SHA-256 {file_sha256(path)}")


def _track_known_motion(tracker: PointTracker) -> tuple[float, float]:
    """Mean error in pixels on a texture that moves by a known step, and the seconds it took."""
    step = np.array([3, 2])
    noise = np.random.default_rng(0).normal(size=(300, 400, 3)).astype(np.float32)
    picture = cv2.GaussianBlur(noise, (0, 0), 1.5) + 2 * cv2.GaussianBlur(noise, (0, 0), 4)
    picture = np.clip(128 + 40 * picture / picture.std(), 0, 255).astype(np.uint8)
    corners = [33 - step * t for t in range(12)] + np.array([0, 0])
    video = Video(np.stack([picture[y : y + 192, x : x + 256] for x, y in corners]))
    queries = Queries(frame=[0] * 4, xy=[[60, 50], [160, 50], [60, 120], [160, 120]])  # type: ignore[arg-type]
    began = time.perf_counter()
    tracks = track(tracker, video, queries)
    truth = queries.xy + torch.arange(len(video))[:, None, None] * torch.from_numpy(step)
    return float((tracks.xy - truth).norm(dim=-1).mean()), time.perf_counter() - began


COMMANDS: Mapping[str, Callable[..., Any]] = {
    "convert": convert,
    "doctor": doctor,
    "dense": DenseCommand,
    "live": LiveCommand,
    "segment": SegmentCommand,
    "track": TrackCommand,
    **DATA_COMMANDS,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `pointtrack` with the given arguments (by default those of the process); returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if " ".join(arguments[:2]) in DATA_COMMANDS:
        arguments[:2] = [" ".join(arguments[:2])]
    entries = _entry_points()
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview(entries))
        return 0
    if arguments[0] == "--version":
        print(f"pointtrack {pointtrack.__version__}")
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS and name not in entries:
        known = ", ".join(sorted({*COMMANDS, *entries}))
        print(f"pointtrack: error: expected one of the commands {known}, got {name!r}", file=sys.stderr)
        return 2
    return run_command(lambda: _load(name, entries), rest, f"pointtrack {name}")


def _entry_points() -> dict[str, metadata.EntryPoint]:
    """Commands of other packages by name."""
    return {entry.name: entry for entry in metadata.entry_points(group=GROUP)}


def _load(name: str, entries: Mapping[str, metadata.EntryPoint]) -> Callable[..., Any]:
    """The command of that name; ValueError where a package that it needs is not installed."""
    try:
        return COMMANDS.get(name) or entries[name].load()
    except ImportError as error:
        raise ValueError(f"{name} cannot be used: {error}; try pip install 'pointtrack[{name}]'") from error


def _overview(entries: Mapping[str, metadata.EntryPoint]) -> str:
    lines = ["usage: pointtrack COMMAND ...", "", "Track any point through any video.", "", "commands:"]
    for name in sorted({*COMMANDS, *entries}):
        try:
            about = (_load(name, entries).__doc__ or "").strip().partition("\n")[0]
        except ValueError as error:
            about = f"({error})"
        lines.append(f"  {name:14}{about}")
    lines += [
        "",
        "pointtrack COMMAND --help shows its options; --debug, or POINTTRACK_DEBUG=1, full error reports.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
