"""Long videos: the same tracks as in memory, and a run that was killed goes on exactly."""

import signal
from functools import partial

import numpy as np
import pytest
import torch

from pointtrack.io.track_log import read_spilled
from pointtrack.io.video import VideoStream, open_video, write_image
from pointtrack.pipeline.backward import track_video
from pointtrack.pipeline.files import check_frames, track_file
from pointtrack.pipeline.options import TrackOptions
from pointtrack.pipeline.resume import state_path
from pointtrack.pipeline.run import replay
from pointtrack.pipeline.sinks import FinalSink, Trail
from pointtrack.regions.placement import RegionOptions
from pointtrack.states.stream import StateOptions
from pointtrack.tracker import Tracker
from pointtrack.tracking.window_stream import WindowStream
from pointtrack.types import Queries, Tracks
from pointtrack.types.point_states import PointState
from pointtrack.viz.styles import TrackStyle
from pointtrack.viz.tracks import draw_tracks
from pointtrack.zoo import load_tracker
from tests.support.programs import run_program
from tests.support.states import same_states
from tests.support.streams import track, track_long, track_regions, track_states
from tests.support.tracks import moving_video, same, some_queries

WH = (64, 48)
WHOLE = moving_video(45, WH)
VIDEO = WHOLE.clip(0, 29)
QUERIES = some_queries(12, WH)

# With a cut so early that points are found again before the run is killed.
STATES = StateOptions(cuts=[2, 36], redetect=True)
REGIONS = RegionOptions(wh=(32, 24), max_regions=2, update_interval=4)
OPTIONS = {"plain": {}, "states": {"states": STATES}, "regions": {"regions": REGIONS}}

# Run by another process, which kills itself before the 33rd frame.
KILLED = """
import os, signal, sys, types
sys.modules["tests"] = types.ModuleType("tests")  # there are packages that install one of that name
sys.modules["tests"].__path__ = ["tests"]
from tests.support.streams import track_long
from pointtrack.zoo import load_tracker
from pointtrack.io.video import open_video
from tests.pipeline.test_resume import OPTIONS, QUERIES, WHOLE

def frames():
    for number, timed in enumerate(open_video(WHOLE)):
        if number == 33:
            os.kill(os.getpid(), signal.SIGKILL)
        yield timed

track_long(load_tracker(sys.argv[1], device="cpu"), open_video(WHOLE).through(frames()), QUERIES, sys.argv[2],
           state_seconds=0, **OPTIONS[sys.argv[3]])
"""


class Broken(Exception):
    pass


def breaking(at: int) -> VideoStream:
    def frames():
        for number, timed in enumerate(open_video(VIDEO)):
            if number == at:
                raise Broken
            yield timed

    return open_video(VIDEO).through(frames())


EXPECTED: list[Tracks] = []  # made once for all tests, which do not change it


@pytest.fixture
def expected(tiny_tracker) -> Tracks:
    if not EXPECTED:
        EXPECTED.append(track(tiny_tracker, VIDEO, QUERIES, backward=False))
    return EXPECTED[0]


def test_the_tracks_are_those_of_a_video_in_memory(tiny_tracker, tmp_path, expected):
    path = tmp_path / "a.tracks"
    steps = []
    counted = ((steps.append(1), timed)[1] for timed in open_video(VIDEO))
    assert track_long(tiny_tracker, VideoStream(counted, VIDEO.fps, None, "clip"), QUERIES, path) == 29
    assert same(read_spilled(path), expected)
    assert sum(steps) == 29


def test_points_behind_the_end_leave_the_others_smooth(tiny_tracker, tmp_path):
    """There was to be a way back, before which nothing is smoothed; then there is none."""
    queries, path = Queries([0, 29], [[20.0, 20.0], [30.0, 30.0]]), tmp_path / "a.tracks"
    options = TrackOptions(smooth=2)
    track_file(tiny_tracker, lambda _: open_video(VIDEO), queries, path, options)
    alone = track_video(tiny_tracker, VIDEO, queries.select(torch.tensor([0])), options)
    np.testing.assert_allclose(read_spilled(path).xy[:, 0], alone.xy[:, 0], atol=1e-4)


@pytest.mark.long  # the matrix of modes has states in files, alone and of a run that was killed
def test_with_states_too(tiny_tracker, tmp_path):
    path = tmp_path / "a.tracks"
    expected = track_states(tiny_tracker, WHOLE, QUERIES, backward=False, **vars(STATES))
    assert track_long(tiny_tracker, open_video(WHOLE), QUERIES, path, states=STATES) == 45
    tracks = read_spilled(path)
    assert same(tracks, expected) and same_states(tracks.states, expected.states)


@pytest.mark.parametrize(
    ("options", "support_grid"),
    [pytest.param(REGIONS, 5, marks=pytest.mark.long), (RegionOptions(box=(4, 4, 60, 40)), 0)],
)
def test_with_regions_too(tiny_tracker, tmp_path, options, support_grid):
    video, path = VIDEO.clip(0, 14), tmp_path / "a.tracks"
    kept = {"support_grid": support_grid}
    expected = track_regions(tiny_tracker, video, QUERIES, options=options, backward=False, **kept)
    track_long(tiny_tracker, open_video(video), QUERIES, path, regions=options, **kept)
    assert same(read_spilled(path), expected)
    assert not same(expected, track(tiny_tracker, video, QUERIES, backward=False, **kept))


# Kinds that break off in the middle are in `test_matrix.py`; one is really killed.
@pytest.mark.parametrize(
    "kind", [pytest.param(name, marks=[] if name == "states" else pytest.mark.long) for name in OPTIONS]
)
def test_a_run_that_was_killed_leaves_its_tracks_and_goes_on_exactly(tiny_tracker_file, tmp_path, kind):
    tracker, options = load_tracker(tiny_tracker_file, device="cpu"), OPTIONS[kind]
    track_long(tracker, open_video(WHOLE), QUERIES, tmp_path / "b.tracks", **options)
    expected = read_spilled(tmp_path / "b.tracks")
    path = tmp_path / "a.tracks"
    run = run_program(KILLED, tiny_tracker_file, path, kind)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert same(read_spilled(path), expected.clip(0, 28)), "up to the last window"
    assert track_long(tracker, open_video(WHOLE), QUERIES, path, resume=True, **options) == 45
    tracks = read_spilled(path)
    assert same(tracks, expected)
    if kind == "states":
        assert same_states(tracks.states, expected.states)
        assert bool(tracks.states.times_redetected[27].any()) and bool(
            (tracks.states.state[36:] == PointState.LOST).any()
        )


@pytest.mark.parametrize(
    "states_until, at", [pytest.param(4, 19, marks=pytest.mark.long), (12, 13), (16, 28), (0, 14)]
)
def test_tracks_behind_the_last_state_are_tracked_again(
    tiny_tracker, tmp_path, expected, monkeypatch, states_until, at
):
    """The file of tracks may be ahead of the state by any number of windows; without a state all is done again."""
    path = tmp_path / "a.tracks"
    clock = iter([0.0] + [1.0 if 4 * i <= states_until else 0.0 for i in range(1, 100)])
    monkeypatch.setattr("pointtrack.pipeline.resume.time.monotonic", lambda: next(clock))
    tracked = []
    with pytest.raises(Broken):
        track_long(tiny_tracker, breaking(at), QUERIES, path, state_seconds=0.5)
    assert state_path(path).exists() == bool(states_until)
    monkeypatch.undo()
    push = WindowStream.push
    monkeypatch.setattr(WindowStream, "push", lambda self, frame: tracked.append(frame) or push(self, frame))
    track_long(tiny_tracker, open_video(VIDEO), QUERIES, path, resume=True)
    assert same(read_spilled(path), expected)
    assert len(tracked) < 29 or not states_until


def test_a_finished_run_is_not_run_again(tiny_tracker, tmp_path, monkeypatch):
    path = tmp_path / "a.tracks"
    track_long(tiny_tracker, open_video(VIDEO), QUERIES, path)
    monkeypatch.setattr(WindowStream, "push", lambda *_: pytest.fail("tracked again"))
    assert track_long(tiny_tracker, open_video(VIDEO), QUERIES, path, resume=True) == 29


def test_a_new_run_forgets_the_state_of_another(tiny_tracker, tmp_path, expected):
    path = tmp_path / "a.tracks"
    track_long(tiny_tracker, open_video(VIDEO), QUERIES, path)
    with pytest.raises(Broken):
        track_long(tiny_tracker, breaking(13), QUERIES, path)
    track_long(tiny_tracker, open_video(VIDEO), QUERIES, path, resume=True)
    assert same(read_spilled(path), expected)


def test_only_the_same_run_goes_on(tiny_tracker, tmp_path):
    path = tmp_path / "a.tracks"
    with pytest.raises(Broken):
        track_long(tiny_tracker, breaking(13), QUERIES, path, state_seconds=0)
    left = path.read_bytes()
    moved = Queries(QUERIES.frame, QUERIES.xy.clamp(min=1), QUERIES.ids)
    with pytest.raises(ValueError, match="resume: expected the options of .*points: 7 before, 6 now"):
        track_long(tiny_tracker, open_video(VIDEO), moved.select(slice(1, 7)), path, resume=True)
    with pytest.raises(ValueError, match="size of the frames: 64 x 48 before, 48 x 48 now"):
        track_long(
            tiny_tracker,
            open_video(VIDEO.frames[:, :, :48]),
            QUERIES.select(QUERIES.xy[:, 0] < 48),
            path,
            resume=True,
            support_grid=0,
        )
    with pytest.raises(ValueError, match="states: none before, given now"):
        track_long(tiny_tracker, open_video(VIDEO), QUERIES, path, resume=True, states=StateOptions())
    with pytest.raises(ValueError, match="regions: none before, given now"):
        track_long(tiny_tracker, open_video(VIDEO), QUERIES, path, resume=True, regions=REGIONS)
    torch.nn.init.zeros_(tiny_tracker.head.weight)
    with pytest.raises(ValueError, match="tracker: not the same, though tiny again"):
        track_long(tiny_tracker, open_video(VIDEO), QUERIES, path, resume=True)
    assert path.read_bytes() == left


def test_only_the_same_video_goes_on(tiny_tracker, tmp_path):
    """Also where there is no file to tell by; a finished run of another length would come back as the answer."""
    tracker, queries, path = Tracker(tiny_tracker), QUERIES.select([0, 1]), tmp_path / "a.tracks"
    other = VIDEO.frames[:9].copy()
    other[4] = 0
    tracker.track_to_file(VIDEO.frames[:9], queries, path, backward=False)
    kept = path.read_bytes()
    for source, words in (
        (VIDEO.frames[:12], "video: 9 frames before, 12 frames now"),
        (list(VIDEO.frames[:12]), "video: 9 frames before, 12 frames now"),
        (other, "video: not the same, though 9 frames again"),
    ):
        with pytest.raises(ValueError, match=words):
            tracker.track_to_file(source, queries, path, backward=False, resume=True)
    for source in (list(VIDEO.frames[:9]), VIDEO.clip(0, 9)):
        tracker.track_to_file(source, queries, path, backward=False, resume=True)
    assert path.read_bytes() == kept


def test_a_folder_with_more_pictures_is_another_video(tiny_tracker, tmp_path):
    tracker, queries, path = Tracker(tiny_tracker), QUERIES.select([0, 1]), tmp_path / "a.tracks"
    for number in range(3):
        write_image(tmp_path / "frames" / f"{number}.png", VIDEO.frames[number])
    tracker.track_to_file(tmp_path / "frames", queries, path, backward=False)
    write_image(tmp_path / "frames" / "3.png", VIDEO.frames[3])
    with pytest.raises(ValueError, match="3 pictures before, .*4 pictures now"):
        tracker.track_to_file(tmp_path / "frames", queries, path, backward=False, resume=True)


def test_what_cannot_be_tracked_long_is_refused(tiny_tracker, tmp_path):
    with pytest.raises(ValueError, match="cuts: expected frames or 'auto' for a long video, got a function"):
        track_long(tiny_tracker, open_video(VIDEO), QUERIES, tmp_path / "a", states=StateOptions(cuts=bool))
    object.__setattr__(tiny_tracker.config.window, "length", None)
    with pytest.raises(ValueError, match="needs the whole video at once"):
        track_long(tiny_tracker, open_video(VIDEO), QUERIES, tmp_path / "a.tracks")


@pytest.mark.parametrize("trail", [0, pytest.param(3, marks=pytest.mark.long), 20])
def test_drawn_piece_by_piece_as_in_memory(expected, trail):
    style = TrackStyle(trail=trail)
    pieces = [expected.clip(*part) for part in ((0, 4), (4, 5), (5, 22), (22, 29))]
    sink = Drawn(style)
    replay(open_video(VIDEO), pieces, [sink])
    wanted = draw_tracks(VIDEO, expected, style)
    assert np.array_equal(np.stack([frame for frame, _ in sink.drawn]), wanted.frames)
    assert [seconds for _, seconds in sink.drawn] == VIDEO.times.tolist()


class Drawn(FinalSink):
    def __init__(self, style: TrackStyle):
        self.trail, self.drawn = Trail(style), []

    def write(self, piece) -> None:
        self.drawn += self.trail.draw(piece)


def test_a_point_after_the_end_is_refused_where_the_end_is_known(tiny_tracker, tmp_path, monkeypatch, caplog):
    """A header may promise more frames than come, and an iterable has none."""
    path, queries = tmp_path / "a.tracks", Queries([0, 4], [[20, 20], [30, 20]])
    message = r"query point 1: expected a frame in 0..3, got 4; the video has 4 frames"

    def opened(_: float | None, promised: int | None) -> VideoStream:
        stream = open_video(VIDEO.frames[:4])
        stream.frame_count = promised
        return stream

    for promised in (None, 4, 8):
        with pytest.raises(ValueError, match=message):
            check_frames(partial(opened, promised=promised), queries)
        check_frames(partial(opened, promised=promised), queries.select([0]))
    check_frames(lambda _: open_video(VIDEO.frames[:5]), queries)
    source = (frame for frame in VIDEO.frames[:4])
    Tracker(tiny_tracker).track_to_file(source, queries, path, backward=False)
    assert "1 query lies after the last frame (3)" in caplog.text
    monkeypatch.setattr(WindowStream, "push", lambda *_: pytest.fail("it was tracked"))
    with pytest.raises(ValueError, match=message):
        Tracker(tiny_tracker).track_to_file(VIDEO.frames[:4], queries, tmp_path / "b.tracks")
    assert not list(tmp_path.glob("b*"))
