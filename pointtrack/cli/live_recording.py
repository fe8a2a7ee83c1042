"""Recordings of `pointtrack live`: final tracks, or final masks of objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from pointtrack.checks import counted
from pointtrack.cli.extras import needs_extra
from pointtrack.cli.segment_flat import ObjectTally, print_doubts
from pointtrack.cli.states import StateTally
from pointtrack.io.live_reader import FrameReader
from pointtrack.io.mask_writers import Append, mask_writer
from pointtrack.io.track_log import TrackWriter, spilled_to_npz
from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.prompt_texts import ParsedPrompt, apply_prompts, check_masks
from pointtrack.objects.stream import ObjectStream
from pointtrack.pipeline.live import LiveObjects
from pointtrack.segment.zoo import load_segmenter
from pointtrack.types import Masks, Tracks

# Of such files the rate follows from the times, as frames may have been dropped.
RECORDING = {"made by": "pointtrack live"}


class TrackRecording:
    """Records final tracks in a growing file, which becomes an .npz file at the end.

    Args:
        target: the drawn video; the tracks go beside it. None writes nothing.
        overwrite: replace a file of an earlier recording.

    Attributes:
        tally: counts of states.
    """

    def __init__(self, target: Path | None, *, overwrite: bool):
        self.tally = StateTally()
        self._target = target
        self._writer = (
            None
            if target is None
            else TrackWriter(target.with_suffix(".tracks"), about=RECORDING, overwrite=overwrite)
        )

    def add(self, rows: Tracks) -> None:
        """A piece that is final."""
        self.tally.add(rows)
        if self._writer is not None:
            self._writer.append(rows)

    def discard(self) -> None:
        """There is nothing to record."""
        if self._writer is not None:
            self._writer.close()
            self._writer.path.unlink()

    def print(self) -> None:
        """Turn the file into an .npz file, and print where it is."""
        if self._writer is not None and self._target is not None:
            print(f"tracks    {spilled_to_npz(self._writer.path, self._target.with_suffix('.npz'))}")
            self._writer.path.unlink()

    def __enter__(self) -> TrackRecording:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


class MaskRecording:
    """Records final masks in an .npz file, which appears when the recording ends.

    Args:
        target: the drawn video; the masks go beside it. None writes nothing.
        prompts: the prompts.
        reader: the source.

    Attributes:
        tally: prints on which share of the frames each object was present.
    """

    def __init__(self, target: Path | None, prompts: Sequence[ParsedPrompt], reader: FrameReader):
        self._ids = sorted({one.object_id for one in prompts})
        self.tally = MaskTally(self._ids)
        self._target, self._reader = target, reader
        self._files = ExitStack()
        self._append: Append | None = None
        self._written = False

    def add(self, rows: Masks) -> None:
        """A piece that is final."""
        self.tally.add(rows)
        if self._target is None:
            return
        if self._append is None:  # the size of the frames is known only now
            like = LiveLike(rows.wh, self._reader)
            self._append = self._files.enter_context(
                mask_writer("npz", self._target.with_suffix(""), like, self._ids)
            )
            self._written = True
        self._append(rows, [])

    def discard(self) -> None:
        """There is nothing to record."""

    def print(self) -> None:
        """Print where the file is."""
        if self._target is not None and self._written:
            print(f"masks     {self._target.with_suffix('.npz')}")

    def __enter__(self) -> MaskRecording:
        return self

    def __exit__(self, *error: Any) -> None:
        self._files.__exit__(*error)


class LiveLike:
    """Size, rate and pixel aspect of a live source, as `mask_writer` needs them."""

    def __init__(self, wh: tuple[int, int], reader: FrameReader):
        self.wh, self.fps, self.pixel_aspect = wh, reader.fps, reader.pixel_aspect


class MaskTally(ObjectTally):
    """Counts the final frames on which each object is present, and collects frames to check."""

    def __init__(self, ids: Sequence[int]):
        super().__init__(ids)
        self._count = 0

    def add(self, masks: Masks) -> None:
        """Count a piece."""
        super().add(masks)
        self._count += len(masks)

    def print(self) -> None:
        """Print the shares."""
        shares = [
            f"object {number} on {count / max(self._count, 1):.0%}" for number, count in self.frames.items()
        ]
        print(f"objects   {', '.join(shares)} of {counted(self._count, 'frame')}")
        print_doubts(self.doubts)


def objects_live(
    tracker: PointTracker,
    segmenter: str,
    device: str,
    prompts: Sequence[ParsedPrompt],
    reader: FrameReader,
    on_final: Callable[[Masks], None],
    prepare: Callable[[tuple[int, int]], Any],
) -> LiveObjects:
    """Follow prompted objects through a live source; `prepare` configures the tracker for the size of its frames."""

    def on_open(stream: ObjectStream) -> None:
        check_masks(prompts, stream.image_wh)
        prepare(stream.image_wh)
        apply_prompts(stream, prompts)

    with needs_extra():
        loaded = load_segmenter(segmenter, device=device, precision=tracker.inference.precision)
    return LiveObjects(tracker, loaded, on_open, reader, on_final=on_final)


def objects_of(masks: Masks) -> dict[str, Any]:
    """The objects of one frame for viewers, ready for JSON: score, pixels, and the box around each, null if absent."""
    objects = []
    for place, number in enumerate(masks.object_ids.tolist()):
        picture = masks.masks[0, place].numpy()
        rows, columns = np.flatnonzero(picture.any(axis=1)), np.flatnonzero(picture.any(axis=0))
        box = [int(v) for v in (columns[0], rows[0], columns[-1], rows[-1])] if len(rows) else None
        score = round(float(masks.scores[0, place]), 4)
        objects.append({"id": number, "score": score, "pixels": int(picture.sum()), "box": box})
    return {"objects": objects, "there": [one["id"] for one in objects if one["box"]]}
