"""What a command may write: never an input, and results of another video only where that is asked for."""

import os

import pytest

from pointtrack.io.outputs import check_outputs, record_origin


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"a video")
    return path


def test_an_input_is_refused_also_through_links_and_other_spellings(tmp_path, source, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "soft.mp4").symlink_to(source)
    (tmp_path / "hard.mp4").hardlink_to(source)
    (tmp_path / "folder").symlink_to(tmp_path)
    for output in (source, "clip.mp4", "./clip.mp4", "soft.mp4", "hard.mp4", "folder/clip.mp4"):
        for given in (source, "clip.mp4", "soft.mp4", f"file:{source}"):
            with pytest.raises(ValueError, match="expected an output that is not the input"):
                check_outputs([None, "rtsp://host/clip.mp4", given], [output], overwrite=True)


def test_nothing_is_written_among_the_pictures_of_the_input(tmp_path):
    (tmp_path / "frames").mkdir()
    with pytest.raises(ValueError, match="outside the input folder"):
        check_outputs([tmp_path / "frames"], [tmp_path / "frames" / "sheet.png"], source=tmp_path / "frames")
    check_outputs([tmp_path / "frames"], [tmp_path / "frames.png"], source=tmp_path / "frames")


def test_results_of_another_video_are_replaced_only_where_asked(tmp_path, source):
    other, out = tmp_path / "b" / "clip.mp4", tmp_path / "out" / "clip.npz"
    other.parent.mkdir()
    other.write_bytes(b"another video")
    check_outputs([source], [out], source=source)
    record_origin([out], source)
    out.write_bytes(b"results")
    check_outputs([source], [out], source=source)  # again: the same video
    moved = source.rename(tmp_path / "moved.mp4")
    check_outputs([moved], [out], source=moved)
    with pytest.raises(ValueError, match="--overwrite"):
        check_outputs([other], [out], source=other)
    check_outputs([other], [out], source=other, overwrite=True)
    stranger = tmp_path / "out" / "mine.npz"
    stranger.write_bytes(b"a file of the user")
    with pytest.raises(ValueError, match="found another file"):
        check_outputs([moved], [stranger], source=moved)


@pytest.mark.parametrize("damage", [b"", b"[1]", b"{", b"\xff", b"[" * 100_000])
def test_a_damaged_note_protects_and_does_not_fail(tmp_path, source, damage):
    out = tmp_path / "clip.npz"
    out.write_bytes(b"results")
    (tmp_path / ".pointtrack-origins.json").write_bytes(damage)
    with pytest.raises(ValueError, match="found another file"):
        check_outputs([source], [out], source=source)
    record_origin([out], source)
    check_outputs([source], [out], source=source)


def test_what_cannot_be_written_is_refused_and_nothing_is_left_of_the_trial(tmp_path, source):
    (tmp_path / "sheet.png").mkdir()
    with pytest.raises(ValueError, match="expected a file to write, found a folder of that name"):
        check_outputs([source], [tmp_path / "sheet.png"], source=source, overwrite=True)
    (tmp_path / "results").write_text("a file")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    for place in (tmp_path / "results", tmp_path / "results" / "deeper", tmp_path / "nowhere" / "deeper"):
        with pytest.raises(ValueError, match="expected a folder that can be written to"):
            check_outputs([source], [place / "clip.npz"], source=source)
        with pytest.raises(ValueError, match="expected a folder that can be written to"):
            check_outputs([source], [], folders=[place], source=source)
    before = sorted(tmp_path.iterdir())
    check_outputs([source], [tmp_path / "new" / "a" / "clip.npz"], folders=[tmp_path / "b"], source=source)
    if os.name == "posix":
        check_outputs([source], ["/dev/null"], source=source)
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_takes_no_files_is_refused(tmp_path, source, monkeypatch):
    def refuse(dir):
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(
        ValueError, match=r"new: expected a folder .* Permission denied; choose another place"
    ):
        check_outputs([source], [tmp_path / "new" / "clip.npz"], source=source)
