"""`Tracker`: configure it once, then track points in memory, into a file, frame by frame or live."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pointtrack.checks import checked_wh
from pointtrack.io.live_reader import FrameReader
from pointtrack.io.locks import claimed
from pointtrack.io.video import VideoStream, open_video
from pointtrack.models.hub_model import HubModel
from pointtrack.models.point_tracker import PointTracker
from pointtrack.objects.stream import ObjectStream
from pointtrack.pipeline.backward import frames_both_ways, track_video
from pointtrack.pipeline.files import check_frames, track_file
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

# Arguments of a tracker that loading decides.
LOADING = ("device", "precision", "iterations", "step", "looks")


class Tracker(HubModel):
    """Tracks any points through any video.

    Args:
        name: "small", the model that ships with the package; a published model such as "cotracker3-online"; the path of
            a weights file or of a folder of ONNX graphs; or a loaded network (`zoo.load_tracker`).
        device: "cpu", "cuda", ...; "auto" takes the GPU if there is one.
        states: True classifies every point on every frame as visible, hidden, out of frame or lost (`Tracks.states`);
            pass `StateOptions` to choose how.
        regions: True follows small things in moving crops of the full-resolution frame; pass `RegionOptions` to choose
            the crops.
        smooth: smooth final positions over this many frames on each side; 0 turns it off.
        precision: "float32", or "bfloat16" on processors that support it.
        iterations: refinement rounds per window; None keeps the model's own number.
        step: how many frames the window advances at a time; None keeps the model's own number, 1 gives a new result for
            every frame.
        looks: 2 also looks at every frame mirrored and larger, which is more exact and takes 2.4 times as long.

    Raises:
        FileNotFoundError: `name` is neither a known name nor a file.
        ConnectionError, PermissionError: the hub cannot be reached, or refuses the file.
        ValueError: the file holds no tracker, `name` is something else, this machine lacks the device, or a setting is out of
            range.

    Attributes:
        network: the loaded model.
        options: the `TrackOptions`: every setting that does not affect loading.

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
        self.options = TrackOptions(states, regions, smooth)  # type: ignore[arg-type]
        self.network: PointTracker = (
            load_tracker(
                name, device=device, precision=precision, iterations=iterations, step=step, looks=looks
            )
            if isinstance(name, str | Path)
            else name
        )
        if not hasattr(self.network, "config"):
            raise ValueError(
                f"name: expected the name of a model, a path or a loaded network, got {type(name).__name__}"
            )

    def __repr__(self) -> str:
        """The model, and the options that are not the defaults."""
        usual, words = TrackOptions(), [repr(self.name)]
        for name in (one.name for one in fields(usual)):
            value = getattr(self.options, name)
            if value != getattr(usual, name):
                words.append(
                    f"{name}={type(value).__name__ + '(...)' if is_dataclass(value) else repr(value)}"
                )
        return f"Tracker({', '.join(words)})"

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.network.config.name

    @property
    def needs_whole_video(self) -> bool:
        """True if the model takes the whole video as one window; it can then track in memory only."""
        return self.network.needs_whole_video

    def with_options(self, **changes: Any) -> Tracker:
        """A tracker with the same network and other `TrackOptions`: states, regions, smooth, support_grid,
        support_local, steady.

        Raises:
            ValueError: another name, or a value that makes no sense. What is decided on loading (device, precision, iterations,
                step, looks) needs another `Tracker`.
        """
        known = [one.name for one in fields(TrackOptions) if one.name != "backward"]
        if unknown := [name for name in changes if name not in known]:
            loading = any(name in LOADING for name in unknown)
            raise ValueError(
                f"with_options: expected {', '.join(known)}, got {', '.join(unknown)}"
                + ("; make another tracker for it: Tracker(...)" if loading else "")
                + ("; give it to track(..., backward=...)" if "backward" in unknown else "")
            )
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
            backward: also track every point from its query frame back to the first frame. Without it the track is NaN
                before the query frame.
            progress: called with the number of frames that each step has done; tracking backward makes a second pass
                over part of the video. True shows a bar.

        Returns:
            Tracks over all frames. On its query frame each point is visible and exactly at the query.

        Raises:
            ValueError: a query lies after the last frame or outside the image.
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
        progress: Progress | bool | None = None,
    ) -> Path:
        """Track points through a video of any length; memory holds one window of it.

        Args:
            source: a video file, a folder of pictures, a URL, or anything else that `open_video` takes.
            queries: points with their frames, as in `track`.
            out: the .tracks file to write. It grows piece by piece, and `load_tracks` reads it at any time. A killed
                run resumes from OUT.state, which lies beside it.
            backward: as in `track`; if a query lies after the first frame, the video is read twice.
            resume: continue what a killed run left at `out`, if anything; the result is the same to the last bit.
            progress: as in `track`.

        Returns:
            `out`.

        Raises:
            ValueError: `out` has another ending, the tracker needs the whole video, a query lies outside the image, or after
                the last frame (of a source that can be read only once: a warning), the run to resume had another video
                or other settings, or points are to be tracked backward in a source that can be read only once.
            OSError: another run writes to `out`.
        """
        if Path(out).suffix.lower() != ".tracks":
            raise ValueError(
                f"out: expected a file ending in .tracks, which grows, got {out}; save_tracks(path, load_tracks(out)) "
                "converts it to other formats"
            )
        queries = Queries.of(queries)
        stdin = isinstance(source, str) and source == "-"
        once = stdin or not (
            isinstance(source, str | Path | Video | list | tuple) or hasattr(source, "shape")
        )
        if once and backward and bool((queries.frame > 0).any()):
            raise ValueError(
                f"backward: expected a video that can be read twice, got {type(source).__name__}; pass a file, or "
                "backward=False"
            )

        def opened(seconds: float | None) -> VideoStream:
            return open_video(source) if seconds is None else open_video(source, start=seconds)

        if not once:
            check_frames(opened, queries)
        options = replace(self.options, backward=backward)
        count = None
        if progress is True and not once:
            with opened(None) as frames:
                count = frames.frame_count
        total = frames_both_ways(self.network, queries, options, count)
        with claimed(out), progress_of(progress, total) as step:
            track_file(self.network, opened, queries, out, options, resume=resume, progress=step)
        return Path(out)

    def stream(self, queries: Any, wh: tuple[int, int], fps: float = 30.0) -> PointStream:
        """A stream to push frames into: `push`, `preview`, `finish` return tracks, `add`, `remove` change the points.

        Args:
            queries: points to track, as in `track`; frame 0 is the first frame pushed.
            wh: size of the frames as (width, height).
            fps: recorded in the tracks; it changes nothing else.

        Raises:
            ValueError: `wh` is no size of frames, `fps` no positive number, or a query lies outside the image.
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
        """Track points in a camera, a stream or a file, frame by frame. Loop over the result, best in a `with` block.

        Args:
            source: index of a camera, a URL, a file, an iterator of frames, or a `FrameReader`.
            queries: the points as in `track`, where frame 0 is the first frame tracked; or a function that makes them
                from the (width, height) of the frames.
            on_final: called with every piece of tracks that has become final.
            fps: frames per second of a source without time stamps.
            drop: if frames arrive faster than they are tracked, take the newest and drop the others; otherwise the
                source waits.

        Raises:
            FileNotFoundError, ValueError: the source cannot be opened, or the tracker needs the whole video.
        """
        chosen = queries if callable(queries) else Queries.of(queries)
        reader = self._reader(source, fps, drop)
        return LiveTracker(self.network, chosen, reader, on_final=on_final, options=self.options)

    def object_stream(
        self, wh: tuple[int, int], fps: float = 30.0, *, segmenter: Segmenter | None = None
    ) -> ObjectStream:
        """A stream to push frames into that returns masks: `prompt`, `remove`, `push`, `preview`, `finish`.

        Args:
            wh: size of the frames as (width, height).
            fps: recorded in the masks; it changes nothing else.
            segmenter: from `load_segmenter`; by default the one that ships with pointtrack.

        Raises:
            ValueError: `wh` is no size of frames, or `fps` no positive number.

        >>> import numpy as np, pointtrack as pt
        >>> stream = pt.Tracker("small").object_stream((64, 48))
        >>> stream.lag, stream.objects
        (0, [])
        """
        return ObjectStream(self.network, segmenter or self._segmenter(), checked_wh(wh), fps)

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
        """Follow objects in a camera, a stream or a file, frame by frame. Loop over the result, best in a `with` block.

        Args:
            source, fps, drop: as in `live`.
            prompts: object id (1 or more) -> arguments of `ObjectStream.prompt`, as in
                `{1: {"frame": 0, "points": [[310, 250]]}}`. To add prompts between two frames, use `stream.prompt` of
                the result.
            segmenter: from `load_segmenter`; by default the one that ships with pointtrack.
            on_final: called with every piece of masks that has become final.

        Raises:
            FileNotFoundError, ValueError: the source cannot be opened, or the tracker needs the whole video.
        """

        def on_open(stream: ObjectStream) -> None:
            for number, prompt in prompts.items():
                stream.prompt(number, **prompt)

        chosen = segmenter or self._segmenter()
        reader = self._reader(source, fps, drop)
        return LiveObjects(self.network, chosen, on_open, reader, on_final=on_final)

    def _reader(self, source: Any, fps: float | None, drop: bool) -> FrameReader:
        """Opens a live source last, as a run that is refused would leave it open."""
        self.network.check_windows()
        return source if isinstance(source, FrameReader) else FrameReader(source, fps=fps, drop=drop)

    def _segmenter(self) -> Segmenter:
        """The segmenter that ships with pointtrack, on the tracker's device and in its precision."""
        return load_segmenter(device=self._device, precision=self.network.inference.precision)

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device
