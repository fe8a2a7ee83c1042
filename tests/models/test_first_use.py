"""Downloads whose digest nobody published: their first use counts."""

import os

import pytest

from pointtrack.models.first_use import check_first_use, lock_path


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POINTTRACK_CACHE", str(tmp_path / "cache"))


def test_another_file_of_the_same_name_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"weights")
    check_first_use(path, "a/b/w")
    check_first_use(path, "a/b/w")
    os.utime(path, (1, 1))  # the same content, copied again
    check_first_use(path, "a/b/w")
    path.write_bytes(b"WEIGHTS")
    check_first_use(path, "a/b/other")
    with pytest.raises(ValueError, match=r"as it was at its first use.*known_files\.json"):
        check_first_use(path, "a/b/w")


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"a/b/w": 3}'])
def test_a_damaged_note_is_a_first_use(tmp_path, content):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"weights")
    lock_path().parent.mkdir()
    lock_path().write_bytes(content)
    check_first_use(path, "a/b/w")
    path.write_bytes(b"others")
    with pytest.raises(ValueError, match="first use"):
        check_first_use(path, "a/b/w")
