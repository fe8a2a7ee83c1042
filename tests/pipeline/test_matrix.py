"""Every kind of tracking in every mode, against one answer; a new stage or a new way out is one more row or column here."""

import copy
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

import pointtrack as pt
from pointtrack.io.live_reader import FrameReader
from pointtrack.io.track_arrays import open_dense
from pointtrack.io.video import open_video
from pointtrack.pipeline import resume, sinks
from pointtrack.pipeline.files import track_file
from pointtrack.pipeline.options import TrackOptions
from pointtrack.pipeline.passes import track_dense
from pointtrack.pipeline.sinks import VideoSink
from pointtrack.tracking import steady
from pointtrack.tracking.stream import restored, saved
from pointtrack.types import Queries, Tracks, Video
from pointtrack.types.point_states import BLANK
from tests.support.elsewhere import elsewhere
from tests.support.tracks import moving_video

WH, FRAMES = (64, 48), 14
SHOTS = moving_video(FRAMES, WH).frames.copy()
SHOTS[9:] = 255 - SHOTS[9:]
VIDEO = Video(SHOTS, fps=10)
QUERIES = Queries(
    [0, 0, 3, 7, 11, 13], [[10, 10], [12, 12], [50, 40], [30, 20], [20, 30], [5, 6]], [3, 1, 4, 15, 9, 2]
)
STATES, REDETECT = pt.StateOptions(), pt.StateOptions(cuts=[5, 9], redetect=True)
REGIONS = pt.RegionOptions(wh=(32, 24), max_regions=2, update_interval=4)
FORWARD = {
    "plain": TrackOptions(backward=False),
    "not steady": TrackOptions(steady=False, backward=False),
    "twice": TrackOptions(backward=False),
    "states": TrackOptions(STATES, backward=False),
    "redetect": TrackOptions(REDETECT, backward=False),
    "regions": TrackOptions(regions=REGIONS, backward=False),
    "states over regions": TrackOptions(STATES, REGIONS, backward=False),
    "smooth": TrackOptions(smooth=3, backward=False),
    "all": TrackOptions(REDETECT, REGIONS, smooth=2, backward=False),
}
BACKWARD = {
    "backward": TrackOptions(),
    "states backward": TrackOptions(STATES),
    "states backward, twice": TrackOptions(STATES),
    "all backward": TrackOptions(REDETECT, REGIONS, smooth=2),
}
EVERY = {**FORWARD, **BACKWARD}
# Those that quick tests ask for; the others are made of the same stages.
APART = [name for name in EVERY if name not in ("states", "states over regions", "states backward, twice")]
ANSWERS: dict[str, Tracks] = {}


def mostly(kinds, *quick):
    """All kinds; those that are not quick are long tests, as others hold what they do."""
    return [pytest.param(name, marks=[] if name in quick else pytest.mark.long) for name in kinds]


@pytest.fixture(autouse=True)
def led_far(monkeypatch):
    """Random weights put points anywhere: let pixels lead them all the same, so that it matters in every mode."""
    monkeypatch.setattr(steady, "APART", 1.0)
    monkeypatch.setattr(steady, "ROUND_TRIP", 1.0)


@pytest.fixture
def answer(tiny_tracker):
    """The one answer: in memory."""

    def known(name: str) -> Tracks:
        if name not in ANSWERS:
            tracker = tracker_for(tiny_tracker, name)
            ANSWERS[name] = tracker.track(VIDEO, QUERIES, backward=EVERY[name].backward)
        return ANSWERS[name]

    return known


def network_for(network, name: str):
    """The network, which sees every frame twice where that is in the name."""
    seeing = copy.copy(network)
    seeing.inference = replace(network.inference, looks=2 if "twice" in name else 1)
    return seeing


def tracker_for(network, name: str) -> pt.Tracker:
    options = EVERY[name]
    return pt.Tracker(
        network_for(network, name),
        states=options.states or False,
        regions=options.regions or False,
        smooth=options.smooth,
    ).with_options(steady=options.steady)


def assert_same(one: Tracks, other: Tracks) -> None:
    """To the last bit."""
    assert one.ids.tolist() == other.ids.tolist() and one.first_frame == other.first_frame
    for name in ("xy", "visibility", "confidence"):
        np.testing.assert_array_equal(getattr(one, name).numpy(), getattr(other, name).numpy(), name)
    assert (one.states is None) == (other.states is None)
    for name in BLANK if one.states is not None else ():
        pair = (getattr(tracks.states, name).numpy() for tracks in (one, other))
        np.testing.assert_array_equal(*pair, name)


@pytest.mark.parametrize("name", mostly(EVERY, *APART))
def test_what_was_asked_for_is_there(answer, name):
    options, tracks = EVERY[name], answer(name)
    early = torch.arange(FRAMES)[:, None] < QUERIES.frame
    assert tracks.tracked().equal(~early | options.backward)
    assert (tracks.states is not None) == (options.states is not None)
    assert tracks.xy[QUERIES.frame, torch.arange(6)].equal(QUERIES.xy)


@pytest.mark.parametrize("kinds", [APART, pytest.param(EVERY, marks=pytest.mark.long)], ids=["most", "every"])
def test_every_kind_has_an_answer_of_its_own(answer, kinds):
    """States alone move no point that stays in the frame."""
    for one, other in combinations(kinds, 2):
        told = [answer(name) for name in (one, other)]
        assert not told[0].xy.nan_to_num().equal(told[1].xy.nan_to_num()) or (
            (told[0].states is None) != (told[1].states is None)
        )


# Every kind in pieces that fit no window; what pieces of other sizes could change is in the plain one and in that of all stages.
@pytest.mark.parametrize(
    ("name", "chunk"),
    [
        *((name, 3) for name in ("not steady", "twice", "redetect", "regions", "smooth")),
        *((name, 1) for name in ("plain", "all")),
        *(
            pytest.param(name, chunk, marks=pytest.mark.long)
            for name, chunk in [
                *((name, 3) for name in ("plain", "states", "states over regions", "all")),
                *((name, 8) for name in ("plain", "all")),
            ]
        ),
    ],
)
def test_stream(tiny_tracker, answer, name, chunk):
    stream = tracker_for(tiny_tracker, name).stream(QUERIES, WH, 10)
    parts = [stream.push(frames) for frames in VIDEO.split(chunk)]
    assert sum(map(len, parts)) == FRAMES - stream.lag
    assert_same(Tracks.concat([*parts, stream.finish()]), answer(name))


@pytest.mark.parametrize("name", mostly(["plain", "twice", "states", "regions", "all"], "all"))
def test_stream_of_frames_on_a_gpu(tiny_tracker, answer, name):
    stream = tracker_for(tiny_tracker, name).stream(QUERIES, WH, 10)
    parts = [stream.push(elsewhere(torch.from_numpy(frames))) for frames in VIDEO.split(3)]
    assert_same(Tracks.concat([*parts, stream.finish()]), answer(name))


@pytest.mark.parametrize("name", mostly(["twice", "states", "regions", "all"], "all"))
def test_stream_that_goes_on_from_a_state_on_a_gpu(tiny_tracker, answer, name):
    stream = tracker_for(tiny_tracker, name).stream(QUERIES, WH, 10)
    begun = stream.push(VIDEO.frames[:9])
    again = restored(network_for(tiny_tracker, name), elsewhere(saved(stream)))
    assert_same(Tracks.concat([begun, again.push(VIDEO.frames[9:]), again.finish()]), answer(name))


@pytest.mark.parametrize("name", mostly(EVERY, "plain", "all backward"))
def test_file(tiny_tracker, answer, tmp_path, name):
    path = tracker_for(tiny_tracker, name).track_to_file(
        VIDEO, QUERIES, tmp_path / "a.tracks", backward=EVERY[name].backward
    )
    assert_same(pt.load_tracks(path), answer(name))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.tracks", "a.tracks.state"]


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    ("name", "opened"),
    [
        *((name, 0) for name in ("plain", "all")),
        ("all backward", 1),
        *(pytest.param(name, 0, marks=pytest.mark.long) for name in EVERY if name not in ("plain", "all")),
        *(pytest.param(name, 1, marks=pytest.mark.long) for name in BACKWARD if name != "all backward"),
    ],
)
def test_file_of_a_run_that_was_killed(tiny_tracker, answer, tmp_path, monkeypatch, name, opened):
    """Killed on the way ahead, and on the way back; and again while it goes on."""
    monkeypatch.setattr(resume, "STATE_SECONDS", 0)
    path, opens = tmp_path / "a.tracks", []

    def killed_after(frames: int):
        def source(seconds):
            opens.append(seconds)
            video = open_video(VIDEO, start=seconds or 0.0)
            if len(opens) - 1 < opened:
                return video
            return video.through(dying(video, frames))

        return source

    def dying(video, frames):
        for number, timed in enumerate(video):
            if number == frames:
                raise Killed
            yield timed

    def run(source, resume: bool) -> None:
        track_file(network_for(tiny_tracker, name), source, QUERIES, path, EVERY[name], resume=resume)

    for frames, resumed in ((9, False), (11, True)):
        opens.clear()
        if resumed and opened:  # what is left begins with the way back
            opens.append(None)
        with pytest.raises(Killed):
            run(killed_after(frames), resumed)
    run(lambda seconds: open_video(VIDEO, start=seconds or 0.0), True)
    assert_same(pt.load_tracks(path), answer(name))
    before = path.read_bytes()
    run(lambda seconds: open_video(VIDEO, start=seconds or 0.0), True)
    assert path.read_bytes() == before, "it was finished"


@pytest.mark.parametrize("name", mostly(FORWARD, "plain", "all"))
def test_live(tiny_tracker, answer, name):
    final = []
    reader = FrameReader(VIDEO, drop=False, pace=False)
    with tracker_for(tiny_tracker, name).live(reader, QUERIES, on_final=final.append) as live:
        results = list(live)
    assert [result.tracks.first_frame for result in results] == list(range(FRAMES))
    tracks, wanted = Tracks.concat(final), answer(name)
    # With first answers frames are encoded in other batches, whose sums differ in the last bits.
    torch.testing.assert_close(tracks.xy, wanted.xy, atol=0.02, rtol=0, equal_nan=True)
    torch.testing.assert_close(tracks.visibility, wanted.visibility, atol=1e-2, rtol=0)
    assert (tracks.states is not None) == (wanted.states is not None)
    if tracks.states is not None:
        assert tracks.states.state.equal(wanted.states.state)


def test_backward_means_nothing_where_the_end_is_not_known(tiny_tracker):
    tracker = pt.Tracker(tiny_tracker)
    for mode in (tracker.live, tracker.stream):
        with pytest.raises(TypeError, match="backward"):
            mode(VIDEO, QUERIES, backward=True)
    with pytest.raises(ValueError, match="expected a video that can be read twice, got generator"):
        tracker.track_to_file((frame for frame in VIDEO.frames), QUERIES, "never.tracks")


# Together these have every stage; forward stages alone are made in the same way.
TOGETHER = ["plain", "twice", "states", "smooth", "all", "states backward"]


@pytest.mark.parametrize("name", mostly([*TOGETHER, "all backward"], "plain", "states backward"))
def test_dense_in_one_chunk(tiny_tracker, answer, name):
    assert_same(track_dense(network_for(tiny_tracker, name), VIDEO, QUERIES, EVERY[name]), answer(name))


@pytest.mark.parametrize("name", mostly(TOGETHER, "plain"))
def test_dense_in_chunks(tiny_tracker, tmp_path, name):
    """As each chunk alone; in files as in memory."""
    folder = track_dense(
        network_for(tiny_tracker, name), VIDEO, QUERIES, EVERY[name], chunk=4, out=tmp_path / "dense"
    )
    found, tracker = open_dense(folder).read(), tracker_for(tiny_tracker, name)
    for part in (slice(0, 4), slice(4, 6)):
        alone = tracker.track(VIDEO, QUERIES.select(part), backward=EVERY[name].backward)
        half = {key: getattr(alone, key).half().float() for key in ("visibility", "confidence")}
        assert_same(found.select(part), replace(alone, **half))


@pytest.mark.parametrize("name", mostly(["plain", "all", "states backward"], "plain", "states backward"))
def test_drawn_in_the_same_pass(tiny_tracker, answer, tmp_path, monkeypatch, name):
    """The same pictures as those drawn afterwards; read again only for what was tracked backward, or behind a resume."""
    opens: list[float | None] = []
    drawn: list[np.ndarray] = []

    def keep(path, video):
        # Before the encoder: its bits differ from run to run.
        drawn.extend(np.asarray(frame[0]) for frame in video)

    monkeypatch.setattr(sinks, "write_video", keep)

    def source(seconds):
        opens.append(seconds)
        return open_video(VIDEO, start=seconds or 0.0)

    def film(**options) -> np.ndarray:
        drawn.clear()
        with VideoSink(tmp_path / "never.mp4", open_video(VIDEO)) as sink:
            track_file(
                tiny_tracker, source, QUERIES, tmp_path / "a.tracks", EVERY[name], sinks=[sink], **options
            )
            sink.close()
        return np.stack(drawn)

    found = film()
    assert opens.count(None) == (1 if not EVERY[name].backward else 3)
    wanted = pt.draw_tracks(VIDEO, answer(name)).frames
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(film(resume=True), found)
