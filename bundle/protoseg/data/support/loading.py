"""Supports in files: read from a labelled scan, or kept in a file of their own."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from protoseg.data.io.grids import decode_label_names, parse_label_names
from protoseg.data.io.in_memory import source_name
from protoseg.data.io.volumes import read_labels
from protoseg.data.preprocessing.orientation import SLICE_AXES
from protoseg.data.preprocessing.steps import transform_key
from protoseg.data.support.checks import support_defect
from protoseg.engine.magnification import Magnification
from protoseg.engine.slice_axes import SliceAxes
from protoseg.engine.support import SliceOrigin, SliceSelection, SupportSet, support_from_scan
from protoseg.errors import InputError
from protoseg.files import PathLike, is_there, replacing
from protoseg.labels import LabelSet, is_legend
from protoseg.ops.hashing import fingerprint
from protoseg.ops.volume import Volume

__all__ = ["load_support", "preprocessing_key", "read_support", "save_support"]

logger = logging.getLogger(__name__)

TENSORS = ("images", "masks")
OPTIONAL_TENSORS = ("known", "weights")
DETAILS = ("labels", "components", "origins", "preprocessing", "encoder", "slice_axes", "frame_mm")


def load_support(
    image: PathLike | Volume,
    label: PathLike | Volume,
    *,
    transform: Callable[[dict[str, Any]], Mapping[Any, Any]],
    image_size: int,
    label_names: Mapping | Sequence[str] | str | None = None,
    slices: SliceSelection | int | Sequence[int] = "largest",
    adjacent_slices: bool = False,
    magnification: Magnification = 1.0,
    slice_axes: SliceAxes | None = None,
) -> SupportSet:
    """Read one labelled scan and build a support from it.

    Args:
        image: volume, picture or DICOM folder, or a `Volume` read from one.
        label: labels of the image, see `read_labels`, or a `Volume` of them.
        transform: transform of {"image": path, "label": path} to the tensors of `support_from_scan`.
        image_size: edge of the network's input in pixels, without magnification.
        label_names: names and values of the labels, see `parse_label_names`.
        slices: support slices, see `choose_slices`.
        adjacent_slices: True for channels that are a slice and its neighbors.
        magnification: enlargement of slices, see `support_from_scan`.
        slice_axes: directions that its slices must follow, such as another support's; None for those of its plane.

    Raises:
        InputError: as in reading, in parsing label names and in choosing slices; or a label that was chosen, or every
            label, is outside the body.
    """
    making = preprocessing_key(transform, image_size, adjacent_slices)  # before its use, which may change it
    data = transform({"image": image, "label": label, SLICE_AXES: slice_axes})
    scan, drawn_in = source_name(image, "the image"), source_name(label, "the labels")
    names = decode_label_names(label_names)
    # The values of the file: labels outside the body, cropped by now, must not be reported as missing from the file.
    meta = getattr(data["label"], "meta", {})
    in_file = (
        Volume.at(torch.tensor(meta["label_values"]), torch.eye(4), meta)
        if "label_values" in meta
        else read_labels(label, image)
    )
    labels = parse_label_names(names, in_file, drawn_in)
    chosen = names is not None and not is_legend(names)
    labels = _labels_inside(labels, data["label"], required=chosen, place=f"{drawn_in} on {scan}")
    return support_from_scan(
        data["image"],
        data["label"],
        labels,
        image_size=image_size,
        slices=slices,
        adjacent_slices=adjacent_slices,
        magnification=magnification,
        scan=scan,
        preprocessing=making,
    )


def preprocessing_key(
    transform: Callable[[dict[str, Any]], Mapping[Any, Any]], image_size: int, adjacent_slices: bool
) -> str:
    """Compute the digits that identify the preparation of slices: supports with others cannot be combined."""
    return fingerprint(transform_key(transform), image_size, adjacent_slices)


def save_support(path: str | Path, support: SupportSet) -> None:
    """Write a support as one safetensors file: tensors, and the rest as JSON in its header."""
    details = {name: json.dumps(getattr(support, name), default=dict) for name in DETAILS}
    tensors = {name: getattr(support, name) for name in TENSORS + OPTIONAL_TENSORS}
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}
    with replacing(path) as unfinished:
        save_file(tensors, unfinished, metadata=details)


def read_support(path: str | Path) -> SupportSet:
    """Read what `save_support` wrote; a file of gray slices may hold one channel instead of three equal ones.

    Raises:
        InputError: the file is missing, damaged, or no support.
    """
    path = Path(path)
    if not is_there(path) or not path.is_file():
        raise InputError(f"{path} does not exist. Give a support that was saved before.")
    try:
        with safe_open(path, framework="pt") as file:
            there = [name for name in OPTIONAL_TENSORS if name in file.keys()]  # noqa: SIM118, it has no other way
            tensors = {name: file.get_tensor(name) for name in (*TENSORS, *there)}
            # Supports from before 0.2 have no directions of their slices, and no frames.
            absent = {"slice_axes": "null", "frame_mm": "null"}
            details = {name: json.loads({**absent, **file.metadata()}[name]) for name in DETAILS}
        if tensors["images"].shape[1:2] == (1,):
            tensors["images"] = tensors["images"].repeat(1, 3, 1, 1)
        details["origins"] = tuple(SliceOrigin(*origin) for origin in details["origins"])
        details["slice_axes"] = details["slice_axes"] and tuple(map(tuple, details["slice_axes"]))
        support = SupportSet(**tensors, **details)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} ({path.stat().st_size} bytes) is damaged or no support that was saved here. Save it again."
        ) from error
    defect = support_defect(support)
    if defect:
        raise InputError(f"{path} is damaged: what it says of its {defect} makes no sense. Save the support again.")
    return replace(support, labels=LabelSet(support.labels))


def _labels_inside(labels: LabelSet, drawn: torch.Tensor, *, required: bool, place: str) -> LabelSet:
    """Leave out labels that the transform cropped, with a warning; refuse if they are required, or all."""
    left = torch.unique(drawn).tolist()
    lost = [name for name, value in labels.items() if value not in left]
    if not lost:
        return labels
    found = f"{place}: {', '.join(lost)} lies outside the body that was found"
    if required or len(lost) == len(labels):
        raise InputError(
            f"{found}. Check that the two belong together; if they do, set modality, which decides how the body is "
            "found."
        )
    logger.warning("%s; left out.", found)
    return labels.only(labels.keys() - lost)
