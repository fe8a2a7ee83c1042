"""Tracks as SLEAP labels, .slp, through sleap-io; the points are the nodes of one skeleton."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointtrack.io.formats.needs import require
from pointtrack.io.formats.text import size_needed, tracks_of
from pointtrack.io.outside import check_memory
from pointtrack.types import Source, Tracks

PROVENANCE = "pointtrack"


def write(path: Path, tracks: Tracks) -> None:
    """Write a predicted instance on every frame, and a user instance too on frames that a person corrected.

    Scores are the visibilities; a node is `visible` where its point is. In user instances, the nodes that a person
    placed are marked `complete`, as SLEAP marks checked nodes.
    """
    require("sleap_io", ".slp")
    import sleap_io as sio

    names = tracks.queries.labels()
    skeleton = sio.Skeleton(names, name="pointtrack")
    w, h = tracks.wh
    last = tracks.first_frame + len(tracks)
    video = sio.Video(
        filename="video.mp4",
        open_backend=False,
        backend_metadata={"shape": [last, h, w, 3], "fps": tracks.fps},
    )
    owner = sio.Track("pointtrack")
    visible, corrected = tracks.visible().numpy(), tracks.corrected().numpy()
    frames = []
    for t in range(len(tracks)):
        xy, scores = tracks.xy[t].double().numpy(), tracks.visibility[t].double().numpy()
        known = np.isfinite(xy).all(axis=-1)
        predicted = sio.PredictedInstance.from_numpy(
            xy, skeleton, point_scores=scores, score=float(tracks.confidence[t][known].mean()) if known.any() else 0.0,
            track=owner,
        )  # fmt: skip
        predicted.points["visible"] = visible[t]
        found: list[Any] = [predicted]
        if corrected[t].any():
            user = sio.Instance.from_numpy(xy, skeleton, track=owner, from_predicted=predicted)
            user.points["visible"], user.points["complete"] = visible[t], corrected[t]
            found.append(user)
        frames.append(sio.LabeledFrame(video=video, frame_idx=tracks.first_frame + t, instances=found))
    labels = sio.Labels(frames, videos=[video], skeletons=[skeleton], tracks=[owner])
    labels.provenance[PROVENANCE] = {"ids": tracks.ids.tolist(), "fps": tracks.fps}
    sio.save_slp(labels, str(path), verbose=False)


def read(path: Path, wh: tuple[int, int] | None, fps: float) -> Tracks:
    """Read the instances of one animal; user instances take precedence over predicted ones."""
    require("sleap_io", ".slp")
    import sleap_io as sio

    labels = sio.load_slp(str(path), open_videos=False)
    if len(labels.skeletons) != 1 or not len(labels):
        raise ValueError(f"it holds {len(labels.skeletons)} skeletons and {len(labels)} frames")
    names = labels.skeletons[0].node_names
    frames = [frame.frame_idx for frame in labels.labeled_frames]
    first, count = min(frames), max(frames) - min(frames) + 1
    check_memory(80 * count * len(names), "tracks")
    xy = np.full((count, len(names), 2), np.nan)
    seen, sources = np.zeros((count, len(names))), np.zeros((count, len(names)), np.uint8)
    for frame in labels.labeled_frames:
        row = frame.frame_idx - first
        # Predicted instances first, so that a user instance overwrites them.
        for instance in sorted(frame.instances, key=lambda one: not isinstance(one, sio.PredictedInstance)):
            points = instance.points
            there = np.isfinite(points["xy"]).all(axis=-1)
            if isinstance(instance, sio.PredictedInstance):
                seen[row, there], sources[row, there] = points["score"][there], Source.MODEL
            else:
                said = there & points["complete"] if points["complete"].any() else there
                seen[row, said], sources[row, said] = points["visible"][said], Source.PERSON
            xy[row, there] = points["xy"][there]
    about = labels.provenance.get(PROVENANCE, {})
    shape = labels.videos[0].shape if labels.videos else None
    size = (int(shape[2]), int(shape[1])) if shape is not None and shape[2] else size_needed(wh)
    ids = [int(point) for point in about.get("ids", range(len(names)))]
    tracks = tracks_of(
        xy, seen, seen, ids=ids, wh=size, fps=float(about.get("fps", fps)), first_frame=first, names=names
    )
    places = [ids.index(point) for point in tracks.ids.tolist()]
    return Tracks(
        tracks.xy, tracks.visibility, tracks.confidence, tracks.queries, tracks.wh, first, tracks.fps,
        sources=torch.from_numpy(sources[:, places]),
    )  # fmt: skip
