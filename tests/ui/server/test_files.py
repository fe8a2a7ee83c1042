"""Files on the server: what is exported, uploaded and seen of folders, and nothing else."""

from __future__ import annotations

import shutil
import time
import zipfile
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest

import pointtrack as pt
from pointtrack.io.tracks import NEEDS
from pointtrack.io.video import write_video
from pointtrack.ui import desk as desk_module
from pointtrack.ui import exports
from pointtrack.ui.exports import Export, ExportOptions
from pointtrack.ui.folders import safe_name
from tests.support.numbered import number_in
from tests.support.ui_client import RED, SCENE, Client


def disk_full(base: str, *_: Any) -> None:
    """What `shutil.make_archive` does where the disk ends."""
    Path(f"{base}.zip").write_bytes(b"half")
    raise OSError("no space left")


def test_exports_are_those_of_the_library(client, monkeypatch):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.act("points.grid", frame=0, size=2)
    client.act("view", changes={"names": {"o1": "red"}})
    client.run(direction="both")
    project = client.desk.projects()[0]
    told: list[dict[str, Any]] = []
    project.notify = told.append
    wanted = {"tracks": ["npz", "csv"], "masks": ["coco", "ytvis", "davis", "cutout"], "videos": ["mp4"]}
    project.models.looks, project.models.precision = 2, "bfloat16"  # as it was started
    client.post("export", **wanted, sessions=True, stop=8)
    client.wait(lambda: any(event["type"] == "export" for event in told))
    done = next(event for event in told if event["type"] == "export")
    assert "error" not in done
    folder = Path(done["folder"])
    assert np.array_equal(
        pt.load_tracks(folder / "squares.npz").xy.numpy(), project.points.known(0, 8).xy.numpy()
    )
    masks = pt.load_masks(folder / "squares_ytvis.json")
    assert np.array_equal(masks.masks.numpy(), project.objects.masks(0, 8).masks.numpy()) and masks.names == (
        "red",
    )
    assert len(pt.read_video(folder / "squares_drawn.mp4")) == 8
    names = {row["name"] for row in done["files"]}
    assert {
        "squares.csv",
        "squares_davis",
        "squares_cutout.webm",
        "squares_points.npz",
        "squares_objects.npz",
    } <= names
    with monkeypatch.context() as full:
        full.setattr(shutil, "make_archive", disk_full)
        client.get(f"exports/{done['id']}/squares_davis", 400)
    zipped = client.http.get(f"{client.base}/exports/{done['id']}/squares_davis")
    assert len(zipfile.ZipFile(BytesIO(zipped.content)).namelist()) >= 8
    assert any("pointtrack track" in line and "--export csv" in line for line in done["commands"])
    assert ["--speed exact" in line for line in done["commands"]] == [False, True]
    assert all("--precision bfloat16" in line for line in done["commands"])
    for path in (f"exports/{done['id']}/..%2F..%2Fjournal.jsonl", "exports/../journal.jsonl", "exports/a/b"):
        assert client.http.get(f"{client.base}/{path}").status_code == 404
    assert "expected some of" in client.post("export", 400, tracks=["docx"])["error"]
    assert "at least one" in client.post("export", 400)["error"]


def test_tables_have_the_names_that_a_person_gave_to_points(client):
    client.act("points.add", frame=0, xy=[RED])
    client.act("points.add", frame=0, xy=[[30.0, 20.0]])
    client.act("view", changes={"names": {"p1": "nose"}})
    told: list[dict[str, Any]] = []
    client.desk.projects()[0].notify = told.append
    client.post("export", tracks=["csv", "dlc"])
    client.wait(lambda: any(event["type"] == "export" for event in told))
    folder = Path(next(event["folder"] for event in told if event["type"] == "export"))
    assert pt.load_tracks(folder / "squares.csv").queries.names == ("", "nose")
    assert "nose" in (folder / "squaresDLC_pointtrack.csv").read_text()


def test_tracks_and_masks_of_one_format_do_not_replace_each_other(client):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.act("points.add", frame=0, xy=[RED])
    told: list[dict[str, Any]] = []
    client.desk.projects()[0].notify = told.append
    tracks = [name for name in exports.TRACKS if name not in NEEDS]  # other packages
    every = {"tracks": tracks, "masks": list(exports.MASKS), "videos": list(exports.VIDEOS)}
    client.post("export", **every, sessions=True, stop=2)
    client.wait(lambda: any(event["type"] == "export" for event in told))
    names = [row["name"] for row in told[-1]["files"]]
    assert len(names) == sum(map(len, every.values())) + 3 == len(set(names)), names
    assert {"squares_mot.txt", "squares_masks_mot.txt"} <= set(names)


def test_an_export_says_where_masks_are_those_before_a_correction(client):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.run(stop=8)
    client.act("objects.click", frame=3, object=1, points=[[20, 15]], labels=[1])
    told: list[dict[str, Any]] = []
    project = client.desk.projects()[0]
    project.notify = told.append
    client.post("export", masks=["davis"])
    client.wait(lambda: any(event["type"] == "export" for event in told))
    done = next(event for event in told if event["type"] == "export")
    empty = sum(project.objects.mask(1, frame) is None for frame in range(12))
    assert empty == 4 and done["waiting"] > 0 and done["unknown"] == done["waiting"] + empty


def test_an_export_that_the_end_of_the_server_stops_leaves_nothing(client, monkeypatch):
    """Otherwise half of a folder of masks looks like all of it."""
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    step = Export.step
    monkeypatch.setattr(Export, "step", lambda export: time.sleep(0.2) or step(export))
    folder = Path(client.post("export", masks=["coco", "davis", "ytvos"], videos=["mp4"])["folder"])
    client.wait(lambda: folder.exists() and any(folder.iterdir()))
    client.desk.close()
    assert not folder.exists()


def test_videos_of_a_range_have_its_frames_alone(client):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.run(direction="both")
    told: list[dict[str, Any]] = []
    client.desk.projects()[0].notify = told.append
    client.post("export", masks=["cutout", "coco"], videos=["mp4"], start=3, stop=8)
    client.wait(lambda: any(event["type"] == "export" for event in told))
    folder = Path(next(event["folder"] for event in told if event["type"] == "export"))
    drawn, cut = (pt.read_video(folder / f"squares_{name}") for name in ("drawn.mp4", "cutout.webm"))
    assert len(cut) == len(drawn) == 5 and cut.times == pytest.approx(drawn.times, abs=0.002)
    assert pt.load_masks(folder / "squares_coco.json").first_frame == 3
    project = client.desk.projects()[0]
    for row in (0, 4):
        mask = project.objects.mask(1, 3 + row).numpy()
        assert mask.any() and cut.frames[row][mask].astype(int).sum(-1).mean() > 150


def test_frames_that_were_not_followed_are_told_of(client):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.run(direction="both", start=0, stop=4)
    told: list[dict[str, Any]] = []
    client.desk.projects()[0].notify = told.append
    for count, stop in ((1, 4), (2, 9)):
        client.post("export", masks=["coco"], stop=stop)
        client.wait(lambda count=count: sum(event["type"] == "export" for event in told) == count)
    assert [event["unknown"] for event in told if event["type"] == "export"] == [0, 5]


def test_a_cancelled_export_is_told_of_and_leaves_nothing(client):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    project = client.desk.projects()[0]
    told: list[dict[str, Any]] = []
    project.notify = told.append
    done = project.worker.call(lambda: (project.export(ExportOptions(videos=("mp4",))), project.cancel()))
    folder = Path(done.result()[0]["folder"])
    assert [event for event in told if event["type"] == "export"] == [
        {"type": "export", "done": True, "error": "stopped; nothing was written"}
    ]
    assert not folder.exists()
    client.post("export", masks=["coco"])  # another one may begin
    client.wait(lambda: any(event["type"] == "export" and "files" in event for event in told))


def test_a_run_goes_on_when_the_export_is_stopped(client):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    project = client.desk.projects()[0]

    def stopped(what: str) -> list[str]:
        project.worker.runs = []
        project.run(["objects"], 0, 9, "both", 0)
        project.export(ExportOptions(videos=("mp4",)))
        project.cancel(what)
        left = [type(run).__name__ for run in project.worker.runs]
        project.cancel()
        return left

    for what, left in (("export", ["Propagation"]), ("run", ["Export"]), ("all", [])):
        assert project.worker.call(lambda what=what: stopped(what)).result() == left
    assert client.post("cancel", what="export") == {"running": False}
    assert "what: expected all, run, export" in client.post("cancel", 400, what="both")["error"]


def test_a_project_in_which_something_runs_is_not_closed_for_another(client, videos, monkeypatch):
    """Its viewer may have left: what was begun goes on."""
    monkeypatch.setattr(desk_module, "MOST_OPEN", 1)
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    first = client.desk.projects()[0]
    first.worker.runs.append(_Endless())
    client.desk.open(str(videos / "other.mp4"))
    assert first in client.desk.projects() and len(client.desk.projects()) == 2
    first.worker.call(lambda: first.worker.runs.clear()).result()
    (videos / "third.mp4").write_bytes((videos / "other.mp4").read_bytes())
    client.desk.open(str(videos / "third.mp4"))
    assert first not in client.desk.projects()


class _Endless:
    def step(self) -> bool:
        time.sleep(0.01)
        return False

    def failed(self, error: Exception) -> None:
        raise error


def test_the_drawn_video_keeps_the_sound_and_the_shape_of_pixels(client, videos, models, tmp_path):
    path = videos / "loud.mp4"
    with av.open(str(path), "w") as container:
        picture, sound = container.add_stream("libx264", rate=10), container.add_stream("aac", rate=44100)
        picture.width, picture.height, picture.pix_fmt = 80, 60, "yuv420p"
        picture.codec_context.sample_aspect_ratio = Fraction(16, 15)
        for frame in SCENE.video.frames:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(picture.encode(None))
        for start in range(0, 44100, 1024):
            wave = np.sin(np.arange(start, start + 1024) * 0.06).astype(np.float32)[None]
            samples = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
            samples.rate, samples.pts = 44100, start
            container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
    loud = Client(client.desk, path)
    loud.act("points.add", frame=0, xy=[RED])
    loud.post("export", videos=["mp4"])
    project = next(one for one in client.desk.projects() if one.path == path)
    loud.wait(lambda: any(project.store.folder.glob("exports/*/loud_drawn.mp4")) and not project.worker.runs)
    with av.open(str(next(project.store.folder.glob("exports/*/loud_drawn.mp4")))) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(16, 15)
        assert len(container.streams.audio) == 1
        assert float(container.streams.audio[0].duration * container.streams.audio[0].time_base) > 0.9
    told = loud.post("export", videos=["mp4"], start=3, stop=8)
    loud.wait(lambda: not project.worker.runs)
    with av.open(str(Path(told["folder"]) / "loud_drawn.mp4")) as container:
        (sound,) = container.streams.audio
        assert float(sound.duration * sound.time_base) == pytest.approx(0.5, abs=0.1)


def test_a_picture_that_two_pages_ask_for_at_once_is_counted_once(client):
    project, pictures = client.desk.projects()[0], client.desk.pictures
    frames = project.shown.frames

    class Slow:
        def __getitem__(self, frame: int) -> np.ndarray:
            project.shown = SimpleNamespace(frames=frames)
            pictures.jpeg(project, frame)  # the other page is faster
            return frames[frame]

    project.shown = SimpleNamespace(frames=Slow())
    pictures.jpeg(project, 0)
    assert pictures._bytes == sum(map(len, pictures._kept.values()))


def test_uploads_are_checked_named_safely_and_bounded(new_client, videos):
    client = new_client(most_upload_bytes=100_000, most_uploads=2)
    good = (videos / "other.mp4").read_bytes()
    answer = client.http.post("/api/upload?name=..%2F..%2F<b>up</b>.mp4", content=good)
    path = Path(answer.json()["path"])
    assert path.parent == client.desk.uploads and path.read_bytes() == good and "<" not in path.name
    for content, words in ((b"no video at all", "expected a video"), (b"", "whole file")):
        answer = client.http.post("/api/upload?name=a.mp4", content=content)
        assert answer.status_code == 400 and words in answer.json()["error"]
    answer = client.http.post("/api/upload?name=a.mp4", content=bytes(100_001))
    assert answer.status_code == 413
    answer = client.http.post("/api/upload?name=a.mp4", content=(bytes(10_000) for _ in range(20)))
    assert answer.status_code == 400 and "got more" in answer.json()["error"]
    assert client.http.post("/api/upload?name=b.mp4", content=good).status_code == 200
    assert "at most 2 files" in client.http.post("/api/upload?name=c.mp4", content=good).json()["error"]
    assert len(list(client.desk.uploads.iterdir())) == 2


def test_a_second_upload_of_a_name_does_not_spoil_the_first(client, videos):
    good = (videos / "other.mp4").read_bytes()

    def slowly():
        """The first half; then another request for the same name; then the rest."""
        yield good[: len(good) // 2]
        second = client.http.post("/api/upload?name=a.mp4", content=good)
        assert second.status_code == 400 and "being uploaded already" in second.json()["error"]
        yield good[len(good) // 2 :]

    answer = client.http.post("/api/upload?name=a.mp4", content=slowly())
    assert answer.status_code == 200, answer.text
    assert Path(answer.json()["path"]).read_bytes() == good


def test_what_a_killed_server_left_of_an_upload_is_in_nobodys_way(client, videos):
    (client.desk.uploads / ".a.mp4.part").write_bytes(b"the beginning")
    good = (videos / "other.mp4").read_bytes()
    answer = client.http.post("/api/upload?name=a.mp4", content=good)
    assert answer.status_code == 200, answer.text
    assert Path(answer.json()["path"]).read_bytes() == good and len(list(client.desk.uploads.iterdir())) == 1


def test_nothing_outside_of_the_folders_is_seen(client, videos, tmp_path):
    secret = tmp_path / "secret"
    write_video(secret / "secret.mp4", SCENE.video)
    (videos / "link.mp4").symlink_to(secret / "secret.mp4")
    (videos / "linked").symlink_to(secret)
    (videos / "within.mp4").symlink_to(videos / "other.mp4")
    listed = client.http.get("/api/browse", params={"path": str(videos)}).json()["entries"]
    assert [row["name"] for row in listed] == ["other.mp4", "squares.mp4", "within.mp4"]
    for path in (secret / "secret.mp4", videos / "link.mp4", videos / "linked" / "secret.mp4", videos / ".." / "secret", "/etc/passwd", "\0"):  # fmt: skip
        answer = client.http.post("/api/open", json={"path": str(path)})
        assert answer.status_code == 403 and "inside of" in answer.json()["error"], path
        assert client.http.get("/api/browse", params={"path": str(path)}).status_code == 403
    assert client.http.post("/api/live", json={"source": str(secret / "secret.mp4")}).status_code == 403
    assert client.http.post("/api/live", json={"source": "file:///etc/passwd"}).status_code == 400


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.mp4", "a.mp4"), ("../x/.hidden.mp4", "hidden.mp4"), ("..", "video"), ("C:\\v\\ü ñ.mov", "ü ñ.mov"), ("\"><script>.webm", "script.webm")],
)  # fmt: skip
def test_names_of_uploads(name, expected):
    assert safe_name(name) == expected


@pytest.mark.long
def test_10_000_frames_are_there_in_any_order(client, long_video):
    (client.desk.uploads / "long.mp4").write_bytes(long_video.read_bytes())
    long = Client(client.desk, client.desk.uploads / "long.mp4")
    assert long.state0["frames"] == 10_000
    for frame in (0, 9_999, 8_345, 8_346, 3, 7_000, 6_999):
        content = long.http.get(f"{long.base}/frame/{frame}").content
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert number_in(picture) == frame
    long.act("points.add", frame=6_000, xy=[[20, 20]])
    long.run(direction="both", start=5_990, stop=6_010)
    assert len(long.get("lanes?bins=400")["groups"]) == 1
    (client.desk.uploads / "long.mp4").unlink()
