"""Converts common kinds of frames to (h, w, 3) uint8 RGB: grey, RGBA, channels first, tensors, Pillow images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointtrack.checks import array_of

CHANNELS = (1, 3, 4)
# Pillow's modes of more than 8 bits: converted to RGB, all that is above 255 would become white.
DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def as_frame(frame: Any, name: str) -> np.ndarray:
    """Convert one frame.

    Args:
        frame: (h, w), (h, w, 1), (h, w, 3), (h, w, 4) or channels first, uint8; an array, a tensor or a Pillow image.
            Grey becomes RGB; the alpha channel is dropped.
        name: its name in error messages.

    Returns:
        (h, w, 3) uint8 RGB; a view of the frame if it already has that form.

    Raises:
        ValueError: another shape or type; the message names the call that converts it.
    """
    tensor, frame = isinstance(frame, Tensor), _array(frame)
    if frame.ndim == 2:
        frame = frame[..., None]
    if frame.ndim != 3 or 0 in frame.shape:
        raise ValueError(f"{name}: expected shape (h, w, 3), RGB last, got {frame.shape}")
    return _colored(_last(frame[None], name)[0], name, tensor)


def as_frames(frames: Any, name: str) -> np.ndarray:
    """Convert all frames of a video at once: (t, h, w), (t, h, w, c), (t, c, h, w), or a batch of one (1, t, c, h, w).

    Arguments, result and errors as in `as_frame`, with t in front.
    """
    tensor, given, frames = isinstance(frames, Tensor), frames, _array(frames)
    if not frames.ndim:
        reading = "; pt.read_video(path) reads a file" if isinstance(given, str | Path) else ""
        raise ValueError(
            f"{name}: expected an array of shape (t, h, w, 3), RGB last, got {type(given).__name__}{reading}"
        )
    if frames.ndim == 5 and len(frames) == 1:
        frames = frames[0]
    if frames.ndim == 3 and frames.shape[-1] not in CHANNELS:
        frames = frames[..., None]
    if frames.ndim == 3:
        raise ValueError(
            f"{name}: expected shape (t, h, w, 3), RGB last, got {frames.shape}, which is one frame: frames[None]"
        )
    if frames.ndim != 4:
        raise ValueError(f"{name}: expected shape (t, h, w, 3), RGB last, got {frames.shape}")
    if 0 in frames.shape:
        raise ValueError(f"{name}: expected at least one frame and one pixel, got {frames.shape}")
    return _colored(_last(frames, name), name, tensor)


def pushed_frames(frames: Any, wh: tuple[int, int]) -> np.ndarray | Tensor:
    """The frames that a stream takes in one push, before it changes anything.

    Args:
        frames: a frame as in `as_frame`, frames as in `as_frames`, or a list of single ones, also an empty one.
        wh: size of the stream's frames as (width, height).

    Returns:
        (t, h, w, 3) uint8 RGB. Tensors of this form, or of a single frame, stay on their device.

    Raises:
        ValueError: another size, shape or type.
    """
    expected = (wh[1], wh[0], 3)
    if isinstance(frames, Tensor) and frames.dtype == torch.uint8 and frames.shape[-3:] == expected:
        taken: np.ndarray | Tensor = frames[None] if frames.ndim == 3 else frames
    elif isinstance(frames, list | tuple):
        rows = [as_frame(frame, f"frame {number} of the list") for number, frame in enumerate(frames)]
        odd = [row.shape for row in rows if row.shape != expected]
        taken = (
            np.stack(rows) if rows and not odd else np.empty((len(rows), *(odd or [expected])[0]), np.uint8)
        )
    else:
        array = _array(frames)
        if array.shape[1:] == expected and array.dtype == np.uint8:  # also none of them
            taken = array
        else:
            taken = as_frame(frames, "frames")[None] if array.ndim < 4 else as_frames(frames, "frames")
    if taken.ndim != 4 or tuple(taken.shape[1:]) != expected:
        raise ValueError(
            f"frames: expected uint8 RGB of shape (t, {', '.join(map(str, expected))}), as the stream was made for, "
            f"got {tuple(taken.shape)}"
        )
    return taken


def _array(frame: Any) -> np.ndarray:
    if hasattr(frame, "convert") and hasattr(frame, "getbands"):  # a Pillow image
        kept = ("L", "RGB", "RGBA", *DEEP)
        return np.asarray(frame if frame.mode in kept else frame.convert("RGB"))
    if isinstance(frame, Tensor) and frame.dtype == torch.bfloat16:
        frame = frame.float()  # numpy has no bfloat16; what is said of its values is the same
    return array_of(frame)


def _last(frames: np.ndarray, name: str) -> np.ndarray:
    """(t, h, w, c): moves the channels last if they came first."""
    if frames.shape[-1] in CHANNELS:
        return frames
    if frames.shape[1] in CHANNELS:
        return np.moveaxis(frames, 1, -1)
    raise ValueError(
        f"{name}: expected 3 channels last (or 1 or 4, or first), got shape {frames.shape[1:]} of a frame"
    )


def _colored(frames: np.ndarray, name: str, tensor: bool = False) -> np.ndarray:
    """Convert to three channels of uint8. `tensor` says that they came as a torch tensor."""
    if frames.dtype != np.uint8:
        raise ValueError(
            f"{name}: expected uint8 values 0..255, got {frames.dtype}; {_advice(frames, tensor)}"
        )
    if frames.shape[-1] == 1:
        return np.repeat(frames, 3, axis=-1)
    return frames[..., :3]


def _advice(frames: np.ndarray, tensor: bool) -> str:
    """The call that converts these values to uint8, for an array or a torch tensor."""
    kind, cast = frames.dtype.kind, ".byte()" if tensor else ".astype('uint8')"
    if kind == "b":
        return f"convert with frames{cast} * 255"
    if kind not in "fiu":
        return "give numbers"
    highest = float(np.nanmax(frames)) if frames.size else 0.0
    lowest = float(np.nanmin(frames)) if frames.size else 0.0
    if kind == "f" and -1.01 <= lowest < 0 and highest <= 1.01:
        return f"its values lie in -1..1: convert with ((frames + 1) * 127.5).round(){cast}"
    if kind == "f" and highest <= 1.0:
        return f"its values lie in 0..1: convert with (frames * 255).round(){cast}"
    if highest <= 255 and lowest >= 0:
        return "its values lie in 0..255: convert with frames" + (".round()" if kind == "f" else "") + cast
    top = next((2**bits - 1 for bits in (10, 12, 14, 16) if highest <= 2**bits - 1), None)
    if top is None or lowest < 0:
        return f"convert with ((frames - frames.min()) / (frames.max() - frames.min()) * 255){cast}"
    return f"its values lie in 0..{top}: convert with (frames / {top / 255:.6g}).round(){cast}"
