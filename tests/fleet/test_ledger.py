"""The ledger: rows of many drivers, some of them killed, read as one table."""

from __future__ import annotations

import json
import time
from pathlib import Path

import duckdb
import fsspec
import pytest

from pointtrack.fleet import read_ledger, status
from pointtrack.fleet.ledger import COLUMNS, LedgerWriter, now, read_rows
from pointtrack.fleet.output import Output


def row(key, **more):
    return {
        "key": key,
        "status": "done",
        "attempt": 1,
        "finished": now(),
        "frames": 10,
        "seconds": 0.5,
        **more,
    }


@pytest.fixture(params=["folder", "store"])
def output(request, tmp_path):
    if request.param == "folder":
        yield Output(tmp_path / "out")
    else:
        fsspec.filesystem("memory").store.clear()
        yield Output("memory://out")
        fsspec.filesystem("memory").store.clear()


def test_rows_are_there_at_once_and_after_the_end(output):
    writer = LedgerWriter(output, "r1")
    writer.add(row("b", share_visible=0.25))
    writer.add(row("a", status="failed", reason="frames"))
    writer.flush()
    while_running = read_rows(output).to_pylist()
    writer.close()
    assert read_rows(output).to_pylist() == while_running
    assert [one["key"] for one in while_running] == ["a", "b"]
    assert while_running[1]["share_visible"] == 0.25
    assert list(while_running[0]) == list(COLUMNS)
    assert [name for name in output.names("ledger") if not name.endswith(".parquet")] == []


def test_the_newest_row_counts(output):
    for run, attempt, state in (("r1", 1, "failed"), ("r2", 2, "done")):
        writer = LedgerWriter(output, run)
        writer.add(row("a", attempt=attempt, status=state))
        writer.add(row(f"only-{run}"))
        writer.close()
    rows = {one["key"]: one for one in read_rows(output, ["key", "status"]).to_pylist()}
    assert rows == {
        "a": {"key": "a", "status": "done"},
        "only-r1": {"key": "only-r1", "status": "done"},
        "only-r2": {"key": "only-r2", "status": "done"},
    }


def test_a_killed_driver_leaves_whole_lines(tmp_path):
    output = Output(tmp_path)
    writer = LedgerWriter(output, "r1")
    writer.add(row("a"))
    writer.add(row("b"))
    (path,) = (tmp_path / "ledger").iterdir()
    path.write_bytes(path.read_bytes() + json.dumps(row("half")).encode()[:40])  # and never closed
    assert read_rows(output, ["key"]).to_pylist() == [{"key": "a"}, {"key": "b"}]


def test_a_line_that_a_full_disk_cut_costs_that_row_alone(tmp_path):
    output = Output(tmp_path)
    writer = LedgerWriter(output, "r1")
    writer.add(row("a"))
    (path,) = (tmp_path / "ledger").iterdir()
    path.write_bytes(path.read_bytes() + b'{"key": "cut", "sta' + json.dumps(row("b")).encode() + b"\n")
    writer.add(row("c"))
    assert read_rows(output, ["key"]).to_pylist() == [{"key": "a"}, {"key": "c"}]


def test_a_full_disk_is_told(tmp_path):
    writer = LedgerWriter(Output(tmp_path), "r1")
    writer.add(row("a"))
    writer._file.close()
    with Path("/dev/full").open("ab", buffering=0) as full, pytest.raises(OSError, match="No space left"):
        writer._file = full
        writer.add(row("b"))


def test_rows_roll_into_parquet(output, monkeypatch):
    monkeypatch.setattr("pointtrack.fleet.ledger.ROLL", 10)
    writer = LedgerWriter(output, "r1")
    for i in range(25):
        writer.add(row(f"{i:02d}"))
    writer.flush()
    assert len(read_rows(output)) == 25
    assert sorted(name.rpartition(".")[2] for name in output.names("ledger")) == [
        "jsonl",
        "parquet",
        "parquet",
    ]
    writer.close()
    assert len(read_rows(output)) == 25


def test_rows_that_their_driver_replaces_by_parquet_while_they_are_read_are_there(output, monkeypatch):
    writer, read = LedgerWriter(output, "r1"), output.read
    for key in "ab":
        writer.add(row(key))
        writer.flush()

    def read_late(name):
        writer.close()
        return read(name)

    monkeypatch.setattr(output, "read", read_late)
    assert [one["key"] for one in read_rows(output).to_pylist()] == ["a", "b"]


def test_an_empty_batch_has_no_ledger(tmp_path):
    LedgerWriter(Output(tmp_path), "r").close()
    with pytest.raises(FileNotFoundError, match="expected the results of a batch, found no ledger"):
        status(tmp_path)


def test_a_filter_in_sql_finds_the_bad_ones(tmp_path):
    writer = LedgerWriter(Output(tmp_path), "r1")
    for i in range(10):
        writer.add(row(f"v{i}", share_visible=i / 10, jumps=i, peak_memory=10**9))
    writer.add(row("bad", status="failed", reason="unreadable"))
    writer.close()
    found = duckdb.sql(
        f"select key from '{tmp_path}/ledger/*.parquet' where share_visible < 0.2 order by key"
    )
    assert found.fetchall() == [("v0",), ("v1",)]
    now_ = status(tmp_path)
    assert (now_.done, now_.failed, now_.frames, now_.seconds) == (10, {"unreadable": 1}, 110 - 10, 5.5)
    assert now_.doubts["share_visible"][0] == ("v0", 0.0)
    assert now_.doubts["jumps"][0] == ("v9", 9)
    assert len(read_ledger(tmp_path, ["key"]).to_pandas()) == 11


@pytest.mark.long
def test_a_hundred_thousand_rows_stay_fast_and_flat(tmp_path):
    """Simulated jobs that only sleep (not at all), by a driver as it is."""
    import tracemalloc

    from pointtrack.fleet.run import BatchResult, drive

    class Sleeps:
        def run(self, tasks):
            for key in tasks:
                time.sleep(0)
                yield row(key, share_visible=0.5, message=None, host="node", peak_memory=10**9)

        def close(self):
            pass

    output, count = Output(tmp_path), 100_000
    peaks = []
    tracemalloc.start()

    def keep(result):
        if result.ended in (count // 4, count):
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()

    keys = (f"clips/{i % 100:02d}/video-{i:06d}.mp4" for i in range(count))
    drive(Sleeps(), keys, LedgerWriter(output, "r1"), BatchResult(count, 0, 0), progress=keep)
    tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]  # a driver's memory does not grow with what it has done
    began = time.process_time()
    assert status(tmp_path).done == count
    print(
        f"status of {count} rows in {time.process_time() - began:.2f} s of a core, driver {peaks[1] / 1e6:.0f} MB"
    )
