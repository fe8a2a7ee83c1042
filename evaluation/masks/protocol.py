"""How a method is prompted with the objects of a video: a mask or clicks on the first frame, or round by round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from evaluation.masks.clicks import Click, next_click, simulate_clicks
from evaluation.masks.datasets import MaskExample
from evaluation.masks.davis_metrics import score_masks
from pointtrack.checks import check_shape
from pointtrack.types import Video
from pointtrack.types.masks import Masks

MaskProtocol = Literal["first-mask", "first-click", "interactive"]


@dataclass(frozen=True, eq=False)
class FirstPrompt:
    """The prompt of one object: a mask, or clicks.

    Args:
        frame: the prompted frame.
        mask: (h, w) bool, or None.
        points: (k, 2) float pixels (x, y), or None. labels: (k,) bool, True on the object.

    Raises:
        ValueError: neither or both of mask and points, or shapes that do not fit.
    """

    frame: int
    mask: np.ndarray | None = None
    points: Tensor | None = None
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        if (self.mask is None) == (self.points is None) or (self.points is None) != (self.labels is None):
            raise ValueError("prompt: expected a mask, or points with labels, and not both")
        if self.mask is not None:
            check_shape(self.mask, "h w", "prompt mask")
        if self.points is not None:
            k = check_shape(self.points, "k 2", "prompt points")["k"]
            check_shape(self.labels, f"{k}", "prompt labels")

    @classmethod
    def of_clicks(cls, frame: int, clicks: Sequence[Click]) -> FirstPrompt:
        """The same clicks as points with labels."""
        points = torch.tensor([[click.x, click.y] for click in clicks], dtype=torch.float32)
        return cls(frame, None, points, torch.tensor([click.positive for click in clicks]))


# Takes first prompts by object id; answers with all frames of the video, at its size, objects empty before their start.
MaskMethod = Callable[[Video, Mapping[int, FirstPrompt]], Masks]


class MaskSession(Protocol):
    """A method that takes clicks on any frame."""

    def click(self, object_id: int, frame: int, clicks: Sequence[Click]) -> None:
        """Take all clicks on an object on one frame; the last one is new."""

    def masks(self) -> Masks:
        """The answer for all frames, after the clicks so far."""


@dataclass(frozen=True)
class Round:
    """Result of the clicks so far: their number, mean J&F over the objects, and the last click."""

    clicks: int
    jf: float
    object_id: int
    frame: int
    click: Click


def mask_of(masks: Masks, object_id: int, frame: int) -> np.ndarray:
    """(h, w) bool of one object on one frame, empty if the answer lacks the object."""
    ids = masks.object_ids.tolist()
    if object_id not in ids:
        return np.zeros(masks.masks.shape[2:], bool)
    return masks.masks[frame, ids.index(object_id)].numpy()


def first_mask_prompts(example: MaskExample) -> dict[int, FirstPrompt]:
    """The true mask of every object on its first frame."""
    return {
        object_id: FirstPrompt(frame, example.true_mask(object_id, frame))
        for object_id, frame in example.starts().items()
    }


def first_click_prompts(method: MaskMethod, example: MaskExample, count: int) -> dict[int, FirstPrompt]:
    """At most `count` simulated clicks on every object on its first frame.

    After each click, the method answers the clicks so far on that frame alone.
    """
    prompts = {}
    for object_id, frame in example.starts().items():
        picture = example.video.clip(frame, frame + 1)

        def answer(
            clicks: Sequence[Click], picture: Video = picture, object_id: int = object_id
        ) -> np.ndarray:
            masks = method(picture, {object_id: FirstPrompt.of_clicks(0, clicks)})
            return mask_of(masks, object_id, 0)

        clicks = simulate_clicks(example.true_mask(object_id, frame), count, answer)
        prompts[object_id] = FirstPrompt.of_clicks(frame, clicks)
    return prompts


def interact(
    example: MaskExample, session: MaskSession, target: float, most_clicks: int
) -> tuple[list[Round], Masks]:
    """Rounds of clicks: one on every object, then one at a time where the answer is worst.

    Each round looks for the frame and object with the lowest (J + F) / 2 and clicks there once.

    Args:
        target: mean J&F over the objects, in [0, 1], at which the user stops.
        most_clicks: clicks for each object on average, the first one included.

    Returns:
        The state after each round, and the last answer. The last round has reached `target`, or used up the
        clicks.

    Raises:
        ValueError: an example without annotated frames, or invalid settings.
    """
    if not (0 < target <= 1 and most_clicks >= 1):
        raise ValueError(
            f"interactive: expected a target in (0, 1] and a click or more, got {target}, {most_clicks}"
        )
    counted = looked_at(example)
    clicks: dict[tuple[int, int], list[Click]] = {}
    rounds: list[Round] = []
    requested = [(object_id, frame) for object_id, frame in example.starts().items()]
    masks: Masks | None = None
    while True:
        for object_id, frame in requested:
            earlier = clicks.setdefault((object_id, frame), [])
            here = None if masks is None else mask_of(masks, object_id, frame)
            click = next_click(example.true_mask(object_id, frame), here, earlier)
            if click is None:  # every wrong pixel there was clicked before
                assert masks is not None  # an example has a mask where its objects start
                return rounds, masks
            earlier.append(click)
            session.click(object_id, frame, list(earlier))
            latest = (object_id, frame, click)
        masks = session.masks()
        made = sum(map(len, clicks.values()))
        scores = [s for s in score_masks(masks, example.truth, counted, example.void) if len(s.frames)]
        jf = float(np.mean([(score.j + score.f).mean() / 2 for score in scores]))
        rounds.append(Round(made, jf, *latest))
        if jf >= target or made >= most_clicks * len(scores):
            return rounds, masks
        worst = min(scores, key=lambda score: float((score.j + score.f).min()))
        requested = [(worst.object_id, int(worst.frames[(worst.j + worst.f).argmin()]))]


def looked_at(example: MaskExample) -> Tensor:
    """(t, o) bool frames that count in an interactive session: every annotated one from an object's first one on.

    The session reveals none of them, so none is left out.

    Raises:
        ValueError: no annotated frames.
    """
    frame = torch.arange(len(example.video))[:, None]
    counted = example.annotated[:, None] & (frame >= example.first_frames)
    if not counted.any():
        raise ValueError(f"{example.name}: expected annotated frames to look at, got none")
    return counted
