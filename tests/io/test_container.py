"""What files say of themselves: profiles, rotation, shape of pixels, bits, edit lists; none of it may end a reading."""

import io
import logging
import struct
import zlib
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from pointtrack.io.lazy_video import lazy_video
from pointtrack.io.mask_pictures import read_mask
from pointtrack.io.pictures import LARGEST_PIXELS
from pointtrack.io.video import open_video, read_video, write_video
from tests.support.programs import run_program
from tests.support.video_files import corner_image, corner_names, encode, numbered_frames, numbers

CODE = """
import gc, sys
from pointtrack.io.video import read_video
gc.set_threshold(1)
for path in sys.argv[1:]:
    for _ in range(8):
        read_video(path)
gc.collect()
print("fine")
"""


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_profiles_and_light_never_crash_the_process(tmp_path):
    """Colour profiles, chromaticities, HDR mastering data: PyAV's side data frees what it does not own."""
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    paths = [tmp_path / f"icc{suffix}" for suffix in (".png", ".jpg", ".webp", ".tif")]
    for path in paths:
        Image.fromarray(picture).save(path, icc_profile=profile)
    png = io.BytesIO()
    Image.fromarray(picture).save(png, "PNG")
    body = chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
    paths.append(tmp_path / "light.png")
    paths[-1].write_bytes(png.getvalue()[:33] + body + png.getvalue()[33:])
    # The same pictures as streams, which FFmpeg decodes.
    for kind in (".png", ".jpg"):
        content = (tmp_path / f"icc{kind}").read_bytes()
        paths.append(tmp_path / f"film{kind}.mov")
        with av.open(str(paths[-1]), "w") as container:
            stream = container.add_stream("png" if kind == ".png" else "mjpeg", rate=10)
            stream.width, stream.height = 64, 48
            stream.pix_fmt = "rgb24" if kind == ".png" else "yuvj420p"
            for t in range(3):
                packet = av.Packet(content)
                packet.pts = packet.dts = t
                packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 10), True
                container.mux(packet)
    done = run_program(CODE, *paths)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_of_phones_stand_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a), 7: lambda a: np.rot90(a.transpose(1, 0, 2), 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation](corner_image())  # fmt: skip
    for suffix in (".jpg", ".png", ".webp"):
        path = tmp_path / f"a{suffix}"
        Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
        video = read_video(path)
        assert (len(video), video.wh) == (1, (64, 48))
        assert corner_names(video.frames[0]) == ["red", "green", "blue", "grey"], suffix


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True)])
def test_every_rotation_and_mirror_from_the_head_and_from_frames(tmp_path, rotation, flips):
    path = encode(tmp_path / "a.mp4", [corner_image()] * 2, rotation=rotation, flips=flips)
    shown = read_video(path).frames[0]
    with path.open("rb") as file:
        assert np.array_equal(read_video(file).frames[0], shown)
    if flips == (False, False):
        turned = np.rot90(corner_image(), {0: 0, 90: 1, 180: 2, -90: -1}[rotation])
        assert corner_names(shown) == corner_names(turned)
        again = tmp_path / "a.mkv"  # which keeps it elsewhere
        with av.open(str(path)) as old, av.open(str(again), "w") as new:
            stream = new.add_stream_from_template(old.streams.video[0])
            for packet in old.demux(old.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    new.mux(packet)
        assert corner_names(read_video(again).frames[0]) in (
            corner_names(turned),
            corner_names(corner_image()),
        )


def squeezed(path, rotation=None):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        if rotation:
            stream.set_display_rotation(rotation)
        for frame in numbered_frames(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def aspect(path):
    with av.open(str(path)) as container:
        return container.streams.video[0].sample_aspect_ratio


@pytest.mark.parametrize(("rotation", "expected"), [(None, Fraction(4, 3)), (90, Fraction(3, 4))])
def test_pixels_keep_their_shape(tmp_path, rotation, expected):
    path = squeezed(tmp_path / "a.mp4", rotation)
    video = read_video(path)
    assert video.pixel_aspect == lazy_video(path).pixel_aspect == expected
    for source in (video, open_video(path), video.clip(1)):
        assert aspect(write_video(tmp_path / "b.mp4", source)) == expected
    resized = expected * Fraction(*video.wh) / Fraction(32, 48)
    with open_video(path) as stream:
        for source in (video, path, stream):
            small = read_video(source, wh=(32, 48))
            assert small.pixel_aspect == resized, source
    assert aspect(write_video(tmp_path / "c.mp4", small)) == resized
    for part in (2, 3, 5):  # of one shape, as far as whole pixels allow
        assert read_video(path, wh=(video.wh[0] // part, video.wh[1] // part)).pixel_aspect == expected


@pytest.mark.parametrize("top", [65535, 4095, 1023, 255])
def test_pictures_of_16_bits_keep_their_levels(tmp_path, top):
    ramp = np.linspace(0, 1, 64 * 48).reshape(48, 64)
    for t in range(3):
        cv2.imwrite(str(tmp_path / f"{t}.tif"), (ramp * top).astype(np.uint16))
        cv2.imwrite(str(tmp_path / f"{t}.png"), np.dstack([ramp * top] * 3).astype(np.uint16))
    frames = read_video(tmp_path).frames.astype(int)
    assert len(frames) == 6 and len(np.unique(frames)) > 200
    assert np.abs(frames - (ramp * 255)[None, :, :, None]).max() < 3


def test_an_edit_list_alone_is_no_damage(tmp_path, caplog):
    """A file that was cut without coding it again holds pictures that are not to be shown."""
    path = encode(tmp_path / "long.mp4", numbered_frames(40))
    with av.open(str(path)) as old, av.open(str(tmp_path / "cut.mp4"), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                packet.pts -= int(0.5 / packet.time_base)  # shown from its middle on
                packet.dts -= int(0.5 / packet.time_base)
                new.mux(packet)
    with caplog.at_level(logging.WARNING):
        video = read_video(tmp_path / "cut.mp4")
    assert len(video) < 40 and numbers(video.frames)[-1] == 39
    assert not caplog.records
    noise = np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), np.uint8)
    (tmp_path / "torn.mkv").write_bytes(encode(tmp_path / "a.mkv", noise).read_bytes()[:-30_000])
    with caplog.at_level(logging.WARNING):
        read_video(tmp_path / "torn.mkv")
    assert "cut short or damaged" in caplog.text


def bomb(path, side):
    """A PNG of side x side pixels in a file of a few bytes."""
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def test_a_picture_that_claims_too_many_pixels_is_refused_before_it_takes_memory(tmp_path):
    side = int(LARGEST_PIXELS**0.5) + 2
    (tmp_path / "frames").mkdir()
    bomb(tmp_path / "frames" / "0.png", side)
    for read, path in ((read_video, tmp_path / "frames"), (read_mask, tmp_path / "frames" / "0.png")):
        with pytest.raises(ValueError, match="at most .* pixels|exceeds limit of .* pixels"):
            read(path)


def test_interlaced_and_hdr_are_said(tmp_path, caplog):
    path = tmp_path / "hdr.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264-params": "tff=1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.color_trc = 16
        for frame in numbered_frames(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    with caplog.at_level(logging.WARNING):
        read_video(path)
    assert "interlaced" in caplog.text and "HDR (PQ)" in caplog.text


def test_a_matroska_file_that_begins_late_is_not_taken_for_a_damaged_one(tmp_path, caplog):
    """As of a piece cut out of a longer one: its header gives the time of its end, not its length."""
    path = encode(tmp_path / "a.mkv", numbered_frames(12), pts=[5000 + 40 * i for i in range(12)], rate=25)
    with open_video(path) as stream:
        assert stream.frame_count == 12
        assert len(list(stream)) == 12
    assert not caplog.text
