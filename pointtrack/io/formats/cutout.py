"""Videos with an alpha channel that show the objects alone, everything else transparent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from pointtrack.io.atomic import atomic_path
from pointtrack.io.outputs import refuse_same
from pointtrack.io.video import open_video
from pointtrack.types.masks import Masks
from pointtrack.types.times import exact_rate

# Codec, pixels and options by suffix: for editors, for browsers, and without any loss.
CUTOUT_CODECS: dict[str, tuple[str, str, dict[str, str]]] = {
    ".mov": ("prores_ks", "yuva444p10le", {"profile": "4444"}),
    ".webm": ("libvpx-vp9", "yuva420p", {"crf": "18", "b": "0", "auto-alt-ref": "0", "cpu-used": "4"}),
    ".mkv": ("ffv1", "bgra", {}),
}
CLOCK = 90000  # ticks per second


def write(path: Path, masks: Masks, video: Any) -> None:
    """Write the objects alone, everything else transparent, as a video with an alpha channel.

    .mov is ProRes 4444 (editors), .webm is VP9 (browsers), .mkv is FFV1 (no loss at all). Odd sides get one
    transparent row or column more.

    Args:
        path: file to write; missing folders are made, an existing file is replaced.
        masks: row i belongs to frame `masks.first_frame + i`; frames without a row are wholly transparent.
        video: what `open_video` takes: a `Video`, a file, frames. It is read frame by frame, and its times are kept.

    Raises:
        ValueError: another suffix, frames of another size than the masks, or the file that is being read.
    """
    with open_video(video) as stream:
        if stream.path is not None:
            refuse_same(path, stream.path)
        with growing(path, stream.wh, stream.fps, stream.pixel_aspect) as append:
            for t, (frame, seconds) in enumerate(stream):
                append(frame, seconds, masks, t)


@contextmanager
def growing(
    path: Path, wh: tuple[int, int], fps: float, pixel_aspect: Fraction
) -> Iterator[Callable[[np.ndarray, float, Masks, int], None]]:
    """Like `write`, frame by frame: yield a function that takes (h, w, 3) frames with times, masks and frame numbers.

    Args:
        path: as in `write`; it appears when the block ends.
        wh: size of the frames.
        fps, pixel_aspect: those of the video.

    Raises:
        ValueError: as `write`.
    """
    if path.suffix.lower() not in CUTOUT_CODECS:
        raise ValueError(
            f"{path}: expected a suffix with alpha, one of {', '.join(CUTOUT_CODECS)}; got {path.suffix!r}"
        )
    codec, pixels, options = CUTOUT_CODECS[path.suffix.lower()]
    width, height = (side + side % 2 for side in wh)
    with atomic_path(path) as part, av.open(str(part), "w") as container:
        output: Any = container.add_stream(codec, rate=exact_rate(fps), options=options)
        output.width, output.height, output.pix_fmt = width, height, pixels
        context = output.codec_context
        context.time_base = Fraction(1, CLOCK)
        context.sample_aspect_ratio = pixel_aspect
        is_yuv = pixels.startswith("yuv")
        reformatter = av.video.reformatter.VideoReformatter()  # one for all frames: to make one takes long
        if is_yuv:
            context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
            context.color_range = 1

        def append(frame: np.ndarray, seconds: float, masks: Masks, t: int) -> None:
            if wh != masks.wh:
                raise ValueError(
                    f"cutout: expected frames of {masks.wh[0]} x {masks.wh[1]} pixels as the masks are for, "
                    f"got {wh[0]} x {wh[1]}"
                )
            cut = np.zeros((height, width, 4), np.uint8)
            cut[: wh[1], : wh[0]] = _cut_out(frame, masks, t)
            picture = av.VideoFrame.from_ndarray(cut, format="rgba")
            marks: dict[str, Any] = {"dst_colorspace": 1, "dst_color_range": 1} if is_yuv else {}
            picture = reformatter.reformat(picture, format=pixels, **marks)
            picture.pts, picture.time_base = round(seconds * CLOCK), Fraction(1, CLOCK)
            container.mux(output.encode(picture))

        yield append
        container.mux(output.encode(None))


def _cut_out(frame: np.ndarray, masks: Masks, t: int) -> np.ndarray:
    """(h, w, 4) uint8 RGBA of one frame, opaque inside the objects."""
    cut = np.zeros((*frame.shape[:2], 4), np.uint8)
    row = t - masks.first_frame
    if 0 <= row < len(masks):
        inside = np.logical_or.reduce(masks.masks[row].numpy(), axis=0).view(np.uint8) * np.uint8(255)
        # Codecs smear colours over a few pixels, so black next to the object would darken its edge.
        cut[..., :3] = cv2.copyTo(frame, cv2.dilate(inside, np.ones((17, 17), np.uint8)))
        cut[..., 3] = inside
    return cut
