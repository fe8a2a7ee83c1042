"""Points to track: where each one is on one frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from pointtrack.checks import check_shape, counted, tensor_of, whole_numbers
from pointtrack.geometry import inside_image, swapped_hint
from pointtrack.types.html import queries_html


@dataclass(frozen=True, eq=False)
class Queries:
    """Points to track: where each one is on one frame.

    Args:
        frame: (n,) whole numbers from 0, the query frame of each point; one number applies to all points.
        xy: (n, 2) points as (x, y) in pixels of the video.
        ids: (n,) distinct whole numbers, the lasting ids of the points; 0..n-1 if not given.
        names: a text for each point, "" for a point without one; or no texts at all. Files keep them.
        support: (n,) bool, True for support points, which improve the tracks of the others and are left out of the
            result; all False if not given.

    Lists and arrays work too. `frame` and `xy` are separate so that nobody confuses (t, x, y) with the (t, y, x) of
    other tools.

    Raises:
        ValueError: shapes do not fit, frames are negative or fractional, or coordinates are not finite.
    """

    frame: Tensor
    xy: Tensor
    ids: Tensor = None  # type: ignore[assignment]
    names: tuple[str, ...] = ()
    support: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        xy = tensor_of(self.xy, torch.float32).detach().cpu()
        if xy.ndim < 2 and not xy.numel():
            xy = xy.reshape(0, 2)  # an empty list
        if xy.ndim == 1 and torch.as_tensor(self.frame).ndim == 2:
            raise ValueError(
                f"query xy: expected shape (n, 2), got {tuple(xy.shape)}, and (n, 2) came as the frame: "
                "are frame and xy swapped? Name them: Queries(frame=..., xy=...)"
            )
        n = check_shape(xy, "n 2", "query xy")["n"]
        frame = whole_numbers(self.frame, "query frame")
        frame = frame.reshape(1).expand(n).clone() if frame.ndim == 0 else frame
        ids = torch.arange(n) if self.ids is None else whole_numbers(self.ids, "query ids")
        support = torch.zeros(n) if self.support is None else torch.as_tensor(self.support).detach().cpu()
        for name, values in (("query frame", frame), ("query ids", ids), ("query support", support)):
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
        object.__setattr__(self, "support", support.bool())
        if isinstance(self.names, str) or len(self.names) not in (0, n):
            raise ValueError(f"query names: expected one per point ({n}) or none, got {self.names!r}")
        names = tuple("" if name is None else str(name) for name in self.names)
        object.__setattr__(self, "names", names if any(names) else ())

    def __len__(self) -> int:
        return len(self.xy)

    def __repr__(self) -> str:
        if not len(self):
            return "Queries(no points)"
        first, last = int(self.frame.min()), int(self.frame.max())
        where = f"on frame {first}" if first == last else f"on frames {first}..{last}"
        names = f": {', '.join(self.labels()[:3])}{', ...' * (len(self) > 3)}" if self.names else ""
        return f"Queries({counted(len(self), 'point')} {where}{names})"

    def _repr_html_(self) -> str:
        return queries_html(self)

    @classmethod
    def none(cls) -> Queries:
        """No points."""
        return cls(torch.zeros(0), torch.zeros(0, 2))

    @classmethod
    def of(cls, points: Any) -> Queries:
        """Points in any usual form -> Queries.

        Args:
            points: `Queries`; (n, 3) rows of (frame, x, y) as a list, array or tensor, also (1, n, 3) for a batch of
                one; or an empty list.

        Raises:
            ValueError: `points` is something else; the message says what to do.
        """
        if isinstance(points, Queries):
            return points
        if hasattr(points, "frames") and hasattr(points, "fps"):
            raise ValueError("queries: expected points, got a video: are video and queries swapped?")
        if isinstance(points, str | PathLike):
            raise ValueError(
                f"queries: expected pt.Queries or rows of (frame, x, y), got {type(points).__name__}; "
                "pt.load_queries(path) reads a file of points"
            )
        try:
            table = tensor_of(points, torch.float64).detach().cpu()
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"queries: expected pt.Queries or rows of (frame, x, y), got {type(points).__name__}"
            ) from error
        if not table.numel():
            return cls.none()
        if table.ndim == 3 and len(table) == 1:
            table = table[0]
        if table.ndim == 1 and len(table) == 3:
            table = table[None]
        if table.ndim != 2 or table.shape[1] != 3:
            raise ValueError(
                f"queries: expected rows of (frame, x, y), got shape {tuple(table.shape)}; "
                "for (x, y) alone say the frame: pt.Queries(frame=0, xy=points)"
            )
        return cls.from_txy(table)

    @classmethod
    def from_txy(cls, txy: Any) -> Queries:
        """(n, 3) rows of (frame, x, y) -> Queries."""
        txy = torch.as_tensor(txy, dtype=torch.float64)
        check_shape(txy, "n 3", "query points (frame, x, y)")
        return cls(frame=txy[:, 0], xy=txy[:, 1:])

    def select(self, index: Any) -> Queries:
        """The points at the given positions (indices, a slice or a (n,) bool mask), with their ids.

        Raises:
            ValueError: there is no such position, or something else than positions came.
        """
        index = self.places(index)
        places = torch.arange(len(self))[index].tolist() if self.names else ()
        names = tuple(self.names[place] for place in places)
        return Queries(self.frame[index], self.xy[index], self.ids[index], names, self.support[index])

    def places(self, index: Any) -> Tensor | slice:
        """Positions of points as an index: a slice as it is, indices (k,) as int64, a mask as (n,) bool.

        Raises:
            ValueError: there is no such position, or something else than positions came.
        """
        if isinstance(index, slice):
            return index
        try:
            chosen = tensor_of(index).cpu().reshape(-1)
            chosen = chosen if chosen.dtype == torch.bool else whole_numbers(chosen, "points")
            torch.arange(len(self))[chosen]
        except (TypeError, ValueError, IndexError, RuntimeError) as error:
            raise ValueError(
                f"points: expected positions in 0..{len(self) - 1}, a slice or a mask of {counted(len(self), 'point')}, "
                f"got {index!r}; by id or name: [tracks.ids.tolist().index(7)], [tracks.queries.labels().index('nose')]"
            ) from error
        return chosen

    def requested(self) -> Queries:
        """The points that you asked for, without the support points."""
        return self.select(~self.support)

    def moved(self, frames: int) -> Queries:
        """The same points with every frame number raised by `frames`."""
        return replace(self, frame=self.frame + frames)

    def named(self, names: Mapping[int, str]) -> Queries:
        """The same points with new names from `names` (id -> name); points not in it keep theirs."""
        known = dict(zip(self.ids.tolist(), self.names or [""] * len(self), strict=True)) | dict(names)
        return replace(self, names=tuple(known[point] for point in self.ids.tolist()))

    def labels(self) -> list[str]:
        """n distinct texts for the points: the name, "point7" (7 is the id) without a name, "name_7" if two share it.

        >>> Queries(0, [[1, 1]] * 4, names=("a", "a", "a_0", "")).labels()
        ['a_0_0', 'a_1', 'a_0', 'point3']
        """
        names = self.names or [""] * len(self)
        counts = Counter(names)
        labels = [name if counts[name] == 1 else "" for name in names]
        taken = set(labels)
        for i, (name, point) in enumerate(zip(names, self.ids.tolist(), strict=True)):
            if not labels[i]:
                label = f"{name}_{point}" if name else f"point{point}"
                while label in taken:
                    label += f"_{point}"
                labels[i] = label
                taken.add(label)
        return labels

    @classmethod
    def concat(cls, parts: Sequence[Queries], renumber: bool = False) -> Queries:
        """All points of all parts in order. Ids must differ, unless `renumber` gives the points new ones from 0."""
        frame = torch.cat([part.frame for part in parts])
        xy = torch.cat([part.xy for part in parts])
        names = tuple(name for part in parts for name in part.names or [""] * len(part))
        ids = None if renumber else torch.cat([part.ids for part in parts])
        support = torch.cat([part.support for part in parts])
        return cls(frame, xy, ids, names, support)  # type: ignore[arg-type]

    def known_ids(self, ids: Tensor | Sequence[int], who: str) -> Tensor:
        """(k,) the ids as a tensor. Raises ValueError, starting with `who`, for an id that no point has."""
        ids = torch.as_tensor(ids, dtype=torch.int64).reshape(-1)
        unknown = ids[~torch.isin(ids, self.ids)]
        if len(unknown):
            raise ValueError(f"{who}: expected ids of tracked points, got {unknown.tolist()[:5]}")
        return ids

    def check_inside(self, frames: int | None, wh: tuple[int, int] | None) -> None:
        """Raise ValueError if a point lies outside the image or after the last frame; None leaves one of these out."""
        late = torch.zeros(len(self), dtype=torch.bool) if frames is None else self.frame >= frames
        outside = torch.zeros_like(late) if wh is None else ~inside_image(self.xy, wh)
        wrong = (late | outside).nonzero()
        if not len(wrong):
            return
        first = int(wrong[0])
        point, frame, (x, y) = int(self.ids[first]), int(self.frame[first]), self.xy[first].tolist()
        if frames is not None and late[first]:
            raise ValueError(
                f"query point {point}: expected a frame in 0..{frames - 1}, got {frame}; "
                f"the video has {counted(frames, 'frame')}"
            )
        assert wh is not None
        raise ValueError(
            f"query point {point}: expected (x, y) inside the {wh[0]} x {wh[1]} image, got ({x:g}, {y:g})"
            f"{swapped_hint(self.xy[first], wh)}"
        )
