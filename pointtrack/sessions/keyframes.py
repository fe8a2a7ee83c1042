"""The keyframes of objects, and which frames follow from them. Pure: no models, no pixels of the video."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral

import torch
from torch import Tensor

from pointtrack.objects.point_prompts import KnownMask, overlap

# Clicks that change less than the share TOUCH_UP of a mask only touch it up; if they change OTHER or more, it was on
# something else. A mask whose score is below SURE may itself be on something else.
TOUCH_UP, OTHER, SURE = 0.25, 0.7, 0.5


@dataclass(frozen=True, eq=False)
class Keyframe:
    """A frame on which a person set where an object is.

    Attributes:
        frame: its number.
        serial: unique among the keyframes of the session; a correction is a new keyframe.
        mask: (h, w) bool, the object's mask there; empty if it was marked absent.
        points, labels: (k, 2) pixels and (k,) bool of all clicks on that frame.
        box: (4,) x0, y0, x1, y1, or None.
        base: (h, w) bool, the mask that the clicks correct, empty if the object was followed but not found there; or None.
        followed: 1 or -1 if the base comes from following the object forward or backward in time, 0 otherwise.
        score: the expected overlap (IoU) of the mask, in [0, 1]: predicted by the segmenter for an answer to clicks, 1 for a
            mask that a person gave.
    """

    frame: int
    serial: int
    mask: Tensor
    points: Tensor
    labels: Tensor
    box: Tensor | None = None
    base: Tensor | None = None
    followed: int = 0
    score: float = 1.0

    @cached_property
    def corrects(self) -> bool:
        """Whether its clicks correct a mask that was followed from other keyframes."""
        return bool(self.followed) and self.base is not None and bool(self.mask.any())

    @cached_property
    def change(self) -> float:
        """The share of the mask that it changed, in [0, 1]: 1 - overlap (IoU) of before and after; 1 without a base."""
        return 1.0 if self.base is None else 1 - overlap(self.base, self.mask)

    @property
    def touches_up(self) -> bool:
        """Whether it changes little of a mask followed from other keyframes; then it is hardly more certain."""
        return self.corrects and self.change < TOUCH_UP

    @property
    def leads(self) -> bool:
        """Whether other frames follow from it: not if it only touches up a followed mask, or only takes away from it."""
        takes_away = self.corrects and bool(len(self.labels)) and not bool(self.labels.any())
        return not (self.touches_up or takes_away)

    @property
    def carries(self) -> bool:
        """Whether it corrects a followed mask of the same object; what is wrong there is wrong on other frames too."""
        return self.corrects and self.change < OTHER

    @property
    def starts_over(self) -> bool:
        """Whether the followed mask was on something else: the clicks changed at least OTHER of it, and the score is SURE or more.

        A click where the object was not found does not count: the masks of other frames may be right.
        """
        instead = self.base is not None and bool(self.base.any())
        return instead and self.corrects and self.change >= OTHER and self.score >= SURE

    @property
    def drawn(self) -> bool:
        """Whether a person set its whole mask: drew it, chose it, or marked the object absent."""
        answers = bool(len(self.points)) or self.box is not None
        return not self.mask.any() or not answers or (self.base is not None and not self.followed)


@dataclass(frozen=True)
class SessionObject:
    """An object of a session: its id and name, and its keyframes in the order of their frames."""

    id: int
    name: str
    keys: tuple[Keyframe, ...] = ()
    # Results of `sides_of` by its arguments, cached as long histories need them again and again.
    _sides: dict[tuple[int, bool], tuple[Side, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def key(self, frame: int) -> Keyframe | None:
        """The keyframe on this frame."""
        return next((key for key in self.keys if key.frame == frame), None)

    def elsewhere(self, frame: int) -> list[KnownMask]:
        """The masks of the keyframes on other frames."""
        return [KnownMask(key.frame, key.mask, key.score) for key in self.keys if key.frame != frame]

    def with_key(self, key: Keyframe) -> SessionObject:
        """The same object with this keyframe, which replaces one on the same frame."""
        others = [one for one in self.keys if one.frame != key.frame]
        return replace(self, keys=tuple(sorted([*others, key], key=lambda one: one.frame)))

    def without_key(self, frame: int) -> SessionObject:
        """The same object without the keyframe on this frame."""
        return replace(self, keys=tuple(key for key in self.keys if key.frame != frame))


@dataclass(frozen=True)
class Side:
    """Frames that follow from a keyframe in one direction.

    Frames between two keyframes follow from both: the half next to each is a side of it, and the walk also uses the mask of
    the other. There are two exceptions. If one keyframe marks the object absent, the other takes all frames, as it shows
    where the object was. If one only touches up a followed mask, nothing follows from it towards where that mask came from,
    because its remaining errors would spread to frames that were still right. Frames beyond the first or last keyframe
    follow from that one; the walk also uses the keyframe that was set first, so that later corrections do not change them.
    So its attributes define a side fully, and its results stay valid until one of its keyframes changes.

    A keyframe that clicks or a box answered has a side of its own, of its frame alone, if later corrections are carried there.

    Attributes:
        object_id: the object.
        start: serial of the keyframe that the side starts beside.
        other: serial of the second keyframe whose mask the walk uses, at the far end if there is one; None without any. The side of a
            keyframe's own frame begins and ends with that keyframe.
        frames: the frames of the side, in the order of the walk; step 1 or -1.
        carried: serials of the keyframes that also correct its masks (`carried.py`), in the order in which they were set.
    """

    object_id: int
    start: int
    other: int | None
    frames: range
    carried: tuple[int, ...] = ()

    @property
    def walked(self) -> Side:
        """The same side as the engine walks it, before any correction is carried to it."""
        return replace(self, carried=())

    @property
    def own(self) -> bool:
        """Whether it is the frame of a keyframe itself, where nothing is walked."""
        return self.other == self.start

    @property
    def forward(self) -> bool:
        """Whether it goes forward in time."""
        return self.frames.step > 0


def sides_of(one: SessionObject, length: int, carries: bool = False) -> tuple[Side, ...]:
    """All sides of an object in a video of `length` frames; they hold every frame that follows from a keyframe.

    Args:
        carries: whether corrections are carried along the video. Then no frame follows from a correction that does not
            lead. One that leads has sides; unless it starts over, the sides without it are there too. They come after it,
            and of several results on a frame the one of higher quality counts. Later corrections also reach the frames of
            earlier clicks and boxes.
    """
    if (length, carries) not in one._sides:
        one._sides[length, carries] = tuple(_sides(one, length, carries))
    return one._sides[length, carries]


def _sides(one: SessionObject, length: int, carries: bool) -> list[Side]:
    if not carries:
        return _sides_from(one.id, one.keys, length)
    starts = _starts(one.keys)
    corrections = sorted(
        (key for key in starts if key.corrects and not key.starts_over), key=lambda key: key.serial
    )
    sides: dict[Side, None] = {}
    for count in range(len(corrections), -1, -1):
        undone = {key.serial for key in corrections[count:]}
        sides |= dict.fromkeys(
            _sides_from(one.id, [key for key in starts if key.serial not in undone], length)
        )
    return [replace(side, carried=_carried(one.keys, side)) for side in sides] + _own_sides(one)


def _own_sides(one: SessionObject) -> list[Side]:
    """The sides of the keyframes that clicks or a box answered, to which later corrections are carried."""
    sides = []
    for key in one.keys:
        if not key.drawn:
            own = Side(one.id, key.serial, key.serial, range(key.frame, key.frame + 1))
            later = tuple(serial for serial in _carried(one.keys, own) if serial > key.serial)
            if later:
                sides.append(replace(own, carried=later))
    return sides


def _sides_from(number: int, keys: Sequence[Keyframe], length: int) -> list[Side]:
    """The sides of an object that follow from these keyframes."""
    sides = []
    ends: Sequence[Keyframe | None] = [None, *keys, None]
    for left, right in zip(ends[:-1], ends[1:], strict=True):
        first = left.frame + 1 if left else 0
        stop = right.frame if right else length
        middle = _middle(left, right, first, stop)
        if left and first < middle:
            other = right.serial if right else _first_shown(keys, left)
            sides.append(Side(number, left.serial, other, range(first, middle)))
        if right and middle < stop:
            other = left.serial if left else _first_shown(keys, right)
            sides.append(Side(number, right.serial, other, range(stop - 1, middle - 1, -1)))
    return sides


def _starts(keys: Sequence[Keyframe]) -> list[Keyframe]:
    """The keyframes that masks follow from: those that lead, and those whose masks followed from one that is gone."""
    starts = {key.serial for key in keys if key.leads}
    for followed, order in ((1, keys), (-1, keys[::-1])):
        before = None
        for key in order:
            if not key.leads and key.followed == followed and (before is None or not before.mask.any()):
                starts.add(key.serial)
            if key.serial in starts:
                before = key
    return [key for key in keys if key.serial in starts]


def _carried(keys: Sequence[Keyframe], side: Side) -> tuple[int, ...]:
    """Serials of the keyframes that are carried to a side, up to the next mask that a person drew."""
    first, last = min(side.frames), max(side.frames)
    drawn = [key.frame for key in keys if key.drawn]
    return tuple(
        sorted(
            key.serial
            for key in keys
            if key.carries
            and not any(min(key.frame, first) < frame < max(key.frame, last) for frame in drawn)
        )
    )


def _first_shown(keys: Sequence[Keyframe], start: Keyframe) -> int | None:
    """Serial of the keyframe besides `start` that was set first and shows the object; None without one.

    The keyframe set first shows the whole object more often than a correction does. None also if `start` marks the
    object absent, as it is not searched for from there.
    """
    if not start.mask.any():
        return None
    return min((key.serial for key in keys if key is not start and key.mask.any()), default=None)


def _middle(left: Keyframe | None, right: Keyframe | None, first: int, stop: int) -> int:
    """The first of the frames first..stop-1 that follows from the right keyframe."""
    if left is None or right is None:
        return stop if left else first
    if bool(left.mask.any()) != bool(right.mask.any()):
        return stop if left.mask.any() else first
    # Nothing follows from a touched-up mask towards the side it came from.
    from_left = right.touches_up and right.followed > 0
    from_right = left.touches_up and left.followed < 0
    if from_left != from_right:
        return stop if from_left else first
    return (first + stop + 1) // 2


def known_masks(one: SessionObject, side: Side) -> list[KnownMask]:
    """The masks of the keyframes that a side follows from; first that of `side.start`."""
    keys: Mapping[int, Keyframe] = {key.serial: key for key in one.keys}
    wanted = [side.start] if side.other is None else [side.start, side.other]
    return [KnownMask(keys[serial].frame, keys[serial].mask, keys[serial].score) for serial in wanted]


def no_points() -> tuple[Tensor, Tensor]:
    """Points and labels of a keyframe without clicks."""
    return torch.zeros(0, 2), torch.zeros(0, dtype=torch.bool)


def new_object(name: str, object_id: int | None, used: Collection[int]) -> SessionObject:
    """An object without keyframes.

    Args:
        name: of the object; if empty, made from its id.
        object_id: from 1 on; None takes the next number above all used ones.
        used: ids that others have or had.

    Raises:
        ValueError: the name is no text, or the id is no whole number from 1 on, or was used before.
    """
    if not isinstance(name, str):
        raise ValueError(f"object name: expected text, got {name!r}; an id goes to object_id=")  # noqa: TRY004
    if object_id is not None and (isinstance(object_id, bool) or not isinstance(object_id, Integral)):
        raise ValueError(f"object id: expected a whole number, got {object_id!r}")  # noqa: TRY004
    number = 1 + max(used, default=0) if object_id is None else int(object_id)
    if number < 1 or number in used:
        raise ValueError(f"object id: expected a new one from 1 on, got {number}; used are {sorted(used)}")
    return SessionObject(number, name or f"object {number}")
