"""Checks with names: `check_shape(xy, "t n 2", "xy")` reports what was expected and what it got."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

MOST_RANGES = 8  # most ranges of numbers to name


def plain(value: Any) -> Any:
    """A PIL image, or any other object with an array interface, as an array; anything else unchanged.

    >>> from PIL import Image
    >>> plain(Image.new("L", (3, 2))).shape
    (2, 3)
    """
    described = hasattr(value, "__array_interface__") and not isinstance(value, np.ndarray)
    return np.array(value) if described else value


def array_of(values: Any) -> np.ndarray:
    """`np.asarray` that also takes tensors on any device.

    >>> array_of(torch.zeros(2, 3)).shape
    (2, 3)
    """
    values = plain(values)
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)


def counted(number: int, thing: str, things: str | None = None) -> str:
    """A number of things in words.

    >>> counted(1, "frame"), counted(2, "frame"), counted(0, "query", "queries")
    ('1 frame', '2 frames', '0 queries')
    """
    return f"{number} {thing if number == 1 else things or thing + 's'}"


def ranges(numbers: list[int]) -> str:
    """Increasing numbers in words.

    >>> ranges([3, 5, 6, 7])
    '3, 5-7'
    """
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    words = [f"{first}" if first == last else f"{first}-{last}" for first, last in runs[:MOST_RANGES]]
    return ", ".join(words) + (", ..." if len(runs) > MOST_RANGES else "")


def check_shape(x: Any, pattern: str, name: str) -> dict[str, int]:
    """Compare the shape of `x` with a pattern of axis names and numbers.

    Args:
        x: anything with a `.shape` (torch tensor, numpy array).
        pattern: axes separated by spaces. A number must match exactly; a name takes the size found, and must have the
            same size wherever it recurs; `_` matches anything.
        name: the name of `x` in the error message.

    Returns:
        The size of every named axis.

    Raises:
        ValueError: `x` has another number of axes, or an axis of another size.

    >>> import torch
    >>> check_shape(torch.zeros(5, 3, 2), "t n 2", "xy")
    {'t': 5, 'n': 3}
    """
    shape = tuple(int(size) for size in x.shape)
    axes = pattern.split()
    sizes: dict[str, int] = {}
    fits = len(axes) == len(shape)
    for axis, size in zip(axes, shape, strict=False):
        if axis == "_":
            continue
        fits = fits and (int(axis) if axis.isdigit() else sizes.setdefault(axis, size)) == size
    if not fits:
        raise ValueError(f"{name}: expected shape ({', '.join(axes)}), got {shape}")
    return sizes


def tensor_of(values: Any, dtype: torch.dtype | None = None) -> Tensor:
    """`torch.as_tensor` that also takes reversed arrays, arrays of another byte order, and pandas tables.

    Arrays that cannot be written to are copied: torch warns of them, as writing to the tensor would change them.

    >>> tensor_of(np.arange(3)[::-1]).tolist(), tensor_of(np.array([1, 2], ">f4")).tolist()
    ([2, 1, 0], [1.0, 2.0])
    """
    if not isinstance(values, Tensor) and hasattr(values, "__array__"):
        array = np.asarray(values)
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        values = array if array.flags.c_contiguous and array.flags.writeable else array.copy()
    return torch.as_tensor(values, dtype=dtype)


def whole_numbers(values: Any, name: str) -> Tensor:
    """Numbers as an int64 tensor on the CPU; fractions are refused rather than cut off.

    Args:
        values: tensor, array or list of any shape.
        name: their name in the error message.

    Raises:
        ValueError: a number that is not whole.

    >>> whole_numbers([1.0, 2.0], "ids")
    tensor([1, 2])
    """
    values = tensor_of(values).detach().cpu()
    whole = values.to(torch.int64)
    if values.is_floating_point() and not torch.equal(whole.to(values.dtype), values):
        raise ValueError(f"{name}: expected whole numbers, got {values.tolist()[:5]}")
    return whole


def check_kind(value: Any, kind: type, call: str, instead: str) -> None:
    """Compare the type of what a call got with the one that it takes.

    Args:
        value: what it got.
        kind: the type.
        call: name of the call in the error message.
        instead: the call that takes the type that is most often mixed up with this one.

    Raises:
        ValueError: the value is of another type.

    >>> check_kind(3, int, "save_count", "save_text")
    """
    if not isinstance(value, kind):
        raise ValueError(f"{call}: expected {kind.__name__}, got {type(value).__name__}; see {instead}")


def checked_fps(fps: Any, name: str = "fps") -> float:
    """Frames per second as a float.

    Args:
        fps: a number, also a fraction.
        name: its name in the error message.

    Raises:
        ValueError: something else than a positive number.

    >>> from fractions import Fraction
    >>> checked_fps(Fraction(30000, 1001)), checked_fps(25)
    (29.97002997002997, 25.0)
    """
    try:
        if not isinstance(fps, str) and 0 < float(fps) < math.inf:
            return float(fps)
    except (TypeError, ValueError):
        pass
    raise ValueError(f"{name}: expected a positive number, got {fps!r}")


def checked_wh(wh: Any, name: str = "wh") -> tuple[int, int]:
    """The size of frames to track in as two ints.

    Args:
        wh: (width, height).
        name: its name in the error message.

    Raises:
        ValueError: something else than two whole numbers of at least 2: positions need two pixels along each side.

    >>> checked_wh([640, 480.0])
    (640, 480)
    """
    try:
        width, height = wh
        size = int(width), int(height)
        if size == (width, height) and min(size) >= 2:
            return size
    except (TypeError, ValueError):
        pass
    raise ValueError(
        f"{name}: expected frames of (width, height), each a whole number of at least 2 pixels, got {wh!r}"
    )
