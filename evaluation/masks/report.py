"""Run mask methods over examples, keep every result in a JSON file, and print one table."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.masks.baselines import RestartedSession
from evaluation.masks.clicks import Click
from evaluation.masks.datasets import MaskExample
from evaluation.masks.davis_metrics import mean_of, mean_summary, score_masks
from evaluation.masks.protocol import (
    FirstPrompt,
    MaskMethod,
    MaskProtocol,
    MaskSession,
    first_click_prompts,
    first_mask_prompts,
    interact,
    looked_at,
)
from evaluation.points.report import Result, digest, score_all, versions
from evaluation.tables import markdown_table, write_json
from pointtrack.types import Video
from pointtrack.types.masks import Masks

# Column title -> key of a result; see `_shown` for their units.
COLUMNS = {
    "J&F": "jf_mean",
    "J": "j_mean",
    "J recall": "j_recall",
    "J decay": "j_decay",
    "F": "f_mean",
    "F recall": "f_recall",
    "F decay": "f_decay",
    "clicks": "clicks",
    "reached": "reached",
    "s/frame": "seconds_per_frame",
}
Sessions = Mapping[str, Callable[[Video], MaskSession]]
OF_VIDEOS = ("seconds_per_frame", "reached", "clicks")
MOST_CLICKS = {"first-click": 3, "interactive": 8}
TARGET = 0.85


@dataclass(frozen=True)
class Asking:
    """How methods are prompted with the objects.

    Args:
        protocol: first-mask: the true mask on each object's first frame. first-click: simulated clicks there.
            interactive: clicks anywhere, one at a time where the answer is worst.
        clicks: most clicks per object. By default 3 for first-click and 8 for interactive.
        target: J&F at which an interactive user stops; 0.85 by default.

    Raises:
        ValueError: settings that the protocol does not use, or invalid ones.
    """

    protocol: MaskProtocol = "first-mask"
    clicks: int | None = None
    target: float | None = None

    def __post_init__(self) -> None:
        if self.protocol not in ("first-mask", *MOST_CLICKS):
            raise ValueError(
                f"protocol: expected first-mask, first-click or interactive, got {self.protocol!r}"
            )
        if self.clicks is not None and (self.protocol == "first-mask" or self.clicks < 1):
            raise ValueError(
                f"clicks: expected 1 or more with first-click or interactive, got {self.clicks} with {self.protocol}"
            )
        if self.target is not None and (self.protocol != "interactive" or not 0 < self.target <= 1):
            raise ValueError(
                f"target: expected a J&F in (0, 1] with interactive, got {self.target} with {self.protocol}"
            )
        if self.clicks is None:
            object.__setattr__(self, "clicks", MOST_CLICKS.get(self.protocol))
        if self.target is None and self.protocol == "interactive":
            object.__setattr__(self, "target", TARGET)


def evaluate_masks(
    methods: Mapping[str, MaskMethod],
    examples: Iterable[MaskExample],
    asking: Asking | None = None,
    done: Sequence[Result] = (),
    on_result: Callable[[list[Result]], None] | None = None,
    sessions: Sessions | None = None,
) -> list[Result]:
    """Score every method on every example.

    Args:
        methods: name -> callable (Video, {object id: FirstPrompt}) -> Masks.
        examples: read one at a time, so a generator keeps one video in memory.
        asking: the protocol; first masks by default.
        done: results of an earlier call; those of the same method on the same frames and truth are kept instead
            of run again.
        on_result: called with all results so far, after every new one.
        sessions: name -> constructor of a session for a video, for methods with their own sessions. In the
            interactive protocol the others restart from every corrected frame.

    Returns:
        One dict per method and example: "method", "dataset", "example", "frames", "wh", "fingerprint" of the
        input, "seconds_per_frame" spent in the method, means over the objects "jf_mean", "j_mean", "j_recall",
        "j_decay" and the same for f, and "objects" with the values of each, by id; "clicks" per object and
        "reached" (1 where an interactive user was content, else 0). None where something is not defined.

    Raises:
        ValueError: no examples, truth on first frames only, or masks of another length or size than the video.
    """
    asking = Asking() if asking is None else asking

    def run(name: str, example: MaskExample) -> Result:
        return run_example(methods[name], example, asking, (sessions or {}).get(name))

    return score_all(methods, map(_with_truth, examples), fingerprint, run, done, on_result)


def _with_truth(example: MaskExample) -> MaskExample:
    if not example.counted().any():
        raise ValueError(
            f"{example.name}: expected true masks beyond first frames, got none; sets named valid or test "
            "are scored by a server, evaluate on train instead"
        )
    return example


def run_example(
    method: MaskMethod,
    example: MaskExample,
    asking: Asking,
    open_session: Callable[[Video], MaskSession] | None = None,
) -> Result:
    """Run a method on one video, and score its answer; see `evaluate_masks`."""
    timed = _Timed(method)
    counted, reached, clicks = example.counted(), None, None
    if asking.protocol == "interactive":
        assert asking.clicks is not None and asking.target is not None
        own = None if open_session is None else _TimedSession(open_session, example.video)
        session: MaskSession = RestartedSession(timed, example.video) if own is None else own
        rounds, masks = interact(example, session, asking.target, asking.clicks)
        timed.seconds += 0.0 if own is None else own.seconds
        counted, reached = looked_at(example), float(rounds[-1].jf >= asking.target)
        clicks = rounds[-1].clicks / len(example.truth.object_ids)
    else:
        if asking.protocol == "first-click":
            assert asking.clicks is not None
            prompts = first_click_prompts(timed, example, asking.clicks)
            clicks = mean_of(len(p.points) for p in prompts.values() if p.points is not None)
        else:
            prompts = first_mask_prompts(example)
        masks = timed(example.video, prompts)
    scores = score_masks(masks, example.truth, counted, example.void)
    objects = {str(score.object_id): _known(score.summary()) for score in scores}
    return {
        "seconds_per_frame": timed.seconds / len(example.video),
        "clicks": clicks,
        "reached": reached,
        **mean_summary(objects.values()),
        "objects": objects,
    }


class _Timed:
    """A method that measures its own time."""

    def __init__(self, method: MaskMethod) -> None:
        self.method, self.seconds = method, 0.0

    def __call__(self, video: Video, prompts: Mapping[int, FirstPrompt]) -> Masks:
        start = time.perf_counter()
        masks = self.method(video, prompts)
        self.seconds += time.perf_counter() - start
        return masks


class _TimedSession:
    """A session that measures its own time."""

    def __init__(self, open_session: Callable[[Video], MaskSession], video: Video) -> None:
        self.seconds = 0.0
        self.session = self._timed(lambda: open_session(video))

    def click(self, object_id: int, frame: int, clicks: Sequence[Click]) -> None:
        self._timed(lambda: self.session.click(object_id, frame, clicks))

    def masks(self) -> Masks:
        return self._timed(self.session.masks)

    def _timed(self, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        self.seconds += time.perf_counter() - start
        return result


def summarise_masks(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Per-example results -> rows of the table, one per data set and method.

    A row has "dataset", "method", "videos", "objects" and the keys of `COLUMNS`: means over all objects of the
    data set, as DAVIS takes them; of time, clicks and reached, means over the videos.
    """
    rows = []
    groups = dict.fromkeys((result["dataset"], result["method"]) for result in results)
    for dataset, method in groups:
        group = [result for result in results if (result["dataset"], result["method"]) == (dataset, method)]
        objects = [values for result in group for values in result["objects"].values()]
        counts = {"method": method, "dataset": dataset, "videos": len(group), "objects": len(objects)}
        means = {key: mean_of(values.get(key) for values in objects) for key in COLUMNS.values()}
        rows.append({**counts, **means, **{key: mean_of(r[key] for r in group) for key in OF_VIDEOS}})
    return rows


def format_mask_table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of `summarise_masks` -> an aligned Markdown table; values in per cent, columns without any left out."""
    shown = {title: key for title, key in COLUMNS.items() if any(row[key] is not None for row in rows)}
    lines = [["method", "dataset", "videos", "objects", *shown]]
    for row in rows:
        counts = [row["method"], row["dataset"], str(row["videos"]), str(row["objects"])]
        lines.append([*counts, *(_shown(key, row[key]) for key in shown.values())])
    return markdown_table(lines)


def describe_masks(results: Sequence[Result], settings: dict[str, Any]) -> str:
    """Describe what you need to compare the table: sizes, protocol, frames that count, versions."""
    sizes = dict.fromkeys(f"{result['dataset']} {result['wh'][0]}x{result['wh'][1]}" for result in results)
    prompted = {
        "first-mask": "the true mask on each object's first frame",
        "first-click": f"at most {settings['clicks']} simulated clicks on each object's first frame",
        "interactive": f"at most {settings['clicks']} clicks per object, each where J&F is worst, "
        f"until it is {settings['target']} on the mean",
    }[settings["protocol"]]
    frames = "all annotated frames from an object's first one on"
    if settings["protocol"] != "interactive":
        frames = "annotated frames after an object's first one, without the last frame (DAVIS)"
    return "\n".join(
        [
            f"video size: {'; '.join(sizes)}",
            f"protocol: {settings['protocol']}: {prompted}",
            f"frames that count: {frames}; means over objects; F within 0.008 of the diagonal",
            "versions: " + ", ".join(f"{name} {version}" for name, version in versions().items()),
        ]
    )


def write_mask_report(path: str | Path, results: Sequence[Result], settings: dict[str, Any]) -> Path:
    """Write settings, versions, rows and per-example results as JSON, atomically."""
    rows = summarise_masks(results)
    content = {"settings": settings, "versions": versions(), "rows": rows, "results": list(results)}
    return write_json(path, content)


def fingerprint(example: MaskExample) -> str:
    """Short hexadecimal digest of an example's frames and truth."""
    parts = (example.first_frames, example.annotated, example.truth.object_ids)
    void = () if example.void is None else example.void.numpy()
    return digest(
        [*(part.numpy() for part in parts), *example.truth.masks.numpy(), *void, *example.video.frames]
    )


def _known(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _shown(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    if key in ("clicks", "seconds_per_frame"):
        return f"{value:.1f}" if key == "clicks" else f"{value:.3f}"
    return f"{100 * value:.1f}"
