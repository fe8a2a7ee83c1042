"""Space-time memory of objects: the appearance of objects and their surroundings, cell by cell, in frames with known masks.

The memory stores a frame as keys (features of its cells) and values (which object each cell shows). Reading it with a
new frame's keys finds, for every cell, the most similar remembered cells and what those showed. The memory is bounded,
however long the video. Frames with a person's masks stay for ever, the newest few stay until newer ones come, and one
frame in every few stays longer. When such a frame is dropped, its most read cells are kept one by one.

Masks of later frames are themselves results, so a mistake confirms itself: what leaked once is the object from then on.
Frames with a person's masks are certain. They vote a second time, alone, and by appearance alone, as old positions
mean little.

Source: the ideas of STM (Oh et al. 2019), STCN (Cheng et al. 2021) and XMem (Cheng and Schwing 2022), from the papers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from pointtrack.checks import check_shape

ROWS = 256  # cells compared at a time on a CPU
GROUP = 16  # remembered cells per group in the search for the largest values


@dataclass(frozen=True)
class MemoryConfig:
    """Size of the memory, and how it is read.

    Attributes:
        recent: number of newest frames kept.
        every: one in this many frames is kept longer, as a working frame.
        working: largest number of working frames.
        prototypes: largest number of single cells kept from dropped working frames.
        top: number of remembered cells that answer for a cell.
        sharpness: factor on similarities before the soft-max over them.
        place: weight of a cell's position in the frame; its appearance counts 1. Objects rarely jump, and look-alikes are
            elsewhere.
        certain: share, in [0, 1], of the separate vote by frames with a person's masks; with 0 there is no such vote.
    """

    recent: int = 2
    every: int = 5
    working: int = 8
    prototypes: int = 2048
    top: int = 8
    sharpness: float = 20.0
    place: float = 1.0
    certain: float = 0.5

    def __post_init__(self) -> None:
        for name in ("recent", "every", "working", "top"):
            if getattr(self, name) < 1:
                raise ValueError(f"memory {name}: expected at least 1, got {getattr(self, name)}")
        if not 0 <= self.certain <= 1:
            raise ValueError(f"memory certain: expected a number from 0 to 1, got {self.certain}")


@dataclass
class _Cells:
    """Remembered cells: keys (m, c), values (m, o), and how much each was read (m,)."""

    keys: Tensor
    values: Tensor
    used: Tensor

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors by name. Reading the memory replaces `used`; nothing changes these tensors in place."""
        return {"keys": self.keys, "values": self.values, "used": self.used}

    @classmethod
    def concat(cls, parts: list[_Cells]) -> _Cells:
        return cls(
            *(torch.cat([getattr(part, name) for part in parts]) for name in ("keys", "values", "used"))
        )


@dataclass(frozen=True)
class Recollection:
    """What the memory returns for a frame.

    Attributes:
        share: (o, h, w) in [0, 1], the object's share in the remembered cells that each cell resembles.
        similarity: (h, w) cosine between each cell and the most similar remembered cell; low where the frame shows
            something new.
        certain: (o, h, w) as `share`, from frames with a person's masks alone; None if there are none, or they have no
            separate vote.
        to_given: (h * w, m) cosine of each cell here with each cell of those frames.
        given: (m, o) how much of each cell of those frames the objects covered.
    """

    share: Tensor
    similarity: Tensor
    certain: Tensor | None = None
    to_given: Tensor | None = None
    given: Tensor | None = None


class ObjectMemory:
    """Remembers frames with masks of a fixed number of objects; see the module.

    Args:
        objects: number of objects.
        config: sizes.
    """

    def __init__(self, objects: int, config: MemoryConfig | None = None):
        if objects < 1:
            raise ValueError(f"memory: expected at least 1 object, got {objects}")
        self.objects, self.config = objects, config or MemoryConfig()
        self._given: list[tuple[int | None, _Cells]] = []
        self._recent: list[tuple[int, _Cells]] = []
        self._working: list[_Cells] = []
        self._prototypes: _Cells | None = None
        self._newest_working: int | None = None

    def __len__(self) -> int:
        """Number of remembered cells."""
        return sum(len(part.keys) for part in self._parts())

    def state_dict(self) -> dict[str, Any]:
        """The whole memory, as tensors and plain values."""
        return {
            "objects": self.objects,
            "config": asdict(self.config),
            "given": [(frame, cells.state_dict()) for frame, cells in self._given],
            "recent": [(frame, cells.state_dict()) for frame, cells in self._recent],
            "working": [cells.state_dict() for cells in self._working],
            "prototypes": None if self._prototypes is None else self._prototypes.state_dict(),
            "newest_working": self._newest_working,
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> ObjectMemory:
        """The memory as it was when `state` was taken."""
        memory = cls(state["objects"], MemoryConfig(**state["config"]))
        memory._given = [(frame, _Cells(**cells)) for frame, cells in state["given"]]
        memory._recent = [(frame, _Cells(**cells)) for frame, cells in state["recent"]]
        memory._working = [_Cells(**cells) for cells in state["working"]]
        memory._prototypes = None if state["prototypes"] is None else _Cells(**state["prototypes"])
        memory._newest_working = state["newest_working"]
        return memory

    def add(self, frame: int | None, features: Tensor, masks: Tensor, *, given: bool = False) -> None:
        """Remember a frame.

        Args:
            frame: its number; None for a given frame that replaces no other.
            features: (c, h, w) of its cells.
            masks: (o, H, W) of the objects, any size; averaged over each cell.
            given: a person gave the masks: the frame is never forgotten, and replaces what was given on it before.

        Raises:
            ValueError: the number of objects differs from the memory's, or a shape is wrong.
        """
        check_shape(features, "c h w", "memory features")
        if masks.ndim != 3 or len(masks) != self.objects:
            raise ValueError(f"memory masks: expected ({self.objects}, h, w), got {tuple(masks.shape)}")
        h, w = features.shape[1:]
        share = F.adaptive_avg_pool2d(masks.float()[None], (h, w))[0]
        keys = keys_of(features, self.config.place)
        values = rearrange(share, "o h w -> (h w) o").to(keys)
        cells = _Cells(keys, values, keys.new_zeros(len(keys)))
        if given:
            others = [one for one in self._given if frame is None or one[0] != frame]
            self._given = [*others, (frame, cells)]
            return
        assert frame is not None
        self._recent.append((frame, cells))
        while len(self._recent) > self.config.recent:
            self._retire(*self._recent.pop(0))

    def read(self, features: Tensor, *, anywhere: bool = False, note: bool = True) -> Recollection:
        """Look up the frame with these (c, h, w) features.

        Args:
            anywhere: compare appearance alone, without positions; for an object that was gone, or after a cut.
            note: count which cells answered, as those that are read most are kept longest.

        Raises:
            ValueError: the memory is empty.
        """
        check_shape(features, "c h w", "memory features")
        parts = self._parts()
        if not parts:
            raise ValueError("memory: expected a remembered frame before the first read; add one")
        appearance = features.shape[0]
        keys = keys_of(features, self.config.place)
        cells_given = sum(len(cells.keys) for _, cells in self._given)  # they come first
        channels = appearance if anywhere else keys.shape[1]
        near, which, to_given = _most_alike(keys[:, :channels], parts, self.config.top, cells_given)
        values = torch.cat([part.values for part in parts])
        share, weight = self._vote(near, values[which])
        if note:
            self._note_use(parts, which, weight)
        places = torch.cat([part.keys[:, appearance:] for part in parts])
        best = near[:, 0]
        if not anywhere:  # subtract what the positions add, to leave the appearance alone
            best = best - (keys[:, appearance:] * places[which[:, 0]]).sum(1)
        h, w = features.shape[1:]
        recollection = Recollection(
            rearrange(share, "(h w) o -> o h w", h=h), rearrange(best, "(h w) -> h w", h=h)
        )
        if not cells_given or not self.config.certain:
            return recollection
        if not anywhere:
            to_given = to_given - keys[:, appearance:] @ places[:cells_given].T
        near, which = _top(to_given, self.config.top)
        certain = rearrange(self._vote(near, values[which])[0], "(h w) o -> o h w", h=h)
        if not anywhere:
            recollection = replace(
                recollection, share=torch.lerp(recollection.share, certain, self.config.certain)
            )
        return replace(recollection, certain=certain, to_given=to_given, given=values[:cells_given])

    def _vote(self, near: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Average the values of the most similar remembered cells.

        Args:
            near: (p, k) their similarities. values: (p, k, o) their values.

        Returns:
            (p, o) shares, and (p, k) the weight of each.
        """
        weight = torch.softmax(near * self.config.sharpness, dim=1)
        return torch.einsum("pk,pko->po", weight, values), weight

    def _parts(self) -> list[_Cells]:
        prototypes = [] if self._prototypes is None else [self._prototypes]
        return [
            *(cells for _, cells in self._given),
            *prototypes,
            *self._working,
            *(cells for _, cells in self._recent),
        ]

    def _note_use(self, parts: list[_Cells], which: Tensor, weight: Tensor) -> None:
        total = sum(len(part.keys) for part in parts)
        used = weight.new_zeros(total).index_add_(0, which.flatten(), weight.flatten())
        for part, share in zip(parts, used.split([len(part.keys) for part in parts]), strict=True):
            part.used = part.used + share

    def _retire(self, frame: int, cells: _Cells) -> None:
        """Keep a frame that leaves the newest as a working frame, if it is far enough from the last one."""
        if self._newest_working is not None and abs(frame - self._newest_working) < self.config.every:
            return
        self._newest_working = frame
        self._working.append(cells)
        if len(self._working) > self.config.working:
            self._condense(self._working.pop(0))

    def _condense(self, cells: _Cells) -> None:
        """Keep the most used cells of a dropped frame, in place of prototypes that were used less."""
        if not self.config.prototypes:
            return
        pool = cells if self._prototypes is None else _Cells.concat([self._prototypes, cells])
        # Each object and the background get the same number, or the background would crowd out small objects.
        kind = torch.cat([(1 - pool.values.sum(1, keepdim=True)).clamp(min=0), pool.values], dim=1).argmax(1)
        share = self.config.prototypes // (self.objects + 1)
        kept = []
        for number in range(self.objects + 1):
            mine = (kind == number).nonzero()[:, 0]
            kept.append(mine[pool.used[mine].argsort(descending=True, stable=True)[:share]])
        index = torch.cat(kept)
        self._prototypes = _Cells(pool.keys[index], pool.values[index], pool.used[index])


def _most_alike(keys: Tensor, parts: list[_Cells], top: int, first: int) -> tuple[Tensor, Tensor, Tensor]:
    """Find the remembered cells that are most similar to each cell.

    Args:
        keys: (p, c) of the cells, compared with the first c channels of the remembered ones.
        parts: the remembered ones, m in all.
        top: k, or m if that is fewer.
        first: the products with this many remembered cells at the front are all returned.

    Returns:
        (p, k) products, the largest first, and the indices of their cells; (p, first) products.
    """
    counts = [len(part.keys) for part in parts]
    rows = min(ROWS, len(keys)) if keys.device.type == "cpu" else len(keys)
    # A few cells at a time: all products at once take new memory for every frame, and have left the cache when read.
    room = keys.new_empty(rows, sum(counts))
    found = []
    for some in keys.split(rows):
        similarity = room[: len(some)]
        for part, columns in zip(parts, similarity.split(counts, dim=1), strict=True):
            torch.mm(some, part.keys[:, : keys.shape[1]].T, out=columns)
        found.append((*_top(similarity, top), similarity[:, :first].clone()))
    near, which, products = (torch.cat(each) for each in zip(*found, strict=True))
    return near, which, products


def _top(similarity: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """(p, m) -> its (p, k) largest values and their places, as `topk`; on a CPU in half the time.

    The k largest values all lie in the k groups of columns with the largest maxima.
    """
    m = similarity.shape[1]
    groups = m // GROUP
    if groups <= top:
        near, which = similarity.topk(min(top, m), dim=1)
        return near, which
    # A group is every `groups`-th column, so that the maxima of all groups lie side by side.
    largest = similarity[:, : groups * GROUP].unflatten(1, (GROUP, groups)).amax(1)
    members = torch.arange(GROUP, device=similarity.device) * groups
    chosen = (largest.topk(top, dim=1).indices[:, :, None] + members).flatten(1)
    rest = torch.arange(groups * GROUP, m, device=similarity.device).expand(len(similarity), -1)
    chosen = torch.cat([chosen, rest], dim=1)
    near, place = similarity.gather(1, chosen).topk(top, dim=1)
    return near, chosen.gather(1, place)


def keys_of(features: Tensor, place: float) -> Tensor:
    """(c, h, w) -> (h * w, c + 4): appearance of unit length, then positions as waves, similar for near positions.

    Args:
        place: weight of the positions; `MemoryConfig.place`.
    """
    appearance = F.normalize(rearrange(features.float(), "c h w -> (h w) c"), dim=1)
    h, w = features.shape[1:]
    # One unit is half the longer side, so that the frame's shape does not matter.
    rows = (torch.arange(h, device=appearance.device) - (h - 1) / 2) * 2 / max(h, w)
    columns = (torch.arange(w, device=appearance.device) - (w - 1) / 2) * 2 / max(h, w)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    waves = torch.stack([y.sin(), y.cos(), x.sin(), x.cos()], dim=-1).reshape(h * w, 4)
    return torch.cat([appearance, place * waves], dim=1)
