"""The command `pointtrack batch`: every video of a folder, a manifest or a bucket."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from tqdm import tqdm

from pointtrack.checks import counted
from pointtrack.cli.progress import duration
from pointtrack.fleet.options import JobOptions, RunOptions
from pointtrack.fleet.run import BatchResult, Plan, batch, plan
from pointtrack.fleet.status import Status, status

T = TypeVar("T")
LINE_SECONDS = 30.0  # between two lines of progress without a terminal


@dataclass(frozen=True, kw_only=True)
class _Where:
    """The options that come first.

    Args:
        source: a folder, a pattern as 'clips/**/*.mp4', a prefix as s3://bucket/clips, or a manifest in .csv, .jsonl or .parquet.
        out: folder or prefix of the results.
        dry_run: only print what would be done and how long it would take, measured on a few of the videos.
        status: only print the state of the batch in SOURCE.
    """

    source: str = field(kw_only=False)
    out: str | None = None
    dry_run: bool = False
    status: bool = False


@dataclass(frozen=True, kw_only=True)
class BatchCommand(RunOptions, JobOptions, _Where):
    """Track points or follow objects in every video of a folder, a manifest or a bucket.

    The options of `track` and `segment` apply to each video. Each gets one result and one row in a ledger; broken videos are
    put aside. Run the same command again to do only what is missing, also after a crash.
    """

    def run(self) -> int:
        """Run; 0 if everything is done, 3 if some videos were put aside."""
        if self.status:
            print_status(status(self.out or self.source))
            return 0
        if self.out is None:
            raise ValueError("out: expected --out with a folder or a prefix for the results")
        job, options = _part(self, JobOptions), _part(self, RunOptions)
        if self.dry_run:
            print_plan(plan(self.source, self.out, job, options))
            return 0
        with ProgressLine() as line:
            try:
                result = batch(self.source, self.out, job, options, progress=line.show)
            except KeyboardInterrupt:
                if line.last is None:
                    raise
                raise KeyboardInterrupt(
                    f"{line.last.done} of {counted(line.last.videos, 'video')} are done and kept; the same command does the others"
                ) from None
        print(f"videos    {result.videos}: {result.done} done, {result.failed} put aside, {result.left} left")
        print(f"now       {result.ended} videos, {result.frames} frames in {result.seconds:.1f} s")
        print(f"results   {self.out}")
        if result.failed:
            print(f"reasons   in {self.out}/logs, one file for each video put aside")
        return 3 if result.failed else 0


class ProgressLine:
    """A progress line of the batch: updated in place on a terminal, elsewhere printed again now and then.

    Attributes:
        last: the progress shown last; None before a video has ended.
    """

    def __init__(self) -> None:
        self.last: BatchResult | None = None
        self._bar: Any = None
        self._due = time.monotonic() + LINE_SECONDS
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, result: BatchResult) -> None:
        """Show the progress."""
        self.last = result
        if self._terminal:
            if self._bar is None:
                first = result.done + result.failed - 1
                self._bar = tqdm(total=result.videos, initial=first, desc="batch", unit="video")
            self._bar.set_postfix(frames=result.frames, failed=result.failed, refresh=False)
            self._bar.update(1)
        elif time.monotonic() > self._due:
            self._due = time.monotonic() + LINE_SECONDS
            left = result.seconds / result.ended * result.left
            print(
                f"progress  {result.done + result.failed} of {counted(result.videos, 'video')}, {counted(result.frames, 'frame')}, "
                f"{result.failed} failed, about {duration(left)} left",
                flush=True,
            )


def print_plan(what: Plan) -> None:
    """Print what the batch would do."""
    result, guess = what.result, what.estimate
    print(f"videos    {result.videos}: {result.done} done, {result.failed} put aside, {result.left} to do")
    if guess is None:
        print(
            "estimate  none: there is nothing to do"
            if not result.left
            else "estimate  none: no sample could be tracked"
        )
        return
    low, middle, high = guess.hours
    slow, rate, fast = guess.frame_seconds[2], guess.frame_seconds[1], guess.frame_seconds[0]
    print(
        f"sampled   {counted(guess.sampled, 'video')}: {rate:.3g} s a frame for one worker ({fast:.3g} to {slow:.3g}); "
        f"{guess.frames:.0f} +- {guess.frames_error:.0f} frames a video"
    )
    print(
        f"estimate  {duration(middle * 3600)} with {guess.workers} workers ({duration(low * 3600)} to "
        f"{duration(high * 3600)}); {guess.worker_hours:.3g} worker-hours; {size(guess.disk_bytes)} of results"
    )


def print_status(what: Status) -> None:
    """Print the state of a batch."""
    failed = sum(what.failed.values())
    print(
        f"videos    {what.done} done, {failed} put aside, {what.attempts} needed more than one attempt; last {what.last}"
    )
    if what.failed:
        print(f"reasons   {', '.join(f'{reason} {count}' for reason, count in what.failed.items())}")
    if what.seconds:
        print(
            f"spent     {what.frames} frames, {duration(what.seconds)} of workers, {what.megabytes:.0f} MB at most"
        )
    for name, rows in what.doubts.items():
        print(f"{name:<18}{', '.join(f'{key} {value:.3g}' for key, value in rows)}")


def size(count: float) -> str:
    """Bytes in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _part(command: BatchCommand, kind: type[T]) -> T:
    return kind(**{one.name: getattr(command, one.name) for one in fields(kind)})  # type: ignore[arg-type]
