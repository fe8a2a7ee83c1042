"""What lies beside the graphs: the tracker's config, the shapes, and the digest of every file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointtrack.config import TrackerConfig, from_dict, to_dict
from pointtrack.io.atomic import write_text
from pointtrack.models.weight_files import file_sha256

FILE = "tracker.json"
FORMAT = 1
ENCODER = "encoder.onnx"


def refine_file(points: int) -> str:
    """Name of the graph that refines so many points."""
    return f"refine_{points}.onnx"


@dataclass(frozen=True)
class Manifest:
    """A folder of graphs.

    Attributes:
        config: of the tracker.
        wh: size of the frames that the encoder takes.
        frames: of every window.
        points: rising numbers of points that there are graphs for.
        values: the few parameters that are used between the graphs, by name, as nested lists.
        sha256: of every graph, by the name of its file.
        made_with: versions of what wrote the graphs.
    """

    config: TrackerConfig
    wh: tuple[int, int]
    frames: int
    points: tuple[int, ...]
    values: dict[str, Any]
    sha256: dict[str, str]
    made_with: dict[str, str]

    def write(self, folder: Path) -> Path:
        """Write it into the folder of the graphs."""
        path = folder / FILE
        about = {"format": FORMAT, **vars(self), "config": to_dict(self.config)}
        return write_text(path, json.dumps(about, indent=1) + "\n")

    def digest(self) -> bytes:
        """32 bytes that are others for other graphs or values."""
        return hashlib.sha256(json.dumps([self.values, self.sha256], sort_keys=True).encode()).digest()

    def check_files(self, folder: Path) -> None:
        """Raises FileNotFoundError or ValueError where a graph is missing or another than was written."""
        for name, digest in self.sha256.items():
            path = folder / name
            if not path.is_file():
                raise FileNotFoundError(
                    f"{path}: expected a graph there, found none; copy the whole folder, or export again"
                )
            if (found := file_sha256(path)) != digest:
                raise ValueError(
                    f"{path}: expected the graph that was exported, with SHA-256 {digest}, got {found}; copy the whole "
                    "folder again, or export again"
                )


def read_manifest(folder: str | Path) -> Manifest:
    """Read what lies in a folder of graphs.

    Raises:
        FileNotFoundError: no such folder, or one without graphs.
        ValueError: a damaged file, or one of another version of the format.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder}: expected a folder that `pointtrack export-onnx` wrote, with {FILE} in it, found none"
        )
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        found = about.pop("format")
        if found != FORMAT:
            raise ValueError(f"expected format {FORMAT}, got {found!r}")
        about["config"] = from_dict(TrackerConfig, about["config"])
        return Manifest(**{**about, "wh": tuple(about["wh"]), "points": tuple(about["points"])})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not what this version reads ({error}); export the graphs again") from error
