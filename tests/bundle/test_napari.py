"""The napari plugin, with the real napari but without its window, which needs OpenGL."""

import os
import time
from functools import partial
from pathlib import Path
from threading import current_thread, main_thread

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
napari = pytest.importorskip("napari", reason="napari is missing: pip install 'protoseg[napari]'")

from napari.components import ViewerModel
from napari.utils.notifications import notification_manager
from npe2 import PluginManifest
from qtpy.QtWidgets import QApplication
from two_organs import LPS, ct, gray, nifti, organs

import protoseg.napari
from protoseg import Segmenter
from protoseg.napari.files import reader, two_people
from protoseg.napari.layers import image_of, layer_affine, layer_options
from protoseg.napari.widget import OneShotWidget

PLACE = {"affine": layer_affine(LPS)}
SMALL = partial(Segmenter.from_pretrained, image_size=64, precision="float32", device="cpu", component_filter="none")


@pytest.fixture
def application():
    return QApplication.instance() or QApplication([])


@pytest.fixture
def viewer(application):
    notification_manager.records.clear()
    return ViewerModel()


@pytest.fixture(scope="module")
def segmenter():
    return SMALL()


@pytest.fixture
def widget(viewer, segmenter):
    segmenter.support = None
    return OneShotWidget(viewer, open_segmenter=lambda: segmenter)


def settle(widget: OneShotWidget) -> None:
    """Let Qt work until all jobs have ended."""
    end = time.monotonic() + 60
    while widget.jobs.running:
        assert time.monotonic() < end
        QApplication.processEvents()
        time.sleep(0.01)


def told() -> list[str]:
    return [record.message for record in notification_manager.records]


def dice(found: np.ndarray, value: int) -> float:
    drawn = np.equal(organs().T, value)
    return 2 * ((found == value) & drawn).sum() / ((found == value).sum() + drawn.sum())


def test_one_button_segments_the_others(viewer, widget):
    viewer.add_image(ct().T, name="anna", **PLACE)
    viewer.add_labels(organs().T, name="organs", **PLACE)
    viewer.add_image(ct().T, name="bert", **PLACE)
    widget.names.value = "liver=1,spleen=2"
    widget.image.value = viewer.layers["anna"]
    widget.segment.native.click()
    assert not widget.segment.enabled
    settle(widget)
    assert widget.segment.enabled
    assert [layer.name for layer in viewer.layers] == ["anna", "organs", "bert", "bert: found"]
    found = viewer.layers["bert: found"]
    assert min(dice(found.data, 1), dice(found.data, 2)) > 0.7
    np.testing.assert_allclose(layer_options(found)["affine"], PLACE["affine"])
    assert list(found.features["label"]) == ["background", "liver", "spleen"]
    assert found.features["volume_ml"][1] == (found.data == 1).sum()  # voxels of 1 cm
    assert told()[-1].startswith("bert: 2 of 2 labels found")


def test_names_come_from_the_layers_features(viewer, widget):
    viewer.add_image(ct().T, name="anna", **PLACE)
    names = {"index": [0, 1, 2, 3], "label": ["background", "liver", "spleen", "tail"]}
    viewer.add_labels(organs().T, features=names, **PLACE)
    viewer.add_image(ct().T, name="bert", **PLACE)
    widget.image.value = viewer.layers["anna"]
    widget.segment.native.click()
    settle(widget)
    assert list(viewer.layers["bert: found"].features["label"]) == ["background", "liver", "spleen"]


def test_clicks_correct_and_are_taken_back(viewer, widget):
    viewer.add_image(ct().T, name="bert", **PLACE)
    widget.structure.value = "liver"
    widget.click.native.click()
    settle(widget)
    points = viewer.layers["clicks on bert"]
    assert points.mode == "add"
    points.add([1, 12, 10])
    settle(widget)
    first = viewer.layers["bert: found"].data.copy()
    assert dice(first, 1) > 0.7
    widget.outside.value = True
    points.add([1, 12, 22])
    settle(widget)
    assert viewer.layers["bert: found"].data[1, 12, 22] == 0
    np.testing.assert_allclose(points.face_color[:, 0], [0, 1])  # green, red
    widget.undo.native.click()
    settle(widget)
    np.testing.assert_array_equal(viewer.layers["bert: found"].data, first)
    np.testing.assert_array_equal(points.data, [[1, 12, 10]])
    widget.undo.native.click()
    settle(widget)
    assert "bert: found" not in [layer.name for layer in viewer.layers]
    widget.undo.native.click()
    assert told()[-1] == "There is no click to take back."


def test_a_click_beside_the_image_and_a_moved_point_are_undone(viewer, widget):
    viewer.add_image(ct().T, name="bert", **PLACE)
    widget.click.native.click()
    points = viewer.layers["clicks on bert"]
    points.add([1, 12, 99])
    settle(widget)
    assert told()[-1] == "A click is at the voxel 99, 12, 1, outside of the image of 32 x 32 x 4 voxels."
    assert len(points.data) == 0
    points.add([1, 12, 10])
    settle(widget)
    points.data = [[1, 12, 11]]
    assert told()[-1] == "Clicks are not moved or deleted: take the last one back by Undo."
    np.testing.assert_array_equal(points.data, [[1, 12, 10]])


def test_what_was_labelled_is_found_when_clicking_begins(viewer, widget):
    viewer.add_image(ct().T, name="anna", **PLACE)
    viewer.add_labels(organs().T, name="organs", **PLACE)
    viewer.add_image(ct().T, name="bert", **PLACE)
    widget.segment.native.click()
    settle(widget)
    viewer.layers.remove("bert: found")
    widget.clicked.value = viewer.layers["bert"]
    widget.click.native.click()
    settle(widget)
    assert dice(viewer.layers["bert: found"].data, 2) > 0.7


def test_pictures(viewer, widget):
    viewer.add_image(np.stack([gray()] * 3, axis=-1), name="photo", rgb=True)
    viewer.add_labels(organs()[:, :, 1].T, name="shapes")
    viewer.add_image(gray(), name="other")
    widget.segment.native.click()
    settle(widget)
    found = viewer.layers["other: found"].data
    assert found.shape == (32, 32)
    assert (found[8:16, 6:14] == 1).mean() > 0.7


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((), "Nothing is labelled: add an image and a labels layer, and draw a structure in it."),
        ((ct().T, organs().T), "There is no other image to segment: add one."),
        (
            (np.stack([ct().T] * 2), organs().T, ct().T),
            "image 0 has 4 dimensions, expected 2 or 3. Split it: Split Stack in the layer's menu.",
        ),
        (
            (ct().T, organs().T * 0, ct().T),
            "labels of image 0: the label map is empty, every voxel is 0. Label at least one structure.",
        ),
    ],
    ids=["nothing", "no other", "a film", "nothing drawn"],
)
def test_bad_input_is_told(viewer, widget, layers, message):
    for number, data in enumerate(layers):
        add = viewer.add_labels if number == 1 else viewer.add_image
        add(data, name="drawn" if number == 1 else f"image {number}")
    if layers:
        widget.image.value = viewer.layers["image 0"]
    widget.segment.native.click()
    settle(widget)
    assert told() == [message]


def test_results_are_shown_in_the_viewers_thread(viewer, widget):
    seen = []
    viewer.layers.events.inserted.connect(lambda event: seen.append(current_thread() is main_thread()))
    viewer.add_image(ct().T, name="anna", **PLACE)
    viewer.add_labels(organs().T, **PLACE)
    viewer.add_image(ct().T, name="bert", **PLACE)
    widget.image.value = viewer.layers["anna"]
    widget.segment.native.click()
    settle(widget)
    assert seen == [True] * 4


def test_a_file_comes_and_goes_as_the_scan_that_it_is(viewer, tmp_path):
    path = nifti(tmp_path / "scan.nii.gz", ct())
    assert reader(str(tmp_path)) is None
    assert reader(str(tmp_path / "photo.png")) is None
    [(data, options, kind)] = reader(str(path))(str(path))
    assert (kind, options["name"]) == ("image", "scan")
    again = image_of(viewer.add_image(data, **options))
    np.testing.assert_array_equal(np.asarray(again.dataobj), ct())
    np.testing.assert_allclose(again.affine, LPS)


def test_the_sample_is_a_labelled_person_and_another():
    layers = two_people()
    assert [(options["name"], kind) for _, options, kind in layers] == [
        ("anna", "image"),
        ("organs of anna", "labels"),
        ("bert", "image"),
    ]
    assert layers[0][0].shape == layers[1][0].shape == (24, 128, 128)


def test_the_manifest_names_what_there_is():
    manifest = PluginManifest.from_file(Path(protoseg.napari.__file__).parent / "napari.yaml")
    assert manifest.name == "protoseg"
    manifest.validate_imports()
