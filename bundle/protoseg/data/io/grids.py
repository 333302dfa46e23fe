"""Label maps on the grid of the image that they belong to, and the names of their values."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from scipy.ndimage import affine_transform

from protoseg.data.io.datalists import label_names
from protoseg.data.io.label_sources.masks import unique_names
from protoseg.data.io.nifti_forms import claimed_affines
from protoseg.data.io.pictures import is_turned
from protoseg.data.io.voxels import times
from protoseg.engine.slice_axes import is_oriented
from protoseg.errors import InputError
from protoseg.labels import LARGEST_VALUE, LabelSet, is_legend
from protoseg.ops.volume import Volume

__all__ = ["LabelGrid", "align_labels", "decode_label_names", "parse_label_names", "same_grid"]

logger = logging.getLogger(__name__)

SAME_GRID = 0.5  # voxels between corresponding corners, up to which nearest neighbor takes voxels one to one
SAME_PLACE = 1e-3  # of a voxel; rounding error of an affine
MOST_OUTSIDE = 0.05  # of the labelled voxels; crops and resampling lose some at the edge

LabelGrid = Literal["affine", "voxels"]


def align_labels(labels: Volume, image: Volume, label_grid: LabelGrid = "affine") -> Volume:
    """Resample labels (1, X, Y, Z) on the grid of an image (C, X', Y', Z') by nearest neighbor.

    Both affines map a voxel index to RAS+ mm. Labels keep their voxels if they share an affine with the image, in
    either of their files' forms; a flipped or permuted copy is restored exactly. Voxels that the labels do not reach
    become 0. If a file has no place, as a picture, the voxels are taken one to one.

    Args:
        labels: label map as it was read.
        image: image as it was read.
        label_grid: "affine" to follow the affines; "voxels" to take voxels one to one, whatever the affines say.

    Raises:
        InputError: the two have one size but other affines, or other sizes and the labels the identity for an affine,
            or more than a twentieth of the labelled voxels is off the image; voxels are to be taken one to one and the
            sizes differ; label_grid is unknown.
    """
    if label_grid not in get_args(LabelGrid):
        raise InputError(f"label_grid is {label_grid!r}, expected {' or '.join(get_args(LabelGrid))}.")
    labels, image = Volume.of(labels), Volume.of(image)
    size, label_size = tuple(image.shape[1:]), tuple(labels.shape[1:])
    pictures = "picture" in (image.meta.get("kind"), labels.meta.get("kind"))
    guessed = not is_oriented(image) or (not is_oriented(labels) and size != label_size)
    if label_grid == "voxels" or pictures or guessed:
        return _align_voxels(labels, image)
    if same_grid(labels, image):
        return _on_grid(labels.as_tensor(), labels, image)
    to_label_index = np.linalg.inv(np.asarray(labels.affine, float)) @ np.asarray(image.affine, float)
    if size == label_size and not _same_lattice(to_label_index, size):
        raise InputError(_lost_affine(labels, image, "has the size of the image and another affine"))
    if np.array_equal(labels.affine, np.eye(4)) and not np.array_equal(image.affine, np.eye(4)):
        raise InputError(
            _lost_affine(labels, image, "has the identity for an affine, as of an array, and another size")
        )
    missed = _share_outside(labels, np.linalg.inv(to_label_index), size)
    if missed > MOST_OUTSIDE:
        raise InputError(_lost_affine(labels, image, f"has {missed:.0%} of its labelled voxels outside of the image"))
    aligned = affine_transform(
        labels[0].cpu().numpy(),
        to_label_index,
        output_shape=size,
        order=0,
        # "constant" would drop the outermost voxels when rounding puts their centers at -1e-16.
        mode="grid-constant",
    )
    return _on_grid(torch.as_tensor(aligned)[None].to(labels.device), labels, image)


def same_grid(one: Volume, other: Volume) -> bool:
    """Tell whether two images (C, X, Y, Z), as they were read, have the same voxels, by any form of their files."""
    if one.shape[1:] != other.shape[1:]:
        return False
    corners = _corners(tuple(one.shape[1:]))
    pairs = [np.linalg.inv(mine) @ theirs for mine in claimed_affines(one) for theirs in claimed_affines(other)]
    return any(np.abs(_apply(pair, corners) - corners).max() <= SAME_GRID for pair in pairs)


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


def parse_label_names(names: Mapping | Sequence[str] | str | None, labels: torch.Tensor, source: str) -> LabelSet:
    """Parse the names and values of the labels to use from a label map.

    Args:
        names: `{name: value}` to choose labels, all of which must be present; `{value: name}`, as in a `dataset.json`,
            to take those of them that are present, and log the others; JSON text of either, or the path of a
            `dataset.json`; `[name, ...]` to choose among the names that the labels came with; None to take every value,
            by the name that it came with or as `label_<value>`.
        labels: label map of any shape, 0 is background.
        source: path of the label map, for messages.

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
    if decoded is None:
        return _name_all(present, own or {}, source)
    known = LabelSet.parse(decoded, "label_names")
    if is_legend(decoded) and not set(present).isdisjoint(known.values()):
        absent = [name for name, value in known.items() if value not in present]
        if absent:
            logger.warning("%s: no voxel is labelled %s; left out.", source, ", ".join(absent))
        return known.only(known.keys() - absent)
    for name, value in known.items():
        if value not in present:
            raise InputError(
                f"{source}: no voxel has the value {value} that label_names gives to {name!r}; "
                f"the values found are {', '.join(map(str, present))}. Correct label_names."
            )
    return known


def _choose(chosen: Sequence[Any], own: Mapping[str, int] | None, source: str) -> LabelSet:
    if own is None:
        raise InputError(
            f'{source} does not name its labels, so label_names must tell their values. Write it like {{"liver": 1}}.'
        )
    for name in chosen:
        if name not in own:
            raise InputError(
                f"{source}: no label has the name {name!r}; the names found are {', '.join(own)}. Correct label_names."
            )
    return LabelSet({name: own[name] for name in chosen})


def _name_all(present: list[int], own: Mapping[str, int], source: str) -> LabelSet:
    if max(present) > LARGEST_VALUE:
        raise InputError(
            f"{source}: found the label value {max(present)}, expected 1 to {LARGEST_VALUE}. "
            "Renumber the labels, or choose some of them with label_names."
        )
    names = {value: name for name, value in own.items()}
    given = unique_names(names.get(value, f"label_{value}") for value in present)
    return LabelSet(dict(zip(given, present, strict=True)))


def _align_voxels(labels: Volume, image: Volume) -> Volume:
    """Take voxels one to one, as for a picture or a file without a form, which have no place; or refuse."""
    if labels.shape[1:] != image.shape[1:]:
        flat = labels.shape[-1] == image.shape[-1] == 1
        mine, theirs = (times(tensor.shape[1:3] if flat else tensor.shape[1:]) for tensor in (labels, image))
        raise InputError(
            f"{_name(labels)} has {mine} {'pixels' if flat else 'voxels'} and {_name(image)} has {theirs}, expected "
            "one size. Export the labels at the size of the image."
        )
    if is_turned(_name(image)) and not is_turned(_name(labels)):
        logger.warning(
            "%s comes turned, as its EXIF orientation says: %s must have been drawn on the picture as it is shown, not "
            "on its pixels as they are stored.",
            _name(image),
            _name(labels),
        )
    return _on_grid(labels.as_tensor(), labels, image)


def _same_lattice(to_label_index: np.ndarray, size: tuple[int, ...]) -> bool:
    """Tell whether two grids of one size have the same voxels in another order."""
    steps = to_label_index[:3, :3]
    order = np.round(steps)
    if not (np.abs(order).sum(0) == 1).all() or not (np.abs(order).sum(1) == 1).all():
        return False
    corners = _corners(size)
    exact = corners @ order.T + np.where(order.sum(1) < 0, np.array(size) - 1, 0)
    return bool(np.abs(_apply(to_label_index, corners) - exact).max() <= SAME_GRID)


def _share_outside(labels: Volume, to_image_index: np.ndarray, size: tuple[int, ...]) -> float:
    """Compute the share of labelled voxels whose centers are outside an image of a size; 0 if nothing is labelled."""
    places = _apply(to_image_index, np.argwhere(labels[0].cpu().numpy() != 0))
    outside = ((places < -0.5 - SAME_PLACE) | (places > np.array(size) - 0.5 + SAME_PLACE)).any(axis=1)
    return float(outside.mean()) if len(places) else 0.0


def _lost_affine(labels: Volume, image: Volume, what: str) -> str:
    affines = (f"{_name(tensor)}: {_rows(tensor.affine)}, size {times(tensor.shape[1:])}" for tensor in (labels, image))
    return (
        f"{_name(labels)} {what}: it would land in the wrong place of {_name(image)}. Affines: {'; '.join(affines)}. "
        "If the two have the same voxels in the same order, take them one to one with --label_grid voxels; if not, "
        "give the label map that was drawn on this image."
    )


def _rows(affine: torch.Tensor) -> list[list[float]]:
    return [[round(value, 3) for value in row] for row in affine[:3].tolist()]


def _on_grid(voxels: torch.Tensor, labels: Volume, image: Volume) -> Volume:
    return Volume.at(voxels, image.affine, labels.meta)


def _name(tensor: Volume) -> str:
    return str(tensor.meta.get("filename_or_obj", "an image that was not read from a file"))


def _apply(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ affine[:3, :3].T + affine[:3, 3]


def _corners(size: tuple[int, ...]) -> np.ndarray:
    """List the indices (8, 3) of a grid's corner voxels."""
    return np.array(list(np.ndindex(2, 2, 2))) * (np.array(size) - 1)
