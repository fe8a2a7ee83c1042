"""Sources of batches: folders, patterns, stores and manifests."""

from __future__ import annotations

import json

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pointtrack as pt
from pointtrack.fleet import JobOptions
from pointtrack.fleet.manifest import read_source
from pointtrack.io.outputs import record_origin
from tests.support.clips import moving_video


def keys(source):
    return [task.key for task in read_source(source, JobOptions())]


@pytest.fixture
def tree(tmp_path):
    for name in ("a.mp4", "b/c.MKV", "b/deep/d.avi", "b/notes.txt", ".hidden.mp4", ".trash/e.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for i in range(3):
        pt.io.video.write_image(tmp_path / "frames" / f"{i}.png", moving_video(0, 1).frames[0])
    return tmp_path


def test_a_folder_is_searched_through(tree):
    assert keys(tree) == ["a.mp4", "b/c.MKV", "b/deep/d.avi", "frames"]
    assert keys(f"file://{tree}/b") == ["c.MKV", "deep/d.avi"]
    assert keys(tree / "a.mp4") == ["a.mp4"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.mp4", ["a.mp4"]),
        ("b/*", ["c.MKV", "notes.txt"]),
        ("**/*.avi", ["b/deep/d.avi"]),
        ("b/*/d.*", ["deep/d.avi"]),
    ],
)
def test_patterns(tree, pattern, expected):
    assert [key for key in keys(f"{tree}/{pattern}") if not key.endswith("deep")] == expected


def test_a_prefix_of_a_store(tree):
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    for name in ("clips/x.mp4", "clips/y/z.mov", "clips/y/readme.md"):
        fs.pipe_file(f"/{name}", b"1")
    tasks = read_source("memory://clips", JobOptions())
    assert [(task.key, task.video) for task in tasks] == [
        ("x.mp4", "memory://clips/x.mp4"),
        ("y/z.mov", "memory://clips/y/z.mov"),
    ]
    assert [task.key for task in read_source("memory://clips/**/*.mov", JobOptions())] == ["y/z.mov"]
    fs.store.clear()


ROWS = [
    {"video": "a.mp4", "grid": 3, "states": True, "end": 1.5, "clicks": ["0,1,2", "2:0,3,4,-"]},
    {"video": "b/c.MKV", "name": "second", "points": "p.csv"},
    {"video": "s3://bucket/e.mp4", "points": ["0,1,1", "3,2,2"], "tracker": "other"},
]


def write_manifest(folder, suffix):
    path = folder / f"m{suffix}"
    if suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    elif suffix == ".csv":
        path.write_text(
            "video,name,grid,states,end,clicks,points,tracker\n"
            'a.mp4,,3,true,1.5,"0,1,2 2:0,3,4,-",,\n'
            "b/c.MKV,second,,,,,p.csv,\n"
            's3://bucket/e.mp4,,,,,,"0,1,1 3,2,2",other\n'
        )
    else:
        rows = [dict(row) for row in ROWS]
        rows[1]["queries"] = rows[1].pop("points")
        pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema([
            ("video", pa.string()), ("name", pa.string()), ("grid", pa.int64()), ("states", pa.bool_()),
            ("end", pa.float64()), ("clicks", pa.list_(pa.string())), ("points", pa.list_(pa.string())),
            ("queries", pa.string()), ("tracker", pa.string()),
        ])), path)  # fmt: skip
    return path


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_manifests_say_the_same_in_every_format(tmp_path, suffix):
    tasks = {task.key: task for task in read_source(write_manifest(tmp_path, suffix), JobOptions(grid=9))}
    assert list(tasks) == ["a.mp4", "bucket/e.mp4", "second"]
    assert tasks["a.mp4"].video == str(tmp_path / "a.mp4")
    assert tasks["second"].video == str(tmp_path / "b/c.MKV")
    options = {key: JobOptions(grid=9).with_changes(task.changes) for key, task in tasks.items()}
    first = options["a.mp4"]
    assert (first.grid, first.states, first.end, first.click) == (3, True, 1.5, ["0,1,2", "2:0,3,4,-"])
    assert options["second"].queries == str(tmp_path / "p.csv")
    assert options["second"].grid == 9
    assert options["bucket/e.mp4"].points == ["0,1,1", "3,2,2"]
    assert options["bucket/e.mp4"].tracker == "other"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file\na.mp4\n", r"line 2: expected a column `video` .* got \['file'\]"),
        ("video,colour\na.mp4,red\n", "line 2: expected names of options, got colour"),
        ("video,grid\na.mp4,many\n", "line 2: grid: expected int, got 'many'"),
        ("video,grid\na.mp4,2.5\n", "grid: expected int"),
        ("video,states\na.mp4,perhaps\n", "states: expected bool, got 'perhaps'"),
        ("video,grid\na.mp4,0\n", "line 2: grid: expected 1 or more, got 0"),
        ('video,boxes\na.mp4,"0,1"\n', "line 2: expected a box"),
        (
            "video,grid\na.mp4,1\na.mp4,2\n",
            "expected each video once, got 'a.mp4' several times; a column `name`",
        ),
        ("video\n", "expected videos"),
    ],
)
def test_mistakes_in_a_manifest_are_told_with_their_line(tmp_path, content, message):
    (tmp_path / "m.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        keys(tmp_path / "m.csv")


def test_results_stay_under_out(tmp_path):
    (tmp_path / "m.csv").write_text("video,name\na.mp4,../../etc/x\n/abs/b.mp4,\n../up/c.mp4,\nd.mp4,.k/.d\n")
    assert keys(tmp_path / "m.csv") == ["abs/b.mp4", "etc/x", "k/d", "up/c.mp4"]


def test_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a folder, a pattern or a manifest"):
        keys(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="expected a manifest, found nothing"):
        keys(tmp_path / "none.csv")
    (tmp_path / "bad.jsonl").write_text("{\n")
    with pytest.raises(ValueError, match="expected .jsonl, but"):
        keys(tmp_path / "bad.jsonl")
    (tmp_path / "bad.parquet").write_text("{\n")
    with pytest.raises(ValueError, match="expected a Parquet file, but"):
        keys(tmp_path / "bad.parquet")


@pytest.mark.parametrize("out", ["results", "."])
@pytest.mark.parametrize("pattern", ["", "/**/*.mp4", "/*"])
def test_results_of_an_earlier_run_are_no_videos(tmp_path, out, pattern):
    """OUT may lie among the videos, or be their folder: what is in it is not taken the next time."""
    (tmp_path / "b" / "previews").mkdir(parents=True)
    for name in ("a.mp4", "b/c.mp4", "b/previews/d.mp4"):
        (tmp_path / name).touch()
    before = keys(f"{tmp_path}{pattern}")
    results = tmp_path / out
    (results / "ledger").mkdir(parents=True)
    (results / "previews").mkdir()
    (results / "settings.json").write_text("{}")
    (results / "previews" / "a.mp4.mp4").touch()
    found = ["a.mp4", "b"] if pattern == "/*" else ["a.mp4", "b/c.mp4", "b/previews/d.mp4"]
    assert keys(f"{tmp_path}{pattern}") == before == found
    assert keys(f"{results}/previews/*.mp4") == ["a.mp4.mp4"]


@pytest.mark.parametrize("pattern", ["", "/**/*.mp4"])
def test_results_that_commands_noted_are_no_videos_unless_they_are_named(tmp_path, caplog, pattern):
    """`track --out drawn.mp4` and `segment --export davis` beside their videos."""
    for name in ("a.mp4", "drawn.mp4", "b/own.mp4", "outputs/a.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    for folder, names in {"": ["drawn.mp4", "a_davis"], "outputs": ["a.mp4"]}.items():
        record_origin([tmp_path / folder / name for name in names], tmp_path / "a.mp4")
    pt.io.video.write_image(tmp_path / "a_davis" / "0.png", moving_video(0, 1).frames[0])
    assert keys(f"{tmp_path}{pattern}") == ["a.mp4", "b/own.mp4"]
    assert f"left out {2 if pattern else 3}, results of earlier commands" in caplog.text
    assert "name the videos in a manifest" in caplog.text
    assert keys(tmp_path / "drawn.mp4") == ["drawn.mp4"]
    assert keys(tmp_path / "a_davis") == ["a_davis"]
    (tmp_path / "list.csv").write_text("video\na.mp4\noutputs/a.mp4\n")
    assert keys(tmp_path / "list.csv") == ["a.mp4", "outputs/a.mp4"]


def test_results_in_a_store_are_no_videos():
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    for name in ("a.mp4", "o/settings.json", "o/ledger/1.jsonl", "o/previews/a.mp4.mp4", "o/more.mp4"):
        fs.pipe_file(f"/clips/{name}", b"1")
    for source in ("memory://clips", "memory://clips/**/*.mp4"):
        assert keys(source) == ["a.mp4", "o/more.mp4"]


def test_a_folder_of_pictures_that_results_were_written_into_is_still_a_video(tree):
    (tree / "frames" / "ledger").mkdir()
    (tree / "frames" / "settings.json").write_text("{}")
    assert keys(tree / "frames") == ["frames"]


def test_masks_of_a_manifest_count_from_where_it_lies(tmp_path):
    (tmp_path / "list.csv").write_text(
        'video,mask\na.mp4,"0,m.png"\nb.mp4,"2:3,of, b.png"\nc.mp4,"0,/d/m.png"\n'
    )
    found = [task.changes["mask"] for task in read_source(tmp_path / "list.csv", JobOptions())]
    assert found == [f"0,{tmp_path}/m.png", f"2:3,{tmp_path}/of, b.png", "0,/d/m.png"]
