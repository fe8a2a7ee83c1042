"""Several videos in one call, and missing videos, which are reported before anything heavy is imported."""

from __future__ import annotations

import difflib
import glob
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pointtrack.cli.stopping import CODES as STOPPED

TAKE_VIDEOS = ("track", "segment", "dense")
# The suffixes of `pointtrack.io.sources`, which is too heavy to import for a mistyped word.
PICTURE_LIKE = re.compile(r"\.(png|jpe?g|bmp|webp|tiff?)$", re.IGNORECASE)
VIDEO_LIKE = re.compile(
    rf"\.(mp4|m4v|mov|mkv|webm|avi|mpe?g|m?ts|ogv|wmv|flv|gif)$|{PICTURE_LIKE.pattern}", re.IGNORECASE
)


def split_videos(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words before the first option, and the rest."""
    count = next(
        (i for i, word in enumerate(arguments) if word.startswith("-") and word != "-"), len(arguments)
    )
    return list(arguments[:count]), list(arguments[count:])


def missing(videos: Sequence[str]) -> str | None:
    """The message for the first that is no video, as none is there, or a folder of videos; None if there is none."""
    for video in videos:
        elsewhere = video == "-" or "://" in video or "%" in video or glob.has_magic(video)
        if not elsewhere and Path(video).is_dir() and (message := _folder_of_videos(Path(video))):
            return message
        if elsewhere or Path(video).exists():
            continue
        folder = Path(video).parent
        others = [path.name for path in folder.iterdir() if _may_be_video(path)] if folder.is_dir() else []
        near = difflib.get_close_matches(Path(video).name, others, 1, 0.6)
        hint = f"; did you mean {folder / near[0]}?" if near else ""
        return f"{video}: expected a video or a folder of pictures, found nothing{hint}"
    return None


def _folder_of_videos(folder: Path) -> str | None:
    """What to do instead, if a folder holds videos and no picture."""
    names = sorted(path.name for path in folder.iterdir() if _may_be_video(path) and not path.is_dir())
    if not names or any(PICTURE_LIKE.search(name) for name in names):
        return None
    return (
        f"{folder}: expected a video or a folder of pictures, found a folder of videos ({len(names)}); name "
        f"one or several, as {folder / names[0]}, or track all of them with pointtrack batch"
    )


def _may_be_video(path: Path) -> bool:
    """Whether it has the name of a video or a picture, or is a folder with pictures."""
    if path.is_dir():
        return any(PICTURE_LIKE.search(one.name) for one in path.glob("*"))
    return bool(VIDEO_LIKE.search(path.name))


def stem_of(path: Path) -> str:
    """Base name of a video's results: its name without the suffix. Folders have no suffix, even with a dot in the name.

    Dots at its beginning are left out: results are not hidden, even those of the folder "..".
    """
    return (path.name if path.is_dir() else path.stem).lstrip(".") or "video"


def names_of(videos: Sequence[str]) -> list[str]:
    """Base name of each video's results: its stem, after as many folder names as needed to make the names distinct.

    >>> names_of(["a/x.mp4", "b/x.mp4", "y.mov"])
    ['a_x', 'b_x', 'y']
    """
    paths = [Path(video).resolve() for video in videos]
    names = [stem_of(path) for path in paths]
    for depth in range(1, 8):
        doubled = {name for name in names if names.count(name) > 1}
        if not doubled:
            break
        for i, path in enumerate(paths):
            if names[i] in doubled:
                parents = [parent.name for parent in path.parents][:depth]
                parts = [*(parent for parent in reversed(parents) if parent), stem_of(path)]
                names[i] = "_".join(parts).lstrip(".")
    return [name if names.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(names)]


def run_each(videos: Sequence[str], rest: Sequence[str], run: Callable[[list[str]], int]) -> int:
    """Run a command for each video. A failure does not stop the others.

    Args:
        videos: the videos.
        rest: the other arguments, the same for all.
        run: runs the command with arguments; returns its exit code.

    Returns:
        0, or the exit code of the first that failed.
    """
    words = [word.partition("=")[0] for word in rest]
    if "--name" in words:
        print("pointtrack: error: name: expected with one video, got several", file=sys.stderr)
        return 2
    codes = []
    for number, (video, name) in enumerate(zip(videos, names_of(videos), strict=True), 1):
        print(f"video {number} of {len(videos)}: {video}", flush=True)
        codes.append(run([video, *rest, "--name", name]))
        if codes[-1] in STOPPED:  # Ctrl-C and SIGTERM end the whole batch
            return codes[-1]
    failed = [video for video, code in zip(videos, codes, strict=True) if code]
    print(
        f"videos    {len(videos)}: {len(videos) - len(failed)} done"
        + (f", failed: {', '.join(failed)}" if failed else "")
    )
    return next((code for code in codes if code), 0)
