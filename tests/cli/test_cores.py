"""The settings of a command's threads, on machines that other programs use too."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pointtrack.cli import cores

ROOT = Path(__file__).parents[2]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 8 cores on which nothing else runs: a folder in the place of its root."""
    for name in (cores.SPIN, cores.THREADS, "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, "")  # so that monkeypatch takes away what the test sets
        monkeypatch.delenv(name)
    monkeypatch.setattr(cores, "SYSTEM", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "sys", SimpleNamespace(platform="linux", modules={}))  # without torch
    write(tmp_path, "proc/loadavg", "0.10 0.20 0.30 1/91 8846\n")
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def settings() -> tuple[str | None, str | None]:
    cores.share_cores()
    return os.environ.get(cores.THREADS), os.environ.get(cores.SPIN)


def test_nothing_is_set_where_nothing_else_runs(machine):
    assert settings() == (None, None)


def test_threads_sleep_where_others_need_the_cores(machine):
    write(machine, "proc/loadavg", "0.10 0.20 0.30 2/91 8846\n")
    assert settings() == (None, str(cores.FEW_LOOKS))


def test_fewer_threads_than_cores_leave_room_for_others(machine, monkeypatch):
    monkeypatch.setenv(cores.THREADS, "4")
    write(machine, "proc/loadavg", "0.10 0.20 0.30 5/91 8846\n")
    assert settings() == ("4", None)
    write(machine, "proc/loadavg", "0.10 0.20 0.30 6/91 8846\n")
    assert settings() == ("4", str(cores.FEW_LOOKS))


@pytest.mark.parametrize(("name", "value"), [("OMP_WAIT_POLICY", "active"), ("GOMP_SPINCOUNT", "7")])
def test_what_the_user_chose_stays(machine, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    write(machine, "proc/loadavg", "0.10 0.20 0.30 9/91 8846\n")
    assert settings()[1] in (None, "7") and os.environ[name] == value


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "250000 100000\n"}, "2"),
        ({"cpu.max": "50000 100000\n"}, "1"),
        ({"cpu.max": "800000 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, "3"),
        ({"cpu.max": "something else\n"}, None),
    ],
)
def test_a_container_has_no_more_threads_than_cores_to_use(machine, files, expected):
    for name, text in files.items():
        write(machine, f"sys/fs/cgroup/{name}", text)
    assert settings()[0] == expected


def test_a_number_of_threads_stays_in_a_container(machine, monkeypatch):
    monkeypatch.setenv(cores.THREADS, "5")
    write(machine, "sys/fs/cgroup/cpu.max", "200000 100000\n")
    assert settings()[0] == "5"


def test_nothing_is_set_where_it_comes_too_late_or_cannot_be_known(machine, monkeypatch):
    write(machine, "proc/loadavg", "0.10 0.20 0.30 9/91 8846\n")
    monkeypatch.setitem(cores.sys.modules, "torch", object())
    assert settings() == (None, None)
    monkeypatch.delitem(cores.sys.modules, "torch")
    (machine / "proc/loadavg").unlink()
    assert settings() == (None, None)


def test_commands_set_it_before_they_import_torch():
    program = "import sys, demo, pointtrack.cli.main, pointtrack.cli.runner; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["False"], done.stderr
