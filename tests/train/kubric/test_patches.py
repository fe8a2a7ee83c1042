"""Each patch mends what it says, and without it the same probe fails."""

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PATCHES = ("coordinate_pass", "vector_pass", "exr_channels", "principled_inputs", "obj_import", "auto_smooth")


@pytest.fixture(scope="module")
def probed(kubric):
    """Patch -> [holds with all patches, holds with all but this one]; one Blender for all of them."""
    command = [str(kubric), "-m", "tests.train.kubric.patch_probes"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines, done.stderr
    return json.loads(lines[-1])


def test_every_patch_is_probed(probed):
    assert set(probed) == set(PATCHES)


@pytest.mark.parametrize("name", PATCHES)
def test_patch_mends_what_fails_without_it(probed, name):
    assert probed[name] == [True, False]
