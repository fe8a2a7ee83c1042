"""Processes one video: reads it, tracks it, measures and writes the results, and reports the outcome in a row."""

from __future__ import annotations

import errno
import logging
import socket
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch

from pointtrack.fleet.ledger import now
from pointtrack.fleet.manifest import VideoTask
from pointtrack.fleet.measures import mask_measures, track_measures
from pointtrack.fleet.memory import peak_of_this_process, restart_peak
from pointtrack.fleet.options import JobOptions
from pointtrack.fleet.output import Output
from pointtrack.fleet.work import (
    Models,
    Seen,
    follow_objects,
    points_of,
    track_flat,
    track_pieces,
    track_points,
    write_results,
)
from pointtrack.io.storage import download, local_path
from pointtrack.io.video import VideoStream, open_video, read_video
from pointtrack.system import package_version
from pointtrack.tracking.shots import find_cuts
from pointtrack.types import Masks, Tracks, Video

FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class JobSetup:
    """What a worker needs to know besides the videos.

    Attributes:
        out: folder or prefix of the results.
        options: what to do with every video.
        staging: folder under OUT for tracks to pack later; None to leave them in files of their own.
        run: name of the driver's run.
        weights: digest of the weights.
        limit_frames, limit_bytes, limit_memory: see `RunOptions`; memory in bytes.
        limit_seconds: time limit of one video.
        device: device to use instead of the one in the options.
    """

    out: str
    options: JobOptions
    run: str
    staging: str | None = None
    weights: str = ""
    limit_frames: int | None = None
    limit_bytes: int | None = None
    limit_memory: int | None = None
    limit_seconds: float | None = None
    device: str | None = None


class PutAside(Exception):
    """Raised to put a video aside, with a one-word reason and a message."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class CannotWrite(OSError):
    """OUT takes no results; the video is not at fault, so the run stops."""


def tracks_name(setup: JobSetup, key: str) -> str:
    """The path of a video's tracks under OUT."""
    if setup.staging is not None:
        return f"{setup.staging}/{key}.parquet"
    return f"tracks/{key}.{setup.options.format}"


def masks_name(key: str) -> str:
    """The path of a video's masks under OUT."""
    return f"masks/{key}.npz"


def main_name(setup: JobSetup, options: JobOptions, key: str) -> str:
    """The result that is written last; if it exists, the video is done."""
    return tracks_name(setup, key) if options.wants_tracks else masks_name(key)


class Job:
    """Processes videos one by one, with models that are loaded once."""

    def __init__(self, setup: JobSetup) -> None:
        self.setup = setup
        self.output = Output(setup.out)
        torch.set_num_threads(setup.options.threads)
        cv2.setNumThreads(setup.options.threads)
        self.models = Models(setup.options, setup.device or setup.options.device)

    def warm_up(self) -> None:
        """Load what every video needs. Raises ValueError or FileNotFoundError if a model is not available."""
        self.models.load()

    def run(self, task: VideoTask, attempt: int = 1) -> dict[str, Any]:
        """Process one video.

        Returns:
            Its row of the ledger, whether it succeeded or not.

        Raises:
            CannotWrite: OUT does not take the results.
        """
        row = first_row(self.setup, task, attempt) | {"device": str(self.models.device)}
        began = time.perf_counter()
        restart_peak()
        with _listening() as records:
            try:
                row.update(self._do(task), status="done")
            except PutAside as error:
                row.update(status="failed", reason=error.reason, message=str(error))
            except MemoryError as error:
                row.update(status="failed", reason="memory", message=f"no memory was left {error}")
            except torch.OutOfMemoryError as error:
                row.update(status="failed", reason="memory", message=_line(error))
            except CannotWrite:
                raise
            except Exception as error:  # no error may stop the other videos
                row.update(status="failed", reason="error", message=f"{type(error).__name__}: {_line(error)}")
                records.append(traceback.format_exc())
        row.update(
            seconds=time.perf_counter() - began,
            peak_memory=peak_of_this_process(),
            warnings=len(records),
            finished=now(),
        )
        if records or row["status"] != "done":
            text = "\n".join(
                [f"{row['finished']} {task.video}: {row['status']} {row['message'] or ''}", *records]
            )
            with _writing():
                self.output.write(f"logs/{task.key}.log", (text + "\n").encode())
        return row

    def count_frames(self, task: VideoTask) -> int | None:
        """Requested frames of a video, by its header; None if unknown."""
        options = self.setup.options.with_changes(task.changes)
        source = local_path(task.video) or task.video
        try:
            with open_video(
                source, start=options.start, stop=options.end, max_frames=options.max_frames
            ) as stream:
                return stream.frame_count
        except (ValueError, OSError):
            return None

    def _do(self, task: VideoTask) -> dict[str, Any]:
        options = self.setup.options.with_changes(task.changes)
        with tempfile.TemporaryDirectory(prefix="pointtrack-") as folder:
            scratch = Path(folder)
            source = self._fetched(task.video, scratch / "video")
            video = None if options.flat else self._read(source, options)
            began = time.perf_counter()
            try:
                tracks, masks, seen = self._computed(video, source, options, scratch)
            except (ValueError, FileNotFoundError) as error:
                raise PutAside("options", _line(error)) from error
            row: dict[str, Any] = {"track_seconds": time.perf_counter() - began}
            row.update(
                frames=len(seen.times), width=seen.wh[0], height=seen.wh[1], fps=seen.fps, cuts=seen.cuts
            )
            names = {"tracks": tracks_name(self.setup, task.key), "masks": masks_name(task.key)}
            if tracks is not None:
                row.update(
                    track_measures(track_pieces(tracks)),
                    tracks="tracks" if self.setup.staging else names["tracks"],
                )
            if masks is not None:
                row.update(mask_measures(masks), masks=names["masks"])
            for file, name in write_results(
                scratch / "out", task.key, video, seen, tracks, masks, options, names
            ):
                with _writing():
                    self.output.put(file, name)
            return row

    def _computed(
        self, video: Video | None, source: Path | str, options: JobOptions, scratch: Path
    ) -> tuple[Tracks | Path | None, Masks | None, Seen]:
        if options.edit and not options.wants_masks:  # a manifest may say where objects are, of some videos
            raise ValueError(
                "background, objects: expected clicks, boxes or masks too, which say where the objects are"
            )
        if video is None:

            def opened() -> VideoStream:
                try:
                    return self._limited(source, options)
                except (ValueError, OSError) as error:
                    raise PutAside("unreadable", _line(error)) from error

            tracks, seen = track_flat(self.models, opened, options, scratch)
            if self.setup.limit_frames is not None and len(seen.times) > self.setup.limit_frames:
                raise PutAside("frames", f"expected at most {self.setup.limit_frames} frames, got more")
            return tracks, None, seen
        queries = points_of(options).on(video) if options.wants_tracks else None
        masks = follow_objects(self.models, video, options) if options.wants_masks else None
        flow = None if queries is None else track_points(self.models, video, queries, options)
        return flow, masks, Seen(video.wh, video.fps, video.times, len(find_cuts(video)))

    def _limited(self, source: Path | str, options: JobOptions) -> VideoStream:
        """The video from its first frame on, with at most one frame more than the limit allows."""
        most, wanted = self.setup.limit_frames, options.max_frames
        if most is not None:
            wanted = most + 1 if wanted is None else min(wanted, most + 1)
        return open_video(source, start=options.start, stop=options.end, max_frames=wanted)

    def _fetched(self, video: str, folder: Path) -> Path | str:
        """The video's local path, copied here if it lies in a store; a URL that FFmpeg streams stays a URL."""
        limit = self.setup.limit_bytes
        here = local_path(video)
        try:
            if here is not None:
                if not here.exists():
                    raise PutAside("missing", f"{video}: expected a video, found nothing")
                if limit is not None and here.is_file() and here.stat().st_size > limit:
                    raise PutAside(
                        "bytes", f"{video}: expected at most {limit} bytes, got {here.stat().st_size}"
                    )
                return here
            if video.startswith(("http:", "https:", "rtsp:")):
                return video
            folder.mkdir()
            return download(video, folder, max_bytes=limit)
        except FileNotFoundError as error:
            raise PutAside("missing", _line(error)) from error
        except ValueError as error:
            raise PutAside("bytes" if "bytes" in str(error) else "unreadable", _line(error)) from error
        except OSError as error:
            if error.errno in FULL:
                raise CannotWrite(f"the disk for copies of videos is full: {error}") from error
            raise PutAside("unreadable", _line(error)) from error

    def _read(self, source: Path | str, options: JobOptions) -> Video:
        """Read all requested frames, if they are within the limit."""
        most, memory = self.setup.limit_frames, self.setup.limit_memory
        try:
            stream = self._limited(source, options)
            frame_bytes = stream.wh[0] * stream.wh[1] * 3
            expected = (stream.frame_count or 0) * frame_bytes
            if memory is not None and expected > memory:
                stream.close()
                raise PutAside(
                    "memory",
                    f"expected a video whose frames fit into {memory / 1e9:.1f} GB, got {stream.frame_count} frames of "
                    f"{stream.wh[0]} x {stream.wh[1]}, {expected / 1e9:.1f} GB; --flat takes less",
                )
            video = read_video(stream)
        except (ValueError, OSError) as error:
            raise PutAside("unreadable", _line(error)) from error
        if most is not None and len(video) > most:
            raise PutAside("frames", f"expected at most {most} frames, got more")
        return video


def first_row(setup: JobSetup, task: VideoTask, attempt: int) -> dict[str, Any]:
    """The ledger's row of a video before it is processed."""
    return {
        "key": task.key, "video": task.video, "attempt": attempt, "run": setup.run, "host": socket.gethostname(),
        "version": package_version(), "torch": torch.__version__, "weights": setup.weights,
        "options": setup.options.with_changes(task.changes).digest(), "message": None, "finished": now(),
    }  # fmt: skip


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotWrite(f"cannot write results: {_line(error)}") from error


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect the library's warnings while one video is processed."""
    records: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(f"{record.levelname} {record.name}: {record.getMessage()}")

    keeper, log = Keep(logging.WARNING), logging.getLogger("pointtrack")
    propagates, log.propagate = log.propagate, False
    log.addHandler(keeper)
    try:
        yield records
    finally:
        log.removeHandler(keeper)
        log.propagate = propagates


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:1000] or type(error).__name__
