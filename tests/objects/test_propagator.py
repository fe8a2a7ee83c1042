"""Our engine's walks: cuts, objects that leave and return, points that are seeded on the way."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from pointtrack.objects.answer import ObjectOptions
from pointtrack.objects.boundary import OutlineRules
from pointtrack.objects.frame_buffer import FrameBuffer
from pointtrack.objects.object_points import HELPER, ObjectPoints, PointRules
from pointtrack.objects.point_engine import PointEngine
from pointtrack.objects.point_prompts import KnownMask, overlap
from pointtrack.segment.base import Candidates, Prompt
from pointtrack.types import Video
from tests.support.exact import TRACKER, ExactStream, use_exact_tracks
from tests.support.scenes import ColourSegmenter, Scene, squares

# Two shots of a red square, and between them one of a blue square alone.
RED = [(6 + 3 * t, 8) for t in range(4)] + [None] * 4 + [(50 - 3 * t, 36) for t in range(4)]
BLUE = [None] * 4 + [(10 + 4 * t, 20) for t in range(4)] + [None] * 4
CUTS = [4, 8]


def distinct(scene: Scene) -> Scene:
    """The same with a pixel in the corner that tells every frame from all others."""
    frames = scene.video.frames.copy()
    frames[:, 0, 0, 0] = range(len(frames))
    return Scene(Video(frames), scene.tracks, scene.objects, scene.truth)


def walked(scene: Scene, monkeypatch, start: int, frames: range, cuts=(), square: int = 0):
    use_exact_tracks(monkeypatch, scene)
    segmenter = ColourSegmenter()
    segmenter.answers = (1,)
    engine = PointEngine(TRACKER, segmenter)
    known = {5: [KnownMask(start, scene.truth[start, square])]}
    found = [step[5] for step in engine.walk(scene.video, known, frames, cuts)]
    return (
        torch.stack([one.mask for one in found]),
        [one.score for one in found],
        [one.quality for one in found],
    )


@pytest.mark.parametrize("start, frames", [(0, range(1, 12)), (11, range(10, -1, -1))])
def test_after_a_cut_an_object_is_found_by_its_looks_or_is_absent(monkeypatch, start, frames):
    scene = distinct(squares([RED, BLUE]))
    masks, scores, quality = walked(scene, monkeypatch, start, frames, CUTS)
    assert torch.equal(masks, scene.truth[list(frames), 0])
    absent = [RED[frame] is None for frame in frames]
    assert [score == 0 for score in scores] == absent
    assert all(value > 0.5 for value in quality)


def test_an_object_that_leaves_and_returns_elsewhere_is_found(monkeypatch):
    """It leaves on the left and comes back on the right, where no point of it is tracked any more."""
    path = [(12 - 6 * t, 8) for t in range(4)] + [None] * 3 + [(60 - 6 * t, 30) for t in range(5)]
    scene = distinct(squares([path]))
    kept = ExactStream._rows

    def lost(self, queries, first, stop):
        """Points do not come back from outside: those asked for early are never seen late."""
        rows = kept(self, queries, first, stop)
        if first == stop:
            return rows
        late = torch.arange(first, stop)[:, None] + self.frames[0] >= 7
        early = queries.frame + self.frames[0] < 7
        rows.visibility[late & early] = 0
        return rows

    monkeypatch.setattr(ExactStream, "_rows", lost)
    masks, _, _ = walked(scene, monkeypatch, 0, range(1, 12))
    assert masks.any((1, 2)).tolist() == [corner is not None for corner in path[1:]]
    assert torch.equal(masks[6:], scene.truth[7:, 0])


def test_a_look_alike_of_another_colour_is_not_taken(monkeypatch):
    scene = distinct(squares([[(6, 8)] * 2 + [None] * 6, [None] * 2 + [(40, 30)] * 6]))
    masks, scores, _ = walked(scene, monkeypatch, 0, range(1, 8), cuts=[2])
    assert masks[0].any() and not masks[1:].any() and scores[1:] == [0] * 6


@pytest.mark.parametrize("faded, back_on_it", [(0.25, True), (2.0, False)])
def test_an_object_whose_points_went_over_to_another_one_is_looked_for(monkeypatch, faded, back_on_it):
    """From frame 5 on the points of the red square are on the blue one, and so is all that is seen at them."""
    scene = distinct(squares([[(6 + 2 * t, 8) for t in range(9)], [(50 - 2 * t, 36) for t in range(9)]]))
    swapped = torch.cat([scene.truth[:5], scene.truth[5:].flip(1)])
    use_exact_tracks(monkeypatch, replace(scene, truth=swapped))
    segmenter = ColourSegmenter()
    segmenter.answers = (1,)
    engine = PointEngine(TRACKER, segmenter, ObjectOptions(faded=faded))
    steps = engine.walk(scene.video, {5: [KnownMask(0, scene.truth[0, 0])]}, range(1, 9))
    masks = torch.stack([step[5].mask for step in steps])
    assert torch.equal(masks[:4], scene.truth[1:5, 0])
    assert torch.equal(masks[4], scene.truth[5, 0 if back_on_it else 1])


@pytest.mark.parametrize("few, absent", [(1000, True), (1, False)])
def test_few_points_on_something_else_do_not_make_an_object(monkeypatch, few, absent):
    """From frame 5 on the red square is gone, and its points are on the blue one, and so is all that is seen at them."""
    red = [(6 + 2 * t, 8) if t < 5 else None for t in range(9)]
    scene = distinct(squares([red, [(50 - 2 * t, 36) for t in range(9)]]))
    swapped = torch.cat([scene.truth[:5], scene.truth[5:].flip(1)])
    use_exact_tracks(monkeypatch, replace(scene, truth=swapped))
    segmenter = ColourSegmenter()
    segmenter.answers = (1,)
    engine = PointEngine(TRACKER, segmenter, ObjectOptions(few=few))
    steps = list(engine.walk(scene.video, {5: [KnownMask(0, scene.truth[0, 0])]}, range(1, 9)))
    masks = torch.stack([step[5].mask for step in steps])
    assert torch.equal(masks[:4], scene.truth[1:5, 0])
    if absent:
        assert not masks[4:].any() and [step[5].score for step in steps[4:]] == [0] * 4
    else:
        assert torch.equal(masks[4], scene.truth[5, 1])


@pytest.mark.parametrize("least, found", [(0.6, True), (1.5, False)])
def test_what_is_found_again_must_be_recognised(monkeypatch, least, found):
    scene = distinct(squares([[(6, 8)] * 2 + [None] * 2 + [(40, 30)] * 4]))
    use_exact_tracks(monkeypatch, scene)
    segmenter = ColourSegmenter()
    segmenter.answers = (1,)
    engine = PointEngine(TRACKER, segmenter, ObjectOptions(found_recognised=least))
    steps = engine.walk(scene.video, {5: [KnownMask(0, scene.truth[0, 0])]}, range(1, 8), cuts=[2])
    assert [bool(step[5].mask.any()) for step in steps] == [True, False, False, *[found] * 4]


def points_along(scene, order: range) -> ObjectPoints:
    frames = FrameBuffer(scene.video.wh, order=order)
    for frame in order:
        frames.add(scene.video.frames[frame])
    frames.ended = True
    return ObjectPoints(frames, PointRules(), TRACKER)


def points_of(number: int, place) -> dict[int, torch.Tensor]:
    return {number: torch.tensor([place], dtype=torch.float32)}


def test_points_are_seeded_dropped_and_told_apart(monkeypatch):
    scene = distinct(squares([[(4 + 2 * t, 8) for t in range(20)], [(60 - 2 * t, 30) for t in range(20)]]))
    use_exact_tracks(monkeypatch, scene)
    points = points_along(scene, range(20))
    assert len(points.on(0).ids) == 0
    points.seed(2, points_of(1, (12, 12)))
    points.seed(2, points_of(-1, (40, 3)))
    first = points.on(2)
    assert first.owner.tolist() == [1, -1] and first.of(1).tolist() == [True, False]
    assert first.beside(1, rivals=False).tolist() == [False, True] and not first.beside(2, rivals=False).any()
    points.on(7)
    points.seed(7, points_of(2, (50, 34)))
    late = points.on(9)
    assert late.owner.tolist() == [1, -1, 2] and HELPER not in late.owner.tolist()
    assert late.xy.tolist() == [[26, 12], [40, 3], [46, 34]]
    assert late.beside(2, rivals=True).tolist() == [True, False, False]
    points.drop(late.ids[:1])
    assert points.on(12).owner.tolist() == [-1, 2]
    points.drop(late.ids)
    assert len(points.on(13).ids) == 0 and points._stream is None, "nobody is tracked for nothing"
    points.seed(15, points_of(3, (40, 20)))
    assert points.on(19).owner.tolist() == [3]


def test_points_can_be_seeded_after_the_last_frame_was_tracked(monkeypatch):
    scene = distinct(squares([[(4 + 2 * t, 8) for t in range(10)]]))
    use_exact_tracks(monkeypatch, scene)
    points = points_along(scene, range(9, -1, -1))
    points.seed(0, points_of(1, (24, 12)))
    assert points.on(8).xy.tolist() == [[8, 12]], "backward, on one of the last frames"
    points.seed(8, points_of(1, (9, 12)))
    assert sorted(points.on(9).xy.tolist()) == [[6, 12], [7, 12]]


def test_a_cut_ends_all_points(monkeypatch):
    scene = distinct(squares([[(4 + 2 * t, 8) for t in range(10)]]))
    use_exact_tracks(monkeypatch, scene)
    points = points_along(scene, range(10))
    points.seed(0, points_of(1, (6, 10)))
    points.on(3)
    points.forget()
    assert len(points.on(4).ids) == 0


class RoughSegmenter(ColourSegmenter):
    """The same, but its masks reach two pixels too far."""

    coarse = True

    def decode(self, embedding, prompt, *, several=True):
        exact = super().decode(embedding, prompt, several=several)
        wide = F.max_pool2d(exact.logits[None], 5, 1, 2)[0]
        return Candidates(wide, exact.scores, wide[:, ::4, ::4])


@pytest.mark.parametrize(
    "options, good",
    [({}, True), ({"sharpen": False}, False), ({"outline": OutlineRules(proved=1.01)}, False),
     ({"outline": OutlineRules(gain=0.9)}, False)],
)  # fmt: skip
def test_rough_outlines_are_moved_to_where_the_colours_end(monkeypatch, options, good):
    """Where colours prove themselves on the mask that is known; a prompt's answer is the segmenter's own."""
    scene = distinct(squares([[(6 + 3 * t, 8 + t) for t in range(8)]]))
    use_exact_tracks(monkeypatch, scene)
    segmenter = RoughSegmenter()
    segmenter.answers = (1,)
    engine = PointEngine(TRACKER, segmenter, ObjectOptions(**options))
    known = {1: [KnownMask(0, scene.truth[0, 0])]}
    masks = [step[1].mask for step in engine.walk(scene.video, known, range(1, 8))]
    overlaps = [overlap(mask, scene.truth[t, 0]) for t, mask in enumerate(masks, 1)]
    assert (min(overlaps) > 0.9) if good else (max(overlaps) < 0.7)
    answered = engine.answer(scene.video, 3, Prompt(points=[[20, 18], [22, 20]]))
    assert overlap(answered.mask, scene.truth[3, 0]) < 0.7
