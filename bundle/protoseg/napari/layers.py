"""Layers as scans and labels, and label maps as layers.

The axes of a layer's data are slices, rows and columns (Z, Y, X); those of its world are mm towards the head, the back
and the patient's left, as images on a light box. A layer without a scale has voxels of 1 mm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from PIL import Image as Pillow

from protoseg.data.io.dicom import LPS_TO_RAS
from protoseg.errors import InputError
from protoseg.segmentation import Segmentation

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Layer

    from protoseg.data.io.in_memory import Source

__all__ = [
    "features_of",
    "image_of",
    "label_pixels",
    "labels_of",
    "layer_affine",
    "layer_options",
    "names_in",
    "place_in",
]

REVERSED = np.eye(4)[[2, 1, 0, 3]]  # (Z, Y, X) <-> (X, Y, Z)


def image_of(layer: Image) -> Source:
    """Give the image of a layer as `Segmenter` takes it.

    Raises:
        InputError: it has more than three dimensions.
    """
    pixels = _pixels(layer)
    if _is_picture(layer):
        return Pillow.fromarray(pixels[..., :3] if layer.rgb else pixels)
    if layer.rgb:
        raise InputError(f"{layer.name}: the colors are {pixels.dtype} in {layer.ndim}D, expected a picture of uint8.")
    return _volume(layer, pixels.astype(np.float32))


def labels_of(layer: Labels, image: Image) -> Source:
    """Give the labels of a layer, drawn on an image layer, as `Segmenter` takes them; errors as of `image_of`."""
    pixels = _pixels(layer)
    if pixels.max(initial=0) > np.iinfo(np.int16).max:
        raise InputError(f"{layer.name}: a label has the value {pixels.max()}; draw with values of 1 to 255.")
    if _is_picture(image):
        return Pillow.fromarray(pixels.astype(np.uint8))
    return _volume(layer, pixels.astype(np.int16))


def layer_affine(to_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn the affine of a scan, voxel (x, y, z) -> RAS+ mm, into that of its layer."""
    affine: NDArray[np.float64] = REVERSED @ LPS_TO_RAS @ to_mm @ REVERSED
    return affine


def layer_options(layer: Layer) -> dict[str, Any]:
    """Say where a layer is, as arguments of `viewer.add_...`."""
    corner = np.asarray(layer.data_to_world([0.0] * layer.ndim))
    axes = [np.asarray(layer.data_to_world(axis)) - corner for axis in np.eye(layer.ndim)]
    affine = np.eye(layer.ndim + 1)
    affine[:-1, :-1], affine[:-1, -1] = np.transpose(axes), corner
    return {"affine": affine}


def label_pixels(segmentation: Segmentation, layer: Image) -> NDArray[np.uint8]:
    """Give the labels of a segmented layer in the order of its own data."""
    pixels: NDArray[np.uint8] = np.ascontiguousarray(segmentation.label_map.T)
    return pixels[0] if layer.ndim == 2 else pixels


def features_of(segmentation: Segmentation) -> dict[str, list[Any]]:
    """Tell what is known about each label, as a labels layer shows it under the mouse."""
    report = segmentation.report()
    values = [segmentation.labels[name] for name in report]
    told: dict[str, list[Any]] = {"index": [0, *values], "label": ["background", *report]}
    for name in ("volume_ml", "estimated_dice"):
        told[name] = [np.nan, *(np.nan if entry[name] is None else round(entry[name], 2) for entry in report.values())]
    return told


def names_in(layer: Labels) -> dict[str, int] | None:
    """Read the names of the drawn labels from a layer's features; None where they do not name all."""
    drawn = set(np.unique(_pixels(layer)).tolist()) - {0}
    features = layer.features
    if not {"index", "label"} <= set(features):
        return None
    names = {str(name): int(value) for value, name in zip(features["index"], features["label"]) if value in drawn}
    return names if drawn and drawn == set(names.values()) else None


def place_in(layer: Image, point: NDArray[np.float64]) -> tuple[float, float, float]:
    """Turn a place in a layer's data into the voxel index (x, y, z) of its scan."""
    z, y, x = (0.0, *point) if layer.ndim == 2 else point
    return float(x), float(y), float(z)


def _is_picture(layer: Image) -> bool:
    return bool(layer.ndim == 2 and layer.dtype == np.uint8)


def _pixels(layer: Image | Labels) -> NDArray[Any]:
    if layer.ndim not in (2, 3):
        raise InputError(
            f"{layer.name} has {layer.ndim} dimensions, expected 2 or 3. Split it: Split Stack in the layer's menu."
        )
    return np.asarray(layer.data[0] if layer.multiscale else layer.data)


def _volume(layer: Image | Labels, pixels: NDArray[Any]) -> Nifti1Image:
    """Make a scan of one slice or of many."""
    affine = np.eye(4)
    affine[3 - layer.ndim :, 3 - layer.ndim :] = layer_options(layer)["affine"]
    to_mm = LPS_TO_RAS @ REVERSED @ affine @ REVERSED
    return Nifti1Image((pixels if layer.ndim == 3 else pixels[None]).T, to_mm)
