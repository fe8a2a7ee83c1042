"""Tracks in the format CVAT for video 1.1: an .xml file to upload to a task of the same video."""

from __future__ import annotations

import itertools
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np
import torch

from pointtrack.geometry import inside_image
from pointtrack.io.formats.text import size_needed, tracks_of
from pointtrack.io.outside import check_memory
from pointtrack.types import Tracks
from pointtrack.types.point_states import PointState

VERSION = "1.1"
LABEL = "point"  # of points without names
TOLERANCE = 0.5  # pixels by which a point may leave the straight line between two keyframes


def write(path: Path, tracks: Tracks) -> None:
    """Write a track of single points for each point, labelled with its name.

    A point that is not visible is `occluded`. A point that lies outside the image, is lost (see `Tracks.states`),
    or is no longer tracked is `outside`. CVAT draws straight lines between keyframes, so there are only as many as
    keep every position to half a pixel: where a person corrected, where a point begins, ends, hides or comes out,
    and where it turns. The positions between them are written too, not marked as keyframes. A track that a person
    corrected has the source semi-auto.
    """
    root = Element("annotations")
    SubElement(root, "version").text = VERSION
    _write_meta(root, tracks)
    xy, known = tracks.xy.double().numpy(), tracks.tracked().numpy()
    inside, visible = tracks.in_frame().numpy(), tracks.visible().numpy()
    if tracks.states is not None:  # the position of a lost point is unknown
        inside &= (tracks.states.state != PointState.LOST).numpy()
    edge = np.array(tracks.wh) - 0.5
    corrected = tracks.corrected().numpy()
    for n, (point, label) in enumerate(zip(tracks.ids.tolist(), _labels(tracks), strict=True)):
        source = "semi-auto" if corrected[:, n].any() else "auto"
        track = SubElement(root, "track", id=str(point), label=label, source=source)
        flags = np.stack([known[:, n], inside[:, n], visible[:, n]], axis=1)
        keys = _keyframes(xy[:, n], flags, corrected[:, n])
        for t in range(len(tracks)):
            frame = tracks.first_frame + t
            if known[t, n]:
                _write_point(track, frame, xy[t, n], not inside[t, n], not visible[t, n], bool(keys[t]))
            elif t and known[t - 1, n]:
                # Inside the image, so that nobody takes it for a point that was followed out of it.
                last = np.clip(xy[t - 1, n], -0.5, edge)
                _write_point(track, frame, last, True, True, True)
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _labels(tracks: Tracks) -> list[str]:
    """The label of every point: its name, and the same for all that have none."""
    return [name or LABEL for name in tracks.queries.names or [""] * len(tracks.ids)]


def _keyframes(xy: np.ndarray, flags: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(t,) bool of one point: where its flags change or a key is wanted, and what straight lines need in between.

    Source: Douglas and Peucker 1973, with the line's position at the same time instead of its nearest position.
    """
    keys = wanted.copy()
    keys[0] = keys[-1] = True
    keys[1:] |= (flags[1:] != flags[:-1]).any(axis=1)
    keys[:-1] |= flags[:-1, 0] & ~flags[1:, 0]  # the last frame with a known position
    spans = list(itertools.pairwise(np.flatnonzero(keys).tolist()))
    while spans:
        first, last = spans.pop()
        if last - first < 2 or not flags[first, 0] or not flags[last, 0]:
            continue
        share = np.arange(1, last - first)[:, None] / (last - first)
        off = np.linalg.norm(xy[first + 1 : last] - (1 - share) * xy[first] - share * xy[last], axis=1)
        if off.max() > TOLERANCE:
            middle = first + 1 + int(off.argmax())
            keys[middle] = True
            spans += [(first, middle), (middle, last)]
    return keys


def _write_meta(root: Element, tracks: Tracks) -> None:
    task = SubElement(SubElement(root, "meta"), "task")
    last = tracks.first_frame + len(tracks) - 1
    for name, value in (
        ("size", len(tracks)),
        ("mode", "interpolation"),
        ("start_frame", tracks.first_frame),
        ("stop_frame", last),
    ):
        SubElement(task, name).text = str(value)
    labels = SubElement(task, "labels")
    for name in dict.fromkeys(_labels(tracks)):
        label = SubElement(labels, "label")
        SubElement(label, "name").text = name
        SubElement(label, "type").text = "points"
        SubElement(label, "attributes")
    size = SubElement(task, "original_size")
    for name, side in zip(("width", "height"), tracks.wh, strict=True):
        SubElement(size, name).text = str(side)


def _write_point(
    track: Element, frame: int, xy: np.ndarray, outside: bool, occluded: bool, is_key: bool
) -> None:
    # CVAT counts from the outer corner of the image, so the centre of the first pixel is at 0.5.
    SubElement(
        track,
        "points",
        frame=str(frame),
        keyframe=str(int(is_key)),
        outside=str(int(outside)),
        occluded=str(int(occluded)),
        points=",".join(f"{value + 0.5:.4f}" for value in xy),
        z_order="0",
    )


def read(path: Path, wh: tuple[int, int] | None, fps: float) -> Tracks:
    """Read tracks of single points; tracks of other shapes are refused, frames without an entry are not tracked."""
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"it is not XML: {error}") from error
    if root.tag != "annotations" or root.findtext("version") != VERSION:
        raise ValueError(f"it is not annotations of CVAT {VERSION}")
    width, height = root.findtext(".//original_size/width"), root.findtext(".//original_size/height")
    size = (int(width), int(height)) if width and height else size_needed(wh)
    found = root.findall("track")
    frames = [int(shape.get("frame", "")) for track in found for shape in track]
    if not frames:
        raise ValueError("it holds no tracks")
    first = min([int(root.findtext(".//task/start_frame") or min(frames)), *frames])
    last = max([int(root.findtext(".//task/stop_frame") or max(frames)), *frames])
    check_memory(80 * (last - first + 1) * len(found), "tracks")
    xy = np.full((last - first + 1, len(found), 2), np.nan)
    visible = np.zeros(xy.shape[:2])
    for n, track in enumerate(found):
        for shape in track:
            if shape.tag != "points" or ";" in shape.get("points", ""):
                raise ValueError(f"track {track.get('id')}: expected single points, got {shape.tag}")
            place = np.array([float(value) - 0.5 for value in shape.get("points", "").split(",")])
            row, outside = int(shape.get("frame", "")) - first, shape.get("outside") == "1"
            if outside and bool(inside_image(torch.from_numpy(place), size)):
                continue
            xy[row, n] = place
            visible[row, n] = not outside and shape.get("occluded") != "1"
    ids = [int(track.get("id") or n) for n, track in enumerate(found)]
    names = ["" if track.get("label") == LABEL else track.get("label", "") for track in found]
    return tracks_of(xy, visible, visible, ids=ids, wh=size, fps=fps, first_frame=first, names=names)
