"""DICOM RTSTRUCT, contours in the patient, as a label map on an image's voxels.

rt-utils and DicomRTTool would do it for a DICOM series alone, with OpenCV, which moves contours to whole pixels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom import Dataset
from skimage.draw import polygon

from protoseg.data.io.dicom import LPS_TO_RAS
from protoseg.data.io.label_sources.masks import NamedLabels, NamedMask, combine_masks, unique_names
from protoseg.errors import InputError

__all__ = ["read_rtstruct"]

CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
IN_ONE_SLICE = 0.5  # largest distance in voxels between points of a contour across the slices
SAME_PLANE = 0.01  # voxels


def read_rtstruct(dataset: Dataset, path: Path, shape: tuple[int, ...], affine: np.ndarray) -> NamedLabels:
    """Fill the contours of a structure set: a voxel belongs to a structure if its center is inside.

    Contours of one plane within each other are holes. A structure's value is its place in the set, from 1.

    Args:
        dataset: structure set.
        path: path of its file, for messages.
        shape: (X, Y, Z), size of the image that it was drawn on.
        affine: affine of that image, from voxel index to RAS+ mm.

    Raises:
        InputError: there are no closed contours, they are not drawn on the image's slices, or none is on the image.
    """
    contours = _contours(dataset, np.linalg.inv(affine) @ LPS_TO_RAS)
    if not contours:
        raise InputError(f"{path}: this structure set has no closed contours. Give one in which structures are drawn.")
    spreads = np.max([np.ptp(points, axis=0) for each in contours.values() for points in each], axis=0)
    axis = int(spreads.argmin())
    if spreads[axis] > IN_ONE_SLICE:
        raise InputError(
            f"{path}: the contours are not drawn on the slices of the image. Give the image that they were drawn on."
        )
    names = list(contours)

    def masks() -> Iterator[NamedMask]:
        for value, name in enumerate(names, start=1):
            yield NamedMask(name, value, _fill(contours[name], shape, axis))

    label_map = combine_masks(masks(), path)
    present = set(np.unique(label_map).tolist())
    labels = {name: value for value, name in enumerate(names, start=1) if value in present}
    if not labels:
        raise InputError(f"{path}: none of its contours lies on the image. Give the image that they were drawn on.")
    return NamedLabels(label_map[None], affine, labels)


def _contours(dataset: Dataset, to_index: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Collect the closed contours of each structure that has some, as voxel indices (N, 3)."""
    drawn = {int(roi.ReferencedROINumber): roi.get("ContourSequence") or [] for roi in dataset.ROIContourSequence}
    rois = list(dataset.StructureSetROISequence)
    found = {}
    for roi, name in zip(rois, unique_names(str(roi.ROIName) for roi in rois)):
        points = [
            np.reshape(contour.ContourData, (-1, 3)).astype(float) @ to_index[:3, :3].T + to_index[:3, 3]
            for contour in drawn.get(int(roi.ROINumber), [])
            if contour.ContourGeometricType in CLOSED
        ]
        if points:
            found[name] = points
    return found


def _fill(contours: list[np.ndarray], shape: tuple[int, ...], axis: int) -> np.ndarray:
    """Fill one structure; of several planes nearest to one slice, the closest counts."""
    planes: dict[int, list[np.ndarray]] = defaultdict(list)
    for points in contours:
        planes[round(points[:, axis].mean() / SAME_PLANE)].append(np.delete(points, axis, axis=1))
    nearest: dict[int, int] = {}
    for plane in planes:
        index = round(plane * SAME_PLANE)
        before = nearest.get(index)
        if before is None or abs(plane * SAME_PLANE - index) < abs(before * SAME_PLANE - index):
            nearest[index] = plane
    mask = np.zeros(shape, bool)
    slices = np.moveaxis(mask, axis, 0)
    for index, plane in nearest.items():
        if 0 <= index < shape[axis]:
            for points in planes[plane]:
                inside = np.zeros(slices.shape[1:], bool)
                inside[polygon(points[:, 0], points[:, 1], inside.shape)] = True
                slices[index] ^= inside
    return mask
