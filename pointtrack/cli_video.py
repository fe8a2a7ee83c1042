"""Options that the commands for whole videos have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

from pointtrack.video import VideoStream, stream_video


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """Which video, which part of it, and what tracks it; a command's own options come behind the video.

    Args:
        video: a video file, a folder of pictures, or a URL.
        tracker: name of a tracker (small, cotracker3-offline, ...), or its .safetensors or .pth file.
        device: cpu, cuda, mps, or auto.
        start: second of the video at which to begin; frames count from there.
        stop: second before which to end.
        max_frames: end after this many frames.
    """

    video: str = field(kw_only=False)
    tracker: str = "small"
    device: str = "auto"
    start: float = 0.0
    stop: float | None = None
    max_frames: int | None = None

    def opened(self) -> VideoStream:
        """The video from its first frame on."""
        return stream_video(self.video, start=self.start, stop=self.stop, max_frames=self.max_frames)
