"""Tracks and masks as objects of other libraries: pandas, supervision, movement. They are imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from pointtrack.types.point_states import PointState
from pointtrack.types.source import Source

if TYPE_CHECKING:
    from pointtrack.types.masks import Masks
    from pointtrack.types.tracks import Tracks


def _library(package: str, call: str) -> Any:
    """Import a package. Raises ImportError, with what to install, if it is missing."""
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ImportError(
            f"{call}: expected the package {package}, not installed here: pip install {package}"
        ) from error


def _row_of(rows: Tracks | Masks, frame: int) -> int:
    """The row of a frame. Raises ValueError if there is none."""
    first, last = rows.first_frame, rows.first_frame + len(rows) - 1
    if not first <= frame <= last:
        raise ValueError(f"frame: expected one of {first}..{last}, got {frame}")
    return frame - first


def columns_of(tracks: Tracks) -> dict[str, Any]:
    """The columns of a long table, a value per frame and point, frame by frame; x and y are NaN where not tracked."""
    t, n = tracks.visibility.shape
    frame = tracks.first_frame + np.arange(t)
    columns: dict[str, Any] = {
        "frame": frame.repeat(n),
        "time": tracks.seconds().repeat(n),
        "id": np.tile(tracks.ids.numpy(), t),
        "name": np.tile(np.array(tracks.queries.labels(), dtype=object), t),
        "x": tracks.xy[..., 0].numpy().ravel(),
        "y": tracks.xy[..., 1].numpy().ravel(),
        "visibility": tracks.visibility.numpy().ravel(),
        "confidence": tracks.confidence.numpy().ravel(),
        "visible": tracks.visible().numpy().ravel(),
    }
    if tracks.sources is not None:
        words = np.array([source.name.lower() for source in Source], dtype=object)
        columns["source"] = words[tracks.sources.numpy().ravel()]
    if tracks.states is not None:
        words = np.array([state.name.lower() for state in PointState], dtype=object)
        states = tracks.states
        columns |= {
            "state": words[states.state.numpy().ravel()],
            "similarity": states.similarity.numpy().ravel(),
            "times_redetected": states.times_redetected.numpy().ravel(),
            "raw_x": states.raw_xy[..., 0].numpy().ravel(),
            "raw_y": states.raw_xy[..., 1].numpy().ravel(),
            "raw_visibility": states.raw_visibility.numpy().ravel(),
        }
    return columns


def to_pandas(tracks: Tracks) -> Any:
    """A long table: see `Tracks.to_pandas`."""
    pd = _library("pandas", "Tracks.to_pandas")
    return pd.DataFrame(columns_of(tracks))


def to_keypoints(tracks: Tracks, frame: int) -> Any:
    """One frame for supervision: see `Tracks.to_supervision`."""
    sv = _library("supervision", "Tracks.to_supervision")
    row = _row_of(tracks, frame)
    known = tracks.tracked()[row].numpy()
    names = np.array(tracks.queries.labels(), dtype=object)[known]
    visibility = tracks.visibility[row].numpy()[known]
    return sv.KeyPoints(
        xy=tracks.xy[row].numpy()[known][:, None],
        keypoint_confidence=visibility[:, None],
        visible=tracks.visible()[row].numpy()[known][:, None],
        data={"id": tracks.ids.numpy()[known], "name": names},
    )


def to_movement(tracks: Tracks, individual: str) -> Any:
    """A data set of poses: see `Tracks.to_movement`."""
    xr = _library("xarray", "Tracks.to_movement")
    known = tracks.tracked().numpy()
    position = np.moveaxis(tracks.xy.double().numpy(), 1, 2)[..., None]  # time, space, keypoints, individuals
    confidence = np.where(known, tracks.visibility.double().numpy(), np.nan)[..., None]
    return xr.Dataset(
        {
            "position": (("time", "space", "keypoints", "individuals"), position),
            "confidence": (("time", "keypoints", "individuals"), confidence),
        },
        coords={
            "time": tracks.seconds(),
            "space": ["x", "y"],
            "keypoints": tracks.queries.labels(),
            "individuals": [individual],
        },
        attrs={
            "source_software": "pointtrack",
            "ds_type": "poses",
            "fps": tracks.fps,
            "time_unit": "seconds",
        },
    )


def to_detections(masks: Masks, frame: int) -> Any:
    """One frame for supervision: see `Masks.to_supervision`."""
    sv = _library("supervision", "Masks.to_supervision")
    row = _row_of(masks, frame)
    here = masks.present()[row].numpy()
    pictures = masks.masks[row].numpy()[here]
    names = np.array([name or "object" for name in masks.names] or ["object"] * len(here), dtype=object)
    classes = {name: i for i, name in enumerate(dict.fromkeys(names.tolist()))}
    return sv.Detections(
        xyxy=sv.mask_to_xyxy(pictures) if len(pictures) else np.zeros((0, 4)),
        mask=pictures,
        confidence=masks.scores[row].numpy()[here],
        class_id=np.array([classes[name] for name in names[here]], dtype=int),
        tracker_id=masks.object_ids.numpy()[here],
        data={"class_name": names[here]},
    )
