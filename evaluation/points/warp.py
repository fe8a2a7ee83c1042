"""Warp clips: one photograph moved by a known smooth warp behind a known moving occluder.

The warp is a backward map (output pixel -> picture pixel), so every frame is sampled directly from the
photograph, and the map's inverse gives the true position of a picture point, up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from pointtrack.geometry import inside_image
from pointtrack.types import Queries, Video

CLIP_WH = (512, 288)
FRAMES = 24
FPS = 24.0
POINTS = 96
INVERSION_STEPS = 60
FIRST_FRAME_SHARE = 0.6  # share of the points queried on frame 0; the others start on a later frame
OCCLUDER_SHARE = 0.1  # share of the points that lie on the occluder
VIEW_SHARE = 0.74  # of the picture's shorter fit that the view covers
PAN_PX = (35.0, 75.0)
PERIOD = (22.0, 40.0)  # frames
ZOOM = (0.05, 0.16)
TURN_RAD = (0.05, 0.18)
WAVES = 3
WAVE_PX = (1.5, 5.0)
WAVE_LENGTH_PX = (120.0, 320.0)
BORDER_PX = 3.0  # least distance of queries from the border of the image, of the picture and of the occluder
NOISE_LEVELS = 2.5
ANCHORS = 8  # pieces of the texture to draw; the most detailed one is used


@dataclass(frozen=True)
class Warp:
    """A view that pans, zooms and turns over a picture while the picture itself waves.

    Args:
        matrix: (t, 2, 3) affine part, output pixel -> picture pixel.
        amplitude_px: (k, 2) picture pixels by which each wave shifts.
        frequency: (k, 2) radians per output pixel.
        phase: (t, k) radians.
    """

    matrix: np.ndarray
    amplitude_px: np.ndarray
    frequency: np.ndarray
    phase: np.ndarray

    def to_picture(self, frame: int, xy: np.ndarray) -> np.ndarray:
        """(..., 2) pixels of a frame -> (..., 2) pixels of the picture."""
        matrix = self.matrix[frame]
        return xy @ matrix[:, :2].T + matrix[:, 2] + self._wave(frame, xy)

    def to_frame(self, frame: int, picture_xy: np.ndarray) -> np.ndarray:
        """(..., 2) pixels of the picture -> (..., 2) pixels of a frame, by fixed-point iteration.

        Converges because the waves are gentler than the affine part (see `random_warp`).
        """
        matrix = self.matrix[frame]
        inverse = np.linalg.inv(matrix[:, :2]).T
        xy = (picture_xy - matrix[:, 2]) @ inverse
        for _ in range(INVERSION_STEPS):
            xy = (picture_xy - matrix[:, 2] - self._wave(frame, xy)) @ inverse
        return xy

    def _wave(self, frame: int, xy: np.ndarray) -> np.ndarray:
        return np.sin(xy @ self.frequency.T + self.phase[frame]) @ self.amplitude_px


@dataclass(frozen=True)
class Occluder:
    """A star-shaped textured piece that moves and turns in front of everything.

    Args:
        centre: (t, 2) pixels of each frame. angle: (t,) radians.
        radius_px: mean radius. lobes: (m, 2) relative size and phase of the outline's 2nd, 3rd, ... wave.
        anchor: (2,) pixel of the texture picture under the centre.
    """

    centre: np.ndarray
    angle: np.ndarray
    radius_px: float
    lobes: np.ndarray
    anchor: np.ndarray

    def to_local(self, frame: int, xy: np.ndarray) -> np.ndarray:
        """(..., 2) pixels of a frame -> (..., 2) pixels relative to the centre, turned along."""
        return (xy - self.centre[frame]) @ _turn(self.angle[frame])

    def to_frame(self, frame: int, local_xy: np.ndarray) -> np.ndarray:
        """Inverse of `to_local`."""
        return local_xy @ _turn(self.angle[frame]).T + self.centre[frame]

    def depth_px(self, local_xy: np.ndarray) -> np.ndarray:
        """(..., 2) local pixels -> (...) how far inside the outline, along the ray; negative outside."""
        direction = np.arctan2(local_xy[..., 1], local_xy[..., 0])
        outline = 1.0 + sum(
            size * np.cos(wave * direction + phase) for wave, (size, phase) in enumerate(self.lobes, start=2)
        )
        return self.radius_px * outline - np.hypot(local_xy[..., 0], local_xy[..., 1])


@dataclass(frozen=True)
class Clip:
    """A video with exact tracks: xy (t, n, 2) float64 pixels, in or out of view; visible (t, n) bool."""

    video: Video
    queries: Queries
    xy: torch.Tensor
    visible: torch.Tensor


def make_clip(
    picture: np.ndarray,
    texture: np.ndarray,
    generator: np.random.Generator,
    wh: tuple[int, int] = CLIP_WH,
    frames: int = FRAMES,
    points: int = POINTS,
) -> Clip:
    """Move a picture behind an occluder and follow points on both.

    Args:
        picture, texture: (h, w, 3) uint8 RGB, the moving picture and the texture of the occluder, of any size that a
            256 x 256 piece fits into.
        generator: source of all random choices; the same state gives the same clip.
        wh: size of the clip. frames, points: numbers of frames (at least 2) and points.

    Raises:
        ValueError: a picture of another shape, or too few frames.
    """
    for name, image in (("picture", picture), ("texture", texture)):
        if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < 256 or image.dtype != np.uint8:
            raise ValueError(
                f"{name}: expected (h, w, 3) uint8, sides of at least 256, got {image.shape} {image.dtype}"
            )
    if frames < 2:
        raise ValueError(f"frames: expected at least 2, got {frames}")
    picture_wh = (picture.shape[1], picture.shape[0])
    warp = random_warp(picture_wh, wh, frames, generator)
    occluder = random_occluder(texture, wh, frames, generator)
    video = Video(_render(picture, texture, warp, occluder, wh, generator), fps=FPS)
    on_occluder = generator.random(points) < OCCLUDER_SHARE
    frame = np.where(
        generator.random(points) < FIRST_FRAME_SHARE,
        0,
        generator.integers(1, max(2, frames * 2 // 3), points),
    )
    local, source = np.zeros((points, 2)), np.zeros((points, 2))
    for i in range(points):
        start = _pick(warp, occluder, int(frame[i]), bool(on_occluder[i]), (wh, picture_wh), generator)
        local[i] = occluder.to_local(frame[i], start)
        source[i] = warp.to_picture(frame[i], start)
    xy = np.empty((frames, points, 2))
    hidden = np.empty((frames, points), dtype=bool)
    for t in range(frames):
        xy[t] = np.where(on_occluder[:, None], occluder.to_frame(t, local), warp.to_frame(t, source))
        hidden[t] = ~on_occluder & (occluder.depth_px(occluder.to_local(t, xy[t])) > 0)
    tracks = torch.from_numpy(xy)
    visible = inside_image(tracks, wh) & ~torch.from_numpy(hidden)
    return Clip(video, Queries(torch.from_numpy(frame), tracks[frame, torch.arange(points)]), tracks, visible)


def random_warp(
    picture_wh: tuple[int, int], wh: tuple[int, int], frames: int, generator: np.random.Generator
) -> Warp:
    """A smooth random `Warp` whose view stays about the middle of the picture.

    The waves' steepest slope stays below half of the smallest scale of the affine part, so the map is
    invertible everywhere.
    """
    scale = VIEW_SHARE * min(picture_wh[0] / wh[0], picture_wh[1] / wh[1])
    zoom = scale * np.exp(_swing(generator, frames, ZOOM))
    angle = _swing(generator, frames, TURN_RAD)
    middle = (np.array(picture_wh) - 1) / 2
    pan = np.stack([_swing(generator, frames, PAN_PX), 0.6 * _swing(generator, frames, PAN_PX)], axis=1)
    linear = zoom[:, None, None] * np.stack([_turn(a) for a in angle])
    shift = middle + pan - linear @ ((np.array(wh) - 1) / 2)
    direction = generator.uniform(0, 2 * np.pi, (2, WAVES))
    length = generator.uniform(*WAVE_LENGTH_PX, WAVES)
    amplitude = generator.uniform(*WAVE_PX, WAVES)
    frequency = 2 * np.pi / length
    steepest = float((amplitude * frequency).sum())
    amplitude *= min(1.0, 0.5 * float(zoom.min()) / steepest)
    speed = generator.uniform(-0.35, 0.35, WAVES)
    return Warp(
        matrix=np.concatenate([linear, shift[:, :, None]], axis=2),
        amplitude_px=amplitude[:, None] * np.stack([np.cos(direction[0]), np.sin(direction[0])], axis=1),
        frequency=frequency[:, None] * np.stack([np.cos(direction[1]), np.sin(direction[1])], axis=1),
        phase=generator.uniform(0, 2 * np.pi, WAVES) + np.arange(frames)[:, None] * speed,
    )


def random_occluder(
    texture: np.ndarray, wh: tuple[int, int], frames: int, generator: np.random.Generator
) -> Occluder:
    """An `Occluder` with some detail that swings across the frame, so that hidden points reappear."""
    radius = float(generator.uniform(0.14, 0.2) * wh[1])
    reach = int(1.5 * radius)
    texture_wh = np.array([texture.shape[1], texture.shape[0]])
    anchors = generator.integers(reach, texture_wh - reach, (ANCHORS, 2))
    pieces = [texture[y - reach : y + reach, x - reach : x + reach] for x, y in anchors]
    detail = [np.abs(np.diff(piece.mean(axis=-1), axis=1)).mean() for piece in pieces]
    sweep = np.stack(
        [
            _swing(generator, frames, (0.25 * wh[0], 0.4 * wh[0]), period=(30.0, 50.0)),
            _swing(generator, frames, (0.1 * wh[1], 0.3 * wh[1]), period=(30.0, 60.0)),
        ],
        axis=1,
    )
    return Occluder(
        centre=np.array(wh) * generator.uniform(0.4, 0.6, 2) + sweep,
        angle=_swing(generator, frames, (0.1, 0.5), period=(30.0, 60.0)),
        radius_px=radius,
        lobes=np.stack([generator.uniform(0.04, 0.15, 3), generator.uniform(0, 2 * np.pi, 3)], axis=1),
        anchor=anchors[int(np.argmax(detail))].astype(float),
    )


def _render(
    picture: np.ndarray,
    texture: np.ndarray,
    warp: Warp,
    occluder: Occluder,
    wh: tuple[int, int],
    generator: np.random.Generator,
) -> np.ndarray:
    """(t, h, w, 3) uint8 frames with a slow change of brightness and light noise."""
    pixels = np.stack(np.meshgrid(np.arange(wh[0]), np.arange(wh[1])), axis=-1).astype(float)
    t = len(warp.matrix)
    gain = 0.92 + _swing(generator, t, (0.02, 0.08))  # mostly darker, so bright ground is not cut off
    offset = _swing(generator, t, (2.0, 10.0))
    frames = np.empty((t, wh[1], wh[0], 3), dtype=np.uint8)
    for frame in range(t):
        local = occluder.to_local(frame, pixels)
        cover = np.clip(occluder.depth_px(local) + 0.5, 0, 1)[..., None]
        behind = _read_at(picture, warp.to_picture(frame, pixels))
        front = _read_at(texture, local + occluder.anchor)
        image = gain[frame] * (cover * front + (1 - cover) * behind) + offset[frame]
        image += generator.normal(0, NOISE_LEVELS, image.shape)
        frames[frame] = np.clip(np.rint(image), 0, 255)
    return frames


def _read_at(image: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """(h, w, 2) positions -> (h, w, 3) float32 pixels of the image, mirrored beyond its border."""
    xy = xy.astype(np.float32)
    # Linear, because the maps sample about once per pixel, and sharper kernels would ring at edges.
    read = cv2.remap(image, xy[..., 0], xy[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return read.astype(np.float32)


def _pick(
    warp: Warp,
    occluder: Occluder,
    frame: int,
    on_occluder: bool,
    sizes_wh: tuple[tuple[int, int], tuple[int, int]],
    generator: np.random.Generator,
) -> np.ndarray:
    """(2,) a visible pixel position of a frame, on the occluder or on the picture (not its mirror image)."""
    wh, picture_wh = np.array(sizes_wh, dtype=float)
    for _ in range(10_000):
        xy = generator.uniform(BORDER_PX, wh - 1 - BORDER_PX)
        depth = occluder.depth_px(occluder.to_local(frame, xy))
        if on_occluder:
            if depth > BORDER_PX:
                return xy
            continue
        source = warp.to_picture(frame, xy)
        if depth < -BORDER_PX and (source > BORDER_PX).all() and (source < picture_wh - 1 - BORDER_PX).all():
            return xy
    raise ValueError(f"warp clip: expected a visible place for a point on frame {frame}, found none")


def _swing(
    generator: np.random.Generator,
    frames: int,
    size: tuple[float, float],
    period: tuple[float, float] = PERIOD,
) -> np.ndarray:
    """(t,) a slow swing about 0 with a faster one on top; `size` is a range, `period` one in frames."""
    phase = 2 * np.pi * np.arange(frames) / generator.uniform(*period) + generator.uniform(0, 2 * np.pi)
    second = 2.2 * phase + generator.uniform(0, 2 * np.pi)
    return generator.uniform(*size) * (np.sin(phase) + 0.25 * np.sin(second))


def _turn(angle: float) -> np.ndarray:
    """(2, 2) rotation matrix."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
