"""Masks painted by hand, and the settings of the brush."""

from __future__ import annotations

import numpy as np
import pytest

from pointtrack.ui.rle import decode_mask

pytestmark = pytest.mark.slow


def test_paint_is_the_mask(page):
    steps = page.ask("app.state.history.now")
    # The size of the brush has a slider, which keys move on and on.
    page.page.locator("#panels summary", has_text="View").click()
    page.page.locator("#set-brush").focus()
    for _ in range(3):
        page.press("ArrowRight")
    assert page.ask("app.settings.brush") == 15
    page.page.locator("#picture").focus()
    page.press("n")
    for tool, painted in (("d", True), ("e", False)):
        page.press(tool)
        page.drag((100, 100), (300, 100))
        page.until(f"app.state.history.now === {steps + (1 if painted else 2)}")
        page.idle()
        number = page.ask("app.selection.id")
        row = f"app.masks.at(app.frame)?.answer.objects.find(one => one.id === {number})"
        page.until(f"app.masks.frames.has(app.frame) && {row}.mask.runs.length")
        mask = decode_mask(page.ask(f"{row}.mask"), (854, 480))
        if painted:
            y, x = np.nonzero(mask)
            assert (x.min(), x.max(), y.min(), y.max()) == pytest.approx((85, 315, 85, 115), abs=1)
            page.press("[")
            assert page.ask("app.settings.brush") == pytest.approx(12)
        else:
            assert not mask[100, 100:300].any() and mask[86, 150] and mask[114, 150], (
                "the middle is wiped out"
            )
