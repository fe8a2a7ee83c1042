"""Read pickles of numpy arrays and containers; refuse anything that could run code or access memory.

The unpickler gets no numpy class: a file that may call `ndarray`, or set its state, can make it point anywhere. The
stand-ins here rebuild arrays from a checked shape, a plain dtype and bytes of the right length.
"""

from __future__ import annotations

import math
import pickle  # nosec B403: with `find_class` below, which hands out nothing that does more than hold values
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from pointtrack.io.outside import check_memory, reading

_PLAIN = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|[SU]\d{1,6}|O8?)")
_MOST_AXES = 8
_MODULES = ("numpy.core", "numpy._core")


def read_pickle(path: Path, expected: str) -> Any:
    """Read a pickle file.

    Raises:
        ValueError: not a pickle, or one with more than arrays and containers; `expected` says what it should be.
    """
    with path.open("rb") as file:
        return _load(file, path, expected)


def read_pickled_npy(path: Path, expected: str) -> Any:
    """Read the object, such as a dict, in an .npy file that np.save wrote.

    Raises:
        ValueError: another kind of file; `expected` says what it should be.
    """
    with path.open("rb") as file:
        with reading(path, expected):
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
                version, np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(file)
        if shape != () or not dtype.hasobject:
            raise ValueError(f"{path}: expected {expected}, got an array of {dtype} of shape {shape}")
        content = _load(file, path, expected)
    return content.item() if isinstance(content, np.ndarray) and content.shape == () else content


class _Dtype:
    """Stand-in for `numpy.dtype`: a plain type by its name. The state that the pickle sets gives the byte order."""

    def __init__(self, name: Any = None, *_: Any):
        if not isinstance(name, str) or not _PLAIN.fullmatch(name):
            raise pickle.UnpicklingError(f"holds the dtype {str(name)[:40]!r}, expected a plain one")
        self.value = np.dtype("O" if "O" in name else name)

    def __setstate__(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 2 else None
        if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("holds a dtype with fields, expected a plain one")
        if order in "<>":
            self.value = self.value.newbyteorder(order)


class _Array:
    """Stand-in for `numpy.ndarray` until its state is set."""

    value: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _array(shape, dtype, bool(fortran), data)


def _reconstruct(kind: Any, shape: Any, _: Any) -> _Array:
    if kind is not _Array or shape != (0,):
        raise pickle.UnpicklingError("holds an array of another kind than numpy writes")
    return _Array()


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    return _array(shape, dtype, order == "F", data)


def _scalar(dtype: Any, data: Any = None) -> Any:
    return _array((), dtype, False, data)[()]


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Rebuild bytes as protocol 2 stores them."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("holds a text that is encoded in another way than bytes are")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Rebuild empty bytes as protocol 2 stores them."""
    return b""


def _array(shape: Any, dtype: Any, fortran: bool, data: Any) -> np.ndarray:
    """An array with its own memory. Raises UnpicklingError if the length of the data does not fit the shape."""
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple) or len(shape) > _MOST_AXES:
        raise pickle.UnpicklingError("holds an array whose shape or dtype is none")
    if not all(isinstance(side, int) and 0 <= side < 2**40 for side in shape):
        raise pickle.UnpicklingError(f"holds an array of shape {str(shape)[:60]}")
    count, kind = math.prod(shape), dtype.value
    order: Any = "F" if fortran else "C"
    if kind.hasobject:
        if not isinstance(data, list) or len(data) != count:
            raise pickle.UnpicklingError(f"holds {count} objects, expected a list of as many")
        flat = np.empty(count, object)
        for i, item in enumerate(data):
            flat[i] = item.value if isinstance(item, _Array) else item
        return flat.reshape(shape, order=order)
    if (
        not isinstance(data, bytes | bytearray | pickle.PickleBuffer)
        or len(bytes(data)) != count * kind.itemsize
    ):
        raise pickle.UnpicklingError(f"holds an array of shape {shape} and {kind}, and not as many bytes")
    return np.frombuffer(bytes(data), kind).reshape(shape, order=order).copy(order)


class _Call:
    """A function that a file may call, but whose attributes it cannot set."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]):
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("sets the state of a function")


_STANDINS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Call(_encode),
    **{(module, "bytes"): _Call(_no_bytes) for module in ("__builtin__", "builtins")},
    **{(f"{core}.multiarray", "_reconstruct"): _Call(_reconstruct) for core in _MODULES},
    **{(f"{core}.multiarray", "scalar"): _Call(_scalar) for core in _MODULES},
    **{(f"{core}.numeric", "_frombuffer"): _Call(_frombuffer) for core in _MODULES},
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STANDINS:
            raise pickle.UnpicklingError(f"holds {module}.{name}, expected only numpy arrays and containers")
        return _STANDINS[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("holds a reference to something outside of the file")


def _load(file: IO[bytes], path: Path, expected: str) -> Any:
    with reading(path, expected):
        check_memory(2 * path.stat().st_size, str(path))
        _check_memo(file)
        return _real(_ArrayUnpickler(file).load(), {})


def _check_memo(file: IO[bytes]) -> None:
    """Refuse memo numbers that no writer uses: the unpickler makes a table as long as the largest one."""
    place = file.tell()
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if "PUT" in opcode.name and isinstance(argument, int) and argument > count:
            raise pickle.UnpicklingError("counts what it holds in another way than Python does")
    file.seek(place)


def _real(value: Any, known: dict[int, Any]) -> Any:
    """Replace the stand-ins in the content by real arrays; containers may hold themselves."""
    if isinstance(value, _Array):
        if value.value is None:
            raise pickle.UnpicklingError("holds an array without its content")
        return _real(value.value, known)
    if isinstance(value, _Dtype):
        return value.value
    if id(value) in known:
        return known[id(value)]
    if isinstance(value, dict):
        known[id(value)] = result = {}
        result.update({_real(key, known): _real(item, known) for key, item in value.items()})
        return result
    if isinstance(value, list):
        items: list[Any] = []
        known[id(value)] = items
        items.extend(_real(item, known) for item in value)
        return items
    if isinstance(value, tuple):
        return tuple(_real(item, known) for item in value)
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        known[id(value)] = value
        for i, item in enumerate(value.flat):
            value.flat[i] = _real(item, known)
    return value
