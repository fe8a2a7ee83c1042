"""The installer of `make`: uv by pip's settings, and pip where uv cannot be had or fails."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / ".ci/install.py"


@pytest.fixture
def install():
    spec = importlib.util.spec_from_file_location("install", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def called(install, tmp_path, monkeypatch):
    """uv and pip that only write down how they were called; uv leaves with the status in `uv_status`."""
    log = tmp_path / "calls"
    for name in ("uv", "pip"):
        program = tmp_path / name
        program.write_text(
            f'#!/bin/sh\necho "{name} $* [$UV_FIND_LINKS]" >> "{log}"\ntest ! -f "{tmp_path}/{name}_fails"\n'
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    monkeypatch.setattr(install, "PIP", [str(tmp_path / "pip")])
    monkeypatch.setattr(install, "pip_settings", lambda: "global.find-links='/wheels'\n")
    return lambda: log.read_text().splitlines() if log.exists() else []


pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="make, which this serves, is not used on Windows"
)


def test_settings_of_pip_are_told_to_uv(install):
    variables = install.as_uv_variables(
        ":env:.find-links='/wheels /more'\n"
        "download.index-url='https://elsewhere'\n"
        "global.constraint='/etc/constraints.txt'\n"
        "global.disable-pip-version-check='1'\n"
        "global.extra-index-url='\\nfile:///a\\nfile:///b'\n"
        "global.find-links='/loses'\n"
        "install.index-url='https://index/simple'\n"
    )
    assert variables == {
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_CONSTRAINT": "/etc/constraints.txt",
        "UV_INDEX": "file:///a file:///b",
        "UV_DEFAULT_INDEX": "https://index/simple",
    }


def test_pip_without_settings_says_nothing(install):
    assert install.as_uv_variables("") == {}
    assert install.as_uv_variables("WARNING: something = else\n") == {}


def test_uv_is_not_asked_where_no_index_may_be(install, called, monkeypatch):
    monkeypatch.setattr(install, "pip_settings", lambda: "global.no-index='true'\n")
    assert install.main(["-e", "."]) == 0
    assert [line.split()[0] for line in called()] == ["pip"]


def test_uv_installs(install, called):
    assert install.main(["--no-deps", "torch==2.13.0"]) == 0
    (line,) = called()
    assert line.startswith(f"uv pip install --python {sys.executable} ")
    assert line.endswith("-q --no-deps torch==2.13.0 [/wheels]")


def test_pip_goes_on_where_uv_fails(install, called, tmp_path, capsys):
    (tmp_path / "uv_fails").touch()
    assert install.main(["-e", "."]) == 0
    assert [line.split()[0] for line in called()] == ["uv", "pip"]
    assert "pip tries the same" in capsys.readouterr().err


def test_what_pip_says_in_the_end_counts(install, called, tmp_path):
    for name in ("uv_fails", "pip_fails"):
        (tmp_path / name).touch()
    assert install.main(["-e", "."]) == 1


def test_pip_installs_where_there_is_no_uv(install, called, tmp_path, monkeypatch):
    monkeypatch.setattr(install.shutil, "which", lambda name, path=None: None)
    assert install.main(["-v", "-e", "."]) == 0
    got_uv, installed = called()
    assert got_uv.startswith("pip install") and " uv " in got_uv
    assert installed.startswith("pip install --retries 2 -v -e .")
