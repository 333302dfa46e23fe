"""Segmentations of 3D Slicer (.seg.nrrd): named segments, in layers where they overlap."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from protoseg.data.io.dicom import LPS_TO_RAS
from protoseg.data.io.label_sources.masks import NamedLabels, NamedMask, combine_masks, unique_names
from protoseg.errors import InputError

__all__ = ["read_slicer_segmentation"]

DESCRIBED = re.compile(r"Segment[0-9]+_(LabelValue|Name|Layer)")


class _Segment(NamedTuple):
    name: str
    value: int
    layer: int


def read_slicer_segmentation(path: Path) -> NamedLabels | None:
    """Read the label map of a segmentation and the values of its segments by name; None if none is described.

    The values are those of the file. Where it has layers, in which several segments may have one value, they are the
    places of the segments, from 1.

    Raises:
        InputError: a segment's value or layer is no number, or there is no such layer.
    """
    import SimpleITK  # slow, so only for those who have such files

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        described = filter(DESCRIBED.fullmatch, reader.GetMetaDataKeys())  # others may not even be text
        segments = _segments({key: reader.GetMetaData(key) for key in described})
        if not segments:
            return None
        image = reader.Execute()
    except RuntimeError:  # damaged: the reader of images reports it
        return None
    except ValueError as error:
        raise InputError(
            f"{path}: a segment is described by a number that is none ({error}). Export the segmentation again."
        ) from error
    voxels = SimpleITK.GetArrayFromImage(image).T  # X x Y x Z, or layers first
    if image.GetNumberOfComponentsPerPixel() == 1:
        values = {segment.name: segment.value for segment in segments}
    else:
        values = {segment.name: number for number, segment in enumerate(segments, start=1)}
        if not all(0 <= segment.layer < len(voxels) for segment in segments):
            raise InputError(
                f"{path}: it has {len(voxels)} layers, and segments in {sorted({s.layer for s in segments})}, counted "
                "from 0. Export the segmentation again."
            )
        voxels = combine_masks((NamedMask(s.name, values[s.name], voxels[s.layer] == s.value) for s in segments), path)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    present = set(np.unique(voxels).tolist())
    names = {name: value for name, value in values.items() if value in present}
    return NamedLabels(voxels[None], LPS_TO_RAS @ affine, names)


def _segments(metadata: dict[str, str]) -> list[_Segment]:
    numbers = sorted(int(found[1]) for key in metadata if (found := re.fullmatch(r"Segment(\d+)_LabelValue", key)))
    values = {n: metadata[f"Segment{n}_LabelValue"] for n in numbers}
    names = unique_names(metadata.get(f"Segment{n}_Name", f"label_{values[n]}") for n in numbers)
    return [
        _Segment(name, int(values[n]), int(metadata.get(f"Segment{n}_Layer", "0"))) for n, name in zip(numbers, names)
    ]
