from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("embreex", reason="drawing by rays needs embreex (pip install 'pointtrack[train]')")

from pointtrack.datasets.format import read_clip
from pointtrack.datasets.validate import check_clip
from train.data.clips import FolderClips
from train.data.synthetic import SceneConfig
from train.kubric.plan import Assets, RenderSettings
from train.rays.__main__ import main
from train.rays.clips import draw_clips
from train.rays.plan import make_ray_plan

ROOT = Path(__file__).parents[3]
SMALL = RenderSettings(frames=4, wh=(96, 64), samples=1, tracks=64, seed=1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rays")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.rays.clips.PATTERNS", 3)  # the others of the seed are not drawn later either
        assert list(draw_clips(folder, 2, SMALL, (), workers=1)) == [0, 1]
    return folder


def test_a_clip_is_whole_and_true(drawn):
    assert check_clip(drawn / "clip_00000") == []
    clip = read_clip(drawn / "clip_00000")
    assert len(clip.video) == 4 and clip.video.wh == (96, 64)
    own = []
    for frame in range(4):
        seen = clip.tracks.visible[frame].numpy()
        x, y = clip.tracks.xy[frame, seen].round().long().T.numpy().clip(0, ((95,), (63,)))
        own.append(clip.labels[frame][y, x] == clip.tracks.object_ids[seen].numpy())
    assert np.concatenate(own).mean() > 0.9
    assert clip.video.frames.std() > 10


def test_the_same_number_is_the_same_clip_and_what_is_there_is_not_drawn_again(drawn, tmp_path):
    assert draw_clips(drawn, 2, SMALL, (), workers=1) == {}
    draw_clips(tmp_path, 1, SMALL, (), workers=1)
    one, other = read_clip(drawn / "clip_00000"), read_clip(tmp_path / "clip_00000")
    np.testing.assert_array_equal(one.video.frames, other.video.frames)
    np.testing.assert_array_equal(one.tracks.xy, other.tracks.xy)


def test_a_folder_holds_one_kind_of_clips(drawn, tmp_path):
    with pytest.raises(ValueError, match="begun with other settings"):
        draw_clips(drawn, 3, RenderSettings(frames=5, wh=(96, 64), samples=1, tracks=64, seed=1), ())
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ValueError, match="pictures was"):
        draw_clips(drawn, 3, SMALL, (tmp_path,))


def test_training_reads_them(drawn):
    config = SceneConfig(frames=4, sizes=((64, 48),), points=16)
    batch = FolderClips([drawn], config, 2, 0)[0]
    assert batch.frames.shape == (2, 4, 3, 48, 64) and batch.xy.shape == (2, 4, 16, 2)


def test_plans_follow_from_seed_and_number_and_many_are_about_creatures():
    plans = [make_ray_plan(SMALL, Assets(textures=("a.jpg",)), i) for i in range(40)]
    assert plans[3].record() == make_ray_plan(SMALL, Assets(textures=("a.jpg",)), 3).record()
    walks = [plan for plan in plans if plan.things[1].kind == "creature"]
    assert 12 < len(walks) < 36
    looks = [thing.appearance for plan in plans for thing in plan.things]
    assert 0.7 < np.mean([look == "picture:a.jpg" for look in looks]) < 1
    assert not any(
        look.startswith("picture:")
        for p in (make_ray_plan(SMALL, Assets(), 3),)
        for look in [t.appearance for t in p.things]
    )


def test_the_command_says_what_is_wrong_in_one_line(tmp_path, capsys):
    assert main(["draw", "--out", str(tmp_path / "out"), "--pictures", str(tmp_path)]) == 2
    error = f"error: pictures: expected .jpg files in {tmp_path}, found none\n"
    assert capsys.readouterr() == ("", error)
