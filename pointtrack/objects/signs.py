"""Evidence for and against a mask: its points, the segmenter, the memory, the masks before it."""

from __future__ import annotations

import torch.nn.functional as F

from pointtrack.objects.answer import Answer, as_cells
from pointtrack.objects.memory import Recollection
from pointtrack.objects.object_state import ObjectState
from pointtrack.objects.quality import Signs, agreement_of_memory, change_of_size, known_again
from pointtrack.segment.base import Embedding


def signs_of(
    answer: Answer,
    state: ObjectState,
    grid: Embedding,
    recollection: Recollection | None,
    *,
    kept: float = 0.5,
    settled: float = 1.0,
    note: bool,
) -> Signs:
    """The signs of an answer.

    Args:
        answer: a mask on a frame.
        state: of the object.
        grid: the frame's cells, which the memory was read with.
        recollection: the memory's answer for them, or None.
        kept, settled: as in `Signs`; the defaults are for an object found again by its appearance.
        note: whether the state may learn from the mask, as on final frames.
    """
    recalled, leaked, known = 1.0, 0.0, 1.0
    if recollection is not None:
        shape = (recollection.similarity.shape[0], recollection.similarity.shape[1])
        cells = F.adaptive_avg_pool2d(as_cells(answer.mask, grid)[None, None], shape)[0, 0]
        recalled, leaked = agreement_of_memory(recollection.share[0].float().cpu(), cells)
        known = known_again(recollection, cells)
    return Signs(
        agrees=min(max(answer.agrees, 0.0), 1.0),
        predicted=answer.predicted,
        there=answer.there,
        kept=kept,
        changed=change_of_size(answer.mask, list(state.areas)),
        recalled=recalled,
        leaked=leaked,
        settled=settled,
        known=known,
        faded=state.faded(known, note=note),
        first=state.first,
    )
