"""Generate the easy clip that ships with pointtrack from formulas alone: `python -m train.easy_clip DIR`.

A camera pans and zooms over a patterned floor, on which five patterned objects slide and turn, some behind others for a
while. Every pixel comes from formulas and a seed, so no one else holds rights in it, and the tracks are exact.
Writes DIR/easy.mp4 and DIR/easy_tracks.npz; copy both to pointtrack/assets.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pointtrack.io.video import write_video

WH, FRAMES, FPS = (640, 360), 60, 24.0
SCALE = 2  # frames are drawn this many times larger, then averaged
FLOOR = 1400  # pixels of the floor's pattern on each side
POINTS = {"floor": 60, "thing": 24}
SEED = 19


@dataclass(frozen=True)
class Thing:
    """A patterned tile on the floor.

    Attributes:
        texture: (h, w, 3) float in 0..1.
        alpha: (h, w) in 0..1, its shape.
        start, speed: position of its centre on the floor on frame 0, and its change per frame; pixels.
        turn, spin: angle on frame 0, and its change per frame; radians.
        sway: pixels by which it swings across its path.
    """

    texture: np.ndarray
    alpha: np.ndarray
    start: tuple[float, float]
    speed: tuple[float, float]
    turn: float
    spin: float
    sway: float

    def to_floor(self, t: int) -> np.ndarray:
        """(2, 3) affine map from pixels of the texture to the floor on a frame."""
        angle = self.turn + self.spin * t
        swing = self.sway * np.sin(t / 9)
        middle = (
            np.array(self.start) + t * np.array(self.speed) + swing * np.array([-np.sin(0.7), np.cos(0.7)])
        )
        turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        half = (np.array(self.alpha.shape[::-1]) - 1) / 2
        return np.column_stack([turned, middle - turned @ half])


def noise(rng: np.random.Generator, wh: tuple[int, int], sizes: tuple[int, ...]) -> np.ndarray:
    """(h, w) in 0..1: the sum of smooth noise at several scales."""
    total = np.zeros(wh[::-1], np.float32)
    for size in sizes:
        small = rng.normal(size=(wh[1] // size + 3, wh[0] // size + 3)).astype(np.float32)
        total += cv2.resize(small, wh, interpolation=cv2.INTER_CUBIC) * size**0.5
    low, high = np.percentile(total, [2, 98])
    return np.clip((total - low) / (high - low), 0, 1)


def painted(values: np.ndarray, colors: list[tuple[int, int, int]]) -> np.ndarray:
    """(h, w) in 0..1 -> (h, w, 3) in 0..1: look the values up in a row of colours."""
    stops = np.linspace(0, 1, len(colors))
    return np.stack(
        [np.interp(values, stops, [color[i] / 255 for color in colors]) for i in range(3)], axis=-1
    )


def scene(rng: np.random.Generator) -> tuple[np.ndarray, list[Thing]]:
    """The floor's pattern and the objects, back to front."""
    floor = painted(
        noise(rng, (FLOOR, FLOOR), (90, 40, 18, 9)),
        [(58, 66, 52), (120, 128, 96), (176, 168, 132), (214, 206, 176)],
    )
    looks = [
        (210, [(120, 30, 24), (214, 84, 48), (250, 196, 120)], (520, 560), (3.2, 0.6), 0.3, 0.012, 14.0),
        (170, [(18, 60, 96), (48, 132, 178), (190, 228, 240)], (830, 520), (-2.6, 1.0), 1.0, -0.018, 10.0),
        (190, [(70, 36, 96), (150, 92, 180), (236, 210, 246)], (640, 790), (1.0, -1.4), 0.0, 0.022, 20.0),
        (140, [(16, 84, 52), (70, 160, 92), (220, 244, 190)], (930, 760), (-1.8, -1.2), 0.6, 0.03, 8.0),
        (150, [(110, 84, 16), (230, 190, 60), (255, 246, 190)], (420, 720), (2.0, 0.2), 0.2, -0.024, 12.0),
    ]
    things = []
    for number, (side, colors, start, speed, turn, spin, sway) in enumerate(looks):
        texture = painted(noise(rng, (side, side), (36, 17, 8)), colors)
        y, x = np.mgrid[:side, :side] - (side - 1) / 2
        power = 2.0 if number % 2 else 5.0  # round, or with round corners
        distance = (np.abs(x) ** power + np.abs(y) ** power) ** (1 / power)
        alpha = np.clip(side / 2 - 2 - distance, 0, 1)
        rim = np.clip(1 - np.abs(distance - side / 2 + 8) / 5, 0, 1)[..., None]
        things.append(Thing(texture * (1 - 0.7 * rim), alpha, start, speed, turn, spin, sway))
    return floor, things


def to_image(t: int) -> np.ndarray:
    """(2, 3) affine map from the floor to the image on a frame: the camera pans, turns a little and zooms in."""
    part = t / (FRAMES - 1)
    scale, angle = 0.82 + 0.22 * np.sin(part * np.pi / 2), 0.06 * np.sin(part * 2 * np.pi)
    middle = np.array([640 + 90 * np.sin(part * np.pi), 640 + 50 * np.sin(part * 2 * np.pi)])
    turned = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([turned, (np.array(WH) - 1) / 2 - turned @ middle])


def chained(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(2, 3) affine map: apply `first`, then `second`."""
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])


def drawn(t: int, floor: np.ndarray, things: list[Thing]) -> np.ndarray:
    """(h, w, 3) uint8 RGB of a frame."""
    size = (WH[0] * SCALE, WH[1] * SCALE)
    # Map the centre of a pixel to the centre of its SCALE x SCALE pixels.
    enlarged = np.array([[SCALE, 0, (SCALE - 1) / 2], [0, SCALE, (SCALE - 1) / 2]])
    picture = cv2.warpAffine(floor, chained(to_image(t), enlarged), size, flags=cv2.INTER_LINEAR)
    for thing in things:
        place = chained(chained(thing.to_floor(t), to_image(t)), enlarged)
        alpha = cv2.warpAffine(thing.alpha, place, size, flags=cv2.INTER_LINEAR)
        shade = cv2.GaussianBlur(np.roll(alpha, (9, 7), (0, 1)), (0, 0), 8)
        picture *= (1 - 0.45 * shade * (1 - alpha))[..., None]  # type: ignore[arg-type]
        texture = cv2.warpAffine(
            thing.texture, place, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        picture = picture * (1 - alpha[..., None]) + texture * alpha[..., None]
    small = cv2.resize(picture, WH, interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(small * 255), 0, 255).astype(np.uint8)


def truth(rng: np.random.Generator, things: list[Thing]) -> dict[str, np.ndarray]:
    """Positions and visibility of points, their query frames, and the object that each lies on (0 is the floor)."""
    owners, places = [], []
    inverse = np.linalg.inv(to_image(0)[:, :2])
    for _ in range(POINTS["floor"]):
        at = rng.uniform([10, 10], np.array(WH) - 11)
        owners.append(0)
        places.append(inverse @ (at - to_image(0)[:, 2]))
    for number, thing in enumerate(things, 1):
        side = thing.alpha.shape[0]
        while owners.count(number) < POINTS["thing"]:
            at = rng.uniform(8, side - 9, 2)
            if thing.alpha[round(at[1]), round(at[0])] == 1:
                owners.append(number)
                places.append(at)
    owner, place = np.array(owners), np.array(places)
    xy = np.zeros((FRAMES, len(owner), 2))
    visible = np.zeros((FRAMES, len(owner)), bool)
    for t in range(FRAMES):
        ways = [to_image(t), *(chained(thing.to_floor(t), to_image(t)) for thing in things)]
        for number, way in enumerate(ways):
            mine = owner == number
            xy[t, mine] = place[mine] @ way[:, :2].T + way[:, 2]
        seen = (xy[t] >= -0.5).all(1) & (xy[t] <= np.array(WH) - 0.5).all(1)
        for number in range(1, len(things) + 1):  # objects above it
            way, alpha = ways[number], things[number - 1].alpha
            back = (xy[t] - way[:, 2]) @ np.linalg.inv(way[:, :2]).T
            row, column = np.rint(back[:, 1]).astype(int), np.rint(back[:, 0]).astype(int)
            inside = (row >= 0) & (row < len(alpha)) & (column >= 0) & (column < len(alpha))
            covered = np.zeros(len(owner), bool)
            covered[inside] = alpha[row[inside], column[inside]] > 0.5
            seen &= ~(covered & (owner < number))
        visible[t] = seen
    kept = visible.sum(axis=0) >= FRAMES // 3
    xy, visible, owner = xy[:, kept], visible[:, kept], owner[kept]
    frame = visible.argmax(axis=0)
    return {
        "xy": xy.astype(np.float32),
        "visible": visible,
        "query_frame": frame.astype(np.int64),
        "object_id": owner.astype(np.int64),
        "fps": np.array(FPS),
    }


def main(folder: Path) -> None:
    """Write the clip and its tracks."""
    rng = np.random.default_rng(SEED)
    floor, things = scene(rng)
    floor = floor.astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    frames = np.stack([drawn(t, floor, things) for t in range(FRAMES)])
    write_video(folder / "easy.mp4", frames, FPS, crf=23)
    np.savez_compressed(folder / "easy_tracks.npz", **truth(rng, things))  # type: ignore[arg-type]


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/easy_clip"))
