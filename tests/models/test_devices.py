"""Whatever runs on a GPU keeps to it: every tensor of an operation lies there. On a pretended one, as tests have none."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import pointtrack as pt
from pointtrack.config import WindowConfig
from pointtrack.models.device import pick_device
from pointtrack.models.point_tracker import PointTracker
from pointtrack.segment.base import Prompt
from pointtrack.segment.small import SmallSegmenter
from pointtrack.segment.small_network import SegmenterConfig, SegmenterNetwork
from tests.support.keyed import KEYED
from tests.support.pretended_gpu import pretended_gpu
from tests.support.trackers import variant
from tests.support.tracks import moving_video

VIDEO = moving_video(9, (64, 48))
POINTS = pt.Queries([0, 3, 8], [[30.0, 20.0], [12.5, 30.0], [40.0, 20.0]])
OFF = {
    "sum": lambda x: x + torch.ones(3),
    "index": lambda x: torch.ones(3)[x.long()],
    "cat": lambda x: torch.cat([x, torch.ones(1)]),
    "stack": lambda x: torch.stack([x[0], torch.tensor(1.0)]),
    "where": lambda x: torch.where(x > 0, x, torch.zeros(3)),
    "masked fill": lambda x: x.masked_fill(torch.ones(3) > 0, 0.0),
    "put": lambda x: x.index_put((torch.tensor([0]),), torch.zeros(1)),
    "gather": lambda x: x.gather(0, torch.tensor([0])),
    "linear": lambda x: F.linear(x, torch.ones(2, 3)),
    "numpy": lambda x: x.numpy(),
    "asarray": np.asarray,
}


@pytest.mark.parametrize("name", OFF)
def test_tensors_on_two_devices_are_noticed(name):
    with pretended_gpu() as gpu, torch.inference_mode():
        x = torch.arange(3.0, device=gpu)
        with pytest.raises((RuntimeError, TypeError), match=r"one device|numpy"):
            OFF[name](x)


@pytest.mark.parametrize(
    "device, gpus, build, message",
    [
        (
            "cuda",
            0,
            None,
            r"\(cpu, auto\), got 'cuda'; torch \S+ is a build without CUDA: install one with it",
        ),
        ("cuda", 0, "13.0", r"\(cpu, auto\), got 'cuda'; torch finds no GPU, and nvidia-smi shows"),
        ("cuda:3", 1, "13.0", r"\(cpu, cuda, auto\), got 'cuda:3'; there is one GPU, cuda:0"),
        ("cuda:3", 2, "13.0", "the GPUs here are cuda:0..1"),
        ("mps", 0, None, "got 'mps'; mps is the GPU of Macs with Apple silicon; take cpu or auto"),
    ],
)
def test_a_device_that_is_not_there_is_told_with_what_to_do(device, gpus, build, message, monkeypatch):
    def refuse(*_, device):
        raise AssertionError("Torch not compiled with it")

    monkeypatch.setattr(torch, "zeros", refuse)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", build)
    monkeypatch.setattr(torch.version, "hip", None)
    with pytest.raises(ValueError, match=message):
        pick_device(device)


def test_what_a_gpu_takes_is_taken():
    with pretended_gpu() as gpu, torch.inference_mode():
        x = torch.arange(3.0, device=gpu)
        assert x.device.type != "cpu" and x.cpu().numpy().tolist() == [0, 1, 2]
        assert (x * torch.tensor(2.0)).tolist() == [0, 2, 4] and float(x.sum()) == 3
        assert x[torch.tensor([2])].tolist() == [2]
        assert x.new_tensor([1, 2]).device == torch.tensor(3, device=gpu).device == x.device
        x[1:] = 5
        assert x.tolist() == [0, 5, 5]


def there(network, device):
    return copy.deepcopy(network).to(device).eval().requires_grad_(False)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="plain"),
        pytest.param({"states": True}, id="states", marks=pytest.mark.long),  # streams below have states
        pytest.param(
            {"regions": pt.RegionOptions(wh=(24, 24), max_regions=1), "smooth": 1},
            id="regions",
            marks=pytest.mark.long,
        ),
    ],
)
def test_trackers(tiny_tracker, options):
    here = pt.Tracker(tiny_tracker, **options).track(VIDEO, POINTS)
    with pretended_gpu() as gpu:
        found = pt.Tracker(there(tiny_tracker, gpu), **options).track(VIDEO, POINTS)
    torch.testing.assert_close(found.xy, here.xy, atol=1e-2, rtol=0, equal_nan=True)


@pytest.mark.long  # another kind of windows; `test_trackers` holds our own
def test_windows_as_in_published_trackers(tiny_tracker):
    published = variant(tiny_tracker, start="repeat", late="present", pad=True)
    here = pt.Tracker(published).track(VIDEO, POINTS)
    with pretended_gpu() as gpu:
        found = pt.Tracker(there(published, gpu)).track(VIDEO, POINTS)
    torch.testing.assert_close(found.xy, here.xy, atol=1e-2, rtol=0, equal_nan=True)


@pytest.fixture
def segmenter():
    torch.manual_seed(0)
    config = SegmenterConfig(
        width=16, heads=2, depth=1, decoder_depth=1, grow_channels=(8, 8, 4), input_side=96
    )
    return SmallSegmenter(SegmenterNetwork(config).eval().requires_grad_(False))


def test_segmenters(segmenter):
    def answer(one):
        embedding = one.look_closer(VIDEO.frames[0], one.encode(VIDEO.frames[0]))
        first = one.decode(embedding, Prompt([[30.0, 20.0], [5.0, 5.0]], [1, 0], [10, 5, 50, 40]))
        again = Prompt([[30.0, 20.0]], mask_logits=first.low[0])
        return one.decode(embedding, again, several=False).logits.cpu()

    with pretended_gpu() as gpu:
        found = answer(SmallSegmenter(there(segmenter.network, gpu)))
    torch.testing.assert_close(found, answer(segmenter), atol=1e-3, rtol=1e-3)


def test_objects(segmenter):
    torch.manual_seed(0)
    windows = WindowConfig(length=8, step=4, iterations=1, search_radius=3)
    keyed = PointTracker(replace(KEYED, window=windows)).eval().requires_grad_(False)
    square = torch.zeros(48, 64, dtype=torch.bool)
    square[10:30, 15:45] = True

    def masks(tracker, segmenter):
        session = pt.ObjectSession(VIDEO.clip(0, 4), pt.Tracker(tracker), segmenter=segmenter)
        session.prompt(session.add_object(), frame=0, mask=square)
        session.prompt(1, frame=2, points=[[20.0, 20.0], [3.0, 3.0]], labels=[1, 0])
        session.propagate()
        session.prompt(1, frame=3, mask=square)  # corrects what lies beside it
        return session.propagate()

    here = masks(keyed, segmenter)
    with pretended_gpu() as gpu:
        found = masks(there(keyed, gpu), SmallSegmenter(there(segmenter.network, gpu)))
    assert here.masks.any(dim=(2, 3)).sum() > 2
    assert (found.masks != here.masks).float().mean() < 0.01


def test_streams_continue_from_a_state(tiny_tracker):
    with pretended_gpu() as gpu:
        tracker = pt.Tracker(there(tiny_tracker, gpu), states=True)
        stream = tracker.stream(POINTS, VIDEO.wh)
        stream.push(VIDEO.frames[:8])
        stream.preview()
        stream.add(pt.Queries(7, [[25.0, 25.0]], ids=[7]))
        stream.push(VIDEO.frames[8:])
        stream.remove([1])
        assert stream.finish().ids.tolist() == [0, 2, 7]


def test_the_state_of_a_stream(tiny_tracker):
    with pretended_gpu() as gpu:
        network = there(tiny_tracker, gpu)
        stream = pt.Tracker(network).stream(POINTS, VIDEO.wh)
        stream.push(VIDEO.frames[:8])
        again = type(stream).from_state_dict(network, stream.state_dict())
        found, wanted = (one.push(VIDEO.frames[8:]).xy for one in (again, stream))
    torch.testing.assert_close(found, wanted, equal_nan=True)
