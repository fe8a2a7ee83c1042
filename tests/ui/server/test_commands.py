"""The command lines that the page offers: they run, and write what the page's export writes."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import pointtrack as pt
from pointtrack.cli import main as cli
from pointtrack.cli import segment as cli_segment
from pointtrack.ui.exports import Export, ExportOptions
from tests.support.scenes import ColourSegmenter
from tests.support.ui_client import BLUE, FRAMES, RED


@pytest.fixture
def exported(client, tiny_tracker_file, monkeypatch):
    """Exports, and then runs the commands; returns the folders of both."""
    client.desk.models.tracker = str(tiny_tracker_file)
    monkeypatch.setattr(cli_segment, "load_segmenter", lambda name, **options: ColourSegmenter())
    project = client.desk.projects()[0]

    def run(out: Path, **options: Any) -> tuple[Path, Path]:
        told: list[dict[str, Any]] = []
        project.notify = told.append
        client.post("export", **options)
        client.wait(lambda: any(event["type"] == "export" for event in told))
        done = next(event for event in told if event["type"] == "export")
        monkeypatch.chdir(out)
        for line in done["commands"]:
            assert cli.main(shlex.split(line)[1:]) == 0, line
        return Path(done["folder"]), out / "outputs"

    return run


def test_commands_write_what_the_page_writes(client, exported, tmp_path):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.act("objects.click", frame=0, points=[BLUE], labels=[1])
    client.act("points.add", frame=0, xy=[[30.25, 20.125]])
    client.act("view", changes={"names": {"o2": "blue one", "p0": "my, point"}})
    client.run(direction="both")
    page, command = exported(
        tmp_path, tracks=["csv"], masks=["coco", "npz"], videos=["webm"], sessions=True, start=3, stop=8, smooth=2, trail=5, labels=True
    )  # fmt: skip
    tracks = [pt.load_tracks(folder / "squares.csv") for folder in (page, command)]
    assert tracks[0].first_frame == tracks[1].first_frame == 3 and len(tracks[1]) == 5
    assert tracks[1].queries.names == ("my, point",)
    torch.testing.assert_close(tracks[0].xy, tracks[1].xy, atol=0.01, rtol=0)
    for name in ("squares_masks.npz", "squares_coco.json"):
        masks = [pt.load_masks(folder / name) for folder in (page, command)]
        assert masks[0].first_frame == masks[1].first_frame == 3
        assert masks[1].names == ("object 1", "blue one") and torch.equal(masks[0].masks, masks[1].masks)
    for name in ("squares.webm", "squares_masks.webm"):
        assert len(pt.read_video(command / name)) == 5


def test_more_points_than_fit_into_a_line(client, exported, tmp_path):
    client.act("points.grid", frame=0, size=7)
    client.run(direction="both")
    page, command = exported(tmp_path, tracks=["csv"], sessions=True)
    found, expected = (pt.load_tracks(folder / "squares.csv") for folder in (command, page))
    assert len(found.ids) == 49 and found.ids.equal(expected.ids)
    torch.testing.assert_close(found.xy, expected.xy, atol=0.01, rtol=0)


def test_commands_read_the_tracks_and_corrections_of_the_page(client, exported, tmp_path):
    """Points of different frames and clicks, one of them corrected and one removed: tracks and colours are the page's."""
    client.act("points.add", frame=4, xy=[[30.25, 20.125], RED])
    client.act("points.add", frame=0, xy=[BLUE])
    client.act("points.add", frame=0, xy=[RED])
    client.act("points.remove", points=[2])
    client.act("points.correct", point=0, frame=7, xy=[33, 24])
    client.run(direction="both")
    page, command = exported(tmp_path, tracks=["npz"], sessions=True)
    found, expected = (pt.load_tracks(folder / "squares.npz") for folder in (command, page))
    assert found.ids.tolist() == expected.ids.tolist() == [0, 1, 3]
    assert found.xy[7, 0].tolist() == [33, 24] and torch.equal(found.xy, expected.xy)


def test_a_line_of_points_alone_says_where_its_tracks_differ(client):
    def told(**options: Any) -> tuple[str, list[str]]:
        answer = client.post("commands", tracks=["npz"], stop=FRAMES, **options)
        return answer["commands"][0], answer["notes"]

    client.act("points.add", frame=0, xy=[RED, BLUE])
    line, notes = told()
    assert "--points" in line and notes == []
    client.act("points.add", frame=3, xy=[RED])
    line, notes = told()
    assert "--points" in line and "positions differ a little" in notes[0]
    line, notes = told(sessions=True)
    assert "--session" in line and notes == []
    client.act("points.correct", point=0, frame=3, xy=BLUE)
    line, notes = told()
    assert "--session" in line and "tick session files" in notes[0]


def test_what_commands_cannot_do_is_said(client):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.act("points.add", frame=0, xy=[RED])
    whole = client.post("commands", tracks=["npz"], masks=["npz"], sessions=True, stop=FRAMES)
    assert whole["notes"] == []
    assert not any(
        option in line for line in whole["commands"] for option in ("--keep", "--trail", "--label")
    )
    client.act("points.correct", point=0, frame=3, xy=BLUE)
    notes = client.post("commands", masks=["npz"], videos=["mp4", "gif"])["notes"]
    expected = ("tick session files", ".gif")
    assert len(notes) == len(expected)
    for words, note in zip(expected, notes, strict=True):
        assert words in note


def test_commands_draw_what_the_page_draws(client, exported, tmp_path):
    """Points over masks in one video, in colours that were chosen, without what is hidden."""
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.act("objects.choose", object=1, frame=0, place=1)  # the square, not the whole frame
    client.act("objects.click", frame=0, points=[BLUE], labels=[1])
    client.act("points.grid", frame=0, size=3)
    client.act("points.add", frame=0, xy=[[40.0, 8.0], [40.0, 50.0]])
    group = client.desk.projects()[0].points.groups[0]
    colors = {"o1": "#00ff00", f"g{group}": "#ffffff", "p4": "#ff00ff", "p9": "#000000"}
    client.act("view", changes={"colors": colors, "hidden": ["p2", "p10", "o2"]})
    client.run(direction="both")
    page, command = exported(
        tmp_path, masks=["coco"], videos=["mkv"], sessions=True, opacity=0.8, trail=3, labels=True
    )
    drawn = [
        pt.read_video(path).frames.astype(int)
        for path in (page / "squares_drawn.mkv", command / "squares.mkv")
    ]
    assert abs(drawn[0] - drawn[1]).mean() < 1, "what differs is the video codec's"
    assert {path.name for path in command.glob("*.mkv")} == {"squares.mkv", "squares_masks.mkv"}


def test_commands_edit_as_the_page_does(client, exported, tmp_path, capfd):
    client.act("objects.click", frame=0, points=[RED], labels=[1])
    client.act("objects.choose", object=1, frame=0, place=1)  # the square, not the whole frame
    client.run(direction="both")
    page, command = exported(tmp_path, sessions=True, background="00ff00", hide="1:pixelate", start=2, stop=9)
    edited = [pt.read_video(folder / "squares_edited.mp4").frames.astype(int) for folder in (page, command)]
    assert len(edited[0]) == 7 and abs(edited[0] - edited[1]).max() <= 3
    green = abs(edited[0] - (0, 255, 0)).max(-1) < 24
    assert 0.2 < green.mean() < 0.99 and green[:, 57:, :3].all()
    (seen,) = client.desk.projects()[0].state()["export"]["unhidden"]
    assert seen["object"] == 1 and seen["count"] > 1
    told = f"object 1 has no mask on {seen['count']} frames, so nothing is hidden there: {seen['frames']}\n"
    assert told in capfd.readouterr().out, "both name the same frames"
    answer = client.post("export", 400, background="/etc/passwd")
    assert "expected blur, pixelate" in answer["error"]


def test_smoothing_goes_on_beyond_the_range_and_leaves_corrections_alone(client):
    client.act("points.add", frame=0, xy=[RED])
    client.act("points.correct", point=0, frame=5, xy=[30, 40])
    client.run(what=["points"])
    project = client.desk.projects()[0]

    def tracks(**options: Any) -> pt.Tracks:
        return Export(project, ExportOptions(tracks=("csv",), smooth=3, **options), Path())._tracks()

    whole, part = tracks(), tracks(start=4, stop=9)
    assert torch.equal(whole.xy[4:9], part.xy) and whole.xy[5, 0].tolist() == [30, 40]


def test_a_stopped_server_says_where_the_work_is(tmp_path, monkeypatch, capsys):
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pointtrack.cli.ui.time", SimpleNamespace(sleep=interrupt))
    assert cli.main(["ui", "--no-browser", "--out", str(tmp_path / "home")]) == 130
    assert f"stopped; your work is saved in {tmp_path / 'home'}" in capsys.readouterr().err
