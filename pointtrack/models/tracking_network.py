"""The interface between streams and any network that tracks points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pointtrack.config import InferenceOptions
from pointtrack.models.window import Templates
from pointtrack.models.window_loop import WindowLoop


class TrackingNetwork(nn.Module):
    """A network that encodes frames and tracks points through windows of them. It holds no state of a video.

    Attributes:
        own_config: its settings: name, licence, input_wh or input_area, resize_rule, window and others of its kind.
            A checkpoint stores them.
        inference: settings chosen at loading; no checkpoint stores them.
        uses_support: True if support points show it how the rest of the scene moves; otherwise they only cost time.
        loop: cuts windows for it.
        tells_confidence: True if it predicts confidence; otherwise confidence repeats the visibility.
        dense_chunk: how many points to track together if there are very many.
        weights_file: the file of its weights, where a user named one; None for those of a name.
    """

    own_config: Any
    uses_support: bool = True
    loop: type[WindowLoop] = WindowLoop
    dense_chunk: int = 1024
    weights_file: Path | None = None
    _inference: InferenceOptions = InferenceOptions()
    _config: Any

    @property
    def config(self) -> Any:
        """The settings it runs with: its own, overridden by `inference`. Setting it changes its own."""
        return self._config

    @config.setter
    def config(self, config: Any) -> None:
        self._config = self._inference.applied_to(config)
        self.own_config = config

    @property
    def label(self) -> str:
        """What to call it: the name of its config, and a file of a user's own weights, which often have the same name."""
        return (
            self.config.name if self.weights_file is None else f"{self.config.name} from {self.weights_file}"
        )

    @property
    def inference(self) -> InferenceOptions:
        """Settings chosen at loading. Raises ValueError for windows that the network cannot use."""
        return self._inference

    @inference.setter
    def inference(self, options: InferenceOptions) -> None:
        self._config = options.applied_to(self.own_config)
        self._inference = options

    @property
    def shares_batch(self) -> bool:
        """Whether several videos may go through it together, filled up to equally many points each (`hiding`)."""
        return False

    @property
    def one_size(self) -> bool:
        """Whether it takes frames of one size only."""
        return getattr(self.config, "input_wh", None) is not None

    @property
    def led_by_pixels(self) -> bool:
        """Whether the pixels too lead its points from frame to frame; false for published networks."""
        return False

    def hiding(self, filler: Tensor) -> TrackingNetwork:
        """The same network, in which no other point sees the (b, n) bool points that only fill up a batch."""
        return self

    def unled(self) -> TrackingNetwork:
        """The same network, in which no point follows the motion of others."""
        return self

    def bytes_per_point(self) -> int:
        """Memory that a point takes from window to window, beside its estimates."""
        raise NotImplementedError

    def bytes_at_work(self, wh: tuple[int, int], points: int) -> int:
        """Memory to track a window of frames of this size, that of the model's input, and a chunk of points."""
        raise NotImplementedError

    @property
    def needs_whole_video(self) -> bool:
        """Whether it takes a video in one window; otherwise frames may come one by one."""
        return self.config.window.length is None

    def check_windows(self) -> None:
        """Raise ValueError if it needs the whole video, where the caller passes frames as they arrive."""
        if self.needs_whole_video:
            raise ValueError(
                f"{self.config.name} needs the whole video at once: expected a tracker of windows, such as small"
            )

    @property
    def appearance_channels(self) -> int:
        """Channels of the features by which things are recognised."""
        raise NotImplementedError

    def appearance_level(self, stride: int) -> int:
        """The level to pass to `read_level` for these features, at a stride of about so many pixels."""
        raise NotImplementedError

    def level_stride(self, level: int) -> int:
        """Pixels per cell of a level."""
        raise NotImplementedError

    def read_level(self, pyramid: list[Tensor], level: int) -> Tensor:
        """(b, t, h, w, c) float32 features of a level."""
        raise NotImplementedError

    def encode(self, frames: Tensor) -> list[Tensor]:
        """(b, t, 3, h, w) RGB 0..255 -> features, per level (b, t, h', w', c)."""
        raise NotImplementedError

    def remember(self, pyramid: list[Tensor], frame: Tensor, xy: Tensor) -> Templates:
        """Read the appearance of points: (b, n) frames of this pyramid and (b, n, 2) pixels -> templates."""
        raise NotImplementedError
