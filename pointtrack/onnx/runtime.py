"""A tracker whose network runs in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from pointtrack.io.outside import reading
from pointtrack.layers.unfilled import unfilled
from pointtrack.models.point_tracker import PointTracker
from pointtrack.models.window import Estimate, Window
from pointtrack.onnx.export import needed
from pointtrack.onnx.manifest import ENCODER, read_manifest, refine_file
from pointtrack.onnx.steps import takes_short_windows

ABSENT_LOGIT = -1e4  # visibility of a padding frame; gives it practically no weight


class OnnxTracker(PointTracker):
    """A tracker from graphs that `export_graphs` wrote; use it like one from `load_tracker`.

    ONNX Runtime encodes frames and refines estimates. Windows, the first guess and the memory of points are those of
    `PointTracker`. It takes one video at a time, without gradients.

    Args:
        folder: folder with the graphs.
        threads: threads of ONNX Runtime for one graph; None leaves the choice to it.
        providers: providers of ONNX Runtime, in order of preference.

    Raises:
        ImportError: the extra `onnx` is not installed.
        FileNotFoundError: no such folder, or a graph is missing.
        ValueError: a damaged file, or a graph other than the one that was written.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        threads: int | None = None,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ):
        runtime = needed("onnxruntime")
        manifest = read_manifest(folder)
        manifest.check_files(Path(folder))
        with unfilled():  # save time and memory, as the weights are in the graphs
            super().__init__(manifest.config)
        for module in self.modules():
            for name in [name for name, _ in module.named_parameters(recurse=False)]:
                module.register_parameter(name, None)
            for name in [name for name, _ in module.named_buffers(recurse=False)]:
                module.register_buffer(name, None)
        with reading(folder, "the values of a tracker between its graphs"):
            for name, value in manifest.values.items():
                owner, _, leaf = name.rpartition(".")
                self.get_submodule(owner).register_parameter(leaf, _constant(torch.tensor(value)))
        # It identifies the tracker when runs are resumed, and gives the device.
        self.digest = _constant(torch.tensor(list(manifest.digest()), dtype=torch.uint8))
        self.manifest, self.folder = manifest, Path(folder)
        self._runtime, self._providers = runtime, list(providers)
        self._options = runtime.SessionOptions()
        self._options.intra_op_num_threads = threads or 0
        self._sessions: dict[str, Any] = {}  # by file, opened on demand
        self.eval()

    @property
    def one_size(self) -> bool:
        """Always true: the graphs take only the frame size that they were exported for."""
        return True

    def __getstate__(self) -> dict[str, Any]:
        """Leave out open graphs; a copy, or another process, opens those of the folder again."""
        state = self.__dict__ | {"_sessions": {}, "_threads": self._options.intra_op_num_threads}
        return {name: value for name, value in state.items() if name not in ("_runtime", "_options")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        threads = state.pop("_threads")
        super().__setstate__(state)
        self._runtime = needed("onnxruntime")
        self._options = self._runtime.SessionOptions()
        self._options.intra_op_num_threads = threads

    def encode(self, frames: Tensor) -> list[Tensor]:
        """(1, t, 3, h, w) RGB 0..255 -> pyramid, per level (1, t, h / 2^(l+2), w / 2^(l+2), c).

        Raises:
            ValueError: the frames have another size than the graph's, or there are several videos.
        """
        wh = (frames.shape[-1], frames.shape[-2])
        if wh != self.manifest.wh:
            raise ValueError(
                f"{self.folder}: expected frames of {_size(self.manifest.wh)}, the size that its graphs were exported "
                f"for; this video is tracked at {_size(wh)}: export again with --wh {_size(wh)}"
            )
        if len(frames) != 1:
            raise ValueError(
                f"{self.folder}: expected one video at a time, got {len(frames)}; use track, not track_batch"
            )
        pixels = rearrange(frames, "1 t c h w -> t 1 c h w").float()
        pyramids = [self._run(ENCODER, {"frame": frame}) for frame in pixels]
        return [
            rearrange(level, "t 1 h w c -> 1 t h w c")
            for level in map(torch.stack, zip(*pyramids, strict=True))
        ]

    def refine(self, window: Window, now: Estimate, support: list[Tensor]) -> tuple[Estimate, list[Tensor]]:
        """One round of refinement, as `PointTracker.refine`.

        Raises:
            ValueError: more points than the largest graph takes, or a window of another length.
        """
        t, n = now.xy.shape[1:3]
        frames, points = self.manifest.frames, self._graph_for(n)
        if t != frames and not (t < frames and takes_short_windows(self)):
            raise ValueError(
                f"{self.folder}: expected windows of {frames} frames, got {t}; export again with --frames {t}"
            )
        hidden = window.to_come() if self.config.window.late == "masked" else None
        visible = torch.ones_like(window.queries.frame, dtype=torch.bool) if hidden is None else ~hidden
        longer = now.extended(frames)
        longer.visibility_logit[:, t:] = ABSENT_LOGIT
        axis = 2 if self.renews_features else 1
        given = {f"features_{i}": _as_long(level, frames) for i, level in enumerate(window.pyramid)}
        for i, x in enumerate(support):
            given[f"support_{i}"] = _filled(_as_long(x, frames) if self.renews_features else x, axis, points)
        given |= {f"joint_{i}": _as_long(x, frames) for i, x in enumerate(window.joint)}
        given |= {
            "looks": _filled(window.queries.templates.feature, 1, points),
            "query_frame": _filled(window.queries.frame, 1, points),
            "query_xy": _filled(window.queries.xy, 1, points),
            "begin_xy": _filled(window.begin, 1, points),
            "hidden": ~_filled(visible, 1, points),
            "shared": torch.tensor(window.shared),
            "present": torch.tensor(t),
            "xy": _filled(longer.xy, 2, points),
            "visibility_logit": _filled(longer.visibility_logit, 2, points),
            "confidence_logit": _filled(longer.confidence_logit, 2, points),
        }
        answer = [x[:, :t, :n] for x in self._run(refine_file(points), given)]
        return Estimate(*answer[:3]), answer[3:] or support

    def _graph_for(self, points: int) -> int:
        """The number of points of the smallest graph that is large enough."""
        for count in self.manifest.points:
            if points <= count:
                return count
        raise ValueError(
            f"{self.folder}: expected at most {self.manifest.points[-1]} points together, got {points} (the grid of helper "
            f"points of `track` counts too); export again with --points {points}, or track them in several calls"
        )

    def _run(self, name: str, given: dict[str, Tensor]) -> list[Tensor]:
        """The outputs of a graph. Ignores inputs in `given` that the graph does not use."""
        if name not in self._sessions:
            self._sessions[name] = self._runtime.InferenceSession(
                self.folder / name, self._options, providers=self._providers
            )
        session = self._sessions[name]
        feeds = {wanted.name: given[wanted.name].numpy(force=True) for wanted in session.get_inputs()}
        return [torch.from_numpy(x).to(self.digest.device) for x in session.run(None, feeds)]


def _constant(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value, requires_grad=False)


def _as_long(x: Tensor, frames: int) -> Tensor:
    """Repeat the last frame of (b, t, ...) until there are `frames` frames."""
    t = x.shape[1]
    return x if t == frames else x[:, torch.arange(frames, device=x.device).clamp(max=t - 1)]


def _filled(x: Tensor, axis: int, size: int) -> Tensor:
    """Pad with zeros at the end of an axis, up to a size."""
    shape = list(x.shape)
    shape[axis] = size - x.shape[axis]
    return x if not shape[axis] else torch.cat([x, x.new_zeros(shape)], dim=axis)


def _size(wh: tuple[int, int]) -> str:
    return f"{wh[0]}x{wh[1]}"
