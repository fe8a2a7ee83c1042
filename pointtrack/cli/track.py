"""The command `pointtrack track`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from pointtrack.cli.earlier import conclude, track_products
from pointtrack.cli.options import (
    VideoOptions,
    kept_frames,
    outputs_to,
    refuse_keep,
    track_options,
    video_target,
)
from pointtrack.cli.progress import Bar
from pointtrack.cli.report import does_not_fit, print_estimate, print_tracked, print_video
from pointtrack.cli.session_files import session_file
from pointtrack.cli.states import StateTally
from pointtrack.cli.track_flat import resumable, track_flat, track_flat_sparsely
from pointtrack.cli.track_session import (
    Correction,
    check_session_options,
    corrections_text,
    parse_corrections,
    track_in_session,
)
from pointtrack.io.locks import claimed
from pointtrack.io.mask_pictures import coverage
from pointtrack.io.masks import load_masks
from pointtrack.io.npz import write_npz
from pointtrack.io.outputs import record_origin
from pointtrack.io.same_run import NONE, check_same_run, noted_run, run_note
from pointtrack.io.sound import copy_sound
from pointtrack.io.storage import exists, local_path
from pointtrack.io.track_log import delete_tracks
from pointtrack.io.tracks import (
    TRACK_EXPORTS,
    export_tracks,
    mapped_tracks,
    parse_exports,
    save_tracks,
)  # fmt: skip
from pointtrack.io.video import read_video, write_image, write_video
from pointtrack.models.point_tracker import PointTracker
from pointtrack.pipeline.backward import frames_both_ways, track_video
from pointtrack.pipeline.files import check_frames
from pointtrack.pipeline.options import TrackOptions
from pointtrack.pipeline.resume import points_text
from pointtrack.tracking.interpolate import thinned, track_sparsely
from pointtrack.tracking.point_choice import PointChoice
from pointtrack.tracking.queries import check_mask_counts
from pointtrack.tracking.smooth import smooth_tracks
from pointtrack.types import Queries, Tracks, Video
from pointtrack.viz.masks import draw_masks
from pointtrack.viz.sheets import track_sheet
from pointtrack.viz.styles import TrackStyle, UnderStyle
from pointtrack.viz.tracks import draw_tracks

# Options that change the tracks, besides the points.
SETTINGS = (
    "tracker", "speed", "precision", "start", "end", "max_frames", "backward", "states", "redetect", "regions", "every",
    "smooth",
)  # fmt: skip


@dataclass(frozen=True)
class TrackCommand(VideoOptions):
    """Track points through a video; write the video with the tracks drawn in, a contact sheet and the tracks.

    If you give no points, it tracks a grid of 20 x 20. It holds the whole video in memory, unless that would take most of
    it or you pass --flat. Then it reads frames one by one, memory does not grow with the length, and --resume continues a
    killed run.

    Args:
        grid: track a grid of this many points per side.
        points: single points, each as frame,x,y in pixels: --points 0,120,80 10,300.5,210
        queries: CSV or JSON file of points.
        corners: track this many of the strongest corners.
        mask: picture of the video's size; grid and corners lie where it is not black.
        frame: frame of grid, corners and mask.
        correct: where a point is on another frame, as point:frame,x,y; its track then passes through there. Points count from 0,
            and without a number it is point 0: --points 0,120,80 --correct 20,131,90
        session: .npz file that keeps points, corrections and tracks, also those of the page. If it exists, the run continues
            from it, adds the new points and corrections, and tracks only what changes.
        out: folder, or video file; the other results go beside that.
        backward: also track from each point's frame back to the first one.
        export: more files of the tracks besides .npz, comma-separated: plot, csv, json, parquet, dlc, sleap, napari,
            cvat, rerun, mot, nuke, after-effects, fusion, 3de, blender, comfyui and others (docs/guides/export.md).
        states: tell for every point and frame whether it is visible, hidden, out of frame or lost; from a cut on all points
            are lost.
        redetect: like --states, and also search for lost points and track them on from where they are found.
        regions: follow small things in moving crops of the full-resolution frame, see docs/guides/regions.md; auto,
            a size as in 192x108, or a box as in 100,50,484,266.
        every: track only every n-th frame, several times as fast; between those, points move in straight lines, and the
            tracks mark these positions (source interpolated).
        smooth: smooth positions over this many frames on each side, in the video and the exports; 0 turns it off. The
            .npz keeps the positions as tracked, and a second one holds the smoothed ones.
        keep: write these frames only, first and last, numbered as in the whole video: --keep 10,49; the others are
            tracked too.
        flat: never hold more than a window of frames in memory.
        resume: continue a killed flat run, with the same options; the result is the same.
        sound: give the drawn video the sound of the original.
        style: how to draw the tracks.
        under: masks to draw under the tracks.
    """

    grid: int | None = None
    points: list[str] | None = None
    queries: str | None = None
    corners: int | None = None
    mask: str | None = None
    frame: int = 0
    correct: list[str] | None = None
    session: str | None = None
    out: str = "outputs"
    backward: bool = True
    export: str | None = None
    states: bool = False
    redetect: bool = False
    regions: str | None = None
    every: int = 1
    smooth: int = 0
    keep: str | None = None
    flat: bool = False
    resume: bool = False
    sound: bool = True
    style: TrackStyle = field(default_factory=TrackStyle)
    under: UnderStyle = field(default_factory=UnderStyle)

    def run(self) -> None:
        """Track the points, and print where the results are."""
        if self.resume and local_path(self.out) is None:
            raise ValueError(
                f"resume: expected --out on this machine, where the killed run wrote, got {self.out}"
            )
        with outputs_to(self.out) as out:
            replace(self, out=out, session=session_file(self.session)).run_here()

    def run_here(self) -> None:
        """Run with results on this machine."""
        exports = parse_exports(self.export)
        options = track_options(self.states, self.redetect, self.regions, self.smooth, backward=self.backward)
        check_mask_counts(self.mask, self.points or self.queries, self.grid, self.corners)
        if self.every < 1:
            raise ValueError(f"every: expected 1 or more frames, got {self.every}")
        target = video_target(self.out, self.stem)
        outputs = self.outputs(target, exports)
        corrections = parse_corrections(self.correct or ())
        if self.in_session:
            check_session_options(self, outputs)
        self.guard(outputs, self.queries, self.mask, self.session, self.under.masks)
        points = PointChoice(
            self.points, self.queries, self.corners, self.grid, mask=self.mask, frame=self.frame
        )
        if self.flat or self.resume:
            refuse_keep(self.keep)
        if self.resume and self.is_finished(target):
            self.finish(target, points, exports)
            return
        with self.opened() as stream:
            too_large = does_not_fit(stream)
            if too_large and self.in_session:
                raise ValueError(
                    f"session: expected a video that fits into memory, got {stream.frame_count} frames; take a part of it with "
                    "--start and --end, or correct it on the page (pointtrack ui)"
                )
            if too_large and not self.flat:
                print(
                    f"flat      {stream.frame_count} frames would take most of this machine's memory, so --flat is on"
                )
            if self.flat or self.resume or too_large:
                if self.under.masks is not None:
                    raise ValueError(
                        "masks: expected a run in memory, got a flat one (--flat, --resume, or a video that does not fit)"
                    )
                refuse_keep(self.keep)
                stream.close()
                spilled = target.with_suffix(".tracks")
                with claimed(spilled):
                    record_origin(outputs, self.video)
                    if self.overwrite and not self.resume:
                        delete_tracks(spilled)
                    self.run_flat(target, points, exports, options)
                return
            video = read_video(stream)
        self.run_whole(video, target, points, exports, options, corrections)

    def run_whole(
        self,
        video: Video,
        target: Path,
        points: PointChoice,
        exports: list[str],
        options: TrackOptions,
        corrections: Sequence[Correction],
    ) -> None:
        """Run with the video in memory."""
        outputs = self.outputs(target, exports)
        background = self.with_masks(video)
        frames = kept_frames(self.keep, len(video))
        tracks = self.tracked(video, points, options, corrections)
        settings = self.settings(tracks.queries) | {"corrections": corrections_text(tracks)}
        record_origin(outputs, self.video)
        shown = smooth_tracks(tracks, radius=self.smooth, keep=tracks.corrected()) if self.smooth else tracks
        sound = self.video if self.sound else None
        kept = tracks.clip(frames.start, frames.stop)
        # The tracks first: they took the time, and a full disk or Ctrl-C during the drawing must not cost them.
        saved = write_npz(target.with_suffix(".npz"), kept.arrays() | run_note(settings))
        write_results(background, shown, target, [], self.style, sound, frames)
        shown = shown.clip(frames.start, frames.stop)
        print(f"tracks    {saved}")
        if self.smooth:
            print(f"smoothed  {save_tracks(target.with_name(f'{target.stem}_smooth.npz'), shown)}")
        for path in export_tracks(target.with_suffix(""), shown, exports, video):
            print(f"tracks    {path}")
        self.conclude(outputs, target, settings)

    def with_masks(self, video: Video) -> Video:
        """The video with the masks that go under the tracks, if there are some."""
        path = self.under.masks
        return video if path is None else draw_masks(video, load_masks(path), self.under.style)

    @property
    def in_session(self) -> bool:
        """Whether points are kept in a session, or corrected."""
        return self.session is not None or bool(self.correct)

    def tracked(
        self,
        video: Video,
        points: PointChoice,
        options: TrackOptions,
        corrections: Sequence[Correction],
    ) -> Tracks:
        """Track the points through a video in memory, with those of the session, without smoothing."""

        def track(queries: Queries) -> Tracks:
            kept, _ = thinned(len(video), self.every, queries)
            print_estimate(tracker, queries, video.wh, len(video), options, flat=False, tracked=len(kept))
            return track_and_report(tracker, video, queries, replace(options, smooth=0), every=self.every)

        goes_on = self.session is not None and exists(self.session)
        queries = points.on(video) if points.is_made or not goes_on else None
        if queries is not None:
            print_mask(points)
            queries.check_inside(len(video), video.wh)
        tracker = self.loaded(video.wh)
        if queries is not None and not self.in_session:
            return track(queries)
        return track_in_session(tracker, video, queries, corrections, self.session, track)

    def conclude(self, outputs: Sequence[Path], target: Path, settings: Mapping[str, str]) -> None:
        """Set aside what an earlier run with other settings left beside the results."""
        results = json.dumps(dict(settings))
        read = [self.video, self.queries, self.mask, self.session, self.under.masks]
        conclude(outputs, track_products(target), "track", results, *read)

    def is_finished(self, target: Path) -> bool:
        """Whether the run to resume is finished: its tracks exist, and no growing file does."""
        return target.with_suffix(".npz").is_file() and not target.with_suffix(".tracks").exists()

    def finish(self, target: Path, points: PointChoice, exports: Sequence[str]) -> None:
        """Check that the finished run has the same settings, and write the exports that it lacks."""
        saved = target.with_suffix(".npz")
        smoothed = target.with_name(f"{target.stem}_smooth.npz")
        lacking = {"smooth": NONE} if self.smooth and not smoothed.is_file() else {}
        queries = points.on_frame_of(self.opened)
        print_mask(points)
        wanted = self.settings(queries)
        check_same_run(noted_run(saved) | lacking, wanted, saved)
        print(f"finished  {saved} is complete; without --resume it is made anew")
        with mapped_tracks(smoothed if self.smooth else saved) as shown:
            for name in exports:
                path = Path(f"{target.with_suffix('')}{TRACK_EXPORTS[name][0]}")
                if not path.is_file() or path.stat().st_mtime_ns < saved.stat().st_mtime_ns:
                    record_origin([path], self.video)
                    print(f"tracks    {export_tracks(target.with_suffix(''), shown, [name])[0]}")
        self.conclude(self.outputs(target, exports), target, self.settings(queries))

    def settings(self, queries: Queries) -> dict[str, str]:
        """The settings that the tracks depend on, as texts."""
        settings = {"points": points_text(queries), **{name: str(getattr(self, name)) for name in SETTINGS}}
        return settings | {"keep": self.keep or NONE, "corrections": NONE}

    def outputs(self, target: Path, exports: Sequence[str]) -> list[Path]:
        """All files that the command writes."""
        stem = target.with_suffix("")
        paths = [target, target.with_suffix(".png"), target.with_suffix(".npz")]
        paths += [target.with_name(f"{target.stem}_smooth.npz")] if self.smooth else []
        return [*paths, *(Path(f"{stem}{TRACK_EXPORTS[name][0]}") for name in exports)]

    def run_flat(
        self,
        target: Path,
        points: PointChoice,
        exports: Sequence[str],
        options: TrackOptions,
    ) -> None:
        """Run while reading frames one by one."""
        if self.video == "-":
            raise ValueError("flat: expected a video that can be read twice, got standard input")
        queries = points.on_frame_of(self.opened)
        print_mask(points)
        with self.opened() as stream:
            queries.check_inside(None, stream.wh)
            check_frames(self.opened, queries)
            tracker = self.loaded(stream.wh)
        how = track_flat if self.every == 1 else partial(track_flat_sparsely, every=self.every)
        with resumable(target):
            saved = how(
                self.opened, tracker, queries, target, options,
                resume=self.resume, style=self.style, settings=self.settings(queries),
            )  # fmt: skip
        if self.sound and copy_sound(self.video, target, self.start):
            print(f"sound     {target} has the video's sound")
        if exports:
            with mapped_tracks(saved) as tracks:
                for path in export_tracks(target.with_suffix(""), tracks, list(exports)):
                    print(f"tracks    {path}")
        self.conclude(self.outputs(target, exports), target, self.settings(queries))


def print_mask(points: PointChoice) -> None:
    """Print how much of the image the mask of the points covers, if there is one."""
    if points.mask is not None:
        print(f"mask      {coverage(points.mask)}")


def track_and_report(
    tracker: PointTracker,
    video: Video,
    queries: Queries,
    options: TrackOptions | None = None,
    *,
    every: int = 1,
) -> Tracks:
    """Track in memory, with a progress bar on a terminal; print what was tracked and how fast.

    With `every` only every n-th frame is tracked, and points move in straight lines between those.
    """
    options = options or TrackOptions()
    kept, among = thinned(len(video), every, queries)
    began = time.perf_counter()
    if every > 1:
        print(f"frames    {len(kept)} of {len(video)} are tracked, those between are interpolated")
    with Bar(frames_both_ways(tracker, among, options, len(kept))) as bar:
        track = partial(track_video, tracker, options=options, progress=bar.update)
        tracks = track_sparsely(video, every, queries, track)
    print_tracked(tracker, len(queries), len(video), video.wh, time.perf_counter() - began)
    tally = StateTally()
    tally.add(tracks)
    tally.print()
    return tracks


def write_results(
    video: Video,
    tracks: Tracks,
    target: Path,
    files: Sequence[Path],
    style: TrackStyle | None = None,
    sound: str | None = None,
    frames: range | None = None,
) -> None:
    """Write the video with its tracks to `target`, a contact sheet beside it, and the tracks to `files`.

    The sound is that of the file `sound`, if it is one. Video and sheet show these `frames`, by default all.
    """
    frames = range(len(video)) if frames is None else frames
    write_video(target, draw_tracks(video, tracks, style).clip(frames.start, frames.stop))
    heard = sound is not None and sound != "-" and copy_sound(sound, target, float(video.times[frames.start]))
    print_video(target, heard)
    print(
        f"pictures  {write_image(target.with_suffix('.png'), track_sheet(video, tracks, style, within=frames))}"
    )
    for path in files:
        print(f"tracks    {save_tracks(path, tracks)}")
