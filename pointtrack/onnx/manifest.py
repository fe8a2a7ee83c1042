"""The manifest beside the graphs: the tracker's config, the shapes, and the digest of every file."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointtrack.config import TrackerConfig, network_config, to_dict
from pointtrack.io.atomic import write_text
from pointtrack.io.outside import plain_name, read_json, reading, whole
from pointtrack.models.weight_files import file_sha256

FILE = "tracker.json"
FORMAT = 1
LARGEST = 1 << 28  # bytes
ENCODER = "encoder.onnx"


def refine_file(points: int) -> str:
    """Name of the graph that refines `points` points."""
    return f"refine_{points}.onnx"


@dataclass(frozen=True)
class Manifest:
    """The description of a folder of graphs.

    Attributes:
        config: config of the tracker.
        wh: size of the frames that the encoder takes.
        frames: frames of every window.
        points: numbers of points with a graph, in rising order.
        values: the few parameters used between the graphs, by name, as nested lists.
        sha256: digest of every graph, by its file name.
        made_with: versions of the packages that wrote the graphs.
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
        """32 bytes that differ for other graphs or values."""
        return hashlib.sha256(json.dumps([self.values, self.sha256], sort_keys=True).encode()).digest()

    def check_files(self, folder: Path) -> None:
        """Raise FileNotFoundError or ValueError if a graph is missing or has changed since it was written."""
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
    """Read the manifest of a folder of graphs.

    Raises:
        FileNotFoundError: no such folder, or one without graphs.
        ValueError: a damaged file, or one of another version of the format.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder}: expected a folder that `pointtrack export-onnx` wrote, with {FILE} in it, found none"
        )
    expected = f"a manifest of format {FORMAT}; export the graphs again if it is another"
    with reading(path, expected):
        about = read_json(path, expected, largest=LARGEST)
        found = about.pop("format")
        if found != FORMAT:
            raise ValueError(f"its format is {str(found)[:40]!r}")
        about["config"] = network_config(TrackerConfig, about["config"])
        width, height = (whole(side, "wh", least=1, most=1 << 16) for side in about["wh"])
        points = tuple(whole(count, "points", least=1, most=1 << 24) for count in about["points"])
        frames = whole(about["frames"], "frames", least=1, most=1 << 16)
        digests = {plain_name(name, "graph"): _digest(value) for name, value in about["sha256"].items()}
        if not points or sorted(set(points)) != list(points):
            raise ValueError("its numbers of points do not rise")
        if set(digests) != {ENCODER, *map(refine_file, points)}:
            raise ValueError("it does not have the SHA-256 of every graph, and of nothing else")
        if not isinstance(about["values"], dict) or not isinstance(about["made_with"], dict):
            raise ValueError("its values are no object")
        return Manifest(
            **{**about, "wh": (width, height), "points": points, "frames": frames, "sha256": digests}
        )


def _digest(value: Any) -> str:
    if not isinstance(value, str) or re.fullmatch("[0-9a-f]{64}", value) is None:
        raise ValueError(f"expected a SHA-256, got {str(value)[:60]!r}")
    return value
