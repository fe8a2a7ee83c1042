"""Where points went, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointtrack.checks import check_shape, checked_fps, counted
from pointtrack.geometry import inside_image
from pointtrack.types.html import tracks_html
from pointtrack.types.point_states import PointStates
from pointtrack.types.queries import Queries
from pointtrack.types.source import Source
from pointtrack.types.tables import to_keypoints, to_movement, to_pandas
from pointtrack.types.times import checked_times, follow_rate, joined_frames, joined_times

VISIBLE = 0.5  # a point counts as visible above this: the default for drawing, writing and decisions


@dataclass(frozen=True, eq=False)
class Tracks:
    """Where points went: positions, visibility and confidence on consecutive frames.

    Args:
        xy: (t, n, 2) pixels of the original video, not clamped to the image; NaN on frames where a point is not tracked
            (before its query frame, unless it is tracked backward too).
        visibility: (t, n) in [0, 1]: probability that the point is in view. 0 where `xy` is NaN.
        confidence: (t, n) in [0, 1]: probability that `xy` is close to the truth. 0 where `xy` is NaN.
        queries: the n tracked points.
        wh: size of the video as (width, height) in pixels.
        first_frame: frame number of the first row, for pieces of a stream.
        fps: frames per second of the video.
        states: states of the points; None unless `Tracker(states=True)` determined them.
        sources: (t, n) where each position comes from, values of `Source`; None if that is not recorded (sessions do).
        times: (t,) seconds of every row in the video, increasing; None if they follow from `fps`, see `seconds`.

    Raises:
        ValueError: shapes do not fit together, or probabilities lie outside [0, 1].
    """

    xy: Tensor
    visibility: Tensor
    confidence: Tensor
    queries: Queries
    wh: tuple[int, int]
    first_frame: int = 0
    fps: float = 30.0
    states: PointStates | None = None
    sources: Tensor | None = None
    times: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("xy", "visibility", "confidence"):
            value = torch.as_tensor(getattr(self, name), dtype=torch.float32).detach().cpu()
            object.__setattr__(self, name, value)
        sizes = check_shape(self.xy, "t n 2", "tracks xy")
        if len(self.wh) != 2 or min(self.wh) < 1:
            raise ValueError(f"tracks wh: expected (width, height) of at least 1 pixel each, got {self.wh}")
        checked_fps(self.fps, "tracks fps")
        if self.first_frame < 0:
            raise ValueError(f"tracks first_frame: expected 0 or more, got {self.first_frame}")
        for name in ("visibility", "confidence"):
            value = getattr(self, name)
            if value.shape != (sizes["t"], sizes["n"]):
                raise ValueError(
                    f"tracks {name}: expected {tuple(self.xy.shape[:2])}, got {tuple(value.shape)}"
                )
            if value.numel() and not bool(((value >= 0) & (value <= 1)).all()):
                raise ValueError(f"tracks {name}: expected probabilities in [0, 1]")
        if len(self.queries) != sizes["n"]:
            raise ValueError(
                f"tracks: expected {counted(len(self.queries), 'point')} as queried, got {sizes['n']}"
            )
        if self.states is not None and self.states.state.shape != self.visibility.shape:
            raise ValueError(
                f"tracks states: expected {tuple(self.visibility.shape)}, got {tuple(self.states.state.shape)}"
            )
        if self.sources is not None:
            sources = torch.as_tensor(self.sources).detach().cpu().to(torch.uint8)
            if sources.shape != self.visibility.shape or (sources > max(Source)).any():
                raise ValueError(
                    f"tracks sources: expected {tuple(self.visibility.shape)} values of Source, got {tuple(sources.shape)}"
                )
            object.__setattr__(self, "sources", sources)
        if self.times is not None:
            object.__setattr__(self, "times", checked_times(self.times, sizes["t"], "tracks times"))

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.xy)

    def seconds(self) -> np.ndarray:
        """(t,) seconds of every row in the video: `times`, or frame numbers divided by `fps`. All writers use it."""
        if self.times is not None:
            return self.times
        return (self.first_frame + np.arange(len(self))) / self.fps

    def __repr__(self) -> str:
        known = int(self.tracked().sum())
        seen = f", visible on {int(self.visible().sum()) / known:.0%}" if known else ""
        first = f" from frame {self.first_frame} on" if self.first_frame else ""
        return f"Tracks({counted(len(self.queries), 'point')}, {counted(len(self), 'frame')} of {self.wh[0]} x {self.wh[1]}{first}{seen})"

    def _repr_html_(self) -> str:
        return tracks_html(self)

    def to_pandas(self) -> Any:
        """A long `pandas.DataFrame`: a row per frame and point with frame, time, id, name, x, y, visibility,
        confidence, visible, and source and states if the tracks have them."""
        return to_pandas(self)

    def to_supervision(self, frame: int) -> Any:
        """The points of one frame as `supervision.KeyPoints`: each point is an object of one key point, its id and
        name in `data`.

        Raises ValueError if the tracks do not have that frame.
        """
        return to_keypoints(self, frame)

    def to_movement(self, individual: str = "individual_0") -> Any:
        """A data set of poses for `movement` (an `xarray.Dataset`). The points become key points of one individual, and
        their visibility becomes the confidence."""
        return to_movement(self, individual)

    @property
    def ids(self) -> Tensor:
        """(n,) ids of the points, as in the queries."""
        return self.queries.ids

    def tracked(self) -> Tensor:
        """(t, n) bool: a position is known."""
        return torch.isfinite(self.xy).all(dim=-1)

    def visible(self, threshold: float = VISIBLE) -> Tensor:
        """(t, n) bool: the point is in view at `xy`: the geometric mean of visibility and confidence is above
        `threshold`.

        Source: TAPIR (Doersch et al. 2023) and the evaluation of CoTracker3 (Karaev et al. 2024) use the product of the
        two. Its root means the same for trackers whose confidence repeats the visibility. States and prompts have a
        separate threshold for confidence, so they compare the visibility alone with this number.
        """
        return (self.visibility * self.confidence).sqrt() > threshold

    def in_frame(self) -> Tensor:
        """(t, n) bool: the position lies inside the image."""
        return inside_image(self.xy, self.wh)

    def corrected(self) -> Tensor:
        """(t, n) bool: a person set the position, as the query or as a correction."""
        return (
            torch.zeros(self.visibility.shape, dtype=torch.bool)
            if self.sources is None
            else self.sources == Source.PERSON
        )

    def with_times(self, times: np.ndarray) -> Tracks:
        """The same tracks with the (t,) seconds of the video's frames; without, if `fps` gives the same to 0.1 ms."""
        times = checked_times(times, len(self), "tracks times")
        return replace(self, times=None if follow_rate(times, self.first_frame, self.fps) else times)

    def select(self, index: Any) -> Tracks:
        """The points at the given positions (indices, a slice or a (n,) bool mask).

        Raises:
            ValueError: there is no such position, or something else than positions came.
        """
        index = self.queries.places(index)
        return replace(
            self,
            xy=self.xy[:, index],
            visibility=self.visibility[:, index],
            confidence=self.confidence[:, index],
            queries=self.queries.select(index),
            states=None if self.states is None else self.states[:, index],
            sources=None if self.sources is None else self.sources[:, index],
        )

    def requested(self) -> Tracks:
        """The points that you asked for, without the support points."""
        support = self.queries.support
        return self.select(~support) if bool(support.any()) else self

    def with_values(self, rows: slice, columns: Tensor, found: Tracks, where: Tensor) -> Tracks:
        """The same tracks with the values of `found` at some rows and n columns wherever `where`, (t, n) bool, is true."""
        parts = {}
        for name in ("xy", "visibility", "confidence"):
            value = getattr(self, name).clone()
            counts = where if value.ndim == 2 else where[..., None]
            value[rows, columns] = torch.where(counts, getattr(found, name), value[rows, columns])
            parts[name] = value
        return replace(self, **parts)

    def beside(self, more: Tracks) -> Tracks:
        """The points of both tracks, which cover the same frames; with states if both have them."""
        parts: dict[str, Any] = {
            name: torch.cat([getattr(self, name), getattr(more, name)], dim=1)
            for name in ("xy", "visibility", "confidence")
        }
        states = None
        if self.states is not None and more.states is not None:
            states = PointStates.blank(len(self), len(self.ids) + len(more.ids))
            states.put((slice(None), slice(0, len(self.ids))), self.states)
            states.put((slice(None), slice(len(self.ids), None)), more.states)
        queries = Queries.concat([self.queries, more.queries])
        return replace(self, **parts, queries=queries, states=states, sources=None)

    def clip(self, start: int = 0, stop: int | None = None) -> Tracks:
        """Rows start..stop-1, with `first_frame` set to match."""
        rows = slice(start, stop)
        first = self.first_frame + rows.indices(len(self))[0]
        parts = {name: getattr(self, name)[rows] for name in ("xy", "visibility", "confidence")}
        states = None if self.states is None else self.states[rows]
        sources = None if self.sources is None else self.sources[rows]
        times = None if self.times is None else self.times[rows]
        return replace(self, first_frame=first, states=states, times=times, sources=sources, **parts)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Tracks:
        """The tracks from their `dataclasses.asdict`, as saved states of streams hold them."""
        states = values["states"]
        estimated = None if states is None else PointStates(**states)
        return cls(**{**values, "queries": Queries(**values["queries"]), "states": estimated})

    @classmethod
    def concat(cls, parts: Sequence[Tracks]) -> Tracks:
        """Join pieces that follow each other in time, as a stream returns them.

        Points are matched by id. A point missing from a piece is NaN and not visible there. States are kept if all
        pieces have them.

        Raises:
            ValueError: there are no parts, the pieces are of different videos, or two pieces have a gap between them.
        """
        frames = joined_frames(parts, "Tracks.concat")
        if all(torch.equal(part.ids, parts[0].ids) for part in parts):  # as in nearly every stream
            joined: dict[str, Any] = {
                name: torch.cat([getattr(part, name) for part in parts])
                for name in ("xy", "visibility", "confidence")
            }
            estimated = [part.states for part in parts if part.states is not None]
            joined["states"] = PointStates.concat(estimated) if len(estimated) == len(parts) else None
            kept = [part.sources for part in parts if part.sources is not None]
            joined["sources"] = torch.cat(kept) if len(kept) == len(parts) else None
            joined["times"] = joined_times(parts)
            return replace(parts[0], **joined)
        ids: dict[int, tuple[Tracks, int]] = {}
        for part in parts:
            for position, point in enumerate(part.ids.tolist()):
                ids.setdefault(point, (part, position))
        columns = {point: column for column, point in enumerate(ids)}
        xy = torch.full((frames, len(ids), 2), float("nan"))
        visibility, confidence = torch.zeros(frames, len(ids)), torch.zeros(frames, len(ids))
        states = None
        if all(part.states is not None for part in parts):
            states = PointStates.blank(frames, len(ids))
        sources = None
        if all(part.sources is not None for part in parts):
            sources = torch.zeros(frames, len(ids), dtype=torch.uint8)
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
            if sources is not None and part.sources is not None:
                sources[rows, here] = part.sources
        empty = parts[0].queries.select(slice(0, 0))
        queries = Queries.concat([empty, *(part.queries.select([at]) for part, at in ids.values())])
        return replace(
            parts[0], xy=xy, visibility=visibility, confidence=confidence, queries=queries, states=states,
            sources=sources, times=joined_times(parts),
        )  # fmt: skip

    def arrays(self) -> dict[str, Any]:
        """Everything as numpy arrays by their names in files; `from_arrays` reads them."""
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
            **({} if self.times is None else {"times": self.times}),
            **({} if self.states is None else self.states.arrays()),
            **({} if self.sources is None else {"sources": self.sources.numpy()}),
            **({"names": np.array(self.queries.names)} if self.queries.names else {}),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Tracks:
        """The tracks from their `arrays`. Raises KeyError if an array is missing."""
        return cls(
            torch.from_numpy(arrays["xy"]),
            torch.from_numpy(arrays["visibility"]),
            torch.from_numpy(arrays["confidence"]),
            Queries(
                arrays["query_frame"],  # type: ignore[arg-type]
                arrays["query_xy"],  # type: ignore[arg-type]
                arrays["ids"],  # type: ignore[arg-type]
                tuple(arrays["names"].tolist()) if "names" in arrays else (),
            ),
            (int(arrays["wh"][0]), int(arrays["wh"][1])),
            int(arrays["first_frame"]),
            float(arrays["fps"]),
            PointStates.from_arrays(arrays),
            torch.from_numpy(arrays["sources"]) if "sources" in arrays else None,
            arrays.get("times"),
        )
