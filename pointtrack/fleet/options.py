"""Options of a batch: what to do with every video, and how to run the whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from pointtrack.io.masks import MASK_EXPORTS
from pointtrack.io.tracks import TRACK_EXPORTS, parse_exports
from pointtrack.models.speed import SPEEDS
from pointtrack.objects.prompt_texts import parse_prompts
from pointtrack.regions.placement import RegionOptions
from pointtrack.tracking.queries import check_mask_counts, parse_points
from pointtrack.viz.styles import EditStyle, MaskStyle, TrackStyle

FORMATS = ("npz", "parquet")
PREVIEWS = ("video", "sheet")
PRECISIONS = ("float32", "bfloat16")
LISTS = ("points", "click", "box", "mask", "absent")
# Settings that may differ between runs on one OUT, as they change no number in a result, or none that is promised.
FREE = ("device",)


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """What to do with every video: the options of `pointtrack track` and `pointtrack segment`, by the same names.

    Without points or prompts a batch tracks a grid of 20 x 20. With clicks, boxes or masks it follows objects, and tracks
    points only if you ask for some too.

    Args:
        tracker: name of a tracker (small, cotracker3-offline, ...), or its .safetensors or .pth file.
        device: cpu, cuda, mps, or auto; workers on a machine with several GPUs take them in turn.
        start: begin at this second of each video; frames count from there.
        end: end before this second.
        max_frames: end after this many frames.
        grid: track a grid of this many points per side.
        points: single points, each as frame,x,y in pixels.
        queries: CSV or JSON file of points.
        corners: track this many of the strongest corners.
        mask: a picture, not black where grid and corners lie; or pictures of objects as frame,FILE.
        frame: frame of grid and corners.
        backward: also track from each point's frame back to the first one.
        states: tell for every point and frame whether it is visible, hidden, out of frame or lost.
        redetect: like --states, and also search for lost points and track them on from where they are found.
        regions: follow small things in crops of the full-resolution frame: auto, a size as in 192x108, or a box.
        every: track only every n-th frame; between those, points move in straight lines.
        precision: float32, or bfloat16 on processors that support it.
        speed: fast, balanced or exact: trade time for exactness.
        flat: never hold more than a window of frames in memory, for long or large videos. Then points have no tracks before
            their own frames, and there are neither masks nor previews.
        smooth: smooth positions over this many frames on each side, in previews and exports; 0 turns it off.
        click: clicks on objects as frame,x,y; append ,- for a click beside the object, and put 2: before a click for object 2.
        box: boxes around objects as frame,x0,y0,x1,y1.
        absent: frames on which an object is absent.
        tracks: file of tracks, all on one object, from which to make its masks, instead of clicks and boxes.
        segmenter: name of a segmenter (small, sam-vit-b, sam2.1-hiera-tiny, ...), or a folder of one.
        video_segmenter: follow objects with SAM 2 alone, without points: its name, or a folder.
        overlap: let objects overlap; otherwise every pixel belongs to one at most.
        format: format of the tracks: npz, or parquet with a line for each frame and point.
        export: more files of each video, as `track` and `segment` write them, comma-separated: csv, json, coco, davis and others.
        preview: video writes each video with its tracks or masks drawn in, sheet a contact sheet of it.
        threads: threads of each worker. Another number changes the last bits of results.
        style: how to draw tracks.
        mask_style: how to draw masks.
        edit: how to edit each video by its masks, into edited/ of OUT.
    """

    tracker: str = "small"
    device: str = "auto"
    start: float = 0.0
    end: float | None = None
    max_frames: int | None = None
    grid: int | None = None
    points: list[str] | None = None
    queries: str | None = None
    corners: int | None = None
    mask: list[str] | None = None
    frame: int = 0
    backward: bool = True
    states: bool = False
    redetect: bool = False
    regions: str | None = None
    every: int = 1
    precision: str = "float32"
    speed: str = "balanced"
    flat: bool = False
    smooth: int = 0
    click: list[str] | None = None
    box: list[str] | None = None
    absent: list[str] | None = None
    tracks: str | None = None
    segmenter: str = "small"
    video_segmenter: str | None = None
    overlap: bool = False
    format: str = "npz"
    export: str | None = None
    preview: str | None = None
    threads: int = 1
    style: TrackStyle = field(default_factory=TrackStyle)
    mask_style: MaskStyle = field(default_factory=MaskStyle)
    edit: EditStyle = field(default_factory=EditStyle)

    @property
    def wants_masks(self) -> bool:
        """True if the job follows objects."""
        return bool(self.click or self.box or self.absent or self.object_masks or self.tracks)

    @property
    def wants_tracks(self) -> bool:
        """True if the job tracks points for their own sake."""
        asked = (self.grid, self.points, self.queries, self.corners)
        return any(one is not None for one in asked) or not self.wants_masks

    @property
    def object_masks(self) -> list[str]:
        """The entries of `mask` that are objects."""
        return [text for text in self.mask or () if _is_object(text)]

    @property
    def area_mask(self) -> str | None:
        """The entry of `mask` that limits grid and corners to an area."""
        return next((text for text in self.mask or () if not _is_object(text)), None)

    @property
    def exports(self) -> list[str]:
        """Names of `export`."""
        return [name.strip() for name in (self.export or "").split(",") if name.strip()]

    def checked(self) -> JobOptions:
        """These options. Raises ValueError, in one line, if they make no sense for any video."""
        known = list(dict.fromkeys([*TRACK_EXPORTS, *MASK_EXPORTS]))
        unknown = [name for name in self.exports if name not in known]
        if unknown:
            raise ValueError(f"export: expected some of {', '.join(known)}, got {', '.join(unknown)}")
        parse_exports(",".join(name for name in self.exports if name in TRACK_EXPORTS))  # what they need
        if self.format not in FORMATS:
            raise ValueError(f"format: expected {' or '.join(FORMATS)}, got {self.format!r}")
        if self.preview is not None and self.preview not in PREVIEWS:
            raise ValueError(f"preview: expected {' or '.join(PREVIEWS)}, got {self.preview!r}")
        for name, least in (
            ("threads", 1),
            ("smooth", 0),
            ("grid", 1),
            ("corners", 1),
            ("max_frames", 1),
            ("every", 1),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name}: expected {least} or more, got {value}")
        if self.regions is not None:
            RegionOptions.parse(self.regions)
            if self.states or self.redetect:
                raise ValueError("regions: expected neither states nor redetect with regions")
        if self.speed not in SPEEDS:
            raise ValueError(f"speed: expected one of {', '.join(SPEEDS)}, got {self.speed!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: expected {' or '.join(PRECISIONS)}, got {self.precision!r}")
        if self.flat and self.every > 1:
            raise ValueError(f"every: expected 1 with flat, got {self.every}")
        if self.flat and (self.wants_masks or self.preview):
            raise ValueError(
                "flat: expected neither clicks, boxes, masks nor a preview, which need the frames"
            )
        check_mask_counts(self.area_mask, self.points or self.queries, self.grid, self.corners)
        if self.tracks and (self.click or self.box or self.absent or self.object_masks):
            raise ValueError("tracks: expected clicks, boxes and masks, or else tracks; got both")
        if self.points:
            parse_points(self.points)
        parse_prompts(self.click or (), self.box or (), (), self.absent or ())
        return self

    def with_changes(self, changes: Mapping[str, Any]) -> JobOptions:
        """These options with the changes of one video.

        Raises:
            ValueError: a name or a value does not fit.
        """
        types = {one.name: str(one.type) for one in fields(self)}
        unknown = sorted(set(changes) - set(types))
        if unknown:
            raise ValueError(f"expected names of options, got {', '.join(unknown)}")
        values = {name: _converted(name, types[name], value) for name, value in changes.items()}
        return replace(self, **values)

    def digest(self) -> str:
        """A text that identifies those of these options that results depend on."""
        values = {name: value for name, value in asdict(self).items() if name not in FREE}
        return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where and within which limits a batch runs. Results do not depend on these options.

    Args:
        workers: processes on this machine; by default as many as its CPUs allow at `threads` each, or one per GPU.
        shard: i/n takes only every n-th video, from the i-th on, counted from 0; for SLURM arrays and other jobs that share
            OUT.
        ray: run on a Ray cluster: its address, auto for the one of this machine, or local to start one here.
        gpus: GPUs per Ray task; a part of one works too, as in 0.25.
        limit_seconds: put a video aside if it takes longer.
        limit_memory: put a video aside if its worker takes more gigabytes; by default a worker's share of the machine.
        limit_frames: put a video aside if it has more frames.
        limit_bytes: put a video aside if its file has more bytes; it also bounds the copies made here from a store.
        pack: put the tracks of this many videos into one Parquet file; 0 writes one file per video.
        retry: failed repeats the videos put aside, all repeats everything.
    """

    workers: int | None = None
    shard: str | None = None
    ray: str | None = None
    gpus: float = 0.0
    limit_seconds: float | None = None
    limit_memory: float | None = None
    limit_frames: int | None = None
    limit_bytes: int | None = None
    pack: int = 0
    retry: str | None = None

    def checked_with(self, job: JobOptions) -> RunOptions:
        """These options. Raises ValueError if they make no sense."""
        for name in ("workers", "limit_seconds", "limit_memory", "limit_frames", "limit_bytes"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name}: expected more than 0, got {value}")
        if self.retry not in (None, "failed", "all"):
            raise ValueError(f"retry: expected failed or all, got {self.retry!r}")
        if self.pack < 0 or self.gpus < 0:
            raise ValueError(f"pack, gpus: expected 0 or more, got {self.pack} and {self.gpus}")
        if self.pack and job.format != "parquet":
            raise ValueError(f"pack: expected --format parquet, got {job.format}")
        if self.pack and self.retry == "all":
            raise ValueError(
                "retry: expected another --out to do everything again, as packed files are never rewritten"
            )
        if self.gpus and self.ray is None:
            raise ValueError(
                "gpus: expected --ray too; on one machine --workers says how many share the GPUs"
            )
        self.part()
        return self

    def part(self) -> tuple[int, int]:
        """(i, n) of `shard`; (0, 1) for all."""
        if self.shard is None:
            return 0, 1
        first, slash, second = self.shard.partition("/")
        if not (slash and first.isdigit() and second.isdigit() and int(first) < int(second)):
            raise ValueError(f"shard: expected i/n with i from 0 to n - 1, as in 0/16, got {self.shard!r}")
        return int(first), int(second)


def _is_object(text: str) -> bool:
    """Whether the text is the mask of an object: frame,FILE or 2:frame,FILE."""
    head, comma, _ = text.partition(",")
    return bool(comma) and head.replace(":", "", 1).strip().isdigit()


def _converted(name: str, kind: str, value: Any) -> Any:
    """A value from a manifest -> the option's value; texts from CSV files become numbers, truth values and lists."""
    if name in LISTS:
        return value.split() if isinstance(value, str) else [str(one) for one in value]
    expected = kind.partition(" ")[0]
    try:
        if expected == "bool":
            if isinstance(value, str):
                return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
                    value.lower()
                ]
            return bool(value)
        if expected == "int":
            if float(value) != int(float(value)):
                raise ValueError
            return int(float(value))
        return {"float": float, "str": str}[expected](value)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected {expected}, got {value!r}") from error
