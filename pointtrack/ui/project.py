"""A video and a person's work on it: two sessions, one history over both, and a folder that stores them."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pointtrack.io.lazy_video import lazy_video
from pointtrack.sessions.history import History
from pointtrack.sessions.object_session import ObjectSession
from pointtrack.sessions.schedule import Direction
from pointtrack.sessions.track_session import TrackSession
from pointtrack.tracking.shots import CutFinder
from pointtrack.ui import acts
from pointtrack.ui.exports import Export, ExportOptions
from pointtrack.ui.models import Models
from pointtrack.ui.progress import Pace
from pointtrack.ui.propagation import Propagation
from pointtrack.ui.store import Store
from pointtrack.ui.worker import Worker

logger = logging.getLogger(__name__)

QUIET_SECONDS = 1.0  # seconds without an act after which results are saved
SAVE_SECONDS = 15.0  # between saves during a run
SLICE_SECONDS = 0.2
MOST_AHEAD = 3000  # most frames that a run waits for the search for cuts
STEPS_BACK = 12  # frames before the shown one that stay ready
EXPORTS = "exports"
Notify = Callable[[dict[str, Any]], None]


@dataclass
class Entry:
    """A step of the history: its description, and how many steps of which sessions it covers."""

    label: str
    parts: list[tuple[str, int]]


@dataclass
class Versions:
    """Counts of changes to points and to objects, by which a page knows what to read again."""

    points: int = 0
    objects: int = 0


@dataclass
class _Scan:
    """The search for cuts, which runs when there is nothing else to do."""

    finder: CutFinder = field(default_factory=CutFinder)
    frames: int = 0
    cuts: list[int] = field(default_factory=list)


class Project:
    """A video with its sessions and history. Everything but reading frames to show happens in the thread of `worker`.

    Args:
        path: path of the video.
        home: folder that holds the projects.
        models: the models to work with.
        notify: called for every change, in any thread.

    Raises:
        FileNotFoundError, ValueError: as `lazy_video`; or the project has another version.
    """

    def __init__(self, path: Path, home: Path, models: Models, notify: Notify = lambda event: None):
        self.path, self.models, self.notify = path, models, notify
        self.video = lazy_video(path)
        # For the page, which must neither wait for computing nor disturb it, and jumps more often than it steps back.
        self.shown = lazy_video(path, before=STEPS_BACK)
        digest = hashlib.sha256(f"{path.name} {self.video.fingerprint()}".encode()).hexdigest()[:10]
        self.id = f"{path.stem[:40]}-{digest}"
        self.store = Store(home / self.id)
        self.points = TrackSession(self.video, models.load_tracker())
        self.objects = ObjectSession(self.video, engine=models.new_engine(), cuts=())
        self.view: History[dict[str, Any]] = History([acts.empty_view()])
        self.entries: list[Entry] = []
        self.now = 0
        self.versions = Versions()
        self.restored = 0  # acts repeated from the journal
        self.problems: list[str] = []
        self._scan = _Scan()
        self.pace = Pace()
        self._export_told: dict[str, Any] | None = None  # what was told of the last export
        self._saved_at = self._changed_at = time.monotonic()
        self._dirty = False
        self._computed = False  # whether a run has found something that is not saved
        self.worker = Worker(f"project {self.id}", self._idle)
        self._restore()
        self.worker.start()

    # Acts.

    def act(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Perform a person's act; when this returns, the act is in the journal.

        Raises:
            ValueError: the act is unknown or impossible. Then nothing has changed.
        """
        if self._computed and name in acts.ON_MASKS and arguments.get("object") is not None:
            self.save()  # without the mask that it is about, the act could not be done again after a crash
        began = time.perf_counter()
        answer = self._perform(name, arguments)
        self.store.log(name, arguments, time.perf_counter() - began)
        self._touched()
        self.notify({"type": "state", "state": self.state()})
        return answer

    def _perform(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        function = acts.ACTS.get(name)
        if function is None:
            raise ValueError(f"act: expected one of {', '.join(acts.ACTS)}, got {name!r}")
        try:
            done = function(self, **arguments)
        except (TypeError, KeyError, AttributeError, OverflowError) as error:
            raise ValueError(
                f"{name}: expected other arguments than {sorted(arguments)} ({error})"
            ) from error
        if done.parts:
            self.entries = [*self.entries[: self.now], Entry(done.label, done.parts)]
            self.now += 1
        if done.changes_points:
            self.versions.points += 1
        if done.changes_objects:
            self.versions.objects += 1
        return {"label": done.label, **done.answer}

    def go(self, position: int) -> None:
        """Undo or redo up to a position in the history."""
        if not 0 <= position <= len(self.entries):
            raise ValueError(f"history: expected a position in 0..{len(self.entries)}, got {position}")
        while self.now > position:
            self.now -= 1
            for kind, count in reversed(self.entries[self.now].parts):
                for _ in range(count):
                    self._session(kind).undo()
        while self.now < position:
            for kind, count in self.entries[self.now].parts:
                for _ in range(count):
                    self._session(kind).redo()
            self.now += 1
        self.versions.points += 1
        self.versions.objects += 1

    def _session(self, kind: str) -> Any:
        return {"points": self.points, "objects": self.objects, "view": self.view}[kind]

    # Runs.

    def run(self, what: list[str], start: int, stop: int, direction: Direction, origin: int) -> None:
        """Follow points and objects through some frames, in the worker, until done or cancelled.

        A run under way continues afterwards, unless the new one covers it.
        """
        run = Propagation(self, what, range(start, stop), direction, origin)
        self.worker.runs = [
            other for other in self.worker.runs if not (isinstance(other, Propagation) and run.covers(other))
        ]
        self.worker.runs.append(run)
        self.notify({"type": "state", "state": self.state()})

    def cancel(self, what: str = "all") -> None:
        """Stop everything, or only the "run" or "export"; results of a run stay. Raises ValueError for other words."""
        kinds: dict[str, tuple[type, ...]] = {
            "all": (Propagation, Export),
            "run": (Propagation,),
            "export": (Export,),
        }
        if what not in kinds:
            raise ValueError(f"what: expected {', '.join(kinds)}, got {what[:40]!r}")
        for run in [run for run in self.worker.runs if isinstance(run, kinds[what])]:
            self.worker.runs.remove(run)
            if isinstance(run, Export):
                run.cancelled()
        self._touched()
        self.notify({"type": "state", "state": self.state()})

    @property
    def running(self) -> Propagation | None:
        """The current run, or None."""
        return next((run for run in reversed(self.worker.runs) if isinstance(run, Propagation)), None)

    def export(self, options: ExportOptions) -> dict[str, Any]:
        """Begin to write files into a new folder; an event tells when they exist. Raises as `Export`."""
        if any(isinstance(run, Export) for run in self.worker.runs):
            raise ValueError("export: another one is being written; wait for it, or cancel it")
        folder = self.store.folder / EXPORTS / time.strftime("%Y%m%d-%H%M%S")
        number = 1
        while folder.exists():
            number += 1
            folder = folder.with_name(f"{folder.name.partition('_')[0]}_{number}")
        run = Export(self, options, folder)
        self.worker.runs.append(run)
        return run.told()

    def tell_export(self, event: dict[str, Any]) -> None:
        """Tell of an export that has ended, and remember it for pages that were away."""
        self._export_told = event
        self.notify(event)

    def exported(self, folder: str, file: str) -> Path:
        """The path of an exported file or folder. Raises FileNotFoundError for others."""
        root = (self.store.folder / EXPORTS).resolve()
        path = (root / folder / file).resolve()
        if root not in path.parents or path.parent == root or not path.exists():
            raise FileNotFoundError(f"{file[:80]}: expected a file that was exported; export again")
        return path

    # State for the page.
    def state(self) -> dict[str, Any]:
        """Everything that the page shows besides frames, masks and tracks, ready for JSON."""
        groups = self.points.groups
        run = self.running
        exports = any(isinstance(one, Export) for one in self.worker.runs)
        return {
            "id": self.id,
            "name": self.path.name,
            "path": str(self.path),
            "folder": str(self.store.folder),
            "frames": len(self.video),
            "wh": list(self.video.wh),
            "aspect": float(self.video.pixel_aspect),
            "fps": self.video.fps,
            "tracker": self.points.tracker.config.name,
            "engine": self.objects.engine.name,
            "points": [
                {"id": point, "group": groups[point], "fixes": fixes}
                for point, fixes in self.points.points.items()
            ],
            "objects": [
                {"id": number, "name": name, "keys": self.objects.keyframes(number)}
                for number, name in self.objects.objects.items()
            ],
            "view": self.view.state,
            "history": {"labels": [entry.label for entry in self.entries], "now": self.now},
            "run": None if run is None else run.told(),
            "export": {"running": True} if exports else self._export_told,
            "cuts": self._scan.cuts,
            "scanned": self._scan.frames,
            "versions": vars(self.versions).copy(),
            "serial": self.store.serial,
        }

    # Files.

    def save(self) -> None:
        """Write all results."""
        stamp = f"{self.store.serial}-{time.time_ns() // 1_000_000}"
        points = self.points.save(self.store.folder / f"points-{stamp}.npz")
        objects = self.objects.save(self.store.folder / f"objects-{stamp}.npz")
        content = {
            "video": str(self.path),
            "name": self.path.name,
            "frames": len(self.video),
            "saved": time.time(),
            "points": points.name,
            "objects": objects.name,
            "entries": [{"label": entry.label, "parts": entry.parts} for entry in self.entries],
            "now": self.now,
            "views": self.view.states,
            "view_now": self.view.now,
            "cuts": self._scan.cuts,
            "scanned": self._scan.frames,
        }
        self.store.save(content, self.store.serial)
        self._dirty, self._computed, self._saved_at = False, False, time.monotonic()

    def save_if_due(self) -> None:
        """Save from time to time during a run."""
        self._dirty = self._computed = True
        if time.monotonic() - self._saved_at > SAVE_SECONDS:
            self.save()

    def close(self) -> None:
        """Stop runs, delete what an export has half written, save, and end the worker."""
        self.worker.call(self.cancel)
        self.worker.call(self.save)
        self.worker.close()

    def _restore(self) -> None:
        """Restore the project up to its last act."""
        self.store.mend()
        snapshot = self.store.snapshot()
        done = 0
        if snapshot is not None:
            self.points.load(self.store.folder / snapshot["points"])
            self.objects.load(self.store.folder / snapshot["objects"])
            self.entries = [
                Entry(row["label"], [(kind, count) for kind, count in row["parts"]])
                for row in snapshot["entries"]
            ]
            self.now = snapshot["now"]
            self.view = History(snapshot["views"], snapshot["view_now"])
            if snapshot["scanned"] == len(self.video):
                self._scan.frames, self._scan.cuts = snapshot["scanned"], snapshot["cuts"]
                self.objects.cuts = self._scan.cuts
            done = snapshot["serial"]
        for row in list(self.store.acts(done)):
            try:
                self._perform(row["act"], row["args"])
                self.restored += 1
            except ValueError as error:
                self.problems.append(f"{row['act']}: {error}")
                logger.warning("%s: act %d could not be done again: %s", self.id, row["n"], error)
        self._dirty = self.restored > 0

    def _touched(self) -> None:
        self._changed_at, self._dirty = time.monotonic(), True

    def _idle(self) -> bool:
        if self._dirty and time.monotonic() - self._changed_at > QUIET_SECONDS:
            self.save()
            return True
        return self._look_for_cuts()

    def look_for_cuts(self, stop: int) -> bool:
        """Run a slice of the search before a run reaches a frame; returns whether the run should wait for more."""
        wanted = min(stop, len(self.video))
        return 0 < wanted - self._scan.frames < MOST_AHEAD and self._look_for_cuts(wanted)

    def _look_for_cuts(self, stop: int | None = None) -> bool:
        """Run a slice of the search, up to a frame; returns whether there is more to do."""
        scan, deadline = self._scan, time.monotonic() + SLICE_SECONDS
        if scan.frames >= len(self.video):
            return False
        stop = len(self.video) if stop is None else stop
        while scan.frames < stop and time.monotonic() < deadline and not self.worker.wanted:
            if scan.finder.push(self.video.frames[scan.frames]):
                scan.cuts.append(scan.frames)
                self.objects.cuts = scan.cuts
            scan.frames += 1
        if scan.frames == len(self.video):
            self.objects.cuts = scan.cuts
            self._dirty = True
            self.notify({"type": "state", "state": self.state()})
        return scan.frames < stop
