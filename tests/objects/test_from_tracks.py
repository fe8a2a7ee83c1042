"""Masks from exact tracks of moving squares, with a segmenter that sees colours."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from pointtrack.objects.answer import ObjectOptions, pieces_with, points_inside
from pointtrack.objects.frame_buffer import FrameBuffer
from pointtrack.objects.from_tracks import segment_tracks
from pointtrack.objects.object_points import ObjectPoints
from pointtrack.objects.object_state import ObjectState
from pointtrack.objects.point_prompts import KnownMask, overlap, read_mask
from pointtrack.objects.propagator import ObjectPropagator
from pointtrack.types import Video
from tests.support.scenes import COLOURS, WH, ColourSegmenter, squares

MOVING = [[(5 + 3 * t, 10 + t) for t in range(8)], [(55 - 4 * t, 34 - t) for t in range(8)]]


def test_two_squares_that_cross_keep_their_masks():
    crossing = [[(5 + 6 * t, 20) for t in range(8)], [(50 - 6 * t, 27) for t in range(8)]]
    scene = squares(crossing)
    segmenter = ColourSegmenter()
    masks = segment_tracks(scene.video, scene.tracks, segmenter, objects=scene.objects)
    assert masks.object_ids.tolist() == [1, 2]
    assert torch.equal(masks.masks, scene.truth)
    assert (masks.scores > 0.65).all(), "the expected overlap, lowest where one passes behind the other"
    assert segmenter.encoded == 8, "every frame is encoded once, for both objects"


def test_the_candidate_that_agrees_with_the_points_is_taken():
    """The segmenter rates the whole frame higher than the square; the points of the ground say no."""
    scene = squares(MOVING[:1])
    one = segment_tracks(scene.video, scene.tracks, ColourSegmenter(), objects=scene.objects)
    assert torch.equal(one.masks, scene.truth)
    own = scene.tracks.select(scene.objects == 1)
    without = segment_tracks(scene.video, own, ColourSegmenter())
    assert without.masks.all(), "without points of the ground nothing speaks against the whole frame"


def test_an_object_that_leaves_is_absent_and_comes_back():
    path = [(60, 20), (70, 20), None, None, None, (66, 24), (58, 24)]
    scene = squares([path])
    masks = segment_tracks(scene.video, scene.tracks, ColourSegmenter(), objects=scene.objects)
    assert masks.present()[:, 0].tolist() == [corner is not None for corner in path]
    assert (masks.scores[2:5] == 0).all()
    assert torch.equal(masks.masks, scene.truth)


def test_work_goes_both_ways_from_where_most_is_seen():
    path = [None, None, (0, 20), (10, 20), (20, 20)]
    scene = squares([path])
    segmenter = ColourSegmenter()
    masks = segment_tracks(scene.video, scene.tracks, segmenter, objects=scene.objects)
    assert torch.equal(masks.masks, scene.truth) and segmenter.encoded == 5


def test_prompts_hold_no_more_points_than_asked_for():
    scene, segmenter = squares(MOVING), ColourSegmenter()
    config = ObjectOptions(positives=3, negatives=2, rounds=3)
    segment_tracks(scene.video, scene.tracks, segmenter, objects=scene.objects, config=config)
    assert len(segmenter.prompts) == 8 * 2 * 3
    for i, prompt in enumerate(segmenter.prompts):
        assert prompt.labels.tolist() == [True] * 3 + [False] * 2
        assert (prompt.mask_logits is None) == (i % 3 == 0), "later rounds give the mask of the one before"


def test_points_that_leave_the_mask_are_dropped():
    """Two points slide off the square onto the ground: after some frames they are no longer asked."""
    scene = squares([[(5 + 3 * t, 10) for t in range(12)]])
    xy = scene.tracks.xy.clone()
    xy[2:, 0] = torch.tensor([70.0, 40.0])
    slid = replace(scene.tracks, xy=xy)
    segmenter = ColourSegmenter()
    config = ObjectOptions(positives=20)
    masks = segment_tracks(scene.video, slid, segmenter, objects=scene.objects, config=config)
    assert torch.equal(masks.masks, scene.truth), "the point that slides never spoils a prompt"
    # The same walk, with a look at the points after every step.
    frames = FrameBuffer(WH)
    feed = ObjectPoints(frames, config.rules, tracks=slid, owner=scene.objects)
    walker = ObjectPropagator(frames, segmenter, feed, {1: ObjectState()}, config, rivals=True)
    for frame in range(12):
        frames.add(scene.video.frames[frame])
        walker.step(frame)
        known = feed.on(frame).ids.tolist()
        assert (0 in known) == (frame < 4), "it is dropped after three frames outside"
        assert set(range(1, 9)) <= set(known)


def test_new_points_come_from_the_mask_when_few_are_left(tiny_tracker):
    scene = squares([[(20, 20)] * 10])
    shown = scene.tracks.visibility.clone()
    shown[3:, 2:9] = 0  # only two of nine points of the square are seen from frame 3 on
    few = replace(scene.tracks, visibility=shown)

    def most_points(**options):
        segmenter = ColourSegmenter()
        segment_tracks(scene.video, few, segmenter, objects=scene.objects, **options)
        return len(segmenter.prompts[-1].points[segmenter.prompts[-1].labels])

    assert most_points() == 2
    # Whether a tracker of random weights believes its points is its own matter; here every one counts.
    believing = ObjectOptions(visible=-1.0, confident=-1.0)
    hidden = replace(few, xy=torch.where(shown[..., None] > 0, few.xy, torch.nan))
    segmenter = ColourSegmenter()
    segment_tracks(
        scene.video, hidden, segmenter, objects=scene.objects, tracker=tiny_tracker, config=believing
    )
    assert len(segmenter.prompts[-1].points[segmenter.prompts[-1].labels]) > 2


def test_pieces_without_a_point_are_left_out():
    mask = torch.zeros(10, 20, dtype=torch.bool)
    mask[2:5, 2:5] = mask[2:5, 10:13] = mask[7:9, 2:18] = True
    kept = pieces_with(mask, torch.tensor([[3.0, 3.0], [17.2, 7.0], [8.0, 3.0], [40.0, 3.0]]))
    assert kept[2:5, 2:5].all() and kept[7:9, 2:18].all() and kept.sum() == 9 + 32


@pytest.mark.parametrize("share", [0.0, 0.4, 0.6, 1.0])
def test_pieces_are_those_of_the_whole_frame(share):
    """Looked for around the mask only, also where it is empty or reaches the border."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(20, 30, dtype=torch.bool)
    mask[:15, 7:] = torch.rand(15, 23, generator=generator) < share
    xy = torch.rand(6, 2, generator=generator) * torch.tensor([29.0, 19.0])
    _, pieces = cv2.connectedComponents(mask.numpy().astype(np.uint8), connectivity=4)
    inside = xy[read_mask(mask, xy)].round().long().numpy()
    wanted = np.isin(pieces, pieces[inside[:, 1], inside[:, 0]])
    assert np.array_equal(pieces_with(mask, xy).numpy(), wanted)


def test_a_given_mask_is_kept_and_starts_the_work():
    scene = squares(MOVING)
    drawn = scene.truth[3, 0].clone()
    drawn[:15] = False
    masks = segment_tracks(
        scene.video, scene.tracks, ColourSegmenter(), objects=scene.objects, given={1: KnownMask(3, drawn)}
    )
    assert torch.equal(masks.masks[3, 0], drawn) and masks.scores[3, 0] == 1
    assert torch.equal(masks.masks[6, 1], scene.truth[6, 1])
    with pytest.raises(ValueError, match=r"masks of the objects \[1, 2\], got one of object 3"):
        segment_tracks(
            scene.video,
            scene.tracks,
            ColourSegmenter(),
            objects=scene.objects,
            given={3: KnownMask(3, drawn)},
        )


def test_memory_corrects_the_segmenter():
    """Two squares of one colour touch: the segmenter cannot tell them apart, what is remembered of their places can."""
    scene = squares([[(20, 20)] * 5, [(36, 20)] * 5])
    frames = scene.video.frames.copy()
    frames[scene.truth[:, 1].numpy()] = COLOURS[1]
    tracks, given = scene.tracks.select(scene.objects == 1), {1: KnownMask(0, scene.truth[0, 0])}

    def last_mask(prior: float):
        segmenter, config = ColourSegmenter(), ObjectOptions(prior=prior)
        segmenter.answers = (1,)
        return segment_tracks(Video(frames), tracks, segmenter, given=given, config=config).masks[4, 0]

    assert torch.equal(last_mask(0.0), scene.truth[4].any(0))
    assert overlap(last_mask(20.0), scene.truth[4, 0]) > 0.9


def test_points_inside_lie_inside():
    mask = torch.zeros(40, 60, dtype=torch.bool)
    mask[10:30, 5:50] = True
    mask[10:30, 25:30] = False
    points = points_inside(mask, 12)
    assert len(points) == 12 and mask[points[:, 1].long(), points[:, 0].long()].all()
    assert points[:, 0].min() < 20 and points[:, 0].max() > 35, "both parts get some"
    single = torch.zeros(9, 9, dtype=torch.bool)
    single[4, 6] = True
    assert points_inside(single, 5).tolist() == [[6.0, 4.0]]


def test_mistakes_are_refused():
    scene, segmenter = squares(MOVING), ColourSegmenter()
    with pytest.raises(ValueError, match="expected 5 frames"):
        segment_tracks(Video(scene.video.frames[:5]), scene.tracks, segmenter)
    with pytest.raises(ValueError, match=r"for each of 22 points"):
        segment_tracks(scene.video, scene.tracks, segmenter, objects=[1, 2])
    with pytest.raises(ValueError, match="got only background"):
        segment_tracks(scene.video, scene.tracks, segmenter, objects=[0] * 22)
    with pytest.raises(ValueError, match="a whole number from 0 on"):
        segment_tracks(scene.video, scene.tracks, segmenter, objects=[0.5] * 22)
    with pytest.raises(ValueError, match="densify rounds: expected 1 or more"):
        ObjectOptions(rounds=0)
