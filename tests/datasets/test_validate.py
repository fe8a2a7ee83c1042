"""Every mistake gets a message of its own; clips in order get none."""

import json
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from pointtrack.datasets.clip import Clip
from pointtrack.datasets.format import INFO, list_clips, write_clip
from pointtrack.datasets.validate import check_clip
from pointtrack.datasets.validate_tracks import check_looks
from pointtrack.io.video import write_video


@pytest.fixture
def folder(clip, tmp_path):
    return write_clip(tmp_path / "pan", clip)


def rewrite(folder, change):
    """Change the arrays of tracks.npz by a function that gets and gives a dict."""
    with np.load(folder / "tracks.npz") as data:
        arrays = {name: data[name] for name in data.files}
    np.savez(folder / "tracks.npz", **change(arrays))


def describe(folder, **changes):
    described = json.loads((folder / INFO).read_text()) | changes
    (folder / INFO).write_text(json.dumps(described))


def spoilt(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def no_mistake(folder):
    pass


def test_clips_in_order(folder, make_clip, tmp_path):
    assert check_clip(folder) == []
    video = write_clip(tmp_path / "video", make_clip(), pictures="mp4")
    still = write_clip(tmp_path / "still", make_clip(frames=1))
    found = {path: check_clip(path) for path in list_clips(tmp_path)}
    assert found[folder] == found[video] == []
    assert [finding.code for finding in found[still]] == ["never-visible"]  # what the square covers


# name of the arrays -> changed arrays, code, what the message must say
ARRAYS = {
    "frames and points swapped": (
        lambda a: {**a, "xy": a["xy"].swapaxes(0, 1), "visible": a["visible"].T, "valid": a["valid"].T},
        "axes-swapped",
        r"expected \(frames, points, 2\) with 12 frames .* got \(176, 12, 2\).*xy.swapaxes\(0, 1\)",
    ),
    "flags swapped": (
        lambda a: {**a, "visible": a["visible"].T},
        "axes-swapped",
        r"\(12, 176\).*\(176, 12\)",
    ),
    "x and y in front": (
        lambda a: {**a, "xy": np.moveaxis(a["xy"], -1, 0)},
        "xy-shape",
        r"\(frames, points, 2\), got .*\(2, 12, 176\); np.moveaxis",
    ),
    "another shape": (lambda a: {**a, "xy": a["xy"][0]}, "xy-shape", r"got float32 of \(176, 2\)"),
    "a flag short": (lambda a: {**a, "visible": a["visible"][:, 1:]}, "visible-shape", r"got \(12, 175\)"),
    "a frame short": (
        lambda a: {name: value[1:] if value.ndim > 1 else value for name, value in a.items()},
        "track-frames",
        "expected 12 frames as the video has, got 11",
    ),
    "flags as numbers": (
        lambda a: {**a, "visible": a["visible"].astype(np.uint8)},
        "visible-type",
        r"uint8 \(0, 1\); save visible.astype\(bool\)",
    ),
    "probabilities": (
        lambda a: {**a, "visible": a["visible"] * 0.9},
        "visible-type",
        "visible > 0.5",
    ),
    "three states": (
        lambda a: {**a, "visible": spoilt(a["visible"].astype(int), (0, 0), 2)},
        "visible-type",
        "more than yes and no",
    ),
    "not a number": (
        lambda a: {**a, "xy": spoilt(a["xy"], (4, 7), np.nan)},
        "nan",
        "wherever valid, got NaN or infinity at 1 positions, the first on frame 4 for point 7",
    ),
    "a visible point nowhere": (
        lambda a: {"xy": spoilt(a["xy"], (0, 7), np.inf), "visible": a["visible"]},
        "nan",
        "wherever visible",
    ),
    "visible but unknown": (
        lambda a: {**a, "valid": spoilt(a["valid"], (0, 7), False)},
        "visible-unknown",
        "frame 0 for point 7; save visible & valid",
    ),
    "shares of the image": (
        lambda a: {**a, "xy": (a["xy"] + 0.5) / (96, 64)},
        "normalised",
        r"expected pixels of the 96 x 64 video, got numbers from .*width, height\) - 0.5",
    ),
    "shares around the middle": (
        lambda a: {**a, "xy": (a["xy"] + 0.5) / (48, 32) - 1},
        "normalised",
        r"\(xy \+ 1\) / 2",
    ),
    "x and y swapped": (
        lambda a: {**a, "xy": a["xy"][..., ::-1]},
        "xy-swapped",
        r"inside the 96 x 64 image, got \d+% outside, and 0% with x and y exchanged",
    ),
    "visibility inverted": (
        lambda a: {**a, "visible": ~a["visible"]},
        "inverted",
        r"outside the image to be hidden, got 100% of them visible.*save ~visible",
    ),
    "pixels of a larger size": (
        lambda a: {**a, "xy": a["xy"] * 2},
        "visible-outside",
        r"outside \(x from .* pixels of another size",
    ),
    "nothing visible": (lambda a: {**a, "visible": a["visible"] & False}, "nothing-visible", "none at all"),
    "an id twice": (
        lambda a: {**a, "ids": spoilt(a["ids"], 5, 4)},
        "duplicate-ids",
        "got 4 2 times; leave ids out",
    ),
    "ids of another number": (lambda a: {**a, "ids": a["ids"][1:]}, "ids-shape", r"shape \(176,\)"),
    "query on a hidden frame": (
        lambda a: {**a, "query_frame": a["visible"].argmin(axis=0)},
        "query",
        "for point .* one where it is hidden",
    ),
    "query beyond the end": (
        lambda a: {**a, "query_frame": np.full(176, 12)},
        "query",
        r"frames in 0\.\.11 .* got 12 for point 0, a frame that does not exist",
    ),
    "arrays of another set": (
        lambda a: {"trajs_2d": a["xy"], "visibs": a["visible"]},
        "missing-arrays",
        "lacks xy, visible .*trajs_2d.*pointtrack data convert",
    ),
    "points of another object": (
        lambda a: {**a, "object_ids": np.ones(176, int)},
        "object-ids",
        r"points to lie on their objects, got \d+% .* masks show",
    ),
}


@pytest.mark.parametrize("mistake", ARRAYS)
def test_mistakes_in_tracks(folder, mistake):
    change, code, message = ARRAYS[mistake]
    rewrite(folder, change)
    (finding,) = (finding for finding in check_clip(folder) if finding.level == "error")
    assert finding.code == code and "expected" in finding.text
    assert re.search(message, finding.text), finding.text


WARNINGS = {
    "an array more": (lambda a: {**a, "speed": a["xy"]}, "unknown-arrays", "speed; they are not read"),
    "a point that never shows": (
        lambda a: {**a, "visible": spoilt(a["visible"], (slice(None), 3), False)},
        "never-visible",
        "1 of 176",
    ),
    "a visible point outside": (
        lambda a: {**a, "visible": a["visible"] | (np.arange(176) == a["xy"][-1, :, 0].argmax())},
        "visible-outside",
        "positions more than 1 pixel outside",
    ),
    "few points visible": (
        lambda a: {**a, "visible": a["visible"] & (np.arange(176) % 5 == 0)},
        "mostly-hidden",
        r"got \d+%; is visible inverted",
    ),
    "frames in disorder": (
        lambda a: {**a, "xy": np.where(np.arange(12)[:, None, None] % 2, (95, 63) - a["xy"], a["xy"])},
        "jumps",
        "are the frames in order",
    ),
    "nothing known": (
        lambda a: {**a, "valid": a["valid"] & False, "visible": a["visible"] & False},
        "nothing-known",
        "known positions",
    ),
}


@pytest.mark.parametrize("mistake", WARNINGS)
def test_doubts_about_tracks(folder, mistake):
    change, code, message = WARNINGS[mistake]
    rewrite(folder, change)
    found = {finding.code: finding for finding in check_clip(folder) if finding.level == "warning"}
    assert code in found, found
    assert re.search(message, found[code].text), found[code].text


@pytest.mark.parametrize(("beyond", "codes"), [(0.8, []), (1.2, ["visible-outside"])])
def test_a_pixel_beyond_the_border_is_rounding(folder, beyond, codes):
    def change(arrays):
        xy = spoilt(arrays["xy"], (0, 0), (95.5 + beyond, 3))
        return {**arrays, "xy": xy, "object_ids": np.full(176, -1)}

    rewrite(folder, change)
    assert [finding.code for finding in check_clip(folder)] == codes


# In a square clip with all points inside, only the pixels tell.
LOOKS = {
    "x and y": (lambda a: {**a, "xy": a["xy"][..., ::-1]}, "xy-swapped", "error", r"xy\[\.\.\., ::-1\]"),
    "visibility": (lambda a: {**a, "visible": ~a["visible"]}, "inverted", "error", "keep their looks"),
    "mirrored": (lambda a: {**a, "xy": 95 - a["xy"]}, "off-picture", "warning", "begin together"),
    "upside down": (
        lambda a: {**a, "xy": a["xy"] * (1, -1) + (0, 95)},
        "off-picture",
        "warning",
        "neither mirrored",
    ),
}


@pytest.mark.parametrize("mistake", LOOKS)
def test_mistakes_that_only_the_pixels_show(make_clip, tmp_path, mistake):
    change, code, level, message = LOOKS[mistake]
    clip = make_clip(wh=(96, 96))
    inside = ((clip.tracks.xy > 0) & (clip.tracks.xy < 95)).all(dim=2).all(dim=0)
    tracks = clip.tracks.select(inside)
    tracks = type(tracks)(tracks.xy, tracks.visible)  # without the object ids, which the masks contradict
    folder = write_clip(tmp_path / "square", Clip("square", clip.video, clip.info, tracks))
    assert check_clip(folder) == []
    rewrite(folder, change)
    found = {finding.code: finding for finding in check_clip(folder)}
    assert found[code].level == level and re.search(message, found[code].text), found


@pytest.mark.parametrize("pace", [0, 2])
def test_points_on_a_thing_before_a_wall_are_no_swapped_ones(pace):
    """The exchanged places lie on the wall, which never changes; labels by hand are a pixel or two off."""
    rng = np.random.default_rng(0)
    thing = cv2.GaussianBlur(rng.uniform(0, 255, (30, 30, 3)), (0, 0), 1.5)
    thing = np.clip(128 + 60 * (thing - thing.mean()) / thing.std(), 0, 255).astype(np.uint8)
    pictures, places = {}, []
    offsets = rng.uniform(4, 26, (40, 2))
    for t in range(12):
        picture = np.full((96, 96, 3), 200, np.uint8)
        left = 40 + t * pace
        picture[5:35, left : left + 30] = thing
        pictures[t] = picture
        places.append(offsets + np.array([left, 5]) + rng.normal(0, 1.2, offsets.shape))
    right = {"xy": np.stack(places).astype(np.float32), "visible": np.ones((12, 40), bool)}
    assert check_looks(right, pictures) == []
    if pace:
        swapped = {**right, "xy": right["xy"][..., ::-1]}
        assert [finding.code for finding in check_looks(swapped, pictures)] == ["xy-swapped"]


def test_as_many_points_as_frames(make_clip, tmp_path):
    clip = make_clip()
    tracks = clip.tracks.select(slice(0, 176, 15))  # 12 points
    folder = write_clip(tmp_path / "equal", Clip("equal", clip.video, clip.info, tracks))
    assert check_clip(folder) == []
    rewrite(folder, lambda a: {**a, "xy": a["xy"].swapaxes(0, 1), "visible": a["visible"].T})
    assert "frames and points look swapped" in str(check_clip(folder))


def broken(path):
    path.write_bytes(b"nothing of the kind")


def picture(path, **changes):
    shape = changes.get("shape", (64, 96))
    cv2.imwrite(str(path), np.full((*shape, 3), 90, np.uint8))


def labels(path, values, mode="L"):
    path.unlink(missing_ok=True)
    Image.fromarray(np.array(values, np.uint8)).convert(mode).save(path)


SQUARE = np.zeros((64, 96), np.uint8)
SQUARE[5:9, 5:9] = 1

FILES = {
    "no JSON": (lambda f: broken(f / INFO), "description", "expected JSON"),
    "a frame missing": (
        lambda f: (f / "frames/00004.png").unlink(),
        "missing-frames",
        r"pictures 0\.\.11 without gaps, got none for 4;",
    ),
    "the last frame missing": (
        lambda f: (f / "frames/00011.png").unlink(),
        "frame-count",
        "expected 12 frames as clip.json says, got 11",
    ),
    "a broken frame": (lambda f: broken(f / "frames/00004.png"), "broken-frame", "frames/00004.png"),
    "a frame of another size": (
        lambda f: picture(f / "frames/00004.png", shape=(32, 48)),
        "frame-sizes",
        r"one size, got 96 x 64 \(00000.png\), 48 x 32 \(00004.png\)",
    ),
    "another size than described": (
        lambda f: describe(f, wh=[64, 96]),
        "frame-size",
        "64 x 96 .* got 96 x 64",
    ),
    "a name that is no number": (
        lambda f: (f / "frames/00004.png").rename(f / "frames/frame4.png"),
        "frame-names",
        "got frame4.png",
    ),
    "two of a number": (lambda f: picture(f / "frames/4.png"), "frame-names", "two of one number"),
    "no frames": (lambda f: (f / "frames").rename(f / "images"), "frames", "found neither"),
    "frames and a video": (
        lambda f: write_video(f / "video.mp4", np.zeros((12, 64, 96, 3), np.uint8)),
        "frames",
        "found video.mp4, frames/; keep one",
    ),
    "broken tracks": (lambda f: broken(f / "tracks.npz"), "broken-tracks", "expected an .npz"),
    "a mask of another size": (
        lambda f: labels(f / "masks/00003.png", SQUARE[:32]),
        "mask-size",
        "00003.png: expected 96 x 64 pixels as the video, got 96 x 32",
    ),
    "a mask in colours": (lambda f: labels(f / "masks/00003.png", SQUARE, "RGB"), "mask-mode", r"\(RGB\)"),
    "a mask too many": (
        lambda f: labels(f / "masks/00012.png", SQUARE),
        "mask-frames",
        r"0\.\.11, got some for 12",
    ),
    "a broken mask": (lambda f: broken(f / "masks/00003.png"), "broken-mask", "00003.png: expected a PNG"),
    "a mask without number": (lambda f: labels(f / "masks/x.png", SQUARE), "mask-names", "got x.png"),
    "masks of void": (
        lambda f: [labels(path, SQUARE * 255) for path in (f / "masks").iterdir()],
        "mask-void",
        r"got \[0, 255\]; 255 stands for void",
    ),
    "no masks": (lambda f: [path.unlink() for path in (f / "masks").iterdir()], "no-masks", "found none"),
}


@pytest.mark.parametrize("mistake", FILES)
def test_mistakes_in_files(folder, mistake):
    change, code, message = FILES[mistake]
    change(folder)
    found = [finding for finding in check_clip(folder) if finding.level == "error"]
    assert code in [finding.code for finding in found], found
    text = next(finding.text for finding in found if finding.code == code)
    assert "expected" in text and re.search(message, text), text


def remove_truth(folder):
    (folder / "tracks.npz").unlink()
    (folder / "masks").rename(folder / "other")


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (lambda f: describe(f, licence="unknown"), "unsaid", "licence are not"),
        (lambda f: describe(f, objects={"2": "ball"}), "mask-labels", "got also 1"),
        (lambda f: describe(f, objects={"1": "", "2": "ball"}), "absent-objects", "2 are on none"),
        (remove_truth, "no-truth", "found neither"),
        (lambda f: [labels(path, SQUARE * 0) for path in (f / "masks").iterdir()], "mask-empty", "got none"),
    ],
)
def test_doubts_about_files(folder, change, code, message):
    change(folder)
    found = {finding.code: finding for finding in check_clip(folder)}
    assert found[code].level == "warning" and re.search(message, found[code].text)


def test_videos(clip, tmp_path):
    folder = write_clip(tmp_path / "video", clip, pictures="mp4")
    describe(folder, fps=30)
    assert "expected 30 frames per second as clip.json says, got 12" in str(check_clip(folder))
    write_video(folder / "video.mp4", clip.video.frames[:7], fps=30)
    assert "video.mp4: expected 12 frames as clip.json says, got 7" in str(check_clip(folder))
    broken(folder / "video.mp4")
    assert [finding.code for finding in check_clip(folder)] == ["broken-frame"]
