"""Prompts as texts, as commands and manifests write them: frame,x,y and the like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from pointtrack.io.mask_pictures import check_mask_size, read_mask, read_objects
from pointtrack.segment.base import Prompt

CLICK = "a click frame,x,y or frame,x,y,-"
BOX = "a box frame,x0,y0,x1,y1"
MASK = "a mask frame,FILE"
ABSENT = "an absence frame"


@dataclass
class ParsedPrompt:
    """The prompt of one object on one frame: clicks and a box, or a mask, or an absence.

    Attributes:
        object_id, frame: where it belongs.
        points, labels: clicks (x, y) in pixels, and whether each is on the object.
        box: x0, y0, x1, y1 in pixels.
        mask: (h, w) bool.
        file: the picture that the mask was read from.
        absent: True if the object is not on the frame.
    """

    object_id: int
    frame: int
    points: list[tuple[float, float]] = field(default_factory=list)
    labels: list[bool] = field(default_factory=list)
    box: list[float] | None = None
    mask: Tensor | None = None
    file: str = ""
    absent: bool = False

    @property
    def corrects(self) -> bool:
        """Whether it has only clicks beside the object, which can only correct a mask."""
        return bool(self.labels) and not any(self.labels) and self.box is None

    def prompt(self) -> Prompt:
        """The clicks and the box."""
        box = None if self.box is None else torch.tensor(self.box)
        return Prompt(
            torch.tensor(self.points).reshape(-1, 2), torch.tensor(self.labels, dtype=torch.bool), box
        )


def parse_prompts(
    clicks: Sequence[str] = (),
    boxes: Sequence[str] = (),
    masks: Sequence[str] = (),
    absences: Sequence[str] = (),
) -> list[ParsedPrompt]:
    """Texts as the command takes them -> prompts, in the order of object and frame.

    Raises:
        ValueError: a text has another form, an object has two boxes or masks on one frame, or a mask or an absence
            together with something else there.
        FileNotFoundError: a picture does not exist.

    >>> (prompt,) = parse_prompts(["2:0,31,25", "2:0,4,4,-"])
    >>> prompt.object_id, prompt.frame, prompt.labels
    (2, 0, [True, False])
    """
    parsed: dict[tuple[int, int], ParsedPrompt] = {}

    def place(text: str, form: str) -> tuple[ParsedPrompt, list[str]]:
        """The prompt of the text's object on its frame, and the fields after the frame."""
        owner, frame, fields = _read(text, form)
        return of(1 if owner is None else owner, frame), fields

    def of(owner: int, frame: int) -> ParsedPrompt:
        return parsed.setdefault((owner, frame), ParsedPrompt(owner, frame))

    for text in clicks:
        one, fields = place(text, CLICK)
        sign = fields.pop().strip() if len(fields) == 3 else "+"
        if sign not in ("+", "-"):
            raise ValueError(f"expected {CLICK}, got {text!r}")
        x, y = _numbers(fields, 2, f"{CLICK}, got {text!r}")
        one.points.append((x, y))
        one.labels.append(sign == "+")
    for text in boxes:
        one, fields = place(text, BOX)
        _once(one, one.box, "box", text)
        one.box = _numbers(fields, 4, f"{BOX}, got {text!r}")
    for text in masks:
        owner, frame, fields = _read(text, MASK)
        file = ",".join(fields)
        for number, mask in _objects_of(file, owner).items():
            one = of(number, frame)
            _once(one, one.mask, "mask", text)
            one.file, one.mask = file, torch.from_numpy(mask)
    for text in absences:
        one, fields = place(text, ABSENT)
        if fields:
            raise ValueError(
                f"expected {ABSENT}, got {text!r}; give several frames one after the other, with spaces"
            )
        one.absent = True
    for one in parsed.values():
        if bool(one.points or one.box) + (one.mask is not None) + one.absent > 1:
            raise ValueError(
                f"object {one.object_id}, frame {one.frame}: expected clicks and a box, or a mask, or an absence, "
                "got several of these"
            )
    return sorted(parsed.values(), key=lambda one: (one.object_id, one.frame))


def check_masks(prompts: Iterable[ParsedPrompt], wh: tuple[int, int]) -> None:
    """Raises ValueError for a mask from a file that does not have the video's size (w, h)."""
    for one in prompts:
        if one.mask is not None and one.file:
            check_mask_size(one.mask.numpy(), wh, one.file)


class PromptTarget(Protocol):
    """Anything that takes prompts: a session, or a stream."""

    def prompt(
        self,
        object_id: int,
        frame: int,
        *,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        mask: Any = None,
    ) -> Any:
        """Clicks, a box or a mask on a frame."""

    def mark_absent(self, object_id: int, frame: int) -> None:
        """Mark the object as absent on a frame."""


def apply_prompts(target: PromptTarget, prompts: Iterable[ParsedPrompt]) -> None:
    """Pass parsed prompts to a session or a stream; raises what its methods raise."""
    for one in prompts:
        if one.absent:
            target.mark_absent(one.object_id, one.frame)
        elif one.mask is not None:
            target.prompt(one.object_id, one.frame, mask=one.mask)
        else:
            prompt = one.prompt()
            target.prompt(
                one.object_id, one.frame, points=prompt.points, labels=prompt.labels, box=prompt.box
            )


def _read(text: str, form: str) -> tuple[int | None, int, list[str]]:
    """The object that a text names, None if it names none; its frame; and the fields after that."""
    number, colon, rest = text.partition(":")
    named = bool(colon) and number.isdigit()
    fields = (rest if named else text).split(",")
    if not fields[0].strip().isdigit():
        raise ValueError(f"expected {form}, got {text!r}")
    return int(number) if named else None, int(fields[0]), fields[1:]


def _objects_of(file: str, owner: int | None) -> dict[int, np.ndarray]:
    """Object -> its mask in a picture: those of its indices, if it is one of DAVIS, or a single one."""
    objects = read_objects(file)
    if owner is None:
        return objects or {1: read_mask(file)}
    if len(objects) > 1 and owner not in objects:
        raise ValueError(
            f"mask: expected one of the objects {', '.join(map(str, objects))} that {file} shows, got {owner}"
        )
    return {owner: objects[owner] if owner in objects else read_mask(file)}


def _once(one: ParsedPrompt, before: object, what: str, text: str) -> None:
    if before is not None:
        raise ValueError(
            f"{what}: expected one of object {one.object_id} on frame {one.frame}, got another, {text!r}; of another object it "
            f"begins with its number, as in 2:{text}"
        )


def _numbers(fields: list[str], count: int, expected: str) -> list[float]:
    try:
        values = [float(field) for field in fields]
    except ValueError as error:
        raise ValueError(f"expected {expected}") from error
    if len(values) != count:
        raise ValueError(f"expected {expected}")
    return values
