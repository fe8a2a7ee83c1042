"""What people see before anything runs: overview, help, completion, and hints at slips."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest

import pointtrack as pt
from pointtrack.cli import main as cli
from pointtrack.cli import plugins, registry
from pointtrack.cli.examples import EXAMPLES
from pointtrack.cli.help_text import help_text, options_of
from pointtrack.cli.options import VideoOptions
from pointtrack.cli.plugins import entry_points, load_command
from pointtrack.cli.runner import build_parser, run_command, spell_out
from pointtrack.io.formats import needs

COMMANDS = registry.commands()
ENTRIES = entry_points()
NAMES = [*COMMANDS, *(name for name in ENTRIES if name in registry.CHECKOUT_ABOUT)]


def test_the_overview_begins_with_what_most_people_come_for(capsys):
    assert cli.main([]) == 0
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    names = re.findall(r"^  ([a-z-]+(?: check| convert)?) {2,}\S", text.split("examples:")[0], re.MULTILINE)
    first = [name for name in registry.FIRST if name in COMMANDS]
    assert names[: len(first)] == first
    assert "more:" in text
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"pointtrack {pt.__version__}\n"


@pytest.mark.parametrize("name", NAMES)
def test_help_is_short_shows_examples_and_no_classes(name, capsys):
    assert cli.main([*name.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: pointtrack {name}")
    assert len(text.split("\n\n")[0].splitlines()) == 1
    examples = text.split("\nexamples:\n")[1].split("\n\n")[0].splitlines()
    assert len(examples) >= 3
    assert not re.search(r"numpy|ndarray|cv2|torch\.|<class|Optional\[|NoneType|uint8", text)
    for option in options_of(load_command(name, COMMANDS, ENTRIES)):
        assert option.text, f"--{option.name} is not explained"


def test_what_may_be_left_out_stands_in_brackets(capsys):
    for name, usage in (("demo", "[VIDEO]"), ("eval-still", "[VIDEOS ...]"), ("track", "VIDEO"), ("convert", "WEIGHTS OUT")):  # fmt: skip
        assert cli.main([name, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"usage: pointtrack {name} {usage} [options]\n")


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_read_as_they_stand(name):
    command = load_command(name, COMMANDS, ENTRIES)
    parser = build_parser(command, f"pointtrack {name}")
    for line in EXAMPLES[name]:
        words = shlex.split(re.split(r" {4,}", line)[0].rpartition("| ")[2])
        assert " ".join(words[: 1 + len(name.split())]) == f"pointtrack {name}"
        parser.parse_args(spell_out(words[1 + len(name.split()) :], command, parser))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("trak", "did you mean track"),
        ("segmnt x.mp4", "did you mean segment"),
        ("--grid 3", "expected a command or a video first, got the option --grid"),
        (
            "track x.mp4 --gird 3",
            r"unrecognized option --gird; did you mean --grid\? pointtrack track --help",
        ),
        ("track x.mp4 --max-frame 3", "did you mean --max-frames"),
        ("track x.mp4 --max 3", r"did you mean --max-frames\?"),
        ("track x.mp4 --tra 3", r"did you mean --tracker or --trail\?"),
        ("track x.mp4 --back", r"did you mean --backward or --no-backward\?"),
        ("track x.mp4 --no-back", r"did you mean --no-backward\?"),
        ("track x.mp4 --color_bi id", "did you mean --color-by"),
        ("track x.mp4 --grid many", "grid: expected a whole number, got many"),
        ("track x.mp4 --trail lots", "trail: expected a whole number, got lots"),
        ("track", "required: video; pointtrack track --help shows examples"),
        ("nothing.mp4", "nothing.mp4: expected a video"),
    ],
)
def test_slips_get_a_hint(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.mp4").touch()
    assert cli.main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pointtrack: error: ")
    assert err.count("\n") == 1
    assert re.search(message, err), err


def test_a_name_of_two_groups_is_typed_with_its_group(capsys):
    """--frames of `finetune` is a number of frames per clip, and one of frames to label."""
    assert cli.main(["finetune", "--help"]) == 0
    text = capsys.readouterr().out
    assert "--scene.frames N" in text and "--labels.frames N" in text and "  --frames " not in text
    assert cli.main(["finetune", "videos", "--frames", "2"]) == 2
    assert "--frames: expected its group too, --scene.frames or --labels.frames" in capsys.readouterr().err


def test_defaults_of_a_group_are_those_of_the_command(capsys):
    assert cli.main(["finetune", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "to a hundredth (default: 400)" in text and "the highest learning rate (default: 0.0001)" in text


def test_groups_that_may_be_left_out_say_how_to_see_their_settings(capsys):
    assert cli.main(["train", "--help"]) == 0
    assert "its settings: --loop.help" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", ["track", "segment", "dense", "live"])
def test_the_same_options_everywhere(name):
    names = {option.name for option in options_of(COMMANDS[name].load())}
    assert {"tracker", "device", "precision", "speed", "out", "overwrite"} <= names


@pytest.mark.parametrize("arguments", ["track", "segment --click 0,9,9", "dense"])
def test_precision_and_speed_are_heeded(arguments, tiny_video_file, tmp_path, monkeypatch, capsys):
    def loaded(self, wh):
        raise ValueError(f"{self.tracker} in {self.precision}, {self.speed}, for {wh}")

    monkeypatch.setattr(VideoOptions, "loaded", loaded)
    name, *rest = arguments.split()
    options = ["--precision", "bfloat16", "--speed", "fast", "--tracker", "x", "--out", str(tmp_path / "o")]
    assert cli.main([name, str(tiny_video_file), *rest, *options]) == 2
    assert "x in bfloat16, fast, for (64, 48)" in capsys.readouterr().err


def test_a_switch_that_is_on_can_be_turned_off():
    command = COMMANDS["track"].load()
    parser = build_parser(command, "pointtrack track")
    values = parser.parse_args(spell_out(["a.mp4", "--no-backward", "--legend"], command, parser))
    assert values.backward is False
    assert values.style.legend is True


def test_help_shows_both_forms_of_a_switch_that_is_on():
    text = " ".join(help_text(COMMANDS["track"].load(), "pointtrack track").split())
    assert "--[no-]backward also track from each point's frame back to the first one (default: on)" in text
    assert "--states tell for every point" in text and "switch off:" not in text


def test_help_lists_nested_options_under_a_title():
    text = help_text(COMMANDS["track"].load(), "pointtrack track")
    assert re.search(r"\nhow to draw the tracks:\n  --trail N ", text)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_valid_and_complete(shell, capsys, tmp_path):
    assert cli.main(["--print_completion", shell]) == 0
    script = capsys.readouterr().out
    assert "--grid" in script or "-l grid" in script
    (tmp_path / "script").write_text(script)
    if shell == "fish" and shutil.which("fish"):
        subprocess.run(["fish", "-n", tmp_path / "script"], check=True)
    if shell == "bash":
        ask = f"source {tmp_path}/script; COMP_WORDS=({{words}}); COMP_CWORD={{at}}; _pointtrack; echo ${{COMPREPLY[@]}}"
        for words, at, expected in (("pointtrack tr", 1, "track"), ("pointtrack track --gr", 2, "--grid"), ("pointtrack track --no-b", 2, "--no-backward")):  # fmt: skip
            run = ["bash", "-c", ask.replace("{words}", words).replace("{at}", str(at))]
            assert expected in subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()


def test_unknown_shells_are_told(capsys):
    assert cli.main(["--print-completion=tcsh"]) == 2
    assert "expected one of bash, zsh, fish, got 'tcsh'" in capsys.readouterr().err


def test_every_extra_that_is_named_exists():
    root = Path(pt.__file__).parents[1]
    setup = ConfigParser()
    setup.read(root / "setup.cfg", encoding="utf-8")
    extras = set(setup["options.extras_require"])
    pages = [
        root / "README.md",
        *root.joinpath("docs").rglob("*.md"),
        *root.joinpath("pointtrack").rglob("*.py"),
    ]
    named = {
        extra
        for path in pages
        for group in re.findall(r"pointtrack\[([a-z0-9,]+)\]", path.read_text(encoding="utf-8"))
        for extra in group.split(",")
    }
    assert named and named <= extras
    assert {*plugins.EXTRAS.values(), *needs.EXTRAS.values()} <= extras


@pytest.mark.parametrize(("name", "package"), [("batch", "pointtrack[fleet]"), ("dense", "pointtrack")])
def test_a_command_that_lacks_a_package_says_what_to_install(name, package):
    def load():
        raise ImportError("No module named 'x'")

    with pytest.raises(
        ValueError,
        match=re.escape(f"{name} cannot be used: No module named 'x'; try pip install '{package}'"),
    ):
        load_command(name, {name: SimpleNamespace(load=load)}, {})


def test_version_and_slips_need_no_torch():
    code = (
        "import sys; from pointtrack.cli.main import main; main(['--version']); main(['trak']); main([]); "
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules or 'cv2' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_python_m_pointtrack_is_the_command():
    run = [sys.executable, "-m", "pointtrack", "--version"]
    root = Path(pt.__file__).parents[1]
    shown = subprocess.run(run, capture_output=True, text=True, check=True, cwd=root).stdout
    assert shown == f"pointtrack {pt.__version__}\n"


def test_a_list_may_stand_behind_an_equals_sign():
    command = load_command("track", COMMANDS, ENTRIES)
    parser = build_parser(command, "pointtrack track")
    spelled = spell_out(["x.mp4", "--points=0,80,45", "--points=3,1,2"], command, parser)
    assert parser.parse_args(spelled).points == ["0,80,45", "3,1,2"]


def test_choices_are_named(capsys):
    def command(task: Literal["matching", "tracking"] = "tracking") -> None:
        pass

    assert run_command(lambda: command, ["--task", "matchin"], "train") == 2
    assert capsys.readouterr().err == "train: error: task: expected matching, tracking, got matchin\n"
