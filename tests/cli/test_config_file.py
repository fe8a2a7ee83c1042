"""Files of options: nothing is imported, nothing blows up, and no other content is shown."""

import re
import sys

import pytest

from pointtrack.cli.main import main
from pointtrack.cli.runner import build_parser, spell_out
from pointtrack.cli.track import TrackCommand

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("style: this.Zen", "style: expected its own options"),
        ("style: {class_path: this.Zen}", "class_path"),
        ("style: [1]", "style: expected its own options"),
        ("grid: {class_path: this.Zen, init_args: {}}", "class_path"),
        ("config: other.yaml", "no config within a config"),
        (LAUGHS, "line 2: expected plain values, got an alias"),
        ("grid: " + "[" * 100, "too deep"),
        ("[" * 100_000, "too many or too deep"),
        ("a: 1\n" * 30_000, "too many"),
        ("grid: 3\nsecret: [", r"line \d"),
        ("root:x:0:0:root:/root:/bin/bash\nme:*:1000\n", "line|kind of file"),
        ("just text", "another kind of file"),
        ("\0\1", "YAML"),
        ("!!python/object/apply:os.system [id]", "constructor"),
        ("grid: 2020-99-99", "got an invalid value|grid"),
        (
            "grid: 2\nbackground: #00ff00\n",
            'line 2: expected a colour in quotes, background: "#00ff00", as YAML',
        ),
        ("colors:\n  - #0f0", "line 2: expected a colour in quotes, - "),
        ("x" * 2_000_000, "2000000 bytes"),
    ],
)
def test_nothing_is_imported_and_no_content_is_shown(tmp_path, capsys, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(content)
    (tmp_path / "none.mp4").touch()  # a missing video would be told first
    sys.modules.pop("this", None)
    assert main(["track", "none.mp4", "--config", "a.yaml"]) == 2
    printed = capsys.readouterr()
    error = printed.err.strip()
    assert "this" not in sys.modules and printed.out == ""
    assert re.search(message, error), error
    assert len(error) < 500 and len(error.splitlines()) == 1 and "/bin/bash" not in error


def test_no_shortened_name_goes_past_the_check(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("style: {class_path: this.Zen}")
    (tmp_path / "none.mp4").touch()
    sys.modules.pop("this", None)
    for words in (["--conf", "a.yaml"], ["--conf=a.yaml"]):
        assert main(["track", "none.mp4", *words]) == 2
        assert "unrecognized option --conf; did you mean --config?" in capsys.readouterr().err
    assert "this" not in sys.modules


@pytest.mark.parametrize("arguments", ["--style this.Zen", "--style.class_path this.Zen", "--style={a: 1}"])
def test_the_command_line_names_no_class(arguments, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("this", None)
    assert main(["track", "none.mp4", *arguments.split(" ", 1)]) == 2
    assert "this" not in sys.modules
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_ordinary_options_still_come_from_files(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("grid: 3\nstyle:\n  trail: 4\n")
    assert main(["track", "none.mp4", "--config", "a.yaml"]) == 2
    assert "none.mp4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "typed", "expected"),
    [
        ("trail: 4\nstyle: {color-by: speed}", "", {"style.trail": 4, "style.color_by": "speed"}),
        ("trail: 4", "--trail 5", {"style.trail": 5}),
        ("style: {trail: 4}", "--style.trail 5", {"style.trail": 5}),
        ("max-frames: 4\nsmooth: 2", "--max_frames 5", {"max_frames": 5, "smooth": 2}),
        ("no-backward: true\nflat: true", "--no-flat", {"backward": False, "flat": False}),
        ("points: ['0,1,2', '0,3,4']", "", {"points": ["0,1,2", "0,3,4"]}),
        ("points: 0,1,2", "", {"points": ["0,1,2"]}),
        ("points: ['0,1,2']", "--points 0,5,6 0,7,8", {"points": ["0,5,6", "0,7,8"]}),
        ("points: ['0,1,2']", "--points=0,5,6 --points 0,7,8", {"points": ["0,5,6", "0,7,8"]}),
        ("start: 1e-4\nvideo: other.mp4", "", {"start": 1e-4, "video": "clip.mp4"}),
        ("", "", {"grid": None}),
    ],
)
@pytest.mark.parametrize("last", [True, False])
def test_a_file_takes_the_names_of_the_command_line_which_wins(tmp_path, content, typed, expected, last):
    (tmp_path / "a.yaml").write_text(content)
    named, words = ["--config", str(tmp_path / "a.yaml")], ["clip.mp4", *typed.split()]
    parser = build_parser(TrackCommand, "pointtrack track")
    values = parser.parse_args(
        spell_out([*words, *named] if last else [*named, *words], TrackCommand, parser)
    )
    assert {name: values[name] for name in expected} == expected


def test_of_several_files_the_later_wins(tmp_path):
    (tmp_path / "a.yaml").write_text("grid: 3\npoints: ['0,1,2']\nsmooth: 1")
    (tmp_path / "b.yaml").write_text("grid: 4\npoints: ['0,3,4']")
    files = [f"--config={tmp_path / 'a.yaml'}", f"--config={tmp_path / 'b.yaml'}"]
    parser = build_parser(TrackCommand, "pointtrack track")
    values = parser.parse_args(spell_out(["clip.mp4", *files], TrackCommand, parser))
    assert (values.grid, values.points, values.smooth) == (4, ["0,3,4"], 1)


@pytest.mark.parametrize(
    ("content", "message"), [("gird: 3", r"gird; did you mean --grid\?"), ("style: {trial: 3}", "trial")]
)
def test_a_slip_in_a_file_is_told(tmp_path, capsys, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(content)
    (tmp_path / "none.mp4").touch()
    assert main(["track", "none.mp4", "--config", "a.yaml"]) == 2
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize("option", ["--print_config", "--print-config"])
def test_the_options_are_printed_as_a_file(tmp_path, tiny_video_file, capsys, option):
    with pytest.raises(SystemExit) as ended:
        main(["track", str(tiny_video_file), "--max-frames", "7", option])
    assert not ended.value.code
    (tmp_path / "preset.yaml").write_text(printed := capsys.readouterr().out)
    assert "max_frames: 7\n" in printed
    given = spell_out(
        ["--config", str(tmp_path / "preset.yaml")], TrackCommand, build_parser(TrackCommand, "track")
    )
    assert "max_frames: 7\n" in given[0]
