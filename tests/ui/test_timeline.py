"""The lanes and the box of the frame number, and when a click begins a run."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow


def test_the_number_of_a_frame(page):
    box = page.page.locator("#frame-number")
    for _ in range(2):  # the second time, nothing else changes
        box.fill("999")
        page.press("Enter")
        assert (page.ask("app.frame"), box.input_value()) == (7, "7")
    page.press("ArrowLeft")
    assert page.ask("app.frame") == 6, "keys are those of the page again"


def test_lanes_follow_the_frame(page):
    lanes = page.page.locator("#lanes").bounding_box()
    page.page.mouse.move(lanes["x"] + 200, lanes["y"] + 40)
    page.page.keyboard.down("Control")
    page.page.mouse.wheel(0, -300)
    page.page.keyboard.up("Control")
    for frame in (7, 0):
        page.show(frame)
        # What is shown is asked of the page's own scrubbing: a click on the playhead stays on its frame.
        page.page.wait_for_timeout(100)
        x = page.ask(
            "(() => { const canvas = document.querySelector('#lanes'); const wide = canvas.width;"
            " const row = canvas.getContext('2d').getImageData(0, 4, wide, 1).data;"
            " for (let at = 140; at < wide; at++) if (row[4 * at + 1] > 180 && row[4 * at] < 120) return at; return -1; })()"
        )
        assert x > 0, f"the mark of frame {frame} is in view"


def test_lanes_are_dragged_by_their_names(page):
    for count in range(1, 13):
        page.ask("app.act('objects.add')")
        page.until(f"app.state.objects.length >= {count}")
    lanes = page.page.locator("#lanes").bounding_box()
    shown = "document.querySelector('#lanes').toDataURL()"
    page.page.mouse.move(lanes["x"] + 40, lanes["y"] + 120)
    page.page.mouse.down()
    page.page.wait_for_timeout(100)  # the lane under it is chosen
    before, frame = page.ask(shown), page.ask("app.frame")
    page.page.mouse.move(lanes["x"] + 40, lanes["y"] + 60)
    page.page.mouse.up()
    assert page.ask("app.frame") == frame, "names do not scrub"
    assert page.ask(shown) != before


def test_a_click_where_nothing_is_known_begins_no_run(page):
    page.ask("app.act('objects.add')")
    page.until("app.state.objects.length")
    page.ask("app.select({ kind: 'object', id: app.state.objects.at(-1).id })")
    page.press("b")
    for count, frame in enumerate((0, 7), start=1):
        page.show(frame)
        page.drag((10, 300), (160, 450))
        page.until(f"app.state.objects.at(-1).keys.length === {count}")
        page.until(f"atob(app.lanes.objects[app.selection.id].sure).charCodeAt({frame}) !== 255")
        page.until("app.busy === 0")
        assert page.ask("app.state.run") is None
    assert not page.ask("(await (await fetch(`${app.base}/masks/5`)).json()).objects.at(-1).known")
