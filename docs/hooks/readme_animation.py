"""Makes the looping picture of README.md: points on an object, and its mask from one click.

The clip is "car-detection" of Intel's sample videos (github.com/intel-iot-devkit/sample-videos), under CC BY 4.0:

    python docs/hooks/readme_animation.py cars.mp4 --start 30 --frames 26 --frame 6 --click 232 150 --out docs/images/readme.gif
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import pointtrack as pt
from pointtrack.viz.tracks import TrackStyle

WIDTH, EVERY_MS = 480, 80


def main() -> None:
    """Track, segment, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video")
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--frames", type=int, default=36)
    parser.add_argument("--frame", type=int, default=0, help="of the click, counted from --start")
    parser.add_argument("--click", type=float, nargs=2, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    video = pt.read_video(options.video).clip(options.start, options.start + options.frames)
    tracker = pt.Tracker()
    session = pt.ObjectSession(video, tracker, pt.load_segmenter())
    thing = session.add_object()
    clicked = session.prompt(thing, frame=options.frame, points=[options.click], labels=[1])
    masks = session.propagate()
    tracks = tracker.track(video, pt.grid_queries(video, 6, frame=options.frame, mask=clicked.numpy()))
    drawn = pt.draw_tracks(pt.draw_masks(video, masks), tracks, style=TrackStyle(trail=12))

    size = (WIDTH, round(video.wh[1] * WIDTH / video.wh[0]))
    pictures = [
        Image.fromarray(np.asarray(frame)).resize(size, Image.Resampling.LANCZOS) for frame in drawn.frames
    ]
    # One palette for all frames: colours do not flicker, and what does not change costs nothing.
    sheet = Image.fromarray(np.concatenate([np.asarray(picture) for picture in pictures[::4]]))
    palette = sheet.quantize(128)
    first, *rest = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    part = options.out.with_name(options.out.name + ".part")
    first.save(part, "GIF", save_all=True, append_images=rest, duration=EVERY_MS, loop=0, optimize=True)
    part.replace(options.out)
    print(f"{options.out}: {len(pictures)} frames, {options.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
