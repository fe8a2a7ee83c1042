"""Sinks that hold rows back."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from pointtrack.io.video import open_video
from pointtrack.pipeline import sinks
from pointtrack.pipeline.sinks import CallSink, Piece, SmoothSink, VideoSink
from pointtrack.types import Queries, Tracks


def rows_of(first: int, count: int) -> Tracks:
    known, queries = torch.ones(count, 1), Queries(torch.zeros(1), torch.ones(1, 2))
    return Tracks(torch.ones(count, 1, 2), known, known, queries, (8, 8), first_frame=first)


def test_smoothed_rows_keep_their_frames_behind_rows_without(monkeypatch):
    """The first rows of a run that went on have no frames, as `Piece` says."""
    given: list[Piece] = []
    inner = CallSink(lambda rows: None)
    monkeypatch.setattr(inner, "write", given.append)
    sink = SmoothSink(inner, 2)
    for first, count, has_frames in ((0, 3, False), (3, 4, True), (7, 5, True)):
        frames = [(np.full((8, 8, 3), first + i, np.uint8), float(first + i)) for i in range(count)]
        sink.write(Piece(rows_of(first, count), frames if has_frames else []))
    sink.close()
    assert sum(len(piece.rows) for piece in given) == 12
    pairs = [
        (piece.rows.first_frame + i, int(frame[0, 0, 0]))
        for piece in given
        for i, (frame, _) in enumerate(piece.frames)
    ]
    assert pairs and all(number == shown for number, shown in pairs)
    assert [number for number, _ in pairs] == list(range(5, 12))


def test_a_full_disk_ends_a_run_at_the_next_frame_not_after_the_last(tmp_path, monkeypatch):
    frames = np.zeros((4, 8, 8, 3), np.uint8)

    def full(path, video):
        next(video)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sinks, "write_video", full)
    with (
        pytest.raises(OSError, match="No space left"),
        VideoSink(tmp_path / "a.mp4", open_video(frames)) as sink,
    ):
        for frame in range(1000):
            sink.write(Piece(rows_of(frame, 1), [(frames[0], float(frame))]))
            time.sleep(0.01)
        pytest.fail("the run went on to its end")
