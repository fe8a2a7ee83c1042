"""Renders the demo clip that pointtrack ships, and its exact tracks.

Run it in an environment of its own (Python 3.11, `pip install bpy==4.5.15 numpy==1.26.4 av`):

    python -m train.blender.bundled_clip --out DIR

The script writes PNG files to DIR/frames and skips frames that exist, so an interrupted run continues where it
stopped. When all frames exist, it writes DIR/clip.mp4 and DIR/clip_tracks.npz; copy both to pointtrack/assets.
The shipped clip uses the default settings, which take about half an hour on two cores. Everything in the picture
is made here or comes with Blender as CC0.
"""

import argparse
import os
import time
from pathlib import Path

import av
import bpy
import numpy as np

from train.blender.clip_scene import FPS, build_scene, pose_scene
from train.blender.clip_tracks import check_against_renderer, make_tracks, summary

SIZE_LIMIT_BYTES = 1_950_000


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for frames, video and tracks")
    parser.add_argument("--frames", type=int, default=72)
    parser.add_argument("--width", type=int, default=854)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--samples", type=int, default=8, help="Cycles samples for each pixel")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only-frames", type=int, nargs="+", help="render these and stop")
    parser.add_argument("--tracks-only", action="store_true", help="render nothing, write only the tracks")
    arguments = parser.parse_args()
    if arguments.width % 2 or arguments.height % 2:
        parser.error(f"yuv420p needs even sides, got {arguments.width}x{arguments.height}")
    wrong = [f for f in arguments.only_frames or [] if not 0 <= f < arguments.frames]
    if wrong:
        parser.error(f"--only-frames must lie in 0..{arguments.frames - 1}, got {wrong}")
    return arguments


def set_renderer(width: int, height: int, samples: int) -> None:
    """Cycles on the CPU, denoised, with the plain sRGB view."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.resolution_percentage = 100
    scene.render.fps = FPS
    scene.render.image_settings.file_format = "PNG"
    scene.render.use_persistent_data = True
    scene.view_settings.view_transform = "Standard"
    scene.cycles.device = "CPU"
    scene.cycles.samples = samples
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.max_bounces = 3
    scene.cycles.use_denoising = True
    scene.cycles.denoiser = "OPENIMAGEDENOISE"
    scene.cycles.denoising_quality = "FAST"


def render_frames(things: dict, wanted: list[int], arguments: argparse.Namespace) -> None:
    """Writes frames/NNNN.png for each wanted frame that does not exist yet."""
    folder = arguments.out / "frames"
    folder.mkdir(parents=True, exist_ok=True)
    for frame in wanted:
        done = folder / f"{frame:04d}.png"
        if done.exists():
            continue
        started = time.monotonic()
        pose_scene(things, frame, arguments.frames, arguments.seed)
        # Another seed for each frame: noise that stays still on the screen would be a false texture.
        bpy.context.scene.cycles.seed = arguments.seed * 1000 + frame
        # Rendered under another name first, so that a file with the final name is always complete.
        partial = folder / f"{frame:04d}.part.png"
        bpy.context.scene.render.filepath = str(partial)
        bpy.ops.render.render(write_still=True)
        os.replace(partial, done)
        print(f"frame {frame}: {time.monotonic() - started:.1f} s", flush=True)


def read_frames(folder: Path, frames: int) -> list[np.ndarray]:
    """(h, w, 3) uint8 RGB images of every frame."""
    images = []
    for frame in range(frames):
        with av.open(str(folder / f"{frame:04d}.png")) as container:
            images.append(next(container.decode(video=0)).to_ndarray(format="rgb24"))
    return images


def encode(images: list[np.ndarray], path: Path, crf: int) -> int:
    """Writes H.264 and returns the size in bytes."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": str(crf), "preset": "veryslow"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        # swscale turns RGB into BT.601 by default; untagged, some players would take it for BT.709.
        stream.codec_context.colorspace = 6
        stream.codec_context.color_primaries = 1
        stream.codec_context.color_trc = 1
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path.stat().st_size


def encode_within_limit(images: list[np.ndarray], path: Path) -> None:
    """Encodes with the best quality that stays below the size limit."""
    for crf in range(17, 40):
        size = encode(images, path, crf)
        if size <= SIZE_LIMIT_BYTES:
            print(f"{path}: crf {crf}, {size} bytes")
            return
    raise RuntimeError(
        f"{path} is above {SIZE_LIMIT_BYTES} bytes even at crf {crf}: use fewer frames or pixels"
    )


def main() -> None:
    arguments = parse_arguments()
    things = build_scene()
    set_renderer(arguments.width, arguments.height, arguments.samples)
    if not arguments.tracks_only:
        render_frames(things, arguments.only_frames or list(range(arguments.frames)), arguments)
        if arguments.only_frames:
            return
        images = read_frames(arguments.out / "frames", arguments.frames)
        encode_within_limit(images, arguments.out / "clip.mp4")

    wh = (arguments.width, arguments.height)
    tracks = make_tracks(things, arguments.frames, wh, arguments.seed)
    print(summary(tracks, wh))
    check_against_renderer(things, tracks, wh, arguments.seed, arguments.out / "check")
    arguments.out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(arguments.out / "clip_tracks.npz", **tracks, fps=np.float64(FPS))


if __name__ == "__main__":
    main()
