"""The stream of AllTracker says what the published call says of the clip from each query's frame on."""

from __future__ import annotations

import functools

import numpy as np
import torch

from pointtrack.models.alltracker.clip import flow_of_clip, windows_of_clip
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks
from tests.support.engine_fixtures import make_video
from tests.support.engines import tiny_alltracker

WH = (96, 96)


def test_points_are_where_the_flow_of_their_frame_says():
    network, video = tiny_alltracker(), make_video(7, WH[1], WH[0], 5)
    queries = Queries(
        [0, 0, 2, 2, 4, 5, 6], [[20, 30], [90, 7], [64, 64], [0, 95], [50, 60], [33, 44], [5, 5]]
    )
    stream = WindowStream(network, queries, WH)
    tracks = Tracks.concat([*(stream.push(frame) for frame in video), stream.finish()])
    frames = torch.from_numpy(video).movedim(-1, 1)

    @functools.cache
    def published(frame: int) -> tuple[torch.Tensor, torch.Tensor]:
        clip = frames[frame:]
        if len(clip) == 2:  # the published call has a path of its own for these
            clip = torch.cat([clip, clip[-1:]])
        with torch.inference_mode():
            return flow_of_clip(network, windows_of_clip(network, clip), len(clip), WH)

    for i, (frame, xy) in enumerate(zip(queries.frame.tolist(), queries.xy.long().tolist(), strict=True)):
        assert tracks.xy[:frame, i].isnan().all()
        assert torch.equal(tracks.xy[frame, i], queries.xy[i])
        count = len(video) - frame
        if count == 1:
            continue
        move, logits = published(frame)
        wanted = move[:count, :, xy[1], xy[0]] + queries.xy[i]
        assert torch.allclose(tracks.xy[frame + 1 :, i], wanted[1:], atol=1e-3)
        scores = logits[:count, :, xy[1], xy[0]].sigmoid()
        assert torch.allclose(tracks.visibility[frame + 1 :, i], scores[1:, 0], atol=1e-4)
        assert torch.allclose(tracks.confidence[frame + 1 :, i], scores[1:, 1], atol=1e-4)


def test_many_points_are_read_as_few_are():
    network = tiny_alltracker()
    frames = torch.from_numpy(make_video(4, WH[1], WH[0], 6)).movedim(-1, 1)
    xy = torch.from_numpy(np.random.default_rng(0).uniform(0, 95, (200, 2))).float()
    with torch.inference_mode():
        (_, flow), *_ = windows_of_clip(network, frames)
        many = network.points(flow, xy, WH)
        few = [network.points(flow, part, WH) for part in xy.split(20)]
    for whole, parts in zip(many, zip(*few, strict=True), strict=True):
        assert torch.allclose(whole, torch.cat(parts, dim=1), atol=1e-3)
