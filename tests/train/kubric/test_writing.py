"""What the worker writes is the common format: our reader reads it, our validator finds nothing."""

import json

import numpy as np
import pytest

from pointtrack.datasets.format import read_clip
from pointtrack.datasets.validate import check_clip
from train.kubric.__main__ import main
from train.kubric.sheet import draw_tracks, write_sheet
from train.kubric.writing import write_clip

FRAMES, SIZE = 4, 48


@pytest.fixture
def clip(tmp_path):
    """A square that moves 3 px per frame over a wall, both of noise; the square is object 2 of 2."""
    generator = np.random.default_rng(0)
    wall, square = generator.integers(0, 256, (SIZE, SIZE, 3)), generator.integers(0, 256, (16, 16, 3))
    pictures = np.repeat(wall[None], FRAMES, 0).astype(np.uint8)
    segmentation = np.ones((FRAMES, SIZE, SIZE), np.uint8)
    for t in range(FRAMES):
        pictures[t, 16:32, 3 * t + 8 : 3 * t + 24] = square
        segmentation[t, 16:32, 3 * t + 8 : 3 * t + 24] = 2
    xy = np.array([(10.25, 18.5), (40.0, 6.0)]) + np.arange(FRAMES)[:, None, None] * ((3, 0), (0, 0))
    tracks = {
        "xy": xy,
        "visible": np.ones((FRAMES, 2), bool),
        "query_frame": np.array([0, 2]),
        "object": np.array([2, 1]),
    }
    meta = {
        "fps": 12,
        "frames": FRAMES,
        "wh": [SIZE, SIZE],
        "seed": 3,
        "index": 7,
        "attempt": 1,
        "objects": [
            {"id": 1, "role": "background", "mesh": "floor", "mesh_licence": "own", "surface_licence": "own"},
            {
                "id": 2,
                "role": "rigid",
                "mesh": "mesh:/a/duck.obj",
                "mesh_licence": "zlib",
                "surface_licence": "own",
            },
        ],
        "sky": {"file": "sky.exr", "licence": "CC0"},
        "versions": {"bpy": "4.5"},
        "check": {"own_pixel": 1.0},
    }
    folder = tmp_path / "clip_00000"
    folder.mkdir()
    write_clip(folder, pictures, tracks, {"segmentation": segmentation, "depth": np.ones((2, 2))}, meta)
    return folder, pictures, xy


def test_reader_reads_it(clip):
    folder, pictures, xy = clip
    read = read_clip(folder)
    np.testing.assert_array_equal(read.video.frames, pictures)
    np.testing.assert_allclose(read.tracks.xy, xy)
    assert read.tracks.query_frame.tolist() == [0, 2]
    # The wall is background in masks and tracks; in layers.npz it keeps its number.
    assert read.tracks.object_ids.tolist() == [2, 0]
    assert np.unique(read.labels).tolist() == [0, 2]
    assert (read.labels == 2).sum(axis=(1, 2)).tolist() == [256] * FRAMES
    assert np.unique(np.load(folder / "layers.npz")["segmentation"]).tolist() == [1, 2]
    assert read.info.objects == {2: "duck"}
    assert read.info.licence == "assets: CC0; own; zlib"
    assert (read.info.fps, read.info.seed, read.info.notes["check"]) == (12.0, 3, {"own_pixel": 1.0})


def test_validator_finds_nothing(clip):
    assert check_clip(clip[0]) == []


def test_scene_is_kept(clip):
    assert json.loads((clip[0] / "scene.json").read_text())["attempt"] == 1


def test_sheet(clip, tmp_path, capsys):
    folder, _, xy = clip
    out = tmp_path / "new" / "sheet.png"
    assert main(["sheet", str(tmp_path), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"sheet     {out}\n"
    assert main(["sheet", str(tmp_path), "--out", str(out.with_suffix(".txt"))]) == 2
    assert "error: unknown file extension: .txt" in capsys.readouterr().err
    visible = np.array([[True, False]] * FRAMES)
    with_dots = draw_tracks(folder / "frames" / "00001.png", xy, visible, 1)
    without = draw_tracks(folder / "frames" / "00001.png", xy[:, :0], visible[:, :0], 1)
    rows, columns = np.nonzero((with_dots != without).any(-1))
    near = lambda x, y: (np.hypot(columns - x, rows - y) < 4).any()  # noqa: E731
    # Twice as large; the middle of pixel 13.25 is 13.75 pixels from the edge.
    assert near(2 * 13.75, 2 * 19) and near(2 * 40.5, 2 * 6.5)
    assert out.stat().st_size > 1000


def test_sheet_of_nothing_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="found none"):
        write_sheet(tmp_path, tmp_path / "sheet.png", clips=3)
