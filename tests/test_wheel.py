"""The wheel, built and installed into an empty environment outside the repository, tracks and segments."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="paths of environments differ")


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = f"import setuptools.build_meta as b; print(b.build_wheel({str(folder)!r}))"
    # From a copy: building in the repository leaves `build/` behind, which the next wheel would take files from.
    copy = folder / "source"
    copy.mkdir()
    listed = run("git", "ls-files", "-z", cwd=ROOT)
    if listed.returncode:
        pytest.skip("needs a git checkout, to know which files belong to the project")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    built = run(sys.executable, "-c", build, cwd=copy)
    assert built.returncode == 0, built.stderr[-2000:]
    return folder / built.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """An environment with the wheel; what it depends on is read from this one, whose own pointtrack it does not see."""
    folder = tmp_path_factory.mktemp("environment")
    assert run(sys.executable, "-m", "venv", "--without-pip", folder / "env", cwd=folder).returncode == 0
    pip = (sys.executable, "-m", "pip", "--python", folder / "env" / "bin" / "python")
    installed = run(*pip, "install", "-q", "--no-deps", "--no-index", "--no-compile", wheel, cwd=folder)
    assert installed.returncode == 0, installed.stderr
    site = next((folder / "env" / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder


def test_the_wheel_holds_the_package_only(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"pointtrack"}
    for needed in ("weights/pointtrack_small.safetensors", "assets/clip.mp4", "assets/easy.mp4", "py.typed"):
        assert f"pointtrack/{needed}" in names
    files = run("git", "ls-files", "pointtrack", cwd=ROOT).stdout.split()
    assert len(files) > 300 and not set(files) - set(names), "and all of it"


@pytest.mark.long  # all files are in the wheel, and its command starts: the two tests beside it
def test_it_tracks_and_segments_outside_the_repository(environment):
    python, command = (environment / "env" / "bin" / name for name in ("python", "pointtrack"))
    found = "from importlib.util import find_spec; print(find_spec('pointtrack').origin)"
    where = run(python, "-c", found, cwd=environment)
    clip = Path(where.stdout.strip()).parent / "assets" / "clip.mp4"
    assert environment in clip.parents, where.stderr
    tracked = run(command, "demo", "--grid", 4, "--max_frames", 4, cwd=environment)
    assert tracked.returncode == 0, tracked.stderr
    assert "DIS flow" in tracked.stdout and (environment / "outputs" / "tracks.npz").is_file()
    segmented = run(command, "segment", clip, "--click", "0,200,150", "--max_frames", 2, cwd=environment)
    assert segmented.returncode == 0, segmented.stderr
    assert (environment / "outputs" / "clip_masks.npz").is_file()


def test_what_needs_a_checkout_says_so(environment):
    answer = run(environment / "env" / "bin" / "pointtrack", "eval", cwd=environment)
    assert answer.returncode == 2
    assert "eval: expected a checkout of pointtrack" in answer.stderr
