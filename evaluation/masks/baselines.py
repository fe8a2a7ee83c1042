"""Classic ways to carry a mask through a video: it stays, it flows, GrabCut draws it around tracked points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch

from evaluation.masks.clicks import Click
from evaluation.masks.protocol import FirstPrompt, MaskMethod, mask_of
from pointtrack.tracking.classical import lk
from pointtrack.types import Queries, Tracks, Video
from pointtrack.types.masks import Masks

POINTS = 150  # points tracked on an object, and again around it
FEWEST_POINTS = 3  # with fewer left, the object is taken for absent
SEED_PX = 3  # radius of the disk around a point or click that GrabCut takes for certain
AROUND = 0.25  # width of the belt around an object that GrabCut decides about, in sqrt(area)
CLICK_REACH = 0.2  # radius around first clicks in which GrabCut expects the object, in the shorter side
ROUNDS = 2
RESEED = 10  # frames after which points are taken anew, from the mask there
OBJECT = (cv2.GC_FGD, cv2.GC_PR_FGD)
LONGEST_CUT_PX = 400  # GrabCut works on a cut-out reduced to this longer side; its time grows with pixels

# (first frame, (h, w) bool mask of it) -> the masks of the frames after it.
Carry = Callable[[int, np.ndarray], Iterable[np.ndarray]]


def still(video: Video, prompts: Mapping[int, FirstPrompt]) -> Masks:
    """The first mask on every frame from there on. The floor of every comparison."""

    def carry(first: int, mask: np.ndarray) -> Iterable[np.ndarray]:
        return (mask for _ in range(first + 1, len(video)))

    return _answer(video, prompts, carry)


def dis(video: Video, prompts: Mapping[int, FirstPrompt]) -> Masks:
    """The mask carried from frame to frame by dense inverse search flow.

    Every pixel takes the value at the place where flow says that it was on the frame before; values are kept
    soft, and cut at one half for the answer.

    Source: Kroeger et al., 2016; OpenCV's DISOpticalFlow, preset medium.
    """
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in video.frames]
    pixels = np.stack(np.meshgrid(*map(np.arange, video.wh)), axis=-1).astype(np.float32)
    # Computed once for all objects; half precision is 1/64 px at worst for motion below 64 px.
    fields: dict[int, np.ndarray] = {}

    def carry(first: int, mask: np.ndarray) -> Iterable[np.ndarray]:
        soft: Any = mask.astype(np.float32)
        for frame in range(first + 1, len(video)):
            if frame not in fields:
                fields[frame] = flow.calc(grey[frame], grey[frame - 1], None).astype(np.float16)
            origin = pixels + fields[frame]
            soft = cv2.remap(
                soft, origin[..., 0], origin[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
            )
            yield soft > 0.5

    return _answer(video, prompts, carry)


def grabcut(video: Video, prompts: Mapping[int, FirstPrompt]) -> Masks:
    """GrabCut on every frame, guided by points that Lucas-Kanade tracks on the object and around it.

    The previous frame's mask, moved by the median step of the object's points, marks where the object probably
    is; tracked points on and around it count as certain. New points are taken from the mask every 10 frames.
    With fewer than 3 visible points on the object, it counts as absent from there on.

    Source: Rother et al., GrabCut, 2004; Bouguet's pyramidal Lucas-Kanade, 2000.
    """
    return _answer(video, prompts, partial(_carry_by_points, video))


MASK_BASELINES: dict[str, MaskMethod] = {"still": still, "dis": dis, "grabcut": grabcut}


class RestartedSession:
    """Turns any method that starts from a mask into a session: after a click it restarts on that frame.

    GrabCut turns the click and the frame's present answer into a mask. Each object's frames up to the next
    clicked one then follow from that mask.

    Args:
        method: a `MaskMethod`.
        video: the frames.
    """

    def __init__(self, method: MaskMethod, video: Video) -> None:
        self.method, self.video = method, video
        self._starts: dict[int, dict[int, np.ndarray]] = {}  # object id -> frame -> mask
        self._last: Masks | None = None

    def click(self, object_id: int, frame: int, clicks: Sequence[Click]) -> None:
        """Segment the object on that frame again, from all clicks on it there."""
        before = None if self._last is None else mask_of(self._last, object_id, frame)
        mask = mask_of_clicks(self.video.frames[frame], clicks, before)
        self._starts.setdefault(object_id, {})[frame] = mask

    def masks(self) -> Masks:
        """All frames; an object is empty before its first clicked one."""
        width, height = self.video.wh
        masks = np.zeros((len(self.video), len(self._starts), height, width), bool)
        for place, (object_id, starts) in enumerate(self._starts.items()):
            frames = [*sorted(starts), len(self.video)]
            for start, stop in zip(frames[:-1], frames[1:], strict=True):
                prompt = {object_id: FirstPrompt(0, starts[start])}
                masks[start:stop, place] = (
                    self.method(self.video.clip(start, stop), prompt).masks[:, 0].numpy()
                )
        self._last = Masks(torch.from_numpy(masks), torch.tensor(list(self._starts)), fps=self.video.fps)
        return self._last


def mask_of_clicks(
    frame: np.ndarray, clicks: Sequence[Click], before: np.ndarray | None = None
) -> np.ndarray:
    """(h, w) bool: GrabCut from clicks on one frame.

    Args:
        frame: (h, w, 3) uint8 RGB.
        clicks: at least one.
        before: (h, w) bool mask that the clicks correct; without one, the object should lie near the positive
            clicks.
    """
    h, w = frame.shape[:2]
    reach = max(SEED_PX + 1, round(CLICK_REACH * min(h, w)))
    positive = [(click.x, click.y) for click in clicks if click.positive]
    negative = [(click.x, click.y) for click in clicks if not click.positive]
    if before is None or not before.any():
        probable = _disks((h, w), positive, reach)
    else:
        # The user clicks where the answer is wrong, so it counts little there.
        probable = before & ~_disks((h, w), negative, reach // 4) | _disks((h, w), positive, reach // 4)
    return _cut(frame, probable, positive, negative)


def mask_of_prompt(video: Video, prompt: FirstPrompt) -> np.ndarray:
    """(h, w) bool on the prompt's frame: its mask, or a mask from its clicks by GrabCut."""
    if prompt.mask is not None:
        return prompt.mask
    assert prompt.points is not None and prompt.labels is not None  # the prompt checks this
    points = zip(prompt.points.tolist(), prompt.labels.tolist(), strict=True)
    clicks = [Click(round(x), round(y), positive) for (x, y), positive in points]
    return mask_of_clicks(video.frames[prompt.frame], clicks)


def _answer(video: Video, prompts: Mapping[int, FirstPrompt], carry: Carry) -> Masks:
    """Masks of all objects: empty, then the first one, then what `carry(first frame, mask)` yields."""
    width, height = video.wh
    masks = np.zeros((len(video), len(prompts), height, width), bool)
    for place, prompt in enumerate(prompts.values()):
        mask = mask_of_prompt(video, prompt)
        masks[prompt.frame, place] = mask
        for frame, carried in enumerate(carry(prompt.frame, mask), start=prompt.frame + 1):
            masks[frame, place] = carried
    return Masks(torch.from_numpy(masks), torch.tensor(list(prompts)), fps=video.fps)


def _carry_by_points(video: Video, first: int, mask: np.ndarray) -> Iterable[np.ndarray]:
    for start in range(first, len(video), RESEED):
        piece = video.clip(start, start + RESEED + 1)
        on, around = _points_of(mask)
        xy = torch.from_numpy(np.concatenate([on, around]))
        tracks = lk(piece, Queries(torch.zeros(len(xy), dtype=torch.int64), xy))
        seen = tracks.visible() & tracks.in_frame()
        on_object = torch.arange(len(xy)) < len(on)
        for row in range(1, len(piece)):
            step = _median_step(tracks, row, seen & on_object)
            if step is None or not mask.any():
                mask = np.zeros_like(mask)
                yield mask
                continue
            shift = np.array([[1, 0, step[0]], [0, 1, step[1]]])
            moved = cv2.warpAffine(mask.view(np.uint8), shift, video.wh).astype(bool)
            inside, outside = (
                tracks.xy[row, seen[row] & part].round().int().tolist() for part in (on_object, ~on_object)
            )
            mask = _cut(piece.frames[row], moved, inside, outside)
            yield mask


def _median_step(tracks: Tracks, row: int, seen: torch.Tensor) -> list[float] | None:
    """(dx, dy) of the points visible on this frame, and so on the one before; None if there are too few."""
    here = seen[row] & seen[row - 1]
    if int(here.sum()) < FEWEST_POINTS:
        return None
    return (tracks.xy[row, here] - tracks.xy[row - 1, here]).median(dim=0).values.tolist()


def _points_of(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k, 2) float32 pixels spread evenly over the object, and others over a belt around it."""
    inner = cv2.erode(mask.view(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    inner = inner if inner.any() else mask
    near, far = (_grown(mask, pixels) for pixels in (2 * SEED_PX, 2 * SEED_PX + _belt_px(mask)))
    return _spread(inner), _spread(far & ~near)


def _spread(region: np.ndarray) -> np.ndarray:
    """About POINTS pixels of a region on a square grid, (k, 2) float32; all pixels if it is small."""
    spacing = max(1, int(np.sqrt(np.count_nonzero(region) / POINTS)))
    ys, xs = np.nonzero(region)
    on_grid = (ys % spacing == spacing // 2) & (xs % spacing == spacing // 2)
    if not on_grid.any():
        on_grid[:] = True
    return np.stack([xs[on_grid], ys[on_grid]], axis=1).astype(np.float32)


def _cut(
    frame: np.ndarray, probable: np.ndarray, inside: Sequence[Sequence[int]], outside: Sequence[Sequence[int]]
) -> np.ndarray:
    """GrabCut in a belt around `probable`; pixels (x, y) `inside` are certainly object, `outside` certainly not."""
    h, w = probable.shape
    sure, never = _disks((h, w), inside, SEED_PX), _disks((h, w), outside, SEED_PX)
    possible = _grown(probable, _belt_px(probable)) | sure
    if not possible.any():
        return probable
    ys, xs = np.nonzero(possible)
    margin = 2 * SEED_PX + _belt_px(probable)
    rows = slice(max(0, ys.min() - margin), min(h, ys.max() + margin + 1))
    columns = slice(max(0, xs.min() - margin), min(w, xs.max() + margin + 1))
    labels = np.full((h, w), cv2.GC_BGD, np.uint8)
    labels[possible] = cv2.GC_PR_BGD
    labels[probable] = cv2.GC_PR_FGD
    labels[never] = cv2.GC_BGD
    labels[sure] = cv2.GC_FGD
    mask = np.zeros((h, w), bool)
    mask[rows, columns] = _solved(frame[rows, columns], labels[rows, columns])
    return mask


def _solved(picture: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 RGB and GrabCut's labels -> (h, w) bool object, found at a reduced size."""
    h, w = labels.shape
    scale = min(1.0, LONGEST_CUT_PX / max(h, w))
    wh = (max(1, round(w * scale)), max(1, round(h * scale)))
    small: Any = cv2.resize(labels, wh, interpolation=cv2.INTER_NEAREST)
    drawn: Any = np.isin(small, OBJECT)
    if drawn.all() or not drawn.any():  # GrabCut wants both sides
        return np.isin(labels, OBJECT)
    # GrabCut sets up its colours by k-means, which draws from OpenCV's own generator.
    cv2.setRNGSeed(0)
    colours: Any = cv2.cvtColor(cv2.resize(picture, wh, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    solve: Any = cv2.grabCut
    solve(colours, small, None, None, None, ROUNDS, cv2.GC_INIT_WITH_MASK)
    drawn = np.isin(small, OBJECT).astype(np.float32)
    return cv2.resize(drawn, (w, h), interpolation=cv2.INTER_LINEAR) > 0.5


def _belt_px(mask: np.ndarray) -> int:
    return max(2 * SEED_PX, round(AROUND * float(np.sqrt(np.count_nonzero(mask)))))


def _grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """(h, w) bool: all pixels nearer than `pixels` to the mask; none if it is empty."""
    if not mask.any():
        return mask
    distance = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return distance < pixels


def _disks(hw: tuple[int, int], centres: Sequence[Sequence[int]], radius: int) -> np.ndarray:
    """(h, w) bool disks around (x, y) pixels."""
    picture = np.zeros(hw, np.uint8)
    for x, y in centres:
        cv2.circle(picture, (int(x), int(y)), radius, 1, thickness=-1)
    return picture.astype(bool)
