"""The predictors where ours answer better than the published code, and what they refuse; see docs/explain/differences.md."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pointtrack.config import InferenceOptions
from pointtrack.cotracker import CoTrackerOnlinePredictor, CoTrackerPredictor
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.published import PUBLISHED
from tests.support.tracks import moving_video

NAMES = ("cotracker2", "cotracker2.1", "cotracker3-offline", "cotracker3-online")
WINDOWED = tuple(name for name in NAMES if name != "cotracker3-offline")
WH = (128, 96)  # of the model's input, instead of 512 x 384


def tiny_published(name: str, strict_parity: bool = False) -> PointTracker:
    """A published model, narrow and shallow, on small frames, with random weights in its head too."""
    config = PUBLISHED[name].config
    table = None if config.tokens.place_table_wh is None else (WH[0] // 4, WH[1] // 4)
    config = replace(
        config,
        input_wh=WH,
        encoder=replace(config.encoder, stem_channels=8, stage_channels=(8, 8, 8, 8), blocks_per_stage=1, channels=8),
        correlation=replace(config.correlation, hidden=16, channels=8),
        tokens=replace(config.tokens, place_table_wh=table),
        transformer=replace(config.transformer, width=32, heads=4, depth=1, mlp_ratio=1),
        window=replace(config.window, iterations=2),
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tracker = PointTracker(config)
        torch.nn.init.normal_(tracker.head.weight, std=0.05)
        if "drift" in config.tokens.parts:  # random weights on waves of high frequency would amplify rounding
            tracker.updater.project.weight.data[:, 2:130] *= 0.01
    tracker.inference = InferenceOptions(strict_parity=strict_parity)
    return tracker.eval().requires_grad_(False)


def video_of(frames: int, wh: tuple[int, int] = (80, 60)) -> Tensor:
    return torch.from_numpy(moving_video(frames, wh).frames).permute(0, 3, 1, 2)[None].float()


QUERIES = torch.tensor([[[0.0, 20.0, 30.0], [2.0, 61.5, 12.25], [3.0, 40.0, 50.0]]])


def at_query(values: Tensor, queries: Tensor = QUERIES) -> Tensor:
    """(b, t, n, ...) -> what is said of each point on its own frame, (n, ...) of the first of the batch."""
    n = queries.shape[1]
    return values[0, queries[0, :, 0].long(), torch.arange(n)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "frames", [1, 3, 8, 9, 25, *(pytest.param(n, marks=pytest.mark.long) for n in (4, 7, 17))]
)
def test_clips_of_any_length_are_tracked(name, frames):
    """The published windowed models answer zeros for clips of no more than half a window."""
    video = video_of(frames)
    queries = QUERIES.clone()
    queries[..., 0].clamp_(max=frames - 1)
    tracks, visible, visibility, confidence = CoTrackerPredictor(tracker=tiny_published(name))(
        video, queries=queries, return_scores=True
    )
    assert tracks.shape == (1, frames, 3, 2) and visible.shape == (1, frames, 3)
    assert torch.isfinite(tracks).all() and (tracks[0, -1] != 0).all()
    assert torch.allclose(at_query(tracks, queries), queries[0, :, 1:], atol=1e-4)
    assert at_query(visible, queries).all()
    assert ((visibility >= 0) & (visibility <= 1)).all() and confidence.shape == visibility.shape


def stream(predictor: CoTrackerOnlinePredictor, video: Tensor, **first) -> list[tuple[Tensor, ...]]:
    predictor(video[:, : 2 * predictor.step], is_first_step=True, **first)
    starts = range(0, max(video.shape[1] - predictor.step, 1), predictor.step)
    return [predictor(video[:, start : start + 2 * predictor.step]) for start in starts]


@pytest.mark.parametrize("name", WINDOWED)
@pytest.mark.parametrize("frames", [3, 16, 21, *(pytest.param(n, marks=pytest.mark.long) for n in (8, 40))])
def test_online_equals_offline_from_the_query_on(name, frames):
    tracker, video = tiny_published(name), video_of(frames)
    queries = QUERIES.clone()
    queries[..., 0].clamp_(max=frames - 1)
    online, _ = stream(
        CoTrackerOnlinePredictor(tracker=tracker), video, queries=queries, add_support_grid=True
    )[-1]
    offline, _ = CoTrackerPredictor(tracker=tracker)(video, queries=queries)
    assert torch.allclose(online, offline, atol=1e-3)


@pytest.mark.parametrize("name", WINDOWED)
def test_online_queries_come_back_exactly(name):
    """The published online predictor returns the model's own opinion of the query point."""
    video = video_of(20)
    tracks, visible = stream(CoTrackerOnlinePredictor(tracker=tiny_published(name)), video, queries=QUERIES)[
        -1
    ]
    assert torch.allclose(at_query(tracks), QUERIES[0, :, 1:], atol=1e-4) and at_query(visible).all()
    strict = CoTrackerOnlinePredictor(tracker=tiny_published(name, strict_parity=True))
    tracks, _ = stream(strict, video, queries=QUERIES)[-1]
    assert (at_query(tracks) - QUERIES[0, :, 1:]).norm(dim=-1).min() > 1e-3


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("cotracker2", "cotracker3-offline") else pytest.mark.long)
        for name in NAMES
    ],
)
def test_a_batch_equals_its_videos_one_by_one(name):
    """The published CoTracker3 fails for more than one video."""
    predictor = CoTrackerPredictor(tracker=tiny_published(name))
    videos = torch.cat([video_of(11), video_of(11).flip(1)])
    queries = torch.cat([QUERIES, QUERIES + torch.tensor([1.0, 2.0, 3.0])])
    together, seen = predictor(videos, queries=queries, backward_tracking=True)
    for i in range(2):
        alone, visible = predictor(videos[i : i + 1], queries=queries[i : i + 1], backward_tracking=True)
        assert torch.allclose(together[i], alone[0], atol=1e-3)
        assert torch.equal(seen[i], visible[0])


def test_64_points_collide_with_nothing():
    """In the published CoTracker2 hidden points are mistaken for proxy tokens when there are 64 of them."""
    queries = torch.cat([torch.full((1, 64, 1), 9.0), torch.rand(1, 64, 2) * 50], dim=2)
    queries[:, :40, 0] = 0
    extra = torch.tensor([[[0.0, 30.0, 30.0]]])  # 65 points cannot be mistaken

    def tracks(strict: bool, points: Tensor) -> Tensor:
        predictor = CoTrackerPredictor(tracker=tiny_published("cotracker2", strict))
        # With grid_size no helper points are added, and queries win.
        return predictor(video_of(14), queries=points, grid_size=1)[0]

    assert not torch.equal(tracks(False, queries), tracks(True, queries))
    more = torch.cat([queries, extra], dim=1)
    assert torch.equal(tracks(False, more), tracks(True, more))
    late = queries.clone()
    late[:, 40:, 1:] += 9  # where points of later windows are asked for is nobody's business before
    first = slice(0, 4)  # frames that only the first window saw
    assert torch.allclose(
        tracks(False, queries)[:, first, :40], tracks(False, late)[:, first, :40], atol=1e-4
    )
    assert not torch.allclose(
        tracks(True, queries)[:, first, :40], tracks(True, late)[:, first, :40], atol=1e-4
    )


def test_support_points_never_show():
    """The published online predictor returns them if `add_support_grid` is not repeated in every call."""
    for answer in stream(
        CoTrackerOnlinePredictor(tracker=tiny_published("cotracker3-online")),
        video_of(27), queries=QUERIES, add_support_grid=True,
    ):  # fmt: skip
        assert answer[0].shape[2] == 3


def test_every_pixel_can_be_tracked():
    video = video_of(5, (170, 20))
    tracks, visible = CoTrackerPredictor(tracker=tiny_published("cotracker3-offline"))(
        video, grid_query_frame=2
    )
    assert tracks.shape == (1, 5, 170 * 20, 2) and visible[:, 2].all()
    pixels = {tuple(point) for point in tracks[0, 2].round().long().tolist()}
    assert pixels == {(x, y) for x in range(170) for y in range(20)}
    assert tracks[0, 2, :3].round().tolist() == [[0, 0], [2, 0], [4, 0]]  # every second column first


def test_backward_tracking_is_forward_tracking_of_the_reversed_video():
    predictor = CoTrackerPredictor(tracker=tiny_published("cotracker3-online"))
    video, query = video_of(12), torch.tensor([[[11.0, 30.0, 20.0]]])
    back, _ = predictor(video, queries=query, backward_tracking=True, grid_size=1)
    flipped, _ = predictor(video.flip(1), queries=torch.tensor([[[0.0, 30.0, 20.0]]]), grid_size=1)
    assert torch.allclose(back.flip(1), flipped, atol=1e-4)


def test_a_mask_chooses_points_of_the_grid():
    mask = torch.zeros(1, 1, 60, 80)
    mask[..., :30, :40] = 1
    predictor = CoTrackerPredictor(tracker=tiny_published("cotracker3-offline"))
    tracks, _ = predictor(video_of(3), segm_mask=mask, grid_size=4)
    assert tracks.shape[2] == 4 and (tracks[0, 0] < torch.tensor([40.0, 30.0])).all()
    with pytest.raises(ValueError, match="segm_mask: expected to cover"):
        predictor(video_of(3), segm_mask=mask * 0, grid_size=4)


def test_our_own_model_serves_as_well(tiny_tracker):
    video = video_of(14)
    queries = QUERIES + torch.tensor([[[0.0], [0.0], [9.0]]]) * torch.tensor([1.0, 0.0, 0.0])
    offline, visible = CoTrackerPredictor(tracker=tiny_tracker)(video, queries=queries)
    assert torch.isnan(offline[0, 0, 2]).all() and not visible[0, 0, 2], "unknown before its first window"
    online, _ = stream(
        CoTrackerOnlinePredictor(tracker=tiny_tracker), video, queries=queries, add_support_grid=True
    )[-1]
    assert torch.allclose(at_query(online, queries), queries[0, :, 1:], atol=1e-4)
    assert torch.allclose(online.nan_to_num(-9), offline.nan_to_num(-9), atol=1e-3)


def test_mistakes_are_refused():
    offline = CoTrackerPredictor(tracker=tiny_published("cotracker3-offline"))
    with pytest.raises(ValueError, match=r"video: expected shape \(b, t, 3, h, w\)"):
        offline(video_of(3)[0], grid_size=2)
    with pytest.raises(ValueError, match=r"frames in 0\.\.2, got 0\.\.3"):
        offline(video_of(3), queries=QUERIES)
    with pytest.raises(ValueError, match="needs the whole video"):
        CoTrackerOnlinePredictor(tracker=tiny_published("cotracker3-offline"))
    online = CoTrackerOnlinePredictor(tracker=tiny_published("cotracker3-online"))
    video = video_of(40)
    with pytest.raises(ValueError, match="first call with is_first_step=True"):
        online(video[:, :16])
    with pytest.raises(ValueError, match="expected queries or a grid_size"):
        online(video[:, :16], is_first_step=True, grid_size=0)
    online(video[:, :16], is_first_step=True)
    with pytest.raises(ValueError, match="expected 1 to 16 frames, the first of them frame 0"):
        online(video[:, :17])
    online(video[:, :16])
    with pytest.raises(ValueError, match="expected 8 to 16 frames, the first of them frame 8"):
        online(video[:, 8:12])
    with pytest.raises(ValueError, match="as in the first step"):
        online(video[:, 8:24, :, :40])
    online(video[:, 8:20])
    with pytest.raises(ValueError, match="which ends the video"):
        online(video[:, 16:32])
    online(video[:, :16], is_first_step=True)
    assert online(video[:, :16])[0].shape == (1, 16, 25, 2)
