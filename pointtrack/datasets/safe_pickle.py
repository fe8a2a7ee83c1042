"""Read pickles of numpy arrays and containers, and nothing in them that could run code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import IO, Any

import numpy as np

_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    *(
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (
            ("multiarray", "_reconstruct"),
            ("multiarray", "scalar"),
            ("numeric", "_frombuffer"),
        )
    ),
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"holds {module}.{name}, expected only numpy arrays and containers")
        return super().find_class(module, name)


def read_pickle(path: Path, expected: str) -> Any:
    """The content of a pickle file.

    Raises:
        ValueError: not a pickle, or one with more than arrays and containers; `expected` names what was due.
    """
    with path.open("rb") as file:
        return _load(file, path, expected)


def read_pickled_npy(path: Path, expected: str) -> Any:
    """The object in an .npy file that np.save wrote of one, as a dict.

    Raises:
        ValueError: another kind of file; `expected` names what was due.
    """
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
                version, np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(file)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path}: expected {expected}, but {error}") from error
        if shape != () or not dtype.hasobject:
            raise ValueError(f"{path}: expected {expected}, got an array of {dtype} of shape {shape}")
        content = _load(file, path, expected)
    return content.item() if isinstance(content, np.ndarray) and content.shape == () else content


def _load(file: IO[bytes], path: Path, expected: str) -> Any:
    try:
        return _ArrayUnpickler(file).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError) as error:
        raise ValueError(f"{path}: expected {expected}, but {error}") from error
