"""What every part of pointtrack speaks: `Video`, `Queries`, `Tracks`. Frozen, and checked when made.

One video, no batch axis. Pixels are numpy arrays (they come from decoders and go to files), points are
torch tensors on the CPU. A value of these types is always valid: whoever receives one need not check.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointtrack.checks import check_shape, whole_numbers
from pointtrack.geometry import inside_image
from pointtrack.npz import npz_path, read_npz
from pointtrack.point_states import PointStates


@dataclass(frozen=True, eq=False)
class Video:
    """Frames of one video with their times.

    Args:
        frames: (t, h, w, 3) uint8 RGB, at least one frame; numpy array or torch tensor.
        fps: frames per second; used to fill `times` where those are not given.
        times: (t,) seconds of every frame, increasing; from `fps` where not given.

    Raises:
        ValueError: another shape or type, no frames, times that do not fit or do not increase.
    """

    frames: np.ndarray
    fps: float = 30.0
    times: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        frames = np.asarray(self.frames)
        if frames.ndim != 4 or frames.shape[-1] != 3:
            raise ValueError(f"video frames: expected shape (t, h, w, 3), RGB last, got {frames.shape}")
        if frames.dtype != np.uint8:
            raise ValueError(
                f"video frames: expected uint8 values 0..255, got {frames.dtype}; "
                "convert with (frames * 255).round().astype('uint8') if they are in 0..1"
            )
        if 0 in frames.shape:
            raise ValueError(f"video frames: expected at least one frame and one pixel, got {frames.shape}")
        if not self.fps > 0:
            raise ValueError(f"fps: expected a positive number, got {self.fps}")
        times = np.arange(len(frames)) / self.fps if self.times is None else np.asarray(self.times, float)
        if times.shape != (len(frames),):
            raise ValueError(f"times: expected one per frame ({len(frames)},), got shape {times.shape}")
        if np.any(np.diff(times) <= 0):
            raise ValueError(
                "times: expected increasing seconds, got a frame that is not later than the last"
            )
        object.__setattr__(self, "frames", frames)
        object.__setattr__(self, "fps", float(self.fps))
        object.__setattr__(self, "times", times)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def wh(self) -> tuple[int, int]:
        """Image size as (width, height) in pixels."""
        return self.frames.shape[2], self.frames.shape[1]

    def fingerprint(self) -> str:
        """Size and digest of some frames: tells a video from others without reading all of it."""
        digest = 0
        for frame in (0, len(self) // 2, len(self) - 1):
            digest = zlib.crc32(np.ascontiguousarray(self.frames[frame]).data, digest)
        return f"{len(self)} frames of {self.wh[0]} x {self.wh[1]}, digest {digest:08x}"

    def clip(self, start: int = 0, stop: int | None = None) -> Video:
        """Frames start..stop-1, their times kept. The pixels are shared, not copied."""
        return Video(self.frames[start:stop], self.fps, self.times[start:stop])

    def split(self, chunk: int) -> Iterator[np.ndarray]:
        """Consecutive pieces of at most `chunk` frames, each (t, h, w, 3) uint8."""
        if chunk < 1:
            raise ValueError(f"chunk: expected at least 1 frame, got {chunk}")
        for start in range(0, len(self), chunk):
            yield self.frames[start : start + chunk]


@dataclass(frozen=True, eq=False)
class Queries:
    """Points to track: where each one is on one frame.

    Args:
        frame: (n,) whole numbers, the frame each point is given on, from 0.
        xy: (n, 2) points as (x, y) in pixels of the video.
        ids: (n,) distinct whole numbers that name the points for ever; 0..n-1 where not given.

    Lists and arrays are taken too. `frame` and `xy` are kept apart so that (t, x, y) and the (t, y, x)
    of other tools cannot be mixed up.

    Raises:
        ValueError: shapes that do not fit, negative or fractional frames, coordinates that are not finite.
    """

    frame: Tensor
    xy: Tensor
    ids: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        xy = torch.as_tensor(self.xy, dtype=torch.float32).detach().cpu()
        n = check_shape(xy, "n 2", "query xy")["n"]
        frame = whole_numbers(self.frame, "query frame")
        ids = torch.arange(n) if self.ids is None else whole_numbers(self.ids, "query ids")
        for name, values in (("query frame", frame), ("query ids", ids)):
            if values.shape != (n,):
                raise ValueError(f"{name}: expected one per point ({n},), got shape {tuple(values.shape)}")
        if not torch.isfinite(xy).all():
            bad = int((~torch.isfinite(xy).all(dim=1)).nonzero()[0])
            raise ValueError(f"query xy: expected finite pixels, got {xy[bad].tolist()} for point {bad}")
        if n and int(frame.min()) < 0:
            raise ValueError(f"query frame: expected 0 or later, got {int(frame.min())}")
        if len(torch.unique(ids)) != n:
            raise ValueError("query ids: expected distinct ids, got one twice")
        object.__setattr__(self, "frame", frame)
        object.__setattr__(self, "xy", xy)
        object.__setattr__(self, "ids", ids)

    def __len__(self) -> int:
        return len(self.xy)

    @classmethod
    def from_txy(cls, txy: Any) -> Queries:
        """(n, 3) rows of (frame, x, y) -> Queries."""
        txy = torch.as_tensor(txy, dtype=torch.float64)
        check_shape(txy, "n 3", "query points (frame, x, y)")
        return cls(frame=txy[:, 0], xy=txy[:, 1:])

    def select(self, index: Any) -> Queries:
        """The points at the given positions (indices, a slice or a (n,) bool mask), ids kept."""
        return Queries(self.frame[index], self.xy[index], self.ids[index])

    def moved(self, frames: int) -> Queries:
        """The same points with every frame number raised by `frames`."""
        return Queries(self.frame + frames, self.xy, self.ids)

    @classmethod
    def concat(cls, parts: Sequence[Queries], renumber: bool = False) -> Queries:
        """All points of all parts in order; ids must differ, or are counted anew with `renumber`."""
        frame = torch.cat([part.frame for part in parts])
        xy = torch.cat([part.xy for part in parts])
        return cls(frame, xy) if renumber else cls(frame, xy, torch.cat([part.ids for part in parts]))

    def known_ids(self, ids: Tensor | Sequence[int], who: str) -> Tensor:
        """(k,) the ids; ValueError, with `who` was asked in front, for one that no point has."""
        ids = torch.as_tensor(ids, dtype=torch.int64).reshape(-1)
        unknown = ids[~torch.isin(ids, self.ids)]
        if len(unknown):
            raise ValueError(f"{who}: expected ids of tracked points, got {unknown.tolist()[:5]}")
        return ids

    def check_inside(self, frames: int | None, wh: tuple[int, int]) -> None:
        """Raise ValueError when a point lies outside the image or after the last frame."""
        for i in range(len(self)):
            if frames is not None and int(self.frame[i]) >= frames:
                raise ValueError(
                    f"query point {int(self.ids[i])}: expected a frame in 0..{frames - 1}, "
                    f"got {int(self.frame[i])}; the video has {frames} frames"
                )
            if not bool(inside_image(self.xy[i], wh)):
                raise ValueError(
                    f"query point {int(self.ids[i])}: expected (x, y) inside the {wh[0]} x {wh[1]} image, "
                    f"got ({self.xy[i, 0]:g}, {self.xy[i, 1]:g})"
                )


@dataclass(frozen=True, eq=False)
class Tracks:
    """Where points went: positions, visibility and confidence on consecutive frames.

    Args:
        xy: (t, n, 2) pixels of the original video, not clamped to the image; NaN on frames where a point
            was not tracked (before its query frame, unless tracked backward too).
        visibility: (t, n) in [0, 1]: probability that the point is in view. 0 where `xy` is NaN.
        confidence: (t, n) in [0, 1]: probability that `xy` is close to the truth. 0 where `xy` is NaN.
        queries: the n points that were asked for.
        wh: size of the video as (width, height) in pixels.
        first_frame: frame number of the first row, for pieces of a stream.
        fps: frames per second of the video.
        states: what became of the points; None where nobody judged it (`StateTracker` does).

    Raises:
        ValueError: shapes that do not fit together, or probabilities outside [0, 1].
    """

    xy: Tensor
    visibility: Tensor
    confidence: Tensor
    queries: Queries
    wh: tuple[int, int]
    first_frame: int = 0
    fps: float = 30.0
    states: PointStates | None = None

    def __post_init__(self) -> None:
        for name in ("xy", "visibility", "confidence"):
            value = torch.as_tensor(getattr(self, name), dtype=torch.float32).detach().cpu()
            object.__setattr__(self, name, value)
        sizes = check_shape(self.xy, "t n 2", "tracks xy")
        for name in ("visibility", "confidence"):
            value = getattr(self, name)
            if value.shape != (sizes["t"], sizes["n"]):
                raise ValueError(
                    f"tracks {name}: expected {tuple(self.xy.shape[:2])}, got {tuple(value.shape)}"
                )
            if value.numel() and not bool(((value >= 0) & (value <= 1)).all()):
                raise ValueError(f"tracks {name}: expected probabilities in [0, 1]")
        if len(self.queries) != sizes["n"]:
            raise ValueError(f"tracks: expected {len(self.queries)} points as queried, got {sizes['n']}")
        if self.states is not None and self.states.state.shape != self.visibility.shape:
            raise ValueError(
                f"tracks states: expected {tuple(self.visibility.shape)}, got {tuple(self.states.state.shape)}"
            )

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.xy)

    @property
    def ids(self) -> Tensor:
        """(n,) names of the points, as in the queries."""
        return self.queries.ids

    def tracked(self) -> Tensor:
        """(t, n) bool: a position is known."""
        return torch.isfinite(self.xy).all(dim=-1)

    def visible(self, threshold: float = 0.5) -> Tensor:
        """(t, n) bool: the point is seen, and seen where `xy` says: the geometric mean of both probabilities is above `threshold`.

        Source: the product of the two in TAPIR (Doersch et al. 2023) and in the evaluation of CoTracker3 (Karaev et al.
        2024); its root means the same for trackers whose confidence repeats the visibility.
        """
        return (self.visibility * self.confidence).sqrt() > threshold

    def in_frame(self) -> Tensor:
        """(t, n) bool: the position lies inside the image."""
        return inside_image(self.xy, self.wh)

    def select(self, index: Any) -> Tracks:
        """The points at the given positions (indices, a slice or a (n,) bool mask)."""
        return replace(
            self,
            xy=self.xy[:, index],
            visibility=self.visibility[:, index],
            confidence=self.confidence[:, index],
            queries=self.queries.select(index),
            states=None if self.states is None else self.states[:, index],
        )

    def clip(self, start: int = 0, stop: int | None = None) -> Tracks:
        """Rows start..stop-1 as a piece that knows its first frame."""
        rows = slice(start, stop)
        first = self.first_frame + rows.indices(len(self))[0]
        parts = {name: getattr(self, name)[rows] for name in ("xy", "visibility", "confidence")}
        states = None if self.states is None else self.states[rows]
        return replace(self, first_frame=first, states=states, **parts)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Tracks:
        """The tracks that `dataclasses.asdict` was asked of, as states of streams hold them."""
        states = values["states"]
        judged = None if states is None else PointStates(**states)
        return cls(**{**values, "queries": Queries(**values["queries"]), "states": judged})

    @classmethod
    def concat(cls, parts: Sequence[Tracks]) -> Tracks:
        """Join pieces that follow each other in time, as a stream returns them.

        Points are matched by id; one that is missing from a piece is NaN and not visible there. States are kept where all
        pieces have them.

        Raises:
            ValueError: no parts, pieces of different videos, or a gap between two pieces.
        """
        if not parts:
            raise ValueError("Tracks.concat: expected at least one piece, got none")
        end = parts[0].first_frame
        ids: dict[int, tuple[Tracks, int]] = {}
        for part in parts:
            if part.wh != parts[0].wh:
                raise ValueError(
                    f"Tracks.concat: expected pieces of one size, got {parts[0].wh} and {part.wh}"
                )
            if part.first_frame != end:
                raise ValueError(f"Tracks.concat: expected a piece from frame {end}, got {part.first_frame}")
            end += len(part)
        if all(torch.equal(part.ids, parts[0].ids) for part in parts):  # as in nearly every stream
            joined: dict[str, Any] = {
                name: torch.cat([getattr(part, name) for part in parts])
                for name in ("xy", "visibility", "confidence")
            }
            judged = [part.states for part in parts if part.states is not None]
            joined["states"] = PointStates.concat(judged) if len(judged) == len(parts) else None
            return replace(parts[0], **joined)
        for part in parts:
            for position, point in enumerate(part.ids.tolist()):
                ids.setdefault(point, (part, position))
        columns = {point: column for column, point in enumerate(ids)}
        frames = end - parts[0].first_frame
        xy = torch.full((frames, len(ids), 2), float("nan"))
        visibility, confidence = torch.zeros(frames, len(ids)), torch.zeros(frames, len(ids))
        states = None
        if all(part.states is not None for part in parts):
            states = PointStates.blank(frames, len(ids))
        row = 0
        for part in parts:
            rows = slice(row, row := row + len(part))
            here = torch.tensor([columns[point] for point in part.ids.tolist()], dtype=torch.int64)
            xy[rows, here], visibility[rows, here], confidence[rows, here] = (
                part.xy,
                part.visibility,
                part.confidence,
            )
            if states is not None and part.states is not None:
                states.put((rows, here), part.states)
        empty = parts[0].queries.select(slice(0, 0))
        queries = Queries.concat([empty, *(part.queries.select([at]) for part, at in ids.values())])
        return replace(
            parts[0], xy=xy, visibility=visibility, confidence=confidence, queries=queries, states=states
        )

    def arrays(self) -> dict[str, Any]:
        """Everything as numpy arrays by the names that `save` gives them; `of_arrays` reads them."""
        return {
            "xy": self.xy.numpy(),
            "visibility": self.visibility.numpy(),
            "confidence": self.confidence.numpy(),
            "query_frame": self.queries.frame.numpy(),
            "query_xy": self.queries.xy.numpy(),
            "ids": self.ids.numpy(),
            "wh": np.array(self.wh),
            "first_frame": np.array(self.first_frame),
            "fps": np.array(self.fps),
            **({} if self.states is None else self.states.arrays()),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Tracks:
        """The tracks that `arrays` was asked of. Raises KeyError where an array is missing."""
        return cls(
            torch.from_numpy(arrays["xy"]),
            torch.from_numpy(arrays["visibility"]),
            torch.from_numpy(arrays["confidence"]),
            Queries(arrays["query_frame"], arrays["query_xy"], arrays["ids"]),  # type: ignore[arg-type]
            (int(arrays["wh"][0]), int(arrays["wh"][1])),
            int(arrays["first_frame"]),
            float(arrays["fps"]),
            PointStates.of_arrays(arrays),
        )

    def save(self, path: str | Path) -> Path:
        """Write everything to one .npz file, which `Tracks.load` reads back bit by bit."""
        path = npz_path(path)
        np.savez_compressed(path, **self.arrays())
        return path

    @classmethod
    def load(cls, path: str | Path) -> Tracks:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: no such file.
            ValueError: an npz file that does not hold tracks.
        """
        needed = ("xy", "visibility", "confidence", "query_frame", "query_xy", "ids", "wh")
        return cls.of_arrays(read_npz(path, "tracks", needed))
