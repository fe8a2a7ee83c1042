"""Label videos that have no tracks, with what several teachers and views of a video agree on.

A label is the median of all answers for a point on a frame. It counts only if enough answers (by default, all) mark the
point as visible and lie near that median, and if tracking back from the farthest such frame returns to the query. If
all must agree, the student's own view is right already; if most are enough, the student also learns from frames on
which its own view fails. Labels are clips of docs/train/data-format.md, whose tracks are valid where the label counts.
They are made once and kept.

Source: the idea of CoTracker3 (Karaev et al., 2024), learning from the answers of several teachers on real video.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

import pointtrack
from pointtrack.checks import counted
from pointtrack.cli.runner import run_command
from pointtrack.datasets.clip import Clip, ClipInfo, TrueTracks
from pointtrack.datasets.format import FRAMES, INFO, list_clips, read_info, video_files, write_clip
from pointtrack.io.sources import PICTURE_SUFFIXES
from pointtrack.io.sources import VIDEO_SUFFIXES as ALL_SUFFIXES
from pointtrack.io.video import open_video
from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.backward import track_video
from pointtrack.tracking.queries import corner_queries
from pointtrack.types import Queries, Tracks, Video
from pointtrack.zoo import load_tracker

log = logging.getLogger(__name__)

SHORTEST = 8  # frames; shorter videos get no labels
VIDEO_SUFFIXES = {*ALL_SUFFIXES} - {".gif"}  # drawings more often than recordings


@dataclass(frozen=True)
class LabelConfig:
    """What to label, and when answers agree.

    Attributes:
        frames: frames per span of a video.
        spans: most spans per video, evenly spread.
        points: corners to track from each query frame of a span; the query frames are the first and the middle one.
        area: most pixels of a frame; larger ones are shrunk, shape kept. Labels are in pixels of the shrunken frames.
        agree_px: largest distance at which an answer agrees with the median, and tracking back with the query.
        agreeing: share of the answers that must agree; at least one answer.
        confidence: least confidence of an answer that agrees.
        least: share of a span's frames on which a point's label must count; other points are dropped.
        smaller: input side of the rescaled view, as a share of the usual one; 1 for no such view.
        larger: input side of two more views, one of them mirrored; 1 for no such views.
    """

    frames: int = 24
    spans: int = 4
    points: int = 128
    area: int = 768 * 432
    agree_px: float = 3.0
    agreeing: float = 1.0
    confidence: float = 0.5
    least: float = 0.25
    smaller: float = 0.7
    larger: float = 1.0

    def __post_init__(self) -> None:
        if self.frames < SHORTEST or min(self.spans, self.points, self.area) < 1:
            raise ValueError(
                f"labels: expected spans of at least {SHORTEST} frames, and at least one span, point and pixel, "
                f"got frames={self.frames}, spans={self.spans}, points={self.points}, area={self.area}"
            )
        if not self.agree_px > 0:
            raise ValueError(f"labels: expected agree_px above 0 pixels, got {self.agree_px}")
        for name in ("agreeing", "confidence", "least", "smaller"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"labels: expected {name} in 0..1, got {getattr(self, name)}")
        if not 1 <= self.larger <= 4:
            raise ValueError(f"labels: expected larger in 1..4, got {self.larger}")


LABELS = LabelConfig()


@dataclass(frozen=True, eq=False)
class View:
    """A teacher, and the view of the video that it tracks.

    Args:
        name: name in the notes of the labels.
        tracker: the teacher.
        mirrored: swap left and right in the video.
    """

    name: str
    tracker: PointTracker
    mirrored: bool = False

    def track(self, video: Video, queries: Queries) -> Tracks:
        """Track on all frames; the answer is in pixels of the original video."""
        if not self.mirrored:
            return track_video(self.tracker, video, queries)
        turned = Video(np.ascontiguousarray(video.frames[:, :, ::-1]), video.fps)
        requested = Queries(queries.frame, _mirror(queries.xy, video.wh[0]), queries.ids)
        answer = track_video(self.tracker, turned, requested)
        return replace(answer, xy=_mirror(answer.xy, video.wh[0]), queries=queries)


def views_of(tracker: PointTracker, config: LabelConfig) -> list[View]:
    """The original video, mirrored, and with smaller and larger frames if the tracker takes any size."""
    views = [View("as it is", tracker), View("mirrored", tracker, mirrored=True)]
    if tracker.config.input_wh is None and config.smaller < 1:
        views.append(View("smaller", _scaled(tracker, config.smaller)))
    if tracker.config.input_wh is None and config.larger > 1:
        larger = _scaled(tracker, config.larger)
        views += [View("larger", larger), View("mirrored and larger", larger, mirrored=True)]
    return views


def _scaled(tracker: PointTracker, side: float) -> PointTracker:
    """A tracker with the same weights for frames whose sides are `side` times as long."""
    twin = copy(tracker)
    twin.config = replace(tracker.config, input_area=round(tracker.config.input_area * side**2))
    return twin


def agreed_tracks(
    video: Video, queries: Queries, views: Sequence[View], config: LabelConfig
) -> TrueTracks | None:
    """Label one span.

    Args:
        video: t frames.
        queries: n points.
        views: teachers' views; the one that agrees most often, of equals the first, also tracks back.
        config: when answers agree.

    Returns:
        The points kept, valid and visible on frames where the label counts, NaN elsewhere; None if no point was kept.
    """
    answers = [view.track(video, queries) for view in views]
    xy = torch.stack([answer.xy for answer in answers])
    middle = xy.quantile(0.5, dim=0)
    sure = torch.stack([a.visible() & a.in_frame() & (a.confidence > config.confidence) for a in answers])
    agrees = sure & ((xy - middle).norm(dim=-1) <= config.agree_px)
    known = agrees.sum(dim=0) >= max(1, math.ceil(config.agreeing * len(views)))
    point = torch.arange(len(queries))
    known[queries.frame, point] = True
    # Track back from the frame farthest from the query on which the answers agree.
    far = (torch.arange(len(video))[:, None] - queries.frame).abs() * known
    anchor = far.argmax(dim=0)
    steadiest = int((agrees & known).sum(dim=(1, 2)).argmax())
    back = views[steadiest].track(video, Queries(anchor, middle[anchor, point], queries.ids))
    home_px = (back.xy[queries.frame, point] - queries.xy).norm(dim=-1)
    known &= (home_px <= config.agree_px) & ((back.xy - middle).norm(dim=-1) <= config.agree_px)
    kept = known.sum(dim=0) >= max(2, math.ceil(config.least * len(video)))
    if not kept.any():
        return None
    known = known[:, kept]
    return TrueTracks(
        middle[:, kept].masked_fill(~known[..., None], torch.nan),
        known,
        known,
        query_frame=queries.frame[kept],
    )


def good_queries(video: Video, count: int) -> Queries:
    """Strong corners of the first and the middle frame, at most `count` of each; none if both are flat."""
    parts = []
    for frame in (0, len(video) // 2):
        try:
            parts.append(corner_queries(video, count, frame))
        except ValueError:
            log.warning("frame %d is flat: no points on it", frame)
    if not parts:
        return Queries.none()
    return Queries.concat(parts, renumber=True)


def label_videos(
    videos: Sequence[tuple[str, Path]], views: Sequence[View], config: LabelConfig, out: Path
) -> tuple[int, float, float]:
    """Label all videos, one clip in `out` per span; keeps clips that already exist.

    Args:
        videos: names and paths, see `find_videos`.
        views: teachers' views.
        config: what to label.
        out: folder for the clips.

    Returns:
        Number of clips with labels, share of the points kept, and share of their frames that counts.

    Raises:
        ValueError: all videos are too short, or the views agree on nothing.
    """
    lengths, requested, kept, frames, clips = [], 0, 0, 0.0, 0
    for name, path in videos:
        count = _frame_count(path)
        lengths.append(count)
        if count < SHORTEST:
            log.warning("%s: left out, it has %d frames", path, count)
            continue
        for start, video in _missing_spans(path, count, config, out / name):
            _write_span(out / name / f"{start:05d}", path, start, video, views, config)
        for folder in list_clips(out / name) if (out / name).is_dir() else []:
            notes = read_info(folder / INFO)[0].notes
            requested, kept = requested + notes["points"], kept + notes["kept"]
            frames, clips = frames + notes["kept"] * notes["known"], clips + bool(notes["kept"])
    if max(lengths) < SHORTEST:
        raise ValueError(
            f"videos: expected a video of at least {SHORTEST} frames, got {max(lengths)} at most; "
            "record a longer one"
        )
    if not kept:
        raise ValueError(
            f"labels: expected points that {len(views)} views of the videos agree on within "
            f"{config.agree_px:g} pixels, got none of {requested}; raise --labels.agree_px or lower --labels.confidence"
        )
    return clips, kept / requested, frames / kept


def find_videos(folder: Path) -> list[tuple[str, Path]]:
    """Find videos to learn from without tracks: files, folders of pictures, and clips, each with a distinct name.

    Raises:
        FileNotFoundError: the path does not exist, or holds no video.
    """
    if folder.is_file() and folder.suffix.lower() in VIDEO_SUFFIXES:
        return [(folder.stem, folder)]
    if not folder.is_dir():
        raise FileNotFoundError(
            f"videos: expected a video or a folder of videos or clips, found none at {folder}"
        )
    found: list[tuple[str, Path]] = []
    for place in [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]:
        inside = place.relative_to(folder)
        if any(part.startswith(".") for part in inside.parts) or any(
            (p / INFO).is_file() for p in place.parents
        ):
            continue
        name = "-".join(inside.parts) or folder.resolve().name
        if (place / INFO).is_file():
            found.append((name, (video_files(place) or [place / FRAMES])[0]))
            continue
        files = sorted(path for path in place.iterdir() if path.is_file() and path.name[0] != ".")
        if any(path.suffix.lower() in PICTURE_SUFFIXES for path in files):
            found.append((name, place))
        videos = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
        found += [("-".join([*inside.parts, path.name]), path) for path in videos]
    if not found:
        raise FileNotFoundError(
            f"videos: expected videos ({', '.join(sorted(VIDEO_SUFFIXES))}), folders of pictures, or clips in "
            f"{folder}, found none"
        )
    return found


def _write_span(
    folder: Path, source: Path, start: int, video: Video, views: Sequence[View], config: LabelConfig
) -> None:
    """Label one span and write its clip, even without agreement, so that it is not tried again."""
    queries = good_queries(video, config.points)
    tracks = agreed_tracks(video, queries, views, config) if len(queries) else None
    kept = 0 if tracks is None else len(tracks.ids)
    known = 0.0 if tracks is None else float(tracks.valid.float().mean())
    log.info("labels: %s from frame %d: %d of %d points", source.name, start, kept, len(queries))
    info = ClipInfo(
        fps=video.fps,
        source=f"{source.name}, frames from {start}",
        licence="that of the video",
        generator=f"pointtrack {pointtrack.__version__}, train.pseudo_labels",
        visibility_known=False,
        notes={"points": len(queries), "kept": kept, "known": known, "views": [view.name for view in views]},
    )
    write_clip(folder, Clip(folder.name, video, info, tracks), pictures="jpg")


def _frame_count(path: Path) -> int:
    with open_video(path) as stream:
        return stream.frame_count or sum(1 for _ in stream)


def _missing_spans(path: Path, count: int, config: LabelConfig, out: Path) -> Iterator[tuple[int, Video]]:
    """First frames and frames of a video's spans that have no clip yet, one span in memory at a time."""
    spans = min(config.spans, max(1, count // config.frames))
    starts = np.linspace(0, max(count - config.frames, 0), spans).round().astype(int).tolist()
    missing = [start for start in starts if not (out / f"{start:05d}" / INFO).is_file()]
    if not missing:
        return
    with open_video(path) as stream:
        scale = min(1.0, math.sqrt(config.area / (stream.wh[0] * stream.wh[1])))
        wh, fps = (round(stream.wh[0] * scale), round(stream.wh[1] * scale)), stream.fps
    frames: list[np.ndarray] = []
    with open_video(path, wh=wh) as stream:
        for number, (frame, _) in enumerate(stream):
            if number < missing[0]:
                continue
            frames.append(frame)
            if len(frames) == config.frames:
                yield missing.pop(0), Video(np.stack(frames), fps)
                frames = []
                if not missing:
                    return
    if len(frames) >= SHORTEST:  # a video of less than one span, or whose header promised more frames
        yield missing[0], Video(np.stack(frames), fps)


def _mirror(xy: torch.Tensor, width: int) -> torch.Tensor:
    """(..., 2) points with left and right swapped."""
    return torch.stack([width - 1 - xy[..., 0], xy[..., 1]], dim=-1)


def label_command(
    videos: Path,
    out: Path,
    tracker: str = "small",
    input_area: int | None = None,
    labels: LabelConfig = LABELS,
) -> None:
    """Label videos with what several views of each agree on, for `pointtrack train --labels`.

    Args:
        videos: a video, or a folder of them.
        out: folder for the clips with labels; clips that already exist are kept.
        tracker: the teacher: small, or a file of pointtrack's own kind.
        input_area: pixels of the frames that the teacher works on; by default, its own.
        labels: what to label, and when views agree.

    Raises:
        FileNotFoundError: no videos or no weights at the path.
        ValueError: all videos are too short, or the views agree on nothing.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    teacher = load_tracker(tracker)
    if input_area is not None:
        teacher.config = replace(teacher.config, input_area=input_area)
    clips, kept, known = label_videos(find_videos(videos), views_of(teacher, labels), labels, out)
    print(
        f"{counted(clips, 'clip')} in {out}: {100 * kept:.0f} % of the points, on {100 * known:.0f} % of the frames"
    )


if __name__ == "__main__":
    sys.exit(run_command(lambda: label_command, sys.argv[1:], "train.pseudo_labels"))
