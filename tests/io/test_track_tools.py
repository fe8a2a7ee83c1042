"""Tracks in the formats of other tools, read by these tools themselves where they can be installed, else by what is
published of the format."""

import json
import re
import runpy
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pointtrack.io.formats import plot
from pointtrack.io.formats.text import plain_names, seen_places
from pointtrack.io.tracks import load_tracks, save_tracks
from pointtrack.types import PointState, Queries, Source, Tracks, Video
from pointtrack.types.point_states import PointStates

NAN = float("nan")
WH = (64, 48)


@pytest.fixture
def tracks() -> Tracks:
    """8 frames from frame 2 on. "nose" is hidden on two frames and was corrected on one; `left "eye"` leaves the image;
    the third has no name and begins on the third frame."""
    t = torch.arange(8.0)
    xy = torch.stack([10 + 2 * t, 20 + 0.5 * t], dim=1)[:, None].repeat(1, 3, 1)
    xy[:, 1] = torch.stack([50 + 4 * t, 10 + 0 * t], dim=1)
    xy[:, 2] += torch.tensor([3.0, 11.25])
    xy[:2, 2] = NAN
    xy[5, 0] += 3
    visibility = torch.full((8, 3), 0.9)
    visibility[3:5, 0] = 0.2
    visibility[:2, 2] = 0
    confidence = visibility.clone()
    queries = Queries([2, 2, 4], xy[[0, 0, 2], [0, 1, 2]], [7, 3, 5], ("nose", 'left "eye"', ""))
    sources = torch.full((8, 3), int(Source.MODEL))
    sources[:2, 2], sources[5, 0] = 0, Source.PERSON
    return Tracks(xy, visibility, confidence, queries, WH, 2, 25.0, sources=sources)


def test_sleap_io_loads_slp(tmp_path, tracks):
    sio = pytest.importorskip("sleap_io")
    path = save_tracks(tmp_path / "t.slp", tracks)
    labels = sio.load_slp(str(path), open_videos=False)
    assert labels.skeletons[0].node_names == ["nose", 'left "eye"', "point5"]
    assert [frame.frame_idx for frame in labels] == list(range(2, 10))
    for t, frame in enumerate(labels):
        (predicted,) = frame.predicted_instances
        np.testing.assert_allclose(predicted.numpy(invisible_as_nan=False), tracks.xy[t], atol=1e-5)
        assert predicted.points["visible"].tolist() == tracks.visible()[t].tolist()
    user = [frame for frame in labels if frame.user_instances]
    assert [frame.frame_idx for frame in user] == [7]
    assert user[0].user_instances[0].points["complete"].tolist() == [True, False, False]
    again = load_tracks(path)
    np.testing.assert_allclose(again.xy.numpy(), tracks.xy.numpy(), atol=1e-5)
    assert torch.equal(again.corrected(), tracks.corrected())
    assert (again.ids.tolist(), again.queries.names, again.wh, again.fps) == (
        [7, 3, 5],
        ("nose", 'left "eye"', ""),
        WH,
        25.0,
    )


def test_pandas_loads_parquet(tmp_path, tracks):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    state = torch.where(tracks.visible(), PointState.VISIBLE, PointState.HIDDEN)
    states = PointStates.blank(8, 3)
    states.put((slice(None), slice(None)), PointStates(**(vars(states) | {"state": state})))
    tracks = Tracks(**(vars(tracks) | {"states": states}))
    table = pd.read_parquet(save_tracks(tmp_path / "t.parquet", tracks))
    assert len(table) == 8 * 3
    nose = table[table.name == "nose"]
    assert nose.frame.tolist() == list(range(2, 10))
    np.testing.assert_allclose(nose[["x", "y"]], tracks.xy[:, 0])
    assert nose.source.tolist() == ["model"] * 5 + ["person"] + ["model"] * 2
    assert set(nose.state) == {"visible", "hidden"}
    again = load_tracks(tmp_path / "t.parquet")
    for name, value in tracks.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], value)


def test_rerun_loads_rrd(tmp_path, tracks):
    chunk = pytest.importorskip("rerun.chunk")
    video = Video(np.zeros((10, WH[1], WH[0], 3), np.uint8))
    path = save_tracks(tmp_path / "t.rrd", tracks, video=video)
    rows, pictures, sources = [], 0, []
    for piece in chunk.RrdReader(str(path)).stream():
        if piece.is_static or "properties" in str(piece.entity_path):
            continue
        table = piece.to_record_batch().to_pylist()
        if str(piece.entity_path) == "/video":
            pictures += len(table)
        elif str(piece.entity_path) == "/video/points/nose":
            rows += [row for row in table if "Points2D:positions" in row]
            sources += [row["source"] for row in table if "source" in row]
    assert pictures == 8
    assert [row["frame"] for row in rows] == list(range(2, 10))
    places = [row["Points2D:positions"][0] for row in rows]
    np.testing.assert_allclose(places, tracks.xy[:, 0] + 0.5)  # Rerun counts from the corner
    assert [one[0] for one in sources] == ["model"] * 5 + ["person"] + ["model"] * 2


def test_napari_opens_points_and_tracks(tmp_path, tracks):
    pytest.importorskip("napari")
    from napari.components import ViewerModel
    from napari.plugins import _initialize_plugins

    _initialize_plugins()
    viewer = ViewerModel()
    viewer.open(str(save_tracks(tmp_path / "t.csv", tracks, format="napari")))
    (points,) = viewer.layers
    assert type(points).__name__ == "Points"
    assert len(points.data) == int(tracks.tracked().sum())
    nose = points.features[points.features["ID"] == 7]
    np.testing.assert_allclose(points.data[nose.index][:, ::-1][:, :2], tracks.xy[:, 0], rtol=1e-6)
    assert set(nose["name"]) == {"nose"}
    assert list(nose["source"]).count("person") == 1
    viewer.open(str(save_tracks(tmp_path / "t.npy", tracks)), layer_type="tracks")
    layer = viewer.layers[1]
    assert type(layer).__name__ == "Tracks"
    np.testing.assert_allclose(layer.data[layer.data[:, 0] == 7][:, :1:-1], tracks.xy[:, 0], rtol=1e-6)


def test_motmetrics_loads_points(tmp_path, tracks):
    mm = pytest.importorskip("motmetrics")
    path = save_tracks(tmp_path / "t.txt", tracks, format="mot")
    table = mm.io.loadtxt(str(path), fmt="mot15-2D")
    assert len(table) == int(seen_places(tracks).sum())
    row = table.loc[(3, 7)]  # the first frame is 1
    # From 0, in pixels that reach from their number to the next one.
    np.testing.assert_allclose([row.X + row.Width / 2, row.Y + row.Height / 2], tracks.xy[0, 0] + 0.5)
    again = load_tracks(path, wh=WH)
    np.testing.assert_allclose(again.xy[0, again.ids == 7], tracks.xy[0, :1], atol=1e-4)


def curve(text: str) -> dict[int, float]:
    """A curve of Nuke: x12 names a frame, other numbers are values, each for the frame after the last."""
    keys, frame = {}, 0
    for word in text.removeprefix("curve").split():
        if word == "K":
            continue
        if word.startswith("x"):
            frame = int(word[1:])
        else:
            keys[frame] = float(word)
            frame += 1
    return keys


@pytest.mark.parametrize("first", [None, 1001])
def test_tcl_reads_the_tracker_of_nuke(tmp_path, tracks, first):
    tcl = pytest.importorskip("tkinter").Tcl()
    text = save_tracks(tmp_path / "t.nk", tracks, first_number=first).read_text()
    kind, body = tcl.splitlist(text)
    knobs = dict(zip(*[iter(tcl.splitlist(body))] * 2, strict=True))
    size, columns, rows = tcl.splitlist(knobs["tracks"])
    columns, rows = tcl.splitlist(columns), tcl.splitlist(rows)
    assert (kind, tcl.splitlist(size)) == ("Tracker4", ("1", str(len(columns)), "3"))
    names = [tcl.splitlist(column)[3] for column in columns]
    cells = [dict(zip(names, tcl.splitlist(row), strict=True)) for row in rows]
    assert [cell["name"] for cell in cells] == ["nose", 'left "eye"', "point5"]
    start = 2 + (1 if first is None else first)
    for n, cell in enumerate(cells):
        x, y = curve(cell["track_x"]), curve(cell["track_y"])
        seen = np.flatnonzero(seen_places(tracks)[:, n])
        assert list(x) == list(y) == (seen + start).tolist()
        np.testing.assert_allclose(list(x.values()), tracks.xy[seen, n, 0] + 0.5, rtol=1e-5)
        np.testing.assert_allclose(list(y.values()), WH[1] - 0.5 - tracks.xy[seen, n, 1], rtol=1e-5)
    assert curve(cells[0]["enable"]) == {start: 1, start + 3: 0, start + 5: 1}
    assert list(curve(cells[0]["key_track"])) == [start + 5]  # a person was there
    assert cells[1]["key_track"] == ""


def test_lua_reads_the_setting_of_fusion(tmp_path, tracks):
    lua = pytest.importorskip("lupa").LuaRuntime()
    text = save_tracks(tmp_path / "t.setting", tracks).read_text()
    same = "local function same(t) return t end; "
    names = "local ordered, Tracker, XYPath, BezierSpline, Input, OperatorInfo = "
    tools = lua.execute(
        same + names + "function() return same end, same, same, same, same, same; return " + text
    )
    tools = tools["Tools"]
    inputs = tools["pointtrack"]["Inputs"]
    assert [inputs[f"Name{k}"]["Value"] for k in (1, 2, 3)] == ["nose", 'left "eye"', "point5"]
    assert len(tools["pointtrack"]["Trackers"]) == 3
    for n in range(3):
        path = tools[inputs[f"TrackedCenter{n + 1}"]["SourceOp"]]
        x, y = (tools[path["Inputs"][axis]["SourceOp"]]["KeyFrames"] for axis in "XY")
        seen = np.flatnonzero(seen_places(tracks)[:, n])
        assert sorted(x) == sorted(y) == (seen + 2).tolist()
        places = np.array([[x[frame][1], y[frame][1]] for frame in sorted(x)])
        expected = (tracks.xy[seen, n].numpy() + 0.5) / WH
        np.testing.assert_allclose(places[:, 0], expected[:, 0], rtol=1e-6)
        np.testing.assert_allclose(places[:, 1], 1 - expected[:, 1], rtol=1e-6)


def test_equalizer_has_its_published_lines(tmp_path, tracks):
    lines = iter(save_tracks(tmp_path / "t.txt", tracks, format="3de").read_text().splitlines())
    assert int(next(lines)) == 3
    for n, name in enumerate(["nose", 'left "eye"', "point5"]):
        assert next(lines) == name
        assert int(next(lines)) == 0
        seen = np.flatnonzero(seen_places(tracks)[:, n])
        rows = np.array([[float(word) for word in next(lines).split()] for _ in range(int(next(lines)))])
        assert rows[:, 0].tolist() == (seen + 2 + 1).tolist()
        np.testing.assert_allclose(rows[:, 1], tracks.xy[seen, n, 0] + 0.5)
        np.testing.assert_allclose(rows[:, 2], WH[1] - 0.5 - tracks.xy[seen, n, 1])
    assert next(lines, None) is None


def test_after_effects_has_its_published_blocks(tmp_path, tracks):
    text = save_tracks(tmp_path / "t.txt", tracks, format="after-effects", first_number=10).read_text()
    assert text.startswith(
        "Adobe After Effects 8.0 Keyframe Data\n\n\tUnits Per Second\t25\n\tSource Width\t64\n"
    )
    assert text.endswith("\nEnd of Keyframe Data\n")
    blocks = re.findall(r"\n(Effects\t[^\n]+)\n\tFrame\tX pixels\tY pixels\t\n((?:\t\d[^\n]+\n)+)", text)
    assert [head for head, _ in blocks] == [f"Effects\tPoint Control #{k}\tPoint #2" for k in (1, 2, 3)]
    rows = np.array([[float(word) for word in row.split()] for row in blocks[0][1].splitlines()])
    seen = np.flatnonzero(seen_places(tracks)[:, 0])
    assert rows[:, 0].tolist() == (seen + 12).tolist()
    np.testing.assert_allclose(rows[:, 1:], tracks.xy[seen, 0] + 0.5, rtol=1e-5)
    alone = save_tracks(tmp_path / "o.txt", tracks.select([0]), format="after-effects").read_text()
    assert "\nTransform\tPosition\n\tFrame\tX pixels\tY pixels\tZ pixels\t\n\t2\t10.5\t20.5\t0\t\n" in alone


def test_comfyui_takes_a_place_on_every_frame(tmp_path, tracks):
    lists = json.loads(save_tracks(tmp_path / "t.json", tracks, format="comfyui").read_text())
    assert [len(one) for one in lists] == [8, 8, 8]
    places = [[place["x"], place["y"]] for place in lists[2]]
    np.testing.assert_allclose(places, tracks.xy[[2, 2, *range(2, 8)], 2], atol=1e-3)


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_plot_is_a_picture_with_the_names_of_its_points(tmp_path, tracks, suffix):
    path = save_tracks(tmp_path / f"t{suffix}", tracks)
    assert path.read_bytes()[:4] in (b"\x89PNG", b"%PDF", b"<?xm")
    if suffix == ".svg":
        text = path.read_text()
        assert "3 points, 8 frames" in text and "<!-- nose -->" in text and "of them as curves" not in text


def test_plot_of_many_points_says_how_many_are_curves(tmp_path):
    t, n = 6, 30
    xy = torch.stack(torch.meshgrid(torch.arange(float(t)), torch.arange(float(n)), indexing="ij"), dim=-1)
    visibility = torch.ones(t, n)
    tracks = Tracks(xy, visibility, visibility, Queries(0, xy[0]), WH, 0, 25.0)
    text = save_tracks(tmp_path / "t.svg", tracks).read_text()
    assert "30 points (24 of them as curves), 6 frames" in text


class FakeClip:
    """As much of a movie clip of Blender as a script needs, for machines without Blender."""

    def __init__(self):
        self.made = {}
        self.tracking = SimpleNamespace(tracks=self)

    def new(self, name, frame):
        self.made[name] = markers = {}

        def insert_frame(number, co):
            markers[number] = marker = SimpleNamespace(co=co, mute=False)
            return marker

        return SimpleNamespace(markers=SimpleNamespace(insert_frame=insert_frame))


def test_the_script_for_blender_makes_markers(tmp_path, tracks, monkeypatch):
    path, clip = save_tracks(tmp_path / "t.py", tracks), FakeClip()
    monkeypatch.setitem(sys.modules, "bpy", SimpleNamespace())
    runpy.run_path(str(path))["add_tracks"](clip)
    assert list(clip.made) == ["nose", 'left "eye"', "point5"]
    nose = clip.made["nose"]
    assert [frame for frame, marker in nose.items() if marker.mute] == [6]  # where it hides
    assert list(nose) == [3, 4, 5, 6, 8, 9, 10]
    np.testing.assert_allclose(nose[3].co, [10.5 / 64, 1 - 20.5 / 48])


def test_blender_itself_makes_markers(tmp_path, tracks):
    bpy = pytest.importorskip("bpy")
    import cv2

    picture = tmp_path / "f0001.png"
    cv2.imwrite(str(picture), np.zeros((WH[1], WH[0], 3), np.uint8))
    clip = bpy.data.movieclips.load(str(picture))
    runpy.run_path(str(save_tracks(tmp_path / "t.py", tracks)))["add_tracks"](clip)
    nose = clip.tracking.tracks["nose"]
    keys = {marker.frame: (tuple(marker.co), marker.mute) for marker in nose.markers}
    np.testing.assert_allclose(keys[3][0], [10.5 / 64, 1 - 20.5 / 48], rtol=1e-6)
    assert keys[6][1]
    assert not keys[8][1]


def test_cvat_has_few_keyframes_names_and_the_source(tmp_path, tracks):
    from xml.etree import ElementTree

    path = save_tracks(tmp_path / "t.xml", tracks)
    root = ElementTree.parse(path).getroot()
    assert [label.findtext("name") for label in root.iter("label")] == ["nose", 'left "eye"', "point"]
    found = root.findall("track")
    assert [(one.get("label"), one.get("source")) for one in found] == [
        ("nose", "semi-auto"),
        ('left "eye"', "auto"),
        ("point", "auto"),
    ]
    keys = [[int(s.get("frame")) for s in one if s.get("keyframe") == "1"] for one in found]
    assert keys[2] == [4, 9]  # a straight line
    assert {5, 7} <= set(keys[0])  # it hides, and a person corrected it
    # What CVAT draws between keyframes, a straight line, stays within half a pixel.
    for n, frames in enumerate(keys):
        here = [frame for frame in frames if bool(tracks.tracked()[frame - 2, n])]
        for axis in range(2):
            drawn = np.interp(range(here[0], here[-1] + 1), here, tracks.xy[np.array(here) - 2, n, axis])
            assert np.abs(drawn - tracks.xy[here[0] - 2 : here[-1] - 1, n, axis].numpy()).max() <= 0.5
    assert load_tracks(path).queries.names == ("nose", 'left "eye"', "")
    np.testing.assert_allclose(load_tracks(path).xy.numpy(), tracks.xy.numpy(), atol=1e-4)


def test_deeplabcut_keeps_what_a_person_said(tmp_path, tracks):
    pd = pytest.importorskip("pandas")
    folder = tmp_path / "labeled-data" / "mouse"
    path = save_tracks(folder / "CollectedData_anna.csv", tracks, format="dlc-labels")
    table = pd.read_csv(path, header=[0, 1, 2], index_col=[0, 1, 2])
    assert list(table.columns.get_level_values(0).unique()) == ["anna"]
    assert list(table.index) == [("labeled-data", "mouse", "img00007.png")]
    row = table.iloc[0]
    np.testing.assert_allclose(row["anna", "nose"], tracks.xy[5, 0])
    assert row["anna", "point5"].isna().all()
    with pytest.raises(
        ValueError, match="^dlc-labels: expected tracks with a person's corrections, got none"
    ):
        save_tracks(path, tracks.clip(0, 2), format="dlc-labels")


@pytest.mark.parametrize(
    ("name", "format", "advice"),
    [
        ("t.csv", "dlc", "for other files in .csv give format='dlc' or format='napari'"),
        ("t.csv", "napari", "for other files in .csv give format='dlc' or format='napari'"),
        ("t.npz", "tapvid", "for other files in .npz give format='tapvid'"),
    ],
)
def test_the_format_of_a_shared_suffix_is_asked_for(tmp_path, tracks, name, format, advice):
    path = save_tracks(tmp_path / name, tracks, format=format)
    with pytest.raises(ValueError, match=advice):
        load_tracks(path)
    assert load_tracks(path, format=format, wh=tracks.wh).queries.labels()
    with pytest.raises(ValueError, match="expected tracks saved by pointtrack") as error:
        load_tracks(path, format="pointtrack")
    assert "for other files" not in str(error.value)


def test_the_first_number_is_for_those_that_count(tmp_path, tracks):
    with pytest.raises(ValueError, match="first_number: expected with nuke, .*, got 5 for cvat"):
        save_tracks(tmp_path / "t.xml", tracks, first_number=5)


def test_plain_names_are_distinct():
    one = torch.ones(1, 4)
    queries = Queries(0, [[1, 1]] * 4, names=("a_2", "a", "a!", "a!_2"))
    names = plain_names(Tracks(torch.ones(1, 4, 2), one, one, queries, (8, 8)))
    assert len(set(names)) == 4 and all(name.isidentifier() for name in names)


def test_a_plot_of_one_frame_numbers_one_frame_and_its_y_points_down(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, *_, **__: figures.append(figure))
    tracks = Tracks(
        torch.full((1, 2, 2), 5.0), torch.ones(1, 2), torch.ones(1, 2), Queries([0, 0], [[5, 5]] * 2), (9, 9)
    )
    plot.write(tmp_path / "a.png", tracks)
    x, y, _ = figures[0].axes
    assert x.lines[0].get_ydata().tolist() == [5.0] and y.yaxis_inverted()
    axis = figures[0].axes[2].xaxis
    low, high = axis.get_view_interval()
    assert [tick for tick in axis.get_ticklocs() if low <= tick <= high] == [0]
