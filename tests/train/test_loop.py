"""The training loop: it learns, it goes on where it stopped, and it survives a broken batch."""

import copy
import csv
from dataclasses import replace

import pytest
import torch

from pointtrack.models.checkpoint import load_checkpoint
from pointtrack.models.point_tracker import PointTracker
from tests.support.short_runs import LOOP, BreakingOff, Stopped, losses_on
from train.data.synthetic import SceneConfig, SyntheticClips
from train.data.textures import procedural_bank
from train.loop import LoopConfig, learning_rate, run
from train.losses import matching_loss
from train.tasks.matching import MatchingTask
from train.tasks.tracking import TrackingTask, track_windows


@pytest.fixture(scope="module")
def clips():
    bank = procedural_bank(3, torch.Generator().manual_seed(0))
    return SyntheticClips(bank, SceneConfig(frames=6, sizes=((96, 64),), points=12, query_frames=3), 2, 0)


@pytest.fixture(scope="module")
def held_out(clips):
    one = SyntheticClips(clips.bank, clips.config, 1, 9)
    return [one[0]]


def tasks(config, held_out):
    def fresh():
        torch.manual_seed(0)
        return PointTracker(config)

    return {
        "matching": lambda: MatchingTask(fresh(), held_out),
        "tracking": lambda: TrackingTask(fresh(), held_out, windows=((4, 2), (6, 3))),
    }


@pytest.mark.parametrize("name", [pytest.param("matching", marks=pytest.mark.long), "tracking"])
def test_a_stopped_run_goes_on_as_if_it_had_not(name, tiny_tracker, clips, held_out, tmp_path):
    make = tasks(tiny_tracker.config, held_out)[name]
    whole = run(make(), clips, LOOP, tmp_path / "whole")

    with pytest.raises(Stopped):
        run(make(), BreakingOff(clips, 3), LOOP, tmp_path / "parts")
    resumed = run(make(), clips, replace(LOOP, seed=0), tmp_path / "parts")
    for (key, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=1e-6), key
    rows = list(csv.DictReader((tmp_path / "whole" / "log.csv").open()))
    names = {row["name"] for row in rows}
    assert {"loss", "clips_per_s", "data_share", "memory_gb", "rate"} <= names
    assert any(row.startswith("val_") for row in names)
    with (tmp_path / "parts" / "log.csv").open() as file:
        again = [(row["step"], row["value"]) for row in csv.DictReader(file) if row["name"] == "loss"]
    assert again == [(row["step"], row["value"]) for row in rows if row["name"] == "loss"], "no step twice"
    load_checkpoint(tmp_path / "whole" / "model.safetensors")


def test_a_complete_run_says_that_it_trains_nothing(tiny_tracker, clips, held_out, tmp_path, caplog):
    """Someone who tries other settings into the same folder would take the old weights for the new ones."""
    make, said = tasks(tiny_tracker.config, held_out)["matching"], "is complete: nothing is trained"
    with caplog.at_level("INFO"):
        run(make(), clips, replace(LOOP, steps=2), tmp_path)
        assert said not in caplog.text
        run(make(), clips, replace(LOOP, steps=2, learning_rate=1.0), tmp_path)
    assert f"{tmp_path / 'model.safetensors'} {said}" in caplog.text


@pytest.mark.parametrize("name", [pytest.param("matching", marks=pytest.mark.long), "tracking"])
def test_learning_lowers_the_loss_on_one_batch(name, tiny_tracker, clips, held_out):
    task = tasks(tiny_tracker.config, held_out)[name]()
    losses = losses_on(clips[0], task, steps=40)
    assert losses[-1] < 0.9 * losses[0]


def test_frozen_encoder_stays_and_only_matching_moves_it(tiny_tracker, held_out):
    made = tasks(tiny_tracker.config, held_out)
    assert not any(p.requires_grad for p in made["tracking"]().tracker.encoder.parameters())
    matching = made["matching"]()
    assert all(p.requires_grad for p in matching.tracker.encoder.parameters())
    assert not matching.tracker.head.weight.requires_grad


def test_a_perfect_encoder_has_the_lowest_matching_loss(clips):
    """One-hot features that name the card and place of every point leave nothing to guess."""
    batch = clips[0]
    b, t = batch.frames.shape[:2]
    sharp = torch.full((1,), 50.0)
    random = torch.nn.functional.normalize(torch.randn(b, t, 8, 16, 24), dim=2)
    constant = torch.ones(b, t, 8, 16, 24) / 8**0.5
    chance_level = torch.log(torch.tensor(16.0 * 24))
    loss, _ = matching_loss([constant], batch, sharp)
    assert torch.allclose(loss, chance_level, atol=1e-3)
    assert matching_loss([random], batch, sharp)[0] > loss


def test_windows_cover_every_frame(tiny_tracker, clips):
    with torch.no_grad():
        windows = track_windows(tiny_tracker, clips[0], 4, 2)
    assert [start for start, _ in windows] == [0, 2]
    assert [estimates[0].xy.shape[1] for _, estimates in windows] == [4, 4]


def test_learning_rate_rises_then_falls():
    config = LoopConfig(steps=100, warmup=10, learning_rate=1.0)
    rates = [learning_rate(step, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == pytest.approx(1.0)
    assert rates[9] == 1.0 and rates[-1] < 0.02 and rates[50] < rates[20]


@pytest.mark.parametrize(
    "name", ["matching", pytest.param("tracking", marks=pytest.mark.long), "tracking with encoder"]
)
def test_recomputing_keeps_less_and_gives_the_same_gradients(name, tiny_tracker, clips, held_out):
    found = {}
    for recompute in (False, True):
        if name == "matching":
            task = MatchingTask(copy.deepcopy(tiny_tracker), held_out)
        else:
            tracker = copy.deepcopy(tiny_tracker)
            task = TrackingTask(tracker, held_out, ((4, 2),), freeze_encoder=name == "tracking")
        task.recompute = recompute
        kept = {}  # bytes by storage: what autograd saves

        def note(x, kept=kept):
            kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
            loss, _ = task(clips[0])
            at_once = sum(kept.values())
        loss.backward()
        assert "refine" not in vars(task.tracker) and "forward" not in vars(task.tracker.encoder)
        gradients = {key: p.grad for key, p in task.named_parameters() if p.requires_grad}
        found[recompute] = loss.detach(), at_once, gradients
    (loss, kept, wanted), (same, less, got) = found[False], found[True]
    assert torch.allclose(loss, same, rtol=1e-6)
    assert less < 0.6 * kept
    # Biases before a normalisation have no gradient but rounding: what is close is measured by the largest of all.
    noise = 1e-5 * max(gradient.abs().max() for gradient in wanted.values())
    assert all((wanted[key] - got[key]).abs().max() < noise for key in wanted)


class Clock:
    """Time for the loop that goes on by so many seconds whenever a batch is made."""

    def __init__(self, clips, seconds, broken=None):
        self.clips, self.seconds, self.broken, self.now, self.made = clips, seconds, broken, 1000.0, []

    def __getitem__(self, index):
        if index == self.broken:
            raise Stopped
        self.now += self.seconds
        self.made.append(index)
        return self.clips[index]

    def monotonic(self):
        return self.now


@pytest.fixture
def timed(monkeypatch):
    """Makes clips whose making takes the time of the loop."""

    def make(*args, **more):
        clock = Clock(*args, **more)
        monkeypatch.setattr("train.loop.time.monotonic", clock.monotonic)
        return clock

    return make


MINUTE = replace(LOOP, minutes=1.0, steps=1, validate_every=100, save_every=2)


def logged(out, name):
    """(step, value) of one figure of the log."""
    with (out / "log.csv").open() as file:
        return [
            (int(row["step"]), float(row["value"])) for row in csv.DictReader(file) if row["name"] == name
        ]


def test_minutes_end_a_run_in_the_place_of_steps(tiny_tracker, clips, held_out, tmp_path, timed):
    make = tasks(tiny_tracker.config, held_out)["matching"]
    clock = timed(clips, 14.0)
    run(make(), clock, MINUTE, tmp_path)
    assert clock.made == [0, 1, 2, 3, 4]  # 56 seconds are not yet a minute
    rates = [rate for _, rate in logged(tmp_path, "rate")]
    assert rates == pytest.approx([learning_rate(i, MINUTE, 14.0 * i) for i in range(5)], rel=1e-4)
    assert rates[0] == MINUTE.learning_rate and rates == sorted(rates, reverse=True)
    with (tmp_path / "log.csv").open() as file:
        assert {row["step"] for row in csv.DictReader(file) if row["name"].startswith("val_")} == {"5"}
    load_checkpoint(tmp_path / "model.safetensors")
    again = timed(clips, 14.0)
    run(make(), again, MINUTE, tmp_path)
    assert again.made == [], "its time is over"
    longer = timed(clips, 14.0)
    run(make(), longer, replace(MINUTE, minutes=1.5), tmp_path)
    assert longer.made == [5, 6], "20 seconds were left"


def test_a_stopped_run_goes_on_with_what_is_left_of_its_minutes(
    tiny_tracker, clips, held_out, tmp_path, timed
):
    make = tasks(tiny_tracker.config, held_out)["matching"]
    run(make(), timed(clips, 14.0), MINUTE, tmp_path / "whole")
    with pytest.raises(Stopped):
        run(make(), timed(clips, 14.0, broken=3), MINUTE, tmp_path / "parts")
    clock = timed(clips, 14.0)
    run(make(), clock, MINUTE, tmp_path / "parts")
    assert clock.made == [2, 3, 4]
    for name in ("loss", "rate"):
        assert logged(tmp_path / "parts", name) == logged(tmp_path / "whole", name)


def test_checkpoints_know_of_time_only_where_it_counts(tiny_tracker, clips, held_out, tmp_path, timed):
    """A run by steps writes what it always wrote, and one by minutes goes on from it, with all of its minutes."""
    make = tasks(tiny_tracker.config, held_out)["matching"]
    run(make(), clips, LOOP, tmp_path)
    checkpoint = tmp_path / "last.ckpt"
    assert set(torch.load(checkpoint, weights_only=True)) == {"model", "averaged", "optimizer", "step"}
    clock = timed(clips, 25.0)
    run(make(), clock, MINUTE, tmp_path)
    assert clock.made == [4, 5, 6]
    assert torch.load(checkpoint, weights_only=True)["seconds"] == 75.0
    with pytest.raises(ValueError, match="expected minutes above 0"):
        LoopConfig(minutes=0.0)
