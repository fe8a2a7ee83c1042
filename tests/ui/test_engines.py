"""The page with other networks behind it, given as files: points and objects are clicked, followed, and taken back."""

import numpy as np
import pytest

from pointtrack.models.checkpoint import save_checkpoint
from tests.support.engines import ENGINES

LAST = 6
pytestmark = pytest.mark.long


@pytest.mark.parametrize("kind", sorted(ENGINES))
def test_a_point_and_an_object_are_followed(kind, start_server, open_page, tmp_path):
    weights = tmp_path / f"{kind}.safetensors"
    save_checkpoint(weights, ENGINES[kind]())
    server = start_server(tmp_path / "home", "demo", "--tracker", str(weights), "--device", "cpu")
    page = open_page(server.url)
    page.opened()
    page.click(82, 374)
    page.until("app.state.objects.length === 1 && app.masks.frames.get(0)")
    page.show(LAST)
    page.press("u")
    page.until(f"app.state.view.out === {LAST}")
    page.show(0)
    page.press("p")
    page.click(525, 180)
    page.until("app.state.points.length === 1")
    page.press("Escape")
    page.idle()
    page.press("Shift+P")
    page.until(f"app.tracks.at({LAST})?.ids.length && !Number.isNaN(app.tracks.at({LAST}).values[0])")
    page.until(f"app.masks.at({LAST})?.answer.objects[0].known")
    page.idle()
    start, end = (page.ask(f"[...app.tracks.at({t}).values.slice(0, 2)]") for t in (0, LAST))
    assert start == pytest.approx([525, 180], abs=1), "on its own frame it is where it was clicked"
    assert np.isfinite(end).all()
    page.shot(f"engine_{kind}")
    page.press("Control+z")
    page.until("app.state.points.length === 0 && app.state.objects.length === 1")
    assert not page.errors
