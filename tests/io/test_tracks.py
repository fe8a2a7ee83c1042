"""Tracks to files and back."""

import csv
import json
import math

import numpy as np
import pytest
import torch

from pointtrack.io.masks import save_masks
from pointtrack.io.tracks import load_tracks, save_tracks
from pointtrack.types import Queries, Tracks
from pointtrack.types.masks import Masks


def made_up_tracks(frames=6, points=4, fps=29.97, first_frame=3):
    """Random tracks with awkward numbers, NaN before the queries, odd ids."""
    generator = torch.Generator().manual_seed(frames * 100 + points)
    xy = (torch.rand(frames, points, 2, generator=generator) - 0.2) * 1000 / 3
    visibility = torch.rand(frames, points, generator=generator)
    confidence = torch.rand(frames, points, generator=generator) ** 20  # tiny values with exponents
    queries = Queries(
        first_frame + torch.arange(points) % max(frames, 1),
        torch.rand(points, 2, generator=generator) * 50,
        torch.arange(points) * 7 - 3,
    )
    for n, start in enumerate((queries.frame - first_frame).tolist()):
        xy[:start, n], visibility[:start, n], confidence[:start, n] = float("nan"), 0, 0
    return Tracks(xy, visibility, confidence, queries, (130, 70), first_frame, fps)


def assert_same(one, other):
    for name in ("xy", "visibility", "confidence"):
        np.testing.assert_array_equal(getattr(one, name).numpy(), getattr(other, name).numpy(), name)
        assert getattr(one, name).dtype == getattr(other, name).dtype
    for name in ("frame", "xy", "ids"):
        assert torch.equal(getattr(one.queries, name), getattr(other.queries, name)), name
    assert (one.wh, one.first_frame, one.fps) == (other.wh, other.first_frame, other.fps)


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".json", ".CSV"])
@pytest.mark.parametrize(("frames", "points"), [(6, 4), (1, 1), (1, 5), (4, 1), (3, 0), (0, 2)])
def test_tracks_come_back_exactly(tmp_path, suffix, frames, points):
    tracks = made_up_tracks(frames, points)
    path = save_tracks(tmp_path / "new" / f"tracks{suffix}", tracks)
    assert path.is_file()
    assert_same(load_tracks(path), tracks)


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".json"])
def test_extreme_numbers_come_back_exactly(tmp_path, suffix):
    values = torch.tensor([1 / 3, -1e-30, 3.4e38, -0.0, 16777217.0, 1e-45, 123456.789, -7.0])
    tracks = Tracks(
        values.reshape(2, 2, 2), torch.rand(2, 2), torch.ones(2, 2), Queries([0, 1], [[1, 2], [3, 4]]), (9, 8)
    )
    again = load_tracks(save_tracks(tmp_path / f"t{suffix}", tracks))
    assert_same(again, tracks)
    assert torch.equal(again.xy.signbit(), tracks.xy.signbit())


def test_csv_is_a_table_others_read(tmp_path):
    tracks = made_up_tracks(fps=10.0)
    lines = save_tracks(tmp_path / "t.csv", tracks).read_text().splitlines()
    table = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert list(table[0]) == ["frame", "time", "id", "x", "y", "visibility", "confidence"]
    assert len(table) == 24
    assert [row["id"] for row in table[:5]] == ["-3", "4", "11", "18", "-3"]
    assert (table[0]["frame"], table[0]["time"]) == ("3", "0.300000")
    assert (table[1]["x"], table[1]["y"], table[1]["visibility"]) == ("", "", "0.0")  # not tracked yet
    assert "nan" not in "\n".join(lines)


def test_json_is_plain_json(tmp_path):
    def refuse(name):
        pytest.fail(f"{name} is not JSON")

    tracks = made_up_tracks()
    content = json.loads(save_tracks(tmp_path / "t.json", tracks).read_text(), parse_constant=refuse)
    assert content["wh"] == [130, 70]
    assert content["xy"][0][1] == [None, None]
    assert math.isclose(content["xy"][5][2][0], float(tracks.xy[5, 2, 0]), rel_tol=1e-6)
    assert content["queries"][1][0] == 4


def edited(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("suffix", "old", "new", "message"),
    [
        (".csv", "pointtrack tracks 1", "pointtrack tracks 9", "its format is 'pointtrack tracks 9'"),
        (".csv", "# wh: [130, 70]\n", "", "but no 'wh'"),
        (".csv", "frame,time,id", "frame,id,time", "its columns are"),
        (".csv", "\n3,0.100100,4,", "\n3,0.100100,5,", "not ordered by frame and then by id"),
        (".csv", "# frames: 6", "# frames: 7", "cannot reshape"),
        (".csv", "# fps: ", "# fps: fast", "Expecting value"),
        (".json", '"visibility": [', '"visible": [', "but no 'visibility'"),
        (".json", '"frames": 6', '"frames": 5', "cannot reshape"),
        (".json", "{", "", "tracks saved by pointtrack"),
    ],
)
def test_damaged_files(tmp_path, suffix, old, new, message):
    path = edited(save_tracks(tmp_path / f"t{suffix}", made_up_tracks()), old, new)
    with pytest.raises(ValueError, match=message):
        load_tracks(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "its columns are"),
        ("a.csv", "frame,x,y\n0,1,2\n", "its columns are"),
        ("a.csv", "frame,time,id,x,y,visibility,confidence\n0,0,0,1,2,1,1\n", "but no 'format'"),
        ("a.json", "[1, 2]", "it holds a list"),
        ("a.json", "{}", "but no 'format'"),
        ("a.npz", "not a zip", r"a\.npz: expected tracks saved by pointtrack"),
        ("a.npz", "PK\x03\x04 cut short", r"a\.npz: expected tracks saved by pointtrack"),
        ("a.npz", "", r"a\.npz: expected tracks saved by pointtrack"),
    ],
)
def test_files_of_others(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        load_tracks(tmp_path / name)


def test_unknown_suffix_and_missing_file(tmp_path):
    with pytest.raises(ValueError, match="save_tracks: expected Tracks, got Masks; see save_masks"):
        save_tracks(tmp_path / "a.csv", Masks(np.zeros((1, 1, 2, 2), bool)))
    with pytest.raises(ValueError, match="save_masks: expected Masks, got Tracks; see save_tracks"):
        save_masks(tmp_path / "a.json", made_up_tracks())
    for call in (lambda p: save_tracks(p, made_up_tracks()), load_tracks):
        with pytest.raises(
            ValueError, match=r"expected tracks in \.npz, \.csv, \.json, .*\.pkl, .*got '\.mat'"
        ):
            call(tmp_path / "t.mat")
    for suffix in (".npz", ".csv", ".json"):
        with pytest.raises(FileNotFoundError, match="found nothing at"):
            load_tracks(tmp_path / f"none{suffix}")


@pytest.mark.parametrize(
    ("name", "suffix", "other"),
    [("csv", ".csv", ".npz"), ("npz", ".npz", ".csv"), ("napari-tracks", ".npy", ".csv")],
)
def test_names_of_exports_are_formats(tmp_path, name, suffix, other):
    """The guide lists exports, and gives `save_tracks(..., format="nuke")` for Python."""
    tracks = made_up_tracks()
    wanted = "napari" if name == "napari-tracks" else "pointtrack"
    paths = [save_tracks(tmp_path / f"{form}{suffix}", tracks, format=form) for form in (name, wanted)]
    read = [
        load_tracks(path, format=form, wh=tracks.wh).xy
        for path, form in zip(paths, (name, wanted), strict=True)
    ]
    assert torch.equal(*(xy.nan_to_num(-1) for xy in read))
    with pytest.raises(ValueError, match=rf"expected \{suffix} for {name}, got '\{other}'"):
        save_tracks(tmp_path / f"a{other}", tracks, format=name)


def test_arrays_of_others(tmp_path):
    np.savez(tmp_path / "other.npz", tracks=np.zeros(3))
    with pytest.raises(
        ValueError, match=r"^\S*other\.npz: expected tracks saved by pointtrack, but it lacks"
    ):
        load_tracks(tmp_path / "other.npz")


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".json"])
def test_names_and_who_said_it_come_back(tmp_path, suffix):
    generator = torch.Generator().manual_seed(2)
    queries = Queries(0, torch.rand(3, 2, generator=generator), [4, 2, 9], ('nose, "left"', "", "tail"))
    sources = torch.tensor([[2, 1, 0], [1, 2, 1]])
    xy, sure = torch.rand(2, 3, 2, generator=generator), torch.ones(2, 3)
    tracks = Tracks(xy, sure, sure, queries, (20, 10), sources=sources)
    again = load_tracks(save_tracks(tmp_path / f"t{suffix}", tracks))
    assert again.queries.names == ('nose, "left"', "", "tail")
    assert torch.equal(again.sources, sources.to(torch.uint8))
    assert torch.equal(again.corrected(), sources == 2)
    piece = Tracks.concat([again.clip(0, 1), again.clip(1).select([2, 0, 1])])
    assert piece.select(piece.ids == 9).queries.names == ("tail",)
    assert piece.sources[1, piece.ids == 2].tolist() == [2]
