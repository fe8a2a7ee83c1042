"""pointtrack among the trackers of napari-deeplabcut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari_deeplabcut.tracking.core.data import (
    RawModelOutputs,
    TrackingModelInputs,
    TrackingWorkerData,
    TrackingWorkerOutput,
    expand_query_features_over_time,
)
from napari_deeplabcut.tracking.core.models import TrackingModel, register_backbone

import pointtrack as pt
from pointtrack_napari.layers import frames_of, queries_of

NAME = "pointtrack (Apache-2.0)"


@register_backbone(NAME)
class PointtrackBackbone(TrackingModel):
    """The model that ships with pointtrack, as a backbone of napari-deeplabcut's tracking controls.

    Keypoints come and go as rows of a Points layer, (frame, y, x); of a backward run frames come in reversed order.
    """

    name = NAME
    info_text = "pointtrack's small model: code and weights under Apache-2.0, made for CPUs too."
    tracker = "small"

    def load_model(self, device: str) -> pt.Tracker:
        """The tracker."""
        return pt.Tracker(self.tracker, device=device)

    def prepare_inputs(self, cfg: TrackingWorkerData, **kwargs: Any) -> TrackingModelInputs:
        """Frames as (t, h, w, 3) uint8; keypoints as they are."""
        return TrackingModelInputs(
            frames_of(cfg.video),
            np.asarray(cfg.keypoints, dtype=float),
            {"keypoint_range": tuple(cfg.keypoint_range)},
        )

    def run(
        self,
        inputs: TrackingModelInputs,
        progress_callback: Callable[[int, int], None],
        stop_callback: Callable[[], bool],
        **kwargs: Any,
    ) -> RawModelOutputs | None:
        """Track frame by frame; None if it was stopped."""
        total, (height, width) = len(inputs.video), inputs.video.shape[1:3]
        stream = self.model.stream(queries_of(inputs.keypoints), (width, height))
        parts = []
        for number, frame in enumerate(inputs.video):
            if stop_callback():
                return None
            parts.append(stream.push(frame))
            progress_callback(number + 1, total)
        tracks = pt.Tracks.concat([*parts, stream.finish()])
        return RawModelOutputs(tracks.xy.numpy(), {"visibility": tracks.visible().numpy()})

    def prepare_outputs(
        self, model_outputs: RawModelOutputs, worker_inputs: TrackingWorkerData, **kwargs: Any
    ) -> TrackingWorkerOutput:
        """Rows of (frame, y, x), frame by frame, with the features of their keypoints."""
        xy, visible = model_outputs.keypoints, model_outputs.keypoint_features["visibility"]
        if worker_inputs.backward_tracking:
            xy, visible = xy[::-1], visible[::-1]
        frames = np.arange(*worker_inputs.keypoint_range)
        t, n, _ = xy.shape
        rows = np.column_stack([np.repeat(frames, n), xy[..., ::-1].reshape(t * n, 2)])
        features = expand_query_features_over_time(
            worker_inputs.keypoint_features, frame_ids=frames, visibility=visible, tracker_name=self.name
        )
        return TrackingWorkerOutput(keypoints=rows, keypoint_features=features)

    def validate_outputs(
        self, inputs: TrackingModelInputs, outputs: TrackingWorkerOutput
    ) -> tuple[bool, str]:
        """A row for every keypoint on every frame."""
        start, stop = inputs.metadata["keypoint_range"]
        wanted = ((stop - start) * len(inputs.keypoints), 3)
        found = outputs.keypoints.shape
        return found == wanted, "" if found == wanted else f"expected {wanted} numbers, got {found}"


def tracking_controls(viewer: Any) -> Any:
    """The tracking controls of napari-deeplabcut, which offer pointtrack too."""
    from napari_deeplabcut.tracking._widgets import TrackingControls

    return TrackingControls(viewer)
