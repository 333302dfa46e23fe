"""A volume as a DICOM series, one file a slice, as a scanner would send it."""

from pathlib import Path
from typing import cast

import numpy as np
from monai.data import MetaTensor
from monai.transforms import Orientation
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from protoseg.data.io.dicom import LPS_TO_RAS
from protoseg.data.io.volumes import read_image
from protoseg.data.preprocessing.meta_tensors import meta_tensor
from protoseg.errors import InputError
from protoseg.files import PathLike, replacing

__all__ = ["write_series"]

STORAGE = {"CT": CTImageStorage, "MR": MRImageStorage}
WINDOWS = {"CT": (40, 400), "MR": (500, 1000)}  # center and width that a viewer opens with; HU for CT
DATE = "20000101"  # a synthetic person has no date of examination, but DICOM requires one
SKEW_TOLERANCE = 1e-3  # cosine between two axes


def write_series(folder: PathLike, image: PathLike, *, patient: str, modality: str = "CT") -> str:
    """Write `<folder>/0001.dcm` and so on, feet first, and return the SeriesInstanceUID.

    Voxels become int16: CT in HU, MR the signal rounded. The slices are axial, rows to the patient's left and
    columns to the back (LPS). All UIDs follow from the patient's name and the modality, so that the same scan
    exported twice is one series.

    Raises:
        InputError: the image cannot be read, is a color picture, is sheared, has voxels beyond int16, or the
            modality is neither CT nor MR.
    """
    if modality not in STORAGE:
        raise InputError(f"The modality is {modality!r}, expected one of {', '.join(STORAGE)}.")
    volume = cast(MetaTensor, Orientation("LPS", labels=None)(meta_tensor(read_image(image))))
    if len(volume) > 1:
        raise InputError(f"{image} is a color picture, expected a volume with one value a voxel.")
    voxels = np.round(volume[0].numpy())
    limits = np.iinfo(np.int16)
    if voxels.min() < limits.min or voxels.max() > limits.max:
        raise InputError(
            f"{image}: the intensities run from {voxels.min():g} to {voxels.max():g}, expected {limits.min} to "
            f"{limits.max}. Rescale them and save the image again."
        )
    affine = LPS_TO_RAS @ volume.affine.numpy()
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    axes = affine[:3, :3] / spacing
    if np.abs(axes.T @ axes - np.eye(3)).max() > SKEW_TOLERANCE:
        raise InputError(f"{image}: its axes are not at right angles, expected a volume that was not sheared.")

    folder = Path(folder)
    series = _uid(patient, modality, "series")
    for index, pixels in enumerate(voxels.astype("<i2").T):  # Z x rows x columns
        dataset = _slice_of(patient, modality, index)
        dataset.ImageOrientationPatient = [_decimal(c) for c in (*axes[:, 0], *axes[:, 1])]
        dataset.ImagePositionPatient = [_decimal(c) for c in affine[:3, 3] + index * affine[:3, 2]]
        dataset.PixelSpacing = [_decimal(spacing[1]), _decimal(spacing[0])]
        dataset.SliceThickness = dataset.SpacingBetweenSlices = _decimal(spacing[2])
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
        with replacing(folder / f"{index + 1:04d}.dcm") as unfinished:
            dataset.save_as(unfinished, write_like_original=False)
    return series


def _slice_of(patient: str, modality: str, index: int) -> FileDataset:
    """Make the data set of one slice, except its pixels and their place."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = STORAGE[modality]
    meta.MediaStorageSOPInstanceUID = _uid(patient, modality, str(index))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.PatientName = dataset.PatientID = patient
    dataset.PatientBirthDate = dataset.PatientSex = dataset.ReferringPhysicianName = ""
    dataset.StudyInstanceUID, dataset.StudyID = _uid(patient, modality, "study"), "1"
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = DATE, "000000", ""
    dataset.StudyDescription = dataset.SeriesDescription = f"Abdomen {modality}"
    dataset.SeriesInstanceUID, dataset.SeriesNumber = _uid(patient, modality, "series"), 1
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = _uid(patient, modality, "frame"), ""
    dataset.Modality, dataset.Manufacturer = modality, "protoseg"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.InstanceNumber = index + 1
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.WindowCenter, dataset.WindowWidth = WINDOWS[modality]
    if modality == "CT":
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "HU"
        dataset.KVP = "120"
    return dataset


def _uid(*of: str) -> UID:
    return generate_uid(entropy_srcs=["protoseg", *of])


def _decimal(value: float) -> str:
    """Format a DICOM decimal string: 16 characters at most."""
    return f"{value:.6f}"
