"""The command `pointtrack ui`: the page on which you click, view, correct and export objects and points."""

from __future__ import annotations

import time
import webbrowser
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pointtrack.cli.extras import needs_extra
from pointtrack.io.tracks import load_tracks


@dataclass(frozen=True)
class UiCommand:
    """Click, view, correct and export in the browser. The server runs on this machine; Ctrl-C ends it.

    Args:
        video: a video file or a folder of pictures to open at once; `demo` is the clip that comes with pointtrack.
        folders: folders from which you may open videos; by default that of the video, and the current one.
        review: a folder of videos, or a .txt file with one path per line, to review one by one.
        tracks: file of tracks of the video (.npz, .csv, .json), to view and correct.
        tracker: name of a tracker for points (small, cotracker3-offline, ...), or its .safetensors or .pth file.
        segmenter: name of a segmenter (small, sam-vit-b, sam2.1-hiera-tiny, ...), or a folder of one.
        engine: follow objects with SAM 2 alone, without points: its name (sam2.1-hiera-tiny, ...) or a folder.
        device: cpu, cuda, mps, or auto.
        precision: float32, or bfloat16 on processors that support it.
        looks: 2 also looks at every frame mirrored and larger when it tracks points; more exact, takes 2.4 times as long.
        out: folder for projects, exports and uploads; your work stays there.
        port: port to listen on; 0 takes a free one.
        host: whose requests to answer: 127.0.0.1 for this machine only, 0.0.0.0 for the network (both need the token).
        no_browser: print the address without opening a browser.
        most_upload_gb: largest file in gigabytes that you may drop onto the page.
    """

    video: str | None = None
    folders: list[str] | None = None
    review: str | None = None
    tracks: str | None = None
    tracker: str = "small"
    segmenter: str = "small"
    engine: str | None = None
    device: str = "auto"
    precision: str = "float32"
    looks: int = 1
    out: str = "outputs/ui"
    port: int = 0
    host: str = "127.0.0.1"
    no_browser: bool = False
    most_upload_gb: float = 4.0

    def run(self) -> None:
        """Serve until Ctrl-C."""
        try:
            from pointtrack.ui.desk import Desk
            from pointtrack.ui.folders import Folders
            from pointtrack.ui.models import Models
            from pointtrack.ui.server import create_app
            from pointtrack.web.safety import new_token
            from pointtrack.web.server import Limits, WebServer
        except ImportError as error:
            raise ValueError(f"ui: {error}; install what it needs: pip install 'pointtrack[ui]'") from error
        first = self.first_video()
        folders = list(self.folders or ["."])
        folders += [] if first is None else [str(first.resolve().parent)]
        if self.review is not None:
            review = Path(self.review).resolve()
            folders.append(str(review if review.is_dir() else review.parent))
        models = Models(self.tracker, self.segmenter, self.engine, self.device, self.precision, self.looks)
        most = int(self.most_upload_gb * 1e9)
        if most < 1:
            raise ValueError(f"most_upload_gb: expected a positive number, got {self.most_upload_gb}")
        desk = Desk(Path(self.out).resolve(), Folders(folders), models, most_upload_bytes=most)
        with needs_extra():
            models.new_engine()
        desk.first = None if first is None else str(first.resolve())
        if self.tracks is not None:
            if first is None:
                raise ValueError("tracks: expected their video too, got none")
            load_tracks(self.tracks)  # a file without tracks is an error here, not in the browser
            desk.tracks = str(Path(self.tracks).resolve())
        limits = Limits(body_bytes=most)
        with WebServer(
            create_app(desk, review=self.review), self.port, self.host, limits=limits, token=new_token()
        ) as server:
            print(f"open      {server.url}", flush=True)
            print(f"projects  {desk.home}; Ctrl-C ends", flush=True)
            if not self.no_browser:
                webbrowser.open(server.url)
            try:
                while True:
                    time.sleep(3600)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(f"your work is saved in {desk.home}") from None
            finally:
                desk.close()

    def first_video(self) -> Path | None:
        """The video to open at once. Raises FileNotFoundError if there is none."""
        if self.video is None:
            return None
        if self.video == "demo" and not Path("demo").exists():
            return Path(str(resources.files("pointtrack").joinpath("assets/clip.mp4")))
        if not Path(self.video).exists():
            raise FileNotFoundError(f"{self.video}: expected a video or a folder of pictures, found nothing")
        return Path(self.video)
