"""The start of a window: each point's last position, or the position where a search for its features finds it.

The search goes frame by frame. For each point it takes the best cell of a small search area around the last position.
If the best product there is poor, it searches the whole frame, and moves the point to a much better place, or to a
somewhat better one that its neighbours agree with. A point found nowhere moves with the points around it. Coarse maps
show what a thing is, fine maps where exactly it is, so both questions use the same features with different weights.
This first guess needs no transformer, and the refinement is always measured against it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import repeat
from torch import Tensor

from pointtrack.config import InitializationConfig
from pointtrack.layers.correlation import read_block, read_patch
from pointtrack.models.neighbours import Neighbours
from pointtrack.models.window import Estimate, Templates, WindowQueries, WindowState

# Search areas of points, and cells of a whole frame, that a CPU compares at a time, so that they stay in its cache.
AT_ONCE, CELLS_AT_ONCE = 16, 2048
SNAP = 4  # cells; radius of the search around the place to which its neighbours move a point
SMALLEST = 1e-6  # least length that a template is divided by
PLACES = 3  # elsewhere in the frame, that are compared with the places of the neighbours
BLOCK = 8  # cells; side of blocks with one such place each, as neighbouring cells are the same place
LEAD = 0.15  # by how much more neighbours must agree with such a place than with the one nearby


def repeat_last(queries: WindowQueries, state: WindowState | None, frames: int, logit: float) -> Estimate:
    """Start all frames of a window from the query, or from the last estimate of the previous window.

    Args:
        queries: the n points.
        state: from the previous window, None for the first.
        frames: length of the window.
        logit: visibility and confidence logit of points that are new in this window.

    Source: CoTracker (Karaev et al. 2023), windowed inference.
    """
    xy = repeat(queries.xy, "b n xy -> b t n xy", t=frames)
    unknown = torch.full_like(xy[..., 0], logit)
    requested = Estimate(xy, unknown, unknown)
    return (
        requested if state is None else state.overlap.extended(frames).where(state.known(queries), requested)
    )


def _expected(xy: Tensor, frame: int, side: int, pace: float) -> Tensor:
    """Extrapolated positions on a frame, from the frames on one side of it: (b, t, n, 2) -> (b, n, 2)."""
    last, before = frame + side, frame + 2 * side
    if not 0 <= before < xy.shape[1]:
        return xy[:, last]
    return xy[:, last] + pace * torch.nan_to_num(xy[:, last] - xy[:, before])


@dataclass(frozen=True)
class Search:
    """How to search for points through a window.

    Attributes:
        rules: what counts as a match.
        radius: of the search area, in cells.
        sharpness: factor on the products for the sub-cell position.
        neighbours: of the points.
        emphasis: (c,) factors on the products of channels, for the exact place; None for no factors.
    """

    rules: InitializationConfig
    radius: int
    sharpness: Tensor
    neighbours: Neighbours
    emphasis: Tensor | None = None

    def exact(self, template: Tensor) -> Tensor:
        """Reweight the channels for the exact place: (b, n, c) unit-length templates -> the same shape.

        The result has unit length under those weights, so that its products with features are cosines again.
        """
        if self.emphasis is None:
            return template
        length = (self.emphasis * template.square()).sum(-1, keepdim=True).sqrt()
        return self.emphasis * template / length.clamp(min=SMALLEST)


@torch.no_grad()
def match_through(
    level: Tensor, templates: Templates, latest: Tensor, anchor_frame: Tensor, known: Tensor, search: Search
) -> tuple[Tensor, Tensor, Tensor]:
    """Match every point through the frames of a window, away from the frames where it is known.

    Args:
        level: (b, t, h, w, c) unit-length features.
        templates: appearance of the points.
        latest: (b, n, c) latest feature of every point.
        anchor_frame: (b, n) the last frame with a known position; frames after it are matched forward.
        known: (b, t, n, 2) cells; known at the anchor, and on all earlier frames that are not NaN; those that
            are NaN are matched backward.
        search: how to search.

    Returns:
        Positions (b, t, n, 2) in cells, cosines (b, t, n), and the latest feature (b, n, c) after the window.
    """
    frames, seen = level.shape[1], search.rules.seen
    xy, score = known.clone(), torch.ones_like(known[..., 0])
    appearance = latest
    for frame in range(int(anchor_frame.min()) + 1, frames):
        due = frame > anchor_frame
        position, cosine, feature = match_frame(level, frame, -1, xy, templates, appearance, search)
        xy[:, frame] = torch.where(due[..., None], position, xy[:, frame])
        score[:, frame] = torch.where(due, cosine, score[:, frame])
        appearance = torch.where((due & (cosine > seen))[..., None], feature, appearance)
    missing = torch.isnan(known[..., 0])
    backward = latest
    for frame in range(int(anchor_frame.max()) - 1, -1, -1):
        due = (frame < anchor_frame) & missing[:, frame]
        if not bool(due.any()):
            continue
        position, cosine, feature = match_frame(level, frame, 1, xy, templates, backward, search)
        xy[:, frame] = torch.where(due[..., None], position, xy[:, frame])
        score[:, frame] = torch.where(due, cosine, score[:, frame])
        backward = torch.where((due & (cosine > seen))[..., None], feature, backward)
    return xy, score, appearance


def match_frame(
    level: Tensor,
    frame: int,
    side: int,
    xy: Tensor,
    templates: Templates,
    appearance: Tensor,
    search: Search,
) -> tuple[Tensor, Tensor, Tensor]:
    """Find all points on one frame.

    Args:
        side: -1 to come from the previous frame, 1 to come from the next one.
        xy: (b, t, n, 2) cells; only those on that side are read. NaN is allowed for points whose result is unused.
        appearance: (b, n, c) latest feature of every point.
        (others as in `match_through`)

    Returns:
        (b, n, 2) cells, (b, n) cosines, (b, n, c) unit-length features found there.
    """
    rules = search.rules
    h, w = level.shape[2:4]
    template = F.normalize(
        rules.query_share * templates.feature + (1 - rules.query_share) * appearance, dim=-1
    )
    before = xy[:, frame + side]
    expected = _inside(_expected(xy, frame, side, rules.pace), (w, h))
    which = torch.full(before.shape[:2], frame, device=before.device)
    cell, cosine = _best_near(level, which, expected, template, search.radius, rules.far)

    known = ~torch.isnan(before[..., 0])
    cell, cosine = _elsewhere(level[:, frame], template, cell, cosine, known, search)

    carried = _inside(before, (w, h))
    nowhere = cosine < rules.ride
    rides = torch.zeros_like(nowhere)
    if bool(nowhere.any()):
        moved = torch.nan_to_num(cell - before)
        motion, rides = search.neighbours.motion(
            moved, known & (cosine > rules.lead), nowhere & known, rules.reach
        )
        carried = _inside(before + motion, (w, h))
        near, cosine_near = _best_near(level, which, carried, template, SNAP, 0.0)
        snaps = rides & (cosine_near > rules.snap)
        cell = torch.where(snaps[..., None], near, cell)
        rides = rides & ~snaps

    exact = search.exact(template)
    if exact is not template:
        cell, _ = _best_near(level, which, cell, exact, rules.exact_radius, 0.0)
    patch = read_patch(level, which, cell, 1).float()
    products = torch.softmax(torch.einsum("bnpc,bnc->bnp", patch, exact) * search.sharpness, dim=-1)
    reach = torch.arange(-1, 2, device=cell.device, dtype=cell.dtype)
    steps = torch.stack(torch.meshgrid(reach, reach, indexing="ij"), dim=-1).reshape(-1, 2)
    position = torch.where(rides[..., None], carried, cell + products @ steps)
    feature = F.normalize(read_patch(level, which, position, 0)[..., 0, :].float(), dim=-1)
    return position, (feature * template).sum(-1), feature


def _elsewhere(
    level: Tensor, template: Tensor, cell: Tensor, cosine: Tensor, known: Tensor, search: Search
) -> tuple[Tensor, Tensor]:
    """Search the whole frame for points without a good match nearby.

    A point moves to a much better match. It also moves to a somewhat better one where its neighbours would lie around
    it as they did on the query frame, if each of them were at its own best match.

    Args:
        level: (b, h, w, c) features of the frame.
        template: (b, n, c) appearance of the points.
        cell, cosine: (b, n, 2) and (b, n), their best match nearby.
        known: (b, n) bool, points that are tracked on this frame.
        search: how to search.

    Returns:
        Cells and cosines of all points.
    """
    rules = search.rules
    lost = cosine < rules.lost
    if not bool(lost.any()):
        return cell, cosine
    # One video after the other: a map per point would be gigabytes for many points.
    parts = zip(template, lost, level, strict=True)
    everywhere = torch.cat([_everywhere(one[gone], seen) for one, gone, seen in parts])
    top, index = everywhere.flatten(1).max(-1)
    near, found = cosine[lost], _cells(index, level.shape[2]).to(cell)
    convincing = (top > rules.regained) & (top > near + rules.better)
    moved = cell.masked_scatter(lost[..., None], torch.where(convincing[:, None], found, cell[lost]))
    moved_cosine = cosine.masked_scatter(lost, torch.where(convincing, top, near))
    likelier = (near < rules.seen) & (top > near + rules.hint)
    undecided = likelier & ~convincing
    if rules.agree < 1 and bool(undecided.any()):
        away = likelier | convincing
        believed = cell.masked_scatter(lost[..., None], torch.where(away[:, None], found, cell[lost]))
        trusted = known & (cosine.masked_scatter(lost, torch.where(away, top, near)) > rules.glimpse)
        wanted = lost.masked_scatter(lost, undecided)
        place, score = _together(everywhere[undecided], cell, cosine, wanted, believed, trusted, search)
        moved = moved.masked_scatter(wanted[..., None], place)
        moved_cosine = moved_cosine.masked_scatter(wanted, score)
    return moved, moved_cosine


def _together(
    maps: Tensor,
    cell: Tensor,
    cosine: Tensor,
    wanted: Tensor,
    believed: Tensor,
    trusted: Tensor,
    search: Search,
) -> tuple[Tensor, Tensor]:
    """Move points to a place elsewhere that enough of their neighbours agree with.

    Args:
        maps: (m, h, w) products of the wanted points with all cells of the frame.
        cell, cosine: (b, n, 2) and (b, n), the best match nearby of all points.
        wanted: (b, n) bool, m points that may move.
        believed: (b, n, 2) the best match of all points, nearby or elsewhere.
        trusted: (b, n) bool, points whose best match is trusted.
        search: how to search.

    Returns:
        Cells (m, 2) and cosines (m,) of the wanted points.
    """
    rules = search.rules
    scores, places = _peaks(maps)
    scores = torch.cat([cosine[wanted][:, None], scores], 1)  # the place nearby comes first
    places = torch.cat([cell[wanted][:, None], places.to(cell)], 1)
    every_place = cell[:, :, None].repeat(1, 1, places.shape[1], 1)
    every_place[wanted] = places
    shares = search.neighbours.agreement(every_place, believed, trusted, wanted, rules.reach)[wanted]
    # Cells of the search area lost to the place nearby already.
    apart = (places - places[:, :1]).abs().amax(-1) > search.radius
    likelier = (scores > rules.glimpse) & (scores > scores[:, :1] + rules.hint)
    agreed = (shares > rules.agree) & (shares > shares[:, :1] + LEAD)
    rank, best = torch.where(apart & likelier & agreed, scores + shares, -1.0).max(1)
    chosen = torch.where(rank > 0, best, 0)[:, None]
    return places.gather(1, chosen[..., None].expand(-1, -1, 2))[:, 0], scores.gather(1, chosen)[:, 0]


def _cells(index: Tensor, width: int) -> Tensor:
    """Numbers of cells, row by row -> (..., 2) cells."""
    return torch.stack([index % width, index // width], dim=-1)


def _peaks(maps: Tensor) -> tuple[Tensor, Tensor]:
    """The highest values of (m, h, w) maps, each of another block: (m, k) values and (m, k, 2) cells, k up to PLACES."""
    highest, index = F.max_pool2d(maps[:, None], BLOCK, ceil_mode=True, return_indices=True)
    value, block = highest.flatten(1).topk(min(PLACES, highest[0].numel()), dim=1)
    return value, _cells(index.flatten(1).gather(1, block), maps.shape[2])


def _inside(cells: Tensor, wh: tuple[int, int]) -> Tensor:
    """Clamp cells to the image, as a point outside comes back at the border. NaN becomes 0."""
    return torch.minimum(torch.nan_to_num(cells).clamp(min=0), cells.new_tensor(wh) - 1)


def _everywhere(templates: Tensor, level: Tensor) -> Tensor:
    """(n, c) templates and a map (h, w, c) of any precision -> (n, h, w) products with all cells."""
    h, w, _ = level.shape
    at_once = CELLS_AT_ONCE if level.device.type == "cpu" else h * w
    parts = level.flatten(0, 1).split(at_once)
    return torch.cat([templates @ cells.float().T for cells in parts], dim=1).unflatten(1, (h, w))


def _best_near(
    level: Tensor, which: Tensor, around: Tensor, template: Tensor, radius: int, far: float
) -> tuple[Tensor, Tensor]:
    """The best cell (b, n, 2) of a search area around (b, n, 2) cells, and its cosine (b, n).

    Args:
        which: (b, n) the frame on which to search for each point.
        far: cost per squared cell of distance.
    """
    at_once = AT_ONCE if around.device.type == "cpu" else around.shape[1]
    parts = zip(*(x.split(at_once, dim=1) for x in (which, around.round(), template)), strict=True)
    product = torch.cat(
        [
            torch.einsum("bnxyc,bnc->bnxy", read_block(level, on, at, radius).cells.float(), looked_for)
            for on, at, looked_for in parts
        ],
        dim=1,
    )
    side = product.shape[-1]
    reach = torch.arange(-radius, radius + 2, device=around.device, dtype=around.dtype)
    away = reach - (around - around.round())[..., None]  # (b, n, xy, cells along it)
    cost = far * (away[..., 0, :, None] ** 2 + away[..., 1, None, :] ** 2)
    best = (product - cost).flatten(2).argmax(-1)
    offset = torch.stack([best // side, best % side], dim=-1) - radius
    cell = _inside(around.round() + offset, (level.shape[3], level.shape[2]))
    return cell, product.flatten(2).gather(-1, best[..., None])[..., 0]
