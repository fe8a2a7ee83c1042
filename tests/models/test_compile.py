"""Compiled trackers answer as they did."""

from dataclasses import replace

import pytest
import torch

from pointtrack.config import InferenceOptions
from pointtrack.models.compile import compile_tracker
from pointtrack.types import Queries
from tests.support.streams import track
from tests.support.tracks import moving_video


def answers(tracker, points):
    """Tracks over 22 frames: whole windows, and a shorter one at the end."""
    generator = torch.Generator().manual_seed(5)
    frame = torch.randint(8, (points,), generator=generator)
    xy = torch.rand(points, 2, generator=generator) * torch.tensor([60.0, 40.0])
    return track(tracker, moving_video(22, (64, 48)), Queries(frame, xy))


@pytest.fixture
def fresh_compiler():
    """Nothing compiled before counts, and nothing is left."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.long
def test_answers_are_equal(tiny_tracker, fresh_compiler):
    """Traced and filled up as always, to 128; only the code that "eager" runs is not generated, which would take minutes."""
    names = list(tiny_tracker.state_dict())
    wanted = answers(tiny_tracker, 70)
    compiled = compile_tracker(tiny_tracker, "eager")
    assert list(compiled.state_dict()) == names
    got = answers(compiled, 70)
    assert torch.allclose(got.xy, wanted.xy, atol=1e-3, equal_nan=True)
    assert torch.allclose(got.visibility, wanted.visibility, atol=1e-4, equal_nan=True)


def test_points_are_filled_up_and_answers_may_be_written_to_the_same_place_every_time(
    tiny_tracker, fresh_compiler
):
    """Points that fill up are not seen. CUDA graphs replay into the memory of their first run. Tracing is most of the time."""
    shapes = []

    def watched(graph, _):
        run = replaying(graph, _)
        return lambda *inputs: (shapes.extend(tuple(x.shape) for x in inputs), run(*inputs))[1]

    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(2, 1, 8, 3, tiny_tracker.tokens.width, generator=generator)
    images = torch.rand(2, 3, 32, 32, generator=generator)
    updates, features = [tiny_tracker.updater(x) for x in tokens], tiny_tracker.encoder(images)
    compile_tracker(tiny_tracker, watched)
    for got, wanted in zip([tiny_tracker.updater(x) for x in tokens], updates, strict=True):
        assert torch.allclose(got, wanted, atol=1e-5)
    assert (1, 8, 64, tiny_tracker.tokens.width) in shapes
    assert torch.allclose(tiny_tracker.encoder(images), features, atol=1e-5)


def replaying(graph, _):
    """A backend of torch.compile whose outputs stay where the first ones were."""
    places = []

    def run(*inputs):
        outputs = graph(*inputs)
        places[:] = places or [x.clone() for x in outputs]
        return [place.copy_(x) for place, x in zip(places, outputs, strict=True)]

    return run


@pytest.mark.long
def test_generated_code_gives_the_same(tiny_tracker, fresh_compiler):
    plain = tiny_tracker.updater.forward
    try:
        compile_tracker(tiny_tracker)
    except ValueError as error:
        pytest.skip(str(error))
    tokens = torch.randn(1, 8, 3, tiny_tracker.tokens.width, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(tiny_tracker.updater(tokens), plain(tokens), atol=1e-5)


@pytest.mark.parametrize("change", [{"length": None}, {"strict_parity": True}])
def test_trackers_that_cannot_be_compiled(change, tiny_tracker):
    config = tiny_tracker.config
    if "length" in change:
        tiny_tracker.config = replace(config, window=replace(config.window, **change))
    else:
        tiny_tracker.inference = InferenceOptions(**change)
    with pytest.raises(ValueError, match="expected a tracker with windows of a fixed length"):
        compile_tracker(tiny_tracker)


def test_no_compiler_is_told(tiny_tracker, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ValueError, match=r"expected a C\+\+ compiler"):
        compile_tracker(tiny_tracker)
