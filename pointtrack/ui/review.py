"""A queue of videos to review: accept, edit or reject each, and export the accepted ones as a training set."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pointtrack.datasets.clip import ClipInfo, SourceClip, TrueTracks
from pointtrack.datasets.format import write_clip
from pointtrack.io.sources import VIDEO_SUFFIXES
from pointtrack.ui.project import Project

if TYPE_CHECKING:
    from pointtrack.ui.desk import Desk

VERDICTS = ("todo", "accepted", "edited", "rejected")
QUEUE, LOG, TRAINING = "review.json", "log.jsonl", "training"
MOST_ITEMS = 100_000
MOST_REASON = 200
CHANGES = ("points.", "objects.")


class Reviews:
    """The queue of a server.

    Args:
        desk: the desk that holds the projects.

    Attributes:
        current: folder of the current queue, or None.
    """

    def __init__(self, desk: Desk):
        self.desk = desk
        self.current: Path | None = None
        self._queue: dict[str, Any] = {}
        self._begun: dict[str, int] = {}  # path -> number of the last act before the video was shown

    def open(self, path: str) -> dict[str, Any]:
        """Begin or continue a review of a folder of videos, or of a text file with a path in each line.

        Raises:
            PermissionError: the path is outside the folders. ValueError: it holds no video.
        """
        source = self.desk.folders.allowed(path)
        if source.is_dir():
            found = [one for one in sorted(source.iterdir()) if one.suffix.lower() in VIDEO_SUFFIXES]
        elif source.suffix.lower() in (".txt", ".lst"):
            lines = source.read_text(encoding="utf-8").splitlines()
            found = [source.parent / line.strip() for line in lines if line.strip() and line[0] != "#"]
        else:
            raise ValueError(f"{path}: expected a folder of videos, or a .txt file with a path in each line")
        videos = [str(self.desk.folders.allowed(one)) for one in found[:MOST_ITEMS]]
        if not videos:
            raise ValueError(f"{path}: expected videos in it, found none")
        digest = hashlib.sha256(str(source).encode()).hexdigest()[:8]
        self.current = self.desk.home / "reviews" / f"{source.stem[:40]}-{digest}"
        self.current.mkdir(parents=True, exist_ok=True)
        known = {}
        if (self.current / QUEUE).is_file():
            saved = json.loads((self.current / QUEUE).read_text(encoding="utf-8"))
            known = {item["path"]: item for item in saved["items"]}
        items = [known.get(one, {"path": one, "verdict": "todo", "reason": ""}) for one in videos]
        self._queue = {"source": str(source), "items": items}
        self._save()
        return self.told()

    def told(self) -> dict[str, Any]:
        """The queue, ready for JSON."""
        if self.current is None:
            return {"items": [], "folder": None, "counts": {}}
        items = self._queue["items"]
        counts = {verdict: sum(item["verdict"] == verdict for item in items) for verdict in VERDICTS}
        named = [{**item, "name": Path(item["path"]).name} for item in items]
        return {
            "source": self._queue["source"],
            "folder": str(self.current),
            "items": named,
            "counts": counts,
            "seconds": round(sum(item.get("seconds", 0) for item in items), 1),
            "clicks": sum(item.get("clicks", 0) for item in items),
        }

    def judge(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Record a verdict with the work that led to it; returns the queue.

        Raises:
            ValueError: the video is not in the queue, the verdict is unknown, or a rejection has no reason.
        """
        verdict, path = str(content.get("verdict")), str(content.get("path"))
        reason = " ".join(str(content.get("reason", "")).split())[:MOST_REASON]
        item = next((one for one in self._queue.get("items", []) if one["path"] == path), None)
        if item is None:
            raise ValueError(f"review: expected a video of the queue, got {path[:200]!r}")
        if verdict == "begin":  # the video is shown: acts from now on are work on it
            self._begun[path] = self._serial(path)
            return self.told()
        if verdict not in VERDICTS:
            raise ValueError(f"verdict: expected one of {', '.join(VERDICTS)}, got {verdict!r}")
        if verdict == "rejected" and not reason:
            raise ValueError("review: expected a reason for a rejection; write one")
        seconds = _seconds(content.get("seconds", 0))
        work = self._work(path)
        if verdict == "accepted" and work["acts"]:
            verdict = "edited"  # accepted after corrections
        item.update(verdict=verdict, reason=reason, seconds=round(item.get("seconds", 0) + seconds, 1))
        item["clicks"] = item.get("clicks", 0) + work["clicks"]
        assert self.current is not None
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        row = {"time": stamp, "path": path, "verdict": verdict, "reason": reason, "seconds": seconds, **work}
        with (self.current / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._begun[path] = self._serial(path)
        self._save()
        return self.told()

    def export(self) -> dict[str, Any]:
        """Write the accepted videos as clips with ground truth, for `pointtrack finetune`; replaces existing clips.

        Raises:
            ValueError: there is no queue, or no video is accepted.
        """
        if self.current is None:
            raise ValueError("review: expected a queue; open a folder first")
        good = [item for item in self._queue["items"] if item["verdict"] in ("accepted", "edited")]
        if not good:
            raise ValueError("review: expected accepted videos, got none; accept one first (key A)")
        folder, written, left_out = self.current / TRAINING, [], []
        for item in good:
            project = self.desk.open(item["path"])
            try:
                clip = project.worker.call(partial(training_clip, project)).result()
            except ValueError as error:
                name = project.path.name
                left_out.append({"name": name, "reason": str(error).removeprefix(f"{name}: ")})
                continue
            target = folder / project.id
            if target.exists():
                shutil.rmtree(target)
            write_clip(target, clip, pictures="jpg")
            written.append(target.name)
        command = f"pointtrack finetune {folder} --out {self.current / 'finetuned'}"
        return {"folder": str(folder), "clips": written, "left_out": left_out, "command": command}

    def _project(self, path: str) -> Project | None:
        return next((one for one in self.desk.projects() if str(one.path) == path), None)

    def _serial(self, path: str) -> int:
        project = self._project(path)
        return 0 if project is None else project.store.serial

    def _work(self, path: str) -> dict[str, Any]:
        """Acts, clicks and frames touched since the video was shown."""
        project = self._project(path)
        acts = [] if project is None else list(project.store.acts(self._begun.get(path, 0)))
        changes = [row for row in acts if row["act"].startswith(CHANGES)]
        clicks = sum(_clicks(row["args"]) for row in changes)
        frames = {row["args"]["frame"] for row in changes if "frame" in row["args"]}
        return {"acts": len(changes), "clicks": clicks, "frames": sorted(frames)}

    def _save(self) -> None:
        assert self.current is not None
        part = self.current / f"{QUEUE}.part"
        part.write_text(json.dumps(self._queue, indent=1), encoding="utf-8")
        part.replace(self.current / QUEUE)


def _clicks(args: Mapping[str, Any]) -> int:
    """The clicks of an act: its number of positions (x, y); 1 if there are none, as for a box or a button."""
    places = args.get("points") or args.get("xy") or [0]
    return len(places) if isinstance(places[0], list) else 1


def _seconds(value: Any) -> float:
    """Seconds of work, at most a day. Raises ValueError unless it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"seconds: expected a number, got {value!r}")
    return float(min(max(value, 0), 86400))


def training_clip(project: Project) -> SourceClip:
    """A project's video with its tracks, visibility, and masks where all objects are known, as ground truth.

    Raises:
        ValueError: the project has neither points nor objects.
    """
    points, objects = project.points, project.objects
    if not points.points and not objects.objects:
        raise ValueError(
            f"{project.path.name}: expected points or objects, got neither; add some, and propagate"
        )
    tracks = None
    if points.points:
        known = points.known()
        tracks = TrueTracks(
            known.xy, known.visible() & known.tracked() & known.in_frame(), known.tracked(), known.ids
        )
    info = ClipInfo(
        fps=project.video.fps,
        source=f"accepted by a person in pointtrack ui: {project.path.name}",
        generator=f"pointtrack ui, {points.tracker.config.name}, {objects.engine.name}",
        objects=objects.objects,
    )
    return SourceClip(project.id, project.video.frames, info, tracks, _Labels(project))


class _Labels(Mapping[int, np.ndarray]):
    """Labels of the frames on which all objects are known, made on demand."""

    def __init__(self, project: Project):
        self._session = project.objects
        known = np.isfinite(self._session.quality().numpy())
        self._frames = np.flatnonzero(known.all(axis=1)).tolist() if known.shape[1] else []

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[int]:
        return iter(self._frames)

    def __getitem__(self, frame: int) -> np.ndarray:
        masks = self._session.masks(frame, frame + 1).exclusive()
        labels = np.zeros(masks.wh[::-1], np.uint8)
        for place, number in enumerate(masks.object_ids.tolist()):
            labels[masks.masks[0, place].numpy()] = number
        return labels
