"""Calibration of masks: the stated quality of each beside its true overlap, and the weights that estimate it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from evaluation.masks.clicks import Click, prompt_of, simulate_clicks
from evaluation.masks.datasets import MaskExample
from evaluation.masks.davis_metrics import boundary_accuracy, region_similarity
from pointtrack.objects.engine import Engine, ObjectResult
from pointtrack.objects.point_prompts import KnownMask
from pointtrack.objects.quality import Signs, quality

DOUBTFUL = 0.6  # true overlap below which a frame is worth a correction
# Strength of the pull of weights towards 0, chosen on held-out synthetic clips and six real videos.
PULL = 0.001
# When only some objects of a video are followed, they appear in its first third and are not tiny: shares of its
# frames and of a frame.
EARLY, TINY = 1 / 3, 0.002


@dataclass(frozen=True)
class Followed:
    """One object on one frame.

    Attributes:
        example: the video. prompt: first prompt: "mask", or the number of clicks as text; with "-back" on the last frame.
        frame: number of the frame, counted from the prompted one.
        j, f: true overlap and boundary accuracy of its mask.
        stated: stated quality of its mask.
        signs: the inputs of that estimate, None if the answer was that the object is absent.
    """

    example: str
    prompt: str
    frame: int
    j: float
    f: float
    stated: float
    signs: tuple[float, ...] | None


def follow(
    engine: Engine, example: MaskExample, prompt: str, objects: int | None = None
) -> Iterator[Followed]:
    """Follow each object of a video separately, from the first frame on which it is known.

    Args:
        prompt: "mask", or the number of simulated clicks; with "-back" on the last frame, and then backward.
        objects: most objects to follow, see `largest`; all by default.

    Raises:
        ValueError: another value of `prompt`.
    """
    if not re.fullmatch(r"(mask|[1-9]\d*)(-back)?", prompt):
        raise ValueError(
            f"prompt: expected mask, a number of clicks, or one of these with -back, got {prompt!r}"
        )
    way, backward = prompt.removesuffix("-back"), prompt.endswith("-back")
    starts = example.starts()
    for object_id in starts if objects is None else largest(example, objects):
        first = starts[object_id]
        start = _last(example, object_id) if backward else first
        truth = example.true_mask(object_id, start)
        drawn = KnownMask(start, torch.from_numpy(truth))
        given = drawn if way == "mask" else _clicked(engine, example, start, truth, int(way))
        frames = range(start - 1, first - 1, -1) if backward else range(start + 1, len(example.video))
        walk = engine.walk(example.video, {object_id: [given]}, frames)
        for frame, found in zip(frames, walk, strict=True):
            result = found[object_id]
            pair = result.mask.numpy()[None], example.true_mask(object_id, frame)[None]
            j, f = float(region_similarity(*pair)[0]), float(boundary_accuracy(*pair)[0])
            signs = None if result.signs is None else result.signs.row()
            yield Followed(example.name, prompt, abs(frame - start), j, f, result.quality, signs)


def largest(example: MaskExample, count: int) -> list[int]:
    """At most `count` objects of a video, largest on their first frames first; without late or tiny ones."""
    areas = {
        object_id: float(example.true_mask(object_id, frame).mean())
        for object_id, frame in example.starts().items()
        if frame < EARLY * len(example.video)
    }
    seen = sorted((one for one, area in areas.items() if area > TINY), key=lambda one: -areas[one])
    return seen[:count]


def _last(example: MaskExample, object_id: int) -> int:
    """The last frame with a true mask of an object."""
    first = example.starts()[object_id]
    there = [frame for frame in range(first, len(example.video)) if example.true_mask(object_id, frame).any()]
    return there[-1]


def _clicked(engine: Engine, example: MaskExample, frame: int, truth: np.ndarray, count: int) -> KnownMask:
    def ask(clicks: Sequence[Click]) -> ObjectResult:
        return engine.answer(example.video, frame, prompt_of(clicks))

    found = ask(simulate_clicks(truth, count, lambda clicks: ask(clicks).mask.numpy()))
    return KnownMask(frame, found.mask, found.score)


def fit(rows: Sequence[Followed], pull: float = PULL) -> tuple[float, tuple[float, ...]]:
    """Fit the offset and weights of `pointtrack.objects.quality` to the true overlap: logistic, pulled towards 0.

    Every video has the same weight, whatever its length.
    """
    known = [row for row in rows if row.signs is not None]
    x = torch.tensor([row.signs for row in known], dtype=torch.float64)
    y = torch.tensor([row.j for row in known], dtype=torch.float64)
    frames = Counter(row.example for row in known)
    share = torch.tensor([1 / frames[row.example] / len(frames) for row in known], dtype=torch.float64)
    weights = torch.zeros(x.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = x @ weights[1:] + weights[0]
        value = torch.nn.functional.binary_cross_entropy_with_logits(logits, y, weight=share, reduction="sum")
        value = value + pull * weights[1:].square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    offset, *found = weights.detach().tolist()
    return offset, tuple(found)


def qualities_by(rows: Sequence[Followed], offset: float, weights: Sequence[float]) -> np.ndarray:
    """(n,) qualities of rows by these weights; of an absent object, the quality stated before."""
    return np.array(
        [row.stated if row.signs is None else quality(Signs(*row.signs), offset, weights) for row in rows]
    )


def left_out(rows: Sequence[Followed], pull: float = PULL) -> np.ndarray:
    """(n,) quality of every row by weights fitted on the other videos."""
    stated = np.zeros(len(rows))
    for name in dict.fromkeys(row.example for row in rows):
        mine = np.array([row.example == name for row in rows])
        others = [row for row in rows if row.example != name]
        if others:
            stated[mine] = qualities_by([row for row in rows if row.example == name], *fit(others, pull))
    return stated


def figures(rows: Sequence[Followed], stated: np.ndarray) -> dict[str, float | None]:
    """J&F, mean error of the qualities, and how well they find doubtful frames; in per cent, None without any."""
    j = np.array([row.j for row in rows])
    jf = (j + np.array([row.f for row in rows])) / 2
    named, wrong = stated < DOUBTFUL, j < DOUBTFUL
    both = float((named & wrong).sum())
    return {
        "jf": 100 * float(jf.mean()),
        "error": 100 * float(np.abs(stated - j).mean()),
        "precision": 100 * both / float(named.sum()) if named.any() else None,
        "recall": 100 * both / float(wrong.sum()) if wrong.any() else None,
        "doubtful": 100 * float(wrong.mean()),
    }


def sign_names() -> list[str]:
    """Names of the signs, in the order of the weights."""
    return list(asdict(Signs()))
