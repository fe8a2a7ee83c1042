"""The options of a batch are those of `track` and `segment`, by the same names."""

from __future__ import annotations

from dataclasses import fields, replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from pointtrack.cli.segment import SegmentCommand
from pointtrack.cli.track import TrackCommand
from pointtrack.fleet import JobOptions, work
from pointtrack.types import Video

# Of one video: where it is, which of its frames and where its results go, what a person saw and corrected in it, and going on
# with it, which a batch does by itself; masks of another run under its tracks, and its sound, which previews do not have.
OF_ONE_VIDEO = {
    "video", "keep", "out", "name", "overwrite", "resume", "session", "correct", "under", "sound",
}  # fmt: skip


@pytest.mark.parametrize("command", [TrackCommand, SegmentCommand])
def test_every_option_of_the_commands_is_there(command):
    theirs = {one.name: one for one in fields(command) if one.name not in OF_ONE_VIDEO}
    ours = {one.name: one for one in fields(JobOptions)}
    assert set(theirs) <= set(ours)
    for name, one in theirs.items():
        if name not in ("export", "style", "mask"):  # of both commands, with defaults of their own
            assert one.default == ours[name].default, name


def test_what_is_wanted():
    assert JobOptions().wants_tracks
    assert not JobOptions().wants_masks
    assert JobOptions(box=["0,1,1,5,5"]).wants_masks
    assert not JobOptions(box=["0,1,1,5,5"]).wants_tracks
    assert JobOptions(box=["0,1,1,5,5"], corners=4).wants_tracks
    both = JobOptions(mask=["area.png", "0,dog.png", "2:3,cat.png"])
    assert both.object_masks == ["0,dog.png", "2:3,cat.png"]
    assert both.area_mask == "area.png"


def test_the_digest_tells_options_apart_and_not_devices():
    first = JobOptions(grid=3)
    assert first.digest() == JobOptions(grid=3, device="cuda").digest()
    others = [
        replace(first, **change)
        for change in ({"grid": 4}, {"states": True}, {"threads": 2}, {"points": ["0,1,1"]})
    ]
    assert len({first.digest(), *(one.digest() for one in others)}) == 5


def test_masks_of_another_size_are_named(tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / "wide.png"), np.full((30, 50), 255, np.uint8))
    video = Video(np.zeros((2, 48, 64, 3), np.uint8))
    monkeypatch.setattr(work, "ObjectSession", lambda *_, **options: None)
    words = r"a picture of 64 x 48 \(width x height\) as the video, got 50 x 30 in .*wide.png;"
    with pytest.raises(ValueError, match=words):
        work.points_of(JobOptions(mask=[f"{tmp_path}/wide.png"])).on(video)
    with pytest.raises(ValueError, match=words):
        work.follow_objects(SimpleNamespace(engine=None), video, JobOptions(mask=[f"0,{tmp_path}/wide.png"]))
