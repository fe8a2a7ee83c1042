"""Tracks as a Tracker of Fusion and DaVinci Resolve: a .setting file to drag in, or to paste as text."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pointtrack.io.formats.text import keyed_places, plain_names
from pointtrack.types import Tracks

FIRST = 0  # Fusion's number of a video's first frame


def lines(tracks: Tracks, first_number: int | None) -> Iterator[str]:
    """A Tracker with a path per point, with keys where it is visible; 0..1 from outer edge to outer edge, y goes up."""
    offset = tracks.first_frame + (FIRST if first_number is None else first_number)
    keys, names = keyed_places(tracks), plain_names(tracks)
    scaled = (tracks.xy.double().numpy() + 0.5) / np.array(tracks.wh)
    scaled[..., 1] = 1 - scaled[..., 1]
    yield "{\n\tTools = ordered() {\n\t\tpointtrack = Tracker {\n\t\t\tTrackers = {\n"
    yield "\t\t\t\t{ PatternTime = 0, PatternX = 0.5, PatternY = 0.5 },\n" * len(names)
    yield "\t\t\t},\n\t\t\tInputs = {\n"
    for k, (name, label) in enumerate(zip(names, tracks.queries.labels(), strict=True), 1):
        yield f'\t\t\t\tName{k} = Input {{ Value = "{_quoted(label)}", }},\n'
        yield f'\t\t\t\tTrackedCenter{k} = Input {{ SourceOp = "{name}_Path", Source = "Value", }},\n'
    yield "\t\t\t},\n\t\t\tViewInfo = OperatorInfo { Pos = { 0, 0 } },\n\t\t},\n"
    for n, name in enumerate(names):
        yield f'\t\t{name}_Path = XYPath {{\n\t\t\tShowKeyPoints = false,\n\t\t\tDrawMode = "ModifyOnly",\n'
        yield "\t\t\tInputs = {\n"
        for axis in "XY":
            yield f'\t\t\t\t{axis} = Input {{ SourceOp = "{name}_{axis}", Source = "Value", }},\n'
        yield "\t\t\t},\n\t\t},\n"
        rows = np.flatnonzero(keys[:, n]).tolist()
        for i, axis in enumerate("XY"):
            yield f"\t\t{name}_{axis} = BezierSpline {{\n\t\t\tNameSet = true,\n\t\t\tKeyFrames = {{\n"
            for row in rows:
                yield f"\t\t\t\t[{row + offset}] = {{ {scaled[row, n, i]:.9g}, Flags = {{ Linear = true }} }},\n"
            yield "\t\t\t},\n\t\t},\n"
    yield '\t},\n\tActiveTool = "pointtrack"\n}\n'


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
