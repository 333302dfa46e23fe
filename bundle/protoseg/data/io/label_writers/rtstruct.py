"""A label map as DICOM RTSTRUCT.

rt-utils and DicomRTTool would do it with OpenCV, which moves contours to whole pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid

import protoseg
from protoseg.data.io.anatomy_codes import anatomy_codes, label_color
from protoseg.data.io.label_writers.contours import mask_contours
from protoseg.data.io.label_writers.labelled_series import PATIENT, STUDY, UTF_8, LabelledSeries
from protoseg.files import replacing

__all__ = ["write_rtstruct"]

SERIES_NUMBER = 301
STUDY_COMPONENT = "1.2.840.10008.3.1.2.3.1"  # what a referenced study is told by, retired but asked for
CONTOUR_DATA = Tag("ContourData")
LONGEST_LABEL = 16  # characters of a DICOM short string


def write_rtstruct(
    path: Path,
    label_map: NDArray[np.uint8],
    affine: NDArray[np.float64],
    labels: Mapping[str, int],
    series: Path,
    *,
    weights: str = "",
) -> None:
    """Write a structure set in a series of its own: a region of interest for each label that has a voxel.

    Contours are closed and drawn on the slices of the series, see `mask_contours`; filled by `read_labels` they give
    the label map back. A region's number is the label's value.

    Args:
        path: path of the file.
        label_map: (X, Y, Z) label map, with voxels as `read_series` orders those of the series; 0 is background.
        affine: (4, 4) affine, voxel index -> RAS+ mm.
        labels: value of each label by name; a value without a name becomes "label_<value>".
        series: folder of the DICOM series that the label map was made on.
        weights: fingerprint of the network's weights, for the description of how the regions were made.

    Raises:
        InputError: see `LabelledSeries.read`.
    """
    labelled = LabelledSeries.read(label_map, affine, labels, series)
    dataset = _structure_set(labelled)
    made_by = f"protoseg {protoseg.__version__}" + f", weights {weights}" * bool(weights)
    regions = list(labelled.labels.items())
    dataset.StructureSetROISequence = [_region(name, value, made_by, labelled) for name, value in regions]
    dataset.ROIContourSequence = [_drawn(name, value, labelled) for name, value in regions]
    dataset.RTROIObservationsSequence = [_observation(name, value) for name, value in regions]
    with replacing(path) as unfinished:
        dataset.save_as(unfinished, write_like_original=False)


def _structure_set(labelled: LabelledSeries) -> FileDataset:
    """Make the structure set without its regions."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = RTStructureSetStorage, generate_uid()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian  # an explicit one bounds a contour to 64 KiB
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, True
    dataset.SpecificCharacterSet = UTF_8
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    first = labelled.headers[0]
    for key in (*PATIENT, *STUDY):
        setattr(dataset, key, first[key].value)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = first.StudyInstanceUID, generate_uid()
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "RTSTRUCT", SERIES_NUMBER, 1
    dataset.SeriesDescription, dataset.OperatorsName = "protoseg structures", ""
    dataset.Manufacturer = dataset.ManufacturerModelName = "protoseg"
    dataset.SoftwareVersions = protoseg.__version__
    dataset.FrameOfReferenceUID = labelled.frame_of_reference
    dataset.PositionReferenceIndicator = first.get("PositionReferenceIndicator") or ""
    now = datetime.now()
    dataset.StructureSetLabel = dataset.StructureSetName = "protoseg"
    dataset.StructureSetDate = dataset.SeriesDate = dataset.InstanceCreationDate = now.strftime("%Y%m%d")
    dataset.StructureSetTime = dataset.SeriesTime = dataset.InstanceCreationTime = now.strftime("%H%M%S.%f")
    dataset.ApprovalStatus = "UNAPPROVED"
    dataset.ReferencedFrameOfReferenceSequence = [_referenced(labelled)]
    return dataset


def _referenced(labelled: LabelledSeries) -> Dataset:
    """Describe the frame of reference with the study, the series and its slices."""
    first = labelled.headers[0]
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = first.SeriesInstanceUID
    series.ContourImageSequence = [_reference(header) for header in labelled.headers]
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = STUDY_COMPONENT, first.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = labelled.frame_of_reference, [study]
    return frame


def _reference(header: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return reference


def _region(name: str, value: int, made_by: str, labelled: LabelledSeries) -> Dataset:
    region = Dataset()
    region.ROINumber, region.ROIName = value, name
    region.ReferencedFrameOfReferenceUID = labelled.frame_of_reference
    region.ROIGenerationAlgorithm = "SEMIAUTOMATIC"  # a person has labelled the support
    region.ROIGenerationDescription = made_by
    return region


def _drawn(name: str, value: int, labelled: LabelledSeries) -> Dataset:
    drawn = Dataset()
    drawn.ReferencedROINumber, drawn.ROIDisplayColor = value, list(label_color(name, value))
    contours: list[Dataset] = []
    columns, rows, slices = box = labelled.boxes[value]
    corner = np.array([columns.start, rows.start])
    mask = labelled.label_map[box] == value
    for plane, header in zip(np.moveaxis(mask, 2, 0), labelled.headers[slices]):
        for points in mask_contours(plane):
            contours.append(_contour(_in_patient(points + corner, header), header, len(contours) + 1))
    drawn.ContourSequence = contours
    return drawn


def _in_patient(points: NDArray[np.float64], header: Dataset) -> NDArray[np.float64]:
    """Convert pixel indices (N, 2) of a slice to LPS mm (N, 3)."""
    origin = np.array(header.ImagePositionPatient, float)
    along_row, along_column = np.reshape(header.ImageOrientationPatient, (2, 3)).astype(float)
    row_spacing, column_spacing = map(float, header.PixelSpacing)
    x, y = points.T[..., None]
    places: NDArray[np.float64] = origin + x * column_spacing * along_row + y * row_spacing * along_column
    return places


def _contour(places: NDArray[np.float64], header: Dataset, number: int) -> Dataset:
    contour = Dataset()
    contour.ContourImageSequence = [_reference(header)]
    contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(places)
    contour.ContourNumber = number
    # As in the file: pydicom would check each number, which takes longer than everything else together.
    text = "\\".join(f"{value:.4f}" for value in places.ravel())
    contour.add(DataElement(CONTOUR_DATA, "DS", text, already_converted=True))
    return contour


def _observation(name: str, value: int) -> Dataset:
    observation = Dataset()
    observation.ObservationNumber = observation.ReferencedROINumber = value
    observation.ROIObservationLabel = name[:LONGEST_LABEL].strip()
    observation.RTROIInterpretedType = observation.ROIInterpreter = ""
    code = Dataset()
    value_and_meaning = anatomy_codes(name).type
    code.CodeValue, code.CodeMeaning = value_and_meaning
    code.CodingSchemeDesignator = "SCT"
    observation.RTROIIdentificationCodeSequence = [code]
    return observation
