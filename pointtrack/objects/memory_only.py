"""Propagates masks through a video by memory alone, without points and without a segmenter."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from pointtrack.geometry import resize_frames
from pointtrack.models.object_keys import KEY_STRIDE
from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.memory import MemoryConfig, ObjectMemory
from pointtrack.objects.point_prompts import KnownMask
from pointtrack.tracking.window_stream import model_wh
from pointtrack.types import Video
from pointtrack.types.masks import Masks

Features = Callable[[np.ndarray], Tensor]  # (h, w, 3) uint8 RGB frame -> (c, h', w')


def tracker_features(tracker: PointTracker, level: int | None = None) -> Features:
    """A function from a frame to a tracker's features, as keys for the memory.

    Args:
        tracker: from `load_tracker`.
        level: as in `PointTracker.read_level`; by default the appearance level with cells of KEY_STRIDE pixels of its
            input. Finer cells give finer masks, and time grows with the square of their number.

    Raises:
        ValueError: a level that the tracker does not have.
    """
    finest, coarsest = 0, tracker.appearance_level(KEY_STRIDE)
    level = coarsest if level is None else level
    if not finest <= level <= coarsest:
        raise ValueError(f"level: expected {finest}..{coarsest}, got {level}")
    device = next(tracker.parameters()).device

    @torch.inference_mode()
    def features(frame: np.ndarray) -> Tensor:
        pixels = rearrange(torch.from_numpy(np.ascontiguousarray(frame)).to(device), "h w c -> 1 c h w")
        wh = model_wh((frame.shape[1], frame.shape[0]), tracker.config)
        resized = resize_frames(pixels, wh, tracker.config.resize_rule)
        return rearrange(tracker.read_level(tracker.encode(resized[None]), level), "1 1 h w c -> c h w")

    return features


def propagate_masks(
    video: Video,
    given: Mapping[int, KnownMask],
    features: Features,
    *,
    backward: bool = False,
    config: MemoryConfig | None = None,
) -> Masks:
    """Carry masks of objects through the video, each from the frame on which it is given.

    Every object has a memory of its own, which starts with its frame. If two objects claim a pixel, the one whose
    memory is more certain gets it.

    Args:
        video: the frames.
        given: object id (1 or more) -> where it starts.
        features: of frames, `tracker_features` or a segmenter's.
        backward: also go from that frame back to the first one; otherwise the object is absent before.
        config: of the memories.

    Returns:
        Masks without overlaps, objects in the order of their ids. The score of an object is its mean share
        (`Recollection.share`) over its mask; 0 where it is absent.

    Raises:
        ValueError: no object, a frame that the video does not have, or a mask that is empty or of another size.
    """
    _check(video, given)
    ids = sorted(given)
    masks = torch.zeros(len(video), len(ids), video.wh[1], video.wh[0], dtype=torch.bool)
    scores = torch.zeros(len(video), len(ids))
    ways = [range(min(given[i].frame for i in ids), len(video))]
    if backward:
        ways.append(range(max(given[i].frame for i in ids), -1, -1))
    for frames in ways:
        memories: dict[int, ObjectMemory] = {}
        for frame in frames:
            seen = features(video.frames[frame])
            found = torch.zeros(len(ids), video.wh[1], video.wh[0])
            for o, number in enumerate(ids):
                if number in memories:
                    share = memories[number].read(seen).share
                    found[o] = F.interpolate(share[None].cpu(), masks.shape[2:], mode="bilinear")[0, 0]
                elif frame == given[number].frame:
                    found[o] = given[number].mask.float()
            claimed = (found == found.amax(0)) & (found > 0.5)
            for o, number in enumerate(ids):
                if number in memories:
                    memories[number].add(frame, seen, claimed[o : o + 1])
                elif frame == given[number].frame:
                    memories[number] = ObjectMemory(1, config)
                    claimed[o] = given[number].mask
                    memories[number].add(frame, seen, claimed[o : o + 1], given=True)
                else:
                    continue
                masks[frame, o] = claimed[o]
                scores[frame, o] = found[o][claimed[o]].mean() if claimed[o].any() else 0.0
    return Masks(masks, torch.tensor(ids), scores, fps=video.fps)


def _check(video: Video, given: Mapping[int, KnownMask]) -> None:
    if not given:
        raise ValueError("given: expected at least one object with its mask, got none")
    for number, start in given.items():
        start.check(video, number)
