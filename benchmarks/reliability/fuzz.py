"""Fuzzing of every reader: `make fuzz`, or python -m benchmarks.reliability.fuzz --inputs 10000.

Damaged and hostile inputs are read in child processes with limits of memory and time. Counted are: answers (the input was
still good), one-line errors (ValueError or OSError that a command prints as one line), and faults: crashes, tracebacks of other
kinds, errors of several lines, hangs, files written outside.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

MEMORY = 6 << 30
SECONDS = 60  # for one input; a machine that does other things too is slow
GOOD = ("answer", "error")


def fuzz(inputs: int, seed: int = 0, jobs: int = 1) -> dict[str, Any]:
    """Read that many mutated inputs; what came of them, and the faults with what repeats them."""
    from benchmarks.reliability.mutate import seeds_of

    return {"seed": seed, **fuzz_seeds(seeds_of(inputs, seed), jobs)}


def fuzz_seeds(seeds: list[int], jobs: int = 1) -> dict[str, Any]:
    """The same for inputs by their seeds, as faults are reported with."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pointtrack-fuzz-") as folder:
        root = Path(folder)
        results: list[dict[str, Any]] = []
        running: list[tuple[subprocess.Popen[str], Path, list[int]]] = []
        todo = [seeds[i::jobs] for i in range(jobs)]
        for number, share in enumerate(todo):
            if share:
                running.append(_start(root / f"job{number}", share))
        while running:
            child, place, share = running.pop(0)
            share, done, fault = _watch(child, place, share)
            results += done
            if fault is not None:
                results.append(fault)
            if share:
                running.append(_start(place, share))
    return {**summary(results), "seconds": time.monotonic() - began}


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of what came of inputs."""
    counts = Counter(row["result"] for row in results)
    by_kind: dict[str, Counter[str]] = {}
    for row in results:
        by_kind.setdefault(row["kind"], Counter())[row["result"]] += 1
    return {
        "inputs": len(results),
        "counts": dict(counts),
        "kinds": {kind: dict(found) for kind, found in sorted(by_kind.items())},
        "faults": [row for row in results if row["result"] not in GOOD],
    }


def _start(place: Path, seeds: list[int]) -> tuple[subprocess.Popen[str], Path, list[int]]:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / "seeds.json").write_text(json.dumps(seeds))
    child = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", "benchmarks.reliability.fuzz", "--child", str(place)],
        stdout=subprocess.DEVNULL, stderr=(place / "stderr").open("w"), text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    return child, place, seeds


def _watch(
    child: subprocess.Popen[str], place: Path, seeds: list[int]
) -> tuple[list[int], list[dict[str, Any]], dict[str, Any] | None]:
    """Wait for a child; the seeds that are left, what it found, and the fault that ended it."""
    log, seen, since = place / "log", 0, time.monotonic()
    hung = False
    while child.poll() is None:
        time.sleep(0.05)
        size = log.stat().st_size if log.exists() else 0
        if size != seen:
            seen, since = size, time.monotonic()
        elif time.monotonic() - since > SECONDS:
            child.kill()
            hung = True
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    done = [row for row in rows if row["result"] != "begun"]
    if child.returncode == 0 and not hung:
        return [], done, None
    begun = [row for row in rows if row["result"] == "begun"]
    last = (
        begun[len(done)]
        if len(begun) > len(done)
        else {"kind": "start", "seed": seeds[min(len(done), len(seeds) - 1)], "how": ""}
    )
    words = " | ".join((place / "stderr").read_text().splitlines()[-12:])[-1500:]
    fault = {**last, "result": "hang" if hung else "crash", "words": f"exit {child.returncode}: {words}"}
    return seeds[len(done) + 1 :], done, fault


def child(place: Path) -> None:
    """Read the inputs of some seeds; a line to the log before and after each."""
    from benchmarks.reliability.mutate import mutate
    from benchmarks.reliability.samples import make_samples

    samples = make_samples(place / "good")
    soft = MEMORY + _virtual()
    resource.setrlimit(resource.RLIMIT_AS, (soft, soft))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    outside = _listing(place, "work")
    with (place / "log").open("w", buffering=1) as log:
        for seed in json.loads((place / "seeds.json").read_text()):
            rng = np.random.default_rng(seed)
            sample = samples[int(rng.integers(len(samples)))]
            folder = place / "good" / sample.name
            work = place / "work"
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(folder, work)
            target = work / sample.path.relative_to(folder)
            how = ", ".join(
                mutate(target, rng) for _ in range(int(rng.integers(1, 3))) if target.stat().st_size
            )
            about = {"kind": sample.name, "seed": seed, "how": how}
            log.write(json.dumps({**about, "result": "begun"}) + "\n")
            result, words = _read(sample.read, target)
            if _listing(place, "work") != outside:
                result, words = "outside", "files were written outside of the input's folder"
            log.write(json.dumps({**about, "result": result, "words": words}) + "\n")


def _read(read: Any, target: Path) -> tuple[str, str]:
    try:
        read(target)
    except (ValueError, OSError) as error:
        text = str(error)
        short = (
            len(text) < 3000 and len(text.splitlines()) <= 6
        )  # lists of tensors take some lines; commands join them
        return ("error", "") if short else ("long error", text[:500])
    except BaseException as error:
        import traceback

        return "traceback", f"{type(error).__name__}: {error} | " + traceback.format_exc()[-900:]
    return "answer", ""


def _virtual() -> int:
    """Bytes of address space in use: libraries take gigabytes of it."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _listing(place: Path, apart: str) -> list[str]:
    return sorted(
        str(p) for p in place.rglob("*") if apart not in p.relative_to(place).parts[:1] and p.name != "log"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument(
        "--log", type=Path, help="the log of a child that is still at work: count what it has done so far"
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        child(arguments.child)
        return 0
    if arguments.log is None:
        figures = fuzz(arguments.inputs, arguments.seed, arguments.jobs)
    else:
        rows = [json.loads(line) for line in arguments.log.read_text().splitlines() if line.endswith("}")]
        figures = {**summary([row for row in rows if row["result"] != "begun"]), "seconds": float("nan")}
    for row in figures["faults"]:
        print(f"{row['result']}: {row['kind']}, seed {row['seed']} ({row['how']}): {row.get('words', '')}")
    print(f"{figures['inputs']} inputs in {figures['seconds']:.0f} s: {figures['counts']}")
    if arguments.out is not None:
        from pointtrack.io.atomic import write_text

        write_text(arguments.out, json.dumps(figures, indent=1) + "\n")
    return 1 if figures["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
