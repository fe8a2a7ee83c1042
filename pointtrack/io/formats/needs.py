"""Packages that some formats need, and the extras that install them."""

from __future__ import annotations

from importlib.util import find_spec

EXTRAS = {"pandas": "dlc", "tables": "dlc", "pyarrow": "formats", "sleap_io": "formats", "rerun": "formats"}


def require(package: str, what: str) -> None:
    """Raise ValueError, with what to install, if a package that a format needs is missing."""
    if find_spec(package) is None:
        raise ValueError(
            f"{what} needs the package {package}, not installed here: pip install 'pointtrack[{EXTRAS[package]}]'"
        )
