"""Exports of a project, with the formats and options of the commands, and the command lines that do the same."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pointtrack.checks import counted, ranges
from pointtrack.io.formats import cutout_pictures
from pointtrack.io.masks import MASK_EXPORTS, save_masks
from pointtrack.io.queries import save_queries
from pointtrack.io.sound import copy_sound
from pointtrack.io.tracks import TRACK_EXPORTS, save_tracks
from pointtrack.io.video import VIDEO_CODECS
from pointtrack.system import machine_memory
from pointtrack.tracking.smooth import smooth_tracks
from pointtrack.types import Source, Tracks, Video
from pointtrack.ui.commands import Moment, commands_for, session_files
from pointtrack.ui.exported_videos import write_slowly
from pointtrack.viz.colors import id_colors
from pointtrack.viz.edit import Editor
from pointtrack.viz.masks import draw_mask_frame
from pointtrack.viz.styles import EFFECTS, EditStyle, MaskStyle, TrackStyle
from pointtrack.viz.tracks import draw_frame

if TYPE_CHECKING:
    from pointtrack.ui.project import Project

PIECEWISE = ("davis", "ytvos", "cutout-png")
PIECE = 32  # frames of masks to hold at a time, if the format can be written in pieces
SHARE = 0.4  # share of the machine's memory that masks may take otherwise
TRAIL_ROOM = 256  # frames of tracks before the drawn one
TRACKS = ("npz", *TRACK_EXPORTS)
MASKS = tuple(MASK_EXPORTS)
VIDEOS = tuple(suffix.lstrip(".") for suffix in VIDEO_CODECS)


@dataclass(frozen=True)
class ExportOptions:
    """What to export.

    Args:
        tracks, masks, videos: names of formats, among `TRACKS`, `MASKS` and `VIDEOS`.
        sessions: also write the two session files, for `pointtrack track --session`, `pointtrack segment --session`,
            `TrackSession.load` and `ObjectSession.load`, and the points for `pointtrack track --queries`.
        start, stop: range of frames; the files still number frames from the beginning of the video.
        smooth: smooth positions over this many frames on each side.
        trail, opacity, labels: style of the drawn video.
        sound: copy the sound of the original to the drawn and the edited video.
        background, hide: what becomes of the background and of the objects in an edited video: blur, pixelate or a colour;
            "" for nothing. Without both there is no such video.
    """

    tracks: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    videos: tuple[str, ...] = ()
    sessions: bool = False
    start: int = 0
    stop: int | None = None
    smooth: int = 0
    trail: int = 12
    opacity: float = 0.45
    labels: bool = False
    sound: bool = True
    background: str = ""
    hide: str = ""

    @property
    def edit(self) -> EditStyle:
        """How the edited video is edited."""
        return EditStyle(background=self.background or None, objects=self.hide or None)

    def __post_init__(self) -> None:
        for name, known in (("tracks", TRACKS), ("masks", MASKS), ("videos", VIDEOS)):
            unknown = [one for one in getattr(self, name) if one not in known]
            if unknown:
                raise ValueError(
                    f"export {name}: expected some of {', '.join(known)}, got {', '.join(unknown)}"
                )
        if self.edit.picture is not None:  # the page reads no files of other folders
            raise ValueError(
                f"export background: expected {', '.join(EFFECTS)} or a colour, got {self.background!r}"
            )
        if not (self.tracks or self.masks or self.videos or self.sessions or self.edit):
            raise ValueError("export: expected at least one kind of file, got none; tick one")
        if not 0 <= self.smooth <= 100 or not 0 <= self.trail <= TRAIL_ROOM or not 0 <= self.opacity <= 1:
            raise ValueError(
                f"export: expected smooth in 0..100, trail in 0..{TRAIL_ROOM} and opacity in 0..1, got "
                f"{self.smooth}, {self.trail} and {self.opacity}"
            )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ExportOptions:
        """Read options as the page sends them. Raises ValueError for others."""
        try:
            known: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
            }
            if bad := [key for key in ("start", "stop", "smooth", "trail") if not _whole(known.get(key))]:
                raise ValueError(f"export: expected whole numbers as {', '.join(bad)}, got {known[bad[0]]!r}")
            return cls(**known)
        except TypeError as error:
            raise ValueError(f"export: expected other options ({error})") from error


def _whole(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


class Export:
    """Writes files in slices; see `worker.Run`. What is done between them does not reach the files.

    Args:
        project, options: the project, and what to export.
        folder: new folder for the files.
    """

    def __init__(self, project: Project, options: ExportOptions, folder: Path):
        stop = len(project.video) if options.stop is None else options.stop
        if not 0 <= options.start < stop <= len(project.video):
            raise ValueError(
                f"export: expected frames within 0..{len(project.video)}, got {options.start}..{stop}"
            )
        self.project, self.options, self.folder = project, options, folder
        self.moment = Moment.of(project)
        self.points, self.objects, self.view = self.moment.points, self.moment.objects, self.moment.view
        self.frames = range(options.start, stop)
        self.files: list[Path] = []
        # Object -> frames on which it was to be hidden, and has no mask.
        self._unhidden: dict[int, list[int]] = {}
        if (options.tracks or options.videos) and not (self.points.points or self.objects.objects):
            raise ValueError("export: expected points or objects, got a video without any; add some first")
        if options.tracks and not self.points.points:
            raise ValueError("export: expected points for tracks, got none; add some, or take masks only")
        if options.edit and not self.objects.objects:
            raise ValueError("export: expected objects for an edited video, got none; add some")
        if options.masks and not self.objects.objects:
            raise ValueError("export: expected objects for masks, got none; add some, or take tracks only")
        self._check_memory()
        self._steps = self._write()

    def step(self) -> bool:
        """Run one slice; the files exist after the last."""
        if next(self._steps, None) is None:
            self.project.tell_export({"type": "export", "done": True, **self.told()})
            return True
        return False

    def cancelled(self) -> None:
        """Delete all files written so far."""
        self._steps.close()
        self.failed(ValueError("stopped; nothing was written"))

    def failed(self, error: Exception) -> None:
        """Report the error, and delete all files written so far."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.project.tell_export({"type": "export", "done": True, "error": str(error)})

    def told(self) -> dict[str, Any]:
        """The state of the export, ready for JSON."""
        rows = [{"name": path.name, "bytes": _size(path), "folder": path.is_dir()} for path in self.files]
        return {
            "folder": str(self.folder),
            "id": self.folder.name,
            "files": rows,
            **commands_for(self.project, self.options, self.moment, self.folder),
            "unknown": self._unknown(),
            "waiting": self._waiting(),
            "unhidden": [
                {"object": number, "count": len(frames), "frames": ranges(frames)}
                for number, frames in self._unhidden.items()
            ],
        }

    def _unknown(self) -> int:
        """The number of exported frames with empty masks or gaps in tracks, as something is not followed there yet."""
        start, stop, options = self.frames.start, self.frames.stop, self.options
        unknown = torch.zeros(len(self.frames), dtype=torch.bool)
        if options.masks or options.videos or options.edit:
            unknown |= torch.isnan(self.objects.quality(start, stop)).any(1)
        if options.tracks or options.videos:
            unknown |= (~self.points.known(start, stop).tracked()).any(1)
        return int(unknown.sum())

    def _waiting(self) -> int:
        """The number of them on which masks are there, but as they were before a correction that has yet to reach them."""
        if not (self.options.masks or self.options.videos or self.options.edit):
            return 0
        objects, frames = self.objects, self.frames
        there = {number: torch.zeros(len(objects.video), dtype=torch.bool) for number in objects.objects}
        for number, known in there.items():
            known[objects.keyframes(number)] = True
        for side, done in objects.reached().items():
            if done:
                first, last = sorted((side.frames[0], side.frames[done - 1]))
                there[side.object_id][first : last + 1] = True
        waiting = torch.zeros(len(frames), dtype=torch.bool)
        for known, quality in zip(there.values(), objects.quality(frames.start, frames.stop).T, strict=True):
            waiting |= known[frames.start : frames.stop] & torch.isnan(quality)
        return int(waiting.sum())

    def _write(self) -> Generator[str, None, None]:
        options, stem = self.options, self.project.path.stem
        self.folder.mkdir(parents=True, exist_ok=True)
        if options.sessions:
            points, objects, queries = (self.folder / name for name in session_files(stem))
            self.files.append(self.points.save(points))
            self.files.append(self.objects.save(objects))
            if self.points.points:
                self.files.append(save_queries(queries, self.moment.queries()))
            yield "sessions"
        if options.tracks:
            tracks = self._tracks()
            for name in options.tracks:
                ending, format = TRACK_EXPORTS.get(name, (".npz", "pointtrack"))
                self.files.append(save_tracks(self.folder / f"{stem}{ending}", tracks, format=format))
                yield name
        for name in options.masks:
            yield from self._write_masks(name, stem)
        for name in options.videos:
            yield from self._write_video(self.folder / f"{stem}_drawn.{name}", self._draw())
        if options.edit:
            suffix = options.videos[0] if options.videos else VIDEOS[0]
            yield from self._write_video(self.folder / f"{stem}_edited.{suffix}", self._edit())

    def _tracks(self) -> Tracks:
        return self._smoothed(self.frames.start, self.frames.stop)

    def _smoothed(self, start: int, stop: int) -> Tracks:
        """Tracks of frames start..stop-1, smoothed as those of the whole video are."""
        radius = self.options.smooth
        if not radius:
            return self.points.known(start, stop)
        first = max(start - radius, 0)
        tracks = self.points.known(first, min(stop + radius, len(self.project.video)))
        keep = None if tracks.sources is None else tracks.sources == int(Source.PERSON)
        return smooth_tracks(tracks, radius=radius, keep=keep).clip(start - first, stop - first)

    def _write_masks(self, name: str, stem: str) -> Iterator[str]:
        target = self.folder / f"{stem}{'_masks' if name == 'npz' else ''}{MASK_EXPORTS[name]}"
        if name == "cutout-png":
            for frame in self.frames:
                masks, ids = self.objects.masks(frame, frame + 1), list(self.objects.objects)
                cutout_pictures.write_frame(target, self.project.video.frames[frame], masks, frame, ids)
                yield name
        elif name in PIECEWISE:
            for start in range(self.frames.start, self.frames.stop, PIECE):
                masks = self.objects.masks(start, min(start + PIECE, self.frames.stop))
                save_masks(target, masks.exclusive(), format=name, video_name=stem)
                yield name
        else:
            masks, video = self.objects.masks(self.frames.start, self.frames.stop), None
            if name == "cutout":  # its video begins at the first exported frame, as the drawn one does
                masks, video = replace(masks, first_frame=0), self._clip()
            elif name == "yolo":  # training needs the pictures
                video = self.project.video
            save_masks(target, masks, format=name, video=video, video_name=stem)
            yield name
        self.files.append(target)

    def _clip(self) -> Video:
        """The exported frames, with times from 0 on."""
        clip = self.project.video.clip(self.frames.start, self.frames.stop)
        return replace(clip, times=clip.times - clip.times[0])

    def _write_video(self, target: Path, picture: Callable[[int], np.ndarray]) -> Iterator[str]:
        """Write a video of the exported frames, with the original's sound if the options say so."""
        video = self.project.video
        yield from write_slowly(target, video, self.frames, self.project.path.name, picture)
        if self.options.sound:
            copy_sound(self.project.path, target, float(video.times[self.frames.start] - video.times[0]))
        self.files.append(target)
        yield target.name

    def _draw(self) -> Callable[[int], np.ndarray]:
        """What draws a frame."""
        options = self.options
        points = TrackStyle(trail=options.trail)
        style = MaskStyle(opacity=options.opacity, label="name" if options.labels else "none")
        return lambda frame: self._drawn(frame, points, style)

    def _edit(self) -> Callable[[int], np.ndarray]:
        """What edits a frame by its masks."""
        video = self.project.video
        style = self.options.edit
        editor = Editor(style, video.wh, video.pixel_aspect)

        def edited(frame: int) -> np.ndarray:
            masks = self.objects.masks(frame, frame + 1)
            missing = masks.object_ids[~masks.masks[0].flatten(1).any(1)]
            for number in style.hidden(missing.tolist()):
                self._unhidden.setdefault(number, []).append(frame)
            return editor.edited(video.frames[frame], masks, frame)

        return edited

    def _drawn(self, frame: int, points: TrackStyle, style: MaskStyle) -> np.ndarray:
        picture, aspect = self.project.video.frames[frame], self.project.video.pixel_aspect
        hidden = set(self.view["hidden"])
        if self.objects.objects:
            masks = self.objects.masks(frame, frame + 1)
            shown = torch.tensor(
                [f"o{number}" not in hidden for number in masks.object_ids.tolist()], dtype=torch.bool
            )
            masks = masks.select(shown)
            named = [(number, f"o{number}") for number in masks.object_ids.tolist()]
            picture = draw_mask_frame(picture, masks, frame, style, aspect, colors=self._colors(named))
        if self.points.points:
            tracks = self._smoothed(max(frame - TRAIL_ROOM, 0), frame + 1)
            groups = self.points.groups
            shown = torch.tensor(
                [
                    f"p{point}" not in hidden and f"g{groups[point]}" not in hidden
                    for point in tracks.ids.tolist()
                ],
                dtype=torch.bool,
            )
            tracks = tracks.select(shown)
            keys = [(point, f"p{point}", f"g{groups[point]}") for point in tracks.ids.tolist()]
            picture = draw_frame(picture, tracks, frame, points, aspect, color_by=self._colors(keys))
        return picture

    def _colors(self, keys: Sequence[tuple[Any, ...]]) -> np.ndarray:
        """(n, 3) uint8 RGB as the page shows them: per thing its number, and the names of colours that count for it."""
        colors = id_colors(np.array([number for number, *_ in keys], dtype=np.int64))
        for place, (_, *names) in enumerate(keys):
            chosen = next((self.view["colors"][name] for name in names if name in self.view["colors"]), "")
            if re.fullmatch("#[0-9a-fA-F]{6}", chosen):
                colors[place] = list(bytes.fromhex(chosen[1:]))
        return colors

    def _check_memory(self) -> None:
        whole = [name for name in self.options.masks if name not in PIECEWISE]
        w, h = self.project.video.wh
        needed = len(self.frames) * len(self.objects.objects) * w * h * 2
        memory = machine_memory()
        if whole and memory is not None and needed > SHARE * memory:
            raise ValueError(
                f"export: {', '.join(whole)} of {counted(len(self.frames), 'frame')} would take {needed / 1e9:.0f} GB of memory; "
                "choose davis, ytvos or cutout-png, which are written in pieces, or fewer frames"
            )


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
    return path.stat().st_size
