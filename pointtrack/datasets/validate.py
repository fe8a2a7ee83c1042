"""Checks clips, and says what is wrong and how to fix it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import av
import numpy as np

from pointtrack.datasets.clip import VOID, ClipInfo, decode_picture, read_index_picture
from pointtrack.datasets.findings import Finding, warning
from pointtrack.datasets.format import (
    FRAMES,
    INFO,
    MASKS,
    TRACKS,
    VIDEO,
    numbered_pictures,
    read_info,
    video_files,
)
from pointtrack.datasets.validate_pixels import pair_frames
from pointtrack.datasets.validate_tracks import (
    check_looks,
    check_objects,
    check_shapes,
    check_values,
    load_arrays,
)
from pointtrack.io.pictures import indices
from pointtrack.io.sources import PICTURE_SUFFIXES
from pointtrack.io.video import open_video

Size = tuple[int, int]


def check_clip(folder: str | Path) -> list[Finding]:
    """Find everything that is wrong with one clip: description, frames, tracks, masks, and how they fit.

    Decodes every picture. Skips checks that depend on something broken.
    """
    folder = Path(folder)
    try:
        info, described = read_info(folder / INFO)
    except (ValueError, OSError) as error:
        return [Finding("description", str(error))]
    findings = _check_info(info)
    wh, frames = described["wh"], described["frames"]
    in_frames, pictures = _check_frames(folder, info, frames, wh)
    findings += in_frames
    has_tracks = (folder / TRACKS).is_file()
    if has_tracks:
        findings += _check_tracks(folder / TRACKS, frames, wh, pictures)
    if (folder / MASKS).is_dir():
        findings += _check_masks(folder, info, frames, wh)
    elif not has_tracks:
        text = f"clip: expected {TRACKS} or {MASKS}/, found neither"
        findings.append(warning("no-truth", f"{text}; it can be looked at, not measured on"))
    return findings


def _check_info(info: ClipInfo) -> list[Finding]:
    unsaid = [name for name in ("source", "licence") if getattr(info, name) in ("", "unknown")]
    if not unsaid:
        return []
    text = f"{INFO}: expected source and licence to be said, but {' and '.join(unsaid)} are not"
    return [warning("unsaid", f"{text}; say it there, or with --licence when converting")]


def _check_frames(
    folder: Path, info: ClipInfo, frames: int, wh: Size
) -> tuple[list[Finding], dict[int, np.ndarray]]:
    """Findings, and the frames of `pair_frames` if there is no error."""
    files = video_files(folder)
    pictured = (folder / FRAMES).is_dir()
    if len(files) + pictured != 1:
        found = [path.name for path in files] + [FRAMES + "/"] * pictured
        text = (
            f"clip: expected either {VIDEO}.mp4 or the folder {FRAMES}, found {', '.join(found) or 'neither'}"
        )
        return [Finding("frames", f"{text}; keep one of them")], {}
    if files:
        return _check_video(files[0], info, frames, wh)
    return _check_pictures(folder / FRAMES, frames, wh)


def _check_video(
    path: Path, info: ClipInfo, frames: int, wh: Size
) -> tuple[list[Finding], dict[int, np.ndarray]]:
    wanted = {number for pair in pair_frames(frames) for number in pair}
    kept: dict[int, np.ndarray] = {}
    count = 0
    try:
        with open_video(path) as stream:
            size, fps = stream.wh, stream.fps
            for frame, _ in stream:
                if count in wanted:
                    kept[count] = frame
                count += 1
    except (ValueError, OSError, av.FFmpegError) as error:
        return [Finding("broken-frame", f"{path.name}: expected a video that decodes, but {error}")], {}
    findings = _compare(path.name, count, size, frames, wh)
    if abs(fps / info.fps - 1) > 0.02:
        text = f"{path.name}: expected {info.fps:g} frames per second as {INFO} says, got {fps:g}"
        findings.append(warning("fps", f"{text}; correct {INFO}"))
    return findings, {} if findings else kept


def _check_pictures(folder: Path, frames: int, wh: Size) -> tuple[list[Finding], dict[int, np.ndarray]]:
    numbered = numbered_pictures(folder)
    findings = _check_names(folder, "frame")
    missing = sorted(set(range(frames)) - set(numbered))
    inner = [number for number in missing if number < max(numbered, default=-1)]
    if inner:
        findings.append(
            Finding(
                "missing-frames",
                f"{FRAMES}: expected pictures 0..{max(numbered)} without gaps, got none for {_shown(inner)}; add the "
                "pictures, or number the rest anew and take their rows out of the tracks",
            )
        )
    elif len(numbered) != frames:
        findings += _compare(FRAMES, len(numbered), wh, frames, wh)
    wanted = {number for pair in pair_frames(frames) for number in pair}
    kept: dict[int, np.ndarray] = {}
    sizes: dict[Size, str] = {}
    for number, path in numbered.items():
        try:
            picture = decode_picture(path, f"{FRAMES}/{path.name}")
        except (ValueError, OSError) as error:
            findings.append(Finding("broken-frame", f"{error}; write the picture again"))
            continue
        sizes.setdefault((picture.shape[1], picture.shape[0]), path.name)
        if number in wanted:
            kept[number] = picture
    if len(sizes) > 1:
        shown = ", ".join(f"{w} x {h} ({name})" for (w, h), name in list(sizes.items())[:3])
        text = f"{FRAMES}: expected pictures of one size, got {shown}"
        findings.append(Finding("frame-sizes", f"{text}; resize the pictures and their tracks alike"))
    elif sizes:
        findings += _compare(FRAMES, frames, next(iter(sizes)), frames, wh)
    return findings, {} if findings else kept


def _compare(name: str, count: int, size: Size, frames: int, wh: Size) -> list[Finding]:
    findings = []
    if count != frames:
        text = f"{name}: expected {frames} frames as {INFO} says, got {count}"
        findings.append(
            Finding("frame-count", f"{text}; correct {INFO}, or find the frames that are missing")
        )
    if size != wh:
        text = f"{name}: expected {wh[0]} x {wh[1]} pixels as {INFO} says, got {size[0]} x {size[1]}"
        findings.append(
            Finding("frame-size", f"{text}; correct {INFO}, and scale the tracks if they are of the other")
        )
    return findings


def _check_tracks(path: Path, frames: int, wh: Size, pictures: dict[int, np.ndarray]) -> list[Finding]:
    arrays, findings = load_arrays(path)
    if not arrays:
        return findings
    findings += check_shapes(arrays, frames)
    if any(finding.level == "error" for finding in findings):
        return findings
    findings += check_values(arrays, wh)
    if pictures and not any(finding.level == "error" for finding in findings):
        findings += check_looks(arrays, pictures) + check_objects(arrays, _labels(path.parent, pictures))
    return findings


def _labels(folder: Path, pictures: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """The label pictures of the given frames, where they exist and have the right size."""
    labels = {}
    for number, path in numbered_pictures(folder / MASKS).items():
        if number in pictures:
            with contextlib.suppress(OSError, ValueError):
                labels[number] = read_index_picture(path)
    return {number: one for number, one in labels.items() if one.shape == pictures[number].shape[:2]}


def _check_masks(folder: Path, info: ClipInfo, frames: int, wh: Size) -> list[Finding]:
    numbered = numbered_pictures(folder / MASKS)
    findings = _check_names(folder / MASKS, "mask")
    late = [number for number in numbered if number >= frames]
    if late:
        text = f"{MASKS}: expected pictures of frames 0..{frames - 1}, got some for {_shown(late)}"
        findings.append(Finding("mask-frames", f"{text}; number masks as their frames"))
    labels: set[int] = set()
    for path in numbered.values():
        try:
            with indices(path) as picture:
                mode, size = picture.mode, picture.size
                values = set(np.unique(np.array(picture)).tolist()) if mode in ("P", "L") else set()
        except (OSError, ValueError) as error:
            findings.append(Finding("broken-mask", f"{MASKS}/{path.name}: expected a PNG, but {error}"))
            continue
        if mode not in ("P", "L"):
            text = f"{MASKS}/{path.name}: expected labels (a palette or 8-bit grey), got colours or others ({mode})"
            findings.append(Finding("mask-mode", f"{text}; save (h, w) uint8 labels"))
            break
        if size != wh:
            text = f"{MASKS}/{path.name}: expected {wh[0]} x {wh[1]} pixels as the video, got {size[0]} x {size[1]}"
            findings.append(Finding("mask-size", f"{text}; resize masks by nearest neighbour"))
            break
        labels |= values
    return [*findings, *_check_labels(labels, info)] if numbered else findings


def _check_labels(labels: set[int], info: ClipInfo) -> list[Finding]:
    objects = labels - {0, VOID}
    if not objects and VOID in labels:
        text = f"{MASKS}: expected labels of objects from 1 on, got {sorted(labels)}; {VOID} stands for void"
        return [Finding("mask-void", f"{text}: save 1 for the object")]
    if not objects:
        return [
            warning(
                "mask-empty", f"{MASKS}: expected an object on some frame, got none; leave the folder out"
            )
        ]
    findings = []
    unnamed = sorted(objects - set(info.objects)) if info.objects else []
    if unnamed:
        text = f"{MASKS}: expected the labels that {INFO} lists as objects, got also {_shown(unnamed)}"
        findings.append(warning("mask-labels", f"{text}; these do not count as objects"))
    absent = sorted(set(info.objects) - objects)
    if absent:
        text = f"{MASKS}: expected every object of {INFO} on some frame, but {_shown(absent)} are on none"
        findings.append(warning("absent-objects", f"{text}; take them out of {INFO}, or draw them"))
    return findings


def _check_names(folder: Path, what: str) -> list[Finding]:
    """Check that the name of every picture is a number of its own."""
    pictures = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES]
    if not pictures:
        return [Finding(f"no-{what}s", f"{folder.name}: expected pictures 00000.png, ..., found none in it")]
    others = sorted(path.name for path in pictures if not path.stem.isdecimal())
    if others:
        text = f"{folder.name}: expected names that are numbers from 00000 on, got {others[0]}"
        return [Finding(f"{what}-names", f"{text} and {len(others) - 1} more like it; rename them")]
    if len({int(path.stem) for path in pictures}) != len(pictures):
        return [
            Finding(f"{what}-names", f"{folder.name}: expected one picture per frame, got two of one number")
        ]
    return []


def _shown(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return shown + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
