"""Query networks as the papers of LocoTrack and AllTracker do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from pointtrack.models.alltracker.paper import sparse_tracks
from pointtrack.models.locotrack.clip import predict_clip
from pointtrack.types import Queries, Video

# xy (t, n, 2) in pixels of the video, visibility and confidence (t, n).
Answer = tuple[Tensor, Tensor, Tensor]


def locotrack_answer(network: Any, video: Video, queries: Queries) -> Answer:
    """Track the whole clip at once, also before the queries; resized to the network's input without averaging.

    Source: the evaluation of LocoTrack (Cho et al. 2024). Its loaders first resize to 256 x 256 by Pillow's Lanczos;
    this function does not, so pass videos of that size.
    """
    frames = rearrange(torch.from_numpy(np.ascontiguousarray(video.frames)), "t h w c -> 1 t c h w")
    found = predict_clip(network, frames, queries.frame[None].float(), queries.xy[None])
    shown, right = (-found.occluded_logit[0]).sigmoid(), (-found.wrong_logit[0]).sigmoid()
    return found.xy[0], shown, right


def alltracker_answer(network: Any, video: Video, queries: Queries) -> Answer:
    """Move every query to its nearest pixel; no answer before it. Resized by OpenCV's INTER_LINEAR.

    That evaluation measures positions from the corner of the image and uses them as pixels: half a pixel off ours.

    Source: the evaluation of AllTracker (Harley et al. 2025).
    """
    wh = network.config.input_wh
    scale = torch.tensor(wh) / torch.tensor(video.wh)
    frames = np.stack([cv2.resize(frame, wh, interpolation=cv2.INTER_LINEAR) for frame in video.frames])
    small = rearrange(torch.from_numpy(frames), "t h w c -> t c h w")
    tracks, scores = sparse_tracks(network, small, queries.frame, (queries.xy + 0.5) * scale)
    return tracks / scale - 0.5, scores[..., 0], scores[..., 1]


# By the name of the preset, which is also the name of its family of trackers.
PAPER_ANSWERS: dict[str, Callable[[Any, Video, Queries], Answer]] = {
    "locotrack": locotrack_answer,
    "alltracker": alltracker_answer,
}
