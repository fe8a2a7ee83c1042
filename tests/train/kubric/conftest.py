"""The Kubric environment, where there is one."""

import pytest

from train.kubric.farm import kubric_python

# They run in the Kubric environment: here there is no Blender to import.
collect_ignore = ["patch_probes.py", "scene_probes.py"]


@pytest.fixture(scope="session")
def kubric():
    """Path of the environment's interpreter."""
    try:
        return kubric_python()
    except FileNotFoundError as error:
        pytest.skip(str(error))
