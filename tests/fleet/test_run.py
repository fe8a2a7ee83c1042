"""Batches: what is missing is done, nothing twice, whatever ended the run before."""

from __future__ import annotations

import errno
import json
import re
from dataclasses import replace

import numpy as np
import pandas
import pytest
import torch

import pointtrack as pt
from pointtrack.cli.main import main
from pointtrack.fleet import JobOptions, RunOptions, batch, read_ledger, status
from pointtrack.fleet.ledger import COLUMNS
from pointtrack.fleet.output import Output
from pointtrack.tracking.queries import grid_queries
from pointtrack.viz.styles import EditStyle
from tests.support.clips import moving_video, write_broken, write_clips
from tests.support.tracks import same


def rows_of(out, *columns):
    table = read_ledger(out, ["key", *columns])
    return {row.pop("key"): row for row in table.to_pylist()}


def test_every_video_gets_a_result_and_a_row(clips, tmp_path, job, inline):
    out = tmp_path / "out"
    seen = []
    result = batch(clips, out, job, progress=seen.append)
    assert (result.videos, result.done, result.failed, result.left, result.ended) == (5, 5, 0, 0, 5)
    assert [one.done for one in seen] == [1, 2, 3, 4, 5]
    tracker = pt.Tracker(job.tracker, device="cpu")
    for name in ("even/clip000.mp4", "odd/clip003.mp4"):
        video = pt.read_video(clips / name)
        by_hand = tracker.track(video, grid_queries(video, 3))
        saved = pt.load_tracks(out / "tracks" / f"{name}.npz")
        assert torch.equal(saved.xy, by_hand.xy)
        row = rows_of(out, *COLUMNS)[name]
        assert (row["frames"], row["width"], row["height"], row["points"]) == (len(video), 64, 48, 9)
        assert row["mean_confidence"] == pytest.approx(float(by_hand.confidence.mean()), abs=1e-6)
        assert row["share_visible"] == pytest.approx(float(by_hand.visible().float().mean()))
        assert row["status"] == "done"
        assert row["peak_memory"] > 1e7
        assert row["seconds"] >= row["track_seconds"] > 0
    assert not (out / "logs").exists()  # nothing to say about any


def test_the_same_again_does_nothing(two_clips, tmp_path, job, inline):
    batch(two_clips, tmp_path / "out", job)
    again = batch(two_clips, tmp_path / "out", job)
    assert (again.done, again.ended) == (2, 0)
    assert len(inline) == 1  # no worker was started for nothing


def test_new_videos_are_done_alone(tmp_path, job, inline):
    write_clips(tmp_path / "in", 3)
    batch(tmp_path / "in", tmp_path / "out", job)
    pt.write_video(tmp_path / "in" / "new.mp4", moving_video(9, 6))
    batch(tmp_path / "in", tmp_path / "out", job)
    assert inline[1].keys == ["new.mp4"]


def test_broken_videos_are_put_aside_with_their_reason(tmp_path, job, inline):
    good = write_clips(tmp_path / "in", 2)
    reasons = write_broken(tmp_path / "in" / "bad", hangs=False)
    out = tmp_path / "out"
    result = batch(tmp_path / "in", out, job, RunOptions(limit_frames=20))
    assert (result.done, result.failed) == (2, len(reasons))
    rows = rows_of(out, "status", "reason", "message")
    assert {key for key, row in rows.items() if row["status"] == "done"} == set(good)
    for name, reason in reasons.items():
        row = rows[f"bad/{name}"]
        assert (row["status"], row["reason"]) == ("failed", reason)
        assert "expected" in row["message"]
        assert row["message"] in (out / "logs" / "bad" / f"{name}.log").read_text()
        assert not (out / "tracks" / "bad" / f"{name}.npz").exists()
    assert status(out).failed == {"unreadable": 4, "frames": 1}
    again = batch(tmp_path / "in", out, job, RunOptions(limit_frames=20))
    assert again.ended == 0
    # With another limit, which is no option of the job, the long one is done at the second attempt.
    mended = batch(tmp_path / "in", out, job, RunOptions(limit_frames=30, retry="failed"))
    assert (mended.ended, mended.done) == (5, 3)
    assert rows_of(out, "attempt")["bad/long.mp4"]["attempt"] == 2


def test_an_error_of_ours_is_a_row_with_a_traceback(two_clips, tmp_path, job, inline, monkeypatch):
    def fails(video):
        raise RuntimeError("a bug")

    monkeypatch.setattr("pointtrack.fleet.job.find_cuts", fails)
    result = batch(two_clips, tmp_path / "out", job)
    assert result.failed == 2
    row = rows_of(tmp_path / "out", "reason", "message")["clip001.mp4"]
    assert row == {"reason": "error", "message": "RuntimeError: a bug"}
    assert "Traceback" in (tmp_path / "out" / "logs" / "clip001.mp4.log").read_text()


@pytest.mark.parametrize(
    "change",
    [
        {"grid": 4},
        {"format": "parquet"},
        *(pytest.param(one, marks=pytest.mark.long) for one in ({"states": True}, {"threads": 2})),
    ],
)
def test_other_options_are_refused(two_clips, tmp_path, job, inline, change):
    batch(two_clips, tmp_path / "out", job)
    name, value = next(iter(change.items()))
    with pytest.raises(
        ValueError, match=rf"expected the options it was begun with, got others \({name} .* -> {value}\)"
    ):
        batch(two_clips, tmp_path / "out", replace(job, **change))


def test_other_weights_are_refused(two_clips, tmp_path, job, inline, tiny_tracker):
    batch(two_clips, tmp_path / "out", job)
    with torch.no_grad():
        tiny_tracker.head.bias += 1
    pt.models.checkpoint.save_checkpoint(job.tracker, tiny_tracker, half=False)
    with pytest.raises(ValueError, match="weights"):
        batch(two_clips, tmp_path / "out", job)


def test_a_manifest_that_changed_is_refused(clips, tmp_path, job, inline):
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"video,grid\n{clips}/even/clip000.mp4,2\n")
    batch(manifest, tmp_path / "out", job)
    manifest.write_text(f"video,grid\n{clips}/even/clip000.mp4,4\n")
    with pytest.raises(ValueError, match="expected the options that videos were done with, got others for 1"):
        batch(manifest, tmp_path / "out", job)
    result = batch(manifest, tmp_path / "out", job, RunOptions(retry="all"))
    assert result.done == 1
    (row,) = rows_of(tmp_path / "out", "points", "attempt").values()
    assert row == {"points": 16, "attempt": 2}


def test_shards_share_the_videos_out(clips, tmp_path, job, inline):
    batch(clips, tmp_path / "whole", job)
    for i in range(3):
        batch(clips, tmp_path / "out", job, RunOptions(shard=f"{i}/3"))
    assert sorted(key for executor in inline[1:] for key in executor.keys) == inline[0].keys
    for key in inline[0].keys:
        one, other = (pt.load_tracks(tmp_path / out / "tracks" / f"{key}.npz") for out in ("whole", "out"))
        assert torch.equal(one.xy, other.xy)
    assert batch(clips, tmp_path / "out", job).ended == 0


def test_a_result_without_a_row_is_noted_and_not_made_again(clips, tmp_path, job, inline):
    """As after a driver was killed between the result and its row."""
    out = tmp_path / "out"
    batch(clips, out, job)
    before = rows_of(out, "share_visible", "mean_confidence", "frames", "points", "jumps")
    for path in (out / "ledger").iterdir():
        path.unlink()
    (out / "tracks" / "odd" / "clip001.mp4.npz").unlink()
    result = batch(clips, out, job)
    assert inline[1].keys == ["odd/clip001.mp4"]
    assert (result.done, result.ended) == (5, 1)
    assert rows_of(out, "share_visible", "mean_confidence", "frames", "points", "jumps") == before


def test_a_full_disk_stops_the_run_and_it_goes_on(clips, tmp_path, job, inline, monkeypatch):
    real, calls = Output.put, []

    def put(self, local, name):
        calls.append(name)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, local, name)

    monkeypatch.setattr(Output, "put", put)
    with pytest.raises(OSError, match="cannot write results: .*No space left"):
        batch(clips, tmp_path / "out", job)
    # The ledger is written through `put` too when the run ends, and has the two that were done.
    assert set(rows_of(tmp_path / "out")) == set(inline[0].keys[:2])
    result = batch(clips, tmp_path / "out", job)
    assert (result.done, result.ended) == (5, 3)


def test_a_second_driver_is_refused(two_clips, tmp_path, job, inline):
    def meanwhile(result):
        with pytest.raises(ValueError, match="expected no other driver at work here"):
            batch(two_clips, tmp_path / "out", job)
        with pytest.raises(ValueError, match="expected no other driver"):
            batch(two_clips, tmp_path / "out", job, RunOptions(shard="0/2"))

    assert batch(two_clips, tmp_path / "out", job, progress=meanwhile).done == 2


def test_two_shards_run_at_a_time(clips, tmp_path, job, inline):
    nested = []

    def meanwhile(result):
        if not nested:
            nested.append(True)
            batch(clips / "even", tmp_path / "out", job, RunOptions(shard="1/2"))

    batch(clips / "even", tmp_path / "out", job, RunOptions(shard="0/2"), progress=meanwhile)
    assert status(tmp_path / "out").done == 3


def test_packed_files_hold_every_video_once(clips, tmp_path, job, inline):
    import pyarrow.parquet as pq

    job = replace(job, format="parquet")
    batch(clips, tmp_path / "single", job)
    batch(clips, tmp_path / "packed", job, RunOptions(pack=2))
    parts = sorted((tmp_path / "packed" / "tracks").iterdir())
    assert len(parts) == 3
    assert not list((tmp_path / "packed" / "staging").rglob("*.parquet"))

    def rows(folder):
        table = pq.read_table(folder / "tracks")
        names = [(name, "ascending") for name in ("video", "frame", "point")]
        return table.select(["video", "frame", "point", "x", "y", "visibility"]).sort_by(names)

    assert rows(tmp_path / "packed").equals(rows(tmp_path / "single"))
    assert batch(clips, tmp_path / "packed", job, RunOptions(pack=2)).ended == 0


@pytest.mark.parametrize("when", ["before it is packed", "after it is packed"])
def test_a_driver_that_is_killed_while_packing(clips, tmp_path, job, inline, monkeypatch, when):
    import pyarrow.parquet as pq

    class Killed(BaseException):
        pass

    real_put = Output.put

    def put(self, local, name):
        if name.startswith("tracks/part"):
            if when == "before it is packed":
                raise Killed
            real_put(self, local, name)
            raise Killed
        real_put(self, local, name)

    job = replace(job, format="parquet")
    with monkeypatch.context() as patch:
        patch.setattr(Output, "put", put)
        with pytest.raises(Killed):
            batch(clips / "even", tmp_path / "out", job, RunOptions(pack=2))
    result = batch(clips / "even", tmp_path / "out", job, RunOptions(pack=2))
    assert result.done == 3
    table = pq.read_table(tmp_path / "out" / "tracks", columns=["video", "frame", "point"])
    distinct = table.group_by(["video", "frame", "point"]).aggregate([])
    assert (
        len(table)
        == len(distinct)
        == 9 * sum(row["frames"] for row in rows_of(tmp_path / "out", "frames").values())
    )


def test_masks_previews_and_exports(tmp_path, job, inline):
    wanted = {
        "export": "davis,coco,csv,cutout-png",
        "preview": "sheet",
        "edit": EditStyle(background="white"),
    }
    job = replace(job, grid=None, box=["0,10,10,40,35"], segmenter="small", **wanted)
    # A real network follows.
    short = [pt.write_video(tmp_path / f"{i}.mp4", moving_video(i, 2)) for i in range(2)]
    manifest = tmp_path / "m.jsonl"
    lines = [{"video": str(short[0]), "name": "a"}]
    lines.append({"video": str(short[1]), "name": "b", "grid": 2})
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    batch(manifest, tmp_path / "out", job)
    rows = rows_of(tmp_path / "out", "objects", "points", "mask_area", "masks", "tracks", "status", "message")
    assert rows["a"]["status"] == rows["b"]["status"] == "done", rows
    assert (rows["a"]["objects"], rows["a"]["points"], rows["a"]["tracks"]) == (1, None, None)
    assert (rows["b"]["objects"], rows["b"]["points"], rows["b"]["tracks"]) == (1, 4, "tracks/b.npz")
    assert 0 < rows["a"]["mask_area"] < 1
    files = {
        path.relative_to(tmp_path / "out").as_posix()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert {"masks/a.npz", "masks/b.npz", "previews/a.png", "exports/a_coco.json", "exports/b.csv"} <= files
    assert "exports/a_davis/00000.png" in files
    assert "exports/a_cutout/00001.png" in files
    assert pt.read_video(tmp_path / "out" / "edited" / "a.mp4").frames[0, 0, 0].min() > 245
    assert "exports/a.csv" not in files
    masks = pt.load_masks(tmp_path / "out" / "masks" / "a.npz")
    assert np.array_equal(pt.load_masks(tmp_path / "out" / "exports" / "a_davis").masks, masks.masks)


def test_points_outside_one_video_are_that_videos_fault(clips, tmp_path, job, inline):
    manifest = tmp_path / "m.csv"
    manifest.write_text(
        f'video,name,points\n{clips}/even/clip000.mp4,a,"0,10,10 2,30,12"\n{clips}/odd/clip001.mp4,b,"0,900,2"\n'
    )
    batch(manifest, tmp_path / "out", replace(job, grid=None))
    rows = rows_of(tmp_path / "out", "status", "reason", "message", "points")
    assert (rows["a"]["status"], rows["a"]["points"]) == ("done", 2)
    assert rows["b"]["reason"] == "options"
    assert re.search("inside the 64 x 48 image", rows["b"]["message"])


def test_flat_gives_the_same_without_holding_the_video(clips, tmp_path, job, inline, monkeypatch):
    batch(clips / "even", tmp_path / "whole", job)
    monkeypatch.setattr("pointtrack.fleet.job.read_video", None)  # nobody reads a whole video
    result = batch(clips / "even", tmp_path / "flat", replace(job, flat=True))
    assert result.done == 3, rows_of(tmp_path / "flat", "message")
    for key in inline[0].keys:
        one, other = (pt.load_tracks(tmp_path / out / "tracks" / f"{key}.npz") for out in ("whole", "flat"))
        assert torch.equal(one.xy, other.xy)
    names = ("frames", "width", "fps", "cuts", "points", "mean_confidence", "share_visible")
    assert rows_of(tmp_path / "flat", *names) == rows_of(tmp_path / "whole", *names)
    batch(clips / "even", tmp_path / "short", replace(job, flat=True), RunOptions(limit_frames=6))
    reasons = [row["reason"] for row in rows_of(tmp_path / "short", "reason").values()]
    assert reasons.count("frames") == 2


@pytest.mark.parametrize(("format", "pack"), [("npz", 0), pytest.param("parquet", 2, marks=pytest.mark.long)])
def test_flat_reads_tracks_piece_by_piece(clips, tmp_path, job, inline, monkeypatch, format, pack):
    job = replace(job, format=format, states=True, smooth=2, export="csv")
    measured = ("points", "mean_confidence", "share_visible", "share_lost", "jumps")
    batch(clips / "even", tmp_path / "whole", job, RunOptions(pack=pack))
    monkeypatch.setattr("pointtrack.io.track_log.read_spilled", None)
    monkeypatch.setattr("pointtrack.io.tracks.read_spilled", None)
    batch(clips / "even", tmp_path / "flat", replace(job, flat=True), RunOptions(pack=pack))
    rows, wanted = (rows_of(tmp_path / name, *measured) for name in ("flat", "whole"))
    assert rows == wanted and rows
    for name in ("exports/clip000.mp4.csv", "exports/clip002.mp4.csv"):
        one, other = ((tmp_path / out / name).read_text() for out in ("whole", "flat"))
        assert one == other
    if format == "parquet":
        tables = [pandas.read_parquet(tmp_path / name / "tracks") for name in ("flat", "whole")]
        one, other = (table.sort_values(["video", "frame", "point"], ignore_index=True) for table in tables)
        pandas.testing.assert_frame_equal(one, other)
    else:
        paths = [tmp_path / name / "tracks/clip002.mp4.npz" for name in ("flat", "whole")]
        assert same(*(pt.load_tracks(path) for path in paths))


@pytest.mark.usefixtures("bfloat16_anywhere")
@pytest.mark.parametrize("change", [{"every": 2}, {"speed": "fast"}, {"precision": "bfloat16"}])
def test_ways_to_be_faster(two_clips, tmp_path, job, inline, change):
    """Each changes the answers; the command `track` gives the same ones."""
    result = batch(two_clips, tmp_path / "other", replace(job, **change))
    assert result.failed == 0, rows_of(tmp_path / "other", "message")
    name = "clip001.mp4"
    other = pt.load_tracks(tmp_path / "other" / "tracks" / f"{name}.npz")
    video = pt.read_video(two_clips / name)
    plain = pt.Tracker(job.tracker, device="cpu").track(video, grid_queries(video, 3))
    assert not torch.equal(plain.xy, other.xy)
    arguments = [
        "track",
        str(two_clips / name),
        "--grid",
        "3",
        "--tracker",
        job.tracker,
        "--device",
        "cpu",
    ]
    (option, value), threads = next(iter(change.items())), torch.get_num_threads()
    assert main([*arguments, f"--{option}", str(value), "--out", str(tmp_path / "by_hand")]) == 0
    assert torch.get_num_threads() == threads
    assert torch.equal(pt.load_tracks(tmp_path / "by_hand" / "clip001.npz").xy, other.xy)


def test_states_are_counted(two_clips, tmp_path, job, inline):
    batch(two_clips, tmp_path / "out", replace(job, states=True, format="parquet"))
    assert all(0 <= row["share_lost"] <= 1 for row in rows_of(tmp_path / "out", "share_lost").values())


@pytest.mark.parametrize(
    ("job", "run", "message"),
    [
        ({"format": "xml"}, {}, "format: expected npz or parquet, got 'xml'"),
        ({"export": "csv,gif"}, {}, "export: expected some of csv, .*, got gif"),
        ({"preview": "all"}, {}, "preview: expected video or sheet, got 'all'"),
        ({"threads": 0}, {}, "threads: expected 1 or more, got 0"),
        ({"regions": "auto", "states": True}, {}, "regions: expected neither states nor redetect"),
        (
            {"tracks": "t.npz", "click": ["0,1,1"]},
            {},
            "tracks: expected clicks, boxes and masks, or else tracks",
        ),
        ({"flat": True, "box": ["0,1,1,5,5"]}, {}, "flat: expected neither clicks"),
        ({"points": ["1;2"]}, {}, "points: expected frame,x,y"),
        ({"box": ["0,1,2"]}, {}, "expected a box frame,x0,y0,x1,y1"),
        ({}, {"shard": "3/3"}, "shard: expected i/n with i from 0 to n - 1"),
        ({}, {"workers": 0}, "workers: expected more than 0, got 0"),
        ({}, {"retry": "some"}, "retry: expected failed or all, got 'some'"),
        ({}, {"pack": 3}, "pack: expected --format parquet, got npz"),
        ({}, {"gpus": 1.0}, "gpus: expected --ray too"),
        ({"format": "parquet"}, {"pack": 3, "retry": "all"}, "retry: expected another --out"),
    ],
)
def test_options_that_make_no_sense(clips, tmp_path, job, run, message):
    with pytest.raises(ValueError, match=message):
        batch(clips, tmp_path / "out", JobOptions(**job), RunOptions(**run))
    assert not (tmp_path / "out").exists()
