"""Common parts of the commands for whole videos: options, and where their results go."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pointtrack.checks import checked_wh
from pointtrack.cli.states import state_options
from pointtrack.cli.videos import stem_of
from pointtrack.io.outputs import ORIGINS, check_outputs
from pointtrack.io.storage import check_store, local_path, scheme_of, upload
from pointtrack.io.video import VIDEO_CODECS, VideoStream, open_video
from pointtrack.pipeline.options import TrackOptions
from pointtrack.regions.placement import RegionOptions

if TYPE_CHECKING:
    from pointtrack.models.point_tracker import PointTracker


# Suffixes of files of any kind: they begin with a letter, and are not a version as in exp.v2.
FILE_LIKE = re.compile(r"\.(?!v\d)[a-z][a-z0-9]{0,7}", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """Which video, which part of it, and which tracker; a command's own options come after the video.

    Args:
        video: a video file, a folder of pictures, or a URL.
        tracker: name of a tracker (small, cotracker3-offline, ...), or its .safetensors or .pth file.
        device: cpu, cuda, mps, or auto.
        start: begin at this second of the video; frames count from there.
        end: end before this second.
        max_frames: end after this many frames.
        name: what the names of the results begin with; by default the name of the video.
        precision: float32, or bfloat16 on processors that support it.
        speed: fast, balanced or exact: trade time for exactness.
        overwrite: also replace existing files that are not results of this video.
    """

    video: str = field(kw_only=False)
    tracker: str = "small"
    device: str = "auto"
    start: float = 0.0
    end: float | None = None
    max_frames: int | None = None
    name: str | None = None
    precision: str = "float32"
    speed: str = "balanced"
    overwrite: bool = False

    def opened(self, seconds: float | None = None) -> VideoStream:
        """Open the video at its first frame, or at the frame that shows at a given second."""
        start = self.start if seconds is None else seconds
        return open_video(self.video, start=start, stop=self.end, max_frames=self.max_frames)

    @property
    def stem(self) -> str:
        """Base name of the results: that of the video; "stdin" for standard input, the folder's for a pattern of pictures.

        Raises ValueError for a name that would write hidden files, or files elsewhere.
        """
        if self.name and (Path(self.name).name != self.name or self.name.startswith(".")):
            raise ValueError(
                f"name: expected the beginning of file names, not of a path and not with a dot first, got {self.name!r}; "
                "--out says which folder"
            )
        if self.video == "-":
            return self.name or "stdin"
        path = Path(self.video)
        if not path.exists() and any(sign in path.name for sign in "*?[%"):
            path = path.parent
        return self.name or stem_of(path)

    def loaded(self, wh: tuple[int, int]) -> PointTracker:
        """The tracker, configured for videos of that size. Raises ValueError for one that is too small."""
        checked_wh(wh, self.video)
        from pointtrack.models.speed import options_at
        from pointtrack.zoo import load_tracker

        tracker = load_tracker(self.tracker, device=self.device, precision=self.precision)
        tracker.inference = options_at(tracker.inference, tracker.own_config, self.speed, wh)
        return tracker

    def guard(self, outputs: Iterable[Path], *inputs: str | None, folders: Iterable[Path] = ()) -> None:
        """Raise ValueError if an output cannot be written, or would destroy an input or another file; see `check_outputs`."""
        check_outputs(
            [self.video, self.tracker, *inputs],
            outputs,
            folders=folders,
            source=self.video,
            overwrite=self.overwrite,
        )


def video_target(out: str, stem: str) -> Path:
    """The video file to write: `out` itself, or out/stem.mp4 if `out` is a folder. ValueError for other files.

    A folder may have a dot in its name, as in v1.0. One that looks like a file, such as run.new, must exist or end
    with /.
    """
    if scheme_of(out) is not None:
        raise ValueError(f"out: expected a path on this machine for this command, got {out}")
    path = Path(out)
    if path.suffix.lower() in VIDEO_CODECS and not path.is_dir():
        return path
    if FILE_LIKE.fullmatch(path.suffix) and not path.is_dir() and not out.endswith(("/", os.sep)):
        raise ValueError(
            f"out: expected a folder or a file in {', '.join(VIDEO_CODECS)}, got {out!r}; a folder of that name: {out}/"
        )
    if path.exists() and not path.is_dir():
        raise ValueError(f"out: expected a folder or a video file, but {out} is a file of another kind")
    return path / f"{stem}.mp4"


def kept_frames(text: str | None, count: int) -> range:
    """The frames that --keep names by the first and the last; all of them without it.

    Raises ValueError for another text, and for frames that a video of `count` frames does not have.

    >>> kept_frames("3,7", 20)
    range(3, 8)
    """
    if text is None:
        return range(count)
    numbers = [one.strip() for one in text.split(",")]
    if len(numbers) != 2 or not all(one.isdecimal() for one in numbers):
        raise ValueError(f"keep: expected the first and the last frame, as in 10,49, got {text!r}")
    first, last = (int(one) for one in numbers)
    if not first <= last < count:
        raise ValueError(f"keep: expected a first and a last frame within 0..{count - 1}, got {text!r}")
    return range(first, last + 1)


def refuse_keep(text: str | None) -> None:
    """Raise ValueError if --keep is given to a flat run, which writes frames as they become final."""
    if text is not None:
        raise ValueError(
            f"keep: expected a run in memory, got a flat one (--flat, --resume, or a video that does not fit); "
            f"leave out --keep {text}, or take a part of the video with --start and --end"
        )


def track_options(
    states: bool, redetect: bool, regions: str | None, smooth: int, *, backward: bool = True
) -> TrackOptions:
    """The stages for --states, --redetect, --regions, --smooth and --backward. Raises ValueError for other regions."""
    return TrackOptions(
        states=state_options(states, redetect),
        regions=None if regions is None else RegionOptions.parse(regions),
        smooth=smooth,
        backward=backward,
    )


@contextmanager
def outputs_to(out: str) -> Iterator[str]:
    """The path on this machine to which a command writes the results for `out`, which may be in an object store.

    If it is, everything at or beside that path goes to the store when the block ends without an error.
    """
    here = local_path(out)
    if here is not None:
        yield out if scheme_of(out) is None else str(here)
        return
    check_store(out)
    parent, _, name = out.rstrip("/").rpartition("/")
    if "://" not in parent:  # the store's root
        parent, name = out, ""
    with tempfile.TemporaryDirectory(prefix="pointtrack-") as folder:
        yield str(Path(folder) / name) if name else folder
        (Path(folder) / ORIGINS).unlink(missing_ok=True)
        upload(folder, parent)
        for file in sorted(item for item in Path(folder).rglob("*") if item.is_file()):
            print(f"stored    {parent.rstrip('/')}/{file.relative_to(folder).as_posix()}")
