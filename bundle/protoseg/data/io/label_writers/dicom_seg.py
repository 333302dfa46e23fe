"""A label map as DICOM SEG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from highdicom.seg import Segmentation as DicomSeg
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code as CodedEntry
from pydicom.uid import generate_uid
from skimage.color import rgb2lab

import protoseg
from protoseg.data.io.anatomy_codes import Code, anatomy_codes, label_color
from protoseg.data.io.label_writers.labelled_series import UTF_8, LabelledSeries
from protoseg.data.io.segment_values import keep_label_value
from protoseg.errors import InputError
from protoseg.files import replacing

__all__ = ["write_dicom_seg"]

SERIES_NUMBER = 300
ARTIFICIAL_INTELLIGENCE = CodedEntry("123110", "DCM", "Artificial Intelligence")
UNKNOWN_SERIAL = "0"


def write_dicom_seg(
    path: Path,
    label_map: NDArray[np.uint8],
    affine: NDArray[np.float64],
    labels: Mapping[str, int],
    series: Path,
    *,
    weights: str = "",
) -> None:
    """Write a binary DICOM SEG in a series of its own: a segment for each label that has a voxel.

    Segments are numbered 1, 2, 3, ... in the order of the labels' values, which `read_labels` restores. Names,
    SNOMED codes and colors are as `anatomy_codes` has them.

    Args:
        path: path of the file.
        label_map: (X, Y, Z) label map, with voxels as `read_series` orders those of the series; 0 is background.
        affine: (4, 4) affine, voxel index -> RAS+ mm.
        labels: value of each label by name; a value without a name becomes "label_<value>".
        series: folder of the DICOM series that the label map was made on.
        weights: fingerprint of the network's weights, for the identification of the algorithm.

    Raises:
        InputError: see `LabelledSeries.read`; or highdicom refuses the headers of the series.
    """
    labelled = LabelledSeries.read(label_map, affine, labels, series)
    try:
        dataset = _segmentation(labelled, weights)
    except Exception as error:  # highdicom checks what scanners and anonymizers write more strictly than they do
        raise InputError(
            f"{series}: no DICOM SEG can refer to this series: {error}. Save the labels as .nii.gz instead."
        ) from error
    with replacing(path) as unfinished:
        dataset.save_as(unfinished)


def _segmentation(labelled: LabelledSeries, weights: str) -> DicomSeg:
    number_of_value = np.zeros(256, np.uint8)
    number_of_value[list(labelled.labels.values())] = np.arange(1, len(labelled.labels) + 1)
    dataset = DicomSeg(
        source_images=_with_spacing(labelled),
        pixel_array=number_of_value[labelled.label_map.transpose(2, 1, 0)],  # slices x rows x columns
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(number, name, value, weights) for number, (name, value) in enumerate(labelled.labels.items(), 1)
        ],
        series_instance_uid=generate_uid(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="protoseg",
        manufacturer_model_name="protoseg",
        software_versions=protoseg.__version__,
        device_serial_number=UNKNOWN_SERIAL,
        content_label="SEGMENTATION",
        content_description="Label map",
        content_creator_name="protoseg^",
        series_description="protoseg segmentation",
    )
    dataset.SpecificCharacterSet = UTF_8
    return dataset


def _with_spacing(labelled: LabelledSeries) -> list[Dataset]:
    """Copy the headers with the distance of the slices, which highdicom takes over; scanners often omit or mistake it.

    As an argument of highdicom it would cost the references from frames to slices.
    """
    normal = np.cross(*np.reshape(labelled.headers[0].ImageOrientationPatient, (2, 3)).astype(float))
    step = float(labelled.affine[:3, 2] @ normal)  # along it where the gantry was tilted, too
    for header in labelled.headers:
        header.SliceThickness = header.get("SliceThickness") or f"{step:.6g}"
        if len(labelled.headers) > 1:
            header.SpacingBetweenSlices = f"{step:.6g}"
    return labelled.headers


def _segment(number: int, name: str, value: int, weights: str) -> SegmentDescription:
    category, structure, side = anatomy_codes(name)
    algorithm = AlgorithmIdentificationSequence(
        name="protoseg",
        family=ARTIFICIAL_INTELLIGENCE,
        version=protoseg.__version__,
        parameters={"weights": weights} if weights else None,
    )
    segment = SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=_coded(category),
        segmented_property_type=_coded(structure),
        algorithm_type=SegmentAlgorithmTypeValues.SEMIAUTOMATIC,  # a person has labelled the support
        algorithm_identification=algorithm,
    )
    if side is not None:
        modifier = Dataset()
        modifier.CodeValue, modifier.CodingSchemeDesignator, modifier.CodeMeaning = side.value, "SCT", side.meaning
        segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [modifier]
    lightness, a, b = rgb2lab(np.array(label_color(name, value), np.uint8))
    segment.RecommendedDisplayCIELabValue = list(CIELabColor(lightness, a, b).value)
    keep_label_value(segment, value)
    return segment


def _coded(code: Code) -> CodedEntry:
    return CodedEntry(code.value, "SCT", code.meaning)
