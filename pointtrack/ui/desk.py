"""The state of a server: its folders, its models, and the open projects."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from pointtrack.ui.acts import LOAD
from pointtrack.ui.folders import Folders, safe_name
from pointtrack.ui.hub import Hub
from pointtrack.ui.models import Models
from pointtrack.ui.project import Project
from pointtrack.ui.store import SNAPSHOT
from pointtrack.ui.views import Pictures

# Most open projects; beyond it, the least recently used one without a run is saved and closed.
MOST_OPEN = 4
UPLOADS = "uploads"


class Desk:
    """Everything behind the pages of one server.

    Args:
        home: folder for projects, uploads and reviews.
        folders: folders that pages may open videos from.
        models: the models to work with.
        most_upload_bytes: largest upload.
        most_uploads: most files that may be uploaded in all.
    """

    def __init__(
        self,
        home: Path,
        folders: Folders,
        models: Models,
        *,
        most_upload_bytes: int = 4 * 2**30,
        most_uploads: int = 200,
    ):
        self.home, self.models, self.hub, self.pictures = home, models, Hub(), Pictures()
        home.mkdir(parents=True, exist_ok=True)
        self.uploads = home / UPLOADS
        self.uploads.mkdir(exist_ok=True)
        self.folders = Folders([*folders.roots, self.uploads])
        self.most_upload_bytes, self.most_uploads = most_upload_bytes, most_uploads
        self.first: str | None = None  # the video that the page opens at once
        self.tracks: str | None = None  # a file with tracks of that video
        self._projects: dict[str, Project] = {}
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()

    def open(self, path: str) -> Project:
        """Open the project of a video, or make one; takes a moment.

        Raises:
            PermissionError: the path is outside the folders. FileNotFoundError, ValueError: as `Project`.
        """
        allowed = self.folders.allowed(path)
        with self._lock:
            for project in self._projects.values():
                if project.path == allowed:
                    self._used[project.id] = time.monotonic()
                    return project
            project = Project(allowed, self.home, self.models)
            project.notify = lambda event: self.hub.send(project.id, event)
            known = self._projects.get(project.id)
            if known is not None:  # the same video under another name
                project.worker.close()
                return known
            self._projects[project.id] = project
            self._used[project.id] = time.monotonic()
            if self.tracks is not None and str(allowed) == self.first and not project.entries:
                tracks = self.tracks
                project.worker.call(lambda: project.act(LOAD, {"path": tracks})).result()
            idle = sorted(
                (
                    name
                    for name, one in self._projects.items()
                    if name != project.id and not self.hub.count(name) and not one.worker.runs
                ),
                key=lambda one: self._used[one],
            )
            while len(self._projects) > MOST_OPEN and idle:
                self._projects.pop(idle.pop(0)).close()
        return project

    def project(self, name: str) -> Project:
        """An open project by its id. Raises FileNotFoundError for another."""
        project = self._projects.get(name)
        if project is None:
            raise FileNotFoundError(f"project {name[:80]!r}: expected one that is open; open its video again")
        self._used[name] = time.monotonic()
        return project

    def projects(self) -> list[Project]:
        """The open projects."""
        return list(self._projects.values())

    def saved(self) -> list[dict[str, Any]]:
        """Projects on disk, the latest first, ready for JSON."""
        rows = []
        for path in self.home.glob(f"*/{SNAPSHOT}"):
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                video = Path(content["video"])
                self.folders.allowed(video)
                rows.append(
                    {
                        "id": path.parent.name,
                        "name": content["name"],
                        "path": str(video),
                        "saved": content["saved"],
                        "steps": content["now"],
                        "there": video.exists(),
                    }
                )
            except (OSError, ValueError, KeyError):
                continue
        return sorted(rows, key=lambda row: -float(row["saved"]))[:50]

    def upload_target(self, name: str) -> Path:
        """The path for an upload: a new name in the folder of uploads.

        Raises:
            ValueError: too many uploads.
        """
        count = sum(1 for one in self.uploads.iterdir() if not one.name.startswith("."))
        if count >= self.most_uploads:
            raise ValueError(
                f"upload: expected at most {self.most_uploads} files in {self.uploads}; remove some"
            )
        wanted = safe_name(name)
        target = self.uploads / wanted
        number = 1
        while target.exists():
            number += 1
            target = self.uploads / f"{Path(wanted).stem}-{number}{Path(wanted).suffix}"
        return target

    def room(self) -> int:
        """Most bytes that an upload may have now."""
        return min(self.most_upload_bytes, max(shutil.disk_usage(self.uploads).free - 2**30, 0))

    def close(self) -> None:
        """Save and close all projects."""
        for project in list(self._projects.values()):
            project.close()
        self._projects = {}
