"""Calibration of points: of the points with score p, a share p should lie within 8 pixels of the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluation.tables import markdown_table
from pointtrack.types import Tracks

NEAR_PX = 8.0  # pixels of the video
BINS = 20  # bins of scores in [0, 1]
STEPS, RIDGE = 50, 1e-3  # settings of the fit


def counted_by_score(tracks: Tracks, truth_xy: Tensor, counted: Tensor) -> dict[str, list[int]]:
    """Count how often points have each score, and how often they are near the truth then.

    The score is that of `Tracks.visible`: the root of visibility times confidence.

    Args:
        truth_xy: (t, n, 2) pixels of the video. counted: (t, n) bool, frames with known truth.

    Returns:
        "answers" (answers with this score) and "near_truth" (those near the truth), for each of `BINS` scores from 0 to 1.
    """
    score = (tracks.visibility * tracks.confidence).sqrt()[counted]
    near = ((tracks.xy.double() - truth_xy).norm(dim=-1) < NEAR_PX)[counted]
    which = (score * BINS).long().clamp(0, BINS - 1)
    return {"answers": _histogram(which), "near_truth": _histogram(which[near])}


def expected_error(answers: np.ndarray, near_truth: np.ndarray, score: np.ndarray) -> float:
    """Mean difference of score and share near the truth, over all answers (expected calibration error), in [0, 1]."""
    share = near_truth / np.maximum(answers, 1)
    return float((answers * np.abs(score - share)).sum() / max(answers.sum(), 1))


def fitted(answers: np.ndarray, near_truth: np.ndarray) -> tuple[float, float]:
    """Fit (factor, bias) on the logit of the score by maximum likelihood (Platt's scaling), with Newton's method."""
    x, parameters = _logit(middles()), np.array([1.0, 0.0])
    design = np.stack([x, np.ones_like(x)])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-parameters @ design))
        slope = design @ (near_truth - answers * p) - RIDGE * (parameters - [1.0, 0.0])
        bend = (design * (answers * p * (1 - p))) @ design.T + RIDGE * np.eye(2)
        parameters = parameters + np.linalg.solve(bend, slope)
    return float(parameters[0]), float(parameters[1])


def calibrated(score: np.ndarray, parameters: tuple[float, float]) -> np.ndarray:
    """Scores with the correction from `fitted`."""
    return 1 / (1 + np.exp(-(parameters[0] * _logit(score) + parameters[1])))


def middles() -> np.ndarray:
    """(BINS,) scores at the middles of the bins."""
    return (np.arange(BINS) + 0.5) / BINS


def calibration_table(results: Sequence[dict[str, Any]]) -> str:
    """Results of `development.measure` -> calibration error per set, raw and corrected with the other sets.

    In a correction every other set has the same weight; the set's own videos do not take part.
    """
    sets = {name: _counts(results, name) for name in dict.fromkeys(r["set"] for r in results)}
    lines = [
        [
            "",
            "mean score",
            "near the truth",
            "expected error",
            "corrected by the other sets",
            "factor",
            "bias",
        ]
    ]
    errors = []
    for name, (answers, near_truth) in sets.items():
        others = [np.stack(counts) / counts[0].sum() for other, counts in sets.items() if other != name]
        before = expected_error(answers, near_truth, middles())
        factor, bias = fitted(*(1000 * np.sum(others, axis=0))) if others else (1.0, 0.0)
        after = expected_error(answers, near_truth, calibrated(middles(), (factor, bias)))
        errors.append((before, after))
        means = [(answers * middles()).sum() / answers.sum(), near_truth.sum() / answers.sum()]
        shown = [f"{100 * x:.1f}" for x in (*means, before, after)]
        lines.append([name, *shown, f"{factor:.2f}", f"{bias:+.2f}"])
    mean = [f"{100 * x:.1f}" for x in np.mean(errors, axis=0)]
    lines.append(["mean over sets", "", "", *mean, "", ""])
    curve = [["score", "answers", "near the truth"]]
    answers, near_truth = (np.sum([counts[i] for counts in sets.values()], axis=0) for i in (0, 1))
    for low in range(0, BINS, 2):
        n, right = answers[low : low + 2].sum(), near_truth[low : low + 2].sum()
        share = f"{100 * right / n:.1f}" if n else "-"
        curve.append([f"{low / BINS:.1f} to {(low + 2) / BINS:.1f}", str(int(n)), share])
    return markdown_table(lines, names=1) + "\n\n" + markdown_table(curve, names=1)


def _counts(results: Sequence[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    of = [result for result in results if result["set"] == name]
    answers, near_truth = (
        np.sum([result[key] for result in of], axis=0).astype(float) for key in ("answers", "near_truth")
    )
    return answers, near_truth


def _histogram(which: Tensor) -> list[int]:
    counts: list[int] = torch.bincount(which, minlength=BINS).tolist()
    return counts


def _logit(score: np.ndarray) -> np.ndarray:
    score = np.clip(score, 1e-4, 1 - 1e-4)
    return np.log(score / (1 - score))
