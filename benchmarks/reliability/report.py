"""docs/results/reliability.md from the figures of `make fuzz` and `make kill`:

python -m benchmarks.reliability.report --fuzz outputs/fuzz.json --kill outputs/kill.json --out docs/results/reliability.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from pointtrack.io.atomic import write_text

HEAD = """# Reliability

Written by `python -m benchmarks.reliability.report` from the figures of `make fuzz` and `make kill`; nothing is entered by hand.
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
        f"{fuzz['inputs']} inputs of {len(fuzz['kinds'])} kinds, each a good file that was damaged once or twice (bits, cuts, values, "
        "members of archives, depth), read in child processes with limits of memory and time.",
        "",
        "| outcome | inputs |",
        "|---|---|",
        f"| read all the same | {counts.get('answer', 0)} |",
        f"| refused with an error that a command prints as one line | {counts.get('error', 0)} |",
        *(
            f"| {name} | {number} |"
            for name, number in sorted(counts.items())
            if name not in ("answer", "error")
        ),
        "",
        "Crashes, tracebacks, hangs, long errors and files written outside count as faults: "
        + (f"{len(faults)}." if faults else "none."),
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
        f"{kill['kills']} kills, half of them SIGKILL and half SIGINT, at random moments of writing over an earlier result, and of runs "
        f"that are gone on with; {kill['lost']} losses. Earlier: the file from before was there, byte by byte; new: the new one, whole.",
        "",
        "| writer | earlier | new | destroyed or gone | full disk | two at a time |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in kill["writers"].items():
        bad = found.get("DESTROYED", 0) + found.get("GONE", 0)
        full = "; ".join(key.removeprefix("full disk: ") for key in found if key.startswith("full disk"))
        pair = "; ".join(key.removeprefix("two at a time: ") for key in found if key.startswith("two"))
        lines.append(f"| {name} | {found.get('old', 0)} | {found.get('new', 0)} | {bad} | {full} | {pair} |")
    lines += ["", "| run | kills | ended in the same tracks | others |", "|---|---|---|---|"]
    for name, found in kill["runs"].items():
        same = found.get("ended in the same tracks", 0)
        others = sum(
            number for key, number in found.items() if key not in ("kills", "ended in the same tracks")
        )
        lines.append(f"| {name} | {found.get('kills', 0)} | {same} | {others} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("fuzz", "kill", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    fuzz, kill = (json.loads(path.read_text()) for path in (arguments.fuzz, arguments.kill))
    print(write_text(arguments.out, report(fuzz, kill)))


if __name__ == "__main__":
    main()
