"""Compiles a tracker's encoder and transformer with torch.compile, for shapes that repeat.

On a GPU they also become CUDA graphs, so that their hundreds of small kernels are launched as one. The GPU part has
not run yet, because no GPU was available.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from pointtrack.models.point_tracker import PointTracker, check_kind

BUCKETS = (64, 256, 1024, 4096)  # numbers of points; above these, multiples of the last
IMAGES = 8  # encoded at once; the rest go one by one


def compile_tracker(tracker: PointTracker, backend: str = "inductor") -> PointTracker:
    """Compile the encoder and the transformer of a tracker with torch.compile, in place, and return the tracker.

    Each new frame size and bucket of points is compiled when it first occurs, which takes from ten seconds to
    minutes, so this is for long streams of one size. Points are padded to the next bucket with filler points that no
    other point sees. Incomplete windows, at the end of a video, run uncompiled. Results agree up to rounding.

    Args:
        tracker: for inference, with windows of a fixed length.
        backend: of torch.compile.

    Raises:
        ValueError: a tracker with one window over the whole video, or with `strict_parity`, whose results depend on
            the exact number of points; or no C++ compiler, on a CPU.
    """
    check_kind(tracker, "compile")
    config = tracker.config
    if config.window.length is None or tracker.inference.strict_parity:
        raise ValueError(
            f"compile: expected a tracker with windows of a fixed length and without strict_parity, got {config.name}; "
            "load it without compile"
        )
    on_cpu = next(tracker.parameters()).device.type == "cpu"
    compilers = [os.environ.get("CXX", "c++"), "g++", "clang++"]
    if on_cpu and backend == "inductor" and not any(map(shutil.which, compilers)):
        raise ValueError(
            f"compile: expected a C++ compiler ({', '.join(compilers)}), found none; load without compile"
        )
    update, encode = tracker.updater.forward, tracker.encoder.forward
    # "reduce-overhead" is inductor's name for CUDA graphs.
    mode = None if on_cpu or backend != "inductor" else "reduce-overhead"
    build = partial(torch.compile, dynamic=False, backend=backend, mode=mode)
    # Replace the methods of the two modules, not the modules, so that weights keep their names.
    tracker.updater.forward = partial(_in_bucket, build(update), update, config.window.length)  # type: ignore[method-assign]
    tracker.encoder.forward = partial(_in_pieces, build(encode))  # type: ignore[method-assign]
    return tracker


def bucket(points: int) -> int:
    """The number of points that `points` are padded to.

    >>> [bucket(n) for n in (1, 64, 65, 5000)]
    [64, 64, 256, 8192]
    """
    largest = BUCKETS[-1]
    return next((size for size in BUCKETS if points <= size), -(-points // largest) * largest)


def _in_bucket(
    compiled: Callable[..., Tensor],
    plain: Callable[..., Tensor],
    length: int,
    tokens: Tensor,
    hidden: Tensor | None = None,
    by_proxy: bool = False,
) -> Tensor:
    """`Updater.forward` with its points padded to a bucket, or `plain` for windows of another length."""
    b, t, n, _ = tokens.shape
    if t != length or n == 0:
        return plain(tokens, hidden, by_proxy)
    unseen = torch.ones(b, bucket(n), dtype=torch.bool, device=tokens.device)
    unseen[:, :n] = False if hidden is None else hidden
    # A CUDA graph writes every result to the same memory: copy this one before the next overwrites it.
    return compiled(F.pad(tokens, (0, 0, 0, bucket(n) - n)), unseen)[:, :, :n].clone()


def _in_pieces(compiled: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """`Encoder.forward` in batches of few sizes, which is possible because it treats every image on its own."""
    whole = len(images) // IMAGES * IMAGES
    pieces = [*images[:whole].split(IMAGES), *images[whole:].split(1)]
    return torch.cat([compiled(piece).clone() for piece in pieces if len(piece)])  # cloned as above
