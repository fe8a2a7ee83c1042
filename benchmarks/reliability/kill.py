"""Kills of every writer and every run that can be gone on with: python -m benchmarks.reliability.kill --kills 20.

An earlier result lies under the final name. A child process writes over it and is killed, by SIGKILL or SIGINT, at a random
moment; or meets a full disk (a limit on the size of files); or another process writes to the same place. Afterwards the earlier
result must be there, byte by byte, or the new one whole; and a run that is gone on with must end in the same tracks as one that
was never stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# What each writer writes, in a child: FOLDER and NUMBER say where, and which of two contents.
SETUP = """
import os, resource, signal, sys
from pathlib import Path
import numpy as np, torch
from pointtrack.types import Masks, Queries, Tracks, Video
folder, number = Path(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(number)
def video(): return Video(rng.integers(0, 255, (30, 96, 128, 3), np.uint8), fps=30)
def tracks():
    xy = torch.from_numpy(rng.uniform(0, 100, (100, 100, 2)).astype(np.float32)); seen = torch.ones(100, 100)
    return Tracks(xy, seen, seen, Queries([0] * 100, xy[0]), (160, 120))
def masks(): return Masks(rng.random((30, 2, 96, 128)) > 0.5, object_ids=[1, 2])
def go(): print("go", flush=True)
if len(sys.argv) > 3:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
"""
WRITERS = {
    "mp4": ("a.mp4", "from pointtrack.io.video import write_video; v = video(); go(); write_video(folder / 'a.mp4', v)"),
    "gif": ("a.gif", "from pointtrack.io.video import write_video; v = video().clip(0, 4); go(); write_video(folder / 'a.gif', v)"),
    "png": ("a.png", "from pointtrack.io.video import write_image; v = video(); go(); write_image(folder / 'a.png', np.tile(v.frames[0], (8, 8, 1)))"),
    "tracks.npz": ("a.npz", "from pointtrack.io.tracks import save_tracks; t = tracks(); go(); save_tracks(folder / 'a.npz', t)"),
    "tracks.csv": ("a.csv", "from pointtrack.io.tracks import save_tracks; t = tracks(); go(); save_tracks(folder / 'a.csv', t)"),
    "tracks.json": ("a.json", "from pointtrack.io.tracks import save_tracks; t = tracks(); go(); save_tracks(folder / 'a.json', t)"),
    "cvat": ("a.xml", "from pointtrack.io.tracks import save_tracks; t = tracks(); go(); save_tracks(folder / 'a.xml', t)"),
    "tapvid": ("t.npz", "from pointtrack.io.tracks import save_tracks; t = tracks(); go(); save_tracks(folder / 't.npz', t, format='tapvid')"),
    "masks.npz": ("m.npz", "from pointtrack.io.masks import save_masks; m = masks(); go(); save_masks(folder / 'm.npz', m)"),
    "masks.json": ("m.json", "from pointtrack.io.masks import save_masks; m = masks(); go(); save_masks(folder / 'm.json', m)"),
    "cutout": ("c.mov", "from pointtrack.io.masks import save_masks; m, v = masks(), video(); go(); save_masks(folder / 'c.mov', m, format='cutout', video=v)"),
    "cutout webm": ("c.webm", "from pointtrack.io.masks import save_masks; m, v = masks(), video(); go(); save_masks(folder / 'c.webm', m, format='cutout', video=v)"),
    "cutout mkv": ("c.mkv", "from pointtrack.io.masks import save_masks; m, v = masks(), video(); go(); save_masks(folder / 'c.mkv', m, format='cutout', video=v)"),
    "weights": ("w.safetensors", "from pointtrack.config import TrackerConfig; from pointtrack.models.checkpoint import save_checkpoint; from pointtrack.models.point_tracker import PointTracker; torch.manual_seed(number); t = PointTracker(TrackerConfig()); go(); save_checkpoint(folder / 'w.safetensors', t)"),
    "state": ("a.state", "from pointtrack.io.state_file import write_state; s = {'about': {'n': str(number)}, 'x': torch.rand(3_000_000)}; go(); write_state(folder / 'a.state', s)"),
}  # fmt: skip


def kill_writers(kills: int, rng: np.random.Generator, only: Collection[str]) -> dict[str, Counter[str]]:
    """Kill every writer so often, half the times each by SIGKILL and SIGINT, thrice by a full disk, and once twice at a time."""
    found = {}
    for name, (file, code) in WRITERS.items():
        if name not in only:
            continue
        with tempfile.TemporaryDirectory(prefix="pointtrack-kill-") as temporary:
            folder = Path(temporary)
            _start(code, folder, 1).wait()
            old = _Content.of(folder / file)
            shutil.copy(folder / file, folder / "kept")
            child = _start(code, folder, 2)
            child.begun()
            ready = time.monotonic()
            child.wait()
            span = max(time.monotonic() - ready, 0.02)
            new = _Content.of(folder / file)
            # Some containers have random numbers in them, so the same content is another file every time.
            _start(code, folder, 2).wait()
            if not new.is_in(folder / file) or old.is_in(folder / file):
                raise RuntimeError(
                    f"{name}: expected to know the same content again, and to tell it from the other"
                )
            counts: Counter[str] = Counter()
            for i in range(kills):
                shutil.copy(folder / "kept", folder / file)
                child = _start(code, folder, 2)
                child.begun()
                time.sleep(float(rng.uniform(0, span)))
                child.stop(signal.SIGKILL if i % 2 else signal.SIGINT)
                counts[_state(folder / file, old, new)] += 1
            for share in (0.0, 0.5, 0.95):  # of the new file, for which there is room
                shutil.copy(folder / "kept", folder / file)
                code_of_full = _start(code, folder, 2, max(int(share * new.size), 1)).wait()
                state = _state(folder / file, old, new)
                reported = state == "old" and code_of_full
                counts[
                    "full disk: kept, and reported"
                    if reported
                    else f"full disk: {state}, exit {code_of_full}"
                ] += 1
            pair = [_start(code, folder, n) for n in (1, 2)]
            for child in pair:
                child.wait()
            counts[
                f"two at a time: {'whole' if _state(folder / file, old, new) in ('old', 'new') else 'DESTROYED'}"
            ] += 1
            left = [
                path.name for path in folder.iterdir() if path.name.startswith(".") and "part" in path.name
            ]
            counts["left behind after the next writer"] += len(left)
            found[name] = counts
            print(f"{name:12} {dict(counts)}", flush=True)
    return found


RESUME = """
import sys
from pathlib import Path
import pointtrack.pipeline.resume as resume
resume.STATE_SECONDS = 0.0
from pointtrack.cli.main import main
folder, video, weights = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
print("go", flush=True)
sys.exit(main(["track", video, "--grid", "3", "--flat", "--tracker", weights, "--out", str(folder / "o.mp4"), "--device", "cpu",
    "--resume", *sys.argv[4:]]))
"""


RUNS: dict[str, list[str]] = {"flat": [], "flat with states": ["--states"]}


def kill_runs(kills: int, rng: np.random.Generator, only: Collection[str]) -> dict[str, Counter[str]]:
    """Kill flat runs at random moments, go on until they end, and compare with a run that was not stopped."""
    found: dict[str, Counter[str]] = {}
    if not set(only) & set(RUNS):
        return found
    with tempfile.TemporaryDirectory(prefix="pointtrack-kill-") as temporary:
        root = Path(temporary)
        make = """
import sys; import numpy as np
from pathlib import Path
from benchmarks.reliability.samples import _weights
from pointtrack.io.video import write_video
root, rng = Path(sys.argv[1]), np.random.default_rng(0)
texture = rng.integers(0, 255, (96, 128, 3), np.uint8)
write_video(root / "v.mp4", np.stack([np.roll(texture, t, 1) for t in range(60)]))
_weights(root / "w.safetensors")
"""
        _Child(make, [root]).wait()
        for name, options in RUNS.items():
            if name not in only:
                continue
            whole = root / name
            arguments = [root / "v.mp4", root / "w.safetensors", *options]
            began = time.monotonic()
            assert _Child(RESUME, [whole, *arguments]).wait() == 0
            span = time.monotonic() - began
            expected = _arrays(whole / "o.npz")
            counts: Counter[str] = Counter()
            while counts["kills"] < kills:
                folder = root / f"killed-{name}-{counts['kills']}"
                code: int | None = None
                for attempt in range(60):
                    child = _Child(RESUME, [folder, *arguments])
                    child.begun()
                    # Later and later, so that it comes to its end.
                    code = child.wait(float(rng.uniform(0, span * (0.5 + 0.1 * attempt))))
                    if code is not None:
                        break
                    child.stop(signal.SIGKILL if counts["kills"] % 2 else signal.SIGINT)
                    counts["kills"] += 1
                if code:
                    counts[f"did not come to its end: exit {code}"] += 1
                    break
                same = _same(_arrays(folder / "o.npz"), expected)
                counts["ended in the same tracks" if same else "ended in OTHER tracks"] += 1
                shutil.rmtree(folder)
            found[name] = counts
            print(f"{name:12} {dict(counts)}", flush=True)
    return found


class _Child:
    """Code in a forked process, which has all libraries already: a fresh one would take seconds to begin."""

    def __init__(self, code: str, arguments: list[Any]):
        ready, begins = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            self._run(code, arguments, begins)
        os.close(begins)
        self._ready = ready

    def _run(self, code: str, arguments: list[Any], begins: int) -> None:
        status = 1
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(begins, 1)
            os.dup2(quiet, 2)
            sys.argv = ["child", *map(str, arguments)]
            exec(compile(code, "child", "exec"), {"__name__": "child"})
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        except BaseException:
            status = 1
        finally:
            os._exit(status)

    def begun(self) -> None:
        """Wait until it says go."""
        os.read(self._ready, 3)

    def wait(self, timeout: float | None = None) -> int | None:
        """Its exit code, negative for a signal; None where it runs on after `timeout` seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            pid, status = os.waitpid(self.pid, 0 if until is None else os.WNOHANG)
            if pid:
                os.close(self._ready)
                return os.waitstatus_to_exitcode(status)
            if until is not None and time.monotonic() > until:
                return None
            time.sleep(0.002)

    def stop(self, number: int) -> None:
        """Send a signal, and wait until it is gone."""
        os.kill(self.pid, number)
        if self.wait(20.0) is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()


def _start(code: str, folder: Path, number: int, *more: Any) -> _Child:
    return _Child(SETUP + code, [folder, number, *more])


@dataclass(frozen=True, eq=False)
class _Content:
    """What is in a file; of a video also how bright its frames are, as encoders do not write the same bits twice."""

    digest: str
    brightness: np.ndarray | None
    size: int

    @classmethod
    def of(cls, path: Path) -> _Content:
        return cls(hashlib.sha256(path.read_bytes()).hexdigest(), _brightness(path), path.stat().st_size)

    def is_in(self, path: Path) -> bool:
        if hashlib.sha256(path.read_bytes()).hexdigest() == self.digest:
            return True
        if self.brightness is None:
            return False
        found = _brightness(path)
        return (
            found is not None
            and found.shape == self.brightness.shape
            and bool(np.abs(found - self.brightness).max() < 0.2)
        )


def _brightness(path: Path) -> np.ndarray | None:
    """(t, 3) means over each frame; None for what is no video."""
    from pointtrack.io.video import VIDEO_CODECS, read_video

    if path.suffix not in VIDEO_CODECS:
        return None
    try:
        return read_video(path).frames.mean((1, 2))
    except (OSError, ValueError):
        return None


def _state(path: Path, old: _Content, new: _Content) -> str:
    if not path.exists():
        return "GONE"
    return "old" if old.is_in(path) else "new" if new.is_in(path) else "DESTROYED"


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as data:
        return dict(data)


def _same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(
        np.array_equal(a[k], b[k], equal_nan=a[k].dtype.kind == "f") for k in a
    )


def lost(found: dict[str, Counter[str]]) -> int:
    """How often something was lost."""
    bad = (
        "DESTROYED",
        "GONE",
        "OTHER",
        "did not come",
        "full disk: new",
        "full disk: DESTROYED",
        "full disk: GONE",
        "exit 0",
    )
    return sum(
        n for counts in found.values() for key, n in counts.items() if any(word in key for word in bad)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="of each writer and of each kind of run")
    parser.add_argument(
        "--only",
        help="some writers or runs, comma-separated, or runs for all; other figures in --out are kept",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    import pointtrack.cli.main
    import pointtrack.io.masks
    import pointtrack.models.checkpoint  # noqa: F401  # all that children need

    torch.set_num_threads(1)
    chosen = arguments.only.split(",") if arguments.only else [*WRITERS, "runs"]
    writers = kill_writers(arguments.kills, rng, chosen)
    runs = kill_runs(arguments.kills, rng, list(RUNS) if "runs" in chosen else chosen)
    if arguments.out is not None and arguments.out.exists() and arguments.only:
        earlier = json.loads(arguments.out.read_text())
        writers = {**{k: Counter(v) for k, v in earlier["writers"].items()}, **writers}
        runs = {**{k: Counter(v) for k, v in earlier["runs"].items()}, **runs}
    total = sum(
        v.get("old", 0) + v.get("new", 0) + v.get("DESTROYED", 0) + v.get("GONE", 0) for v in writers.values()
    )
    total += sum(counts["kills"] for counts in runs.values())
    print(f"{total} kills, {lost(writers) + lost(runs)} losses")
    if arguments.out is not None:
        from pointtrack.io.atomic import write_text

        content = {"kills": total, "lost": lost(writers) + lost(runs), "writers": writers, "runs": runs}
        write_text(arguments.out, json.dumps(content, indent=1) + "\n")
    return 1 if lost(writers) + lost(runs) else 0


if __name__ == "__main__":
    sys.exit(main())
