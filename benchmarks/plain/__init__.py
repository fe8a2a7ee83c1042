"""CoTracker2, CoTracker3 offline and online the obvious way: the yardstick that the engine is measured against.

Written from the description of the published models, formula by formula, with nothing done to make it fast:
whole correlation volumes or four-tap sampling of whole maps, attention as soft-max of a product, and frames that two
windows share encoded for each of them in a stream. The modules bear the names of the published checkpoints, which load
as they are. `python -m benchmarks.yardstick` compares the two; `tests/benchmarks` holds that their answers are equal.

Axes: b video, t frame of the video, s frame of the window, n point, c channel, h w cells. Positions inside are in cells
of 4 pixels, at the borders of the package in pixels.
"""
