"""Masks in the formats of other tools: exact on the way back, and as those tools read them."""

import json

import av
import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as rle

from pointtrack.io.formats.davis import davis_palette
from pointtrack.io.mask_writers import mask_writer
from pointtrack.io.masks import MASK_EXPORTS, load_masks, save_masks
from pointtrack.io.tracks import TRACK_EXPORTS
from pointtrack.types import Video
from pointtrack.types.masks import Masks

WH = (21, 10)
ALL = ["davis", "ytvos", "coco", "ytvis", "npz"]


def some_masks(frames=4, exclusive=True, names=("bear", "", "dog"), **settings):
    """Three objects; the second is absent on the first and the last frame."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.rand(frames, 3, WH[1], WH[0], generator=generator) > 0.5
    pixels[[0, -1], 1] = False
    scores = torch.rand(frames, 3, generator=generator)
    masks = Masks(pixels, [3, 12, 7], scores, names=names, **settings)
    return masks.exclusive() if exclusive else masks


def target(tmp_path, format):
    return (
        tmp_path / "new" / {"coco": "clip.json", "ytvis": "clip.json", "npz": "clip.npz"}.get(format, "clip")
    )


def by_id(masks):
    return {number: masks.masks[:, place] for place, number in enumerate(masks.object_ids.tolist())}


@pytest.mark.parametrize("format", ALL)
@pytest.mark.parametrize("first_frame", [0, 17])
def test_pixels_ids_and_frame_numbers_come_back(tmp_path, format, first_frame):
    masks = some_masks(first_frame=first_frame, fps=12.5)
    path = save_masks(target(tmp_path, format), masks, format=format)
    back = load_masks(path, fps=12.5)
    assert (back.first_frame, back.fps, back.wh) == (first_frame, 12.5, WH)
    assert sorted(back.object_ids.tolist()) == [3, 7, 12]
    for number, pixels in by_id(masks).items():
        assert torch.equal(by_id(back)[number], pixels)
    if format in ("coco", "ytvis", "npz"):
        assert torch.equal(back.scores, masks.scores)
        assert back.object_ids.tolist() == [3, 12, 7]
    if format != "davis":
        named = dict(zip(back.object_ids.tolist(), back.names, strict=True))
        assert named == {3: "bear", 12: "", 7: "dog"}


@pytest.mark.parametrize("format", ["coco", "ytvis", "npz"])
def test_overlaps_and_unusual_ids_and_no_names_are_kept(tmp_path, format):
    masks = some_masks(exclusive=False, names=())
    masks = Masks(masks.masks, [3, 700, 0], masks.scores)
    back = load_masks(save_masks(target(tmp_path, format), masks, format=format))
    for number, pixels in by_id(masks).items():
        assert torch.equal(by_id(back)[number], pixels)
    assert back.names == ()


@pytest.mark.parametrize("format", ["coco", "ytvis", "npz"])
def test_uneven_times_and_objects_that_are_never_there_are_kept(tmp_path, format):
    times = np.array([0.5, 0.54, 1.25, 1.3])
    masks = some_masks(first_frame=5, times=times)
    masks.masks[:, 1] = False
    back = load_masks(save_masks(target(tmp_path, format), masks, format=format))
    np.testing.assert_array_equal(back.times, times)
    assert (back.object_ids.tolist(), back.names) == ([3, 12, 7], masks.names)
    even = some_masks(first_frame=5)
    assert load_masks(save_masks(target(tmp_path, format), even, format=format)).times is None


@pytest.mark.parametrize("format", ["coco", "npz"])
def test_what_is_written_piece_by_piece_keeps_order_and_times(tmp_path, format):
    """Of objects that a piece does not know yet as well."""
    masks = some_masks(names=(), times=np.array([0.5, 0.54, 1.25, 1.3]))
    like = Video(np.zeros((1, WH[1], WH[0], 3), np.uint8))
    with mask_writer(format, tmp_path / "clip", like, [12, 3, 7]) as append:
        append(masks.clip(0, 1).select([2, 0]), [])
        append(masks.clip(1), [])
    back = load_masks(tmp_path / f"clip{MASK_EXPORTS[format]}")
    assert back.object_ids.tolist() == [12, 3, 7]
    np.testing.assert_array_equal(back.times, masks.times)


@pytest.mark.parametrize("format", ALL)
def test_no_objects_are_fine(tmp_path, format):
    masks = some_masks().select([])
    back = load_masks(save_masks(target(tmp_path, format), masks, format=format))
    assert back.masks.shape == masks.masks.shape


@pytest.mark.parametrize("format", ["davis", "ytvos"])
def test_pictures_refuse_what_they_cannot_hold_before_anything_is_written(tmp_path, format):
    path = target(tmp_path, format)
    with pytest.raises(ValueError, match=r"overlap on frame 0; decide with masks.exclusive\(\)"):
        save_masks(path, some_masks(exclusive=False), format=format)
    masks = some_masks()
    for wrong in (0, 255, 256):
        with pytest.raises(ValueError, match=r"ids in 1\.\.254 for indexed PNGs"):
            save_masks(path, Masks(masks.masks, [1, wrong, 2]), format=format)
    assert not path.exists()


def test_davis_pictures_are_indices_in_the_palette(tmp_path):
    masks = some_masks(first_frame=2)
    folder = save_masks(tmp_path / "bear", masks)
    assert sorted(path.name for path in folder.iterdir()) == [f"{i:05d}.png" for i in (2, 3, 4, 5)]
    with Image.open(folder / "00003.png") as image:
        assert (image.mode, image.size) == ("P", WH)
        pixels = np.asarray(image)
        colors = np.asarray(image.convert("RGB"))
    assert set(np.unique(pixels)) == {0, 3, 7, 12}
    for place, number in enumerate([3, 12, 7]):
        np.testing.assert_array_equal(pixels == number, masks.masks[1, place].numpy())
    np.testing.assert_array_equal(colors, davis_palette()[pixels])
    expected = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128)]
    np.testing.assert_array_equal(davis_palette()[:6], expected)
    assert davis_palette()[255].tolist() == [224, 224, 192]


def test_pieces_of_a_stream_go_to_one_folder(tmp_path):
    masks = some_masks(6)
    for piece in (masks.clip(0, 2), masks.clip(2)):
        save_masks(tmp_path / "whole", piece, format="ytvos", video_name="clip")
    for number, pixels in by_id(load_masks(tmp_path / "whole")).items():
        assert torch.equal(pixels, by_id(masks)[number])
    frames = json.loads((tmp_path / "whole" / "meta.json").read_text())["videos"]["clip"]["objects"]
    assert frames["12"] == {"category": "", "frames": ["00001", "00002", "00003", "00004"]}
    assert frames["3"] == {"category": "bear", "frames": [f"{i:05d}" for i in range(6)]}


def test_saving_again_takes_frames_away_from_the_meta_file(tmp_path):
    masks = some_masks()
    save_masks(tmp_path / "a", masks, format="ytvos", video_name="clip")
    gone = Masks(torch.zeros_like(masks.masks), masks.object_ids)
    save_masks(tmp_path / "a", gone.clip(1), format="ytvos", video_name="clip")
    objects = json.loads((tmp_path / "a" / "meta.json").read_text())["videos"]["clip"]["objects"]
    assert objects["3"] == {"category": "bear", "frames": ["00000"]}
    assert objects["12"]["frames"] == []


def test_a_youtube_vos_folder_holds_several_videos(tmp_path):
    for name in ("a", "b"):
        save_masks(tmp_path / "set", some_masks(), format="ytvos", video_name=name)
    assert set(json.loads((tmp_path / "set" / "meta.json").read_text())["videos"]) == {"a", "b"}
    with pytest.raises(ValueError, match="expected one video in Annotations, got 2: a, b"):
        load_masks(tmp_path / "set")
    assert load_masks(tmp_path / "set" / "Annotations" / "b").names == ("bear", "dog", "")


def test_ytvis_is_what_youtube_vis_expects(tmp_path):
    masks = some_masks(exclusive=False)
    content = json.loads(save_masks(tmp_path / "clip.json", masks, format="ytvis").read_text())
    video = content["videos"][0]
    assert (video["width"], video["height"], video["length"]) == (*WH, 4)
    assert video["file_names"][1] == "clip/00001.jpg"
    categories = {entry["id"]: entry["name"] for entry in content["categories"]}
    assert [categories[one["category_id"]] for one in content["annotations"]] == ["bear", "object", "dog"]
    absent = content["annotations"][1]
    assert [absent[name][0] for name in ("segmentations", "areas", "bboxes")] == [None] * 3
    for place, annotation in enumerate(content["annotations"]):
        for row in (1, 2):
            pixels = masks.masks[row, place].numpy()
            segment = annotation["segmentations"][row]
            assert segment["size"] == [WH[1], WH[0]]
            np.testing.assert_array_equal(rle.decode(segment), pixels)
            assert annotation["areas"][row] == pixels.sum()
            y, x = np.nonzero(pixels)
            box = [x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1]
            assert annotation["bboxes"][row] == box


def test_runs_go_down_the_columns(tmp_path):
    pixels = np.zeros((1, 1, 3, 4), bool)
    pixels[0, 0, 1:, 1] = True  # column-major: 4 zeros, 2 ones, 6 zeros
    content = json.loads(save_masks(tmp_path / "a.json", Masks(pixels), format="ytvis").read_text())
    assert content["annotations"][0]["segmentations"][0]["counts"] == "426"


def test_polygons_and_open_runs_of_others_are_read(tmp_path):
    square = [[2, 1, 6, 1, 6, 4, 2, 4]]
    runs = {"size": [5, 8], "counts": [11, 3, 26]}
    video = {"id": 9, "width": 8, "height": 5, "length": 3, "file_names": ["a", "b", "c"]}
    annotation = {
        "id": 4, "video_id": 9, "category_id": 1, "segmentations": [square, None, runs], "iscrowd": 0,
    }  # fmt: skip
    content = {
        "videos": [video],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "other.json").write_text(json.dumps(content))
    masks = load_masks(tmp_path / "other.json", fps=6)
    assert (masks.names, masks.fps, masks.object_ids.tolist()) == (("cat",), 6, [4])
    assert masks.masks.sum(dim=(2, 3)).tolist() == [[12], [0], [3]]
    assert masks.masks[0, 0, 1:4, 2:6].all()
    assert masks.masks[2, 0, 1:4, 2].all()
    assert masks.scores.tolist() == [[1], [0], [1]]


def write_png(path, pixels, mode="L"):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).convert(mode).save(path)


def test_davis_2016_has_one_object_of_255_and_later_sets_a_void(tmp_path):
    write_png(tmp_path / "2016" / "00000.png", [[0, 255], [0, 0]])
    write_png(tmp_path / "2016" / "00001.png", [[0, 0], [0, 0]])
    masks = load_masks(tmp_path / "2016")
    assert masks.object_ids.tolist() == [1]
    assert masks.masks.sum(dim=(1, 2, 3)).tolist() == [1, 0]
    write_png(tmp_path / "2017" / "00000.png", [[0, 255], [2, 2]])
    masks = load_masks(tmp_path / "2017")
    assert masks.object_ids.tolist() == [2]
    assert masks.masks[0, 0].tolist() == [[False, False], [True, True]]


def test_folders_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="found nothing at"):
        load_masks(tmp_path / "no")
    write_png(tmp_path / "a" / "cover.png", [[0, 1]])
    with pytest.raises(FileNotFoundError, match="named by frame"):
        load_masks(tmp_path / "a")
    write_png(tmp_path / "a" / "00003.png", [[0, 1]])
    write_png(tmp_path / "a" / "00005.png", [[0, 1]])
    with pytest.raises(ValueError, match="from 00003.png on, got none for frame 4"):
        load_masks(tmp_path / "a")
    write_png(tmp_path / "a" / "00004.png", [[0, 1, 1]])
    with pytest.raises(ValueError, match=r"00004.png: expected \(2, 1\) pixels, got \(3, 1\)"):
        load_masks(tmp_path / "a")
    write_png(tmp_path / "a" / "00004.png", [[0, 1]], "RGB")
    with pytest.raises(ValueError, match=r"00004.png: expected indices .* got mode RGB"):
        load_masks(tmp_path / "a")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "[]", "it holds a list"),
        ("a.json", "{}", "no 'videos'"),
        ("a.json", "nonsense", "expected masks .*, but"),
        ("a.json", '{"videos": [], "annotations": []}', "it holds 0 videos"),
        ("a.npz", "nonsense", "expected masks .*, but"),
        ("a.txt", "", "in .json, .npz or a folder, got '.txt'"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        load_masks(tmp_path / name)


@pytest.mark.parametrize(("name", "format"), [("a.tif", None), ("a", "pickle"), ("a.mp4", None)])
def test_unknown_formats_are_refused(tmp_path, name, format):
    with pytest.raises(ValueError, match="among npz, davis, ytvos, coco"):
        save_masks(tmp_path / name, some_masks(), format=format)


def read_rgba(path):
    """(t, h, w, 4) uint8 and (t,) seconds. FFmpeg's own decoder of VP9 drops the alpha that libvpx reads."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = stream.codec_context
        if decoder.name.startswith(("vp9", "libvpx")):
            decoder = av.CodecContext.create("libvpx-vp9", "r")
        frames = [
            frame for packet in container.demux(stream) if packet.size for frame in decoder.decode(packet)
        ]
        frames += decoder.decode(None)
        times = [float(frame.pts * stream.time_base) for frame in frames]
    return np.stack([frame.to_ndarray(format="rgba") for frame in frames]), np.array(times)


@pytest.mark.parametrize(
    ("suffix", "alpha_off", "color_off"), [(".mov", 2, 6), (".webm", 8, 24), (".mkv", 0, 0)]
)
@pytest.mark.parametrize("wh", [(64, 48), (63, 47)])
def test_cutout_is_opaque_on_the_objects_only(tmp_path, suffix, alpha_off, color_off, wh):
    y, x = np.mgrid[: wh[1], : wh[0]]
    picture = np.stack([60 + 2 * x, 200 - 2 * y, 90 + x + y], axis=-1).astype(np.uint8)
    times = np.array([0, 0.1, 0.3, 0.4])
    video = Video(np.stack([picture] * 4), 10, times)
    pixels = np.zeros((2, 2, wh[1], wh[0]), bool)
    pixels[:, 0, 10:30, 12:40] = True
    pixels[1, 1, 35:45, 50:60] = True
    path = save_masks(tmp_path / "new" / f"cut{suffix}", Masks(pixels, first_frame=1), video=video)
    rgba, seconds = read_rgba(path)
    assert rgba.shape == (4, 48, 64, 4)
    np.testing.assert_allclose(seconds, times, atol=0.002)
    alpha = rgba[:, : wh[1], : wh[0], 3].astype(int)
    expected = np.concatenate([0 * pixels[:1, 0], pixels.any(axis=1), 0 * pixels[:1, 0]]) * 255
    assert np.abs(alpha - expected).max() <= alpha_off
    inside = expected > 0
    off = np.abs(rgba[:, : wh[1], : wh[0], :3].astype(int) - video.frames)[inside]
    assert off.max() <= color_off
    assert not rgba[:, wh[1] :, :, 3].any() or alpha_off
    assert rgba[1:3, 42:, :30, :3].max() < 24 + color_off  # nothing of the frame leaks far from the objects


def test_cutouts_that_do_not_fit_are_refused(tmp_path):
    video = Video(np.zeros((2, 48, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="one of .mov, .webm, .mkv; got '.mp4'"):
        save_masks(tmp_path / "a.mp4", Masks(np.zeros((2, 1, 48, 64), bool)), format="cutout", video=video)
    with pytest.raises(ValueError, match="frames of 48 x 64 pixels as the masks are for, got 64 x 48"):
        save_masks(tmp_path / "a.mov", Masks(np.zeros((2, 1, 64, 48), bool)), format="cutout", video=video)
    assert not (tmp_path / "a.mov").exists()


def test_labels_for_yolo_say_what_they_are(tmp_path):
    """Polygons in 0..1 without the frame's size: nothing that masks can be made from again."""
    folder = save_masks(tmp_path / "clip_yolo", some_masks(), format="yolo")
    for path in (folder, folder / "labels"):
        with pytest.raises(ValueError, match=r"got labels for YOLO, .* load the \.npz of the same masks"):
            load_masks(path)


def test_exports_of_masks_and_of_tracks_never_have_the_same_name():
    """Both commands write beside the drawn videos, in the same folder, and neither may replace the other's."""
    masks = {name: ending for name, ending in MASK_EXPORTS.items() if name != "npz"}  # NAME_masks.npz
    assert not set(masks.values()) & {ending for ending, _ in TRACK_EXPORTS.values()}
