"""Facts about the machine and the package, where the system provides them."""

from __future__ import annotations

import os
import sys
from importlib import metadata


def peak_memory() -> int:
    """Peak memory of this process in bytes; 0 if the system does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def machine_memory() -> int | None:
    """Memory of this machine in bytes; None if the system does not report it."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def package_version() -> str:
    """Version of the installed package; "unknown" for a copy that was never installed."""
    try:
        return metadata.version("pointtrack")
    except metadata.PackageNotFoundError:
        return "unknown"
