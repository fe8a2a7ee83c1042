"""Files of points as people and other tools write them."""

import numpy as np
import pytest
import torch

from pointtrack.io.queries import load_queries, save_queries
from pointtrack.io.tracks import save_tracks
from pointtrack.types import Queries, Tracks

ROWS = [[0, 1.5, 2], [3, 40.25, 5]]


@pytest.mark.parametrize(
    "text",
    [
        "frame,x,y\n0,1.5,2\n3,40.25,5\n",
        "frame;x;y\n0;1,5;2\n3;40,25;5\n",
        "t\tx\ty\n0\t1,5\t2\n3\t40,25\t5\n",
        "frame|x|y\n0|1.5|2\n3|40.25|5\n",
        "frame x y\n0 1.5 2\n3  40.25  5\n",
        "# made by hand\n\nframe,x,y\n# the nose\n0,1.5,2\n\n3,40.25,5\n",
        "Frame , X , Y\r\n0 , 1.5 , 2\r\n3 , 40.25 , 5\r\n",
        '"frame","x","y"\n"0","1.5","2"\n"3","40.25","5"\n',
        "index,axis-0,axis-1,axis-2\n0,0,2,1.5\n1,3,5,40.25\n",  # napari
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_tables(tmp_path, text, encoding):
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    queries = load_queries(tmp_path / "a.csv")
    assert torch.cat([queries.frame[:, None], queries.xy], dim=1).tolist() == ROWS


def test_points_of_one_picture_in_napari_are_on_frame_0(tmp_path):
    (tmp_path / "a.csv").write_text("index,axis-0,axis-1\n0,2,1.5\n1,5,40.25\n")
    queries = load_queries(tmp_path / "a.csv")
    assert queries.frame.tolist() == [0, 0]
    assert queries.xy.tolist() == [[1.5, 2], [40.25, 5]]


def test_names_are_kept_and_come_back(tmp_path):
    text = "frame;x;y;name\n0;1;2;N\u00e4se\n4;3;4;\n"
    for encoding in ("utf-8", "latin-1"):
        (tmp_path / "a.csv").write_bytes(text.encode(encoding))
        queries = load_queries(tmp_path / "a.csv")
        assert queries.names == ("N\u00e4se", "")
    for suffix in (".csv", ".json"):
        again = load_queries(
            save_queries(tmp_path / f"b{suffix}", Queries(0, [[1, 2], [3, 4]], [5, 0], ['a "b", c', ""]))
        )
        assert (again.names, again.ids.tolist()) == (('a "b", c', ""), [5, 0])
    (tmp_path / "c.csv").write_text("id,frame,x,y\nnose,0,1,2\ntail,0,3,4\n")
    assert load_queries(tmp_path / "c.csv").names == ("nose", "tail")


def test_deeplabcut(tmp_path):
    head = "scorer,{c}a,a,a,a\nbodyparts,{c}nose,nose,tail,tail\ncoords,{c}x,y,x,y\n"
    (tmp_path / "a.csv").write_text(
        head.format(c=",,") + "labeled-data,m,img007.png,1.5,2,,\nlabeled-data,m,img012.png,8,9,40.25,5\n"
    )
    queries = load_queries(tmp_path / "a.csv")
    assert (queries.names, queries.frame.tolist()) == (("nose", "tail"), [7, 12])
    assert queries.xy.tolist() == [[1.5, 2], [40.25, 5]]
    sure = "scorer,a,a,a\nbodyparts,nose,nose,nose\ncoords,x,y,likelihood\n"
    (tmp_path / "b.csv").write_text(sure + "0,,,\n1,1.5,2,0.9\n")
    assert load_queries(tmp_path / "b.csv").frame.tolist() == [1]


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_the_points_of_saved_tracks(tmp_path, suffix):
    queries = Queries([2, 0], [[1.5, 2], [3, 4]], [9, 4], ["nose", "tail"])
    sure = torch.ones(5, 2)
    path = save_tracks(tmp_path / f"t{suffix}", Tracks(torch.rand(5, 2, 2), sure, sure, queries, (20, 10)))
    again = load_queries(path)
    assert torch.equal(again.xy, queries.xy)
    assert (again.frame.tolist(), again.ids.tolist(), again.names) == ([2, 0], [9, 4], ("nose", "tail"))


def test_big_ids_stay_whole(tmp_path):
    (tmp_path / "a.csv").write_text(f"frame,x,y,id\n0,1,2,{2**53 + 1}\n")
    assert load_queries(tmp_path / "a.csv").ids.tolist() == [2**53 + 1]
    assert np.isfinite(load_queries(tmp_path / "a.csv").xy.numpy()).all()


@pytest.mark.parametrize(
    "text", ["frame,x,y,id\n0,1,2,7.0\n0.0,3,4,9.\n", "frame;x;y;id\n0;1;2;7,0\n0;3;4;9,0\n"]
)
def test_whole_ids_may_be_written_as_decimals(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    assert load_queries(tmp_path / "a.csv").ids.tolist() == [7, 9]


@pytest.mark.parametrize("number", ["1.5", "-inf", "1e400", "-nan"])
def test_other_ids_are_refused(tmp_path, number):
    (tmp_path / "a.csv").write_text(f"frame,x,y,id\n0,1,2,{number}\n")
    with pytest.raises(ValueError, match="line 2: expected numbers"):
        load_queries(tmp_path / "a.csv")


def test_whole_ids_in_json_may_be_decimals(tmp_path):
    (tmp_path / "a.json").write_text('[{"frame": 0, "x": 1, "y": 2, "id": 3.0}]')
    assert load_queries(tmp_path / "a.json").ids.tolist() == [3]
