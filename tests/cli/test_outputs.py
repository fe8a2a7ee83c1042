"""No command writes over what it reads; each case destroyed the source once, with exit code 0."""

import hashlib

import numpy as np
import pytest

from pointtrack.cli import segment
from pointtrack.cli.main import main
from pointtrack.io.masks import save_masks
from pointtrack.io.video import open_video, write_image, write_video
from pointtrack.types.masks import Masks
from tests.support.scenes import ColourSegmenter


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def clip(tmp_path, monkeypatch, tiny_video):
    monkeypatch.chdir(tmp_path)
    return write_video(tmp_path / "outputs" / "clip.mp4", tiny_video)


@pytest.mark.parametrize(
    "arguments",
    [
        "track outputs/clip.mp4 --grid 3",
        "track outputs/clip.mp4 --grid 3 --flat",
        "track outputs/clip.mp4 --grid 3 --out outputs/clip.mp4 --overwrite",
        "track link.mp4 --grid 3 --out outputs/clip.mp4",
        "track outputs/clip.mp4 --grid 3 --out link.mp4",
        "segment outputs/clip.mp4 --click 0,30,20 --out outputs/clip.mp4",
        "live outputs/clip.mp4 --grid 3 --out outputs/clip.mp4",
    ],
)
def test_the_source_is_never_written_over(clip, tmp_path, tiny_tracker_file, capsys, arguments):
    (tmp_path / "link.mp4").symlink_to(clip)
    before = digest(clip)
    assert main([*arguments.split(), "--tracker", str(tiny_tracker_file)]) == 2
    error = capsys.readouterr().err.strip()
    assert "expected an output that is not the input" in error
    assert len(error.splitlines()) == 1
    assert digest(clip) == before


def test_a_mask_of_the_name_of_the_contact_sheet_is_kept(clip, tmp_path, tiny_tracker_file, tiny_video):
    clip.rename(tmp_path / "clip.mp4")
    mask = write_image(tmp_path / "outputs" / "clip.png", tiny_video.frames[0])
    before = digest(mask)
    arguments = ["clip.mp4", "--grid", "3", "--mask", str(mask), "--tracker", str(tiny_tracker_file)]
    assert main(["track", *arguments]) == 2
    assert digest(mask) == before


def test_writers_refuse_the_file_that_they_read(clip, tiny_video):
    before = digest(clip)
    with pytest.raises(ValueError, match="not the input"):
        write_video(clip, open_video(clip))
    masks = Masks(np.ones((6, 1, 48, 64), bool), object_ids=[1], scores=np.ones((6, 1)))
    moved = clip.rename(clip.with_suffix(".mkv"))
    with pytest.raises(ValueError, match="not the input"):
        save_masks(moved, masks, format="cutout", video=open_video(moved))
    assert digest(moved) == before


def test_results_of_another_video_stay_unless_overwrite_is_given(
    clip, tmp_path, tiny_tracker_file, tiny_video, capsys
):
    first, second = tmp_path / "a" / "clip.mp4", tmp_path / "b" / "clip.mp4"
    first.parent.mkdir()
    clip.rename(first)
    write_video(second, tiny_video.frames[::-1])
    track = ["--grid", "3", "--tracker", str(tiny_tracker_file), "--out", "results"]
    assert main(["track", str(first), *track]) == 0
    assert main(["track", str(first), *track]) == 0
    kept = {path.name: digest(path) for path in (tmp_path / "results").iterdir()}
    assert main(["track", str(second), *track]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert {path.name: digest(path) for path in (tmp_path / "results").iterdir()} == kept
    assert main(["track", str(second), *track, "--overwrite"]) == 0
    assert main(["track", str(second), *track]) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        "track clip.mp4 --grid 3 --out taken/x",
        "track clip.mp4 --grid 3 --out taken/x --flat",
        "track clip.mp4 --grid 3 --out folders --export csv",
        "segment clip.mp4 --click 0,30,20 --out taken/x",
        "segment clip.mp4 --click 0,30,20 --out folders --export davis,mot --overwrite",
        "segment clip.mp4 --click 0,30,20 --session taken/s.npz",
        "dense clip.mp4 --out taken",
        "live clip.mp4 --grid 3 --out taken/x",
        "demo clip.mp4 --out taken/x",
        "batch videos --out taken/x",
        "batch videos --export sleap --out results",
        "track clip.mp4 --grid 3 --out nowhere://bucket/x",
        "batch videos --out nowhere://bucket/x",
    ],
)
def test_what_cannot_be_written_is_told_before_anything_is_read(
    clip, tmp_path, capsys, arguments, monkeypatch
):
    (tmp_path / "videos").mkdir()
    clip.rename(tmp_path / "videos" / "clip.mp4")
    (tmp_path / "clip.mp4").symlink_to(tmp_path / "videos" / "clip.mp4")
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "folders" / "clip.csv").mkdir(parents=True)
    (tmp_path / "folders" / "clip_masks_mot.txt").mkdir()
    monkeypatch.setattr("pointtrack.io.formats.needs.find_spec", lambda name: None)
    for name in ("track", "segment", "dense", "demo"):
        monkeypatch.setattr(f"pointtrack.cli.{name}.read_video", lambda *_, **__: pytest.fail("it was read"))
    assert main([*arguments.split(), "--tracker", "no-such-tracker"]) == 2
    error = capsys.readouterr().err.strip()
    assert "tracker" not in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "results").exists()


def test_an_export_to_a_folder_is_written_again(clip, tmp_path, tiny_tracker_file, monkeypatch):
    monkeypatch.setattr(segment, "load_segmenter", lambda *_, **__: ColourSegmenter())  # a quick one
    clip.rename(tmp_path / "clip.mp4")
    arguments = ["segment", "clip.mp4", "--click", "0,30,20", "--export", "davis", "--out", "results"]
    for _ in range(2):
        assert main([*arguments, "--tracker", str(tiny_tracker_file)]) == 0


def test_a_demo_does_not_write_over_its_video(clip, tmp_path, capsys):
    before = digest(clip.rename(clip.with_name("demo.mp4")))
    assert main(["demo", "outputs/demo.mp4", "--tracker", "no-such-tracker"]) == 2
    assert "not the input" in capsys.readouterr().err
    assert digest(tmp_path / "outputs" / "demo.mp4") == before
