"""The page in a browser: what a person does on the bundled clip, from the first click to the exported file."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

import pointtrack as pt
from pointtrack.objects.point_engine import PointEngine
from pointtrack.ui.rle import decode_mask
from tests.support.numbered import number_in
from tests.support.scenes import ColourSegmenter

pytestmark = pytest.mark.slow
ASSETS = Path(str(resources.files("pointtrack").joinpath("assets")))
LAST = 2  # of the frames that are followed: the tests should not take long


@pytest.fixture(scope="module")
def truth() -> dict[str, np.ndarray]:
    with np.load(ASSETS / "clip_tracks.npz") as file:
        return dict(file)


def ball_points(truth: dict[str, np.ndarray], frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Points in view on a frame: those on the ball, and all others."""
    names = truth["object_names"].tolist()
    ball = truth["object_id"] == next(i for i, name in enumerate(names) if "ball" in str(name).lower())
    seen = truth["visible"][frame]
    return truth["xy"][frame][ball & seen], truth["xy"][frame][~ball & seen]


def mask_on(page, number: int) -> np.ndarray:
    """(h, w) bool of an object on the frame that the page shows."""
    page.until(f"app.masks.frames.get(app.frame)?.answer.objects.some(one => one.id === {number})")
    coded = page.ask(f"app.masks.frames.get(app.frame).answer.objects.find(one => one.id === {number}).mask")
    return np.zeros((480, 854), bool) if coded is None else decode_mask(coded, (854, 480))


def share_inside(mask: np.ndarray, xy: np.ndarray) -> float:
    x, y = np.rint(xy).astype(int).T
    return float(mask[y.clip(0, 479), x.clip(0, 853)].mean())


def test_from_the_first_click_to_the_file(server, page, truth, tiny_tracker, tmp_path):
    page.shot("open")
    assert "token" not in page.page.url
    on_ball, beside = ball_points(truth, 0)

    # Click the ball: a mask is there at once; a click may mean a part, and another answer can be taken.
    centre = on_ball.mean(axis=0)
    page.click(*centre)
    page.until("app.state.objects.length === 1")
    number = page.ask("app.state.objects[0].id")
    page.until("app.candidates")
    page.shot("click")
    candidates = page.ask("app.candidates.candidates.map(one => one.mask)")
    fits = [share_inside(decode_mask(one, (854, 480)), on_ball) for one in candidates]
    page.press(str(1 + int(np.argmax(fits))))
    page.until("app.state.history.now === 2")
    page.idle()
    assert share_inside(mask_on(page, number), on_ball) == pytest.approx(max(fits))
    # A box says it all.
    page.press("b")
    (left, top), (right, bottom) = on_ball.min(axis=0), on_ball.max(axis=0)
    page.drag((max(left - 5, 0), top - 5), (right + 5, bottom + 5))
    page.until("app.state.history.now === 3")
    page.press("c")
    page.idle()
    assert page.ask("app.candidates") is None, "the answers to the click are offered no longer"
    mask = mask_on(page, number)
    assert share_inside(mask, on_ball) > 0.8, "the mask covers the ball"
    assert share_inside(mask, beside) < 0.15, "and little else"

    # Follow it as far as the marked range goes.
    page.show(LAST)
    page.press("u")
    page.until(f"app.state.view.out === {LAST}")
    page.show(0)
    page.press("Shift+P")
    page.until(f"app.masks.at({LAST})?.answer.objects[0].known")
    page.idle()
    page.show(LAST)
    on_ball_later, beside_later = ball_points(truth, LAST)
    page.shot("propagated")
    followed = mask_on(page, number)
    assert share_inside(followed, on_ball_later) > 0.7 and share_inside(followed, beside_later) < 0.15

    # Correct it by a click beside it, and take that back.
    inside = np.argwhere(followed)
    y, x = inside[np.argmin(np.abs(inside - inside.mean(axis=0)).sum(axis=1))]
    page.click(float(x), float(y), button="right")
    page.until("app.state.objects[0].keys.length === 2")
    page.until(
        f"app.masks.at({LAST - 1})?.answer.objects[0].known"
    )  # what was known is followed again by itself
    page.idle()
    corrected = mask_on(page, number)
    assert not corrected[y, x], "the click is honoured"
    page.shot("corrected")
    page.press("Control+z")
    page.until("app.state.objects[0].keys.length === 1")
    page.idle()
    assert np.array_equal(mask_on(page, number), followed), "all is as before the correction"
    # The same without a second button, as on a touch screen; other frames were looked at above.
    page.ask("app.set({ auto: false })")
    page.press("m")
    page.click(float(x), float(y))
    page.until("app.state.objects[0].keys.length === 2")
    page.idle()
    assert not mask_on(page, number)[y, x]
    page.press("Control+z")
    page.until("app.state.objects[0].keys.length === 1")
    page.idle()

    # Export COCO; the file says what the API says.
    page.press("Control+e")
    dialog = page.page.locator("dialog")
    for name in ("masks-coco", "masks-ytvis"):
        dialog.locator(f"#export-{name}").check()
    assert dialog.locator("#export-background-color").is_hidden()
    dialog.locator("#export-background").select_option("color")
    dialog.locator("#export-background-color").fill("#00ff00")
    page.until("document.querySelector('dialog .command').innerText.includes('--background 00ff00')")
    page.shot("export")
    dialog.locator("#export-go").click()
    page.page.wait_for_selector("#export-results a", timeout=60_000)
    assert "pointtrack segment" in dialog.locator(".command").inner_text()
    with page.page.expect_download() as download:
        dialog.get_by_role("link", name="clip_ytvis.json").click()
    path = tmp_path / "clip.json"
    download.value.save_as(path)
    masks = pt.load_masks(path)
    assert len(masks) == LAST + 1 and np.array_equal(masks.masks[LAST, 0].numpy(), followed)
    folder = next((server.home).glob("clip-*/exports/*"))
    video = page.ask("app.state.path")
    engine = PointEngine(tiny_tracker, ColourSegmenter())  # what is loaded does not depend on it
    session = pt.ObjectSession(pt.read_video(video), engine=engine, cuts=())
    session.load(folder / "clip_objects.npz")
    assert torch.equal(session.masks(0, LAST + 1).masks, masks.masks), "the same as the API's session"
    edited = pt.read_video(folder / "clip_edited.mp4").frames[LAST].astype(int)
    assert (abs(edited - (0, 255, 0)).max(-1) < 40)[~followed].mean() > 0.95, "before another background"
    assert json.loads((folder / "clip_coco.json").read_text())["annotations"]


def test_points_are_dragged_and_two_tabs_see_the_same(server, page, open_page):
    other = open_page(server.url)
    other.opened()
    page.show(LAST)
    page.press("u")
    page.until(f"app.state.view.out === {LAST}")
    page.show(0)
    page.press("p")
    page.click(525, 180)
    page.until("app.state.points.length === 1")
    page.until(f"app.tracks.at({LAST})?.ids.length && !Number.isNaN(app.tracks.at({LAST}).values[0])")
    page.press("Escape")
    page.idle()
    page.show(LAST - 1)
    page.until(f"!Number.isNaN(app.tracks.at({LAST - 1})?.values[0] ?? NaN)")
    x, y = page.ask(f"[...app.tracks.at({LAST - 1}).values.slice(0, 2)]")
    page.drag((x, y), (x + 30, y + 20))
    page.until("app.state.points[0].fixes.length === 2")
    page.press("Escape")
    page.idle()
    page.until("!app.tracks.old.size && app.tracks.asked.size === 0")
    found = page.ask(f"[...app.tracks.at({LAST - 1}).values.slice(0, 3)]")
    assert found == pytest.approx([x + 30, y + 20, 1], abs=1.5), "the track passes through there"
    page.shot("points")
    other.until("app.state.points[0]?.fixes.length === 2", 10)
    other.press("Control+z")
    page.until("app.state.points[0].fixes.length === 1")
    assert not other.errors


def test_a_video_of_10_000_frames_is_scrubbed(server, page, long_video):
    (server.home / "uploads" / "long.mp4").write_bytes(long_video.read_bytes())
    page.page.evaluate("path => window.pointtrack.app.open(path)", str(server.home / "uploads" / "long.mp4"))
    page.until("app.state.name === 'long.mp4' && stage.shownFrame === app.frame")
    assert page.ask("app.state.frames") == 10_000
    box = page.page.locator("#lanes").bounding_box()
    page.page.mouse.move(box["x"] + 150, box["y"] + 10)
    page.page.mouse.down()
    for share in (0.3, 0.9, 0.5, 0.71):
        page.page.mouse.move(box["x"] + 136 + share * (box["width"] - 144), box["y"] + 10)
        page.page.wait_for_timeout(60)
    page.page.mouse.up()
    page.until("stage.shownFrame === app.frame && app.frame > 7000")
    shown = page.ask(
        "(() => { const canvas = document.createElement('canvas'); [canvas.width, canvas.height] = app.state.wh;"
        " const context = canvas.getContext('2d'); context.drawImage(app.frames.pictures.get(app.frame), 0, 0);"
        " return [app.frame, [...context.getImageData(0, 0, canvas.width, canvas.height).data]]; })()"
    )
    assert number_in(np.array(shown[1]).reshape(64, 96, 4)[..., :3]) == shown[0], (
        "the very frame, not one close to it"
    )
    assert page.ask("app.frames.pictures.size * 96 * 64") < 30e6, "what is kept is bounded"
    (server.home / "uploads" / "long.mp4").unlink()


def test_by_keys_alone(page):
    page.show(3)
    steps = page.ask("app.state.history.now")
    page.press("n")
    page.press("k")
    for _ in range(12):
        page.press("Shift+ArrowLeft")
    page.press("Enter")
    page.until(f"app.state.history.now === {steps + 1}")
    page.until("app.selection !== null")  # the answer comes after the state
    page.press("Escape")
    page.until("document.querySelector('#stage .hint').innerText.includes('N: another object')", 10)
    page.press("h")
    page.until("app.state.view.hidden.length === 1")
    page.press("?")
    assert page.page.locator("dialog h2").inner_text() == "Keys"
    page.shot("keys")
    page.press("Escape")
    page.press("t")
    assert page.page.evaluate("() => document.documentElement.dataset.theme") == "light"
    page.shot("light")
    for _ in range(2):
        page.press("Control+z")
    page.until(f"app.state.history.now === {steps}")


def test_an_end_before_the_begin_begins_another_range(page):
    for frame, key, marks in (
        (6, "i", [6, None]),
        (3, "u", [None, 3]),
        (4, "i", [4, None]),
        (7, "u", [4, 7]),
    ):
        page.show(frame)
        page.press(key)
        page.until(f"JSON.stringify([app.state.view.in, app.state.view.out]) === '{json.dumps(marks).replace(' ', '')}'", 10)  # fmt: skip
    assert page.page.locator(".message.bad").count() == 0


def test_a_double_click_renames(page):
    page.ask("app.act('points.add', { frame: 0, xy: [[30, 30]] })")
    point = page.ask("app.state.points.at(-1)?.id") or page.ask("app.state.points[0].id")
    for chosen, name in ((False, "nose"), (True, "the <b>tip</b>")):
        page.ask(f"app.select({{ kind: 'point', id: {point} }})" if chosen else "app.select(null)")
        page.page.locator(f"#name-p{point}").dblclick()
        page.page.keyboard.type(name)
        page.press("Enter")
        page.until(f"app.state.view.names['p{point}'] === '{name}'", 10)
        assert page.page.locator(f"#name-p{point}").inner_text().startswith(name)
        page.until(f"document.activeElement.id === 'name-p{point}'", 5)  # keys go on from there
    page.ask(f"(app.suggestions = [{{ kind: 'point', id: {point}, frame: 0, sure: 0.4 }}], app.suggest())")
    assert "the <b>tip</b> on frame 0: certainty 40 %" in page.page.locator("#messages").inner_text()


def test_who_is_faster_than_the_answers_is_understood(server, page):
    page.open_clip(server.home.parent / "three.mp4")  # without objects yet
    page.click(300, 250)
    page.click(310, 255)  # of the same object, though it has no number yet
    page.press("n")
    page.press("b")
    page.drag((660, 90), (720, 300))
    page.press("n")
    page.until("app.state.objects.length === 2")
    page.idle()
    said = page.ask(
        "(await (await fetch(`${app.base}/masks/${app.frame}`)).json()).objects.map(one => [one.id, one.said])"
    )
    assert [(one, len(words["clicks"]), bool(words["box"])) for one, words in said] == [
        (1, 2, False),
        (2, 0, True),
    ]
    assert page.ask("app.selection") is None, "what was chosen last stays"


def test_a_click_is_shown_before_it_is_answered(page):
    page.page.route("**/act", lambda route: (page.page.wait_for_timeout(300), route.continue_()))
    page.click(40, 40)
    page.until("[...app.asked].some(one => Math.abs(one.points[0][0] - 40) < 2)", seconds=5)
    page.until("app.asked.size === 0 && app.state.objects.length")
    page.press("Control+z")
    page.idle()


def test_a_narrow_window_hides_nothing(server, open_page):
    page = open_page(server.url, viewport={"width": 390, "height": 844})
    page.opened()
    root = "document.documentElement"
    # It is scrolled down, not sideways.
    assert page.ask(f"{root}.scrollWidth <= 390 && {root}.scrollHeight > 844")
    for name in ("export", "undo", "tool-grid", "run-both", "run-forward", "suggest"):
        box = page.page.locator(f"#{name}").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390, name
    assert page.page.locator("#stage").bounding_box()["height"] > 300
    page.page.locator("#panels details").last.click()
    assert not page.errors


@pytest.mark.long  # two servers start; `test_after_a_crash_all_acts_are_there` holds it without a browser
def test_a_killed_server_has_lost_nothing(start_server, open_page, tmp_path):
    first = start_server(tmp_path / "home", "demo")
    page = open_page(first.url)
    page.opened()
    page.click(300, 250)
    page.until("app.state.objects.length === 1")
    page.idle()
    page.press("n")
    page.press("b")
    page.drag((660, 90), (720, 300))
    page.until("app.state.objects.length === 2")
    before = page.ask("app.state.history")
    first.kill()
    page.until("app.lost", 20)
    again = open_page(start_server(tmp_path / "home", "demo").url)
    again.opened()
    assert again.ask("app.state.history") == before
    assert mask_on(again, 1).any() and mask_on(again, 2).any()


def test_a_broken_file_is_told_of_and_not_kept(server, page, tmp_path):
    broken = tmp_path / "<img src=x onerror=alert(1)>.mp4"
    broken.write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(4000))
    long = {"name": f"{'long ' * 20}.mp4", "path": "/long.mp4", "there": True, "steps": 4, "saved": 0}
    listed = {"path": "/videos", "parent": None, "entries": [{**long, "kind": "video"}], "left_out": 3}
    page.page.route(
        "**/api/boot", lambda route: route.fulfill(json={**route.fetch().json(), "saved": [long]})
    )
    page.page.route("**/api/browse", lambda route: route.fulfill(json=listed))
    page.press("Control+o")
    page.page.get_by_text("3 more are not listed").wait_for(timeout=10_000)
    inside = "document.querySelector('dialog .inside')"
    assert page.ask(f"{inside}.scrollWidth <= {inside}.clientWidth"), "nothing is cut off"
    page.page.set_input_files("input[type=file]", str(broken))
    page.until("document.querySelector('.message.bad')")
    words = page.page.locator(".message.bad").first.inner_text()
    assert "expected a video" in words
    assert page.page.locator(".message img").count() == 0, "file names never become HTML"
    assert not list((server.home / "uploads").iterdir())


def test_who_has_no_token_gets_nothing(server):
    address = server.url.partition("?")[0]
    for path in ("", "page/main.js", "api/boot", "api/browse"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(address + path)


def test_what_a_run_changes_meanwhile_does_not_keep_masks_and_tracks_away(page):
    """A run tells of new frames several times a second: answers on their way are shown nevertheless."""
    page.ask("app.act('points.add', { frame: 0, xy: [[20, 20]] })")
    for kept, shown in (("masks", "stale"), ("tracks", "chunks")):
        found = page.ask(f"""(async () => {{
            const kept = app.{kept};
            const [beside, within] = "{kept}" === "masks" ? [5, 6] : [0, 0];
            const asked = [kept.ask(beside), kept.ask(within)];
            kept.forget(6, 7);
            await Promise.all(asked);
            return [kept.{shown}.has(within), "{kept}" === "tracks" || kept.frames.has(beside)];
        }})()""")
        assert found == [True, True], kept
    page.ask("app.act('undo')")
