"""The same batch on this machine, in shards, on Ray, out of a store, and killed again and again: equal results, each once.

Sixty videos, six of them broken in different ways. Run with -m long; each takes minutes.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
import s3fs
import torch

import pointtrack as pt
from pointtrack.fleet import read_ledger
from tests.support.clips import save_small_network, write_broken, write_clips
from tests.support.object_store import object_store

ROOT = Path(__file__).parents[2]
# On a busy machine, where all limits of time grow with this one: POINTTRACK_BATCH_SECONDS=300 python -m pytest -m long tests/fleet
VIDEOS, KILLS = (
    int(os.environ.get("POINTTRACK_BATCH_VIDEOS", "60")),
    int(os.environ.get("POINTTRACK_BATCH_KILLS", "20")),
)
GOOD = VIDEOS - 6
GRID, SECONDS = 12, os.environ.get("POINTTRACK_BATCH_SECONDS", "30")
OPTIONS = ["--grid", str(GRID), "--device", "cpu", "--limit-frames", "20", "--limit-seconds", SECONDS]
PATIENCE = 30 * float(SECONDS)
TMP = Path(tempfile.mkdtemp(prefix="pointtrack-test-"))
pytestmark = pytest.mark.long
bucket = pytest.fixture(object_store)


def driver(source, out, *more):
    """A process that runs the command, on this tree."""
    network = ["--tracker", str(TMP / "little.safetensors")]
    command = [sys.executable, "-m", "pointtrack.cli.main", "batch", str(source), "--out", str(out)]
    command += [*OPTIONS, *network, *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(source, out, *more, code=3):
    process = driver(source, out, *more)
    printed, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, printed
    return printed


def results(out: Path) -> dict[str, bytes]:
    """Name of a video -> all bits of its tracks."""
    found = {}
    for path in sorted((out / "tracks").rglob("*.npz")):
        found[path.relative_to(out / "tracks").as_posix()] = bits_of(pt.load_tracks(path))
    return found


def bits_of(tracks: pt.Tracks) -> bytes:
    return b"".join(part.numpy().tobytes() for part in (tracks.xy, tracks.visibility, tracks.confidence))


def all_rows(out: Path) -> list[dict]:
    """Every row of every ledger file, not only the newest."""
    rows = []
    for path in (out / "ledger").iterdir():
        if path.suffix == ".parquet":
            rows += pq.read_table(path).to_pylist()
        else:
            rows += [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    return rows


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    save_small_network(TMP / "little.safetensors")
    folder = tmp_path_factory.mktemp("sixty")
    reasons = write_broken(folder / "bad")
    write_clips(folder, VIDEOS - len(reasons))
    return folder, {f"bad/{name}": reason for name, reason in reasons.items()}


@pytest.fixture(scope="module")
def by_hand(source):
    """What a loop in this process gives, which all others must equal to the last bit."""
    folder, _ = source
    tracker, found = pt.Tracker(TMP / "little.safetensors", device="cpu"), {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for path in sorted(folder.rglob("clip*.mp4")):
        video = pt.read_video(path)
        tracks = tracker.track(video, pt.grid_queries(video, GRID))
        found[f"{path.relative_to(folder).as_posix()}.npz"] = bits_of(tracks)
    torch.set_num_threads(threads)
    return found


def test_local(source, by_hand, tmp_path):
    printed = run(source[0], tmp_path, "--workers", "2")
    assert f"videos    {VIDEOS}: {GOOD} done, 6 put aside, 0 left" in printed
    rows = {row["key"]: row for row in read_ledger(tmp_path, ["key", "status", "reason"]).to_pylist()}
    assert {key: row["reason"] for key, row in rows.items() if row["status"] == "failed"} == source[1]
    assert results(tmp_path) == by_hand


def test_shards(source, by_hand, tmp_path):
    drivers = [driver(source[0], tmp_path, "--workers", "1", "--shard", f"{i}/3") for i in range(3)]
    assert {process.wait(timeout=PATIENCE) for process in drivers} <= {0, 3}
    assert results(tmp_path) == by_hand
    assert set(Counter(row["key"] for row in all_rows(tmp_path)).values()) == {1}


def test_ray_with_two_workers(source, by_hand, tmp_path):
    printed = run(source[0], tmp_path, "--ray", "local", "--workers", "2")
    assert f"videos    {VIDEOS}: {GOOD} done, 6 put aside, 0 left" in printed
    assert results(tmp_path) == by_hand
    assert set(Counter(row["key"] for row in all_rows(tmp_path)).values()) == {1}


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    """Processes of Python that the driver spawned for videos."""
    try:
        children = psutil.Process(process.pid).children()
        return [child for child in children if any("spawn_main" in part for part in child.cmdline())]
    except psutil.NoSuchProcess:
        return []


def test_killed_at_random_moments(source, by_hand, tmp_path):
    """Workers and drivers die; then the same command once more does what is missing."""
    chance = random.Random(0)
    process = driver(source[0], tmp_path, "--workers", "2")
    killed: Counter[str] = Counter()
    while sum(killed.values()) < KILLS:
        began, before = time.monotonic(), len(results(tmp_path))
        while process.poll() is None and time.monotonic() - began < PATIENCE / 5:  # while it starts, or works
            if workers_of(process) and (sum(killed.values()) % 2 or len(results(tmp_path)) > before):
                break
            time.sleep(0.5)
        time.sleep(chance.uniform(0.0, 5.0))
        workers = workers_of(process)
        if process.poll() is not None:
            process = driver(source[0], tmp_path, "--workers", "2", "--retry", "failed")
        elif chance.random() < 0.5 and workers:
            chance.choice(workers).send_signal(signal.SIGKILL)
            killed["worker"] += 1
        else:
            process.kill()
            process.wait()
            killed["driver"] += 1
            process = driver(source[0], tmp_path, "--workers", "2")
    process.kill()
    process.wait()
    printed = run(source[0], tmp_path, "--workers", "2", "--retry", "failed")
    assert f"{GOOD} done, 6 put aside, 0 left" in printed
    assert results(tmp_path) == by_hand
    done = Counter(row["key"] for row in all_rows(tmp_path) if row["status"] == "done")
    assert set(done.values()) == {1}
    assert len(done) == GOOD
    print(f"killed {dict(killed)}")


def test_out_of_a_store_into_a_store(source, by_hand, bucket, tmp_path):
    fs = s3fs.S3FileSystem()
    for path in sorted(source[0].rglob("*.mp4")):
        if path.is_file():  # not the one that hangs
            fs.put_file(str(path), f"{bucket[5:]}/in/{path.relative_to(source[0]).as_posix()}")
    printed = run(f"{bucket}/in", f"{bucket}/out", "--workers", "2")
    assert f"videos    {VIDEOS - 1}: {GOOD} done, 5 put aside, 0 left" in printed
    fs.invalidate_cache()
    fs.get(f"{bucket[5:]}/out/", f"{tmp_path}/out/", recursive=True)
    assert results(tmp_path / "out") == by_hand
    assert "now       0 videos" in run(f"{bucket}/in", f"{bucket}/out", "--workers", "2")
    assert set(Counter(row["key"] for row in all_rows(tmp_path / "out")).values()) == {1}
