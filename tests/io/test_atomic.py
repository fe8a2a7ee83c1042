"""Files appear whole or not at all, whatever happens while they are written."""

import os
import resource
import stat
import subprocess
import sys
import textwrap

import pytest

from pointtrack.io.atomic import atomic_path, write_bytes, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_an_error_keeps_what_was_there_and_leaves_nothing_else(tmp_path):
    target = write_text(tmp_path / "a.txt", "before")
    with pytest.raises(RuntimeError), atomic_path(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert target.read_text() == "before"
    assert names(tmp_path) == ["a.txt"]


def test_the_final_name_appears_only_when_all_is_written(tmp_path):
    target = tmp_path / "new" / "a.json"
    with atomic_path(target) as part:
        part.write_text("{}")
        assert not target.exists()
        assert (part.parent, part.suffix, part.name[0]) == (target.parent, ".json", ".")
    assert names(target.parent) == ["a.json"]


def test_a_link_keeps_its_place_and_a_file_its_rights(tmp_path):
    target = write_bytes(tmp_path / "real.bin", b"before")
    target.chmod(0o640)
    (tmp_path / "link.bin").symlink_to(target)
    write_bytes(tmp_path / "link.bin", b"after")
    assert (tmp_path / "link.bin").is_symlink()
    assert target.read_bytes() == b"after"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    write_bytes(pipe, b"through")
    assert reader.communicate(timeout=10)[0] == b"through"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_folder_in_the_way_is_told(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OSError, match="expected a file to write, found a folder"):
        write_text(tmp_path / "a.txt", "x")


def test_the_next_writer_removes_what_a_killed_one_left_and_nothing_of_a_living_one(tmp_path):
    code = f"""
        import os, signal
        from pointtrack.io.atomic import atomic_path
        with atomic_path({str(tmp_path / "a.txt")!r}) as part:
            part.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert len(names(tmp_path)) == 1
    with atomic_path(tmp_path / "a.txt") as mine:
        mine.write_text("mine")
        write_text(tmp_path / "a.txt", "theirs")
        assert mine.exists()
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "mine"


def test_a_full_disk_is_an_error_and_keeps_what_was_there(tmp_path):
    target = write_bytes(tmp_path / "a.bin", b"before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(OSError):
            write_bytes(target, bytes(2 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert target.read_bytes() == b"before"
    assert names(tmp_path) == ["a.bin"]
