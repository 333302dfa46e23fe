"""DICOM SEG as a label map with names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom import Dataset

from protoseg.data.io.dicom import LPS_TO_RAS
from protoseg.data.io.label_sources.masks import NamedLabels, NamedMask, combine_masks, unique_names
from protoseg.data.io.segment_values import label_values
from protoseg.errors import InputError

__all__ = ["read_dicom_seg"]

OFF_A_SLICE = 0.1  # of the distance between slices


def read_dicom_seg(dataset: Dataset, path: Path) -> NamedLabels:
    """Read the segments of a DICOM SEG: binary, fractional (at least half is inside) or a label map.

    A segment's value is the one that protoseg kept with it, or else its number. The grid reaches from the first slice
    with a segment to the last.

    Raises:
        InputError: it has no place in the body (a slide), or its frames are no slices at equal distances.
    """
    frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    kind = str(dataset.get("SegmentationType", "BINARY"))
    if kind == "FRACTIONAL":
        frames = frames >= dataset.MaximumFractionalValue / 2
    try:
        positions = np.array(
            [_plane(dataset, i).PlanePositionSequence[0].ImagePositionPatient for i in range(len(frames))], float
        )
        orientation = np.array(_plane(dataset, 0).PlaneOrientationSequence[0].ImageOrientationPatient, float)
        measures = _plane(dataset, 0).PixelMeasuresSequence[0]
    except (AttributeError, IndexError) as error:
        raise InputError(
            f"{path}: the frames of this DICOM SEG have no place in the patient, expected the segments "
            "of a CT or MR series."
        ) from error
    rows, columns = orientation[:3], orientation[3:]
    normal = np.cross(rows, columns)
    places = positions @ normal
    step = _step(np.unique(places.round(3)), measures, path)
    indices = np.round((places - places.min()) / step).astype(int)
    affine = np.eye(4)
    row_spacing, column_spacing = map(float, measures.PixelSpacing)
    first, last = positions[places.argmin()], positions[places.argmax()]
    # From the first slice to the last: where the gantry was tilted that is not along the normal.
    through = (last - first) / indices.max() if indices.max() else normal * step
    affine[:3, :3] = np.stack([rows * column_spacing, columns * row_spacing, through], axis=1)
    affine[:3, 3] = first
    segments = list(dataset.SegmentSequence)
    numbers = [int(segment.SegmentNumber) for segment in segments]
    values = label_values(segments)
    names = unique_names(str(segment.get("SegmentLabel", f"label_{v}")) for segment, v in zip(segments, values))
    frame_segments = [None if kind == "LABELMAP" else _segment_number(dataset, i) for i in range(len(frames))]

    def masks() -> Iterator[NamedMask]:
        for name, number, value in zip(names, numbers, values):
            mask = np.zeros((dataset.Columns, dataset.Rows, indices.max() + 1), bool)
            for frame, index, segment in zip(frames, indices, frame_segments):
                if segment is None:
                    mask[..., index] |= (frame == number).T
                elif segment == number:
                    mask[..., index] |= (frame > 0).T
            yield NamedMask(name, value, mask)

    label_map = combine_masks(masks(), path)
    present = set(np.unique(label_map).tolist())
    labels = {name: value for name, value in zip(names, values) if value in present}
    return NamedLabels(label_map[None], LPS_TO_RAS @ affine, labels)


def _plane(dataset: Dataset, frame: int) -> Dataset:
    """Functional groups of a frame: its own, and those that all frames share."""
    groups = Dataset()
    groups.update(dataset.SharedFunctionalGroupsSequence[0])
    groups.update(dataset.PerFrameFunctionalGroupsSequence[frame])
    return groups


def _segment_number(dataset: Dataset, frame: int) -> int:
    return int(_plane(dataset, frame).SegmentIdentificationSequence[0].ReferencedSegmentNumber)


def _step(places: np.ndarray, measures: Dataset, path: Path) -> float:
    """Find the distance between slices, mm; frames of empty slices may be missing."""
    gaps = np.diff(places)
    said = [float(measures.get(key) or 0) for key in ("SpacingBetweenSlices", "SliceThickness")]
    for step in (said[0], float(gaps.min()) if len(gaps) else 0.0, said[1]):
        if step > 0 and (np.abs(gaps / step - np.round(gaps / step)) < OFF_A_SLICE).all():
            return step
    if not len(gaps):
        return 1.0
    raise InputError(
        f"{path}: the frames are {', '.join(f'{gap:g}' for gap in np.unique(gaps.round(3))[:4])} mm apart, expected "
        "slices at equal distances. Export the segmentation again."
    )
