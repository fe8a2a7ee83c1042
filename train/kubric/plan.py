"""Plans of clips, drawn from a seed, as plain numbers and names, so that they can be stored."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from train.kubric.cameras import CameraPlan, draw_camera, triple

# Frames per second that divide the simulator's 240 steps: the same motion, slow or fast on the screen.
FRAME_RATES = (12, 12, 16, 24)
SHAPES = ("box", "sphere", "cylinder", "cone", "torus", "capsule", "monkey")
DEFORMING = ("cloth", "tube", "blob", "creature")
OCCLUDERS = ("rods", "grid", "branches")
FLOOR_HALF_M = 15.0


@dataclass(frozen=True)
class RenderSettings:
    """Settings shared by all clips of a folder.

    Attributes:
        frames: frames per clip.
        wh: width and height in pixels, at least 32, and not higher than wide.
        samples: light paths per pixel (Cycles).
        tracks: query points per clip.
        seed: with the number of the clip, decides every choice.
        textures: folder with pictures for some of the surfaces.
        meshes: folder with .obj, .ply, .stl, .glb or .off files.
        manifests: Kubric asset manifests (GSO.json, KuBasic.json) with their archives beside them.
    """

    frames: int = 24
    wh: tuple[int, int] = (256, 256)
    samples: int = 16
    tracks: int = 512
    seed: int = 0
    textures: Path | None = None
    meshes: Path | None = None
    manifests: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise ValueError(f"frames: expected at least 2, got {self.frames}")
        if not 32 <= self.wh[1] <= self.wh[0]:
            raise ValueError(
                "size: expected at least 32 pixels and no more height than width, "
                f"got {self.wh[0]}x{self.wh[1]}"
            )
        if self.samples < 1 or self.tracks < 1:
            raise ValueError(f"samples and tracks: expected at least 1, got {self.samples} and {self.tracks}")


@dataclass(frozen=True)
class Assets:
    """Assets that scenes may use: names or paths, sorted, so that the same folders give the same plans.

    Attributes:
        meshes: paths of mesh files.
        textures: paths of pictures.
        hdris: paths of skies.
        kubric: (manifest path, asset id) of Kubric's own objects.
    """

    meshes: tuple[str, ...] = ()
    textures: tuple[str, ...] = ()
    hdris: tuple[str, ...] = ()
    kubric: tuple[tuple[str, str], ...] = ()


@dataclass
class ThingPlan:
    """One object.

    Attributes:
        role: "rigid", "deforming", "occluder" or "background".
        kind: a shape's name, "mesh:<path>" or "kubric:<manifest>:<asset id>".
        size: rigid: longest side; deforming and occluder: length; background: half side, in metres.
        position: centre in metres.
        euler: turn about x, y and z in radians.
        velocity: metres per second at the start; for deforming things, at all times.
        spin: radians per second about x, y and z.
        appearance: its surface, see materials.py: a pattern's name or "picture:<path>".
        seed: seed of the choices of the thing's own module: proportions, colours, waves.
        bounce: restitution in [0, 1].
        friction: in [0, 1].
    """

    role: str
    kind: str
    size: float
    position: tuple[float, float, float]
    euler: tuple[float, float, float]
    appearance: str
    seed: int
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    spin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    bounce: float = 0.3
    friction: float = 0.5


@dataclass
class ClipPlan:
    """One clip.

    Attributes:
        index: number of the clip.
        attempt: 0, or more if earlier attempts failed the self-check.
        fps: frames per second.
        shutter: exposure time in frames; 0 for no motion blur.
        hdri: path of the sky, or "" for a plain one.
        sky_turn: radians about z.
        sky_strength: mean radiance of the sky.
        sun_strength: strength of the sun, 0 for none.
        sun: direction the sun shines from.
        gravity: metres per second squared along z.
        camera: how the camera moves.
        things: the objects; the first is the floor.
    """

    index: int
    attempt: int
    fps: int
    shutter: float
    hdri: str
    sky_turn: float
    sky_strength: float
    sun_strength: float
    sun: tuple[float, float, float]
    gravity: float
    camera: CameraPlan
    things: list[ThingPlan] = field(default_factory=list)

    def record(self) -> dict:
        """The plan as plain dicts and lists, for JSON."""
        return asdict(self)


def make_plan(settings: RenderSettings, assets: Assets, index: int, attempt: int = 0) -> ClipPlan:
    """Draws the plan of clip `index`; the same arguments give the same plan, and clips are independent."""
    generator = np.random.default_rng([settings.seed, index, attempt])
    appearance = _looks(assets, generator)
    fps = int(generator.choice(FRAME_RATES))
    seconds = settings.frames / fps
    things = [_background("floor", (0, 0, -FLOOR_HALF_M), appearance(True), generator)]
    things += _rigid(assets, appearance, generator)
    things += [_deforming(appearance, seconds, generator) for _ in range(int(generator.integers(1, 4)))]
    moving = [
        (np.array(t.position), np.array(t.velocity)) for t in things if t.role in ("rigid", "deforming")
    ]
    camera = draw_camera(moving, generator)
    things += _walls(camera, appearance, generator)
    if generator.random() < 0.55:
        for _ in range(int(generator.integers(1, 3))):
            things.append(_occluder(camera, appearance, generator))
    heading = generator.uniform(0, 2 * math.pi)
    return ClipPlan(
        index=index,
        attempt=attempt,
        fps=fps,
        shutter=float(generator.uniform(0.2, 0.8)) if generator.random() < 0.7 else 0.0,
        hdri=str(generator.choice(assets.hdris)) if assets.hdris else "",
        sky_turn=float(generator.uniform(0, 2 * math.pi)),
        sky_strength=float(generator.uniform(0.5, 1.0)),
        sun_strength=float(generator.uniform(0.5, 2.5)) if generator.random() < 0.4 else 0.0,
        sun=(math.cos(heading), math.sin(heading), float(generator.uniform(0.6, 2.0))),
        gravity=-9.81 if generator.random() < 0.85 else float(generator.uniform(-3, -0.5)),
        camera=camera,
        things=things,
    )


PATTERNS = ("cells", "mosaic", "bricks", "checks", "bands", "veins", "dots", "rings", "grains", "plain")
PATTERN_ODDS = np.array([2, 2, 2, 1, 2, 3, 2, 2, 3, 1.5])


def _looks(assets: Assets, generator: np.random.Generator):
    """A function that draws the appearance of a surface; backgrounds are seldom plain."""

    def appearance(background: bool = False) -> str:
        if assets.textures and generator.random() < 0.5:
            return f"picture:{generator.choice(assets.textures)}"
        odds = PATTERN_ODDS * np.where([p == "plain" and background for p in PATTERNS], 0.2, 1)
        return str(generator.choice(PATTERNS, p=odds / odds.sum()))

    return appearance


def _background(
    kind: str, place: tuple[float, float, float], appearance: str, generator: np.random.Generator
) -> ThingPlan:
    friction, bounce = generator.uniform(0.3, 0.9), generator.uniform(0.1, 0.7)
    return ThingPlan(
        "background",
        kind,
        FLOOR_HALF_M,
        triple(np.array(place)),
        (0.0, 0.0, 0.0),
        appearance,
        _seed(generator),
        bounce=float(bounce),
        friction=float(friction),
    )


def _walls(camera: CameraPlan, appearance, generator: np.random.Generator) -> list[ThingPlan]:
    """Often a wall behind the things, sometimes one beside them, never in the camera's path."""
    walls = []
    if generator.random() < 0.6:
        back = max(camera.start[1], camera.end[1], 1.5) + generator.uniform(1, 4.5)
        walls.append(_background("wall", (0, back + FLOOR_HALF_M, 0), appearance(True), generator))
        if generator.random() < 0.4:
            beside = max(abs(camera.start[0]), abs(camera.end[0]), 3.0) + generator.uniform(1, 3)
            side = float(generator.choice((-1, 1)) * (beside + FLOOR_HALF_M))
            walls.append(_background("wall", (side, 0, 0), appearance(True), generator))
    return walls


def _rigid(assets: Assets, appearance, generator: np.random.Generator) -> list[ThingPlan]:
    """Between 4 and 9 things in the air, apart from each other, most thrown towards the middle."""
    things: list[ThingPlan] = []
    for _ in range(int(generator.integers(4, 10))):
        size = float(np.exp(generator.uniform(math.log(0.45), math.log(1.8))))
        for _ in range(50):
            place = generator.uniform((-2.4, -1.6, 0.5 * size), (2.4, 2.0, 2.6))
            if all(math.dist(place, t.position) > 0.6 * (size + t.size) for t in things):
                break
        else:
            continue
        middle = np.array((0, 0, 0.8)) + generator.normal(0, 0.7, 3)
        throw = (middle - place) * generator.uniform(0, 2.2) + (0, 0, generator.uniform(-1, 3))
        things.append(
            ThingPlan(
                "rigid",
                _rigid_kind(assets, generator),
                size,
                triple(place),
                triple(generator.uniform(-math.pi, math.pi, 3)),
                appearance(),
                _seed(generator),
                velocity=triple(throw),
                spin=triple(generator.normal(0, 3.0, 3)),
                bounce=float(generator.uniform(0.1, 0.8)),
                friction=float(generator.uniform(0.1, 0.9)),
            )
        )
    return things


def _rigid_kind(assets: Assets, generator: np.random.Generator) -> str:
    chance = generator.random()
    if assets.kubric and chance < 0.6:
        manifest, name = assets.kubric[int(generator.integers(len(assets.kubric)))]
        return f"kubric:{manifest}:{name}"
    if assets.meshes and chance < 0.8:
        return f"mesh:{generator.choice(assets.meshes)}"
    return str(generator.choice(SHAPES))


def _deforming(appearance, seconds: float, generator: np.random.Generator) -> ThingPlan:
    kind = str(generator.choice(DEFORMING, p=(0.22, 0.22, 0.16, 0.4)))
    size = float(generator.uniform(1.4, 2.8))
    height = {"cloth": 0.65 * size, "tube": 0.4 * size, "blob": 0.45 * size, "creature": 0.0}[kind]
    # A creature stands on the floor (its own module sets the height) and walks; the others drift.
    speed = 0.9 if kind == "creature" else 0.25
    heading = generator.uniform(-math.pi, math.pi)
    way = generator.uniform(0, speed) * np.array((math.cos(heading), math.sin(heading), 0))
    middle = np.array((generator.uniform(-2, 2), generator.uniform(-0.8, 2.0), height))
    tilt = 0.0 if kind in ("creature", "cloth") else generator.uniform(-0.6, 0.6)
    turn = heading if kind == "creature" else generator.uniform(-math.pi, math.pi)
    return ThingPlan(
        "deforming",
        kind,
        size,
        triple(middle - way * seconds / 2),
        (0.0, float(tilt), float(turn)),
        appearance(),
        _seed(generator),
        velocity=triple(way),
        spin=(0.0, 0.0, float(generator.normal(0, 0.15))),
    )


def _occluder(camera: CameraPlan, appearance, generator: np.random.Generator) -> ThingPlan:
    """A thin thing between the camera and the scene, facing the camera, swaying or passing by."""
    start, target = np.array(camera.start), np.array(camera.target_start)
    share = generator.uniform(0.3, 0.7)
    way = target - start
    place = start + share * way + generator.normal(0, 0.25, 3)
    facing = math.atan2(-way[0], way[1])
    across = np.array((math.cos(facing), math.sin(facing), 0)) * generator.normal(0, 0.5)
    return ThingPlan(
        "occluder",
        str(generator.choice(OCCLUDERS)),
        float(0.55 * share * np.linalg.norm(way)),
        triple(place),
        (0.0, float(generator.normal(0, 0.3)), float(facing)),
        appearance(),
        _seed(generator),
        velocity=triple(across),
        spin=(0.0, float(generator.normal(0, 0.3)), 0.0),
    )


def _seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**31))
