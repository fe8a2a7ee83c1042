"""The page's view of a project: pictures, masks, tracks and lanes, made small enough to send."""

from __future__ import annotations

import base64
import json
import math
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from pointtrack.types import Tracks
from pointtrack.ui.rle import encode_mask

if TYPE_CHECKING:
    from pointtrack.ui.project import Project

UNKNOWN = 255  # value in a lane
TOP = 250  # value in a lane for full certainty
PIECE = 4096  # frames of tracks to read at a time
MOST_LANES = 60  # most points with a lane of their own
SUGGESTED = 12  # most positions to suggest for a click
MOST_TRACKED_FRAMES = 256  # most frames in one answer
QUALITY = 88
MOST_JPEG_BYTES = 96 * 2**20


class Pictures:
    """Frames as JPEG, with a cache of the latest."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def jpeg(self, project: Project, frame: int, width: int = 0) -> bytes:
        """A frame, at most `width` pixels wide (0: as it is). Raises ValueError for a frame that does not exist."""
        if not 0 <= frame < len(project.video):
            raise ValueError(f"frame: expected 0..{len(project.video) - 1}, got {frame}")
        key = (project.id, frame, width)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        pixels = project.shown.frames[frame]
        if 0 < width < pixels.shape[1]:
            height = max(round(pixels.shape[0] * width / pixels.shape[1]), 1)
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
        content = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)[1].tobytes()
        with self._lock:  # two pages may have asked for it at the same time
            self._bytes += len(content) - len(self._kept.get(key, b""))
            self._kept[key] = content
            while self._bytes > MOST_JPEG_BYTES and len(self._kept) > 1:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return content


def masks_of(project: Project, frame: int) -> dict[str, Any]:
    """Masks of a frame, and the prompts there, ready for JSON."""
    session = project.objects
    rows = []
    if not 0 <= frame < len(project.video):
        raise ValueError(f"frame: expected 0..{len(project.video) - 1}, got {frame}")
    if session.objects:
        masks = session.masks(frame, frame + 1)
        for place, number in enumerate(masks.object_ids.tolist()):
            key = session.keyframe(number, frame)
            said = None
            if key is not None:
                clicks = torch.cat([key.points, key.labels[:, None].float()], dim=1)
                empty = not bool(key.mask.any())
                said = {
                    "kind": "absent" if empty else "prompt" if len(clicks) or key.box is not None else "mask",
                    "clicks": [[round(value, 2) for value in click] for click in clicks.tolist()],
                    "box": None if key.box is None else key.box.tolist(),
                }
            known = session.mask(number, frame) is not None
            rows.append(
                {
                    "id": number,
                    "known": known,
                    "score": round(float(masks.scores[0, place]), 3),
                    "mask": encode_mask(masks.masks[0, place].numpy()),
                    "said": said,
                }
            )
    return {"frame": frame, "version": project.versions.objects, "objects": rows}


def candidates_of(project: Project, number: int, frame: int) -> dict[str, Any]:
    """The candidates for the prompt on a frame, ready for JSON."""
    found = project.objects.candidates(number, frame)
    rows = [
        {"place": place, "score": round(one.score, 3), "mask": encode_mask(one.mask.numpy())}
        for place, one in enumerate(found)
    ]
    return {"object": number, "frame": frame, "candidates": [row for row in rows if row["mask"]]}


def tracks_of(project: Project, start: int, stop: int) -> bytes:
    """Tracks of frames start..stop-1: length of the JSON header, the header, then float32 x, y, and how visible it is.

    The third number is the geometric mean of visibility and confidence, as in `Tracks.visible`; NaN where not tracked.
    """
    stop = min(stop, len(project.video), start + MOST_TRACKED_FRAMES)
    if not 0 <= start < stop:
        raise ValueError(f"frames: expected 0 <= start < stop, got {start} and {stop}")
    tracks = project.points.known(start, stop)
    seen = _seen(tracks)
    content = torch.cat([tracks.xy, seen[..., None]], dim=-1).numpy().astype("<f4").tobytes()
    head = {"start": start, "stop": stop, "ids": tracks.ids.tolist(), "version": project.versions.points}
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 4)
    return len(text).to_bytes(4, "little") + text + content


def lanes_of(project: Project, start: int, stop: int, bins: int) -> dict[str, Any]:
    """Certainty along the frames, in `bins` pieces: per object and point the lowest value in each.

    A lane is base64 of a byte per bin: 0..250 for the certainty, 255 for unknown. Objects have a second one: 250 where they
    are present on every known frame of the bin, 0 where they are absent on one.
    """
    if not 0 <= start < stop <= len(project.video) or not 1 <= bins <= 4000:
        raise ValueError(f"lanes: expected frames in 0..{len(project.video)} and 1 to 4000 bins")
    bins = min(bins, stop - start)
    edges = np.linspace(start, stop, bins + 1).astype(int)
    answer: dict[str, Any] = {
        "start": start,
        "stop": stop,
        "bins": bins,
        "objects": {},
        "points": {},
        "groups": {},
    }
    session = project.objects
    if session.objects:
        quality, scores = session.quality().numpy(), session.scores().numpy()
        for column, number in enumerate(session.objects):
            present = np.where(np.isnan(scores[:, column]), np.nan, scores[:, column] != 0)
            answer["objects"][number] = {
                "sure": _packed(_binned(quality[:, column], edges)),
                "present": _packed(_binned(present, edges)),
            }
    groups = project.points.groups
    if groups:
        seen = np.concatenate(
            [
                _seen(project.points.known(at, min(at + PIECE, stop))).numpy()
                for at in range(start, stop, PIECE)
            ]
        )
        lanes = np.stack([_binned(column, edges - start) for column in seen.T])
        ids = list(groups)
        if len(ids) <= MOST_LANES:
            answer["points"] = {point: _packed(lane) for point, lane in zip(ids, lanes, strict=True)}
        for group in dict.fromkeys(groups.values()):
            rows = lanes[[groups[point] == group for point in ids]]
            known = np.isfinite(rows).any(axis=0)
            mean = np.full(bins, np.nan)
            mean[known] = np.nanmean(rows[:, known], axis=0)
            answer["groups"][group] = _packed(mean)
    return answer


def suggestions_of(project: Project) -> list[dict[str, Any]]:
    """Where a click would help most, the worst first, ready for JSON."""
    rows: list[dict[str, Any]] = [
        {"kind": "object", "id": one.object_id, "frame": one.frame, "sure": round(one.quality, 3)}
        for one in project.objects.suggest_corrections(SUGGESTED)
    ]
    rows += [
        {"kind": "point", "id": one.point, "frame": one.frame, "sure": round(one.confidence, 3)}
        for one in project.points.suggest_corrections(SUGGESTED)
    ]
    return sorted(rows, key=lambda row: row["sure"])[:SUGGESTED]


def _seen(tracks: Tracks) -> torch.Tensor:
    """(t, n) geometric mean of visibility and confidence; NaN where not tracked."""
    seen = (tracks.visibility * tracks.confidence).sqrt()
    return torch.where(tracks.tracked(), seen, torch.nan)


def _binned(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The lowest value of each bin; NaN if no value in it is known."""
    filled = np.where(np.isnan(values), math.inf, values)
    lowest = np.minimum.reduceat(filled, edges[:-1])
    return np.where(np.isinf(lowest), np.nan, lowest)


def _packed(lane: np.ndarray) -> str:
    coded = np.where(np.isnan(lane), UNKNOWN, np.rint(np.clip(np.nan_to_num(lane), 0, 1) * TOP))
    return base64.b64encode(coded.astype(np.uint8).tobytes()).decode()
