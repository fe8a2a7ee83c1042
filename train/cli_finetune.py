"""The command `pointtrack finetune`: train the tracker on your own videos, with or without tracks."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.utils.data import Dataset

from evaluation.points.datasets import clip_example, clip_examples
from pointtrack.checks import counted
from pointtrack.cli.runner import run_command
from pointtrack.datasets.format import TRACKS, list_clips
from pointtrack.io.atomic import atomic_path, write_text
from pointtrack.io.outputs import check_outputs
from pointtrack.models.point_tracker import PointTracker
from pointtrack.zoo import load_tracker
from train.data.agreed import AgreedClips
from train.data.clips import FolderClips, MixedClips
from train.data.export_clips import synthetic_clip
from train.data.synthetic import SceneConfig, SyntheticClips
from train.data.textures import texture_banks
from train.finetune import FineTuneTask, Guard, GuardConfig
from train.loop import LoopConfig, for_clips, make_fabric, run
from train.pseudo_labels import LabelConfig, View, find_videos, label_videos, views_of
from train.settings import check_settings, plain, without

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)

GUARD_SEED = 99  # never used for training
NOTHING_WRITTEN = 3  # exit code
# Of the loop's settings, those that may change on the way.
OF_THE_MACHINE = ("workers", "accelerator", "devices", "nodes")
SCENE = SceneConfig(
    sizes=((256, 192), (384, 216), (320, 240)), points=80, query_frames=8, speed=(0.3, 1.5), motion_blur=0.05
)
LOOP = LoopConfig(
    steps=400, learning_rate=1e-4, warmup=20, average=0.99, log_every=10, validate_every=50, save_every=50,
    workers=0,
)  # fmt: skip
LABELS = LabelConfig()
LIMITS = GuardConfig()


def finetune_command(
    folder: Path,
    out: Path = Path("runs/finetune"),
    init: str = "small",
    mode: Literal["auto", "tracks", "self"] = "auto",
    teacher: str | None = None,
    guard: Path | None = None,
    share: float = 0.5,
    rounds: int = 1,
    batch: int = 2,
    train_encoder: bool = False,
    textures: Path | None = None,
    scene: SceneConfig = SCENE,
    loop: LoopConfig = LOOP,
    labels: LabelConfig = LABELS,
    limits: GuardConfig = LIMITS,
) -> int:
    """Fine-tune a tracker on your own clips, under a guard; a stopped run in `out` continues where it was.

    If clips have tracks, the tracker learns these. If none has, it learns what several views of the videos agree on.
    Weights that are worse than the start on held-out truth are never written. If there are no others, the exit code
    is 3.

    Args:
        folder: folder of clips with tracks (docs/train/data-format.md); or a video, or a folder of videos, of folders
            of pictures, or of clips without tracks.
        out: folder for model.safetensors, report.json, labels and logs.
        init: tracker to start from: small, or a .safetensors file of pointtrack's own kind.
        mode: auto uses tracks where there are any; tracks requires them; self ignores them.
        teacher: comma-separated trackers that label too: names, such as cotracker3-offline, or files.
        guard: folder of clips with tracks for the guard to measure on; by default, held-out synthetic clips.
        share: share of the batches from your own clips; the others are synthetic, so that the tracker forgets nothing.
        rounds: rounds of labelling and training; each starts from the best weights so far.
        batch: clips per batch.
        train_encoder: train the encoder too; slower, and goes too far sooner.
        textures: folder with train, val and test photographs for the synthetic clips; by default, procedural patterns.
        scene: frames, sizes and points of a batch, and what synthetic clips are like.
        loop: length of the training, learning rate and device.
        labels: what to label in videos without tracks, and when views agree.
        limits: when the guard stops the run.

    Raises:
        ValueError: videos that are too short, labels without agreement, a tracker of another kind, clips that the guard
            uses too, or an `out` of a run with other settings.
        FileNotFoundError: no videos, clips or weights at the path.
    """
    settings = plain({**locals(), "loop": without(asdict(loop), OF_THE_MACHINE)})
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    if rounds < 1 or batch < 1:
        raise ValueError(f"finetune: expected at least 1 round and clip per batch, got {rounds} and {batch}")
    if not 0 <= share <= 1:
        raise ValueError(f"share: expected the share of your own clips, 0 to 1, got {share}")
    # If `out` lay in the folder, its labels would count as videos.
    read = [init, guard, textures, *(teacher or "").split(",")]
    check_outputs([folder, *read], [out / "model.safetensors"], folders=[out], source=folder, overwrite=True)
    tracked = _tracked_clips(folder, mode)
    if tracked and rounds > 1:
        raise ValueError(f"rounds: expected 1 with tracks, as nothing is labelled, got {rounds}")
    videos = [] if tracked else find_videos(folder)
    fabric = make_fabric(loop, out)
    torch.manual_seed(loop.seed)
    bank, held_out_bank = texture_banks(textures)
    measured = _guard(guard, tracked, SyntheticClips(held_out_bank, scene, 1, GUARD_SEED), limits)
    tracker = load_tracker(init, device=fabric.device)
    FineTuneTask.check(tracker)
    start = _begin(out, settings, measured, tracker, fabric)
    _say(fabric, f"guard     {guard or counted(limits.clips, 'held-out synthetic clip')}: {_shown(start)}")

    best: Path | None = None
    figure, checks, stopped = None, [], False
    for number in range(1, rounds + 1):
        place = out / f"round-{number}"
        if best is not None:
            tracker = load_tracker(best, device=fabric.device)
        if videos:
            _label(videos, _views(tracker, teacher, labels, fabric), labels, place / "labels", fabric)
        clip_loop, readers = for_clips(loop, fabric)
        seed = loop.seed + 1000 * number
        own: Dataset = (
            AgreedClips([place / "labels"], scene, batch, seed)
            if videos
            else FolderClips(tracked, scene, batch, seed)
        )
        made = SyntheticClips(bank.to(fabric.device), scene, batch, seed)
        clips = MixedClips(made, own, share, seed, readers)
        task = run(
            FineTuneTask(tracker, measured, limits, start, figure, train_encoder),
            clips,
            clip_loop,
            place,
            fabric,
        )
        assert isinstance(task, FineTuneTask)
        checks += [{"round": number, **one} for one in task.checks]
        better, stopped = fabric.broadcast((task.is_better, task.is_finished()))
        if better:
            best, figure = place / "model.safetensors", fabric.broadcast(task.best)
        if stopped or not better:
            break
    return _report(out, start, checks, best, stopped) if fabric.is_global_zero else 0


def _tracked_clips(folder: Path, mode: str) -> list[Path]:
    """The clips with tracks; none if `mode` ignores tracks."""
    try:
        clips = list_clips(folder) if mode != "self" and folder.is_dir() else []
    except FileNotFoundError:
        clips = []
    found = [path for path in clips if (path / TRACKS).is_file()]
    if mode == "tracks" and not found:
        got = f"{counted(len(clips), 'clip')}, none of which has any" if clips else "no clips"
        raise ValueError(f"finetune: expected clips with {TRACKS} in {folder}, got {got}")
    if found and len(found) < len(clips):
        log.info("clips: %d of %d have tracks; the others are left out (--mode self takes all)",
                 len(found), len(clips))  # fmt: skip
    return found


def _guard(folder: Path | None, tracked: list[Path], clips: SyntheticClips, limits: GuardConfig) -> Guard:
    if folder is None:
        made = [synthetic_clip(clips, number, procedural=True) for number in range(limits.clips)]
        return Guard([clip_example(clip) for clip in made], own_size=True)
    both = {path.resolve() for path in tracked} & {path.resolve() for path in list_clips(folder)}
    if both:
        raise ValueError(
            f"guard: expected other clips than those to learn from, got {sorted(both)[0]} in both"
        )
    return Guard(list(clip_examples(folder)))


def _views(tracker: PointTracker, teacher: str | None, labels: LabelConfig, fabric: Fabric) -> list[View]:
    names = [name.strip() for name in (teacher or "").split(",") if name.strip()]
    return views_of(tracker, labels) + [
        View(name, load_tracker(name, device=fabric.device)) for name in names
    ]


def _label(
    videos: list[tuple[str, Path]], views: list[View], labels: LabelConfig, out: Path, fabric: Fabric
) -> None:
    """Label in the first process while the others wait."""
    if fabric.is_global_zero:
        clips, kept, known = label_videos(videos, views, labels, out)
        print(
            f"labels    {counted(clips, 'clip')} in {out}: {counted(len(views), 'view')} agree on {100 * kept:.0f} % of the points, "
            f"which count on {100 * known:.0f} % of the frames"
        )
    fabric.barrier()


def _begin(
    out: Path, settings: dict[str, Any], guard: Guard, tracker: PointTracker, fabric: Fabric
) -> dict[str, float]:
    """The guard's figures before fine-tuning: measured now, or read from the run's settings.json.

    Settings count once there is something made with them: labels, or training.
    """
    path = out / "settings.json"
    if path.is_file() and any(out.glob("round-*")):
        noted = json.loads(path.read_text(encoding="utf-8"))
        check_settings(out, noted["settings"], settings)
        return dict(noted["start"])
    start = guard.measure(tracker)
    fabric.barrier()  # every process has looked for the file before the first one writes it
    if fabric.is_global_zero:
        content = json.dumps({"settings": settings, "start": start}, indent=1) + "\n"
        write_text(path, content)
    return start


def _report(
    out: Path, start: dict[str, float], checks: list[dict[str, Any]], best: Path | None, stopped: bool
) -> int:
    """Print the outcome, write report.json, put the best weights in place, and return the exit code."""
    after = max(reversed(checks), key=FineTuneTask.figure, default=start)
    if stopped:
        print("stopped   held-out truth got worse than at the start by more than the margin")
    print(f"before    {_shown(start)}")
    print(f"{'after ' if best else 'best  '}    {_shown(after)}")
    content = {"start": start, "checks": checks, "stopped_by_guard": stopped, "written": best is not None}
    write_text(out / "report.json", json.dumps(content, indent=1) + "\n")
    if best is None:
        print("weights   none written: no check was as good as the start")
        return NOTHING_WRITTEN
    with atomic_path(out / "model.safetensors") as part:
        shutil.copyfile(best, part)
    print(f"weights   {out / 'model.safetensors'}")
    return 0


def _shown(figures: dict[str, Any]) -> str:
    return "  ".join(f"{name} {value:.2f}" for name, value in figures.items() if name != "round")


def _say(fabric: Fabric, line: str) -> None:
    if fabric.is_global_zero:
        print(line)


if __name__ == "__main__":
    sys.exit(run_command(lambda: finetune_command, sys.argv[1:], "pointtrack finetune"))
