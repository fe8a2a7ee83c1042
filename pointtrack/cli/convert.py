"""`pointtrack convert`: published weights as one file."""

from __future__ import annotations

from pathlib import Path

from pointtrack.io.outputs import check_outputs, record_origin
from pointtrack.models.checkpoint import save_checkpoint
from pointtrack.models.weight_files import file_sha256
from pointtrack.zoo import load_tracker


def convert(
    weights: str, out: str, half: bool = False, sha256: str | None = None, overwrite: bool = False
) -> None:
    """Write the weights of a published tracker as one .safetensors file that needs no name beside it.

    Args:
        weights: a .pth or .safetensors file, or the name of a published tracker, downloaded if needed.
        out: the .safetensors file to write.
        half: write half precision: half as large, but tracks are no longer exactly the same.
        sha256: digest that the weights file must have.
        overwrite: also replace an existing file that does not come from these weights.
    """
    path = Path(out)
    if path.suffix != ".safetensors":
        raise ValueError(f"out: expected a .safetensors file, got {out!r}")
    check_outputs([weights], [path], source=weights, overwrite=overwrite)
    tracker = load_tracker(weights, device="cpu", sha256=sha256)
    record_origin([path], weights)
    save_checkpoint(path, tracker, half=half)
    print(f"tracker   {tracker.config.name}, under {tracker.config.licence}")
    print(f"weights   {path}, {path.stat().st_size / 1e6:.1f} MB, SHA-256 {file_sha256(path)}")
