"""Tracks as long tables: every reader people use gives the same numbers."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

import pointtrack as pt
from pointtrack.fleet.tables import tracks_table, videos_of, write_tables
from pointtrack.types.point_states import PointStates


def some_tracks(n=3, t=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    xy = torch.rand(t, n, 2, generator=generator) * 40
    xy[0, 1] = float("nan")
    visibility = torch.rand(t, n, generator=generator)
    visibility[0, 1] = 0
    queries = pt.Queries(torch.tensor([0, 1, 0]), xy[[0, 1, 0], torch.arange(n)], torch.tensor([7, 3, 5]))
    states = PointStates.blank(t, n)
    states.state[:] = torch.tensor([[1, 0, 2], [1, 1, 4], [3, 1, 1], [1, 2, 1]])
    return pt.Tracks(xy, visibility, visibility * 0.5, queries, (64, 48), states=states)


@pytest.fixture
def folder(tmp_path):
    times = np.array([0.0, 0.1, 0.25, 0.3])
    first, second = some_tracks(), replace(some_tracks(seed=1), states=None)
    write_tables(tmp_path / "part-0.parquet", [tracks_table("a.mp4", first, times)], ["a.mp4"])
    write_tables(tmp_path / "part-1.parquet", [tracks_table("b/c.mp4", second, times)], ["b/c.mp4"])
    return tmp_path


def test_rows_say_what_the_tracks_say(folder):
    tracks = some_tracks()
    rows = pq.read_table(folder / "part-0.parquet").to_pylist()
    assert len(rows) == 12
    assert list(rows[0]) == ["video", "frame", "time", "point", "x", "y", "visibility", "confidence", "state"]
    assert [row["point"] for row in rows[:3]] == [7, 3, 5]
    assert rows[1] == {
        "video": "a.mp4", "frame": 0, "time": 0.0, "point": 3, "x": None, "y": None, "visibility": 0.0, "confidence": 0.0,
        "state": "not_tracked",
    }  # fmt: skip
    last = rows[3 * 2 + 0]
    assert (last["time"], last["state"], last["frame"]) == (0.25, "out_of_frame", 2)
    assert np.float32(last["x"]) == tracks.xy[2, 0, 0].numpy()
    assert pq.read_table(folder / "part-1.parquet")["state"].null_count == 12
    assert videos_of(folder / "part-1.parquet") == ["b/c.mp4"]


def test_pandas_pyarrow_and_duckdb_agree(folder):
    frame = pd.read_parquet(folder).sort_values(["video", "frame", "point"], ignore_index=True)
    sql = f"select * from '{folder}/*.parquet' order by video, frame, point"
    other = duckdb.sql(sql).df()
    assert len(frame) == 24
    for name in ("x", "y", "visibility", "frame", "point", "time"):
        assert np.array_equal(frame[name].to_numpy(float), other[name].to_numpy(float), equal_nan=True)
    assert frame["state"].fillna("").tolist() == other["state"].fillna("").tolist()
    assert duckdb.sql(f"select count(*) from '{folder}/*.parquet' where state = 'lost'").fetchall() == [(1,)]
    one = pq.read_table(folder, filters=[("video", "=", "b/c.mp4")])
    assert one["video"].unique().to_pylist() == ["b/c.mp4"]
    assert one.group_by("video").aggregate([("x", "count")]).to_pylist() == [
        {"video": "b/c.mp4", "x_count": 11}
    ]


@pytest.mark.long
def test_ray_data_reads_them(folder):
    import os

    os.environ.setdefault("RAY_worker_niceness", "0")
    ray = pytest.importorskip("ray")
    data_of = pytest.importorskip("ray.data")

    ray.init(address="local", num_cpus=2, log_to_driver=False, include_dashboard=False)
    try:
        data = data_of.read_parquet(str(folder))
        assert data.count() == 24
        assert data.filter(lambda row: row["video"] == "a.mp4").count() == 12
    finally:
        ray.shutdown()
