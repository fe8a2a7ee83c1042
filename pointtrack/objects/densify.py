"""From tracked points to masks: points prompt a segmenter, and the points say which of its answers to believe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pointtrack.masks import Masks
from pointtrack.models.tracker import PointTracker
from pointtrack.objects.memory import ObjectMemory
from pointtrack.objects.prompts import (
    GivenMask,
    agreement,
    nearest_others,
    overlap,
    read_mask,
    spread_points,
)
from pointtrack.predict import track
from pointtrack.segment.base import Embedding, Prompt, Segmenter
from pointtrack.types import Queries, Tracks, Video

HORIZON = 48  # frames through which points taken from a mask are tracked
Progress = Callable[[int], None]


@dataclass(frozen=True)
class DensifyConfig:
    """How points become masks.

    Attributes:
        positives, negatives: the most points of the object, and of others, in a prompt.
        rounds: of prompting; every one after the first also gives the mask of the one before.
        visible, confident: a point counts on a frame above these.
        present: the agreement of mask and points (`prompts.agreement`) from which an object counts as there.
        steady: weight of the overlap with the mask before, moved along with the points, when choosing
            among a segmenter's candidates.
        strikes: frames in a row on which a visible point may be outside the mask of its object before it is
            dropped for good.
        reseed_below: with fewer usable points, new ones are taken from the mask (needs a tracker).
        reseed_to: number of points after that.
        sure: agreement from which a mask may drop points, give new ones, and be remembered.
        prior: weight of what the memory says of each pixel (`memory.ObjectMemory` on the segmenter's
            features), as logits added to the segmenter's.
    """

    positives: int = 8
    negatives: int = 8
    rounds: int = 2
    visible: float = 0.5
    confident: float = 0.25
    present: float = 0.4
    steady: float = 0.5
    strikes: int = 3
    reseed_below: int = 5
    reseed_to: int = 12
    sure: float = 0.7
    prior: float = 1.0

    def __post_init__(self) -> None:
        for name, least in (("positives", 1), ("negatives", 0), ("rounds", 1), ("strikes", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"densify {name}: expected {least} or more, got {getattr(self, name)}")


def segment_tracks(
    video: Video,
    tracks: Tracks,
    segmenter: Segmenter,
    *,
    objects: Any = None,
    given: Mapping[int, GivenMask] | None = None,
    tracker: PointTracker | None = None,
    config: DensifyConfig | None = None,
    progress: Progress | None = None,
) -> Masks:
    """Masks of objects from points tracked on them.

    Frame by frame, starting where most points are seen: some points of the object that cover it, and some of
    others around it, prompt the segmenter; a memory of the object's looks corrects its candidates, and the one is
    kept that agrees best with all points and with the mask before.

    Args:
        video: the frames.
        tracks: points through all of these frames.
        segmenter: from `load_segmenter`.
        objects: (n,) whole numbers, which object each point is on; 0 for the background. All on object 1 if
            not given.
        given: masks that are known, by object: taken as they are, remembered, and where the work starts.
        tracker: lets new points be taken from the masks when too few are left, as when the object turns.
        config: how; see there.
        progress: called with the number of frames done since the last call.

    Returns:
        Masks (t, o, h, w), objects in the order of their numbers. Where no point of an object is seen, or no mask
        agrees with the points, the object is absent: an empty mask and score 0.

    Raises:
        ValueError: tracks of another length or frame size than the video, not one object number per point, no
            object at all, or a given mask that does not fit the video or the objects.
    """
    if len(tracks) != len(video) or tracks.wh != video.wh:
        raise ValueError(
            f"tracks: expected {len(video)} frames of {video.wh} as the video, got {len(tracks)} of {tracks.wh}"
        )
    number = torch.ones(len(tracks.queries)) if objects is None else torch.as_tensor(objects)
    if number.shape != (len(tracks.queries),) or bool((number != number.round()).any() | (number < 0).any()):
        raise ValueError(
            f"objects: expected a whole number from 0 on for each of {len(tracks.queries)} points, "
            f"got {number.tolist()[:5]} of shape {tuple(number.shape)}"
        )
    ids = number.long()[number > 0].unique()
    if not len(ids):
        raise ValueError("objects: expected points of at least one object, got only background")
    for owner, mask in (given or {}).items():
        if owner not in ids.tolist():
            raise ValueError(
                f"given: expected masks of the objects {ids.tolist()}, got one of object {owner}"
            )
        mask.check(video, owner)
    run = _Densifier(video, tracks, number.long(), segmenter, tracker, config or DensifyConfig())
    return run.run(ids, given or {}, progress or (lambda done: None))


@dataclass
class _Object:
    """What is known of an object as the frames go by.

    Attributes:
        mask, frame: the last mask that was believed and its frame.
        strikes: (n,) frames in a row that each point was outside the mask.
        memory: what it and its surroundings looked like.
    """

    mask: Tensor | None = None
    frame: int = -1
    strikes: Tensor = field(default_factory=lambda: torch.zeros(0))
    memory: ObjectMemory = field(default_factory=lambda: ObjectMemory(1))


def _seen(embedding: Embedding, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Features and the mask (1, h, w) of the same area, for the memory: the grid may reach beyond the frame."""
    right = round(embedding.extent_wh[0]) - mask.shape[1]
    below = round(embedding.extent_wh[1]) - mask.shape[0]
    return embedding.features, F.pad(mask[None].float(), (0, max(right, 0), 0, max(below, 0)))


class _Densifier:
    """One run of `segment_tracks`; points may be dropped and added as it goes."""

    def __init__(
        self,
        video: Video,
        tracks: Tracks,
        number: Tensor,
        segmenter: Segmenter,
        tracker: PointTracker | None,
        config: DensifyConfig,
    ):
        self.video, self.segmenter, self.tracker, self.config = video, segmenter, tracker, config
        self.xy = tracks.xy
        self.usable = _usable(tracks, config)
        self.number = number

    def run(self, ids: Tensor, given: Mapping[int, GivenMask], progress: Progress) -> Masks:
        """All frames: from a given mask, or where most points are seen, to the end; then from there back."""
        frames, (w, h) = len(self.video), self.video.wh
        masks = torch.zeros(frames, len(ids), h, w, dtype=torch.bool)
        scores = torch.zeros(frames, len(ids))
        most_seen = int((self.usable & (self.number > 0)).sum(1).argmax())
        start = min((mask.frame for mask in given.values()), default=most_seen)
        states = [_Object() for _ in ids]
        for order in (range(start, frames), range(start - 1, -1, -1)):
            for frame in order:
                embedding = self.segmenter.encode(self.video.frames[frame])
                for o, number in enumerate(ids.tolist()):
                    state = states[o]
                    if number in given and given[number].frame == frame:
                        mask, score = given[number].mask, 1.0
                        state.memory.add(frame, *_seen(embedding, mask), given=True)
                    else:
                        mask, score = self._segment(embedding, frame, number, state)
                        if score >= self.config.sure:
                            state.memory.add(frame, *_seen(embedding, mask))
                    masks[frame, o], scores[frame, o] = mask, score
                    if score > 0:
                        self._learn(mask, frame, number, state, score, order.step)
                progress(1)
            # Backward goes on from the mask of the first frame, not from that of the last.
            for o, state in enumerate(states):
                state.mask, state.frame = (masks[start, o], start) if scores[start, o] > 0 else (None, -1)
        return Masks(masks, ids, scores, fps=self.video.fps)

    def _segment(self, embedding: Embedding, frame: int, number: int, state: _Object) -> tuple[Tensor, float]:
        """Mask and score of an object on a frame; empty and 0 where it is absent."""
        config, usable = self.config, self.usable[frame]
        own = self.xy[frame, usable & (self.number == number)]
        others = self.xy[frame, usable & (self.number != number)]
        absent = torch.zeros(self.video.wh[1], self.video.wh[0], dtype=torch.bool), 0.0
        if not len(own):
            return absent
        before, remembered = self._moved(frame, number, state), self._remembered(embedding, state)
        near = nearest_others(own, others, config.negatives)
        asked = own if before is None else _believed(own, before)
        points = torch.cat([asked[spread_points(asked, config.positives)], others[near]])
        labels = torch.arange(len(points)) < len(points) - len(near)
        low = None
        best: tuple[float, Tensor, float] | None = None
        for _ in range(config.rounds):
            candidates = self.segmenter.decode(embedding, Prompt(points, labels, None, low), several=True)
            for i, logits in enumerate(candidates.logits.float().cpu() + remembered):
                mask = pieces_with(logits > 0, asked)
                agrees = agreement(mask, own, others[near])
                value = agrees + 0.5 * float(candidates.scores[i])
                if before is not None:
                    value += config.steady * overlap(mask, before)
                if mask.any() and (best is None or value > best[0]):
                    best, low = (value, mask, agrees), candidates.low[i]
        if best is None or best[2] < config.present:
            return absent
        return best[1], min(max(best[2], 0.0), 1.0)

    def _remembered(self, embedding: Embedding, state: _Object) -> Tensor:
        """(h, w) logits of what the memory says of every pixel; 0 where it holds nothing yet."""
        w, h = self.video.wh
        if not len(state.memory) or not self.config.prior:
            return torch.zeros(h, w)
        share = state.memory.read(embedding.features).share
        size = (round(embedding.extent_wh[1]), round(embedding.extent_wh[0]))
        whole = F.interpolate(share[None].float().cpu(), size, mode="bilinear")[0, 0, :h, :w]
        return self.config.prior * torch.logit(whole.clamp(0.02, 0.98))

    def _moved(self, frame: int, number: int, state: _Object) -> Tensor | None:
        """The last mask, moved as its points have moved since."""
        if state.mask is None:
            return None
        both = self.usable[frame] & self.usable[state.frame] & (self.number == number)
        if not both.any():
            return None
        dx, dy = (self.xy[frame, both] - self.xy[state.frame, both]).median(dim=0).values.tolist()
        shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        moved = cv2.warpAffine(
            state.mask.numpy().astype(np.uint8), shift, self.video.wh, flags=cv2.INTER_NEAREST
        )
        return torch.from_numpy(moved > 0)

    def _learn(
        self, mask: Tensor, frame: int, number: int, state: _Object, score: float, direction: int
    ) -> None:
        """Take a mask as the last one; if it is sure, drop points that keep leaving it, add points if few are left."""
        state.mask, state.frame = mask, frame
        if score < self.config.sure:
            return
        own = self.usable[frame] & (self.number == number)
        outside = own & ~read_mask(_grown(mask), torch.nan_to_num(self.xy[frame]))
        strikes = torch.zeros(len(own))
        strikes[: len(state.strikes)] = state.strikes
        state.strikes = torch.where(outside, strikes + 1, torch.where(own, 0.0, strikes))
        ahead = slice(frame, None) if direction > 0 else slice(0, frame + 1)
        self.usable[ahead, state.strikes >= self.config.strikes] = False
        left = int((self.usable[frame] & (self.number == number)).sum())
        if self.tracker is not None and left < self.config.reseed_below:
            self._add_points(self.tracker, mask, frame, number, self.config.reseed_to - left, direction)

    def _add_points(
        self, tracker: PointTracker, mask: Tensor, frame: int, number: int, count: int, direction: int
    ) -> None:
        """Track new points of a mask from this frame on, in the direction of work."""
        xy = points_inside(mask, count)
        last = frame + direction * HORIZON
        frames = (
            self.video.frames[frame : last + 1]
            if direction > 0
            else self.video.frames[max(last, 0) : frame + 1]
        )
        piece = Video(frames[::direction], self.video.fps)
        new = track(tracker, piece, Queries(torch.zeros(len(xy)), xy), backward=False)
        rows = torch.arange(len(piece)) * direction + frame
        total = len(self.video)
        self.xy = torch.cat([self.xy, torch.full((total, len(xy), 2), torch.nan)], dim=1)
        self.usable = torch.cat([self.usable, torch.zeros(total, len(xy), dtype=torch.bool)], dim=1)
        self.number = torch.cat([self.number, torch.full((len(xy),), number)])
        self.xy[rows, -len(xy) :] = new.xy
        self.usable[rows, -len(xy) :] = _usable(new, self.config)


def pieces_with(mask: Tensor, xy: Tensor) -> Tensor:
    """The connected pieces of a mask that hold a point: (h, w) bool, (n, 2) points -> (h, w) bool."""
    count, pieces = cv2.connectedComponents(mask.numpy().astype(np.uint8), connectivity=4)
    inside = xy[read_mask(mask, xy)].round().long()
    kept = np.zeros(count, bool)
    kept[pieces[inside[:, 1].numpy(), inside[:, 0].numpy()]] = True
    kept[0] = False
    return torch.from_numpy(kept[pieces])


def points_inside(mask: Tensor, count: int) -> Tensor:
    """Points of a mask that lie well inside it and cover it: (h, w) bool, not empty -> (k, 2) float32, k <= count."""
    depth = cv2.distanceTransform(np.pad(mask.numpy().astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    rows, columns = np.nonzero(depth >= 0.3 * depth.max())
    # A few hundred of the pixels cover it as well as all of them.
    every = max(len(rows) // 400, 1)
    xy = torch.from_numpy(np.stack([columns, rows], axis=-1)[::every]).float()
    return xy[spread_points(xy, count)]


def _grown(mask: Tensor) -> Tensor:
    """A mask and a rim of 2 pixels: points near an outline are not outside for an error of that size."""
    return torch.from_numpy(cv2.dilate(mask.numpy().astype(np.uint8), np.ones((5, 5), np.uint8)) > 0)


def _believed(own: Tensor, before: Tensor) -> Tensor:
    """The points that lie where the object should be by its last mask; all of them if that is less than half."""
    inside = read_mask(_grown(before), own)
    return own[inside] if 2 * int(inside.sum()) >= len(own) else own


def _usable(tracks: Tracks, config: DensifyConfig) -> Tensor:
    """(t, n) bool: the point is seen, sure and inside the frame."""
    return tracks.visible(config.visible) & (tracks.confidence > config.confident) & tracks.in_frame()
