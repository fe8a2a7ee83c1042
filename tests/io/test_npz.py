"""Files of arrays: names, whole writes, and what other files are told to be."""

import numpy as np
import pytest

from pointtrack.io.npz import npz_path, read_npz
from pointtrack.sessions.files import read_session_npz, write_session_npz

TOLD = {"format": "test 1", "video": "a video"}


def test_a_suffix_in_capitals_is_one(tmp_path):
    assert npz_path(tmp_path / "A.NPZ") == tmp_path / "A.NPZ"


@pytest.mark.parametrize(
    ("given", "written"), [("a.npz", "a.npz"), ("a", "a.npz"), ("a.session", "a.session.npz")]
)
def test_the_suffix_is_added_where_it_is_missing_as_numpy_does(given, written, tmp_path):
    assert npz_path(tmp_path / given) == tmp_path / written
    np.savez(tmp_path / given, x=np.zeros(1))
    assert [path.name for path in tmp_path.iterdir()] == [written]


def test_arrays_come_back_by_name(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3), y=np.ones((2, 2)))
    arrays = read_npz(tmp_path / "a.npz", "tracks", ["x"])
    assert {name: array.tolist() for name, array in arrays.items()} == {"x": [0, 1, 2], "y": [[1, 1]] * 2}


def test_a_file_without_the_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    with pytest.raises(ValueError, match=r"a\.npz: expected masks .* but it lacks w, y"):
        read_npz(tmp_path / "a.npz", "masks", ["y", "x", "w"])
    with pytest.raises(FileNotFoundError, match="masks file: expected an .npz file, found nothing at"):
        read_npz(tmp_path / "b.npz", "masks", ["x"])


def test_a_session_comes_back(tmp_path):
    path = write_session_npz(tmp_path / "new" / "s", {**TOLD, "now": 3}, {"x": np.arange(3)})
    assert path == tmp_path / "new" / "s.npz"
    told, arrays = read_session_npz(path, "a session", ["x"], format="test 1", video="a video")
    assert told == {**TOLD, "now": 3} and arrays["x"].tolist() == [0, 1, 2]


def test_a_write_that_fails_leaves_the_file_before(tmp_path):
    path = write_session_npz(tmp_path / "s.npz", TOLD, {"x": np.arange(3)})

    class Unwritable:
        def __array__(self, *_, **__):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_session_npz(path, TOLD, {"x": Unwritable()})
    _, arrays = read_session_npz(path, "a session", ["x"], format="test 1", video="a video")
    assert arrays["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        (
            {"format": "test 2"},
            r"s\.npz: expected a session saved by pointtrack, but its format is 'test 1', not 'test 2'",
        ),
        ({"needed": ["y"]}, "expected a session saved by pointtrack, but "),
        ({"video": "another"}, r"the session was made with \(a video\), got another one \(another\)"),
    ],
)
def test_other_sessions_are_refused(requested, message, tmp_path):
    path = write_session_npz(tmp_path / "s.npz", TOLD, {"x": np.arange(3)})
    with pytest.raises(ValueError, match=message):
        read_session_npz(
            path, "a session", **{"needed": ["x"], "format": "test 1", "video": "a video", **requested}
        )


def test_files_that_are_no_sessions_are_refused(tmp_path):
    expected = {"needed": ["x"], "format": "test 1", "video": "a video"}
    with pytest.raises(FileNotFoundError, match="session file: expected an .npz file, found nothing at"):
        read_session_npz(tmp_path / "s.npz", "a session", **expected)
    (tmp_path / "text.npz").write_bytes(b"no zip")
    np.savez(tmp_path / "arrays.npz", x=np.arange(3))
    for name in ("text.npz", "arrays.npz"):
        with pytest.raises(ValueError, match="expected a session saved by pointtrack, but "):
            read_session_npz(tmp_path / name, "a session", **expected)


def test_broken_files_are_refused(tmp_path):
    path = write_session_npz(tmp_path / "s.npz", TOLD, {"x": np.arange(3)})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="expected a session saved by pointtrack, but "):
        read_session_npz(path, "a session", ["x"], format="test 1", video="a video")
    with pytest.raises(ValueError, match="expected tracks saved by pointtrack, but File is not a zip file"):
        read_npz(path, "tracks", ["x"])
