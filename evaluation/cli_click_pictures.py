"""The command `python -m evaluation.cli_click_pictures`: pictures of one click on each of seven real videos."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from evaluation.points.datasets import data_root
from evaluation.tables import write_json
from pointtrack.cli.runner import run_command
from pointtrack.io.video import read_video
from pointtrack.segment.zoo import load_segmenter
from pointtrack.sessions.object_session import ObjectSession
from pointtrack.zoo import load_tracker

# Position of a click on the first frame that means the object that the video is named after; the shark, the left bee.
CLICKS = {
    "apple": (478, 294),
    "aquarium": (683, 242),
    "bear": (298, 289),
    "bees": (318, 252),
    "cat": (161, 278),
    "dog": (596, 451),
    "teddy": (218, 297),
}
WIDTH_PX = 640
GREEN, RED = (60, 220, 60), (235, 40, 40)


def click_pictures_command(out: Path = Path("docs/images/masks"), segmenter: str = "small") -> None:
    """Answer one click on the first frame of every video of the data folder, as a session does, without hand-picking.

    Args:
        out: folder for a picture per video, with the answer in green and its click, and clicks.json with the scores.
        segmenter: name or file.

    Raises:
        FileNotFoundError: the data is missing.
    """
    model, tracker = load_segmenter(segmenter, device="cpu"), load_tracker(device="cpu")
    scores = {}
    for name, click in CLICKS.items():
        video = read_video(data_root() / "videos" / f"{name}.mp4", max_frames=1)
        session = ObjectSession(video, tracker=tracker, segmenter=model, cuts=())
        number = session.add_object(name)
        mask = session.prompt(number, 0, points=[click]).numpy()
        readings = session.candidates(number, 0)
        scores[name] = {
            "click": click,
            "share_of_frame": round(float(mask.mean()), 4),
            "scores": [round(one.score, 3) for one in readings],
        }
        out.mkdir(parents=True, exist_ok=True)
        picture = cv2.cvtColor(_drawn(video.frames[0], mask, click, readings[0].score), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(out / f"{name}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 85])
        print(f"{name}: {100 * mask.mean():.1f} % of the frame, scores {scores[name]['scores']}")
    print(f"pictures and {write_json(out / 'clicks.json', scores)}")


def _drawn(frame: np.ndarray, mask: np.ndarray, click: tuple[int, int], score: float) -> np.ndarray:
    """(h, w, 3) the frame with a mask, its outline, its click and its score, at reduced size."""
    picture = frame.copy()
    picture[mask] = (0.55 * picture[mask] + 0.45 * np.array(GREEN)).astype(np.uint8)
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    thick = max(2, frame.shape[1] // 400)
    cv2.drawContours(picture, outlines, -1, GREEN, thick)
    cv2.circle(picture, click, 4 * thick, RED, -1)
    cv2.circle(picture, click, 4 * thick, (255, 255, 255), thick)
    scale = min(1.0, WIDTH_PX / frame.shape[1])
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    cv2.putText(picture, f"{100 * score:.0f} %", (10, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (0, 0, 0), 4)
    cv2.putText(picture, f"{100 * score:.0f} %", (10, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 2)
    return picture


if __name__ == "__main__":
    sys.exit(run_command(lambda: click_pictures_command, sys.argv[1:], "evaluation.cli_click_pictures"))
