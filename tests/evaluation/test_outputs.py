"""Reports and weights are never written over what they are made from; told before anything is computed."""

import pytest

from evaluation.cli import eval_command
from evaluation.cli_calibrate import calibrate_command
from evaluation.cli_images import eval_images_command
from evaluation.cli_masks import eval_masks_command
from evaluation.development import development_command
from train.average_weights import average
from train.cli import train_command
from train.cli_finetune import finetune_command
from train.trunk_weights import trunk_command

NAMES = {"tracker": "t.safetensors", "pickle": "a.pkl", "folder": "clips", "report": "before.json"}
COMMANDS = {
    "eval, tracker": lambda p: eval_command("warp", "static", str(p["tracker"]), out=p["tracker"]),
    "eval, data": lambda p: eval_command(f"warp,tapvid:{p['pickle']}", "static", out=p["pickle"]),
    "eval, in the data": lambda p: eval_command(f"clips:{p['folder']}", "static", out=p["folder"] / "r.json"),
    "eval-masks": lambda p: eval_masks_command(f"davis2017:{p['folder']}", out=p["folder"] / "r.json"),
    "calibrate": lambda p: calibrate_command(given=str(p["report"]), fit_only=True, out=p["report"]),
    "images": lambda p: eval_images_command(segmenter=str(p["tracker"]), out=p["tracker"]),
    "development": lambda p: development_command(before=p["report"], out=p["report"]),
    "average": lambda p: average([p["tracker"], p["report"]], p["tracker"]),
    "trunk": lambda p: trunk_command(p["tracker"], p["tracker"]),
    "train, weights": lambda p: train_command(init=p["folder"] / "model.safetensors", out=p["folder"]),
    "train, clips": lambda p: train_command(clips=f"x,{p['folder']}", out=p["folder"]),
    "train, objects": lambda p: train_command("segmenting", objects=f"{p['folder']}=2", out=p["folder"]),
    "finetune": lambda p: finetune_command(p["folder"], out=p["folder"]),
    "finetune, inside": lambda p: finetune_command(p["folder"], out=p["folder"] / "run"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_an_input_is_no_output(tmp_path, command):
    places = {key: tmp_path / name for key, name in NAMES.items()}
    places["folder"].mkdir()
    (places["folder"] / "model.safetensors").write_bytes(b"weights")
    for key in ("tracker", "pickle", "report"):
        places[key].write_bytes(b"precious")
    with pytest.raises(ValueError, match="expected an output (that is not the input|outside the input)"):
        COMMANDS[command](places)
    assert all(places[key].read_bytes() == b"precious" for key in ("tracker", "pickle", "report"))
    assert [path.name for path in places["folder"].iterdir()] == ["model.safetensors"]
