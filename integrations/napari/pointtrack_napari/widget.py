"""The dock widget: which images, which points, which tracker; corrections are dragged in the layer of the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox, Container, Label, PushButton
from napari.layers import Image, Points
from napari.qt.threading import create_worker
from napari.utils.notifications import show_error, show_info

import pointtrack as pt
from pointtrack.models.families import PUBLISHED
from pointtrack.zoo import SHIPPED
from pointtrack_napari.layers import frames_of, queries_of, rows_of
from pointtrack_napari.turns import Turns

if TYPE_CHECKING:
    import napari

NAMES = [*SHIPPED, *PUBLISHED]
COLOURS = {True: "lime", False: "orange"}  # of visible points and of hidden ones


@dataclass(eq=False)
class Shown:
    """A session, the layer that shows its tracks, and what the layer showed last."""

    session: pt.TrackSession
    layer: Any
    data: np.ndarray


class TrackWidget(Container):
    """Tracks the points of a Points layer through an Image layer.

    The answer is a Points layer of its own. A point that is dragged there is a correction: the track passes through it, and
    only the frames up to the neighbouring corrections of that point are tracked again.

    Args:
        viewer: whose layers are offered.
    """

    def __init__(self, viewer: napari.Viewer):
        self.viewer = viewer
        self.images = ComboBox(choices=self._layers(Image), label="images")
        self.points = ComboBox(choices=self._layers(Points), label="points")
        self.tracker = ComboBox(choices=NAMES, value="small", label="tracker")
        self.track_button = PushButton(text="Track")
        self.undo_button = PushButton(text="Undo correction", enabled=False)
        self.told = Label(value="")
        self._networks: dict[str, pt.Tracker] = {}
        self._shown: list[Shown] = []
        self._drawing, self._error = False, ""
        self._turns = Turns(_in_a_thread, self._begun, self._failed, self._ended)
        super().__init__(
            widgets=[
                self.images,
                self.points,
                self.tracker,
                self.track_button,
                self.undo_button,
                self.told,
            ]
        )
        self.track_button.changed.connect(self.track)
        self.undo_button.changed.connect(self.undo)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            event.connect(self._offer)

    def _layers(self, kind: type) -> Callable[[Any], list[tuple[str, Any]]]:
        """Choices for a box: the viewer's layers of a kind."""
        return lambda _: [(layer.name, layer) for layer in self.viewer.layers if isinstance(layer, kind)]

    def _offer(self, _: Any = None) -> None:
        """The layers have changed."""
        for box in (self.images, self.points):
            box.reset_choices()

    @property
    def busy(self) -> bool:
        """Whether something is tracked just now."""
        return self._turns.busy

    def track(self) -> None:
        """Track the points through the images; the answer comes as a layer."""
        images, points = self.images.value, self.points.value
        if images is None or points is None:
            show_info("pointtrack: expected a layer of images and one of points; add them first")
            return
        if self.busy:
            show_info("pointtrack: still tracking; wait for it")
            return
        name = self.tracker.value
        try:
            queries = queries_of(self._in_pixels(points, images), int(self.viewer.dims.current_step[0]))
        except ValueError as error:
            show_error(f"pointtrack: {error}")
            return

        def work() -> pt.TrackSession:
            limits = None if images.rgb else tuple(images.contrast_limits)
            data = images.data[0] if images.multiscale else images.data
            if name not in self._networks:
                self._networks[name] = pt.Tracker(name)
            session = pt.TrackSession(pt.Video(frames_of(data, limits)), self._networks[name])
            session.add(queries)
            session.tracks()
            return session

        self._turns.run(work, lambda session: self._add(session, images, points.name))

    def undo(self) -> None:
        """Take back the last correction of the layer that was tracked last."""
        if not self._shown or self.busy:
            return
        shown = self._shown[-1]
        if all(len(fixes) == 1 for fixes in shown.session.points.values()):
            show_info("pointtrack: no correction to take back")
            return
        shown.session.undo()
        self._turns.run(shown.session.tracks, lambda _: self._draw(shown))

    def _in_pixels(self, points: Any, images: Any) -> np.ndarray:
        """Rows of the points in the images' own pixels, whatever the scale of the two layers."""
        if not len(points.data):
            raise ValueError(f"points: expected at least one in the layer {points.name}, got none")
        if points.ndim == 3:
            return np.stack([images.world_to_data(points.data_to_world(row)) for row in points.data])
        frame = float(self.viewer.dims.current_step[0])
        world = [
            (*images.data_to_world((frame, 0, 0))[:1], *points.data_to_world(row)) for row in points.data
        ]
        return np.stack([images.world_to_data(row) for row in world])

    def _add(self, session: pt.TrackSession, images: Any, name: str) -> None:
        data, features = rows_of(session.known())
        layer = self.viewer.add_points(
            data,
            features=features,
            name=f"{name} (tracked)",
            size=max(4, min(session.video.wh) / 60),
            scale=images.scale[-3:],
            translate=images.translate[-3:],
        )
        shown = Shown(session, layer, data.copy())
        self._shown.append(shown)
        self._draw(shown)
        layer.mode = "select"
        layer.events.data.connect(lambda event: self._moved(shown, event))
        self.undo_button.enabled = True

    def _moved(self, shown: Shown, event: Any) -> None:
        """Rows that were dragged become corrections."""
        if self._drawing or str(getattr(event, "action", "")) not in ("changed", "added", "removed"):
            return
        data = np.asarray(shown.layer.data)
        if data.shape != shown.data.shape:
            show_info("pointtrack: a track has all frames; add points to a layer of their own and track that")
            self._draw(shown)
            return
        rows = np.nonzero(np.abs(data - shown.data).max(axis=1) > 1e-6)[0]
        ids = np.asarray(shown.layer.features["id"])[rows]
        fixes = [(int(i), round(row[0]), (row[2], row[1])) for i, row in zip(ids, data[rows], strict=True)]
        if fixes:
            self._correct(shown, fixes)

    def _correct(self, shown: Shown, fixes: list[tuple[int, int, tuple[float, float]]]) -> None:
        def work() -> None:
            for point, frame, xy in fixes:
                shown.session.correct(point, frame, xy)
            shown.session.tracks()

        self._turns.run(work, lambda _: self._draw(shown))

    def _draw(self, shown: Shown) -> None:
        """Show what the session knows now."""
        data, features = rows_of(shown.session.known())
        self._drawing = True
        try:
            layer = shown.layer
            layer.selected_data = set()
            layer.data = data
            layer.features = features
            layer.face_color = [COLOURS[bool(visible)] for visible in features["visible"]]
            layer.border_color = ["red" if said else "black" for said in features["corrected"]]
            layer.refresh()
        finally:
            self._drawing = False
        shown.data = data.copy()

    def _begun(self) -> None:
        self.track_button.enabled = False
        self.told.value = "tracking ..."

    def _failed(self, error: Exception) -> None:
        self._error = str(error)
        show_error(f"pointtrack: {error}")
        for shown in self._shown:  # what was dragged and could not be tracked goes back
            self._draw(shown)

    def _ended(self) -> None:
        self.track_button.enabled = True
        self.told.value, self._error = self._error, ""


def _in_a_thread(
    work: Callable[[], Any], returned: Callable[[Any], None], errored: Callable[[Exception], None]
) -> None:
    create_worker(work, _connect={"returned": returned, "errored": errored})
