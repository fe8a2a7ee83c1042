"""Downloads without a published digest: later uses must match the digest of the first use on this machine."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from pointtrack.io.atomic import write_text
from pointtrack.models.weight_files import file_sha256

log = logging.getLogger(__name__)


def lock_path() -> Path:
    """The file of known digests: in POINTTRACK_CACHE, or else in the user's cache."""
    folder = os.environ.get("POINTTRACK_CACHE")
    if folder:
        return Path(folder) / "known_files.json"
    return (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pointtrack" / "known_files.json"
    )


def check_first_use(path: Path, name: str) -> None:
    """Compare a file with the digest of its first use, or record the digest at the first use.

    A file with the recorded size and time is not read again. If the record cannot be written, nothing is compared,
    and the log says so.

    Args:
        path: the file.
        name: the name it was downloaded under.

    Raises:
        ValueError: the file differs from that of the first use.
    """
    lock = lock_path()
    known = _read(lock)
    stamp = [path.stat().st_size, path.stat().st_mtime_ns]
    row = known.get(name)
    if isinstance(row, dict) and row.get("stamp") == stamp:
        return
    digest = file_sha256(path)
    if isinstance(row, dict) and row.get("sha256") not in (None, digest):
        raise ValueError(
            f"{path}: expected {name} as it was at its first use, with SHA-256 {row['sha256']}, got {digest}; if you know that "
            f"the change is right, remove its line from {lock}"
        )
    try:
        write_text(lock, json.dumps({**known, name: {"sha256": digest, "stamp": stamp}}, indent=1) + "\n")
    except OSError as error:
        log.warning("%s: its digest cannot be noted (%s)", name, error)


def _read(lock: Path) -> dict[str, object]:
    try:
        content = json.loads(lock.read_text(encoding="utf-8")) if lock.stat().st_size < 1 << 24 else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
