"""Tracks as a Rerun recording, .rrd: `rerun FILE` shows the points moving, over the video if it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pointtrack.io.formats.needs import require
from pointtrack.io.formats.text import known_places
from pointtrack.types import PointState, Source, Tracks, Video


def write(path: Path, tracks: Tracks, video: Video | None) -> None:
    """Write the timelines `frame` and `time`; per point `video/points/NAME` with its position, and its visibility,
    confidence, source and state as values beside it. Pixels count from the outer corner of the image, as in Rerun."""
    require("rerun", ".rrd")
    import rerun as rr

    recording = rr.RecordingStream("pointtrack")
    recording.save(str(path))
    frames = tracks.first_frame + np.arange(len(tracks))
    indexes = [
        rr.TimeColumn("frame", sequence=frames),
        rr.TimeColumn("time", duration=tracks.seconds()),
    ]
    if video is not None:
        pictures = [
            cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1].tobytes()
            for frame in video.frames[tracks.first_frame : tracks.first_frame + len(tracks)]
        ]
        media = ["image/jpeg"] * len(pictures)
        columns = rr.EncodedImage.columns(blob=pictures, media_type=media)
        recording.send_columns("video", indexes=indexes, columns=[*columns])
    known = known_places(tracks)
    for n, label in enumerate(tracks.queries.labels()):
        entity = f"video/points/{rr.escape_entity_path_part(label)}"
        there = known[:, n]
        fields = rr.Points2D.from_fields(labels=[label], show_labels=False)
        recording.log(entity, fields, static=True)
        places = tracks.xy[:, n].numpy()[there] + 0.5
        recording.send_columns(
            entity,
            indexes=indexes,
            columns=[*rr.Points2D.columns(positions=places).partition(there.astype(int))],
        )
        values: dict[str, Any] = {
            "visibility": tracks.visibility[:, n].numpy(),
            "confidence": tracks.confidence[:, n].numpy(),
        }
        if tracks.sources is not None:
            values["source"] = [Source(value).name.lower() for value in tracks.sources[:, n].tolist()]
        if tracks.states is not None:
            values["state"] = [PointState(value).name.lower() for value in tracks.states.state[:, n].tolist()]
        recording.send_columns(entity, indexes=indexes, columns=[*rr.AnyValues.columns(**values)])
    recording.flush()
    recording.disconnect()
