"""Readers and writers on object stores: fsspec's own in memory, and an S3 server of moto on the loopback."""

from __future__ import annotations

from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch

import pointtrack as pt
from pointtrack.cli.main import main
from pointtrack.io.queries import save_queries
from pointtrack.io.storage import download, exists, is_stored, local_path, upload, written_to
from pointtrack.types.masks import Masks
from tests.support.object_store import object_store

s3_bucket = pytest.fixture(object_store)


@pytest.fixture(params=["memory", "s3"])
def prefix(request, tmp_path, monkeypatch):
    """A URL to write under, with nothing there; the working folder must stay empty too."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    if request.param == "s3":
        yield request.getfixturevalue("s3_bucket")
    else:
        yield "memory://store"
        fsspec.filesystem("memory").store.clear()
    assert not list(here.iterdir())  # `s3:` was once made as a folder here


def some_tracks() -> pt.Tracks:
    xy = torch.rand(5, 3, 2, generator=torch.Generator().manual_seed(0)) * 40
    queries = pt.Queries(torch.zeros(3), xy[0])
    return pt.Tracks(xy, torch.ones(5, 3), torch.full((5, 3), 0.5), queries, (64, 48))


@pytest.mark.parametrize("name", ["a/t.npz", "t.csv", "t.json"])
def test_tracks_there_and_back(prefix, name):
    tracks = some_tracks()
    url = f"{prefix}/{name}"
    assert pt.save_tracks(url, tracks) == url
    assert torch.equal(pt.load_tracks(url).xy, tracks.xy)
    assert not [path for path in fsspec.filesystem(prefix.split(":")[0]).find(prefix) if "part" in path]


@pytest.mark.parametrize("name", ["m.json", "m.npz", "folder"])
def test_masks_there_and_back(prefix, name):
    pixels = torch.zeros(2, 1, 12, 16, dtype=torch.bool)
    pixels[:, :, 3:7, 4:9] = True
    url = f"{prefix}/{name}"
    assert pt.save_masks(url, Masks(pixels, torch.tensor([1]), torch.ones(2, 1))) == url
    assert torch.equal(pt.load_masks(url).masks, pixels)


def test_videos_and_points_there_and_back(prefix, tiny_video, tmp_path):
    url = f"{prefix}/clips/v.mp4"
    assert pt.write_video(url, tiny_video) == url
    # Not a second file of the same frames: x264 does not always write the same, even from equal pixels.
    local = download(url, tmp_path)
    assert np.array_equal(pt.read_video(url).frames, pt.read_video(local).frames)
    assert np.abs(pt.read_video(url).frames.astype(int) - tiny_video.frames).mean() < 12
    save_queries(f"{prefix}/q.csv", some_tracks().queries)
    assert torch.equal(pt.load_queries(f"{prefix}/q.csv").xy, some_tracks().queries.xy)


def test_sessions_there_and_back(prefix, tiny_video, tiny_tracker):
    session, again = (pt.TrackSession(tiny_video, tiny_tracker) for _ in range(2))
    session.add(pt.Queries([0, 1], [[40, 30], [20, 30]]))
    url = f"{prefix}/a/s.npz"
    assert not exists(url) and session.save(url) == url and exists(url)
    again.load(url)
    assert torch.equal(again.tracks().xy[2:], session.tracks().xy[2:])
    with pytest.raises(FileNotFoundError, match="found nothing"):
        again.load(f"{prefix}/b.npz")


def test_the_command_track(prefix, tiny_video, tiny_tracker_file, capsys):
    pt.write_video(f"{prefix}/in/v.mp4", tiny_video)
    arguments = ["track", f"{prefix}/in/v.mp4", "--grid", "3", "--tracker", str(tiny_tracker_file)]
    assert main([*arguments, "--out", f"{prefix}/out", "--export", "csv"]) == 0
    printed = capsys.readouterr().out
    for name in ("v.mp4", "v.png", "v.npz", "v.csv"):
        assert f"stored    {prefix}/out/{name}" in printed
        assert fsspec.core.url_to_fs(f"{prefix}/out/{name}")[0].exists(f"{prefix}/out/{name}")
    assert len(pt.load_tracks(f"{prefix}/out/v.npz").ids) == 9


def test_what_is_not_there(prefix):
    with pytest.raises(FileNotFoundError, match=r"none.npz: expected a file, found nothing"):
        pt.load_tracks(f"{prefix}/none.npz")
    with pytest.raises(FileNotFoundError, match=r"none.mp4: expected a video, found nothing"):
        pt.read_video(f"{prefix}/none.mp4")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nosuch://b/x.npz", "nosuch://b/x.npz: expected s3://, gs://"),
        ("https://host/x.npz", "expected a path, or a store that can be written to"),
    ],
)
def test_places_that_cannot_be_written(url, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        pt.save_tracks(url, some_tracks())
    assert not list(tmp_path.iterdir())


def test_a_store_that_refuses_names_the_url(s3_bucket):
    with pytest.raises(OSError, match=r"s3://no-such-bucket/t.npz: expected a place that can be written to"):
        pt.save_tracks("s3://no-such-bucket/t.npz", some_tracks())


def test_a_failed_writer_leaves_nothing():
    with pytest.raises(RuntimeError, match="half way"), written_to("memory://x/half.txt") as part:
        part.write_text("half")
        raise RuntimeError("half way")
    assert not fsspec.filesystem("memory").exists("/x/half.txt")


def test_file_urls_are_paths(tmp_path):
    path = tmp_path / "a b" / "t.npz"
    assert local_path(path.as_uri().replace("%20", " ")) == path
    assert pt.save_tracks(f"file://{path}", some_tracks()) == path
    assert path.is_file()
    assert is_stored(f"file://{path}")
    assert local_path("s3://bucket/x") is None


def test_folders_and_bounds(tmp_path):
    (tmp_path / "f" / "deep").mkdir(parents=True)
    (tmp_path / "f" / "a.txt").write_text("aaaa")
    (tmp_path / "f" / "deep" / "b.txt").write_text("bb")
    upload(tmp_path / "f", "memory://box/f")
    assert fsspec.filesystem("memory").cat("/box/f/deep/b.txt") == b"bb"
    copy = download("memory://box/f", tmp_path / "copy")
    assert [path.name for path in Path(copy).iterdir()] == ["a.txt"]
    with pytest.raises(ValueError, match="expected at most 3 bytes, got 4"):
        download("memory://box/f/a.txt", tmp_path, max_bytes=3)
    fsspec.filesystem("memory").store.clear()
