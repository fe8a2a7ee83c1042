"""The command `pointtrack segment`: from clicks, boxes, masks or saved tracks to masks."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tqdm import tqdm

from pointtrack.draw import contact_sheet
from pointtrack.draw_masks import MaskStyle, draw_masks
from pointtrack.export import load_tracks
from pointtrack.export_masks import save_masks, write_cutout
from pointtrack.masks import Masks
from pointtrack.models.zoo import load_tracker
from pointtrack.objects.densify import segment_tracks
from pointtrack.objects.follow import ObjectPrompt, follow_objects
from pointtrack.segment.base import Prompt
from pointtrack.segment.zoo import load_segmenter
from pointtrack.types import Video
from pointtrack.video import read_mask, read_video, write_image, write_video

EXPORTS = ("davis", "ytvos", "coco", "npz", "cutout")


@dataclass(frozen=True)
class SegmentCommand:
    """Follow objects through a video from clicks, a box or a mask; write the video with the masks, and the masks.

    Every object is given on one frame. Several objects: put a number and a colon before what is given of each,
    as in 2:0,310,250.

    Args:
        video: a video file, a folder of pictures, or a URL.
        click: clicks as frame,x,y, with ,- behind for one beside the object: --click 0,310,250 0,40,40,-
        box: boxes as frame,x0,y0,x1,y1 in pixels.
        mask: pictures as large as the video, not black where the object is, as frame,FILE.
        tracks: .npz, .csv or .json file of tracks, all on one object, instead of prompts.
        segmenter: name of a segmenter (small, sam-vit-b, sam2.1-hiera-tiny, ...), or a folder of one.
        tracker: name of a tracker, or its file.
        device: cpu, cuda, mps, or auto.
        out: folder of the results.
        start: second of the video at which to begin.
        stop: second before which to end.
        max_frames: end after this many frames.
        export: what to write besides the drawn video: davis, ytvos, coco, npz, cutout, comma-separated.
        style: how the masks are drawn.
    """

    video: str
    click: list[str] | None = None
    box: list[str] | None = None
    mask: list[str] | None = None
    tracks: str | None = None
    segmenter: str = "small"
    tracker: str = "small"
    device: str = "auto"
    out: str = "outputs"
    start: float = 0.0
    stop: float | None = None
    max_frames: int | None = None
    export: str = "npz"
    style: MaskStyle = field(default_factory=MaskStyle)

    def run(self) -> None:
        """Do it, and print where the results are."""
        exports = [name.strip() for name in self.export.split(",") if name.strip()]
        unknown = [name for name in exports if name not in EXPORTS]
        if unknown:
            raise ValueError(f"export: expected some of {', '.join(EXPORTS)}, got {', '.join(unknown)}")
        asked = parse_prompts(self.click or (), self.box or (), self.mask or ())
        if bool(asked) == (self.tracks is not None):
            raise ValueError("segment: expected clicks, boxes or masks, or else tracks; got both or neither")
        try:
            segmenter = load_segmenter(self.segmenter, device=self.device)
        except ImportError as error:  # an extra that is not installed is for the user to mend, not for us
            raise ValueError(str(error)) from error
        tracker = load_tracker(self.tracker, device=self.device)
        video = read_video(self.video, start=self.start, stop=self.stop, max_frames=self.max_frames)
        began = time.perf_counter()
        with tqdm(total=len(video), desc="masks", unit="frame", disable=None, leave=False) as bar:

            def progress(done: int) -> None:
                bar.update(done)

            if self.tracks is not None:
                tracks = load_tracks(self.tracks)
                masks = segment_tracks(video, tracks, segmenter, tracker=tracker, progress=progress)
            else:
                masks = follow_objects(video, asked, tracker, segmenter, progress=progress)
        seconds = time.perf_counter() - began
        print(f"segmenter {segmenter.name} ({segmenter.licence}), tracker {tracker.config.name}")
        print(
            f"segmented {len(masks.object_ids)} objects in {len(video)} frames of {video.wh[0]} x {video.wh[1]} "
            f"in {seconds:.1f} s; each is there in {masks.present().float().mean(0).mul(100).round().tolist()} %"
        )
        self._write(video, masks, exports)

    def _write(self, video: Video, masks: Masks, exports: list[str]) -> None:
        folder, stem = Path(self.out), Path(self.video).stem or "video"
        drawn = draw_masks(video, masks, self.style)
        print(f"video     {write_video(folder / f'{stem}_masks.mp4', drawn)}")
        print(f"pictures  {write_image(folder / f'{stem}_masks.png', contact_sheet(drawn))}")
        targets = {
            "davis": folder / f"{stem}_davis",
            "ytvos": folder / f"{stem}_ytvos",
            "coco": folder / f"{stem}_masks.json",
            "npz": folder / f"{stem}_masks.npz",
        }
        for name in exports:
            if name == "cutout":
                print(f"cutout    {write_cutout(folder / f'{stem}_cutout.webm', video, masks)}")
            else:
                tidy = masks.exclusive() if name in ("davis", "ytvos") else masks
                print(f"masks     {save_masks(targets[name], tidy, format=name)}")


def parse_prompts(
    clicks: list[str] | tuple[str, ...],
    boxes: list[str] | tuple[str, ...],
    masks: list[str] | tuple[str, ...],
) -> dict[int, ObjectPrompt]:
    """Texts as the command takes them -> object id -> where it is.

    Raises:
        ValueError: a text of another form, an object that is given on several frames, or by a mask and more.
        FileNotFoundError: no such picture.

    >>> parse_prompts(["0,31,25", "0,4,4,-"], [], [])[1].prompt.labels
    tensor([ True, False])
    """
    points: dict[int, list[tuple[float, float, bool]]] = {}
    areas: dict[int, list[float]] = {}
    drawn: dict[int, torch.Tensor] = {}
    frames: dict[int, int] = {}

    def place(text: str, form: str) -> tuple[int, list[str]]:
        """Object id and the fields behind the frame."""
        number, colon, rest = text.partition(":")
        fields = (rest if colon and number.isdigit() else text).split(",")
        owner = int(number) if colon and number.isdigit() else 1
        if not fields[0].strip().isdigit():
            raise ValueError(f"expected {form}, got {text!r}")
        frame = int(fields[0])
        if frames.setdefault(owner, frame) != frame:
            raise ValueError(
                f"object {owner}: expected everything on one frame, got {frames[owner]} and {frame}"
            )
        return owner, fields[1:]

    for text in clicks:
        owner, fields = place(text, "a click frame,x,y or frame,x,y,-")
        sign = fields.pop().strip() if len(fields) == 3 else "+"
        if sign not in ("+", "-"):
            raise ValueError(f"expected a click frame,x,y or frame,x,y,-, got {text!r}")
        x, y = _numbers(fields, 2, f"a click frame,x,y or frame,x,y,-, got {text!r}")
        points.setdefault(owner, []).append((x, y, sign == "+"))
    for text in boxes:
        owner, fields = place(text, "a box frame,x0,y0,x1,y1")
        areas[owner] = _numbers(fields, 4, f"a box frame,x0,y0,x1,y1, got {text!r}")
    for text in masks:
        owner, fields = place(text, "a mask frame,FILE")
        drawn[owner] = torch.from_numpy(read_mask(",".join(fields)))
    both = sorted(drawn.keys() & (points.keys() | areas.keys()))
    if both:
        raise ValueError(f"object {both[0]}: expected either a mask, or clicks and a box, got both")
    prompts = {owner: ObjectPrompt(frames[owner], mask=mask) for owner, mask in drawn.items()}
    for owner in sorted(points.keys() | areas.keys()):
        given = points.get(owner, [])
        prompt = Prompt(
            torch.tensor([[x, y] for x, y, _ in given]).reshape(-1, 2),
            torch.tensor([on for _, _, on in given], dtype=torch.bool),
            torch.tensor(areas[owner]) if owner in areas else None,
        )
        prompts[owner] = ObjectPrompt(frames[owner], prompt)
    return prompts


def _numbers(fields: list[str], count: int, expected: str) -> list[float]:
    try:
        values = [float(field) for field in fields]
    except ValueError as error:
        raise ValueError(f"expected {expected}") from error
    if len(values) != count:
        raise ValueError(f"expected {expected}")
    return values
