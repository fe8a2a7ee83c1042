"""The lists and lanes of the page with more objects than fit into them."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow
MANY = 16
LIST = "document.querySelector('#panels .list')"
# A chosen lane is lit up to the left edge of the canvas, below the ruler.
LIT = (
    "(() => { const canvas = document.querySelector('#lanes');"
    " const edge = canvas.getContext('2d').getImageData(2, 24, 1, canvas.height - 24).data;"
    " return edge.filter((value, at) => at % 4 === 3 && value).length >= 16; })()"
)


@pytest.fixture
def many(server, page):
    """A page with many objects, in a project of its own."""
    page.open_clip(server.home.parent / "many.mp4")
    page.ask(f"Promise.all(Array.from({{ length: {MANY} }}, () => app.act('objects.add')))")
    page.until(f"app.state.objects.length === {MANY}")
    yield page
    page.ask("app.act('go', { position: 0 })")


def test_a_list_stays_where_it_was_scrolled_to(many):
    first = many.ask("app.state.objects[0].id")
    many.page.evaluate(f"() => {{ {LIST}.scrollTop = 200; }}")
    many.ask(f"app.view({{ names: {{ o{first}: 'a name' }} }}, 'renamed')")
    many.until(f"app.state.view.names.o{first} === 'a name'")
    assert many.page.evaluate(f"() => {LIST}.scrollTop") == 200


def test_what_is_chosen_comes_into_view(many):
    ids = many.ask("app.state.objects.map(one => one.id)")
    for number in (ids[-1], ids[0]):
        many.ask(f"app.select({{ kind: 'object', id: {number} }})")
        row = many.page.locator(f"#name-o{number}").bounding_box()
        box = many.page.locator("#panels .list").first.bounding_box()
        assert box["y"] <= row["y"] and row["y"] + row["height"] <= box["y"] + box["height"]
        many.until(LIT, 10)
