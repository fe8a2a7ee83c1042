"""What the benchmarks share."""

import numpy as np
import pytest

from benchmarks.machine import in_process, machine, moving_texture, parse_wh, random_points, use_threads


@pytest.mark.parametrize("text", ["854", "854x", "x480", "axb", "854x-480"])
def test_a_size_that_is_none_is_told(text):
    with pytest.raises(ValueError, match="width x height"):
        parse_wh(text)


def test_a_size_is_width_and_height():
    assert parse_wh("854x480") == (854, 480)


def test_threads_and_failing_processes_are_told():
    with pytest.raises(ValueError, match="at least 1"):
        use_threads(0)
    with pytest.raises(ValueError, match="No module named"):
        in_process("benchmarks.no_such_benchmark", [])


def test_texture_passes_by_at_three_and_one_pixels_per_frame():
    frames = moving_texture(3, (32, 24))
    assert frames.shape == (3, 24, 32, 3)
    assert np.array_equal(frames[0][1:, 3:], frames[1][:-1, :-3])
    assert not np.array_equal(frames[0], frames[1])


def test_points_are_in_the_image_and_machine_has_a_name():
    xy = random_points(50, (32, 24))
    assert bool((xy >= 0).all()) and float(xy[:, 0].max()) > 24 and float(xy[:, 1].max()) <= 23
    assert {"processor", "cores", "threads", "torch"} <= set(machine())
