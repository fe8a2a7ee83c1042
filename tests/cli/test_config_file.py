"""Files of options: nothing is imported, nothing blows up, and no other content is shown."""

import re
import sys

import pytest

from pointtrack.cli.main import main

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
        ("grid: 2020-99-99", "a value of it is none|grid"),
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
