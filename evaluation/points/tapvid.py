"""TAP-Vid pickles as examples: DAVIS, RGB-Stacking, Kinetics shards, RoboTAP splits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evaluation.points.example import Example, sampled_example
from evaluation.points.metrics import QueryMode
from pointtrack.datasets.tapvid import tapvid_clips


def tapvid_examples(path: str | Path, mode: QueryMode = "first") -> Iterator[Example]:
    """Yield one example per video of a TAP-Vid pickle; see `tapvid_clips` for its layout.

    Videos without a visible point are left out, as their metrics are not defined.

    Raises:
        FileNotFoundError: no such file. ValueError: a file of another layout.
    """
    for source in tapvid_clips(path):
        clip = source.read()
        assert clip.tracks is not None
        example = sampled_example(clip.name, clip.video, clip.tracks.xy, clip.tracks.visible, mode)
        if len(example.queries):
            yield example
