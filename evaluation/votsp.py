"""Track the points of a VOT toolkit folder, for its point challenge VOTSp: `python -m evaluation.votsp FOLDER`.

The toolkit starts a tracker in such a folder once per sequence. In the workspace's trackers.ini, for a checkout in CHECKOUT:

    [pointtrack]
    protocol = folder
    command = CHECKOUT/.venv/bin/python -m evaluation.votsp
    env_PYTHONPATH = CHECKOUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from pointtrack.cli.runner import run_command
from pointtrack.io.atomic import atomic_path
from pointtrack.io.outside import finite, reading, whole
from pointtrack.io.video import read_video
from pointtrack.tracker import Tracker
from pointtrack.types import Queries, Tracks

FRAMES = "frames_color.txt"
ABSENT = "0"


def votsp_command(folder: Path = Path(), tracker: str = "small") -> None:
    """Track the points of a folder as the VOT toolkit writes it, and write the answers beside them.

    The folder holds frames_color.txt, a path of a frame per line, and for every point query_ID.txt: the number of a frame,
    and x,y there. Each gets output_ID.txt: for every frame 0 before that one, and x,y from it on.

    Args:
        folder: that folder; the current one if left out, where the toolkit starts trackers.
        tracker: name or file of the tracker.

    Raises:
        FileNotFoundError: no frames or no queries there. ValueError: a query that is not of a point.

    Source: folder protocol of the VOT toolkit (0.9), point challenge of VOTS 2026.
    """
    with reading(folder / FRAMES, "a path of a frame per line"):
        paths = [
            line.strip()
            for line in (folder / FRAMES).read_text(encoding="utf-8").splitlines()
            if line.strip()
        ]
    if not paths:
        raise ValueError(f"{folder / FRAMES}: expected a path of a frame per line, got none")
    files = sorted(folder.glob("query_*.txt"))
    if not files:
        raise FileNotFoundError(f"VOTSp: expected files query_ID.txt in {folder}, found none")
    queries = Queries.concat([read_query(path) for path in files], renumber=True)
    tracks = Tracker(tracker).track(read_video([folder / path for path in paths]), queries)
    for number, path in enumerate(files):
        write_answer(path.with_name(path.name.replace("query", "output", 1)), tracks, number)


def read_query(path: Path) -> Queries:
    """The point of a query file. Raises ValueError for one of something else."""
    with reading(path, "the number of a frame, and below it x,y of a point"):
        frame, place, *_ = path.read_text(encoding="utf-8").splitlines()
        x, y = (finite(float(value), "a coordinate") for value in place.split(","))
        return Queries(torch.tensor([whole(int(frame), "the frame")]), torch.tensor([[x, y]]))


def write_answer(path: Path, tracks: Tracks, number: int) -> None:
    """One line per frame for the point at a place in the tracks."""
    start = int(tracks.queries.frame[number])
    rows = [f"{x:.3f},{y:.3f}" for x, y in tracks.xy[start:, number].tolist()]
    with atomic_path(path) as part:
        part.write_text("\n".join([ABSENT] * start + rows) + "\n", encoding="ascii")


if __name__ == "__main__":
    sys.exit(run_command(lambda: votsp_command, sys.argv[1:], "evaluation.votsp"))
