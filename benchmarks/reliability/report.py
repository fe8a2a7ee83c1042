"""docs/results/reliability.md from the figures of `make fuzz` and `make kill`:

python -m benchmarks.reliability.report --fuzz outputs/fuzz.json --kill outputs/kill.json --out docs/results/reliability.md
"""

from __future__ import annotations

import argparse
import ast
import json
from pathlib import Path
from typing import Any

from benchmarks.reliability.kill import lost
from pointtrack.io.atomic import write_text

HEAD = """# Reliability

Written by `python -m benchmarks.reliability.report` from the figures of `make fuzz` and `make kill`; nobody edits it by hand.
"""


def report(fuzz: dict[str, Any], kill: dict[str, Any]) -> str:
    """The page."""
    counts = fuzz["counts"]
    faults = [
        f"- {row['result']}: {row['kind']}, seed {row['seed']} ({row['how']})" for row in fuzz["faults"]
    ]
    lines = [
        HEAD,
        "## Damaged and hostile files",
        "",
        f"{fuzz['inputs']} inputs of {len(fuzz['kinds'])} kinds. Each is a good file, damaged once or twice (bits, cuts, values, "
        "members of archives, depth); child processes read them with limits of memory and time"
        + (f"; seed {fuzz['seed']}." if "seed" in fuzz else "."),
        "",
        "| outcome | inputs |",
        "|---|---|",
        f"| read despite the damage | {counts.get('answer', 0)} |",
        f"| refused with an error that a command prints as one line | {counts.get('error', 0)} |",
        *(
            f"| {name} | {number} |"
            for name, number in sorted(counts.items())
            if name not in ("answer", "error")
        ),
        "",
        "Crashes, tracebacks, hangs, long errors and files written outside count as faults: "
        + (
            f"{len(faults)}, fixed since; `tests/benchmarks/test_fuzz.py` repeats their seeds."
            if faults
            else "none. `tests/benchmarks/test_fuzz.py` repeats the seeds with which earlier runs found faults."
        ),
        "",
        *faults,
        *([""] if faults else []),
        "| kind | read | refused |",
        "|---|---|---|",
        *(
            f"| {kind} | {found.get('answer', 0)} | {found.get('error', 0)} |"
            for kind, found in fuzz["kinds"].items()
        ),
        "",
        "## Kills",
        "",
        f"{kill['kills']} kills, half of them SIGKILL and half SIGINT, at random moments while a command overwrites an earlier "
        f"result or resumes a run; {kill['lost']} losses. Earlier: the earlier file was there, unchanged; new: the new one was there, complete (for "
        "videos all frames, as encoders and containers do not write the same bits twice). A full disk has room for none, half, or 95 % "
        "of the new file.",
        "",
        "| writer | earlier | new | destroyed or gone | full disk | two at a time |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in kill["writers"].items():
        bad = found.get("DESTROYED", 0) + found.get("GONE", 0)
        full = "; ".join(key.removeprefix("full disk: ") for key in found if key.startswith("full disk"))
        pair = "; ".join(key.removeprefix("two at a time: ") for key in found if key.startswith("two"))
        lines.append(f"| {name} | {found.get('old', 0)} | {found.get('new', 0)} | {bad} | {full} | {pair} |")
    if not kill["runs"]:
        lines += [
            "",
            "This measurement killed no resumed runs; `tests/pipeline/test_resume.py` kills some.",
        ]
        return "\n".join(lines) + "\n"
    lines += ["", "| run | kills | ended in the same tracks | others |", "|---|---|---|---|"]
    for name, found in kill["runs"].items():
        same = found.get("ended in the same tracks", 0)
        others = sum(
            number for key, number in found.items() if key not in ("kills", "ended in the same tracks")
        )
        lines.append(f"| {name} | {found.get('kills', 0)} | {same} | {others} |")
    lines += ["", "Each run is restarted until it finishes; some finished before they were killed."]
    return "\n".join(lines) + "\n"


def of_log(text: str) -> dict[str, Any]:
    """Figures of `make kill` from what it printed, where it was stopped before its end."""
    rows = [line.partition("{") for line in text.splitlines() if line.rstrip().endswith("}")]
    found = {name.strip(): ast.literal_eval(brace + rest) for name, brace, rest in rows}
    runs = {name: row for name, row in found.items() if "kills" in row}
    writers = {name: row for name, row in found.items() if name not in runs}
    names = ("old", "new", "DESTROYED", "GONE")
    total = sum(row.get(name, 0) for row in writers.values() for name in names)
    total += sum(row["kills"] for row in runs.values())
    return {"kills": total, "lost": lost(writers) + lost(runs), "writers": writers, "runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("fuzz", "kill", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    fuzz = json.loads(arguments.fuzz.read_text())
    kill = (
        json.loads(arguments.kill.read_text())
        if arguments.kill.suffix == ".json"
        else of_log(arguments.kill.read_text())
    )
    print(write_text(arguments.out, report(fuzz, kill)))


if __name__ == "__main__":
    main()
