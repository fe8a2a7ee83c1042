"""Tracks a whole clip in one call, frames before the queries too, with the same result as the published code."""

from __future__ import annotations

from torch import Tensor

from pointtrack.geometry import rescale_points
from pointtrack.models.locotrack.config import UNIT
from pointtrack.models.locotrack.network import Guess, LocoTrack
from pointtrack.models.locotrack.resolutions import encoded_sizes, resize


def track_clip(
    network: LocoTrack,
    video: Tensor,
    frame: Tensor,
    xy: Tensor,
    sizes: list[tuple[int, int]] | None = None,
) -> list[Guess]:
    """The published forward pass: a whole clip of any size.

    Args:
        video: (b, t, 3, h, w) RGB 0..255.
        frame: (b, n) query frames, which may be fractional.
        xy: (b, n, 2) pixels, (0, 0) the centre of the top-left one.
        sizes: (w, h) to encode the frames at, the first for the guess, the last for the refinement; by default
            those that the published model chooses for this size.

    Returns:
        As `LocoTrack.guesses`, with xy in pixels of the video.
    """
    wh = (video.shape[-1], video.shape[-2])
    first, last = encoded_sizes(wh, sizes)
    coarse = network.encode(video, first)
    fine = coarse if last == first else network.encode(video, last)
    unit = xy.new_tensor(wh) / UNIT
    places = (xy + 0.5) / unit
    guesses = network.guesses(coarse, fine, network.look(coarse, fine, frame, places), frame, places)
    return [Guess(g.xy * unit - 0.5, g.occluded_logit, g.wrong_logit) for g in guesses]


def predict_clip(
    network: LocoTrack, video: Tensor, frame: Tensor, xy: Tensor, wh: tuple[int, int] | None = None
) -> Guess:
    """The published predictor: a clip of any size, resized to `wh` first (by default the network's own).

    Arguments and errors as `track_clip`. Source: the `inference` of the published code.
    """
    own = (video.shape[-1], video.shape[-2])
    wh = network.config.input_wh if wh is None else wh
    b, t = video.shape[:2]
    small = resize(video.flatten(0, 1).float(), wh).unflatten(0, (b, t))
    last = track_clip(network, small, frame, rescale_points(xy, own, wh, "edges"))[-1]
    return Guess(rescale_points(last.xy, wh, own, "edges"), last.occluded_logit, last.wrong_logit)
