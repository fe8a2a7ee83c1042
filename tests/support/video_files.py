"""Small videos whose content can be recognised, and files of them straight from PyAV."""

from fractions import Fraction

import av
import numpy as np

CORNERS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "grey": (200, 200, 200)}


def corner_image(wh=(64, 48)):
    """Red top left, green top right, blue bottom left, grey bottom right."""
    w, h = wh
    image = np.empty((h, w, 3), np.uint8)
    image[: h // 2, : w // 2], image[: h // 2, w // 2 :] = CORNERS["red"], CORNERS["green"]
    image[h // 2 :, : w // 2], image[h // 2 :, w // 2 :] = CORNERS["blue"], CORNERS["grey"]
    return image


def corner_names(frame):
    """Which colour stands top left, top right, bottom left, bottom right."""
    h, w = frame.shape[:2]
    spots = [frame[y, x].astype(int) for y in (h // 4, 3 * h // 4) for x in (w // 4, 3 * w // 4)]
    return [min(CORNERS, key=lambda name, s=s: np.abs(s - CORNERS[name]).sum()) for s in spots]


def numbered_frames(count, wh=(64, 48)):
    """Frame i has the grey value 20 + 5 i (within a code's accuracy), so that its number can be read."""
    return np.stack([np.full((wh[1], wh[0], 3), 20 + 5 * i, np.uint8) for i in range(count)])


def numbers(frames):
    return [round((float(frame.mean()) - 20) / 5) for frame in frames]


def encode(path, frames, pts=None, rate=30, rotation=None, flips=(False, False), options=None):
    """A video file straight from PyAV, independent of write_video."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "5"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if rotation is not None:
            stream.set_display_rotation(rotation, *flips)
        if pts is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p")
            picture.pts = i if pts is None else pts[i]
            picture.time_base = Fraction(1, rate) if pts is None else Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def with_sound(path, frames, rate, codec="aac", samples=44100):
    """A video file with a tone as long as its pictures, at so many samples per second."""
    with av.open(str(path), "w") as container:
        picture, sound = container.add_stream("libx264", rate=rate), container.add_stream(codec, rate=samples)
        picture.height, picture.width = frames[0].shape[:2]
        picture.pix_fmt, sound.format, sound.layout = "yuv420p", "fltp", "mono"
        for frame in frames:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(picture.encode(None))
        size = sound.codec_context.frame_size or 1024
        for start in range(0, len(frames) * samples // rate, size):
            wave = np.sin((start + np.arange(size)) / 10).astype(np.float32)[None] * 0.3
            heard = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = samples, start, Fraction(1, samples)
            container.mux(sound.encode(heard))
        container.mux(sound.encode(None))
    return path
