"""Tracks in the formats of other tools: as those tools read them, and back."""

import csv
import logging
import sys
import tracemalloc
from dataclasses import replace
from importlib.util import find_spec
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from pointtrack.datasets.tapvid import tapvid_clips
from pointtrack.io.formats import parquet
from pointtrack.io.tracks import (
    NEEDS,
    READERS,
    TRACK_EXPORTS,
    export_tracks,
    load_tracks,
    mapped_tracks,
    parse_exports,
    save_tracks,
)  # fmt: skip
from pointtrack.types import Queries, Tracks, Video

NAN = float("nan")
WH = (130, 70)


def walk(first_frame=5):
    """6 frames, 3 points: one whole, one with a gap, hidden and out of the image, one from its query on."""
    generator = torch.Generator().manual_seed(1)
    xy = torch.rand(6, 3, 2, generator=generator) * 60
    visibility = 0.6 + 0.4 * torch.rand(6, 3, generator=generator)
    confidence = torch.rand(6, 3, generator=generator)
    xy[3, 1] = torch.tensor([-12.25, 140.5])  # out of the image
    visibility[2:4, 1] = 0.1
    xy[4, 1] = NAN
    xy[:2, 2] = NAN
    visibility[xy.isnan().any(-1)] = confidence[xy.isnan().any(-1)] = 0
    frame = torch.tensor([0, 1, 2])
    queries = Queries(frame + first_frame, xy[frame, torch.arange(3)], torch.tensor([7, -3, 0]))
    return Tracks(xy, visibility, confidence, queries, WH, first_frame, 12.5)


def assert_points_on_first_known_frame(tracks, ids, first_frame=5):
    known = tracks.tracked()
    assert tracks.ids.tolist() == ids
    for n, frame in enumerate((tracks.queries.frame - first_frame).tolist()):
        assert known[frame, n]
        assert not known[:frame, n].any()
        assert torch.equal(tracks.queries.xy[n], tracks.xy[frame, n])


needs_h5 = pytest.mark.skipif(
    not (find_spec("pandas") and find_spec("tables")), reason="needs pandas and tables, the extra dlc"
)


@pytest.mark.parametrize("suffix", [".csv", pytest.param(".h5", marks=needs_h5)])
def test_deeplabcut_keeps_positions_and_visibility(tmp_path, suffix):
    tracks = walk()
    path = save_tracks(tmp_path / f"t{suffix}", tracks, format="dlc")
    again = load_tracks(path, format="dlc", wh=WH, fps=12.5)
    np.testing.assert_array_equal(again.xy.numpy(), tracks.xy.numpy())
    assert torch.equal(again.visibility, tracks.visibility)
    assert torch.equal(again.confidence, tracks.visibility)  # there is one likelihood for both
    assert (again.wh, again.fps, again.first_frame) == (WH, 12.5, 5)
    assert_points_on_first_known_frame(again, [7, -3, 0])


def test_deeplabcut_csv_has_its_three_header_lines(tmp_path):
    rows = list(csv.reader(save_tracks(tmp_path / "t.csv", walk(), format="dlc").open(newline="")))
    assert rows[0] == ["scorer", *["DLC_pointtrack"] * 9]
    assert rows[1] == ["bodyparts", *["point7"] * 3, *["point-3"] * 3, *["point0"] * 3]
    assert rows[2] == ["coords", *["x", "y", "likelihood"] * 3]
    assert [row[0] for row in rows[3:]] == ["5", "6", "7", "8", "9", "10"]
    assert rows[3][7:] == ["", "", ""]  # not tracked yet


@needs_h5
def test_deeplabcut_h5_is_the_table_of_the_csv(tmp_path):
    import pandas as pd

    many = walk(0).select(torch.arange(3).repeat(134)[:1])  # a single point, and below hundreds of them
    queries = Queries(torch.zeros(400), torch.ones(400, 2))
    many = Tracks(torch.rand(6, 400, 2), torch.ones(6, 400), torch.ones(6, 400), queries, WH)
    for tracks in (walk(), many):
        save_tracks(tmp_path / "t.csv", tracks, format="dlc")
        save_tracks(tmp_path / "t.h5", tracks)
        table = pd.read_hdf(tmp_path / "t.h5")
        expected = pd.read_csv(tmp_path / "t.csv", header=[0, 1, 2], index_col=0)
        assert list(table.columns.names) == ["scorer", "bodyparts", "coords"]
        assert [tuple(c) for c in table.columns] == [tuple(c) for c in expected.columns]
        assert list(table.index) == list(expected.index)
        np.testing.assert_allclose(table.to_numpy(), expected.to_numpy(), rtol=1e-6)


def test_h5_without_the_extra_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tables", None)
    monkeypatch.setattr("pointtrack.io.formats.needs.find_spec", lambda name: None if name == "tables" else 1)
    for call in (
        lambda: save_tracks(tmp_path / "t.h5", walk()),
        lambda: parse_exports("csv,dlc-h5"),
    ):
        with pytest.raises(
            ValueError, match=r"needs the package tables, not installed.*pip install 'pointtrack\[dlc\]'"
        ):
            call()
    assert parse_exports("dlc") == ["dlc"]


def test_deeplabcut_of_others(tmp_path):
    path = tmp_path / "mouse.csv"
    header = "scorer,net,net,net,net,net,net\nbodyparts,nose,nose,nose,tail,tail,tail\n"
    coords = "coords,x,y,likelihood,x,y,likelihood\n"
    path.write_text(header + coords + "0,1.5,2,0.9,,,\n1,2.5,3,1.0000001,9,8,0.5\n")
    tracks = load_tracks(path, format="dlc", wh=(20, 10))
    assert (tracks.ids.tolist(), tracks.queries.names) == ([0, 1], ("nose", "tail"))
    assert tracks.xy[1].tolist() == [[2.5, 3], [9, 8]]
    assert tracks.visibility[:, 0].tolist() == pytest.approx([0.9, 1.0])
    assert tracks.queries.frame.tolist() == [0, 1]
    for old, new, message in (
        ("scorer,", "name,", "its first lines are called"),
        ("bodyparts,", "individuals,", "its first lines are called"),
        ("x,y,likelihood,x", "x,likelihood,y,x", "one body part after the other"),
        ("\n1,2.5", "\n2,2.5", "not frame after frame"),
    ):
        (tmp_path / "bad.csv").write_text(path.read_text().replace(old, new))
        with pytest.raises(ValueError, match=f"bad.csv: expected tracks in the format dlc, but .*{message}"):
            load_tracks(tmp_path / "bad.csv", format="dlc", wh=(20, 10))


def test_napari_keeps_what_is_tracked(tmp_path):
    tracks = walk()
    path = save_tracks(tmp_path / "t.csv", tracks, format="napari")
    again = load_tracks(path, format="napari", wh=WH, fps=12.5)
    order = [1, 2, 0]  # sorted by id: -3, 0, 7
    assert again.ids.tolist() == [-3, 0, 7]
    for name in ("xy", "visibility", "confidence"):
        np.testing.assert_array_equal(
            getattr(again, name).numpy(), getattr(tracks.select(order), name).numpy()
        )
    assert (again.wh, again.fps, again.first_frame) == (WH, 12.5, 5)
    assert_points_on_first_known_frame(again, [-3, 0, 7])


def test_napari_table_has_the_columns_that_napari_knows(tmp_path):
    tracks = walk()
    path = save_tracks(tmp_path / "t.csv", tracks, format="napari")
    assert path.read_text().startswith("index,axis-0,axis-1,axis-2,ID,visibility,confidence\n")
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    assert table[:, 0].tolist() == list(range(6 + 5 + 4))
    assert np.isfinite(table).all()
    row = table[(table[:, 4] == 7) & (table[:, 1] == 9)][0]
    np.testing.assert_allclose(row[2:4], tracks.xy[4, 0].flip(0), rtol=1e-6)
    rows = np.load(save_tracks(tmp_path / "t.npy", tracks))
    assert rows[:, :2].tolist() == sorted(rows[:, :2].tolist())
    np.testing.assert_allclose(rows[:, 2:], table[:, 2:4], rtol=1e-6)
    again = load_tracks(tmp_path / "t.npy", wh=WH)
    np.testing.assert_array_equal(again.xy.numpy(), tracks.select([1, 2, 0]).xy.numpy())


def test_napari_of_others(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_text("id,T,y,x\n4,2,20,10\n4,3,21,11\n")
    tracks = load_tracks(path, format="napari", wh=(50, 40))
    assert (tracks.first_frame, tracks.xy[:, 0].tolist()) == (2, [[10, 20], [11, 21]])
    assert tracks.visibility.tolist() == tracks.confidence.tolist() == [[1], [1]]
    for text, message in (
        ("ID,t,z,y,x\n1,0,0,0,0\n", "its columns are"),
        ("ID,t,y,x\n1,0,2,2\n1,0,3,3\n", "two rows with the same t"),
        ("ID,t,y,x\n1,0.5,2,2\n", "not a whole number"),
        ("ID,t,y,x\n", "it holds no rows"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            load_tracks(path, format="napari", wh=(50, 40))


def test_cvat_keeps_places_and_flags(tmp_path):
    tracks = walk()
    again = load_tracks(save_tracks(tmp_path / "t.xml", tracks), fps=12.5)
    np.testing.assert_allclose(again.xy.numpy(), tracks.xy.numpy(), atol=1e-4)
    assert torch.equal(again.visibility, (tracks.visible() & tracks.in_frame()).float())
    assert torch.equal(again.confidence, again.visibility)
    assert (again.wh, again.fps, again.first_frame) == (WH, 12.5, 5)
    assert_points_on_first_known_frame(again, [7, -3, 0])


def test_cvat_entries_mean_what_cvat_reads(tmp_path):
    tracks = walk()
    root = ElementTree.parse(save_tracks(tmp_path / "t.xml", tracks)).getroot()
    assert [root.tag, root.findtext("version")] == ["annotations", "1.1"]
    assert root.findtext(".//original_size/width") == "130"
    assert [root.findtext(f".//task/{name}") for name in ("size", "start_frame", "stop_frame")] == [
        "6",
        "5",
        "10",
    ]
    first, second, third = root.findall("track")
    assert [shape.get("frame") for shape in first] == ["5", "6", "7", "8", "9", "10"]
    place = [float(value) for value in first[0].get("points").split(",")]
    np.testing.assert_allclose(place, tracks.xy[0, 0] + 0.5, atol=1e-4)  # CVAT counts from the corner
    flags = {s.get("frame"): (s.get("outside"), s.get("occluded")) for s in second}
    assert flags["6"] == ("0", "0")
    assert flags["7"] == ("0", "1")  # hidden
    assert flags["8"] == ("1", "1")  # out of the image
    assert flags["9"][0] == "1"  # not tracked: said once, so that CVAT does not draw it between frames
    assert flags["10"] == ("0", "0")
    assert [shape.get("frame") for shape in third] == ["7", "8", "9", "10"]


def test_cvat_of_others(tmp_path):
    path = tmp_path / "a.xml"
    points = '<points frame="3" outside="0" occluded="0" keyframe="1" points="4.50,5.50"/>'
    path.write_text(
        f'<annotations><version>1.1</version><track id="9" label="ear">{points}</track></annotations>'
    )
    tracks = load_tracks(path, wh=(20, 10))
    assert (tracks.ids.tolist(), tracks.first_frame, tracks.xy.tolist()) == ([9], 3, [[[4.0, 5.0]]])
    text = path.read_text()
    for old, new, message in (
        ("4.50,5.50", "4.50,5.50;1,1", "track 9: expected single points"),
        ("<points", "<box", "track 9: expected single points, got box"),
        ("1.1<", "1.0<", "not annotations of CVAT 1.1"),
        ("</annotations>", "", "it is not XML"),
        (points, "", "it holds no tracks"),
    ):
        path.write_text(text.replace(old, new))
        with pytest.raises(ValueError, match=message):
            load_tracks(path, wh=(20, 10))


def test_tapvid_keeps_places_flags_and_queries(tmp_path):
    tracks, video = walk(0), Video(np.zeros((6, 70, 130, 3), np.uint8))
    for given in (video, None):
        path = save_tracks(tmp_path / "t.npz", tracks, format="tapvid", video=given)
        again = load_tracks(path, format="tapvid", wh=None if given else WH, fps=12.5)
        np.testing.assert_allclose(again.xy.numpy(), tracks.xy.numpy(), atol=1e-5)
        assert torch.equal(again.visibility, (tracks.visible() & tracks.in_frame()).float())
        assert torch.equal(again.queries.frame, tracks.queries.frame)
        np.testing.assert_allclose(again.queries.xy, tracks.queries.xy, atol=1e-5)
        assert (again.ids.tolist(), again.wh, again.fps, again.first_frame) == ([0, 1, 2], WH, 12.5, 0)


def test_tapvid_numbers_are_those_of_the_benchmark(tmp_path):
    with np.load(save_tracks(tmp_path / "t.npz", walk(), format="tapvid")) as data:
        content = dict(data)
    assert content["points"].shape == (3, 6, 2)
    expected = (walk().xy[2, 0].numpy() + 0.5) / WH
    np.testing.assert_allclose(content["points"][0, 2], expected, rtol=1e-6)
    assert content["occluded"].dtype == bool
    assert content["occluded"][1].tolist() == [False, False, True, True, True, False]
    assert content["query_points"][:, 0].tolist() == [0, 1, 2]  # rows of the file
    np.testing.assert_allclose(
        content["query_points"][0, 1:], (walk().queries.xy[0].numpy()[::-1] + 0.5) / WH[::-1]
    )


def test_tapvid_pickle_is_read_as_a_data_set(tmp_path):
    tracks, video = walk(0), Video(np.full((6, 70, 130, 3), 9, np.uint8))
    path = save_tracks(tmp_path / "mine.pkl", tracks, video=video)
    (clip,) = (source.read() for source in tapvid_clips(path))
    assert clip.name == "mine/mine"
    assert clip.video.wh == WH
    np.testing.assert_allclose(clip.tracks.xy.numpy(), tracks.xy.numpy(), atol=1e-5)
    assert torch.equal(clip.tracks.visible, tracks.visible() & tracks.in_frame())
    with pytest.raises(ValueError, match="expected the video too"):
        save_tracks(tmp_path / "mine.pkl", tracks)
    with pytest.raises(ValueError, match=r"expected 6 frames of \(130, 70\)"):
        save_tracks(tmp_path / "mine.pkl", tracks, video=video.clip(1))
    with pytest.raises(ValueError, match="tapvid_clips"):
        load_tracks(path)


def test_tapvid_of_others(tmp_path):
    path = tmp_path / "a.npz"
    points = np.full((1, 2, 2), 0.5)
    np.savez(path, points=points, occluded=np.array([[True, False]]))
    tracks = load_tracks(path, format="tapvid", wh=(20, 10))
    assert (tracks.queries.frame.tolist(), tracks.queries.xy.tolist()) == ([1], [[9.5, 4.5]])
    np.savez(path, points=points, occluded=np.array([[True, True]]))
    with pytest.raises(ValueError, match="never visible"):
        load_tracks(path, format="tapvid", wh=(20, 10))
    np.savez(path, points=points)
    with pytest.raises(ValueError, match=r"it lacks occluded"):
        load_tracks(path, format="tapvid", wh=(20, 10))


@pytest.mark.parametrize("format", ["dlc", "napari"])
def test_point_that_is_tracked_nowhere_is_left_out_with_a_warning(tmp_path, format, caplog):
    tracks = walk().clip(0, 2)  # the last point comes later
    path = save_tracks(tmp_path / "t.csv", tracks, format=format)
    with caplog.at_level(logging.WARNING):
        again = load_tracks(path, format=format, wh=WH)
    assert sorted(again.ids.tolist()) == [-3, 7]
    assert ("points [0] are tracked on no frame" in caplog.text) == (
        format == "dlc"
    )  # napari has no rows of it


@pytest.mark.parametrize(("suffix", "format"), [(".csv", "dlc"), (".csv", "napari"), (".npz", "tapvid")])
def test_size_must_come_from_somewhere(tmp_path, suffix, format):
    path = save_tracks(tmp_path / f"t{suffix}", walk(), format=format)
    with pytest.raises(ValueError, match=r"t\..*does not say how large the video is; give wh=\(width"):
        load_tracks(path, format=format)


def test_unknown_formats_and_names(tmp_path):
    with pytest.raises(ValueError, match="expected one of pointtrack, dlc, .*, got 'sketch'"):
        save_tracks(tmp_path / "t.csv", walk(), format="sketch")
    with pytest.raises(ValueError, match=r"expected \.csv or \.h5 for dlc, got '\.npz'"):
        save_tracks(tmp_path / "t.npz", walk(), format="dlc")
    with pytest.raises(ValueError, match="expected some of csv, json, parquet, dlc, .*, got"):
        parse_exports("csv,xml")
    assert parse_exports(None) == []


@pytest.mark.parametrize(
    "suffix",
    [
        ".csv",
        pytest.param(".json", marks=pytest.mark.long),
        ".parquet",
        pytest.param(".txt", marks=pytest.mark.long),
    ],
)
def test_tracks_that_stay_on_the_disk_are_exported_frame_by_frame(tmp_path, monkeypatch, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    monkeypatch.setattr(parquet, "ROWS", 5000)
    frames = 1200  # what is held whatever the length is 330 kB
    generator = torch.Generator().manual_seed(1)
    xy = torch.rand(frames, 50, 2, generator=generator) * 60
    queries = Queries(torch.zeros(50), xy[0], names=tuple(f"p{n}" for n in range(50)))
    sure = torch.ones(frames, 50)
    path = save_tracks(tmp_path / "a.npz", Tracks(xy, sure, sure, queries, WH))
    whole = save_tracks(tmp_path / f"whole{suffix}", load_tracks(path))
    tracemalloc.start()
    with mapped_tracks(path) as tracks:
        mapped = save_tracks(tmp_path / f"mapped{suffix}", tracks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert mapped.read_bytes() == whole.read_bytes()
    assert peak < xy.nbytes
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.npz", mapped.name, whole.name]


def test_exports_lie_beside_each_other(tmp_path):
    names = [name for name in TRACK_EXPORTS if all(find_spec(package) for package in NEEDS.get(name, ()))]
    assert parse_exports(" " + ", ".join(names)) == names
    video = Video(np.zeros((11, 70, 130, 3), np.uint8))
    for tracks in (walk(), walk().select(slice(0, 0))):
        whole = Tracks.concat([replace(tracks.clip(0, 5), first_frame=0), tracks])
        paths = export_tracks(tmp_path / "a.b", whole, names, video)
        assert len({path.name for path in paths}) == len(names)
        assert all(path.name.startswith("a.b") and path.is_file() for path in paths)
    tracks = Tracks.concat([replace(walk().clip(0, 5), first_frame=0), walk()])
    for path, name in zip(export_tracks(tmp_path / "a.b", tracks, names, video), names, strict=True):
        format = TRACK_EXPORTS[name][1]
        if format in READERS or format == "pointtrack":
            assert load_tracks(path, format=format, wh=WH).wh == WH
        else:
            with pytest.raises(ValueError, match=f"{format} is written, not read"):
                load_tracks(path, format=format, wh=WH)
