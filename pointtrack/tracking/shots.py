"""Finds cuts, where one shot of a video ends and the next begins: points and masks must not be carried across a cut.

PySceneDetect measures how much a frame differs from the previous one. At a cut the difference must also be much
larger than on the latest frames before it, so that a fast camera does not count as a cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import torch
from scenedetect import ContentDetector, FrameTimecode, StatsManager

from pointtrack.checks import check_shape
from pointtrack.types import Video

LOOK_WH = (256, 144)  # frames are compared at this size
THRESHOLD = 15.0
RECENT = 4  # differences between the latest frames that a cut must stand out from
FEWEST = 2  # with fewer known differences, no frame counts as a cut
JUMP = 1.7  # least ratio of a cut's difference to the largest of these


class CutFinder:
    """Finds cuts frame by frame, at once and without looking ahead.

    A single bright flash counts as a cut where it begins, not where it ends. A still picture that jumps counts too; a
    fade or a dissolve does not. The finder misses a cut on frame 1 or 2, as it does not know the motion yet, and one
    within 4 frames of another.

    Args:
        threshold: the least difference between a cut and the previous frame, as the mean over all pixels of the
            change of hue, saturation and brightness, each on OpenCV's scale for bytes. Lower it for dim videos.

    Raises:
        ValueError: the threshold is not positive.

    Source: the difference is `content_val` of PySceneDetect's ContentDetector, the default threshold that of its
    AdaptiveDetector, which compares with frames on both sides and so has to wait for them.

    >>> finder = CutFinder()
    >>> dark, light = (np.full((90, 160, 3), value, np.uint8) for value in (20, 230))
    >>> [finder.push(frame) for frame in (dark, dark, dark, light, light)]
    [False, False, False, True, False]
    """

    def __init__(self, *, threshold: float = THRESHOLD) -> None:
        if not threshold > 0:
            raise ValueError(f"threshold: expected a difference above 0, got {threshold}")
        self.threshold = threshold
        self._detector = ContentDetector(min_scene_len=0)
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._latest: np.ndarray | None = None  # frame, reduced
        self._frames = 0

    def push(self, frame: np.ndarray) -> bool:
        """Whether a new shot begins with this frame, (h, w, 3) uint8 RGB. Raises ValueError for anything else."""
        check_shape(frame, "h w 3", "frame")
        if frame.dtype != np.uint8 or 0 in frame.shape:
            raise ValueError(f"frame: expected uint8 values 0..255, got {frame.dtype} {tuple(frame.shape)}")
        difference = self._differs(cv2.resize(frame, LOOK_WH, interpolation=cv2.INTER_AREA))
        if self._frames == 1:
            return False
        cut = (
            len(self._recent) >= FEWEST
            and difference >= self.threshold
            and difference > JUMP * max(self._recent)
        )
        self._recent.append(difference)
        return cut

    def state_dict(self) -> dict[str, Any]:
        """All that `from_state_dict` needs to continue exactly from here: a tensor and plain values, for `torch.save`."""
        latest = None if self._latest is None else torch.from_numpy(self._latest)
        kept = {"threshold": self.threshold, "frames": self._frames}
        return {**kept, "recent": list(self._recent), "latest": latest}

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> CutFinder:
        """The finder as it was when `state` was saved; push the frame that followed."""
        finder = cls(threshold=state["threshold"])
        finder._recent.extend(state["recent"])
        if state["latest"] is not None:
            finder._frames = state["frames"] - 1
            finder._differs(state["latest"].numpy())  # the next frame is compared with it
        return finder

    def _differs(self, small: np.ndarray) -> float:
        """The difference between the next frame, of the size `LOOK_WH`, and the previous one."""
        # The statistics are the detector's public access to the difference; new ones, as they grow with the video.
        self._detector.stats_manager = statistics = StatsManager()
        now = FrameTimecode(self._frames, fps=1.0)
        self._detector.process_frame(now, cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        self._latest = small
        self._frames += 1
        return float(statistics.get_metrics(now, [ContentDetector.FRAME_SCORE_KEY])[0] or 0.0)


def find_cuts(video: Video | Iterable[np.ndarray], *, threshold: float = THRESHOLD) -> list[int]:
    """Frames on which a new shot begins, in order, without the first frame of the video.

    Args:
        video: a video, or frames (h, w, 3) uint8 RGB one after the other.
        threshold: see `CutFinder`.

    Raises:
        ValueError: a threshold that is not positive, or frames of another kind.
    """
    finder = CutFinder(threshold=threshold)
    frames = video.frames if isinstance(video, Video) else video
    return [number for number, frame in enumerate(frames) if finder.push(frame)]
