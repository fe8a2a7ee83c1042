"""Renders many clips at once, each in its own process in the Kubric environment; a stopped run can continue.

A clip that exists is complete: workers build it in a folder `.making_*` and rename that at the end.
This module needs only numpy, so it runs in any environment.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from train.kubric.plan import RenderSettings

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
ENVIRONMENT = "POINTTRACK_KUBRIC_PYTHON"
# How often to replace a scene that fails its self-check.
ATTEMPTS = 4
REJECTED = 3  # the worker's exit status for such a scene


@dataclass
class FarmReport:
    """Result of a run.

    Attributes:
        rendered, there, failed: numbers of the clips made now, made before, and given up.
        rejected: number of scenes that failed the self-check.
        seconds: wall-clock time.
        cpu_seconds: CPU time of the workers whose clips were kept; the fair measure on a machine with other work.
    """

    rendered: list[int] = field(default_factory=list)
    there: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    rejected: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def clips_per_hour(self) -> float:
        return 3600 * len(self.rendered) / self.seconds if self.seconds else 0.0

    def cpu_seconds_per_clip(self) -> float:
        return self.cpu_seconds / max(len(self.rendered), 1)


def kubric_python() -> Path:
    """The interpreter of the Kubric environment.

    Raises:
        FileNotFoundError: the environment has not been built.
    """
    named = os.environ.get(ENVIRONMENT)
    python = Path(named) if named else ROOT / ".venv-kubric" / "bin" / "python"
    if not python.exists():
        raise FileNotFoundError(
            f"expected the Kubric environment's python at {python}, found none: run `make kubric-env` in {ROOT}, "
            f"or set {ENVIRONMENT} to one that has what train/kubric/requirements.txt lists"
        )
    return python


def clip_folder(out: Path, index: int) -> Path:
    return out / f"clip_{index:05d}"


def missing_clips(out: Path, count: int) -> list[int]:
    """Numbers below `count` without a folder."""
    return [index for index in range(count) if not clip_folder(out, index).is_dir()]


def first_attempt(out: Path, index: int) -> int:
    """Number of scenes of this clip rejected so far, so that the next attempt draws another scene."""
    path = out / "rejected.jsonl"
    if not path.exists():
        return 0
    return sum(json.loads(line)["index"] == index for line in path.read_text().splitlines())


def keep_settings(out: Path, settings: RenderSettings, **more: object) -> None:
    """Writes settings.json, or compares with an existing one, so that a folder never mixes two kinds of clips.

    Args:
        out: the folder.
        settings: settings of its clips.
        more: other values that must stay the same, of plain JSON types.

    Raises:
        ValueError: the folder has clips with other settings.
    """
    path, record = out / "settings.json", settings_record(settings) | more
    if not path.exists():
        path.write_text(json.dumps(record, indent=1))
        return
    before = json.loads(path.read_text())
    changed = [
        f"{name} was {before.get(name)}, now {record[name]}"
        for name in record
        if before.get(name) != record[name]
    ]
    if changed:
        raise ValueError(
            f"{out} was begun with other settings ({'; '.join(changed)}): use another folder for these clips"
        )


def settings_record(settings: RenderSettings) -> dict:
    """The settings in plain JSON types; folders become absolute paths."""
    record = asdict(settings)
    for name in ("textures", "meshes"):
        record[name] = str(Path(record[name]).resolve()) if record[name] else None
    record["manifests"] = [str(Path(path).resolve()) for path in record["manifests"]]
    record["wh"] = list(record["wh"])
    return record


def render_clips(out: Path, count: int, settings: RenderSettings, workers: int | None = None) -> FarmReport:
    """Renders those of the clips 0 to count - 1 that do not exist yet. Use one run at a time per folder.

    Args:
        out: folder for clip_00000, clip_00001, ..., settings.json, rejected.jsonl and logs of errors.
        count: total number of clips.
        settings: settings of the clips; must be the same as before if `out` has clips already.
        workers: number of clips to render at once; by default, the number of cores.

    Raises:
        FileNotFoundError: there is no Kubric environment, or a folder named in the settings is missing.
        ValueError: `out` has clips with other settings.
    """
    python = kubric_python()
    for folder in (settings.textures, settings.meshes, *settings.manifests):
        if folder is not None and not Path(folder).exists():
            raise FileNotFoundError(f"{folder}: expected a folder with assets or a manifest, found nothing")
    out.mkdir(parents=True, exist_ok=True)
    keep_settings(out, settings)
    for left in out.glob(".making_*"):
        shutil.rmtree(left)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = workers or cores
    started = time.monotonic()
    wanted = missing_clips(out, count)
    report = FarmReport(there=sorted(set(range(count)) - set(wanted)))
    order = {"settings": settings_record(settings), "threads": max(cores // workers, 1)}
    with ThreadPoolExecutor(workers) as pool:
        # If the run is stopped, map cancels the clips that have not begun.
        results = pool.map(lambda index: _one_clip(python, out, index, order), wanted)
        for index, rejected in zip(wanted, results, strict=True):
            report.rejected += rejected
            (report.rendered if clip_folder(out, index).is_dir() else report.failed).append(index)
    for index in report.rendered:
        scene = json.loads((clip_folder(out, index) / "scene.json").read_text())
        report.cpu_seconds += sum(scene["cpu_seconds"].values())
    report.seconds = time.monotonic() - started
    return report


def _one_clip(python: Path, out: Path, index: int, order: dict) -> int:
    """Runs workers until the clip exists or all attempts are used up; returns how many were rejected."""
    target, begun = clip_folder(out, index), time.monotonic()
    first = first_attempt(out, index)
    for attempt in range(first, max(ATTEMPTS, first + 1)):
        job = order | {"index": index, "attempt": attempt, "target": str(target.resolve())}
        command = [str(python), "-m", "train.kubric.worker", json.dumps(job)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
        if done.returncode == 0 and target.is_dir():
            log.info("clip %d: %.0f s", index, time.monotonic() - begun)
            return attempt - first
        if done.returncode == REJECTED:
            why = json.loads(done.stdout.rsplit("REJECTED ", 1)[1].splitlines()[0])
            log.warning("clip %d: scene %d rejected: %s", index, attempt, "; ".join(why))
            with (out / "rejected.jsonl").open("a") as lines:
                lines.write(json.dumps({"index": index, "attempt": attempt, "why": why}) + "\n")
            continue
        record = out / "logs" / f"clip_{index:05d}.txt"
        record.parent.mkdir(exist_ok=True)
        record.write_text(f"{' '.join(command)}\nexit status {done.returncode}\n{done.stdout}\n{done.stderr}")
        log.error("clip %d: the worker stopped with status %d; see %s", index, done.returncode, record)
        return attempt - first
    log.error("clip %d: given up after %d scenes failed the self-check", index, ATTEMPTS)
    return ATTEMPTS - first
