"""The progress of a batch, from its ledger alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointtrack.fleet.ledger import FOLDER, read_rows
from pointtrack.fleet.output import Output

SUSPECTS = 5  # videos to name for each doubt
# Column -> whether its smallest or its largest values are suspect.
DOUBTS = {
    "share_visible": "smallest",
    "share_lost": "largest",
    "mean_confidence": "smallest",
    "jumps": "largest",
    "mask_score": "smallest",
}


@dataclass(frozen=True)
class Status:
    """The progress of a batch.

    Attributes:
        done: videos with results.
        failed: reason -> videos put aside for it.
        frames: frames of the done videos.
        seconds: seconds that workers spent on them.
        megabytes: the most memory that a worker took.
        attempts: videos that needed more than one attempt.
        last: when the last video ended.
        doubts: column -> the done videos with the most suspect values there, as (key, value).
    """

    done: int
    failed: dict[str, int]
    frames: int
    seconds: float
    megabytes: float
    attempts: int
    last: str
    doubts: dict[str, list[tuple[str, float]]]


def read_ledger(out: str | Path, columns: list[str] | None = None) -> Any:
    """Read the newest row of every video of a batch, as a `pyarrow.Table`; `.to_pandas()` makes a data frame of it.

    Args:
        out: where the batch wrote.
        columns: names of columns; by default all of `pointtrack.fleet.ledger.COLUMNS`.

    Raises:
        FileNotFoundError: there is no ledger in `out`.
    """
    output = Output(out)
    if not output.names(FOLDER):
        raise FileNotFoundError(f"{out}: expected the results of a batch, found no ledger")
    return read_rows(output, columns)


def status(out: str | Path) -> Status:
    """Read the progress of a batch. Raises as `read_ledger`."""
    import pyarrow.compute as pc

    names = ["key", "status", "reason", "frames", "seconds", "peak_memory", "attempt", "finished", *DOUBTS]
    table = read_ledger(out, names)
    done = table.filter(pc.equal(table["status"], "done"))
    failed = table.filter(pc.equal(table["status"], "failed"))
    reasons = pc.value_counts(failed["reason"]).to_pylist()
    doubts = {}
    for name, which in DOUBTS.items():
        known = done.filter(pc.is_valid(done[name]))
        if name == "jumps":
            known = known.filter(pc.greater(known[name], 0))
        order = "ascending" if which == "smallest" else "descending"
        worst = known.take(pc.select_k_unstable(known, SUSPECTS, [(name, order)])) if len(known) else known
        doubts[name] = list(zip(worst["key"].to_pylist(), worst[name].to_pylist(), strict=True))
    return Status(
        len(done),
        {str(one["values"]): int(one["counts"]) for one in sorted(reasons, key=lambda one: -one["counts"])},
        int(pc.sum(done["frames"]).as_py() or 0),
        float(pc.sum(table["seconds"]).as_py() or 0.0),
        float(pc.max(table["peak_memory"]).as_py() or 0) / 1e6,
        int(pc.sum(pc.greater(table["attempt"], 1)).as_py() or 0),
        str(pc.max(table["finished"]).as_py() or ""),
        {name: rows for name, rows in doubts.items() if rows},
    )
