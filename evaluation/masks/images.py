"""Quality of a segmenter's answers to clicks and boxes on single pictures held out of its training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from evaluation.masks.clicks import Click, box_around, prompt_of, simulate_clicks
from pointtrack.datasets.object_images import held_out, read_object_images
from pointtrack.io.pictures import read_picture
from pointtrack.objects.engine import ObjectResult
from pointtrack.objects.prompted import answer_prompt, answer_prompt_variously
from pointtrack.segment.base import Prompt, Segmenter

# Regions of a photograph that count as objects: limits of their share of the picture, and of their share on its border.
REGION_SHARES, REGION_ON_BORDER = (0.01, 0.4), 0.02
MOST_OBJECTS = 4  # per picture, the largest
CLICKS = 3


@dataclass(frozen=True, eq=False)
class PictureExample:
    """One object of a picture.

    Attributes:
        dataset, name: names of the data set and the picture.
        picture: (h, w, 3) uint8 RGB.
        masks: (h, w) bool of its objects.
    """

    dataset: str
    name: str
    picture: np.ndarray
    masks: list[np.ndarray]


@dataclass(frozen=True)
class PictureResult:
    """Overlaps (IoU) of the answers about one object with the truth.

    Attributes:
        dataset, name: names of the data set and the picture; number: number of the object in it.
        click1, click3, box: overlap after one click, after three, and from the object's box.
        oracle1: overlap of the best candidate for the one click.
        said1: predicted overlap of the answer to the click.
    """

    dataset: str
    name: str
    number: int
    click1: float
    click3: float
    box: float
    oracle1: float
    said1: float


def things_examples(dataset: str, folder: Path) -> Iterator[PictureExample]:
    """Held-out pictures of a folder of object masks (`pointtrack.datasets.object_images`)."""
    for image in read_object_images(folder):
        if held_out(image.name):
            masks = sorted((image.mask(number) for number in image.objects), key=lambda one: -int(one.sum()))
            yield PictureExample(dataset, image.name, image.picture, masks[:MOST_OBJECTS])


def regions_examples(folder: Path) -> Iterator[PictureExample]:
    """Photographs of BSDS's val split, with the regions well inside the picture from the person who drew fewest."""
    with np.load(folder / "val_segments.npz") as segments:
        for path in sorted((folder / "val").glob("*.jpg")):
            maps = segments[path.stem]
            regions = maps[int(np.argmin([one.max() for one in maps]))]
            masks = [regions == number for number in range(1, int(regions.max()) + 1)]
            masks = sorted((one for one in masks if _is_thing(one)), key=lambda one: -int(one.sum()))
            if masks:
                yield PictureExample("bsds", path.stem, read_picture(path), masks[:MOST_OBJECTS])


def picture_examples(root: Path, dataset: str, subset: int | None = None) -> Iterator[PictureExample]:
    """Held-out pictures of "bsds", "msrc", "coco128" or "horses" in the data folder; of `subset` pictures at most.

    Raises:
        ValueError: another name. FileNotFoundError: the files are missing.
    """
    if dataset == "bsds":
        found = regions_examples(root / "textures")
    elif dataset in ("msrc", "coco128", "horses"):
        found = things_examples(dataset, root / "masks" / dataset)
    else:
        raise ValueError(f"pictures: expected bsds, msrc, coco128 or horses, got {dataset!r}")
    return islice(found, subset)


def ask_about(segmenter: Segmenter, example: PictureExample) -> Iterator[PictureResult]:
    """Ask a segmenter about every object of a picture, as a session does: a click, more clicks, a box."""
    with torch.inference_mode():
        embedding = segmenter.look_closer(example.picture, segmenter.encode(example.picture))

    def answer(prompt: Prompt) -> ObjectResult:
        return answer_prompt(segmenter, embedding, prompt)

    for number, truth in enumerate(example.masks):

        def clicked(clicks: list[Click]) -> np.ndarray:
            return answer(prompt_of(clicks)).mask.numpy()

        clicks = simulate_clicks(truth, CLICKS, clicked)  # type: ignore[arg-type]
        first = answer(prompt_of(clicks[:1]))
        readings = answer_prompt_variously(segmenter, embedding, prompt_of(clicks[:1]))
        overlap: Callable[[ObjectResult], float] = lambda found, truth=truth: _overlap(found, truth)  # type: ignore[misc]  # noqa: E731
        yield PictureResult(
            dataset=example.dataset,
            name=example.name,
            number=number,
            click1=overlap(first),
            click3=overlap(answer(prompt_of(clicks))),
            box=overlap(answer(box_around(truth))),
            oracle1=max(map(overlap, readings)),
            said1=first.score,
        )


def mean_rows(results: list[PictureResult]) -> dict[str, dict[str, float]]:
    """Per data set, and of the data sets together: number of objects and means in per cent.

    `error1` is the mean difference between the predicted and the true overlap of the answer to a click.
    """
    rows: dict[str, dict[str, float]] = {}
    for dataset in dict.fromkeys(one.dataset for one in results):
        group = [asdict(one) for one in results if one.dataset == dataset]
        row = {key: 100 * float(np.mean([one[key] for one in group])) for key in SHOWN[:-1]}
        row["error1"] = 100 * float(np.mean([abs(one["said1"] - one["click1"]) for one in group]))
        rows[dataset] = {"objects": len(group), **row}
    if len(rows) > 1:
        rows["mean"] = {
            key: float(np.mean([row[key] for row in rows.values()])) for key in ("objects", *SHOWN)
        }
    return rows


SHOWN = ("click1", "click3", "box", "oracle1", "error1")


def _overlap(found: ObjectResult, truth: np.ndarray) -> float:
    mask = found.mask.numpy()
    return np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth)


def _is_thing(region: np.ndarray) -> bool:
    border = np.concatenate([region[0], region[-1], region[:, 0], region[:, -1]])
    inside = REGION_SHARES[0] < region.mean() < REGION_SHARES[1]
    return inside and float(border.mean()) < REGION_ON_BORDER
