"""The command `pointtrack segment`: from clicks, boxes, masks or saved tracks to masks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pointtrack.cli.earlier import conclude, mask_products, masks_digest
from pointtrack.cli.edited import (
    check_hidden,
    edited_path,
    missing_frames,
    print_unhidden,
    write_edited,
)
from pointtrack.cli.extras import needs_extra
from pointtrack.cli.options import VideoOptions, kept_frames, outputs_to, refuse_keep, video_target
from pointtrack.cli.progress import Bar
from pointtrack.cli.report import print_sheet, print_video
from pointtrack.cli.segment_flat import (
    NAMED,
    object_stream,
    print_doubts,
    print_segmented,
    refuse_late,
    segment_flat,
)
from pointtrack.cli.session_files import check_session_file, kept_if_stopped, session_file
from pointtrack.io.mask_writers import parse_growing
from pointtrack.io.masks import MASK_EXPORTS, export_masks, parse_mask_exports
from pointtrack.io.outputs import record_origin
from pointtrack.io.sound import copy_sound
from pointtrack.io.storage import exists
from pointtrack.io.tracks import load_tracks
from pointtrack.io.video import read_video, write_image, write_video
from pointtrack.objects.engine import Engine
from pointtrack.objects.from_tracks import segment_tracks
from pointtrack.objects.point_engine import PointEngine
from pointtrack.objects.prompt_texts import ParsedPrompt, check_masks, parse_prompts
from pointtrack.objects.video_engine import load_video_engine
from pointtrack.pipeline.files import frames_if_short
from pointtrack.pipeline.sheet_sink import SheetSink
from pointtrack.segment.video_zoo import cached_video_names
from pointtrack.segment.zoo import SHIPPED, load_segmenter
from pointtrack.sessions.add_prompts import add_prompts
from pointtrack.sessions.doubts import Doubt, doubts_of_masks
from pointtrack.sessions.object_session import ObjectSession
from pointtrack.types import Video
from pointtrack.types.masks import Masks
from pointtrack.viz.masks import draw_masks
from pointtrack.viz.sheets import contact_sheet
from pointtrack.viz.styles import EditStyle, MaskStyle


@dataclass(frozen=True)
class SegmentCommand(VideoOptions):
    """Follow objects through a video from clicks, boxes or masks; write the video with the masks drawn in, and the masks.

    For several objects, put a number and a colon before each prompt, as in 2:0,310,250. You can prompt an object on several
    frames: masks that you give stay as they are, and the frames between follow from both sides.

    Args:
        click: clicks as frame,x,y; append ,- for a click beside the object: --click 0,310,250 0,40,40,-
        box: boxes as frame,x0,y0,x1,y1 in pixels.
        mask: pictures of the video's size, not black where the object is, as frame,FILE; one with the colours of DAVIS gives
            every object that it shows, by its index.
        absent: frames on which an object is absent. It stays so until its next prompt; with flat it may be found again on the
            next frame.
        tracks: .npz, .csv or .json file of tracks, all on one object, instead of prompts.
        session: .npz file that keeps prompts and results. If it exists, the run continues from it, adds the new prompts, and
            computes only what changes.
        segmenter: name of a segmenter (small, sam-vit-b, sam2.1-hiera-tiny, ...), or a folder of one.
        video_segmenter: follow objects with a published model alone, without points: its name (sam2.1-hiera-tiny, ...,
            edgetam, sam3) or a folder.
        out: folder, or video file; the other results go beside that.
        export: formats to write besides the drawn video: npz, davis, ytvos, coco, ytvis, yolo, mot, cutout, cutout-png, comma-separated.
        overlap: let objects overlap; otherwise every pixel belongs to one at most.
        keep: write these frames only, first and last, numbered as in the whole video: --keep 10,49. Others are followed as
            far as these need it.
        flat: never hold more than a window of frames in memory. One pass follows objects forward from their prompts and
            writes masks once they are final, as npz, davis, coco, mot, cutout or cutout-png. A correction changes later frames only; a
            --session, which this excludes, also carries it to earlier ones.
        sound: give the drawn and the edited video the sound of the original.
        style: how to draw the masks.
        edit: how to edit the video by the masks, in a video of its own (VIDEO_edited.mp4).
    """

    click: list[str] | None = None
    box: list[str] | None = None
    mask: list[str] | None = None
    absent: list[str] | None = None
    tracks: str | None = None
    session: str | None = None
    segmenter: str = "small"
    video_segmenter: str | None = None
    out: str = "outputs"
    export: str = "npz"
    overlap: bool = False
    keep: str | None = None
    flat: bool = False
    sound: bool = True
    style: MaskStyle = field(default_factory=MaskStyle)
    edit: EditStyle = field(default_factory=EditStyle)

    def run(self) -> None:
        """Follow the objects, and print where the results are."""
        with outputs_to(self.out) as out:
            replace(self, out=out, session=session_file(self.session)).run_here()

    def run_here(self) -> None:
        """Run with results on this machine."""
        exports = parse_mask_exports(self.export)
        target = video_target(self.out, f"{self.stem}_masks")
        outputs, folders = self.outputs(target, exports), self.folders(target, exports)
        if self.session is not None:
            check_session_file(self.session, outputs)
        more = [self.segmenter, self.video_segmenter, self.edit.picture]
        self.guard([path for path in outputs if path not in folders], *self.inputs, *more, folders=folders)
        prompts = self.prompts()
        if self.flat:
            self.run_flat(target, exports, prompts)
        else:
            self.run_whole(target, exports, prompts)

    @property
    def inputs(self) -> list[str | None]:
        """The files that the masks depend on, besides the video."""
        return [*(text.partition(",")[2] for text in self.mask or ()), self.tracks, self.session]

    def prompts(self) -> list[ParsedPrompt]:
        """The clicks, boxes, masks and absences. Raises ValueError for options that do not go together."""
        prompts = parse_prompts(self.click or (), self.box or (), self.mask or (), self.absent or ())
        goes_on = self.session is not None and exists(self.session)
        if (bool(prompts) or goes_on) == (self.tracks is not None):
            got = "both" if self.tracks is not None else "none of them; --click FRAME,X,Y points at an object"
            raise ValueError(
                f"segment: expected clicks, boxes or masks (or a session that has some), or else tracks, got {got}"
            )
        if self.tracks is not None and self.session is not None:
            raise ValueError(
                "session: expected clicks, boxes or masks, which it keeps to correct them later, got tracks; leave out "
                f"--session {self.session}"
            )
        shown = {one.object_id for one in prompts if not one.absent}
        unknown = [] if goes_on else [one.object_id for one in prompts if one.object_id not in shown]
        if unknown:
            raise ValueError(
                f"absent: expected a click, a box or a mask of object {unknown[0]} on another frame too, got none"
            )
        if not goes_on:
            check_hidden(self.edit, shown or {1})
        if self.tracks is not None and self.video_segmenter is not None:
            raise ValueError(
                "video_segmenter: expected prompts, as it follows objects without points; got tracks"
            )
        return prompts

    def run_whole(self, target: Path, exports: list[str], prompts: list[ParsedPrompt]) -> None:
        """Run with the video in memory."""
        with self.opened() as stream:
            check_masks(prompts, stream.wh)
            with needs_extra():
                engine = self._engine(stream.wh)
            video = read_video(stream)
        frames = kept_frames(self.keep, len(video))
        began = time.perf_counter()
        with Bar(len(video), "masks", "step") as bar:
            if self.tracks is not None:
                assert isinstance(engine, PointEngine)
                tracks = load_tracks(self.tracks)
                masks = segment_tracks(
                    video, tracks, engine.segmenter, tracker=engine.tracker, progress=bar.update
                )
                masks = masks.clip(frames.start, frames.stop)
                doubts = doubts_of_masks(masks)
            else:
                masks, doubts = self._follow(video, engine, prompts, bar, frames)
        seconds = time.perf_counter() - began
        print(f"with {engine.name}, weights under {engine.licence}")
        print_segmented(masks.present().float().mean(0).tolist(), len(frames), video.wh, seconds)
        print_doubts(doubts)
        if doubts and self.tracks is None:
            print(
                f"to correct   one more click, --click FRAME,X,Y (,- beside it), with --session {self.session or 'FILE.npz'}"
            )
        masks = masks.with_times(video.times[frames.start : frames.stop])
        outputs = self.outputs(target, exports)
        record_origin(outputs, self.video)
        self._write(video, masks, exports, target)
        self.conclude(outputs, target, masks.object_ids.tolist(), masks_digest(masks))

    def run_flat(self, target: Path, exports: Sequence[str], prompts: Sequence[ParsedPrompt]) -> None:
        """Run in one pass, reading frames one by one."""
        for name in ("tracks", "session", "video_segmenter"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"flat: expected prompts alone, as it reads frames once and forward, got --{name} too"
                )
        refuse_keep(self.keep)
        parse_growing(exports)
        last = max(one.frame for one in prompts)
        # What is no file may not come a second time.
        twice = Path(self.video).is_file() or Path(self.video).is_dir()
        if twice and (frames := frames_if_short(self.opened, last)) is not None:
            refuse_late(last, frames)
        with self.opened() as source:
            check_masks(prompts, source.wh)
            with needs_extra():
                segmenter = load_segmenter(self.segmenter, device=self.device, precision=self.precision)
            stream = object_stream(
                self.loaded(source.wh), segmenter, prompts, source.wh, source.fps, overlap=self.overlap
            )
            record_origin(self.outputs(target, exports), self.video)
            named = [(name, _stem(target, name)) for name in exports]
            sheet = SheetSink(self.style, source.frame_count, source.pixel_aspect)
            edited = (edited_path(target), self.edit) if self.edit else None
            digest = segment_flat(source, stream, target, named, self.style, sheet, edited)
        print_video(target, self.sound and copy_sound(self.video, target, self.start))
        print_sheet(sheet, target)
        if edited is not None:
            print_video(edited[0], self.sound and copy_sound(self.video, edited[0], self.start), "edited")
        for path in self.products(target, exports):
            if path.is_dir():
                _drop_others(path, range(stream.frames_pushed), stream.objects)
            print(f"masks     {path}")
        self.conclude(self.outputs(target, exports), target, stream.objects, digest)

    def conclude(self, outputs: Sequence[Path], target: Path, ids: Sequence[int], digest: int) -> None:
        """Set aside what an earlier run with other masks left beside the results."""
        results = f"objects {list(ids)}, masks {digest}"
        conclude(outputs, mask_products(target), "segment", results, self.video, *self.inputs)

    def outputs(self, target: Path, exports: Sequence[str]) -> list[Path]:
        """All files and folders that the command writes."""
        drawn = [target, target.with_suffix(".png"), *([edited_path(target)] if self.edit else [])]
        return [*drawn, *self.products(target, exports)]

    def products(self, target: Path, exports: Sequence[str]) -> list[Path]:
        """The files and folders of masks that the command writes."""
        return [Path(f"{_stem(target, name)}{MASK_EXPORTS[name]}") for name in exports]

    def folders(self, target: Path, exports: Sequence[str]) -> list[Path]:
        """The outputs that are folders."""
        return self.products(target, [name for name in exports if "." not in MASK_EXPORTS[name]])

    def _engine(self, wh: tuple[int, int]) -> Engine:
        if self.video_segmenter is not None:
            return load_video_engine(self.video_segmenter, device=self.device)
        if self.segmenter == SHIPPED and (stronger := cached_video_names()):
            print(
                f"stronger models on this machine: --video_segmenter {stronger[0]} (of {', '.join(stronger)})"
            )
        segmenter = load_segmenter(self.segmenter, device=self.device, precision=self.precision)
        return PointEngine(self.loaded(wh), segmenter)

    def _follow(
        self, video: Video, engine: Engine, prompts: list[ParsedPrompt], bar: Bar, frames: range
    ) -> tuple[Masks, list[Doubt]]:
        """Enter all prompts into a session, and propagate; returns masks of `frames`, and which of them to check."""
        session = ObjectSession(video, engine=engine, exclusive=not self.overlap)
        if self.session is not None and exists(self.session):
            session.load(self.session)

        def progress(done: int) -> None:
            # Every prompt may add some.
            bar.total = bar.n + done + session.steps_left(frames.start, frames.stop)
            bar.update(done)

        with kept_if_stopped(self.session, session, lambda: any(map(session.keyframes, session.objects))):
            add_prompts(session, prompts, progress)
            progress(0)  # a session that goes on may have nothing left to do
            masks = session.propagate(frames.start, frames.stop, progress=progress)
        if self.session is not None:
            print(f"session   {session.save(self.session)}")
        doubts = [one for one in session.suggest_corrections(len(video)) if one.frame in frames]
        return masks, doubts[:NAMED]

    def _write(self, video: Video, masks: Masks, exports: list[str], target: Path) -> None:
        """Write the drawn video to `target`, and the rest beside it."""
        frames = range(masks.first_frame, masks.first_frame + len(masks))
        # First what took the time: a full disk or Ctrl-C during the drawing must not cost it.
        saved = {
            name: export_masks(_stem(target, name), masks, [name], video) for name in exports if name == "npz"
        }
        drawn = draw_masks(video, masks, self.style)
        clip = video.clip(frames.start, frames.stop)
        write_video(target, drawn.clip(frames.start, frames.stop))
        print_video(target, self.sound and copy_sound(self.video, target, float(clip.times[0])))
        print(f"pictures  {write_image(target.with_suffix('.png'), contact_sheet(drawn, within=frames))}")
        if self.edit:
            check_hidden(self.edit, masks.object_ids.tolist())
            write_edited(edited_path(target), clip, masks, self.edit, self.video, sound=self.sound)
            there = zip(masks.object_ids.tolist(), masks.present().T, strict=True)
            print_unhidden(self.edit, {number: missing_frames(row, frames.start) for number, row in there})
        for name in exports:
            cut = name == "cutout"  # a video of the kept frames alone, as the drawn one is
            shown, source = (replace(masks, first_frame=0), clip) if cut else (masks, video)
            (path,) = saved.get(name) or export_masks(_stem(target, name), shown, [name], source)
            if path.is_dir():
                _drop_others(path, frames, masks.object_ids.tolist())
            print(f"masks     {path}")


def _drop_others(folder: Path, frames: range, ids: Sequence[int]) -> None:
    """Delete frames, and objects, that another run left in a folder of results; they would be read as this run's."""
    kept = {f"object_{number}" for number in ids if len(ids) > 1}
    for path in folder.rglob("*"):
        number = path.stem.removeprefix("frame_")
        other = path.parent.name.startswith("object_") and path.parent.name not in kept
        if path.is_file() and number.isdecimal() and (other or int(number) not in frames):
            path.unlink()
    for path in folder.glob("object_*"):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _stem(target: Path, export: str) -> Path:
    """Path without suffix of an export: our own file has the name of the drawn video, others that of the source."""
    return target.with_suffix("") if export == "npz" else target.with_name(target.stem.removesuffix("_masks"))
