"""The models of a server, loaded once and shared by all projects."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.engine import Engine
from pointtrack.objects.point_engine import PointEngine
from pointtrack.objects.video_engine import VideoEngine
from pointtrack.segment.video_zoo import load_video_model
from pointtrack.segment.zoo import load_segmenter
from pointtrack.zoo import load_tracker


@dataclass
class Models:
    """The models by their usual names, each loaded when it is first needed.

    Args:
        tracker: tracker for points, as `load_tracker` takes it.
        segmenter: segmenter for objects, as `load_segmenter` takes it.
        engine: follows objects with SAM 2 alone, as `load_video_engine` takes it; None follows them with points and the
            segmenter.
        device: cpu, cuda, mps, or auto.
        precision: precision of tracker and segmenter, float32 or bfloat16.
        looks: looks of the tracker: 1, or 2 to see every frame mirrored and larger too.
    """

    tracker: str = "small"
    segmenter: str = "small"
    engine: str | None = None
    device: str = "auto"
    precision: str = "float32"
    looks: int = 1
    _tracker: PointTracker | None = field(default=None, repr=False)
    _make_engine: Callable[[], Engine] | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def load_tracker(self) -> PointTracker:
        """The tracker. Raises as `load_tracker`."""
        with self._lock:
            if self._tracker is None:
                self._tracker = load_tracker(
                    self.tracker, device=self.device, precision=self.precision, looks=self.looks
                )
            return self._tracker

    def new_engine(self) -> Engine:
        """A new engine for one project, as it holds data of one video. Raises as `load_segmenter`."""
        tracker = self.load_tracker()
        with self._lock:
            if self._make_engine is None:
                if self.engine is not None:
                    model = load_video_model(self.engine, device=self.device)
                    self._make_engine = lambda: VideoEngine(model)
                else:
                    segmenter = load_segmenter(self.segmenter, device=self.device, precision=self.precision)
                    self._make_engine = lambda: PointEngine(tracker, segmenter)
            return self._make_engine()
