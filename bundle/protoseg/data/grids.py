"""Label maps on the grid of the image that they belong to, and the names of their values."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from scipy.ndimage import affine_transform

from protoseg.data.datalists import is_legend, label_names, names_to_values
from protoseg.errors import InputError

__all__ = ["align_labels", "decode_label_names", "parse_label_names"]

logger = logging.getLogger(__name__)

LARGEST_VALUE = 255  # of a label; results are stored in 8 bits
SAME_GRID = 1e-3  # voxels that corresponding corners may lie apart


def align_labels(labels: MetaTensor, image: MetaTensor) -> MetaTensor:
    """Bring labels (1, X, Y, Z) onto the grid of an image (C, X', Y', Z') by nearest neighbour.

    Both affines map a voxel index to RAS+ mm. Labels that already lie on the grid come back as they are;
    a flipped or permuted copy comes back exactly. Voxels that the labels do not reach become 0.

    Raises:
        InputError: the two do not overlap in space, or no labelled voxel falls on the image; one of them is a
            picture and their sizes differ.
    """
    size, label_size = tuple(image.shape[1:]), tuple(labels.shape[1:])
    if "picture" in (image.meta.get("kind"), labels.meta.get("kind")):
        return _align_pixels(labels, image)
    image_affine, label_affine = image.affine.cpu().numpy(), labels.affine.cpu().numpy()
    to_label_index = np.linalg.inv(label_affine) @ image_affine
    corners = _corners(size)
    if size == label_size and np.allclose(_apply(to_label_index, corners), corners, rtol=0, atol=SAME_GRID):
        return labels
    image_box, label_box = _box(image_affine, size), _box(label_affine, label_size)
    if (np.maximum(image_box[0], label_box[0]) >= np.minimum(image_box[1], label_box[1])).any():
        raise InputError(
            f"{_name(labels)} covers {_extent(label_box)} and {_name(image)} covers {_extent(image_box)}: "
            "they do not overlap. Give the label map that was drawn on this image."
        )
    aligned = affine_transform(
        labels[0].cpu().numpy(),
        to_label_index,
        output_shape=size,
        order=0,
        # "constant" would drop the outermost voxels when rounding puts their centres at -1e-16.
        mode="grid-constant",
    )
    if labels.any() and not aligned.any():  # boxes along X, Y and Z may overlap where oblique grids do not
        raise InputError(
            f"{_name(labels)}: none of its labelled voxels falls on a voxel of {_name(image)}, they do not overlap. "
            "Give the label map that was drawn on this image."
        )
    return _on_grid(torch.as_tensor(aligned)[None].to(labels.device), labels, image)


def decode_label_names(names: Mapping | Sequence[str] | str | None) -> Any:
    """Decode JSON text, or read the labels of a `dataset.json`; all else comes back as it is.

    Raises:
        InputError: the text is not JSON, or the file cannot be used.
    """
    if not isinstance(names, str):
        return names
    if names.endswith(".json"):
        return label_names(names)
    try:
        return json.loads(names)
    except json.JSONDecodeError as error:
        raise InputError(f'label_names: {names!r} is not JSON. Write it like {{"liver": 1, "spleen": 2}}.') from error


def parse_label_names(names: Mapping | Sequence[str] | str | None, labels: torch.Tensor, source: str) -> dict[str, int]:
    """Names and values of the labels to use from a label map.

    Args:
        names: `{name: value}` chooses labels, all of which must be present; `{value: name}`, as in a
            `dataset.json`, takes those of them that are present, and the others are logged; JSON text of either, or
            the path of a `dataset.json`; `[name, ...]` chooses among the names that the labels came with; None takes
            every value, by the name that it came with or as `label_<value>`.
        labels: label map of any shape, 0 is background.
        source: the label map's file, for messages.

    Raises:
        InputError: the map is empty, a chosen value is absent, a value to use is above 255, or the names cannot
            be understood.
    """
    present = [int(value) for value in torch.unique(torch.as_tensor(labels)) if value != 0]
    if not present:
        raise InputError(f"{source}: the label map is empty, every voxel is 0. Label at least one structure.")
    decoded = decode_label_names(names)
    own = getattr(labels, "meta", {}).get("label_names")
    if isinstance(decoded, list | tuple) and decoded and all(isinstance(name, str) for name in decoded):
        return _choose(decoded, own, source)
    values = {} if decoded is None else names_to_values(decoded, "label_names")
    if decoded is None:
        return _name_all(present, own or {}, source)
    if is_legend(decoded) and not set(present).isdisjoint(values.values()):
        absent = [name for name, value in values.items() if value not in present]
        if absent:
            logger.warning("%s: no voxel is labelled %s; left out.", source, ", ".join(absent))
        return {name: value for name, value in values.items() if value in present}
    for name, value in values.items():
        if value not in present:
            raise InputError(
                f"{source}: no voxel has the value {value} that label_names gives to {name!r}; "
                f"the values found are {', '.join(map(str, present))}. Correct label_names."
            )
    return values


def _choose(chosen: Sequence[Any], own: Mapping[str, int] | None, source: str) -> dict[str, int]:
    if own is None:
        raise InputError(
            f'{source} does not name its labels, so label_names must tell their values. Write it like {{"liver": 1}}.'
        )
    for name in chosen:
        if name not in own:
            raise InputError(
                f"{source}: no label has the name {name!r}; the names found are {', '.join(own)}. Correct label_names."
            )
    return {name: own[name] for name in chosen}


def _name_all(present: list[int], own: Mapping[str, int], source: str) -> dict[str, int]:
    if max(present) > LARGEST_VALUE:
        raise InputError(
            f"{source}: found the label value {max(present)}, expected 1 to {LARGEST_VALUE}. "
            "Renumber the labels, or choose some of them with label_names."
        )
    names = {value: name for name, value in own.items()}
    return {names.get(value, f"label_{value}"): value for value in present}


def _align_pixels(labels: MetaTensor, image: MetaTensor) -> MetaTensor:
    """A picture has no place in the body: its pixels correspond one to one, or not at all."""
    if labels.shape[1:] != image.shape[1:]:
        (width, height), (label_width, label_height) = image.shape[1:3], labels.shape[1:3]
        raise InputError(
            f"{_name(labels)} has {label_width} x {label_height} pixels and {_name(image)} has "
            f"{width} x {height}, expected one size. Export the labels at the size of the picture."
        )
    return _on_grid(labels.as_tensor(), labels, image)


def _on_grid(voxels: torch.Tensor, labels: MetaTensor, image: MetaTensor) -> MetaTensor:
    return MetaTensor(voxels, meta={**labels.meta, "affine": image.affine})


def _name(tensor: MetaTensor) -> str:
    return str(tensor.meta.get("filename_or_obj", "an image that was not read from a file"))


def _apply(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ affine[:3, :3].T + affine[:3, 3]


def _corners(size: tuple[int, ...], border: float = 0.0) -> np.ndarray:
    """Voxel indices (8, 3) of a grid's corners: centres of the corner voxels, or `border` further out."""
    low, high = np.full(3, -border), np.array(size) - 1 + border
    return np.where(list(np.ndindex(2, 2, 2)), high, low)


def _box(affine: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Lowest and highest corner (2, 3) of a grid in RAS+ mm, outer faces of the voxels included."""
    corners = _apply(affine, _corners(size, border=0.5))
    return np.stack([corners.min(axis=0), corners.max(axis=0)])


def _extent(box: np.ndarray) -> str:
    ranges = (f"{axis} {low:.1f} to {high:.1f}" for axis, low, high in zip("XYZ", *box))
    return f"{', '.join(ranges)} mm"
