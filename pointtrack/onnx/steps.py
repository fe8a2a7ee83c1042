"""The two parts of a tracker that become graphs: the encoder for one frame, and one round of refinement.

Shapes in a graph are fixed, so a window may hold padding frames and points. They must not change the results for the
others. So no proxy token reads *hidden* points (nor CoTracker2's points whose query frame is still to come), and
attention along time ignores frames that are not *present*.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.tokens import PARTS, Tokens, View
from pointtrack.models.window import Estimate, Templates, Window, WindowQueries


@dataclass
class PaddedWindow(Window):
    """A window with padding.

    Attributes:
        hidden: (b, n) bool, points that must not influence any other point.
        present: () int64, number of real frames; copies of the last one follow.
    """

    hidden: Tensor
    present: Tensor

    def to_come(self) -> Tensor:
        """The hidden points, among which the runner has put those that are still to come."""
        return self.hidden


class EncodeStep(nn.Module):
    """One frame -> its pyramid."""

    def __init__(self, tracker: PointTracker):
        super().__init__()
        self.tracker = in_float32(tracker)

    def forward(self, frame: Tensor) -> tuple[Tensor, ...]:
        """(1, 3, h, w) float RGB 0..255 -> per level (1, h / 2^(l+2), w / 2^(l+2), c)."""
        return tuple(level[:, 0] for level in self.tracker.encode(frame[None]))


class RefineStep(nn.Module):
    """One round of refinement of a window of fixed size.

    Args:
        tracker: the tracker; it is not changed.
        names: names of the tensors that `forward` takes, in order; those of `refine_inputs`.
    """

    def __init__(self, tracker: PointTracker, names: Iterable[str]):
        super().__init__()
        self.names = tuple(names)
        self.may_be_short = takes_short_windows(tracker)
        # "masked" hides points from others; `PaddedWindow` says which ones.
        self.tracker = twin = in_float32(tracker)
        twin.config = replace(twin.config, window=replace(twin.config.window, late="masked"))
        if self.may_be_short:
            twin._modules = {**twin._modules, "tokens": PaddedTokens(twin.tokens)}

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The tensors of `names` -> xy (1, t, n, 2), both logits (1, t, n), and the support if rounds renew it."""
        given = dict(zip(self.names, tensors, strict=True))
        # A round is given their support apart, and reads their looks where it looks at joint features.
        looks = Templates([], given.get("looks", given["query_xy"]))
        window = PaddedWindow(
            pyramid=[x for name, x in given.items() if name.startswith("features")],
            queries=WindowQueries(given["query_frame"], given["query_xy"], looks),
            begin=given["begin_xy"],
            shared=given["shared"],  # type: ignore[arg-type]  # a number in a tensor; it is only compared
            joint=[x for name, x in given.items() if name.startswith("joint")],
            hidden=given["hidden"],
            present=given["present"],
        )
        now = Estimate(given["xy"], given["visibility_logit"], given["confidence_logit"])
        support = [x for name, x in given.items() if name.startswith("support")]
        blocks = self.tracker.updater.time_blocks if self.may_be_short else ()
        with not_seeing(blocks, window.numbers()[:, 0] >= window.present):
            new, support = self.tracker.refine(window, now, support)
        answer = (new.xy, new.visibility_logit, new.confidence_logit)
        return (*answer, *support) if self.tracker.renews_features else answer


class PaddedTokens(nn.Module):
    """`Tokens` with ages limited by the number of present frames."""

    def __init__(self, tokens: Tokens):
        super().__init__()
        self.tokens = tokens

    def forward(self, view: View) -> Tensor:
        """As `Tokens.forward`."""
        parts = {**PARTS, "age": _age_where_present}
        tokens = torch.cat([parts[part](self.tokens, view) for part in self.tokens.config.parts], dim=-1)
        return tokens + self.tokens._codes(view).to(tokens)


def _age_where_present(_: Tokens, view: View) -> Tensor:
    t = view.window.present  # type: ignore[attr-defined]  # a PaddedWindow
    age = (view.window.numbers() - view.window.queries.frame[:, None]).clamp(-t, 2 * t) / 16
    return age[..., None].to(view.now.xy)


@contextmanager
def not_seeing(blocks: Iterable[nn.Module], frames: Tensor) -> Iterator[None]:
    """While the context is open, blocks along time ignore some frames, (t,) bool."""

    def hide(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        context = given[1]  # of proxies that are still alike on all frames only the first frame is there
        return (*given, frames[: context.shape[1]])

    hooks = [block.attn.register_forward_pre_hook(hide) for block in blocks]  # type: ignore[union-attr,operator]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def in_float32(tracker: PointTracker) -> PointTracker:
    """A copy of the network that computes in float32; the given one does not change."""
    twin = copy.copy(tracker)
    twin.inference = replace(tracker.inference, precision="float32")
    return twin


def takes_short_windows(tracker: PointTracker) -> bool:
    """Whether a window may have fewer frames than the graph, as a frame's code does not depend on their number."""
    return tracker.config.tokens.time_table is None


def refine_inputs(tracker: PointTracker, pyramid: list[Tensor], points: int) -> dict[str, Tensor]:
    """Example inputs of one round, which give their shapes and order.

    Args:
        tracker: the network.
        pyramid: pyramid of a window, (1, t, h, w, c) per level.
        points: n, the number of points of the graph.
    """
    frame, xy = torch.zeros(1, points, dtype=torch.int64), torch.zeros(1, points, 2)
    frames = pyramid[0].shape[1]
    logit = torch.zeros(1, frames, points)
    templates = tracker.remember(pyramid, frame, xy)
    support = tracker.correlation.begin(templates.support, frames)
    joint = tracker.looked_at(pyramid)
    return {
        # Joint features behind the levels are for what comes between the graphs, and for what of them is looked at.
        **{f"features_{i}": level for i, level in enumerate(pyramid[: tracker.config.correlation.levels])},
        **{f"support_{i}": x for i, x in enumerate(support)},
        **{f"joint_{i}": x for i, x in enumerate(joint)},
        **({"looks": templates.feature} if joint else {}),
        "query_frame": frame,
        "query_xy": xy,
        "begin_xy": xy.clone(),
        "shared": torch.tensor(0),
        "present": torch.tensor(frames),
        "hidden": torch.zeros(1, points, dtype=torch.bool),
        "xy": xy[:, None].repeat(1, frames, 1, 1),
        "visibility_logit": logit,
        "confidence_logit": logit.clone(),
    }
