"""Command lines that write the files of an export."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pointtrack.sessions.moments import objects_now, points_now
from pointtrack.sessions.object_session import ObjectSession
from pointtrack.sessions.track_session import TrackSession
from pointtrack.types import Queries
from pointtrack.viz.color_names import told_colors
from pointtrack.viz.styles import TrackStyle

if TYPE_CHECKING:
    from pointtrack.ui.exports import ExportOptions
    from pointtrack.ui.project import Project

HEX = re.compile("#[0-9a-fA-F]{6}")
MOST_COMMAND_POINTS = 40  # most points that a command line lists; more come with the session


@dataclass(frozen=True)
class Moment:
    """A project as it is at a moment; what is done later does not change it.

    Attributes:
        path: path of the video.
        points, objects: the sessions, with the names that a person gave.
        view: names, colours and marks.
    """

    path: Path
    points: TrackSession
    objects: ObjectSession
    view: dict[str, Any]

    @classmethod
    def of(cls, project: Project) -> Moment:
        """The moment that is now."""
        view = project.view.state  # a state never changes
        points = points_now(project.points, _numbered(view["names"], "p"))
        return cls(project.path, points, objects_now(project.objects, _numbered(view["names"], "o")), view)

    def queries(self) -> Queries:
        """The first fix of every point, without names where none has one."""
        queries = self.points.known(0, 1).queries
        return queries if any(queries.names) else Queries(queries.frame, queries.xy, queries.ids)


def session_files(stem: str) -> tuple[str, str, str]:
    """Names of the files with the points' session, the objects' session, and the points as queries."""
    return f"{stem}_points.npz", f"{stem}_objects.npz", f"{stem}_queries.csv"


def commands_for(
    project: Project, options: ExportOptions, moment: Moment | None = None, folder: Path | None = None
) -> dict[str, list[str]]:
    """Command lines that write the same files.

    Args:
        project, options: the project, and what to export.
        moment: the project as it is exported; by default as it is now.
        folder: of the export, where there is one; its session files are read from there.

    Returns:
        The "commands", and as "notes" what they do otherwise than the page, ready for JSON.
    """
    moment = Moment.of(project) if moment is None else moment
    lines, files, differs = [], False, False
    drawn = bool(options.videos)
    if options.masks or options.edit or (drawn and moment.objects.objects):
        files = True
        lines.append(_segment(project, options, moment, folder))
    if options.tracks or (drawn and moment.points.points):
        listed = not options.sessions and _can_be_listed(moment)
        files |= not listed
        differs = listed and not _tracked_at_once(moment)
        lines.append(_track(project, options, moment, listed, folder))
    return {"commands": lines, "notes": _notes(options, files, differs)}


def _can_be_listed(moment: Moment) -> bool:
    """Whether a command line can say all that was said of the points."""
    queries, fixes = moment.queries(), moment.points.points.values()
    return len(queries) <= MOST_COMMAND_POINTS and not queries.names and all(len(one) == 1 for one in fixes)


def _tracked_at_once(moment: Moment) -> bool:
    """Whether the page tracks the points as a command does: all together, from the first frame on."""
    return len(set(moment.points.groups.values())) <= 1 and not bool(moment.queries().frame.any())


def _track(
    project: Project, options: ExportOptions, moment: Moment, listed: bool, folder: Path | None
) -> str:
    models, queries = project.models, moment.queries()
    line = f"pointtrack track {shlex.quote(str(project.path))}"
    if listed:
        places = zip(queries.frame.tolist(), queries.xy.numpy(), strict=True)
        line += f" --points {' '.join(f'{frame},{_short(xy[0])},{_short(xy[1])}' for frame, xy in places)}"
    else:
        line += f" --session {_placed(session_files(project.path.stem)[0], folder)}"
    line += "" if models.tracker == "small" else f" --tracker {shlex.quote(models.tracker)}"
    line += _precision(project) + (" --speed exact" if models.looks == 2 else "")
    exports = [name for name in options.tracks if name != "npz"]
    line += f" --export {','.join(exports)}" if exports else ""
    line += f" --smooth {options.smooth}" if options.smooth else ""
    line += _keep(project, options)
    if options.videos:
        line += " --color-by id" + _colors(moment, "p")
        line += f" --trail {options.trail}" if options.trail != TrackStyle().trail else ""
        if moment.objects.objects:  # under the points, as on the page
            line += f" --masks {shlex.quote(f'outputs/{project.path.stem}_masks.npz')} --mask-opacity {options.opacity:g}"
            line += " --mask-label name" if options.labels else ""
            line += _colors(moment, "o").replace("--colors", "--mask-colors")
        line += _sound(options) + _out(project.path.stem, options)
    return line


def _segment(project: Project, options: ExportOptions, moment: Moment, folder: Path | None) -> str:
    models, stem = project.models, project.path.stem
    line = f"pointtrack segment {shlex.quote(str(project.path))} --session {_placed(session_files(stem)[1], folder)}"
    if models.engine:
        line += f" --video-segmenter {shlex.quote(models.engine)}"
    else:
        line += "" if models.tracker == "small" else f" --tracker {shlex.quote(models.tracker)}"
        line += "" if models.segmenter == "small" else f" --segmenter {shlex.quote(models.segmenter)}"
        line += _precision(project)
    exports = list(options.masks)
    if exports and options.videos and moment.points.points and "npz" not in exports:
        exports.append("npz")  # the other command draws them
    line += f" --export {','.join(exports)}" if exports else ""
    line += _keep(project, options) + f" --opacity {options.opacity:g}"
    line += f" --background {shlex.quote(options.background)}" if options.background else ""
    line += f" --objects {shlex.quote(options.hide)}" if options.hide else ""
    if options.videos:
        line += _colors(moment, "o") + (" --label name" if options.labels else "")
    if options.videos or options.edit:
        line += _sound(options) + _out(f"{stem}_masks", options)
    return line


def _colors(moment: Moment, kind: str) -> str:
    """The colours that a person chose for points (p) or objects (o), and which of them are not shown."""
    view, groups = moment.view, moment.points.groups
    numbers = moment.points.points if kind == "p" else moment.objects.objects
    told: dict[int, str] = {}
    for number in numbers:
        keys = [f"{kind}{number}", *([f"g{groups[number]}"] if kind == "p" else [])]
        chosen = next((view["colors"][key] for key in keys if key in view["colors"]), "")
        if HEX.fullmatch(chosen):
            told[number] = chosen[1:].lower()
        if any(key in view["hidden"] for key in keys):
            told[number] = "none"
    return f" --colors {told_colors(told)}" if told else ""


def _sound(options: ExportOptions) -> str:
    return "" if options.sound else " --no-sound"


def _notes(options: ExportOptions, files: bool, differs: bool) -> list[str]:
    """What the commands do otherwise than the page, and what they need; `differs` if tracks do."""
    words = []
    if files and not options.sessions:
        words.append("tick session files: the commands read them")
    if differs:
        words.append(
            "a command tracks all points together, the page those of each click on their own, so positions differ a little; "
            "tick session files, and it takes those of the page"
        )
    if len(options.videos) > 1:
        others = ", ".join(f".{name}" for name in options.videos[1:])
        words.append(f"a command draws one video: for {others} run it again with another --out")
    return words


def _keep(project: Project, options: ExportOptions) -> str:
    length = len(project.video)
    stop = length if options.stop is None else options.stop
    return "" if (options.start, stop) == (0, length) else f" --keep {options.start},{stop - 1}"


def _out(stem: str, options: ExportOptions) -> str:
    """Commands draw .mp4 into the folder outputs unless told otherwise."""
    first = options.videos[0] if options.videos else "mp4"
    return "" if first == "mp4" else f" --out {shlex.quote(f'outputs/{stem}.{first}')}"


def _precision(project: Project) -> str:
    precision = project.models.precision
    return "" if precision == "float32" else f" --precision {precision}"


def _placed(name: str, folder: Path | None) -> str:
    return shlex.quote(name if folder is None else str(folder / name))


def _short(value: np.float32) -> str:
    """The shortest text that reads back as the same number."""
    return np.format_float_positional(value, trim="-")


def _numbered(names: dict[str, str], kind: str) -> dict[int, str]:
    """Number -> name of the points (p) or objects (o) that a person named."""
    return {int(key[1:]): name for key, name in names.items() if key[:1] == kind and key[1:].isdecimal()}
