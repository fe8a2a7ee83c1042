"""What the machine has, as far as the system tells."""

from __future__ import annotations

import os
import sys
from importlib import metadata


def peak_memory() -> int:
    """Most bytes of memory that this process has had; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def machine_memory() -> int | None:
    """Bytes of memory of this machine; None where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def package_version() -> str:
    """Of this package as it is installed; "unknown" for a copy that was never installed."""
    try:
        return metadata.version("pointtrack")
    except metadata.PackageNotFoundError:
        return "unknown"
