"""The page under fingers."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def phone(server, open_page):
    page = open_page(server.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.opened()
    yield page
    assert not page.errors


def touch(phone, *steps: list[tuple[float, float]]) -> None:
    """Fingers, each step where they are; they are lifted in the end."""
    session = phone.page.context.new_cdp_session(phone.page)
    before = 0
    for fingers in steps:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(fingers)]
        kind = "touchStart" if len(fingers) > before else "touchMove"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        before = len(fingers)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_two_fingers_zoom_and_one_finger_clicks(phone):
    steps = phone.ask("app.state.history.now")
    assert "Tap an object" in phone.page.locator("#stage .hint").inner_text()
    (x, y), scale = phone.at(427, 240), phone.ask("stage.port.scale")
    pinched = [[(x - far, y), (x + far, y)] for far in range(20, 61, 10)]
    touch(phone, pinched[0][:1], *pinched)
    assert phone.ask("stage.port.scale") == pytest.approx(3 * scale, rel=0.05)
    assert phone.at(427, 240) == pytest.approx((x, y), abs=2), "what is between the fingers stays there"
    touch(phone, [(x, y)], [(x + 30, y + 30)])  # who scrolls says nothing, either
    phone.page.wait_for_timeout(300)
    assert phone.ask("[app.asked.size, app.busy, app.state.history.now]") == [0, 0, steps]
    touch(phone, [(x, y)])
    phone.until(f"app.state.history.now === {steps + 1}")
    phone.idle()
    phone.ask("app.act('undo')")
