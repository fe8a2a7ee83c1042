"""The export dialog while things take time, and before there is something to export."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def page(server, page):
    """With a project of its own that has an object on every frame, and no points."""
    page.open_clip(server.home.parent / "exported.mp4")
    if not page.ask("app.state.objects.length"):
        page.ask("app.act('objects.box', { frame: 0, box: [10, 300, 160, 450] })")
        page.ask("app.act('objects.absent', { object: 1, frame: 1, stop: 3 })")
        page.idle()
    return page


def test_what_is_written_behind_a_closed_dialog_is_told_of_and_listed_later(page):
    page.press("Control+e")
    dialog = page.page.locator("dialog")
    assert "There are no points yet." in dialog.inner_text() and "no objects" not in dialog.inner_text()
    dialog.locator("#export-hide").select_option("blur")
    dialog.locator("#export-go").click()
    page.until("app.exporting")
    page.press("Escape")
    page.page.locator(".message.good").wait_for(timeout=60_000)
    told = page.page.locator(".message.good").inner_text()
    assert "Exported 5 files" in told
    for _ in range(2):  # also after a reload
        page.press("Control+e")
        assert dialog.locator("#export-results a").count() == 5
        unhidden = dialog.locator("#export-results .bad").all_inner_texts()
        assert unhidden == [
            "object 1 has no mask on 2 frames, so nothing is hidden there in the edited video: 1-2"
        ]
        page.page.reload()
        page.opened()


def test_an_export_is_not_taken_for_one_of_an_earlier_server(page):
    """The first state of a connection may have been made before an export began."""
    page.ask("app.overdue = false, app.exporting = true, app.fresh = true")
    page.ask("app.act('view', { changes: { in: 0 }, label: 'range' })")
    page.until("!app.fresh", 20)
    assert page.ask("app.exporting")
    page.ask("app.exporting = false")
    page.ask("app.act('undo')")
