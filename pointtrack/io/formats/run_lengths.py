"""Masks as COCO polygons or run lengths, checked before pycocotools gets them because its C code checks nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from pointtrack.io.outside import finite, whole

_FAR = 4  # how many picture sizes outside a polygon may lie


def decoded(segment: Any, height: int, width: int) -> np.ndarray:
    """Decode a list of polygons, or run lengths, plain or compressed, to a (h, w) bool mask.

    Raises:
        ValueError: coordinates far outside the picture, runs that do not fill it exactly, or other content.
    """
    from pycocotools import mask as rle

    if isinstance(segment, list):
        polygons = [_polygon(one, height, width) for one in segment]
        return rle.decode(rle.merge(rle.frPyObjects(polygons, height, width))).astype(bool)
    if not isinstance(segment, dict) or list(segment.get("size", ())) != [height, width]:
        raise ValueError(f"a mask is no list of polygons, and no run lengths of size {[height, width]}")
    counts = segment["counts"]
    if isinstance(counts, list):
        runs = np.array([whole(run, "run length", most=height * width) for run in counts], np.int64)
        check_runs(runs, height * width)
        return (np.repeat(np.arange(len(runs)) % 2, runs).reshape(width, height).T).astype(bool)
    text = counts.encode("latin1") if isinstance(counts, str) else counts
    check_runs(runs_of(text), height * width)
    return rle.decode({"size": [height, width], "counts": text}).astype(bool)


def runs_of(counts: bytes) -> np.ndarray:
    """Decode compressed run lengths.

    Raises:
        ValueError: an invalid byte, or an end in the middle of a number.

    Source: the format of pycocotools: 5 bits per byte, the lowest first, offset 48; from the fourth number on the
    difference to the number two before it.
    """
    if not isinstance(counts, bytes):
        raise ValueError("run lengths are no text")
    values = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    if not len(values) or values.min() < 0 or values.max() > 63 or values[-1] & 32:
        raise ValueError("run lengths are damaged")
    last = np.flatnonzero((values & 32) == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    lengths = last - first + 1
    if lengths.max() > 10:
        raise ValueError("run lengths are damaged")
    place = np.arange(len(values)) - np.repeat(first, lengths)
    numbers = np.add.reduceat((values & 31) << (5 * place), first)
    numbers -= np.where(values[last] & 16, np.int64(1) << (5 * lengths), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def check_runs(runs: np.ndarray, pixels: int) -> None:
    """Raise ValueError if the runs do not fill a picture of `pixels` pixels exactly."""
    if (len(runs) and (runs.min() < 0 or runs.max() > pixels)) or int(runs.sum()) != pixels:
        raise ValueError(f"run lengths do not fill a picture of {pixels} pixels")


def _polygon(points: Any, height: int, width: int) -> list[float]:
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
        raise ValueError("a polygon is no list of x, y, x, y, ... of three points or more")
    far = _FAR * max(height, width)
    return [finite(value, "polygon", least=-far, most=far) for value in points]
