"""Every setting of a tracker, as frozen dataclasses that go to and from plain dicts (JSON in checkpoints).

Variants of the model are values of these fields, not classes: see `models/published.py` for those of CoTracker.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

C = TypeVar("C")


@dataclass(frozen=True)
class EncoderConfig:
    """Convolutional encoder, always stride 4 (`layers/encoder.py`).

    Attributes:
        stem_channels: width of the first convolution, which halves the image.
        stage_channels, stage_strides: one entry per stage of residual blocks.
        blocks_per_stage: residual blocks in each stage.
        channels: features per cell of the output.
        fusion: how the stages are combined.
        unit_length: divide every feature by its length.
        trunk_stride: coarsest stride of the pretrained trunk beside it (`layers/trunk.py`), 16 or 32; 0 for no trunk.
        trunk_scale: factor on the side of the trunk's frames; telling what things are needs less resolution than
            telling where exactly they end.
        trunk_blocks: number of the trunk's blocks of stride 32, with which it ends; 0 for all.
        trunk_narrow: channels to which its maps at strides 16 and 32 are reduced; 0 keeps all.
        weights: of the encoder's features and of each of the trunk's maps, finest first, in the cosine of the joint
            features, which tells what a thing is; empty for equal weights.
        joint_channels: channels of learnt joint features (`models/joint_head.py`); 0 for the parts side by side with
            `weights`.
        key_channels: channels of the keys of the object memory, which mix joint features and the trunk's coarse maps
            (`models/object_keys.py`); 0 for keys of joint features alone.
    """

    stem_channels: int = 32
    stage_channels: tuple[int, ...] = (64, 96, 128)
    stage_strides: tuple[int, ...] = (2, 2, 2)
    blocks_per_stage: int = 2
    channels: int = 64
    fusion: Literal["concat", "sum"] = "sum"
    unit_length: bool = True
    trunk_stride: int = 0
    trunk_scale: float = 1.0
    trunk_blocks: int = 0
    trunk_narrow: int = 0
    weights: tuple[float, ...] = ()
    joint_channels: int = 0
    key_channels: int = 0


@dataclass(frozen=True)
class CorrelationConfig:
    """What is compared around a point's estimate (`layers/correlation.py`).

    Attributes:
        kind: what the cells around the estimate are compared with: "patch", all cells around the query, the same
            in all rounds; "feature", one feature per frame, which every round of refinement updates.
        levels: pyramid levels; level l has cells of 4 * 2**l pixels.
        radius: the target patch is (2 * radius + 1) cells wide.
        support_radius: so is the patch around the query ("patch" only, as the next two).
        hidden, channels: widths of the MLP over one level's products.
    """

    kind: Literal["patch", "feature"] = "patch"
    levels: int = 3
    radius: int = 3
    support_radius: int = 1
    hidden: int = 128
    channels: int = 64


@dataclass(frozen=True)
class TokenConfig:
    """The transformer's input for a point on a frame (`models/tokens.py`).

    Attributes:
        parts: names of the parts that are concatenated, in order; with "moves", the tracker also predicts
            how much of each proposed move to make.
        octaves: of the waves that encode "motion".
        unit_wh: pixels that count as 1 in motion and place; None for the size of the frames.
        logit_scale: factor on the logits.
        time_table: frames of a stored table of time codes, resampled to windows of other lengths; None for
            codes computed for every length.
        place_table_wh: cells of a stored table of codes of a point's first position in a window; None for none.
    """

    parts: tuple[str, ...] = (
        "logits", "age", "overlap", "place", "correlation", "heights", "moves", "motion",
    )  # fmt: skip
    octaves: int = 8
    unit_wh: tuple[int, int] | None = None
    logit_scale: float = 0.25
    time_table: int | None = None
    place_table_wh: tuple[int, int] | None = None


@dataclass(frozen=True)
class TransformerConfig:
    """Attention over time and over points through proxy tokens (`models/updater.py`).

    Attributes:
        width, heads: of every block.
        depth: pairs of a time block and a space block.
        mlp_ratio: hidden width of the MLPs as a multiple of the width.
        proxies: tokens per frame through which the points of that frame exchange information.
    """

    width: int = 128
    heads: int = 4
    depth: int = 2
    mlp_ratio: int = 2
    proxies: int = 16


@dataclass(frozen=True)
class WindowConfig:
    """How a video is cut into windows (`models/window.py`).

    Attributes:
        length: frames per window; None is one window over the whole video.
        step: frames by which the window advances.
        context: frames at the front of every window but the first whose results come from the previous window.
        iterations: rounds of refinement per window.
        start: what a window's new frames start from: the last known position, or a match of features.
        search_radius: cells around the last position in which the match searches first.
        start_logit: initial visibility and confidence logit of new points with "repeat".
        pad: fill the last window up to its length with copies of the last frame.
        late: points whose query frame is in a later window are "absent", or "present" with empty templates, or
            present but "masked" in the attention to other points.
        hold: points stay at the query position on their query frame.
    """

    length: int | None = 16
    step: int = 8
    iterations: int = 2
    start: Literal["repeat", "match"] = "match"
    search_radius: int = 7
    start_logit: float = 0.0
    pad: bool = False
    late: Literal["absent", "present", "masked"] = "absent"
    hold: bool = True
    context: int = 0


@dataclass(frozen=True)
class InitializationConfig:
    """How a first guess matches features (`models/initialization.py`); all but the shares are cosines.

    Attributes:
        query_share: share of the query's feature in the template; the rest is the point's latest appearance.
        seen: a match above this updates the latest appearance.
        lost: a match below this starts a search over the whole frame.
        pace: share of its last step that a point is expected to repeat.
        far: cost of a match per squared cell of distance from the expected position.
        regained: a match elsewhere in the frame must be above this.
        better: margin by which it must also exceed the best match nearby: many things look alike, but they rarely jump.
        exact_weights: like the encoder's `weights`, for the cosine that tells where exactly a point is, once its
            place is roughly known; empty for the same weights and no second search.
        exact_radius: radius in cells of the search for the exact place.
        ride: a point whose best match anywhere is below this moves with its neighbours; -1 for never.
        lead: a neighbour's motion counts if its match is above this.
        snap: a match near the place where the neighbours lead must be above this.
        reach: standard deviation of the weight of neighbours, in cells between their query positions.
        agree: a point whose best match nearby is below `seen` also moves to a match elsewhere that more than this share
            of its neighbours agree with (`Neighbours.agreement`); 1 for never.
        glimpse: that match, and those of the neighbours, must be above this.
        hint: margin by which that match must exceed the best one nearby.
    """

    query_share: float = 0.6
    seen: float = 0.8
    lost: float = 0.8
    pace: float = 0.8
    far: float = 0.006
    regained: float = 0.85
    better: float = 0.2
    exact_weights: tuple[float, ...] = ()
    exact_radius: int = 2
    ride: float = -1.0
    lead: float = 0.65
    snap: float = 0.6
    reach: float = 22.0
    agree: float = 1.0
    glimpse: float = 0.45
    hint: float = 0.03


@dataclass(frozen=True)
class TrackerConfig:
    """A whole tracker.

    Attributes:
        name, licence: shown when the model loads.
        input_area: frames are resized to about this many pixels, keeping their shape, before they are encoded.
        input_wh: frames are resized to exactly this size instead, whatever their shape.
        resize_rule: what resizing keeps in place, see `geometry.rescale_points`.
    """

    name: str = "pointtrack-small"
    licence: str = "Apache-2.0"
    input_area: int = 768 * 432
    input_wh: tuple[int, int] | None = None
    resize_rule: Literal["corners", "edges"] = "edges"
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    correlation: CorrelationConfig = field(default_factory=CorrelationConfig)
    tokens: TokenConfig = field(default_factory=TokenConfig)
    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    window: WindowConfig = field(default_factory=WindowConfig)
    initialization: InitializationConfig = field(default_factory=InitializationConfig)

    def __post_init__(self) -> None:
        length, step = self.window.length, self.window.step
        if length is not None and not 1 <= step <= length:
            raise ValueError(f"window step: expected 1..{length} (the window's length), got {step}")
        if self.transformer.width % self.transformer.heads:
            raise ValueError(
                f"transformer width: expected a multiple of the {self.transformer.heads} heads, "
                f"got {self.transformer.width}"
            )


@dataclass(frozen=True)
class InferenceOptions:
    """Settings chosen when a network is loaded, for the machine and the task at hand; no checkpoint stores them.

    Attributes:
        precision: "float32"; or "bfloat16" for convolutions, linear layers and products of features, on processors that
            support it. Positions stay in float32.
        iterations: rounds of refinement per window; None for the network's own.
        length, step: frames per window, and by which it advances; None for the network's own.
        input_area: frames are resized to about this many pixels; None for the network's own.
        strict_parity: reproduce a fault of the published code that changes numbers (`docs/explain/differences.md`).
        looks: 1; or 2 to see every frame mirrored and larger too (`tracking/looks.py`).
    """

    precision: str = "float32"
    iterations: int | None = None
    length: int | None = None
    step: int | None = None
    input_area: int | None = None
    strict_parity: bool = False
    looks: int = 1

    def __post_init__(self) -> None:
        if self.looks not in (1, 2):
            raise ValueError(f"looks: expected 1 or 2, got {self.looks}")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision: expected float32 or bfloat16, got {self.precision!r}")
        if self.iterations is not None and self.iterations < 0:
            raise ValueError(f"iterations: expected 0 or more, got {self.iterations}")

    @property
    def narrow(self) -> bool:
        """Whether to compute in bfloat16."""
        return self.precision == "bfloat16"

    def applied_to(self, config: Any) -> Any:
        """The settings that a network runs with: its own, overridden by these.

        Raises:
            ValueError: a window that the network cannot use.
        """
        changes = {name: getattr(self, name) for name in ("iterations", "length", "step")}
        changes = {name: value for name, value in changes.items() if value is not None}
        window: WindowConfig = dataclasses.replace(config.window, **changes)
        if window.length is not None and ("length" in changes or "step" in changes):
            context = min(window.context, max(0, window.length - window.step) // 2)
            window = dataclasses.replace(window, context=context)
        area = {} if self.input_area is None else {"input_area": self.input_area}
        return dataclasses.replace(config, window=window, **area)


# Loading settings in files older than `InferenceOptions`.
LOADING = ("bf16_encoder", "bf16_refinement", "strict_parity")


def network_config(cls: type[C], data: dict[str, Any], where: str = "config") -> C:
    """`from_dict` of a network's settings, ignoring loading settings, which older files hold too."""
    if isinstance(data, dict):
        data = {name: value for name, value in data.items() if name not in LOADING}
    return from_dict(cls, data, where)


def from_dict(cls: type[C], data: dict[str, Any], where: str = "config") -> C:
    """Build a (nested) config dataclass from plain dicts.

    Raises:
        ValueError: an unknown key, or a value of another type or beyond its limits.

    >>> from_dict(CorrelationConfig, {"radius": 2}).radius
    2
    """
    if not isinstance(data, dict):
        raise ValueError(f"{where}: expected an object with settings, got {str(data)[:60]!r}")  # noqa: TRY004
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(map(str, data)) - set(hints))
    if unknown:
        raise ValueError(
            f"{where}: unknown setting {', '.join(unknown)[:200]}; expected some of {', '.join(hints)}"
        )
    values = {}
    for name, value in data.items():
        if dataclasses.is_dataclass(hints[name]):
            value = from_dict(hints[name], value, f"{where}.{name}")  # type: ignore[arg-type]
        else:
            value = tuple(value) if isinstance(value, list) else value
            if not _fits(value, hints[name]) or not _within(name, value):
                raise ValueError(
                    f"{where}.{name}: expected {_described(hints[name], name)}, got {str(value)[:60]!r}"
                )
        values[name] = value
    return cls(**values)


# Upper limit of whole numbers in configs; those that cost time or memory have lower limits.
MOST = 1 << 24
MOST_OF = {
    "depth": 64, "blocks_per_stage": 32, "levels": 8, "radius": 64, "support_radius": 64, "octaves": 32, "iterations": 64,
    "heads": 1024, "width": 8192, "mlp_ratio": 16, "proxies": 8192, "channels": 8192, "hidden": 65536, "stem_channels": 4096,
    "stage_channels": 8192, "stage_strides": 8, "search_radius": 512, "length": 4096, "time_table": 65536,
}  # fmt: skip
MAY_BE_0 = {"radius", "support_radius", "iterations", "search_radius"}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value fits a type hint of a config."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in inner)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        kinds = inner[:1] * len(value) if len(inner) == 2 and inner[1] is ... else inner
        return len(kinds) == len(value) <= 64 and all(map(_fits, value, kinds))
    if inner:  # a union
        return any(_fits(value, kind) for kind in inner)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is type(None):
        return value is None
    return type(value) is hint if isinstance(hint, type) else True


def _within(name: str, value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_within(name, item) for item in value)
    if type(value) is not int:
        return True
    return _least(name) <= value <= MOST_OF.get(name, MOST)


def _least(name: str) -> int:
    return 1 if name in MOST_OF and name not in MAY_BE_0 else 0


def _described(hint: Any, name: str) -> str:
    words = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
    limits = f" in {_least(name)}..{MOST_OF.get(name, MOST)}" if "int" in words else ""
    return words + limits


def to_dict(config: Any) -> dict[str, Any]:
    """The config as plain dicts and lists, ready for JSON."""
    return dataclasses.asdict(config)
