"""A layer of points, each of which is a click."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_warning

from protoseg.errors import InputError
from protoseg.napari.jobs import Job, Jobs
from protoseg.napari.layers import image_of, layer_options, place_in

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from protoseg.api import Segmenter
    from protoseg.segmentation import Segmentation
    from protoseg.session import Session

__all__ = ["ClickLayer", "Pen"]

INSIDE, OUTSIDE = "#00e676", "#ff1744"


@dataclass(frozen=True)
class Pen:
    """The meaning of the next click."""

    label: str
    positive: bool


class ClickLayer:
    """Clicks on an image, as a layer of points in the viewer, answered by a session.

    Args:
        viewer: viewer that the layer is added to.
        image: image layer that is clicked on.
        jobs: queue in which the session works.
        open_segmenter: function that makes the segmenter of the session; it runs as one of the jobs.
        pen: function that tells what a new point means.
        show: function that is called with each result, None for nothing.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        jobs: Jobs,
        *,
        open_segmenter: Callable[[], Segmenter],
        pen: Callable[[], Pen],
        show: Callable[[Segmentation | None], None],
    ) -> None:
        self.image = image
        self._jobs, self._pen, self._show = jobs, pen, show
        self._clicks: list[tuple[np.ndarray, Pen]] = []
        self._sessions: list[Session] = []
        name = f"clicks on {image.name}"
        self.points = viewer.add_points(ndim=image.ndim, name=name, size=4, **layer_options(image))
        self.points.mode = "add"
        self.points.events.data.connect(self._changed)

        query, label = image_of(image), pen().label

        def begin() -> Iterator[Segmentation]:
            segmenter = open_segmenter()
            session = segmenter.session(query, labels=[label], name=image.name)
            self._sessions.append(session)
            if segmenter.support is not None:
                yield session.segment()

        jobs.add(Job(f"Looking at {image.name}", begin, show))

    def undo(self) -> None:
        """Take the last click back.

        Raises:
            InputError: there is none.
        """
        if not self._clicks:
            raise InputError("There is no click to take back.")
        self._clicks.pop()
        self._show_clicks()
        self._jobs.add(Job("Taking a click back", lambda: iter([self._session.undo()]), self._show))

    @property
    def _session(self) -> Session:
        if not self._sessions:
            raise InputError("The image could not be opened: press Click again when it can.")
        return self._sessions[0]

    def _changed(self, event: Any) -> None:
        """Answer a change of the points: a new one is a click, and nothing else is allowed."""
        action = str(getattr(event.action, "value", event.action))
        if action == "added" and len(self.points.data) == len(self._clicks) + 1:
            self._click(np.array(self.points.data[-1], float), self._pen())
        elif action in ("added", "removed", "changed"):
            show_warning("Clicks are not moved or deleted: take the last one back by Undo.")
        else:
            return  # an announcement: nothing has changed yet
        self._show_clicks()

    def _click(self, point: np.ndarray, pen: Pen) -> None:
        click = (point, pen)
        self._clicks.append(click)

        def steps() -> Iterator[Segmentation]:
            place = place_in(self.image, point)
            yield self._session.click(place, pen.label, positive=pen.positive)

        def refused() -> None:
            self._clicks = [other for other in self._clicks if other is not click]
            self._show_clicks()

        self._jobs.add(Job("Answering a click", steps, self._show, refused=refused))

    def _show_clicks(self) -> None:
        """Set the points to those of the clicks."""
        with self.points.events.data.blocker(self._changed):
            self.points.data = np.array([point for point, _ in self._clicks]).reshape(-1, self.image.ndim)
            if self._clicks:
                self.points.face_color = [INSIDE if pen.positive else OUTSIDE for _, pen in self._clicks]
            self.points.selected_data = set()
