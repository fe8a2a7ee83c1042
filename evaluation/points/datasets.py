"""The datasets by name: BADJA, warp clips, the bundled clip, TAP-Vid pickles, folders of clips."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from evaluation.points.development_sets import boxes_dev_examples, labelled_example, points_dev_examples
from evaluation.points.example import Example, onto_image, sampled_example
from evaluation.points.metrics import QueryMode, evaluated_frames, sample_queries
from evaluation.points.tapvid import tapvid_examples
from evaluation.points.warp import make_clip
from pointtrack.datasets.clip import Clip
from pointtrack.datasets.format import TRACKS, list_clips, read_clip
from pointtrack.datasets.validate_tracks import refuse_wrong_tracks
from pointtrack.io.pictures import read_picture
from pointtrack.io.video import read_video
from pointtrack.types import Queries, Video

REPOSITORY = Path(__file__).parents[2]
DATA_VARIABLE = "POINTTRACK_DATA"
BADJA_FRAMES = {"bear": "videos/bear.mp4", "camel": "davis_dev/camel/frames"}
WARP_SEQUENCES = ("blackswan", "camel", "car-shadow", "dance-twirl", "goat", "parkour")
WARPS_PER_SEQUENCE = 2
WARP_SEED = 7


def load_examples(dataset: str, mode: QueryMode = "first") -> Iterator[Example]:
    """Yield the examples of one dataset.

    Args:
        dataset: "badja", "points_dev", "boxes_dev", "warp", "bundled", "tapvid:" and the path of a TAP-Vid pickle, or
            "clips:" and a folder of clips as docs/train/data-format.md describes them.
        mode: query mode. BADJA and the development sets have their own rule and ignore it.

    Raises:
        ValueError: an unknown dataset. FileNotFoundError: its files are missing.
    """
    if dataset.startswith("tapvid:"):
        return tapvid_examples(dataset.removeprefix("tapvid:"), mode)
    if dataset.startswith("clips:"):
        return clip_examples(dataset.removeprefix("clips:"), mode)
    if dataset == "badja":
        return badja_examples()
    if dataset == "points_dev":
        return points_dev_examples(data_root() / "points_dev")
    if dataset == "boxes_dev":
        return boxes_dev_examples(data_root() / "boxes_dev")
    if dataset == "warp":
        return warp_examples(mode)
    if dataset == "bundled":
        return bundled_examples(mode)
    raise ValueError(
        "dataset: expected badja, points_dev, boxes_dev, warp, bundled, tapvid:FILE.pkl or clips:FOLDER, "
        f"got {dataset!r}"
    )


def data_root() -> Path:
    """The folder of the evaluation data: $POINTTRACK_DATA, or ../shared/data next to the repository.

    Raises:
        FileNotFoundError: no such folder.
    """
    root = Path(os.environ.get(DATA_VARIABLE) or REPOSITORY.parent / "shared" / "data")
    if not root.is_dir():
        raise FileNotFoundError(
            f"evaluation data: expected a folder at {root}, found none; "
            f"set the environment variable {DATA_VARIABLE} to the folder that holds badja_dev and davis_dev"
        )
    return root


def badja_examples() -> Iterator[Example]:
    """Animal joints that people annotated on about every fifth frame: sequences bear and camel.

    A joint is queried at its first visible annotation and evaluated at its later visible annotations.
    Only camel has an `area`, so only camel has a PCK-T.

    Raises:
        FileNotFoundError: the data folder or a file of it is missing.

    Source: BADJA (Biggs et al., 2018) on DAVIS frames at 480p.
    """
    root = data_root()
    for sequence, frames in BADJA_FRAMES.items():
        with np.load(_file(root / "badja_dev" / f"{sequence}.npz")) as data:
            annotation = {name: data[name] for name in data.files}
        video = _read(root / frames)
        if video.wh != tuple(annotation["size"].tolist()) or len(video) != int(annotation["num_frames"]):
            raise ValueError(
                f"badja {sequence}: expected {int(annotation['num_frames'])} frames of "
                f"{tuple(annotation['size'].tolist())}, got {len(video)} of {video.wh}"
            )
        yield _badja_example(sequence, video, annotation)


def _badja_example(sequence: str, video: Video, annotation: dict[str, np.ndarray]) -> Example:
    t, joints = len(video), annotation["joints"].shape[1]
    rows = torch.from_numpy(annotation["frames"]).long()
    truth_xy = torch.full((t, joints, 2), float("nan"), dtype=torch.float64)
    truth_xy[rows] = torch.from_numpy(annotation["joints"]).double()
    visible = torch.zeros(t, joints, dtype=torch.bool)
    visible[rows] = torch.from_numpy(annotation["visible"])
    visible &= torch.isfinite(truth_xy).all(dim=-1)
    area = None
    if "area" in annotation:
        area = torch.full((t,), float("nan"), dtype=torch.float64)
        area[rows] = torch.from_numpy(annotation["area"]).double()
    return labelled_example(f"badja/{sequence}", video, truth_xy, visible, area)


def warp_examples(mode: QueryMode = "first", seed: int = WARP_SEED) -> Iterator[Example]:
    """Clips of one real photograph each, moved by a known smooth warp: exact truth on real pixels.

    Two clips for each of six DAVIS sequences, named "warp/sequence-0" and "-1"; the occluder shows a
    piece of the next sequence. The same seed gives the same clips.

    Raises:
        FileNotFoundError: the data folder or a sequence is missing.
    """
    root = data_root()
    for i, sequence in enumerate(WARP_SEQUENCES):
        picture = _first_frame(root / "davis_dev" / sequence / "frames")
        following = WARP_SEQUENCES[(i + 1) % len(WARP_SEQUENCES)]
        texture = _first_frame(root / "davis_dev" / following / "frames")
        for number in range(WARPS_PER_SEQUENCE):
            generator = np.random.default_rng([seed, i, number])
            clip = make_clip(picture, texture, generator)
            name = f"warp/{sequence}-{number}"
            if mode == "strided":
                yield sampled_example(name, clip.video, clip.xy, clip.visible, mode)
            else:
                evaluated = evaluated_frames(clip.queries.frame, len(clip.video), mode)
                yield Example(name, clip.video, clip.queries, clip.xy, clip.visible, evaluated)


def bundled_examples(
    mode: QueryMode = "first", folder: str | Path = REPOSITORY / "pointtrack" / "assets"
) -> Iterator[Example]:
    """The clip that ships with pointtrack, with its exact tracks.

    Args:
        mode: "first" queries on the frames stored with the clip, "strided" on every fifth.
        folder: holds clip.mp4 and clip_tracks.npz.

    Raises:
        FileNotFoundError: a file is missing. ValueError: the npz lacks something.
    """
    video = _read(_file(Path(folder) / "clip.mp4"))
    path = _file(Path(folder) / "clip_tracks.npz")
    with np.load(path) as data:
        missing = {"xy", "visible", "query_frame"} - set(data.files)
        if missing:
            raise ValueError(f"{path}: expected xy, visible and query_frame, but it lacks {sorted(missing)}")
        xy = torch.from_numpy(data["xy"]).double()
        visible = torch.from_numpy(data["visible"]).bool()
        frame = torch.from_numpy(data["query_frame"]).long()
    if mode == "strided":
        yield sampled_example("bundled/clip", video, xy, visible, mode)
        return
    queries = Queries(frame, xy[frame, torch.arange(len(frame))])
    evaluated = evaluated_frames(frame, len(video), mode)
    yield Example("bundled/clip", video, queries, xy, visible, evaluated)


def clip_examples(folder: str | Path, mode: QueryMode = "first") -> Iterator[Example]:
    """Clips of a folder with known tracks; docs/train/data-format.md describes them.

    Frames on which a point is not known do not count for it. With mode "first", queries lie on the query frames of
    the clip, if it has any. PCK-T is measured if all points lie on one object with masks. Clips without any visible
    point are left out.

    Raises:
        FileNotFoundError: no clips in the folder. ValueError: none of them has tracks, or the tracks of one are wrong, as
            `refuse_wrong_tracks` says.
    """
    found = False
    for path, name in named_clips(folder):
        if (path / TRACKS).is_file():
            found = True
            refuse_wrong_tracks(path)
            example = clip_example(read_clip(path, name=name), mode)
            if len(example.queries):
                yield example
    if not found:
        raise ValueError(f"clips:{folder}: expected clips with tracks, got none; masks go with `eval-masks`")


def clip_example(clip: Clip, mode: QueryMode = "first") -> Example:
    """Make an example of a clip with known tracks."""
    tracks = clip.tracks
    if tracks is None:
        raise ValueError(f"{clip.name}: expected a clip with tracks, got one without")
    if mode == "first" and tracks.query_frame is not None:
        frame, point = tracks.query_frame, torch.arange(len(tracks.ids))
    else:
        frame, point = sample_queries(tracks.visible, mode)
    visible, xy = tracks.visible[:, point], tracks.xy[:, point]
    evaluated = evaluated_frames(frame, len(clip.video), mode) & tracks.valid[:, point]
    if not clip.info.visibility_known:
        evaluated &= visible
    requested = onto_image(xy[frame, torch.arange(len(point))], clip.video.wh)
    ids = tracks.ids[point] if mode == "first" else None  # strided queries a point several times
    return Example(
        clip.name,
        clip.video,
        Queries(frame, requested, ids=ids),  # type: ignore[arg-type]
        xy,
        visible,
        evaluated,
        _object_area(clip),
        clip.info.visibility_known,
    )


def named_clips(folder: str | Path) -> Iterator[tuple[Path, str]]:
    """The clips of a folder with their names in reports: folder/place-of-the-clip."""
    root = Path(folder)
    for path in list_clips(root):
        place = "-".join(path.relative_to(root).parts) or path.name
        yield path, f"{root.resolve().name}/{place}"


def _object_area(clip: Clip) -> torch.Tensor | None:
    """(t,) pixels of the one object that all points lie on, NaN where unknown; None without such an object."""
    ids = None if clip.tracks is None else clip.tracks.object_ids
    if clip.labels is None or clip.annotated is None or ids is None or not len(ids):
        return None
    number = int(ids[0])
    if number < 1 or bool((ids != number).any()):
        return None
    area = torch.from_numpy((clip.labels == number).sum(axis=(1, 2))).double()
    area[~torch.from_numpy(clip.annotated)] = float("nan")
    return area


def _file(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"evaluation data: expected a file at {path}, found none")
    return path


def _read(path: Path) -> Video:
    if not path.exists():
        raise FileNotFoundError(
            f"evaluation data: expected a video or a folder of frames at {path}, found none"
        )
    return read_video(path)


def _first_frame(folder: Path) -> np.ndarray:
    """(h, w, 3) uint8 RGB of the first picture of a folder of frames."""
    paths = sorted(chain(folder.glob("*.jpg"), folder.glob("*.png")))
    if not paths:
        raise FileNotFoundError(
            f"evaluation data: expected a folder of frames at {folder}, found no pictures"
        )
    return read_picture(paths[0])
