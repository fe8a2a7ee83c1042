"""The input of the transformer: one token per point and frame, assembled from named parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from pointtrack.config import TrackerConfig
from pointtrack.geometry import sample_features
from pointtrack.layers.embeddings import neighbour_motion, place_code, time_code, window_motion
from pointtrack.layers.encoder import Encoder
from pointtrack.models.proposals import REACH
from pointtrack.models.window import Estimate, Window

CELL = Encoder.stride  # pixels per cell of the finest level
WAVES = 32  # frequencies that encode "drift"


@dataclass
class View:
    """The complete state of the points of a window before a round of refinement.

    Attributes:
        window: the inputs that stay the same in all rounds.
        now: the estimate, its positions without gradient.
        correlation: (b, t, n, c).
        heights, moves: (b, t, n, 2 * levels) and (b, t, n, 2, m) as in `proposals.py`; None if the tracker has none.
        feature: (b, t, n, c) of the point on every frame; None if the tracker does not update features.
    """

    window: Window
    now: Estimate
    correlation: Tensor
    heights: Tensor | None = None
    moves: Tensor | None = None
    feature: Tensor | None = None


class Tokens(nn.Module):
    """`View` -> tokens (b, t, n, width), plus codes of time, and of place if the config asks for them.

    Args:
        config: of the tracker; `config.tokens` names the parts.
        correlation: width of the correlation part.
    """

    time_table: Tensor | None
    place_table: Tensor | None

    def __init__(self, config: TrackerConfig, correlation: int):
        super().__init__()
        self.config = config.tokens
        levels = config.correlation.levels
        widths = {
            "logits": 2,
            "visibility": 1,
            "age": 1,
            "overlap": 1,
            "asked": 1,
            "place": 2,
            "correlation": correlation,
            "heights": 2 * levels,
            "moves": 2 * (levels + len(REACH)),
            "motion": 4 + 8 * config.tokens.octaves,
            "drift": 2 + 4 * WAVES,
            "feature": config.encoder.channels,
        }
        unknown = [part for part in config.tokens.parts if part not in widths]
        if unknown:
            raise ValueError(f"token parts: expected some of {', '.join(widths)}, got {', '.join(unknown)}")
        self.width = sum(widths[part] for part in config.tokens.parts)
        # The tables start from these formulas; a checkpoint stores its tables, which may differ.
        table, cells = config.tokens.time_table, config.tokens.place_table_wh
        self.register_buffer("time_table", None if table is None else time_code(table, self.width))
        self.register_buffer("place_table", None if cells is None else place_code(cells, self.width))

    def forward(self, view: View) -> Tensor:
        """Tokens of all points on all frames."""
        tokens = torch.cat([PARTS[part](self, view) for part in self.config.parts], dim=-1)
        tokens += self._codes(view).to(tokens)  # in place: many points take much memory
        return tokens

    def _codes(self, view: View) -> Tensor:
        """The codes to add to the tokens: broadcasts to (b, t, n, width)."""
        t = view.window.frames
        if self.time_table is None:
            codes = time_code(t, self.width + self.width % 2)[:, : self.width].to(view.now.xy.device)
        elif len(self.time_table) == t:
            codes = self.time_table
        else:
            table = rearrange(self.time_table, "s c -> 1 c s")
            codes = rearrange(F.interpolate(table, t, mode="linear"), "1 c t -> t c")
        codes = codes[:, None]
        if self.place_table is None:
            return codes
        cells = rearrange(view.window.begin / CELL, "b n xy -> 1 (b n) xy")
        places = sample_features(self.place_table[None], cells)
        return codes + rearrange(places, "1 (b n) c -> b 1 n c", b=len(view.now.xy))

    def _place(self, view: View) -> Tensor:
        _, _, h, w, _ = view.window.pyramid[0].shape
        return view.now.xy / view.now.xy.new_tensor(self.config.unit_wh or (w * CELL, h * CELL))

    def _logits(self, view: View) -> Tensor:
        logits = torch.stack([view.now.visibility_logit, view.now.confidence_logit], dim=-1)
        return logits * self.config.logit_scale

    def _age(self, view: View) -> Tensor:
        t = view.window.frames
        age = (view.window.numbers() - view.window.queries.frame[:, None]).clamp(-t, 2 * t) / 16
        return age[..., None].to(view.now.xy)

    def _overlap(self, view: View) -> Tensor:
        overlap = (view.window.numbers() < view.window.shared)[..., None]
        return overlap.to(view.now.xy).expand(*view.now.xy.shape[:-1], 1)

    def _asked(self, view: View) -> Tensor:
        frame = view.window.numbers()
        requested = (view.window.queries.frame[:, None] <= frame) & (frame >= view.window.shared)
        return requested[..., None].to(view.now.xy)

    def _motion(self, view: View) -> Tensor:
        return neighbour_motion(self._place(view), self.config.octaves)


def _given(value: Tensor | None) -> Tensor:
    assert value is not None, "the tracker computes what its token parts need"
    return value


PARTS: dict[str, Callable[[Tokens, View], Tensor]] = {
    "logits": Tokens._logits,
    "visibility": lambda _, view: view.now.visibility_logit[..., None],
    "age": Tokens._age,
    "overlap": Tokens._overlap,
    "asked": Tokens._asked,
    "place": lambda tokens, view: (tokens._place(view) - 0.5).clamp(-1, 1),
    "correlation": lambda _, view: view.correlation,
    "heights": lambda _, view: _given(view.heights),
    "moves": lambda _, view: (_given(view.moves) / 4).flatten(-2),
    "motion": Tokens._motion,
    "drift": lambda _, view: window_motion(view.now.xy / CELL, WAVES),
    "feature": lambda _, view: _given(view.feature),
}
