"""What users hold: one object, configured once, that tracks points in memory, into a file, frame by frame or live."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pointtrack.io.live_reader import FrameReader
from pointtrack.io.video import VideoStream, open_video
from pointtrack.models.hub_model import HubModel
from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.stream import ObjectStream
from pointtrack.pipeline.backward import frames_both_ways, track_video
from pointtrack.pipeline.files import track_file
from pointtrack.pipeline.inputs import inputs_of, progress_of, with_names
from pointtrack.pipeline.live import LiveObjects, LiveTracker
from pointtrack.pipeline.options import TrackOptions, build_stream
from pointtrack.regions.placement import RegionOptions
from pointtrack.segment.base import Segmenter
from pointtrack.segment.zoo import load_segmenter
from pointtrack.states.stream import StateOptions
from pointtrack.tracking.stream import PointStream, Progress
from pointtrack.types import Masks, Queries, Tracks, Video
from pointtrack.zoo import load_tracker


class Tracker(HubModel):
    """Tracks any points through any video.

    Args:
        name: "small", the model that ships with the package; a published one, as "cotracker3-online"; the path of a file of
            weights or of a folder of ONNX graphs; or a network that is loaded already (`zoo.load_tracker`).
        device: "cpu", "cuda", ...; "auto" takes the GPU where there is one.
        states: say of every point and frame whether it is seen, hidden, out of frame or lost (`Tracks.states`); or how.
        regions: for small things: follow them in crops of the full-resolution frame that go along; or which crops.
        smooth: even out final positions over so many frames on each side; 0 for not.
        precision: "float32", or "bfloat16" on processors made for it.
        iterations: rounds of refinement per window, where they should differ from the model's own.
        step: frames by which windows move on, where it should differ from the model's own; 1 answers for every frame anew.
        looks: 2 to see every frame mirrored and larger too, which is more exact and takes 2.4 times as long.

    Raises:
        FileNotFoundError: neither a known name nor a file.
        ConnectionError, PermissionError: the hub cannot be reached, or does not give the file.
        ValueError: a file that holds no tracker, a device that this machine does not have, or a setting out of range.

    Attributes:
        network: the loaded model.
        options: what is done with it, beside `name` and what loading decides.

    >>> import numpy as np, pointtrack as pt
    >>> video = pt.Video(np.zeros((5, 48, 64, 3), np.uint8))
    >>> tracks = pt.Tracker("small").track(video, pt.Queries([0], [[20.0, 20.0]]))
    >>> tuple(tracks.xy.shape)
    (5, 1, 2)
    """

    def __init__(
        self,
        name: str | Path | PointTracker = "small",
        *,
        device: str = "auto",
        states: bool | StateOptions = False,
        regions: bool | RegionOptions = False,
        smooth: int = 0,
        precision: str = "float32",
        iterations: int | None = None,
        step: int | None = None,
        looks: int = 1,
    ):
        self.options = TrackOptions(
            (StateOptions() if states else None) if isinstance(states, bool) else states,
            (RegionOptions() if regions else None) if isinstance(regions, bool) else regions,
            smooth,
        )
        self.network: PointTracker = (
            load_tracker(
                name, device=device, precision=precision, iterations=iterations, step=step, looks=looks
            )
            if isinstance(name, str | Path)
            else name
        )

    @property
    def name(self) -> str:
        """Of the model."""
        return self.network.config.name

    @property
    def needs_whole_video(self) -> bool:
        """The model takes a video in one window: it can track in memory only."""
        return self.network.needs_whole_video

    def with_options(self, **changes: Any) -> Tracker:
        """The same network with other `TrackOptions`: states, regions, smooth, support_grid, support_local,
        steady."""
        other = Tracker(self.network)
        other.options = replace(self.options, **changes)
        return other

    def track(
        self, video: Any, queries: Any, *, backward: bool = True, progress: Progress | bool | None = None
    ) -> Tracks:
        """Track points through a whole video.

        Args:
            video: a `Video`, or anything that `read_video` takes: a path, a pattern, an array, frames.
            queries: `Queries`, or rows of (frame, x, y).
            backward: also track every point from its own frame back to the first one; otherwise its track is NaN before that.
            progress: called with the number of frames that each step has done; 2 passes over part of the video when
                points are tracked backward. True shows a bar.

        Returns:
            Tracks over all frames. Each point is exactly where it was asked for on its own frame, visible.

        Raises:
            ValueError: a query after the last frame or outside the image.
        """
        video, queries = inputs_of(video, queries)
        options = replace(self.options, backward=backward)
        total = frames_both_ways(self.network, queries, options, len(video))
        with progress_of(progress, total) as step:
            tracks = track_video(self.network, video, queries, options, progress=step)
            return with_names(tracks, queries).with_times(video.times)

    def track_to_file(
        self,
        source: Any,
        queries: Any,
        out: str | Path,
        *,
        backward: bool = True,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> Path:
        """Track points through a video of any length; memory holds one window of it.

        Args:
            source: a video file, a folder of pictures, a URL, or anything else that `open_video` takes.
            queries: points with their frames, as in `track`.
            out: the file of the tracks, which grows piece by piece; `load_tracks` reads it at any time. Beside it lies
                OUT.state, from which a run that was killed goes on.
            backward: as in `track`; for points after the first frame the video is read twice.
            resume: go on with what a killed run left at `out`, if there is anything; the result is the same to the last bit.
            progress: as in `track`.

        Returns:
            `out`.

        Raises:
            ValueError: a file of another kind, a tracker that needs the whole video, a query outside the image, a run to go on with that was
                another one, or a source that can be read only once, and points to track backward.
        """
        if Path(out).suffix.lower() != ".tracks":
            raise ValueError(
                f"out: expected a file ending in .tracks, which grows, got {out}; save_tracks(path, load_tracks(out)) makes "
                "others of it"
            )
        queries = Queries.of(queries)
        stdin = isinstance(source, str) and source == "-"
        once = stdin or not (
            isinstance(source, str | Path | Video | list | tuple) or hasattr(source, "shape")
        )
        if once and backward and bool((queries.frame > 0).any()):
            raise ValueError(
                f"backward: expected a video that can be read twice, got {type(source).__name__}; a file will do, or "
                "backward=False"
            )

        def opened(seconds: float | None) -> VideoStream:
            return open_video(source) if seconds is None else open_video(source, start=seconds)

        options = replace(self.options, backward=backward)
        track_file(self.network, opened, queries, out, options, resume=resume, progress=progress)
        return Path(out)

    def stream(self, queries: Any, wh: tuple[int, int], fps: float = 30.0) -> PointStream:
        """A stream that frames are pushed into; `push`, `preview`, `finish`, `add`, `remove` give and change tracks.

        Args:
            queries: points to track, as in `track`; frames are counted from the first frame pushed.
            wh: size of the frames as (width, height).
            fps: only noted in the tracks.

        Raises:
            ValueError: a query outside the image.
        """
        return build_stream(self.network, Queries.of(queries), wh, fps, self.options)

    def live(
        self,
        source: Any,
        queries: Any | Callable[[tuple[int, int]], Queries],
        *,
        on_final: Callable[[Tracks], None] | None = None,
        fps: float | None = None,
        drop: bool = True,
    ) -> LiveTracker:
        """Track points in a camera, a stream or a file, one answer per frame: loop over it, best in a `with` block.

        Args:
            source: index of a camera, a URL, a file, an iterator of frames, or a `FrameReader`.
            queries: the points as in `track`, frames counted from the first one tracked; or a function that makes them for the size
                (width, height) of the frames.
            on_final: called with every piece of tracks that has become final.
            fps: frames per second of a source without time stamps.
            drop: where frames come faster than they are tracked, the newest wins; otherwise the source waits.

        Raises:
            FileNotFoundError, ValueError: a source that cannot be opened, or a tracker that needs the whole video.
        """
        reader = source if isinstance(source, FrameReader) else FrameReader(source, fps=fps, drop=drop)
        chosen = queries if callable(queries) else Queries.of(queries)
        return LiveTracker(self.network, chosen, reader, on_final=on_final, options=self.options)

    def object_stream(
        self, wh: tuple[int, int], fps: float = 30.0, *, segmenter: Segmenter | None = None
    ) -> ObjectStream:
        """A stream of masks that frames are pushed into; `prompt`, `remove`, `push`, `preview`, `finish`.

        Args:
            wh: size of the frames as (width, height).
            fps: only noted in the masks.
            segmenter: from `load_segmenter`; by default the one that ships.

        >>> import numpy as np, pointtrack as pt
        >>> stream = pt.Tracker("small").object_stream((64, 48))
        >>> stream.lag, stream.objects
        (0, [])
        """
        return ObjectStream(self.network, segmenter or self._segmenter(), wh, fps)

    def live_objects(
        self,
        source: Any,
        prompts: Mapping[int, Mapping[str, Any]],
        *,
        segmenter: Segmenter | None = None,
        on_final: Callable[[Masks], None] | None = None,
        fps: float | None = None,
        drop: bool = True,
    ) -> LiveObjects:
        """Follow objects in a camera, a stream or a file, one answer per frame: loop over it, best in a `with` block.

        Args:
            source, fps, drop: as in `live`.
            prompts: object id (1 or more) -> what `ObjectStream.prompt` takes, as `{1: {"frame": 0, "points": [[310, 250]]}}`;
                more may be said between two frames to the `stream` of what is returned.
            segmenter: from `load_segmenter`; by default the one that ships.
            on_final: called with every piece of masks that has become final.

        Raises:
            FileNotFoundError, ValueError: a source that cannot be opened, or a tracker that needs the whole video.
        """
        reader = source if isinstance(source, FrameReader) else FrameReader(source, fps=fps, drop=drop)

        def say(stream: ObjectStream) -> None:
            for number, prompt in prompts.items():
                stream.prompt(number, **prompt)

        return LiveObjects(self.network, segmenter or self._segmenter(), say, reader, on_final=on_final)

    def _segmenter(self) -> Segmenter:
        """The one that ships, where and as exactly as the tracker computes."""
        return load_segmenter(device=self._device, precision=self.network.inference.precision)

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device
