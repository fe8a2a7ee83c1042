"""Processes the frames of one video: points, tracks, masks, files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch

from pointtrack.config import InferenceOptions
from pointtrack.fleet.options import JobOptions
from pointtrack.fleet.tables import track_tables, write_tables
from pointtrack.io.masks import MASK_EXPORTS, export_masks, save_masks
from pointtrack.io.sources import TimedFrame
from pointtrack.io.track_log import TrackWriter, read_about, spilled_pieces, spilled_to_npz
from pointtrack.io.tracks import TRACK_EXPORTS, export_tracks, load_tracks, mapped_tracks, save_tracks
from pointtrack.io.video import VideoStream, write_image, write_video
from pointtrack.models.device import pick_device
from pointtrack.models.speed import options_at
from pointtrack.objects.engine import Engine
from pointtrack.objects.from_tracks import segment_tracks
from pointtrack.objects.point_engine import PointEngine
from pointtrack.objects.prompt_texts import check_masks, parse_prompts
from pointtrack.objects.video_engine import load_video_engine
from pointtrack.pipeline.files import check_frames
from pointtrack.regions.placement import RegionOptions
from pointtrack.segment.zoo import load_segmenter
from pointtrack.sessions.add_prompts import add_prompts
from pointtrack.sessions.object_session import ObjectSession
from pointtrack.states.stream import StateOptions
from pointtrack.tracker import Tracker
from pointtrack.tracking.interpolate import track_sparsely
from pointtrack.tracking.point_choice import PointChoice
from pointtrack.tracking.shots import CutFinder
from pointtrack.tracking.smooth import Smoother, smooth_tracks
from pointtrack.types import Masks, Queries, Tracks, Video
from pointtrack.types.times import rate_of
from pointtrack.viz.edit import edit_video
from pointtrack.viz.masks import draw_masks
from pointtrack.viz.sheets import contact_sheet
from pointtrack.viz.tracks import draw_tracks


class Models:
    """The networks of one worker, each loaded once, when it is first needed.

    Args:
        options: the options that name them.
        device: where they compute.
    """

    def __init__(self, options: JobOptions, device: str) -> None:
        self._options = options
        self.device: torch.device = pick_device(device)

    @cached_property
    def tracker(self) -> Tracker:
        """Follows points; states and regions are set per video."""
        return Tracker(self._options.tracker, device=str(self.device), precision=self._options.precision)

    @cached_property
    def inference(self) -> InferenceOptions:
        """The tracker's options as loaded, before `speed` changes them."""
        return self.tracker.network.inference

    @cached_property
    def engine(self) -> Engine:
        """Follows objects."""
        if self._options.video_segmenter is not None:
            return load_video_engine(self._options.video_segmenter, device=str(self.device))
        segmenter = load_segmenter(
            self._options.segmenter, device=str(self.device), precision=self._options.precision
        )
        return PointEngine(self.tracker.network, segmenter)

    def load(self) -> None:
        """Load what the options need for every video."""
        if self._options.wants_tracks:
            _ = self.tracker
        if self._options.wants_masks:
            _ = self.engine


@dataclass(frozen=True, eq=False)
class Seen:
    """The facts about a video, kept whether or not its frames are still in memory.

    Attributes:
        wh: size of its frames.
        fps: frames per second.
        times: (t,) seconds of every frame.
        cuts: number of cuts.
    """

    wh: tuple[int, int]
    fps: float
    times: np.ndarray
    cuts: int


def points_of(options: JobOptions) -> PointChoice:
    """The points to track. Raises ValueError or FileNotFoundError if points, file or mask cannot be read."""
    return PointChoice(
        options.points, options.queries, options.corners, options.grid,
        mask=options.area_mask, frame=options.frame,
    )  # fmt: skip


def track_points(models: Models, video: Video, queries: Queries, options: JobOptions) -> Tracks:
    """Track points as the options say, without smoothing."""
    queries.check_inside(len(video), video.wh)
    tracker = _configured(models, options, video.wh)
    track = partial(tracker.track, backward=options.backward)
    return track_sparsely(video, options.every, queries, track)


def track_flat(
    models: Models, opened: Callable[[], VideoStream], options: JobOptions, folder: Path
) -> tuple[Path, Seen]:
    """Track a video frame by frame, reading it twice up to the frame of the grid; memory does not grow with its length.

    Args:
        models: the networks.
        opened: opens the video from its first frame on.
        options: what to do.
        folder: folder for the growing file of tracks.

    Returns:
        That file, as tracks of long videos may not fit into memory.

    Raises:
        ValueError: points do not fit the video, or would have to be tracked backward.
    """
    queries = points_of(options).on_frame_of(opened)
    with opened() as stream:
        wh = stream.wh
    queries.check_inside(None, wh)
    check_frames(lambda _: opened(), queries)
    if options.backward and len(queries) and int(queries.frame.max()):
        raise ValueError(
            f"flat: expected points on frame 0, as nothing is tracked backward, got one on frame "
            f"{int(queries.frame.max())}; add --backward=false if tracks may begin there"
        )
    finder, times, cuts = CutFinder(), [], 0

    def watched(frames: Iterable[TimedFrame]) -> Iterator[TimedFrame]:
        nonlocal cuts
        for frame, seconds in frames:
            times.append(seconds)
            cuts += finder.push(frame)
            yield frame, seconds

    with opened() as stream:
        fps = stream.fps
        path = _configured(models, options, wh).track_to_file(
            stream.through(watched(stream)), queries, folder / "growing.tracks", backward=False
        )
    return Path(path), Seen(wh, rate_of(times, fps), np.array(times), cuts)


def _configured(models: Models, options: JobOptions, wh: tuple[int, int]) -> Tracker:
    """The tracker, configured for the options of one video."""
    states = StateOptions(redetect=options.redetect) if options.states or options.redetect else None
    regions = None if options.regions is None else RegionOptions.parse(options.regions)
    network = models.tracker.network
    network.inference = options_at(models.inference, network.own_config, options.speed, wh)
    return models.tracker.with_options(states=states, regions=regions)


def follow_objects(models: Models, video: Video, options: JobOptions) -> Masks:
    """Follow the objects given by clicks, boxes, masks or tracks."""
    if options.tracks is not None:
        engine = models.engine
        if not isinstance(engine, PointEngine):
            raise ValueError(
                "video_segmenter: expected prompts, as it follows objects without points; got tracks"
            )
        masks = segment_tracks(video, load_tracks(options.tracks), engine.segmenter, tracker=engine.tracker)
        return masks.with_times(video.times)
    session = ObjectSession(video, engine=models.engine, exclusive=not options.overlap)
    prompts = parse_prompts(
        options.click or (), options.box or (), options.object_masks, options.absent or ()
    )
    check_masks(prompts, video.wh)
    add_prompts(session, prompts)
    return session.propagate()


def track_pieces(tracks: Tracks | Path) -> Iterator[Tracks]:
    """Tracks in memory as one piece, or the pieces in the growing file of `track_flat`."""
    return spilled_pieces(tracks) if isinstance(tracks, Path) else iter([tracks])


@contextmanager
def _shown(tracks: Tracks | Path | None, options: JobOptions, folder: Path) -> Iterator[Tracks | None]:
    """The tracks to export and to draw: smoothed, if the options say so, and on the disk if they lie there."""
    if not isinstance(tracks, Path):
        yield smooth_tracks(tracks, radius=options.smooth) if tracks and options.smooth else tracks
        return
    if not options.exports:
        yield None
        return
    if options.smooth:
        smoother, smoothed = Smoother(options.smooth), folder / "smooth.tracks"
        with TrackWriter(smoothed, about=read_about(tracks)) as writer:
            for piece in track_pieces(tracks):
                writer.append(smoother.push(piece))
            for piece in smoother.finish():
                writer.append(piece)
        tracks = smoothed
    with mapped_tracks(spilled_to_npz(tracks, folder / "shown.npz")) as shown:
        yield shown


def write_results(
    folder: Path,
    key: str,
    video: Video | None,
    seen: Seen,
    tracks: Tracks | Path | None,
    masks: Masks | None,
    options: JobOptions,
    names: Mapping[str, str],
) -> Iterator[tuple[Path, str]]:
    """Write all requested results, and yield each file, or folder of files, with its name under OUT.

    The main result comes last: tracks if there are any, otherwise masks.

    Args:
        folder: folder to write to; made here.
        key: key of the video.
        video, tracks, masks: the frames and results, where they exist; tracks may lie in the growing file of `track_flat`.
        seen: the facts about the video.
        options: which results to write.
        names: names of "tracks" and "masks" under OUT.
    """
    folder.mkdir()
    stem = folder / Path(key).name
    with _shown(tracks, options, folder) as shown:
        for name in options.exports:
            files = []
            if shown is not None and name in TRACK_EXPORTS:
                files += export_tracks(stem, shown, [name], video)
            if masks is not None and video is not None and name in MASK_EXPORTS:
                files += export_masks(stem, masks, [name], video)
            parent = f"exports/{key}".rpartition("/")[0]
            yield from ((file, f"{parent}/{file.name}") for file in files)
        if options.preview is not None and video is not None:
            drawn = video if shown is None else draw_tracks(video, shown, options.style)
            drawn = drawn if masks is None else draw_masks(drawn, masks, options.mask_style)
            if options.preview == "video":
                yield write_video(folder / "preview.mp4", drawn), f"previews/{key}.mp4"
            else:
                yield write_image(folder / "preview.png", contact_sheet(drawn)), f"previews/{key}.png"
    if options.edit and masks is not None and video is not None:
        edited = edit_video(video, masks, options.edit)
        yield write_video(folder / "edited.mp4", edited), f"edited/{key}.mp4"
    if masks is not None:
        yield save_masks(folder / "masks.npz", masks, format="npz"), names["masks"]
    if tracks is not None:
        if options.format == "parquet":
            path = folder / "tracks.parquet"
            write_tables(path, track_tables(key, track_pieces(tracks), seen.times), [key])
        elif isinstance(tracks, Path):
            path = spilled_to_npz(tracks, folder / "tracks.npz")
        else:
            path = save_tracks(folder / "tracks.npz", tracks)
        yield path, names["tracks"]
