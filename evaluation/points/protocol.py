"""`Protocol`: how to query a tracker for the points of a video, as options of `pointtrack eval`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from evaluation.points.metrics import QueryMode
from pointtrack.models.families import family_of
from pointtrack.models.point_tracker import PointTracker

Preset = Literal["own", "cotracker", "locotrack", "alltracker"]

PRESETS = get_args(Preset)
SCORES = ("visibility", "product", "mean")
COTRACKER_WH = (512, 384)
COTRACKER_LOCAL = 8
COTRACKER_ITERATIONS = 6
COTRACKER_THRESHOLD = 0.6
OWN_THRESHOLD = 0.5
# Presets that take the whole clip at once: the score above which a point is visible, and the query mode of their tables.
WHOLE_THRESHOLDS = {"locotrack": 0.5, "alltracker": 0.6}
WHOLE_MODES: dict[str, QueryMode] = {"locotrack": "strided", "alltracker": "first"}


@dataclass(frozen=True)
class Protocol:
    """How to query "pointtrack"; the other methods handle each point separately anyway.

    Args:
        preset: own: as pointtrack.track, with local grids on the frame of their query. cotracker: as in the papers of
            CoTracker2 and 3: all support points on frame 0, input 512x384, 6 iterations, no tracking backward, queries
            not reset to their given positions, visible above 0.6. locotrack, alltracker: as in their papers, for their
            networks only: input 256x256, the whole clip at once, strided queries, visible if the product of both
            probabilities exceeds 0.5; input 512x384, queries on whole pixels, visible above 0.6. Neither has support
            points.
        one_by_one: a separate run for every query with its own support points; the frames are encoded once.
        support_grid: points per side of a grid of support points over the image; 0 for none.
        support_local: the same for a grid around every query, 50 pixels wide (pixels of the video, or with
            cotracker of the input). By default 0; 8 with cotracker and one_by_one.
        input_wh: size that frames are resized to, as [width,height]. By default that of the tracker; 512x384
            with cotracker.
        score: value to compare with the threshold: visibility; product, for visibility times confidence; or mean, for
            the geometric mean of the two, as in `Tracks.visible`.
            By default visibility; product with cotracker for trackers that predict confidence.

    Raises:
        ValueError: an unknown preset or score, a negative size of a grid, or an input that trackers cannot take.

    Source: Karaev et al., CoTracker (2023) and CoTracker3 (2024).
    """

    preset: Preset = "own"
    one_by_one: bool = False
    support_grid: int = 5
    support_local: int | None = None
    input_wh: tuple[int, ...] | None = None
    score: str | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("preset", PRESETS), ("score", (*SCORES, None))):
            if getattr(self, name) not in allowed:
                known = ", ".join(filter(None, allowed))
                raise ValueError(f"{name}: expected one of {known}, got {getattr(self, name)!r}")
        for name in ("support_grid", "support_local"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name}: expected 0 or more points per side, got {getattr(self, name)}")
        if self.input_wh is None:
            return
        if len(self.input_wh) != 2 or any(side < 32 or side % 4 for side in self.input_wh):
            raise ValueError(
                "input_wh: expected [width,height], multiples of 4 from 32 pixels on, "
                f"got [{','.join(map(str, self.input_wh))}]"
            )

    @property
    def by_public_call(self) -> bool:
        """Whether to query through the public call, with all stages; otherwise the network itself is queried."""
        return not (self.of_cotracker or self.of_whole_clip or self.one_by_one)

    @property
    def of_cotracker(self) -> bool:
        """Whether to query as in the papers of CoTracker."""
        return self.preset == "cotracker"

    @property
    def threshold(self) -> float:
        """Score above which a point counts as visible, by default."""
        if self.preset in WHOLE_THRESHOLDS:
            return WHOLE_THRESHOLDS[self.preset]
        return COTRACKER_THRESHOLD if self.of_cotracker else OWN_THRESHOLD

    @property
    def of_whole_clip(self) -> bool:
        """Whether to use the published drivers of a network, see `paper_answers`."""
        return self.preset in WHOLE_MODES

    @property
    def mode(self) -> QueryMode:
        """Query mode, by default."""
        return WHOLE_MODES.get(self.preset, "first")

    @property
    def iterations(self) -> int | None:
        """Rounds of refinement, by default; None for the tracker's own."""
        return COTRACKER_ITERATIONS if self.of_cotracker else None

    def settled(self, tracker: PointTracker) -> Protocol:
        """The same protocol for this tracker, with the preset's values where none were given.

        `input_wh` stays None if the tracker chooses it by the shape of the video.

        Raises:
            ValueError: a product with the confidence of a tracker that predicts none.
        """
        if self.score == "product" and not tracker.tells_confidence:
            raise ValueError(
                f"score: expected visibility, as {tracker.config.name} tells no confidence of its own, "
                "got product"
            )
        if self.of_whole_clip:
            family = family_of(tracker.config)
            if family != self.preset or self.one_by_one or self.support_local:
                raise ValueError(
                    f"preset {self.preset}: expected a tracker of that kind, without helper points, all queries at once; "
                    f"got {tracker.config.name}"
                )
            wh = self.input_wh or tracker.config.input_wh
            return replace(self, support_grid=0, support_local=0, input_wh=wh, score=self.score or "product")
        local = COTRACKER_LOCAL if self.of_cotracker and self.one_by_one else 0
        wh = COTRACKER_WH if self.of_cotracker else tracker.config.input_wh
        usual = "product" if self.of_cotracker else "mean"
        return replace(
            self,
            support_local=local if self.support_local is None else self.support_local,
            input_wh=self.input_wh or wh,
            score=self.score or (usual if tracker.tells_confidence else "visibility"),
        )


OWN_WAY = Protocol()


def protocol_lines(own: dict[str, Any], mode: str) -> list[str]:
    """Describe what you need to repeat the figures of pointtrack.

    Args:
        own: `AskedTracker.settings()` with the "tracker" that the user named.
        mode: query mode.

    Returns:
        Lines of text: protocol, tracker with its input, and whether frames before a query count.
    """
    papers = own["preset"] == "cotracker"
    grids = []
    if own["support_local"]:
        size, where = own["support_local"], ("input, on frame 0" if papers else "video, on its frame")
        grids.append(f"{size}x{size} around each query, 50 pixels of the {where}")
    if own["support_grid"]:
        grids.append(f"{own['support_grid']}x{own['support_grid']} over the image, on frame 0")
    score = {
        "visibility": "visibility",
        "product": "visibility x confidence",
        "mean": "geometric mean of visibility and confidence",
    }[own["score"]]
    size = "about {} pixels in the video's shape".format(own["input_area"])
    if own["input_wh"] is not None:
        size = "{}x{}".format(*own["input_wh"])
    windows = "one window" if own["step"] is None else f"windows {own['step']} frames apart"
    before = own["before_query"] + (
        ", though they count" if (mode, own["before_query"]) == ("strided", "no answer") else ""
    )
    return [
        f"pointtrack: {own['tracker'] or 'default'} ({own['name']}), {own['iterations']} iterations, "
        f"input {size} (resized by {own['resize_rule']}), {windows}",
        f"protocol: {own['preset']}; {'one query' if own['one_by_one'] else 'all queries of a video'} at a time; "
        f"support grids: {' and '.join(grids) or 'none'}; score: {score}; frames before a query: {before}",
    ]
