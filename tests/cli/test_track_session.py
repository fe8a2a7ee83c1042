"""`pointtrack track --session` and `--correct`."""

from __future__ import annotations

import signal

import pytest
import torch

import pointtrack as pt
from pointtrack.cli import session_files
from pointtrack.cli.track_session import Correction, parse_corrections

POINTS = ["--points", "0,10,20.5", "3,30,11"]


@pytest.fixture
def run(track_tiny, tmp_path):
    """Runs `track` on the tiny video; its exit code, what it printed, and the tracks."""

    def call(*arguments: str) -> tuple[int, str, pt.Tracks | None]:
        out = tmp_path / "out" / "o.mp4"
        code, said = track_tiny(out, *arguments)
        return code, said.out + said.err, pt.load_tracks(out.with_suffix(".npz")) if code == 0 else None

    return call


def session_of(file: str, tiny_video_file, tiny_tracker) -> pt.TrackSession:
    session = pt.TrackSession(pt.read_video(tiny_video_file), tiny_tracker)
    session.load(file)
    return session


def test_a_session_keeps_the_tracks_of_a_plain_run(run, tmp_path, tiny_tracker_file):
    plain = run(*POINTS)[2]
    code, said, kept = run(*POINTS, "--session", f"{tmp_path}/mine")
    assert code == 0 and f"session   {tmp_path}/mine.npz" in said
    assert f" from {tiny_tracker_file} (Apache-2.0) on cpu" in said, "whose weights they are"
    code, said, _ = run(*POINTS, "--masks", f"{tmp_path}/mine.npz")
    assert (
        code == 2 and "it is a session of points; `pointtrack track VIDEO --session mine.npz` writes" in said
    )
    assert torch.equal(plain.xy, kept.xy) and torch.equal(plain.visibility, kept.visibility)


def test_a_track_passes_through_its_corrections(run, tmp_path, tiny_video_file, tiny_tracker):
    file = f"{tmp_path}/s.npz"
    before = run(*POINTS, "--session", file)[2]
    code, said, tracks = run("--session", file, "--correct", "1:5,25,14", "--keep", "1,5")
    assert code == 0 and "with 1 correction\n" in said, said
    assert tracks.first_frame == 1 and len(tracks) == 5
    assert tracks.xy[4, 1].tolist() == [25, 14] and bool(tracks.corrected()[4, 1])
    assert torch.equal(tracks.xy[:, 0], before.xy[1:6, 0]), "other points stay as they were"
    again = run("--session", file)
    assert "followed" not in again[1] and torch.equal(again[2].xy[1:6], tracks.xy)
    python = session_of(file, tiny_video_file, tiny_tracker)
    assert python.points == {0: [0], 1: [3, 5]} and torch.equal(python.tracks().xy, again[2].xy)
    more = run("--session", file, "--points", "0,5,5", "--correct", "2:4,6,6")[2]
    assert more.ids.tolist() == [0, 1, 2] and more.xy[4, 2].tolist() == [6, 6]
    assert torch.equal(more.xy[:, :2], again[2].xy)


def test_corrections_without_a_file(run):
    tracks = run(*POINTS, "--correct", "5,12,22")[2]
    assert tracks.xy[5, 0].tolist() == [12, 22] and tracks.queries.frame.tolist() == [0, 3]


def test_smoothing_leaves_corrections_where_they_are(run):
    code, said, _ = run(*POINTS, "--correct", "5,22,32", "--smooth", "3", "--export", "csv")
    assert code == 0
    smoothed = pt.load_tracks(next(line.split()[-1] for line in said.splitlines() if "smoothed" in line))
    assert smoothed.xy[5, 0].tolist() == [22, 32]


def test_a_session_of_python_goes_on(run, tmp_path, tiny_video_file, tiny_tracker):
    session = pt.TrackSession(pt.read_video(tiny_video_file), tiny_tracker)
    session.add(pt.Queries([2, 4], [[10, 10], [20, 20.5]], names=("nose", "tail")), follow=False)
    session.correct(1, 1, (22, 21))
    path = session.save(tmp_path / "page.npz")
    code, said, tracks = run("--session", str(path))
    assert code == 0 and "not known yet" in said and tracks.queries.names == ("nose", "tail")
    torch.testing.assert_close(
        tracks.xy, session.tracks().xy, atol=1e-3, rtol=0
    )  # commands may share cores otherwise


def test_results_with_other_corrections_are_set_aside(run):
    assert run(*POINTS, "--correct", "5,12,22", "--export", "csv")[0] == 0
    assert "o_earlier.csv" not in run(*POINTS, "--correct", "5,12,22")[1]
    assert "o_earlier.csv" in run(*POINTS, "--correct", "5,13,22")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--correct 5,12", "expected a correction frame,x,y of point 0, or point:frame,x,y, got '5,12'"),
        ("--correct a:5,12,3", "got 'a:5,12,3'"),
        ("--correct 7:5,12,3", "point: expected one of [0, 1], got 7"),
        ("--correct 5,1200,3", "expected (x, y) inside"),
        ("--correct 5000,12,3", "frame: expected a whole number in 0.."),
        ("--correct 5,12,3 --states", "got --states too"),
        ("--session s.npz --flat", "leave out one of --session and --flat"),
        ("--session s.npz --no-backward", "got --no-backward too"),
        ("--session {out}/o.npz", "session: expected a file of its own"),
    ],
)
def test_mistakes_cost_no_tracking(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, said, _ = run(*POINTS, *arguments.format(out=tmp_path / "out").split())
    assert code == 2 and message in said and "tracked" not in said
    assert not (tmp_path / "s.npz").exists()


def test_a_video_that_does_not_fit_is_refused(run, monkeypatch):
    monkeypatch.setattr("pointtrack.cli.track.does_not_fit", lambda stream: True)
    code, said, _ = run(*POINTS, "--correct", "5,12,22")
    assert code == 2 and "expected a video that fits into memory, got 6 frames" in said


def test_the_same_command_again_adds_nothing(run, tmp_path):
    file = f"{tmp_path}/s.npz"
    first = run(*POINTS, "--session", file, "--correct", "5,12,22")[2]
    code, said, again = run(*POINTS, "0,5,5", "--session", file, "--correct", "5,12,22")
    assert again.ids.tolist() == [0, 1, 2] and torch.equal(again.xy[:, :2], first.xy)
    assert "tracked   1 point " in said


@pytest.mark.parametrize("first, number", [(True, signal.SIGINT), (False, signal.SIGTERM)])
def test_what_was_entered_outlasts_ctrl_c_and_sigterm(first, number, run, tmp_path, monkeypatch):
    """Whether it comes while new points are tracked, or while corrections are followed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # programs in the background ignore it
    file, told = f"{tmp_path}/s.npz", [*POINTS, "--correct", "1:5,25,14"]
    if not first:
        assert run(*POINTS, "--session", file)[0] == 0
    with monkeypatch.context() as stopped:
        place = (
            "pointtrack.cli.track.track_and_report"
            if first
            else "pointtrack.sessions.point_walks.walk_points"
        )
        stopped.setattr(place, lambda *_, **options: signal.raise_signal(number))
        code, said, _ = run(*told, "--session", file)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "as before"
        assert code == 128 + number and f"pointtrack: stopped; {file} keeps what was entered" in said, said
    code, said, tracks = run("--session", file)
    assert code == 0 and tracks.xy[5, 1].tolist() == [25, 14], said
    whole = run(*told)[2]
    assert torch.allclose(tracks.xy, whole.xy, atol=0.1, rtol=0), "apart, each point has its own helpers"
    code, said, again = run(*told, "--session", file)
    assert "followed" not in said and torch.equal(again.xy, tracks.xy), (
        "the same correction again changes nothing"
    )


def _stopped(*_, **options):
    raise KeyboardInterrupt


def test_ctrl_c_while_the_video_is_drawn_does_not_cost_the_tracks(run, tmp_path, monkeypatch):
    monkeypatch.setattr("pointtrack.cli.track.write_video", _stopped)
    assert run(*POINTS)[0] == 130
    assert pt.load_tracks(tmp_path / "out" / "o.npz").xy.shape == (6, 2, 2)


def test_what_the_page_opens_again_is_not_changed(run, tmp_path):
    for name in ("project.json", "journal.jsonl"):
        (tmp_path / name).write_text("{}")
    code, said, _ = run(*POINTS, "--session", f"{tmp_path}/points-3-1.npz")
    assert code == 2 and "what the page opens again; export session files" in said
    assert run(*POINTS, "--session", f"{tmp_path}/exports/points.npz")[0] == 0


def test_texts_become_corrections():
    assert parse_corrections(["5,12,3.5", "2:0,1,1"]) == [
        Correction(0, 5, (12, 3.5)),
        Correction(2, 0, (1, 1)),
    ]
    assert session_files.session_file("mine") == "mine.npz"
