"""Track videos inside a Ray Data pipeline: rows with a path come in, rows with tracks go out, one model per process."""

import os
from pathlib import Path

os.environ.setdefault(
    "RAY_worker_niceness", "0"
)  # read when Ray starts: its processes would run behind all others

import numpy as np
import ray

import pointtrack as pt

CLIP = Path(pt.__file__).parent / "assets" / "clip.mp4"  # any videos of yours


class TrackPoints:
    """Loads the tracker once, then turns batches of paths into long tables: a row for each frame and point."""

    def __init__(self, grid: int) -> None:
        self.tracker, self.grid = pt.Tracker("small", device="cpu"), grid

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        tables = []
        for path in batch["video"]:
            video = pt.read_video(str(path), max_frames=16)
            tracks = self.tracker.track(video, pt.grid_queries(video, self.grid))
            t, n = tracks.visibility.shape
            tables.append(
                {
                    "video": np.repeat(str(path), t * n),
                    "frame": np.repeat(np.arange(t), n),
                    "point": np.tile(tracks.ids.numpy(), t),
                    "x": tracks.xy[..., 0].flatten().numpy(),
                    "y": tracks.xy[..., 1].flatten().numpy(),
                    "visibility": tracks.visibility.flatten().numpy(),
                }
            )
        return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


if __name__ == "__main__":
    ray.init(address=os.environ.get("RAY_ADDRESS", "local"), num_cpus=2, log_to_driver=False)
    paths = ray.data.from_items([{"video": str(CLIP)}])
    # One process, not more than there are CPUs: Ray Data needs some for itself, and actors that hold all of them wait for ever.
    tracks = paths.map_batches(
        TrackPoints,
        fn_constructor_kwargs={"grid": 4},
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=1),
        num_cpus=1,
    )
    table = tracks.to_pandas()
    print(table.groupby("video")[["frame", "point"]].max())
    print(f"{len(table)} rows, {(table.visibility > 0.5).mean():.0%} visible")
    ray.shutdown()
