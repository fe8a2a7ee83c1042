"""Output into a program that reads only the beginning, such as `head`, ends without a complaint."""

import os
import subprocess
import sys

import pytest

from tests.support.programs import run_program

NOBODY_READS = """
import os, runpy
reading, writing = os.pipe()
os.close(reading)
os.dup2(writing, 1)
runpy.run_module("pointtrack", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [
        *((["--help"], unbuffered) for unbuffered in ("", "1")),
        *(
            pytest.param(*one, marks=pytest.mark.long)
            for one in (
                (["track", "--help"], ""),
                (["track", "--help"], "1"),
                (["--print_completion", "bash"], "1"),
            )
        ),
    ],
)
def test_a_reader_may_leave(arguments, unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody_reads:
        done = subprocess.run(
            [sys.executable, "-m", "pointtrack", *arguments],
            stdout=nobody_reads,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_reader_may_leave_what_takes_torch_to_print():
    done = run_program(NOBODY_READS, "--print_completion", "bash")
    assert (done.returncode, done.stderr) == (0, "")
