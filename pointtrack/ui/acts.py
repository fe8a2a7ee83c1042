"""The named acts that a person can perform on a project; each calls a session, and says how to undo it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pointtrack.checks import counted
from pointtrack.io.tracks import load_tracks
from pointtrack.tracking.queries import corner_queries, grid_queries
from pointtrack.types import Queries, Video
from pointtrack.ui.rle import decode_mask

if TYPE_CHECKING:
    from pointtrack.ui.project import Project

MOST_POINTS = 10_000  # most points that one act may add
LOAD = "points.load"  # pages may not use it, as it names a file
# Acts that begin with a mask, which a run may have found.
ON_MASKS = ("objects.click", "points.grid", "points.corners")
MOST_TEXT = 80  # most characters of a name


@dataclass
class Done:
    """The effect of an act.

    Attributes:
        label: its description in the history.
        parts: sessions, and how many steps the act took in each; empty for acts that the history does not keep.
        answer: the answer to the caller.
    """

    label: str
    parts: list[tuple[str, int]] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)
    changes_points: bool = False
    changes_objects: bool = False


def empty_view() -> dict[str, Any]:
    """Empty names, colours and marks; keys are p1 for point 1, o1 for object 1, g1 for group 1."""
    return {"names": {}, "colors": {}, "hidden": [], "locked": [], "in": None, "out": None}


def add_points(project: Project, frame: int, xy: list[list[float]]) -> Done:
    """Add points on a frame, tracked together."""
    if not 0 < len(xy) <= MOST_POINTS:
        raise ValueError(f"points: expected 1 to {MOST_POINTS} at a time, got {len(xy)}")
    return _added(
        project, Queries(torch.full((len(xy),), frame), torch.tensor(xy, dtype=torch.float32)), "point"
    )


def add_grid(
    project: Project,
    frame: int,
    size: int = 10,
    region: list[float] | None = None,
    object: int | None = None,
) -> Done:
    """Add a grid of points on the frame, in a box, or on an object."""
    _count("grid", size, 100, "points per side")
    mask = _area(project, frame, region, object)
    return _added(
        project, grid_queries(project.video.wh, size, 0, mask).moved(frame), f"grid of {size} x {size}"
    )


def add_corners(
    project: Project,
    frame: int,
    count: int = 50,
    region: list[float] | None = None,
    object: int | None = None,
) -> Done:
    """Add the strongest corners of the frame, of a box, or of an object."""
    _count("corners", count, MOST_POINTS, "corners")
    picture = Video(project.video.frames[_frame(project, frame)][None])
    mask = _area(project, frame, region, object)
    return _added(project, corner_queries(picture, count, 0, mask).moved(frame), "corners")


def load_points(project: Project, path: str) -> Done:
    """Load the tracks of a file, to view and correct; only the server may choose the file."""
    ids = project.points.adopt(load_tracks(path)).tolist()
    return Done(
        f"{counted(len(ids), 'point')} of a file", [("points", 1)], {"points": ids}, changes_points=True
    )


def correct_point(project: Project, point: int, frame: int, xy: list[float]) -> Done:
    """Correct the position of a point on a frame."""
    _unlocked(project, f"p{point}")
    project.points.correct(point, frame, xy)
    return Done(f"point {point} corrected on frame {frame}", [("points", 1)], changes_points=True)


def forget_fix(project: Project, point: int, frame: int) -> Done:
    """Remove the correction of a point on a frame."""
    _unlocked(project, f"p{point}")
    project.points.forget(point, frame)
    return Done(f"point {point}: frame {frame} taken back", [("points", 1)], changes_points=True)


def remove_points(project: Project, points: list[int]) -> Done:
    """Remove points."""
    if not points:
        raise ValueError("points: expected at least one to remove, got none")
    for point in points:
        _unlocked(project, f"p{point}")
    project.points.remove(points)
    label = f"point {points[0]}" if len(points) == 1 else f"{len(points)} points"
    return Done(f"{label} removed", [("points", 1)], changes_points=True)


def add_object(project: Project, name: str = "") -> Done:
    """Add an object, without prompts."""
    number = project.objects.add_object(_text(name))
    return Done(f"object {number} added", [("objects", 1)], {"object": number}, changes_objects=True)


def remove_object(project: Project, object: int) -> Done:
    """Remove an object."""
    _unlocked(project, f"o{object}")
    project.objects.remove_object(object)
    return Done(f"object {object} removed", [("objects", 1)], changes_objects=True)


def click_object(
    project: Project, frame: int, points: list[list[float]], labels: list[int], object: int | None = None
) -> Done:
    """Add clicks on and beside an object, or make a new object of them."""
    return _prompted(project, object, "clicked", frame, points=points, labels=labels)


def box_object(project: Project, frame: int, box: list[float], object: int | None = None) -> Done:
    """Add a box around an object, or make a new object of it."""
    return _prompted(project, object, "boxed", frame, box=box)


def draw_object(project: Project, frame: int, mask: dict[str, Any], object: int | None = None) -> Done:
    """Add a painted mask of an object, or make a new object of it."""
    pixels = torch.from_numpy(decode_mask(mask, project.video.wh))
    return _prompted(project, object, "painted", frame, mask=pixels)


def choose_candidate(project: Project, object: int, frame: int, place: int) -> Done:
    """Choose another candidate for the prompt on a frame."""
    _unlocked(project, f"o{object}")
    project.objects.choose(object, frame, place)
    return Done(
        f"object {object}: answer {place + 1} on frame {frame}", [("objects", 1)], changes_objects=True
    )


def mark_absent(project: Project, object: int, frame: int, stop: int | None = None) -> Done:
    """Mark an object as absent, on a frame or a range."""
    _unlocked(project, f"o{object}")
    project.objects.mark_absent(object, frame, stop)
    where = f"frame {frame}" if stop is None or stop == frame + 1 else f"frames {frame} to {stop - 1}"
    return Done(f"object {object} absent on {where}", [("objects", 1)], changes_objects=True)


def clear_prompt(project: Project, object: int, frame: int) -> Done:
    """Remove the prompt of an object on a frame."""
    _unlocked(project, f"o{object}")
    project.objects.remove_prompt(object, frame)
    return Done(f"object {object}: frame {frame} taken back", [("objects", 1)], changes_objects=True)


def change_view(project: Project, changes: dict[str, Any], label: str = "") -> Done:
    """Change names, colours, what is hidden or locked, and the working range."""
    view = {
        key: (value.copy() if hasattr(value, "copy") else value) for key, value in project.view.state.items()
    }
    for key, value in changes.items():
        if key in ("names", "colors") and isinstance(value, dict):
            texts = {str(name)[:MOST_TEXT]: _text(text) for name, text in value.items()}
            view[key] = {name: text for name, text in {**view[key], **texts}.items() if text}
        elif key in ("hidden", "locked") and isinstance(value, list):
            view[key] = sorted({str(name)[:MOST_TEXT] for name in value})
        elif key in ("in", "out") and (value is None or 0 <= int(value) < len(project.video)):
            view[key] = None if value is None else int(value)
        else:
            raise ValueError(f"view: expected {', '.join(empty_view())} of the right kind, got {key}")
    if view["in"] is not None and view["out"] is not None and view["in"] > view["out"]:
        raise ValueError(f"range: expected its begin before its end, got {view['in']} and {view['out']}")
    project.view.do(view)
    return Done(_text(label) or "view changed", [("view", 1)])


def undo(project: Project) -> Done:
    """Undo the last step."""
    if project.now == 0:
        raise ValueError("undo: there is nothing to undo")
    label = project.entries[project.now - 1].label
    project.go(project.now - 1)
    return Done(f"undone: {label}")


def redo(project: Project) -> Done:
    """Redo the next step."""
    if project.now == len(project.entries):
        raise ValueError("redo: there is nothing to redo")
    project.go(project.now + 1)
    return Done(f"done again: {project.entries[project.now - 1].label}")


def go_to(project: Project, position: int) -> Done:
    """Undo or redo up to a position in the history."""
    project.go(position)
    return Done(f"back to step {position}")


def _prompted(project: Project, number: int | None, verb: str, frame: int, **prompt: Any) -> Done:
    session, steps = project.objects, 1
    if number is None:
        (number, mask), steps = session.prompt_new(frame, **prompt), 2
    else:
        _unlocked(project, f"o{number}")
        mask = session.prompt(number, frame, **prompt)
    answer = {"object": number, "pixels": int(mask.sum())}
    return Done(
        f"object {number} {verb} on frame {frame}", [("objects", steps)], answer, changes_objects=True
    )


def _added(project: Project, queries: Queries, what: str) -> Done:
    if len(queries) > MOST_POINTS:
        raise ValueError(f"points: expected at most {MOST_POINTS} at a time, got {len(queries)}")
    ids = project.points.add(queries, follow=False).tolist()
    frame = int(queries.frame[0])
    label = f"point {ids[0]} added" if len(ids) == 1 else f"{what}: {len(ids)} points added"
    return Done(f"{label} on frame {frame}", [("points", 1)], {"points": ids}, changes_points=True)


def _area(project: Project, frame: int, region: list[float] | None, number: int | None) -> np.ndarray | None:
    """(h, w) bool of a box or an object."""
    frame = _frame(project, frame)
    if number is not None:
        mask = project.objects.mask(number, frame)
        if mask is None or not mask.any():
            raise ValueError(
                f"object {number}: expected a mask on frame {frame}; click it there, or propagate first"
            )
        return mask.numpy()
    if region is None:
        return None
    w, h = project.video.wh
    x0, y0, x1, y1 = (float(side) for side in region)
    area = np.zeros((h, w), bool)
    area[max(round(y0), 0) : max(round(y1), 0) + 1, max(round(x0), 0) : max(round(x1), 0) + 1] = True
    return area


def _frame(project: Project, frame: int) -> int:
    if isinstance(frame, bool) or not isinstance(frame, int) or not 0 <= frame < len(project.video):
        raise ValueError(f"frame: expected a whole number in 0..{len(project.video) - 1}, got {frame!r}")
    return frame


def _count(act: str, number: int, most: int, what: str) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= most:
        raise ValueError(f"{act}: expected a whole number from 1 to {most} of {what}, got {number!r}")


def _unlocked(project: Project, name: str) -> None:
    if name in project.view.state["locked"]:
        raise ValueError(f"{name}: expected one that is not locked; unlock it in the list first")


def _text(text: Any) -> str:
    return " ".join(str(text).split())[:MOST_TEXT]


ACTS: dict[str, Callable[..., Done]] = {
    "points.add": add_points,
    "points.grid": add_grid,
    "points.corners": add_corners,
    LOAD: load_points,
    "points.correct": correct_point,
    "points.forget": forget_fix,
    "points.remove": remove_points,
    "objects.add": add_object,
    "objects.remove": remove_object,
    "objects.click": click_object,
    "objects.box": box_object,
    "objects.draw": draw_object,
    "objects.choose": choose_candidate,
    "objects.absent": mark_absent,
    "objects.clear": clear_prompt,
    "view": change_view,
    "undo": undo,
    "redo": redo,
    "go": go_to,
}
