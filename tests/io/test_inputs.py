"""Videos and points as people hand them in."""

import io
import os
import threading

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import pointtrack as pt
from pointtrack.io.examples import example_video
from pointtrack.io.picture_lists import matching
from pointtrack.io.pipes import playable
from pointtrack.objects.point_engine import PointEngine
from pointtrack.types import Queries, Video
from tests.support.programs import run_program
from tests.support.scenes import ColourSegmenter, squares

FRAMES = np.random.default_rng(0).integers(0, 255, (5, 12, 20, 3), np.uint8)
GREY = FRAMES[..., 0]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (FRAMES, FRAMES),
        (torch.from_numpy(FRAMES), FRAMES),
        (FRAMES[::-1], FRAMES[::-1]),
        (FRAMES[:, :, ::-1], FRAMES[:, :, ::-1]),
        (np.asfortranarray(FRAMES), FRAMES),
        (list(FRAMES), FRAMES),
        (tuple(torch.from_numpy(FRAMES)), FRAMES),
        ([Image.fromarray(frame) for frame in FRAMES], FRAMES),
        (FRAMES.transpose(0, 3, 1, 2), FRAMES),
        (torch.from_numpy(FRAMES).permute(0, 3, 1, 2)[None], FRAMES),
        (
            np.dstack([FRAMES.reshape(60, 20, 3), np.full((60, 20), 9, np.uint8)]).reshape(5, 12, 20, 4),
            FRAMES,
        ),
        (GREY, np.repeat(GREY[..., None], 3, -1)),
        (GREY[..., None], np.repeat(GREY[..., None], 3, -1)),
        (GREY[:, None], np.repeat(GREY[..., None], 3, -1)),
        ([Image.fromarray(frame) for frame in GREY], np.repeat(GREY[..., None], 3, -1)),
    ],
)
def test_frames_of_any_layout(given, expected):
    video = pt.read_video(given)
    assert video.wh == (20, 12)
    np.testing.assert_array_equal(video.frames, expected)
    if hasattr(given, "shape"):
        np.testing.assert_array_equal(Video(given).frames, expected)


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        (FRAMES / 255, r"0\.\.1: convert with \(frames \* 255\)\.round"),
        (FRAMES.astype(np.float32), r"0\.\.255: convert with frames\.round\(\)\.astype\('uint8'\)"),
        (FRAMES / 127.5 - 1, r"-1\.\.1: convert with \(\(frames \+ 1\) \* 127\.5\)"),
        (FRAMES.astype(np.uint16) * 257, r"0\.\.65535: convert with \(frames / 257\)"),
        (FRAMES.astype(np.uint16) * 16, r"0\.\.4095: convert with \(frames / 16\.0588\)"),
        (FRAMES.astype(np.int64), r"0\.\.255: convert with frames\.astype\('uint8'\)"),
        (FRAMES > 100, r"frames\.astype\('uint8'\) \* 255"),
        (FRAMES[0], r"which is one frame: frames\[None\]"),
        (FRAMES[:0], "at least one frame"),
        (np.zeros((5, 12, 20, 7), np.uint8), "expected 3 channels last"),
    ],
)
def test_advice_fits_what_was_given(given, advice):
    with pytest.raises(ValueError, match=advice):
        Video(given)
    with pytest.raises(ValueError, match="expected"):
        pt.read_video(given)


@pytest.mark.parametrize("deep", [np.uint16, np.int32, np.float32])
def test_pillow_images_of_more_than_eight_bits_are_refused_as_arrays_are(deep):
    pictures = [Image.fromarray(frame.astype(deep) * 257) for frame in GREY]
    with pytest.raises(
        ValueError, match=r"video frame 0: expected uint8 values 0\.\.255, got .*convert with"
    ):
        pt.read_video(pictures)


@pytest.mark.parametrize(
    ("given", "advice"),
    [("bear.mp4", r"got str; pt\.read_video\(path\) reads a file"), (5, "got int"), (None, "got NoneType")],
)
def test_what_is_no_array_is_named(given, advice):
    with pytest.raises(ValueError, match=advice):
        Video(given)


def test_the_advice_helps():
    for given, made in (
        (FRAMES / 255, lambda frames: (frames * 255).round().astype("uint8")),
        (FRAMES.astype(np.uint16) * 257, lambda frames: (frames / 257).round().astype("uint8")),
    ):
        np.testing.assert_array_equal(Video(made(given)).frames, FRAMES)


@pytest.fixture
def folder(tmp_path):
    for t in (8, 9, 10, 11):
        cv2.imwrite(str(tmp_path / f"f{t}.png"), FRAMES[t - 8][..., ::-1])
        cv2.imwrite(str(tmp_path / f"n{t:04d}.png"), FRAMES[t - 8][..., ::-1])
    return tmp_path


def test_lists_and_patterns_of_pictures(folder):
    natural = [folder / f"f{t}.png" for t in (8, 9, 10, 11)]
    for given in (natural, [str(path) for path in natural], str(folder / "f*.png"), folder / "f%d.png"):
        np.testing.assert_array_equal(pt.read_video(given, fps=10).frames, FRAMES[:4])
    numbered = pt.read_video(str(folder / "n%04d.png"))
    np.testing.assert_array_equal(numbered.frames, FRAMES[:4])
    assert matching(str(folder / "f8.png")) is None
    with pytest.raises(
        FileNotFoundError, match=r"x\*\.png: expected files that fit this pattern, found none"
    ):
        pt.read_video(str(folder / "x*.png"))
    with pytest.raises(FileNotFoundError, match="f99.png: expected a picture, found nothing"):
        pt.read_video([natural[0], folder / "f99.png"])
    (folder / "text.txt").write_text("no")
    with pytest.raises(ValueError, match="expected pictures"):
        pt.read_video([natural[0], folder / "text.txt"])


def test_a_pattern_that_fits_one_video_is_that_video(folder):
    pt.write_video(folder / "a.mp4", FRAMES)
    assert len(pt.read_video(str(folder / "*.mp4"))) == 5


@pytest.mark.parametrize("make", [list, np.array, torch.tensor, tuple, lambda rows: np.array([rows])])
def test_points_as_rows(make):
    queries = Queries.of(make([[0, 1.5, 2], [3, 4, 5]]))
    assert queries.frame.tolist() == [0, 3]
    assert queries.xy.tolist() == [[1.5, 2], [4, 5]]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (
            [[1, 2], [3, 4]],
            r"got shape \(2, 2\); for \(x, y\) alone say the frame: pt.Queries\(frame=0, xy=points\)",
        ),
        ("somewhere", r"rows of .frame, x, y., got str; pt\.load_queries\(path\) reads"),
        (Video(FRAMES), "are video and queries swapped"),
        ([[0.5, 1, 2]], "expected whole numbers"),
    ],
)
def test_points_that_are_none_are_told(points, message):
    with pytest.raises(ValueError, match=message):
        Queries.of(points)
    assert len(Queries.of([])) == 0
    assert Queries.of([0, 5, 6]).xy.tolist() == [[5, 6]]


def test_a_tracker_takes_all_of_it(tiny_tracker_file, tmp_path, capfd):
    tracker = pt.Tracker(tiny_tracker_file)
    frames = np.random.default_rng(1).integers(0, 255, (6, 48, 64, 3), np.uint8)
    expected = tracker.track(Video(frames), Queries([0, 2], [[20, 20], [30, 30]]))
    for video, points in (
        (frames, [(0, 20, 20), (2, 30, 30)]),
        (torch.from_numpy(frames).permute(0, 3, 1, 2), torch.tensor([[0, 20, 20], [2, 30, 30]])),
        (list(frames), np.array([[0, 20, 20], [2, 30, 30]])),
    ):
        assert torch.equal(tracker.track(video, points).xy, expected.xy)
    file = tracker.track_to_file(Video(frames), [(0, 20, 20), (2, 30, 30)], tmp_path / "a.tracks")
    assert torch.equal(pt.load_tracks(file).xy, expected.xy)
    assert tracker.stream([(0, 20, 20)], (64, 48)).queries.xy.tolist() == [[20, 20]]
    with tracker.live(iter(frames), [(0, 20, 20)], drop=False) as live:
        assert live.take(20).tracks.xy[0].tolist() == [[20, 20]]
    assert pt.TrackSession(Video(frames), tracker).add([(0, 20, 20), (2, 30, 30)]).tolist() == [0, 1]
    for video in (frames, list(frames)):
        assert pt.TrackSession(video, tracker).add([(0, 20, 20), (2, 30, 30)]).tolist() == [0, 1]
        assert len(pt.ObjectSession(video, tracker).video) == 6
    assert tracker.track(frames, []).xy.shape == (6, 0, 2)
    named = tracker.track(frames, Queries(0, [[20, 20]], names=["nose"]), progress=True)
    assert named.queries.names == ("nose",)
    assert "tracking" in capfd.readouterr().err
    with pytest.raises(ValueError, match=r"swapped: tracker.track\(video, queries\)"):
        tracker.track([(0, 20, 20)] and Queries(0, [[20, 20]]), frames)


def test_options_of_another_kind_are_refused_at_once(tiny_tracker):
    for options, message in (
        ({"states": "yes"}, r"states: expected True, False or pt\.StateOptions\(\.\.\.\), got 'yes'"),
        ({"states": {"redetect": True}}, "states: expected True, False or"),
        ({"regions": (192, 108)}, r"regions: .* pt\.RegionOptions\(\.\.\.\), got \(192, 108\)"),
    ):
        with pytest.raises(ValueError, match=message):
            pt.Tracker(tiny_tracker, **options)
    tracker = pt.Tracker(tiny_tracker)
    assert tracker.with_options(states=True).options.states == pt.StateOptions()
    assert tracker.with_options(states=True).with_options(states=False).options.states is None
    for changes, message in (
        ({"looks": 2}, r"expected states, .*, got looks; make another tracker for it: Tracker\(\.\.\.\)"),
        ({"smoth": 2}, "expected states, regions, smooth, .*, got smoth$"),
    ):
        with pytest.raises(ValueError, match=message):
            tracker.with_options(**changes)


def test_a_long_run_shows_a_bar(tiny_tracker, tmp_path, capfd):
    frames = np.zeros((6, 48, 64, 3), np.uint8)
    tracker, path = pt.Tracker(tiny_tracker), tmp_path / "a.tracks"
    tracker.track_to_file(frames, [(0, 20, 20), (2, 30, 30)], path, progress=True)
    assert "tracking: 100%" in (said := capfd.readouterr().err) and "9/9" in said
    tracker.track_to_file(iter(frames), [(0, 20, 20)], path, progress=True)
    assert "tracking: 6frame" in capfd.readouterr().err
    tracker.track_to_file(frames, [(0, 20, 20)], path, progress=False)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("states", [False, True])
def test_pictures_of_pil_are_pushed(tiny_tracker_file, states):
    tracker = pt.Tracker(tiny_tracker_file, states=states)
    frames = np.random.default_rng(1).integers(0, 255, (6, 48, 64, 3), np.uint8)
    found = []
    for pushed in (frames, [Image.fromarray(frame) for frame in frames]):
        stream = tracker.stream([(0, 20, 20)], (64, 48))
        found.append(pt.Tracks.concat([*(stream.push(frame) for frame in pushed), stream.finish()]).xy)
    assert torch.equal(*found)


def test_pictures_of_pil_are_masks_and_frames(tiny_tracker):
    scene = squares([[(5, 5)] * 2])
    drawn = Image.fromarray(scene.truth[0, 0].numpy())
    session = pt.ObjectSession(scene.video, engine=PointEngine(tiny_tracker, ColourSegmenter()))
    assert torch.equal(session.prompt(session.add_object(), 0, mask=drawn), scene.truth[0, 0])
    x, y = pt.grid_queries(scene.video, size=9, mask=drawn).xy.round().long().T
    assert scene.truth[0, 0][y, x].all()
    assert torch.equal(pt.Masks.from_labels([drawn.convert("P")]).masks[0, 0], scene.truth[0, 0])
    assert pt.load_segmenter().encode(Image.fromarray(scene.video.frames[0])).wh == scene.video.wh


def test_the_bundled_clip():
    assert len(example_video()) > 10
    with pytest.raises(ValueError, match="example: expected one of .*hard.*got 'none'"):
        example_video("none")


@pytest.mark.parametrize("faststart", [pytest.param(True, marks=pytest.mark.long), False])
def test_an_mp4_from_a_pipe_is_played_wherever_its_index_is(tmp_path, faststart):
    import av

    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"} if faststart else {}) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for t in range(5):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * t, np.uint8), "rgb24"))
            )
        container.mux(stream.encode(None))
    code = "import pointtrack as pt; print(len(pt.read_video('-')))"
    run = run_program(code, stdin=path)
    assert run.stdout.split() == ["5"], run.stderr
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(path.read_bytes(),))
    writer.start()
    run = run_program(code, stdin=pipe)
    writer.join()
    assert run.stdout.split() == ["5"], run.stderr
    assert "reading all of it before the first frame" in run.stderr


def test_what_is_ahead_of_a_pipe_is_not_lost():
    data = bytes(range(200))
    stream = playable(io.BytesIO(data))
    assert stream.read(10) + stream.read(80) + stream.read() == data
