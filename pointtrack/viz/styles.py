"""How tracks and masks look: settings that commands also take as options. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from pointtrack.types import VISIBLE
from pointtrack.viz.color_names import ChosenColors, named_color

COLOR_RULES = ("position", "id", "visibility", "state")
VIEWS = ("overlay", "cutout")
LABELS = ("none", "name", "score")
EFFECTS = ("blur", "pixelate")  # besides colours


@dataclass(frozen=True, eq=False)
class TrackStyle:
    """How tracks look.

    Args:
        trail: length of the fading trail in frames; 0 for none.
        color_by: "position" (neighbours on their query frames get similar colours; best for a fixed set of points),
            "id" (distinct colours that stay the same when points come and go), "visibility" (orange: hidden,
            blue: visible), "state" (one colour each for visible, hidden, out of frame and lost), or in Python your own
            colours, (n, 3) RGB in 0..255.
        colors: colours of single points, by their numbers: 3:red,5-9:00ff00; none leaves a point out, as in 7:none.
        radius: radius of a dot in pixels, as the video is shown; by default an 80th of the shorter image side, less if there are
            many points.
        hidden: how to draw points that are not visible: "ring", "dot" (filled, dim) or "none".
        lost: how to draw lost points: "cross" or "none". In tracks with states their state decides, and the cross marks
            where the point was last visible, if the trail reaches back to that. Otherwise points of low confidence are lost.
        outside: how to draw points out of the frame: "arrow" (at the border, pointing to where they are) or "none".
        threshold: a point is visible above this visibility.
        lost_below: a point is lost below this confidence; 0 means never.
        legend: explain the signs in a corner.

    Raises:
        ValueError: a word is unknown, or a number out of range.
    """

    trail: int = 12
    color_by: Any = "position"
    colors: str | None = None
    radius: float | None = None
    hidden: str = "ring"
    lost: str = "cross"
    outside: str = "arrow"
    threshold: float = VISIBLE
    lost_below: float = 0.0
    legend: bool = False

    def __post_init__(self) -> None:
        choices = {"hidden": ("ring", "dot", "none"), "lost": ("cross", "none"), "outside": ("arrow", "none")}
        if isinstance(self.color_by, str):
            choices["color_by"] = COLOR_RULES
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: expected one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        ChosenColors.parse(self.colors)
        if self.trail < 0 or (self.radius is not None and not self.radius > 0):
            raise ValueError(f"expected trail >= 0 and radius > 0, got {self.trail} and {self.radius}")
        if not (0 <= self.threshold <= 1 and 0 <= self.lost_below <= 1):
            raise ValueError(
                f"expected threshold and lost_below in 0..1, got {self.threshold} and {self.lost_below}"
            )


@dataclass(frozen=True, eq=False)
class MaskStyle:
    """How masks look.

    Args:
        opacity: opacity of the fill, 0 (outline only) to 1 (nothing shines through).
        outline: width in pixels of the line along the edge of the mask; 0 for none; by default a 240th of the
            shorter image side.
        colors: colours of single objects, by their numbers: 1:red,2-4:00ff00; none leaves an object out, as in 3:none.
        label: text at each object: "none", "name", or "score" (the name, and the score in percent).
        legend: explain the colours in a corner; objects that are absent are dim there.
        view: "overlay" draws on the frame; "cutout" shows the objects alone, as they are, on a checkerboard.
        side_by_side: put the untouched frame to the left of the drawn one.

    Raises:
        ValueError: a word is unknown, or a number out of range.
    """

    opacity: float = 0.4
    outline: float | None = None
    colors: str | None = None
    label: str = "none"
    legend: bool = False
    view: str = "overlay"
    side_by_side: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (("label", LABELS), ("view", VIEWS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: expected one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        ChosenColors.parse(self.colors)
        if not 0 <= self.opacity <= 1:
            raise ValueError(f"opacity: expected a number in 0..1, got {self.opacity}")
        if self.outline is not None and not self.outline >= 0:
            raise ValueError(f"outline: expected a width of 0 pixels or more, got {self.outline}")


@dataclass(frozen=True, eq=False)
class UnderStyle:
    """Masks that are drawn under tracks.

    Args:
        masks: file of masks of the same video: .npz, .json or a folder of PNGs, as `pointtrack segment` writes them.
        mask_opacity: opacity of their fill, 0 (outline only) to 1 (nothing shines through).
        mask_colors: colours of single objects, by their numbers: 1:red,2-4:00ff00; none leaves an object out.
        mask_label: text at each object: "none", "name", or "score".

    Raises:
        ValueError: as `MaskStyle`.
    """

    masks: str | None = None
    mask_opacity: float = 0.4
    mask_colors: str | None = None
    mask_label: str = "none"

    def __post_init__(self) -> None:
        _ = self.style
        if self.masks is None and (self.mask_opacity, self.mask_colors, self.mask_label) != (
            0.4,
            None,
            "none",
        ):
            raise ValueError(
                "mask_opacity, mask_colors, mask_label: expected a file of masks to draw too, got none; as in "
                "--masks dog_masks.npz"
            )

    @property
    def style(self) -> MaskStyle:
        """How the masks look."""
        return MaskStyle(opacity=self.mask_opacity, colors=self.mask_colors, label=self.mask_label)


@dataclass(frozen=True, eq=False)
class EditStyle:
    """How a video is edited by its masks. Without `background` and `objects` nothing is edited.

    Args:
        background: what becomes of everything but the objects: "blur", "pixelate", a colour (green, 00ff00), or a picture
            file that takes its place.
        objects: what becomes of the objects, as for privacy: "blur", "pixelate" or a colour; for single objects with their
            numbers, as in 2:blur,3:black.
        strength: how much to blur and pixelate: 2 is twice as coarse.
        edge: width in pixels of the soft edge of the objects; 0 cuts sharply; by default a 200th of the shorter
            image side, and 1.5 at least.

    Raises:
        ValueError: a word is unknown, or a number out of range.
    """

    background: str | None = None
    objects: str | None = None
    strength: float = 1.0
    edge: float | None = None

    def __post_init__(self) -> None:
        if self.picture is not None and not Path(self.picture).is_file():
            raise ValueError(
                f"background: expected {', '.join(EFFECTS)}, a colour (green, 00ff00) or a picture file, got "
                f"{self.background!r}"
            )
        self.effects()
        if not 0 < self.strength < 100:
            raise ValueError(f"strength: expected more than 0 and less than 100, got {self.strength}")
        if self.edge is not None and not 0 <= self.edge < 1000:
            raise ValueError(f"edge: expected a width of 0 pixels or more, got {self.edge}")
        if not self and (self.strength != 1 or self.edge is not None):
            raise ValueError("strength, edge: expected a background or objects to edit too, got neither")

    def __bool__(self) -> bool:
        """True if something is edited."""
        return self.background is not None or self.objects is not None

    @property
    def picture(self) -> str | None:
        """The picture file that takes the place of the background, if one does."""
        return None if self.background is None or _is_effect(self.background) else self.background

    def hidden(self, ids: Iterable[int]) -> list[int]:
        """Those of the objects that are edited."""
        effects = self.effects()
        return [number for number in ids if None in effects or number in effects]

    def effects(self) -> dict[int | None, str]:
        """What becomes of the objects, by their ids; None stands for all that have no entry of their own.

        >>> EditStyle(objects="2:blur,3:black").effects()
        {2: 'blur', 3: 'black'}
        """
        found: dict[int | None, str] = {}
        for part in (self.objects or "").split(","):
            number, colon, effect = part.strip().rpartition(":")
            if self.objects is None:
                continue
            if not _is_effect(effect) or (colon and not number.strip().isdecimal()):
                raise ValueError(
                    f"objects: expected {', '.join(EFFECTS)} or a colour (black, 00ff00), or for single objects "
                    f"2:blur,3:black, got {self.objects!r}"
                )
            found[int(number) if colon else None] = effect
        return found


Style = TypeVar("Style", TrackStyle, MaskStyle, EditStyle)


def changed_style(style: Style, changes: dict[str, Any], name: str) -> Style:
    """The style with other values for some settings, by their names; `name` is what a message about unknown ones says.

    Raises:
        ValueError: a setting is unknown, or its value wrong.
    """
    known = [field.name for field in fields(style)]
    if unknown := sorted(set(changes) - set(known)):
        raise ValueError(f"{name}: expected settings among {', '.join(known)}, got {', '.join(unknown)}")
    return replace(style, **changes)


def _is_effect(text: str) -> bool:
    return text in EFFECTS or named_color(text) is not None
