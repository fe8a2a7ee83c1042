"""The table of commands and their modules. A module is imported when its command is called."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any


@dataclass(frozen=True)
class Entry:
    """A command.

    Attributes:
        place: module and name, as in "pointtrack.cli.track:TrackCommand".
        about: one line for the overview.
    """

    place: str
    about: str

    def load(self) -> Any:
        """The function or dataclass."""
        module, _, name = self.place.partition(":")
        return getattr(import_module(module), name)


# In the order of the overview: what most people need.
FIRST = {
    "track": Entry(
        "pointtrack.cli.track:TrackCommand", "track points through videos (also: pointtrack VIDEO)"
    ),
    "segment": Entry(
        "pointtrack.cli.segment:SegmentCommand", "follow objects: clicks, boxes, masks or tracks become masks"
    ),
    "ui": Entry("pointtrack.cli.ui:UiCommand", "a page in the browser: click, track, correct, export"),
    "live": Entry("pointtrack.cli.live:LiveCommand", "track in a camera, a stream or a pipe, frame by frame"),
}
MORE = {
    "demo": Entry("pointtrack.cli.demo:demo", "track a bundled clip, and compare with other methods"),
    "bench": Entry("pointtrack.cli.bench:bench", "measure how fast this machine tracks, at each speed"),
    "batch": Entry("pointtrack.cli.batch:BatchCommand", "run thousands of videos on one machine or many"),
    "convert": Entry("pointtrack.cli.convert:convert", "write published weights as one .safetensors file"),
    "data check": Entry("pointtrack.cli.data:check_data", "find errors in clips for training"),
    "data convert": Entry(
        "pointtrack.cli.data:convert_data", "convert published data sets to clips for training"
    ),
    "dense": Entry("pointtrack.cli.dense:DenseCommand", "track every pixel of a frame, in bounded memory"),
    "doctor": Entry("pointtrack.cli.doctor:doctor", "check this installation and show what is missing"),
    "models": Entry("pointtrack.cli.models:models", "list all trackers and segmenters; download one"),
    "export-onnx": Entry("pointtrack.cli.export_onnx:ExportOnnxCommand", "write a tracker as ONNX graphs"),
}
# Commands of a checkout; `pointtrack.cli.plugins` finds their modules.
CHECKOUT_ABOUT = {
    "eval": "score trackers on TAP-Vid and other sets",
    "eval-masks": "score masks on DAVIS and other sets",
    "eval-still": "measure how far points drift in a still video",
    "finetune": "adapt the shipped tracker to your videos",
    "train": "train a tracker or a segmenter",
}


def commands() -> dict[str, Entry]:
    """The available commands by name."""
    return {name: entry for name, entry in (FIRST | MORE).items() if find_spec(entry.place.partition(":")[0])}
