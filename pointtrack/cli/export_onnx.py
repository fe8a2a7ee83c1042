"""The command `pointtrack export-onnx`: a tracker as ONNX graphs, compared with the tracker on a video."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from pointtrack.checks import counted
from pointtrack.cli.extras import needs_extra
from pointtrack.io.outputs import check_outputs
from pointtrack.io.video import read_video
from pointtrack.models.point_tracker import PointTracker
from pointtrack.onnx.export import export_graphs, operators
from pointtrack.onnx.manifest import ENCODER, FILE
from pointtrack.onnx.runtime import OnnxTracker
from pointtrack.pipeline.backward import track_video
from pointtrack.tracking.queries import grid_queries
from pointtrack.tracking.window_stream import model_wh
from pointtrack.types import Queries, Tracks, Video
from pointtrack.zoo import load_tracker

GRAPH = re.compile(rf"{re.escape(ENCODER)}|refine_\d+\.onnx")
WIDE_WH = (1920, 1080)  # the shape of most videos


@dataclass(frozen=True)
class ExportOnnxCommand:
    """Write a tracker as ONNX graphs: the encoder, and a round of refinement for fixed numbers of points.

    `pointtrack.onnx.runtime.OnnxTracker` loads the folder as a tracker. Graphs take frames of one size only: that of --wh,
    else the tracking size of the --check video, else that of 16:9 videos.

    Args:
        out: folder for the graphs.
        tracker: name of a tracker (small, cotracker3-online, ...), or its .safetensors or .pth file.
        wh: size of the network's input, width x height in pixels.
        points: numbers of points to write graphs for; support points count.
        frames: length of the clips, for a tracker that takes a whole video at once.
        check: video to track with both torch and the graphs, to compare their results and speed.
        check_frames: number of frames of that video.
        grid: points per side of the grid in that comparison.
        threads: threads for each of the two; by default they choose.
        repeats: runs of each, in turns; the fastest counts.
    """

    out: str
    tracker: str = "small"
    wh: str | None = None
    points: str = "64,256,1024"
    frames: int | None = None
    check: str | None = None
    check_frames: int = 24
    grid: int = 8
    threads: int | None = None
    repeats: int = 2

    def run(self) -> None:
        """Write the graphs, and print what was written and the result of the comparison."""
        points = _numbers("points", self.points, ",")
        if self.repeats < 1:
            raise ValueError(f"repeats: expected 1 or more, got {self.repeats}")
        before = self._earlier()
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        # The packages warn of operators that no tracker uses, and of what they leave unchanged.
        for name in ("torch.onnx._internal.exporter._registration", "onnxscript"):
            logging.getLogger(name).setLevel(logging.ERROR)
        tracker = load_tracker(self.tracker, device="cpu")
        video = None if self.check is None else read_video(self.check, max_frames=self.check_frames)
        wh = self._wh(tracker, video)
        queries = None if video is None else grid_queries(video, self.grid)
        if video is not None and (tracked := model_wh(video.wh, tracker.config)) != wh:
            # Before the graphs are written, which takes minutes.
            raise ValueError(
                f"wh: expected {tracked[0]}x{tracked[1]}, the size at which {self.check} is tracked, got {wh[0]}x{wh[1]}; "
                "leave out --wh, or give --check another video"
            )
        with needs_extra():
            written = export_graphs(tracker, self.out, wh, points=points, frames=self.frames)
            exported = OnnxTracker(self.out, threads=self.threads)
        print(f"tracker   {tracker.config.name} ({tracker.config.licence})")
        print(
            f"graphs    {self.out}, for frames of {written.wh[0]}x{written.wh[1]}, windows of {written.frames}"
        )
        for name in before - written.sha256.keys():  # which would be taken for graphs of this tracker
            (Path(self.out) / name).unlink(missing_ok=True)
        used: Counter[str] = Counter()
        for name in written.sha256:
            path = Path(self.out) / name
            used += operators(path)
            print(f"          {name}, {path.stat().st_size / 1e6:.1f} MB")
        print(f"operators {', '.join(sorted(used))}")
        if video is not None and queries is not None:
            for line in compare(tracker, exported, video, queries, repeats=self.repeats):
                print(line)

    def _earlier(self) -> set[str]:
        """The graphs of an earlier export to the same folder. Raises ValueError for a folder that takes none."""
        folder = Path(self.out)
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"out: expected a folder for the graphs, got the file {folder}")
        check_outputs([self.tracker, self.check], [], folders=[folder])
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        graphs = {name for name in names if GRAPH.fullmatch(name)}
        if others := sorted(names - graphs - {FILE}):
            raise ValueError(
                f"out: expected a new folder, or one with graphs alone, got {folder} with {others[0]} in it; choose another"
            )
        return graphs

    def _wh(self, tracker: PointTracker, video: Video | None) -> tuple[int, int]:
        if self.wh is None:
            return model_wh(WIDE_WH if video is None else video.wh, tracker.config)
        sides = _numbers("wh", self.wh, "x")
        if len(sides) != 2:
            raise ValueError(f"wh: expected width x height as in 768x432, got {self.wh!r}")
        return sides[0], sides[1]


def compare(
    tracker: PointTracker, exported: OnnxTracker, video: Video, queries: Queries, *, repeats: int = 2
) -> list[str]:
    """Track the same points with both, in turns after a warm-up run, and compare.

    Returns:
        Lines to print: the largest differences, and the speed of each.
    """
    engines = {"torch": tracker, "ONNX Runtime": exported}
    tracks = {name: track_video(engine, video, queries) for name, engine in engines.items()}
    best = dict.fromkeys(engines, float("inf"))
    for _ in range(repeats):
        for name, engine in engines.items():
            best[name] = min(best[name], _seconds(lambda engine=engine: track_video(engine, video, queries)))  # type: ignore[misc]
    ours, theirs = tracks.values()
    off_px = (ours.xy - theirs.xy).norm(dim=-1)
    off = (ours.visibility - theirs.visibility).abs().max()
    seen = ours.visible()
    most = ", ".join(
        f"{off_px[where].max() if where.any() else 0:.1e} px at most where the point is {name}"
        for name, where in (("visible", seen), ("hidden", ~seen))
    )
    rates = [f"{name} {len(video) / seconds:.2f}" for name, seconds in best.items()]
    ratio = best["torch"] / best["ONNX Runtime"]
    return [
        f"checked   {counted(len(queries), 'point')} through {counted(len(video), 'frame')} of {video.wh[0]} x {video.wh[1]}: positions differ by "
        f"{off_px.median():.1e} px in the middle, {most}; visibilities by {off:.1e}",
        f"speed     {', '.join(rates)} frames per second ({ratio:.2f} times as fast), fastest of {repeats}",
    ]


def _seconds(work: Callable[[], Tracks]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _numbers(option: str, text: str, between: str) -> list[int]:
    """Parse whole numbers with a separator between them."""
    parts = [part.strip() for part in text.split(between)]
    if not all(part.isdigit() for part in parts):
        raise ValueError(f"{option}: expected whole numbers with {between!r} between them, got {text!r}")
    return [int(part) for part in parts]
