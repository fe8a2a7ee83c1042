"""The race between engine and plain implementation, and what it counts. No test asserts a time."""

import pytest

from benchmarks.operations import operations_needed
from benchmarks.yardstick import HEADER, Workload, bench, memory_of, race, table_row

TINY = Workload(6, 3, False, ("cotracker3-offline",), wh=(64, 48))


def test_both_give_the_same_answer_to_the_same_question():
    row = race("cotracker3-offline", TINY, "float32", 1)
    assert row["px_apart_max"] < 1e-3 < row["px_moved_median"]
    assert set(row["seconds"]) == {"plain", "engine"}
    row |= {
        "workload": "tiny",
        "model": "cotracker3-offline",
        "frames": TINY.frames,
        "operations": 1,
        "rate": 1.0,
        "share_of_rate": 0.5,
    }
    assert table_row(row).count("|") == HEADER.splitlines()[0].count("|")


def test_memory_is_that_of_one_run():
    found = memory_of("engine", "cotracker3-offline", TINY, "float32")
    assert found["whole"] > found["beyond"] >= 0


def test_operations_are_those_of_the_formulas():
    wh, frames, points = (64, 64), 2, 3
    encoder = operations_needed("cotracker3-offline", frames, points, wh, 0)
    # The widest convolution of the encoder by hand: 416 -> 256 channels, 3 x 3, on every cell of 4 x 4 pixels.
    assert encoder > 2 * 9 * 416 * 256 * 16 * 16 * frames
    one, more = (
        operations_needed("cotracker3-offline", frames, n, wh, 1) - encoder for n in (points, 2 * points)
    )
    correlation = 4 * (49 * 49 * 128 + 2401 * 384 + 384 * 256)
    time, read, write = 12 * 384**2, 2 * 384**2, 10 * 384**2  # per token, without the soft-max's products
    per_token = correlation + 1110 * 384 + 3 * (time + read + write) + 4 * 384
    products = 3 * 384 * (2 * frames + 2 * 64 + 2 * 64)
    assert more - one == 2 * points * frames * (per_token + products)


def test_a_wrong_name_is_told(tmp_path):
    with pytest.raises(ValueError, match="clip-7"):
        bench(["clip-7"], out=tmp_path / "x.json")
