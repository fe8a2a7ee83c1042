"""What the commands for whole videos have in common: options, and where their results go."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pointtrack.io.video import VIDEO_CODECS, VideoStream, open_video


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
        return open_video(self.video, start=self.start, stop=self.stop, max_frames=self.max_frames)


def video_target(out: str, stem: str) -> Path:
    """The video file to write: `out` itself, or out/stem.mp4 where `out` is a folder. ValueError for other files."""
    path = Path(out)
    if path.suffix.lower() in VIDEO_CODECS and not path.is_dir():
        return path
    if path.suffix and not path.is_dir():
        raise ValueError(f"out: expected a folder or a file in {', '.join(VIDEO_CODECS)}, got {out!r}")
    if path.exists() and not path.is_dir():
        raise ValueError(f"out: expected a folder or a video file, but {out} is a file of another kind")
    return path / f"{stem}.mp4"
