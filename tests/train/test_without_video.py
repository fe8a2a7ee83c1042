"""Training needs no package that reads videos or serves pages: lent machines have none."""

from tests.support.programs import run_program

ABSENT = ("av", "mediapy", "uvicorn", "starlette", "ray", "scenedetect", "tensorboard")


def test_it_is_imported_without_them():
    modules = "train.cli, train.pack, pointtrack.io.video"
    code = f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r})); import {modules}"
    run = run_program(code)
    assert run.returncode == 0, run.stderr
