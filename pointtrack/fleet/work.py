"""What is done with the frames of one video: points, tracks, masks, files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from pointtrack.fleet.options import JobOptions
from pointtrack.fleet.tables import tracks_table, write_tables
from pointtrack.io.mask_pictures import read_mask
from pointtrack.io.masks import MASK_EXPORTS, export_masks, save_masks
from pointtrack.io.queries import load_queries
from pointtrack.io.tracks import TRACK_EXPORTS, export_tracks, load_tracks, save_tracks
from pointtrack.io.video import write_image, write_video
from pointtrack.models.device import pick_device
from pointtrack.objects.engine import Engine
from pointtrack.objects.from_tracks import segment_tracks
from pointtrack.objects.point_engine import PointEngine
from pointtrack.objects.prompt_texts import parse_prompts
from pointtrack.objects.video_engine import load_video_engine
from pointtrack.regions.stream import RegionOptions
from pointtrack.segment.zoo import load_segmenter
from pointtrack.sessions.object_session import ObjectSession
from pointtrack.states.stream import StateOptions
from pointtrack.tracker import Tracker
from pointtrack.tracking.queries import corner_queries, grid_queries, parse_points
from pointtrack.tracking.smooth import smooth_tracks
from pointtrack.types import Masks, Queries, Tracks, Video
from pointtrack.viz.masks import draw_masks
from pointtrack.viz.sheets import contact_sheet
from pointtrack.viz.tracks import draw_tracks


class Models:
    """The networks of one worker, each loaded when it is first needed, and once.

    Args:
        options: which ones.
        device: where they compute.
    """

    def __init__(self, options: JobOptions, device: str) -> None:
        self._options = options
        self.device: torch.device = pick_device(device)

    @cached_property
    def tracker(self) -> Tracker:
        """Follows points; states and regions are set per video."""
        return Tracker(self._options.tracker, device=str(self.device))

    @cached_property
    def engine(self) -> Engine:
        """Follows objects."""
        if self._options.video_segmenter is not None:
            return load_video_engine(self._options.video_segmenter, device=str(self.device))
        segmenter = load_segmenter(self._options.segmenter, device=str(self.device))
        return PointEngine(self.tracker.network, segmenter)

    def load(self) -> None:
        """Load what the options need of every video."""
        if self._options.wants_tracks:
            _ = self.tracker
        if self._options.wants_masks:
            _ = self.engine


def choose_queries(video: Video, options: JobOptions) -> Queries:
    """The points to track, in the order of `pointtrack track`: single points, a file, corners, a grid.

    Raises:
        ValueError, FileNotFoundError: points, files or masks that cannot be read, or do not fit the video.
    """
    mask = None if options.area_mask is None else read_mask(options.area_mask)
    parts = [parse_points(options.points)] if options.points else []
    if options.queries is not None:
        parts.append(load_queries(options.queries))
    if options.corners is not None:
        parts.append(corner_queries(video, options.corners, options.frame, mask))
    if options.grid is not None or not parts:
        size = 20 if options.grid is None else options.grid
        parts.append(grid_queries(video, size, options.frame, mask))
    queries = parts[0] if len(parts) == 1 else Queries.concat(parts, renumber=True)
    queries.check_inside(len(video), video.wh)
    return queries


def track_points(models: Models, video: Video, queries: Queries, options: JobOptions) -> Tracks:
    """Tracks as the options ask for them, not smoothed."""
    states = StateOptions(redetect=options.redetect) if options.states or options.redetect else None
    regions = None if options.regions is None else RegionOptions.parse(options.regions)
    tracker = models.tracker.with_options(states=states, regions=regions)
    return tracker.track(video, queries, backward=options.backward)


def follow_objects(models: Models, video: Video, options: JobOptions) -> Masks:
    """Masks of the objects that were clicked, boxed or drawn, or that tracks lie on."""
    if options.tracks is not None:
        engine = models.engine
        if not isinstance(engine, PointEngine):
            raise ValueError(
                "video_segmenter: expected prompts, as it follows objects without points; got tracks"
            )
        return segment_tracks(video, load_tracks(options.tracks), engine.segmenter, tracker=engine.tracker)
    session = ObjectSession(video, engine=models.engine, exclusive=not options.overlap)
    prompts = parse_prompts(
        options.click or (), options.box or (), options.object_masks, options.absent or ()
    )
    for one in prompts:
        if one.object_id not in session.objects:
            session.add_object(object_id=one.object_id)
        if one.absent:
            session.mark_absent(one.object_id, one.frame)
        elif one.mask is not None:
            session.prompt(one.object_id, one.frame, mask=one.mask)
        else:
            asked = one.prompt()
            session.prompt(one.object_id, one.frame, points=asked.points, labels=asked.labels, box=asked.box)
    return session.propagate()


def write_results(
    folder: Path,
    key: str,
    video: Video,
    tracks: Tracks | None,
    masks: Masks | None,
    options: JobOptions,
    names: Mapping[str, str],
) -> Iterator[tuple[Path, str]]:
    """Write everything that is asked for, and give each file, or folder of files, with its name under OUT.

    The main result comes last: tracks if there are some, otherwise masks.

    Args:
        folder: to write to; made here.
        key: of the video.
        video, tracks, masks: what there is.
        options: what is asked for.
        names: of "tracks" and "masks" under OUT.
    """
    folder.mkdir()
    shown = tracks
    if tracks is not None and options.smooth:
        shown = smooth_tracks(tracks, radius=options.smooth)
    stem = folder / Path(key).name
    for name in options.exports:
        files = []
        if shown is not None and name in TRACK_EXPORTS:
            files += export_tracks(stem, shown, [name], video)
        if masks is not None and name in MASK_EXPORTS:
            files += export_masks(stem, masks, [name], video)
        parent = f"exports/{key}".rpartition("/")[0]
        yield from ((file, f"{parent}/{file.name}") for file in files)
    if options.preview is not None:
        drawn = video if shown is None else draw_tracks(video, shown, options.style)
        drawn = drawn if masks is None else draw_masks(drawn, masks, options.mask_style)
        if options.preview == "video":
            yield write_video(folder / "preview.mp4", drawn), f"previews/{key}.mp4"
        else:
            yield write_image(folder / "preview.png", contact_sheet(drawn)), f"previews/{key}.png"
    if masks is not None:
        yield save_masks(folder / "masks.npz", masks, format="npz"), names["masks"]
    if tracks is not None:
        if options.format == "parquet":
            path = folder / "tracks.parquet"
            times = np.asarray(video.times)
            write_tables(path, [tracks_table(key, tracks, times)], [key])
        else:
            path = save_tracks(folder / "tracks.npz", tracks)
        yield path, names["tracks"]
