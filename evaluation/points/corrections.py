"""Measure the gain from corrections: a simulated user who knows the truth corrects every point's worst frame.

python -m evaluation.points.corrections --datasets badja --rounds 2
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from evaluation.points.datasets import load_examples
from evaluation.points.example import Example
from evaluation.points.metrics import tapvid_metrics, to_metric_pixels
from evaluation.tables import split_names
from pointtrack.cli.runner import run_command
from pointtrack.models.point_tracker import PointTracker
from pointtrack.sessions.track_session import TrackSession
from pointtrack.zoo import load_tracker


def correct_worst(example: Example, tracker: PointTracker, rounds: int) -> list[tuple[float, float]]:
    """Correct every point once per round, on the frame where its error is largest.

    Corrected frames do not count, neither before nor after the correction.

    Returns:
        Per round, the first one without corrections: δavg in [0, 1] on the frames that no round corrects, and the
        mean error there in pixels of the video.
    """
    session = TrackSession(example.video, tracker)
    ids = session.add(example.queries).tolist()
    counted = example.evaluated & example.truth_visible
    answers = [session.tracks().xy]
    for _ in range(rounds):
        error = (answers[-1] - example.truth_xy).norm(dim=-1)
        error = torch.where(counted, error.nan_to_num(torch.inf), -1.0)
        for column, point in enumerate(ids):
            frame = int(error[:, column].argmax())
            if error[frame, column] > 0:
                session.correct(point, frame, _inside(example.truth_xy[frame, column], example.video.wh))
                counted[frame, column] = False
        answers.append(session.tracks().xy)
    figures = []
    for xy in answers:
        metrics = tapvid_metrics(
            to_metric_pixels(xy, example.video.wh),
            counted,
            to_metric_pixels(example.truth_xy, example.video.wh),
            example.truth_visible,
            counted,
        )
        error = (xy - example.truth_xy).norm(dim=-1)[counted]
        figures.append((float(metrics["average_pts_within_thresh"]), float(error.mean())))
    return figures


def corrections_command(
    datasets: str = "badja", rounds: int = 2, tracker: str = "small", precision: str = "float32"
) -> None:
    """Print how much more accurate tracks become after corrections, on the frames without corrections.

    Args:
        datasets: comma-separated, as `pointtrack eval` takes them.
        rounds: corrections per point.
        tracker: name of a tracker, or its file.
        precision: precision of its encoder, float32 or bfloat16.
    """
    if rounds < 1:
        raise ValueError(f"rounds: expected 1 or more, got {rounds}")
    model = load_tracker(tracker, precision=precision)
    print("example              corrections per point  δavg  mean error in px")
    for dataset in split_names(datasets):
        for example in load_examples(dataset):
            for count, (share, error) in enumerate(correct_worst(example, model, rounds)):
                print(f"{example.name:20} {count:22} {100 * share:5.1f} {error:17.1f}")


def _inside(xy: Tensor, wh: tuple[int, int]) -> list[float]:
    """The nearest position inside the image: annotations may lie a little beyond it."""
    return torch.minimum(xy.clamp(min=0), torch.tensor(wh) - 1.0).tolist()


if __name__ == "__main__":
    sys.exit(run_command(lambda: corrections_command, sys.argv[1:], "evaluation.points.corrections"))
