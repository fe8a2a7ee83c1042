"""What is in the graphs, and what cannot be exported."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pointtrack.cli.export_onnx import ExportOnnxCommand
from pointtrack.cli.runner import run_command
from pointtrack.layers.convolution import convolve
from pointtrack.onnx.export import export_graphs, operators, write_graph
from pointtrack.onnx.manifest import read_manifest
from tests.onnx.conftest import POINTS, WH, small_tracker

# Arithmetic, shapes, gathers and layers that every runtime has: no control flow, no other domain, no sampling in 3-D.
ALLOWED = """
    Abs Add And ArgMax AveragePool Cast Clip Concat Constant ConstantOfShape Conv Cos Div Einsum Equal Erf Exp Expand Flatten
    Floor Gather GatherElements GatherND Gelu Gemm Greater GreaterOrEqual GridSample Identity InstanceNormalization IsNaN
    LayerNormalization Less LessOrEqual MatMul Max Min Mul Neg Not Or Pad Pow Range Reciprocal ReduceMax ReduceMean ReduceSum
    Relu Reshape Resize Shape Sigmoid Sin Slice Softmax Split Sqrt Squeeze Sub Tanh Tile Transpose Unsqueeze Where
"""


@pytest.mark.parametrize(
    "kind",
    [
        "ours",
        *(pytest.param(f"cotracker{v}", marks=pytest.mark.long) for v in ("2.1", "3-online", "3-offline")),
    ],
)
def test_operators(exported, kind):
    onnx = pytest.importorskip("onnx")
    folder = exported(kind).folder
    for path in sorted(folder.glob("*.onnx")):
        assert set(operators(path)) <= set(ALLOWED.split()), path.name
        model = onnx.shape_inference.infer_shapes(onnx.load(path))
        assert not model.functions
        ranks = {x.name: len(x.dims) for x in model.graph.initializer}
        ranks |= {x.name: len(x.type.tensor_type.shape.dim) for x in model.graph.value_info}
        sampled = [ranks[node.input[0]] for node in model.graph.node if node.op_type == "GridSample"]
        assert sampled == [4] * len(sampled)


def test_shapes_are_fixed_and_no_paths_of_this_machine_are_told(exported):
    onnx = pytest.importorskip("onnx")
    folder = exported("ours").folder
    for name in read_manifest(folder).sha256:
        graph = onnx.load(folder / name).graph
        for value in [*graph.input, *graph.output]:
            assert all(side.dim_value > 0 for side in value.type.tensor_type.shape.dim), value.name
        assert not any(node.metadata_props for node in graph.node)
        assert b"site-packages" not in (folder / name).read_bytes()


def test_manifest_says_what_was_written(exported):
    one = exported("ours")
    manifest = read_manifest(one.folder)
    assert (manifest.wh, manifest.frames, manifest.points) == (WH, 8, (POINTS,))
    assert manifest.config == one.tracker.config
    assert set(manifest.sha256) == {path.name for path in one.folder.glob("*.onnx")}


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("ours", {"wh": (95, 64)}, "multiples of 4, got 95x64"),
        ("ours", {"wh": (128, 64)}, "expected 96x64, the only size of ours"),
        ("ours", {"points": []}, "numbers of 1 or more"),
        ("ours", {"points": [0, 8]}, "numbers of 1 or more"),
        ("ours", {"frames": 12}, "expected 8, the windows of ours, got 12"),
        ("cotracker3-offline", {}, "expected the length of your clips"),
    ],
)
def test_what_cannot_be_exported(tmp_path, kind, options, message):
    pytest.importorskip("onnxscript")
    arguments = {"wh": WH, **options}
    with pytest.raises(ValueError, match=message):
        export_graphs(small_tracker(kind), tmp_path / "graphs", **arguments)
    assert not (tmp_path / "graphs").exists()


@pytest.mark.slow
def test_command(exported):
    one = exported("ours")  # which the command wrote
    assert f"refine_{POINTS}.onnx" in one.printed and "4 points through 6 frames" in one.printed
    graphs = {"encoder.onnx", f"refine_{POINTS}.onnx"}
    assert set(read_manifest(one.folder).sha256) == graphs
    assert {path.name for path in one.folder.iterdir()} == {*graphs, "tracker.json"}


def test_graphs_are_replaced_and_nothing_else_is(tmp_path, capsys):
    folder = tmp_path / "graphs"
    command = ["--tracker", "no-such-tracker"]  # which is looked for after the folder
    for name, message in (
        ("encoder.onnx", "no-such-tracker"),
        ("tracker.json", "no-such-tracker"),
        ("mine.onnx", "mine.onnx in it"),
    ):
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
        assert run_command(lambda: ExportOnnxCommand, [str(folder), *command], "pointtrack export-onnx") == 2
        assert message in capsys.readouterr().err
        assert (folder / name).is_file()
    assert run_command(lambda: ExportOnnxCommand, [str(folder / "mine.onnx"), *command], "pointtrack") == 2
    assert "expected a folder for the graphs, got the file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--wh 96", "expected width x height"),
        ("--points 3,x", "expected whole numbers"),
        ("--repeats 0", "repeats: expected 1 or more, got 0"),
        ("--wh 96x64 --check VIDEO", "wh: expected 672x496, the size at which"),
        ("--grid 0 --check VIDEO", "grid"),
    ],
)
def test_command_with_mistakes(tmp_path, tiny_video_file, capsys, options, message):
    """Nothing is written, as writing takes minutes."""
    arguments = [
        str(tmp_path / "graphs"), *(str(tiny_video_file) if word == "VIDEO" else word for word in options.split())
    ]  # fmt: skip
    assert run_command(lambda: ExportOnnxCommand, arguments, "pointtrack export-onnx") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "graphs").exists()


class Halved(nn.Module):
    """The largest depthwise layer of the trunk that halves a map; smaller ones are folded into constants."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(672, 672, 5, 2, padding=2, groups=672)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return convolve(x, self.layer, behind=True)


def test_a_layer_that_is_padded_behind_runs(tmp_path):
    """ONNX Runtime refused graphs with padded weights of more than 8192 numbers, as the tracker that ships has."""
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    step, x = Halved(), torch.randn(1, 672, 8, 6, generator=torch.Generator().manual_seed(0))
    write_graph(tmp_path / "g.onnx", step, {"x": x}, ["y"])
    (y,) = runtime.InferenceSession(tmp_path / "g.onnx").run(None, {"x": x.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(y, step(x).numpy(), atol=1e-5)
