"""Every n-th frame of a video that is read frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from pointtrack.io.track_log import TrackWriter, read_spilled, spilled_pieces, spilled_to_npz
from pointtrack.io.tracks import load_tracks
from pointtrack.io.video import VideoStream
from pointtrack.pipeline import every as every_module
from pointtrack.pipeline.every import EveryNth
from pointtrack.tracking.interpolate import kept_frames, spread
from pointtrack.types import Queries, Tracks
from pointtrack.types.point_states import PointStates
from tests.support.tracks import same


def kept_tracks(kept: int, queries: Queries) -> Tracks:
    generator = torch.Generator().manual_seed(kept)
    xy = torch.rand(kept, len(queries), 2, generator=generator) * 40
    xy[1, 0] = torch.nan
    visibility = torch.rand(kept, len(queries), generator=generator) * torch.isfinite(xy[..., 0])
    states = PointStates.blank(kept, len(queries))
    states.state[:] = torch.randint(0, 5, states.state.shape, generator=generator)
    return Tracks(xy, visibility, visibility / 2, queries, (64, 48), states=states)


def thinned(count: int, every: int, queries: Queries, times: np.ndarray) -> EveryNth:
    frame = np.zeros((48, 64, 3), np.uint8)

    def opened(_: float | None) -> VideoStream:
        return VideoStream(((frame, at) for at in times), 30.0, count, "none")

    return EveryNth(opened, every, queries)


@pytest.mark.parametrize("regular", [True, False])
@pytest.mark.parametrize(("count", "every"), [(1, 3), (2, 3), (50, 1), (50, 3), (49, 20), (43, 60)])
def test_pieces_are_spread_as_all_at_once_and_few_are_held(count, every, regular, monkeypatch):
    monkeypatch.setattr(every_module, "PIECE", 8)
    queries = Queries([0, min(7, count - 1)], [[1, 2], [3, 4]])
    times = np.arange(count) / 30 if regular else np.cumsum(np.arange(1, count + 1) % 3 + 1) / 20
    kept = kept_frames(count, every, queries)
    tracks = kept_tracks(max(len(kept), 2), queries).clip(0, len(kept))
    read = 0

    def pieces() -> Iterator[Tracks]:
        nonlocal read
        for read in range(0, len(kept), 5):
            yield tracks.clip(read, read + 5)

    found = []
    for rows in thinned(count, every, queries, times).spread(pieces()):
        assert len(rows) <= 8
        assert kept[read] <= rows.first_frame + len(rows), "a piece that is read goes on before the next"
        found.append(rows)
    whole, wanted = Tracks.concat(found), spread(tracks, kept, count, queries).with_times(times)
    assert same(replace(whole, fps=wanted.fps), wanted) and whole.sources.equal(wanted.sources)
    assert (whole.times is None) == regular and np.allclose(whole.seconds(), times)


def test_files_of_pieces_keep_where_positions_come_from(tmp_path):
    queries = Queries([0, 0], [[1, 2], [3, 4]])
    tracks = spread(kept_tracks(5, queries), [0, 4, 8, 12, 16], 17, queries)
    with TrackWriter(tmp_path / "a.tracks") as writer:
        for at in range(0, 17, 4):
            writer.append(tracks.clip(at, at + 4))
    assert len(list(spilled_pieces(writer.path))) == 5
    npz = load_tracks(spilled_to_npz(writer.path, tmp_path / "a.npz"))
    assert npz.sources.equal(tracks.sources) and read_spilled(writer.path).sources.equal(tracks.sources)
