"""The widget of the plugin: one labelled layer and a button segment the others, and points correct one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, Container, Label, LineEdit, PushButton
from napari.layers import Image, Labels, Layer
from napari.utils.notifications import show_error, show_info

from protoseg.commands.texts import parse_labels
from protoseg.errors import InputError
from protoseg.napari.clicks import ClickLayer, Pen
from protoseg.napari.jobs import Job, Jobs
from protoseg.napari.layers import features_of, image_of, label_pixels, labels_of, layer_options, names_in

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from protoseg.api import Segmenter
    from protoseg.segmentation import Segmentation

__all__ = ["OneShotWidget"]


def _pretrained() -> Segmenter:
    from protoseg.api import Segmenter  # takes seconds, so not when the viewer starts

    return Segmenter.from_pretrained()


class OneShotWidget(Container):
    """Segment image layers by what is labelled in others, and by clicks.

    Args:
        napari_viewer: viewer whose layers are segmented.
        open_segmenter: function that makes the segmenter when it is first needed; by default one with the weights that
            ship.
    """

    def __init__(self, napari_viewer: ViewerModel, *, open_segmenter: Callable[[], Segmenter] = _pretrained) -> None:
        super().__init__()
        self._viewer, self._open_segmenter = napari_viewer, open_segmenter
        self._opened: Segmenter | None = None
        self._examples: list[Layer] = []
        self._clicks: ClickLayer | None = None
        self.image = ComboBox(label="image", choices=self._layers(Image))
        self.drawn = ComboBox(label="its labels", choices=self._layers(Labels))
        self.names = LineEdit(label="names", tooltip="liver=1,spleen=2; those of the layer's features when left empty")
        self.segment = PushButton(text="Segment the other images")
        self.forget = PushButton(text="Forget what was labelled")
        self.clicked = ComboBox(label="image", choices=self._layers(Image))
        self.structure = LineEdit(label="structure", value="structure")
        self.outside = CheckBox(text="the next clicks are outside of it")
        self.click = PushButton(text="Click")
        self.undo = PushButton(text="Undo")
        self.jobs = Jobs(self._show_whether_busy)
        of_label_one = (self.image, self.drawn, self.names, self.segment, self.forget)
        self.extend([Label(value="By a labelled image"), *of_label_one])
        of_clicks = (self.clicked, self.structure, self.outside, self.click, self.undo)
        self.extend([Label(value="By clicks"), *of_clicks])
        for button, answer in (
            (self.segment, self._segment_others),
            (self.forget, self._forget),
            (self.click, self._begin_to_click),
            (self.undo, self._undo),
        ):
            button.changed.connect(_told(answer))
        for event in (napari_viewer.layers.events.inserted, napari_viewer.layers.events.removed):
            event.connect(self.reset_choices)

    def _layers(self, kind: type[Layer]) -> Callable[[Any], list[Layer]]:
        return lambda _: [layer for layer in self._viewer.layers if isinstance(layer, kind)]

    def _segmenter(self) -> Segmenter:
        if self._opened is None:
            self._opened = self._open_segmenter()
        return self._opened

    def _segment_others(self) -> None:
        image, labels = self.image.value, self.drawn.value
        if image is None or labels is None:
            raise InputError("Nothing is labelled: add an image and a labels layer, and draw a structure in it.")
        example, drawn = image_of(image), labels_of(labels, image)
        names = parse_labels(self.names.value) if self.names.value else names_in(labels)
        known = (*self._examples, image)
        queries = [(layer, image_of(layer)) for layer in self._layers(Image)(None) if layer not in known]
        if not queries:
            raise InputError("There is no other image to segment: add one.")

        def steps() -> Iterator[tuple[Image, Segmentation]]:
            segmenter = self._segmenter().add_support(example, drawn, names=names, name=image.name)
            self._examples.append(image)
            for layer, query in queries:
                yield layer, segmenter.segment(query, name=layer.name)

        self.jobs.add(Job("Segmenting", steps, lambda found: self._show(*found), count=len(queries)))

    def _forget(self) -> None:
        self._examples.clear()
        if self._opened is not None:
            self._opened.support = None

    def _begin_to_click(self) -> None:
        image = self.clicked.value
        if image is None:
            raise InputError("There is no image to click on: add one.")
        if self._clicks is not None and self._clicks.points in self._viewer.layers:
            self._viewer.layers.remove(self._clicks.points)
        self._clicks = ClickLayer(
            self._viewer,
            image,
            self.jobs,
            open_segmenter=self._segmenter,
            pen=self._pen,
            show=lambda found: self._show(image, found),
        )

    def _undo(self) -> None:
        if self._clicks is None:
            raise InputError("There is no click to take back.")
        self._clicks.undo()

    def _pen(self) -> Pen:
        return Pen(self.structure.value.strip() or "structure", positive=not self.outside.value)

    def _show(self, image: Image, found: Segmentation | None) -> None:
        """Show what was found in an image as a labels layer, in place of what was found before."""
        name = f"{image.name}: found"
        shown = next((layer for layer in self._viewer.layers if layer.name == name), None)
        if found is None:
            if shown is not None:
                self._viewer.layers.remove(shown)
            return
        pixels = label_pixels(found, image)
        told = features_of(found)
        if shown is None:
            self._viewer.add_labels(pixels, name=name, features=told, opacity=0.6, **layer_options(image))
        else:
            shown.data, shown.features = pixels, told
        report = found.report()
        warnings = [f"{label}: {entry['warning']}" for label, entry in report.items() if entry["warning"]]
        seen = sum(entry["volume_ml"] > 0 for entry in report.values())
        show_info("; ".join((f"{image.name}: {seen} of {len(report)} labels found", *warnings)))

    def _show_whether_busy(self) -> None:
        for button in (self.segment, self.forget, self.click, self.undo):
            button.enabled = not self.jobs.running


def _told(answer: Callable[[], None]) -> Callable[[], None]:
    """Wrap what a button does so that the user is told of bad input."""

    def tell() -> None:
        try:
            answer()
        except InputError as error:
            show_error(str(error))

    return tell
