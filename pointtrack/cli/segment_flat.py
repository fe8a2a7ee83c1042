"""`pointtrack segment --flat`: one pass over the video, frame by frame, which writes masks once they are final."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import torch

from pointtrack.checks import counted
from pointtrack.cli.earlier import masks_digest
from pointtrack.cli.edited import missing_frames, print_unhidden
from pointtrack.cli.progress import Bar
from pointtrack.io.mask_writers import mask_writer
from pointtrack.io.video import VideoStream
from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.prompt_texts import ParsedPrompt, apply_prompts
from pointtrack.objects.stream import ObjectStream
from pointtrack.pipeline.run import run
from pointtrack.pipeline.sheet_sink import SheetSink
from pointtrack.pipeline.sinks import CallSink, MaskSink, Sink, VideoSink
from pointtrack.segment.base import Segmenter
from pointtrack.sessions.doubts import Doubt, doubts_of_masks, worst
from pointtrack.types.masks import Masks
from pointtrack.viz.edit import Editor
from pointtrack.viz.styles import EditStyle, MaskStyle

NAMED = 3  # most frames to suggest for a check
KEPT = 64  # suggestions kept during a pass: later ones may replace them, and a bad video must not fill the memory


class ObjectTally:
    """Counts masks over consecutive pieces, for the summary at the end.

    Attributes:
        frames: object id -> number of frames on which it is present.
        doubts: the frames to check, the worst first.
        missing: object id -> numbers of the frames on which it has no mask.
        digest: of all masks, see `masks_digest`.
    """

    def __init__(self, ids: Sequence[int]):
        self.frames = dict.fromkeys(ids, 0)
        self.missing: dict[int, list[int]] = {number: [] for number in ids}
        self.doubts: list[Doubt] = []
        self.digest = 0

    def add(self, masks: Masks) -> None:
        """Count a piece."""
        self.digest = masks_digest(masks, self.digest)
        self.doubts = worst([*self.doubts, *doubts_of_masks(masks)], KEPT)
        there = dict(zip(masks.object_ids.tolist(), masks.present().T, strict=True))
        nowhere = torch.zeros(len(masks), dtype=torch.bool)
        for number in dict.fromkeys([*self.frames, *there]):
            row = there.get(number, nowhere)
            self.frames[number] = self.frames.get(number, 0) + int(row.sum())
            self.missing.setdefault(number, []).extend(missing_frames(row, masks.first_frame))


def print_segmented(shares: Sequence[float], frames: int, wh: tuple[int, int], seconds: float) -> None:
    """Print how many objects there are, and on which share of the frames each is present."""
    there = ", ".join(f"{100 * share:.0f}" for share in shares)
    print(
        f"segmented {counted(len(shares), 'object')} in {counted(frames, 'frame')} of {wh[0]} x {wh[1]} in {seconds:.1f} s; "
        f"present on {there} % of them"
    )


def print_doubts(doubts: Sequence[Doubt]) -> None:
    """Print the worst of the frames to check."""
    for doubt in worst(doubts, NAMED):
        print(f"worth a look: object {doubt.object_id} on frame {doubt.frame} (quality {doubt.quality:.2f})")


def object_stream(
    tracker: PointTracker,
    segmenter: Segmenter,
    prompts: Sequence[ParsedPrompt],
    wh: tuple[int, int],
    fps: float,
    *,
    overlap: bool,
) -> ObjectStream:
    """A stream with all prompts, on whichever frames. Raises ValueError for a tracker that needs the whole video."""
    tracker.check_windows()
    stream = ObjectStream(tracker, segmenter, wh, fps, exclusive=not overlap)
    apply_prompts(stream, prompts)
    return stream


def refuse_late(frame: int, frames: int) -> NoReturn:
    """Raise ValueError for a prompt on a frame that the video does not have."""
    raise ValueError(
        f"prompt: expected a frame in 0..{frames - 1}, got {frame}; the video has {counted(frames, 'frame')}"
    )


def segment_flat(
    source: VideoStream,
    stream: ObjectStream,
    target: Path,
    exports: Sequence[tuple[str, Path]],
    style: MaskStyle,
    sheet: SheetSink,
    edited: tuple[Path, EditStyle] | None = None,
) -> int:
    """Follow, draw and write without ever holding more than the frames that are not final.

    Args:
        source: the video, not read yet.
        stream: stream with its prompts.
        target: the drawn video.
        exports: formats of masks and their paths without suffix.
        style: how to draw the masks.
        sheet: takes what goes onto the contact sheet.
        edited: the edited video, and how to edit it; None for no such video.

    Returns:
        The `masks_digest` of the masks.

    Raises:
        ValueError: a prompt is on a frame that the video does not have. Then no file is left.
    """
    ids, began = stream.objects, time.perf_counter()
    tally = ObjectTally(ids)
    with VideoSink(target, source, style) as video, ExitStack() as files, Bar(source.frame_count) as bar:
        writers = [files.enter_context(mask_writer(name, stem, source, ids)) for name, stem in exports]
        sinks: list[Sink] = [CallSink(tally.add), video, sheet, *(MaskSink(append) for append in writers)]
        if edited is not None:
            editor = Editor(edited[1], source.wh, source.pixel_aspect)
            sinks.append(files.enter_context(VideoSink(edited[0], source, editor)))
        frames = run(source, stream, sinks, progress=bar.update)
        if stream.waiting:
            refuse_late(stream.waiting[0], frames)
        video.close()
    seconds = time.perf_counter() - began
    print(f"with {stream.network.label} + {stream.segmenter.name}, weights under {stream.segmenter.licence}")
    print_segmented([count / frames for count in tally.frames.values()], frames, stream.image_wh, seconds)
    print_doubts(tally.doubts)
    if edited is not None:
        print_unhidden(edited[1], tally.missing)
    return tally.digest
