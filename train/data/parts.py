"""Clips in parts: the same clip for several steps, each time with other points."""

from __future__ import annotations

from torch.utils.data import Dataset

from train.data.batch import ClipBatch


class ClipParts(Dataset):
    """Numbered batches of a source, each repeated several times with another share of its points.

    Making and encoding a clip costs more than tracking points through it, and a frozen encoder returns the same
    features every time. The parts of one batch share one tensor of frames, by which `TrackingTask` recognises them.

    Args:
        clips: source of numbered batches, with as many points as all parts together.
        parts: number of parts per batch.

    Raises:
        ValueError: fewer than one part.
    """

    def __init__(self, clips: Dataset, parts: int):
        if parts < 1:
            raise ValueError(f"parts of a clip: expected at least 1, got {parts}")
        self.clips, self.parts = clips, parts
        self._number = -1
        self._batch: ClipBatch | None = None

    def __getitem__(self, index: int) -> ClipBatch:
        number, part = divmod(index, self.parts)
        if self._batch is None or number != self._number:
            self._number, self._batch = number, self.clips[number]
        return self._batch.points(slice(part, None, self.parts))
