"""What tests of several commands share."""

from __future__ import annotations

import pytest

from pointtrack.cli import main as cli


@pytest.fixture
def track_tiny(tiny_video_file, tiny_tracker_file, capsys):
    """Runs `track` on the tiny video with the results at `out`; its exit code, and what it printed."""

    def call(out, *arguments):
        paths = ["--out", str(out), "--tracker", str(tiny_tracker_file)]
        code = cli.main(["track", str(tiny_video_file), *map(str, arguments), *paths])
        return code, capsys.readouterr()

    return call
