"""Measure rates to estimate a large batch: CPU time to decode and to track a frame, and bytes of results.

python -m benchmarks.fleet_rates bear.mp4 --decoded dog.mp4
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import pointtrack as pt
from benchmarks.machine import machine, save_figures, use_threads
from pointtrack.cli.runner import run_command
from pointtrack.fleet.tables import tracks_table, write_tables


def bench(
    video: str,
    decoded: str | None = None,
    grid: int = 20,
    max_frames: int | None = None,
    tracker: str = "small",
    out: Path = Path("outputs/bench_fleet_rates.json"),
) -> None:
    """Decode and track a video on one core, and print the cost of each.

    Args:
        video: video to track.
        decoded: video to decode only; by default the same.
        grid: points per side.
        max_frames: most frames to track.
        tracker: name of a tracker, or its .safetensors file.
        out: JSON file for the figures.
    """
    use_threads(1)
    began, count = time.process_time(), 0
    with pt.open_video(decoded or video) as stream:
        decoded_wh = stream.wh
        for _ in stream:
            count += 1
    decode = count / (time.process_time() - began)
    clip = pt.read_video(video, max_frames=max_frames)
    queries = pt.grid_queries(clip, grid)
    model = pt.Tracker(tracker, device="cpu")
    began = time.process_time()
    tracks = model.track(clip, queries)
    seconds = (time.process_time() - began) / len(clip)
    values = len(clip) * len(queries)
    with tempfile.TemporaryDirectory() as folder:
        npz = pt.save_tracks(Path(folder) / "tracks.npz", tracks).stat().st_size / values
        table = Path(folder) / "tracks.parquet"
        write_tables(table, [tracks_table("video", tracks, clip.times)], ["video"])
        parquet = table.stat().st_size / values
    print(f"decode    {decode:.0f} frames of {decoded_wh[0]} x {decoded_wh[1]} per second of a core")
    print(
        f"track     {seconds:.3f} s of a core for a frame of {clip.wh[0]} x {clip.wh[1]} with {len(queries)} points"
    )
    print(f"results   {npz:.1f} bytes for a point and frame in .npz, {parquet:.1f} in Parquet")
    figures = {
        "decode_fps": decode,
        "decoded_wh": decoded_wh,
        "track_s": seconds,
        "wh": clip.wh,
        "points": len(queries),
        "npz_bytes": npz,
        "parquet_bytes": parquet,
        **machine(),
    }
    save_figures(figures, out)


if __name__ == "__main__":
    sys.exit(run_command(lambda: bench, sys.argv[1:], "benchmarks.fleet_rates"))
