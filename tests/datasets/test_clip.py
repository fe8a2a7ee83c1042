"""The types of clips: what fits together is taken, what does not is refused with a reason."""

import numpy as np
import pytest
import torch

from pointtrack.datasets.clip import Clip, ClipInfo, SourceClip, TrueTracks, decode_picture
from pointtrack.types import Video

XY = torch.zeros(3, 2, 2)
SEEN = torch.ones(3, 2, dtype=torch.bool)


def test_what_is_left_out_is_filled_in():
    xy = XY.clone()
    xy[1, 0] = torch.nan
    seen = SEEN.clone()
    seen[1, 0] = False
    tracks = TrueTracks(xy, seen, ids=torch.tensor([7, 4]), query_frame=torch.tensor([2, 0]))
    assert tracks.valid.tolist() == [[True, True], [False, True], [True, True]]
    one = tracks.select([1])
    assert (one.ids.tolist(), one.query_frame.tolist(), one.object_ids) == ([4], [0], None)
    assert len(tracks.clip(1, 3)) == 2 and tracks.clip(1, 3).query_frame is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"xy": XY[..., :1]}, "true tracks xy: expected shape"),
        ({"visible": SEEN[:2]}, "true tracks visible: expected shape"),
        ({"visible": SEEN.int()}, "expected bool, got torch.int32"),
        ({"valid": ~SEEN}, "visible points to be valid"),
        ({"xy": XY * torch.nan, "valid": SEEN}, "a finite position wherever valid"),
        ({"ids": torch.tensor([1, 1])}, "distinct ids"),
        ({"object_ids": torch.tensor([1])}, "object_ids: expected shape"),
        ({"query_frame": torch.tensor([0, 3])}, r"frames in 0\.\.2"),
        (
            {"query_frame": torch.tensor([0, 1]), "visible": SEEN & (torch.arange(3) != 1)[:, None]},
            "visible on",
        ),
    ],
)
def test_tracks_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TrueTracks(**{"xy": XY, "visible": SEEN, **change})


def test_a_clip_fits_together():
    video = Video(np.zeros((3, 8, 6, 3), np.uint8))
    labels = np.zeros((3, 8, 6), np.uint8)
    labels[0, :2], labels[0, 4:6] = 5, 255
    masks = Clip("a", video, ClipInfo(objects={9: "fox"}), labels=labels).masks()
    assert (masks.object_ids.tolist(), masks.names) == ([9], ("fox",))
    assert Clip("a", video, labels=labels).masks().object_ids.tolist() == [5]  # 255 is no object
    with pytest.raises(ValueError, match="tracks of 3 frames"):
        Clip("a", video, tracks=TrueTracks(XY[:2], SEEN[:2]))
    with pytest.raises(ValueError, match="labels: expected shape"):
        Clip("a", video, labels=labels[:2])
    with pytest.raises(ValueError, match="positive"):
        ClipInfo(fps=0)
    with pytest.raises(ValueError, match=r"labels in 1\.\.254"):
        ClipInfo(objects={255: "void"})


def test_pictures_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"x frame 0 \(.*a\.jpg\): expected a picture"):
        SourceClip("x", [tmp_path / "a.jpg"]).read()
    with pytest.raises(FileNotFoundError, match="found nothing"):
        decode_picture(tmp_path / "b.jpg", "x")
    frames = [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 6, 3), np.uint8)]
    with pytest.raises(ValueError, match="frame 1: expected 4 x 4 pixels as the first frame, got 6 x 4"):
        SourceClip("x", frames).read()


def test_fewer_frames_and_points():
    xy = torch.arange(20.0).reshape(1, 10, 2).expand(4, 10, 2)
    seen = torch.ones(4, 10, dtype=torch.bool)
    seen[:, 3] = False
    frames = list(np.zeros((4, 5, 5, 3), np.uint8))
    masks = {0: np.ones((5, 5), np.uint8), 3: np.ones((5, 5), np.uint8)}
    source = SourceClip("x", frames, tracks=TrueTracks(xy, seen), masks=masks)
    short = source.first(2)
    assert (len(short.frames), len(short.tracks), list(short.masks)) == (2, 2, [0])
    assert source.first(9) is source
    few = [source.sampled(4, np.random.default_rng(1)).tracks.ids.tolist() for _ in range(2)]
    assert few[0] == few[1] == sorted(few[0]) and len(few[0]) == 4
    assert 3 not in source.sampled(9, np.random.default_rng(1)).tracks.ids  # never visible
