"""Three labels, of which two overlap, on an oblique grid."""

from pathlib import Path

import nibabel
import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from protoseg.data.io.grids import align_labels, parse_label_names
from protoseg.data.io.volumes import read_image, read_labels

SHAPE = (16, 18, 6)


AFFINE = np.array([[-2.0, 0, 0, 40], [0, -1.6, -1.5, 30], [0, -1.2, 2.0, -20], [0, 0, 0, 1]])  # oblique, mm


def boxes() -> dict[str, np.ndarray]:
    """Liver, with a tumor in it, and a kidney; slices 0 and 5 are empty, and so is slice 3 for the kidney."""
    masks = {name: np.zeros(SHAPE, bool) for name in ("liver", "tumor", "kidney")}
    masks["liver"][2:9, 3:12, 1:5] = True
    masks["tumor"][4:6, 5:9, 2:4] = True
    masks["kidney"][11:14, 4:8, [1, 2, 4]] = True
    return masks


def label_map() -> np.ndarray:
    """Liver 1, tumor 2, kidney 3, the tumor over the liver."""
    masks = boxes()
    return np.select([masks["tumor"], masks["liver"], masks["kidney"]], [2, 1, 3]).astype(np.int16)


NAMES = {"liver": 1, "tumor": 2, "kidney": 3}


OVERLAP = "{}: structures overlap, and a voxel counts for the smallest of them: tumor over liver (16 voxels)."


def check(path: Path, image: Path, names: dict[str, int] = NAMES) -> None:
    """The labels lie on the image as they were drawn, and have their names."""
    scan = read_image(image)
    labels = align_labels(read_labels(path, scan), scan)
    own = labels.meta["label_names"]
    assert own.keys() == names.keys()
    assert parse_label_names(None, labels, str(path)) == own
    turned = nibabel.as_closest_canonical(nibabel.Nifti1Image(labels[0].numpy(), labels.affine.numpy()))
    drawn = nibabel.as_closest_canonical(nibabel.Nifti1Image(label_map(), AFFINE))
    for name, value in own.items():
        np.testing.assert_array_equal(np.asarray(turned.dataobj) == value, np.asarray(drawn.dataobj) == NAMES[name])


def outline(mask: np.ndarray, index: int) -> list[np.ndarray]:
    """Corners of the rectangle of a slice, a third of a voxel outside the centers: none falls on a center."""
    x, y = (np.flatnonzero(mask[..., index].any(axis=axis)) for axis in (1, 0))
    if not len(x):
        return []
    low, high = (x[0] - 0.33, y[0] - 0.33), (x[-1] + 0.33, y[-1] + 0.33)
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    return [np.array([(*corner, index) for corner in corners])]


def rtstruct(
    path: Path, contours: dict[str, list[np.ndarray]], kind: str = "CLOSED_PLANAR", leave_out: str = ""
) -> Path:
    """Write a structure set of contours in voxel indices (N, 3)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = RTStructureSetStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.Modality = "RTSTRUCT"
    rois, drawn = [], []
    for number, (name, points) in enumerate(contours.items(), start=7):
        roi, sequence = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, sequence.ReferencedROINumber = number, name, number
        sequence.ContourSequence = Sequence()
        for each in points:
            lps = (each @ AFFINE[:3, :3].T + AFFINE[:3, 3]) * [-1, -1, 1]
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(each)
            contour.ContourData = [f"{value:.4f}" for value in lps.ravel()]
            sequence.ContourSequence.append(contour)
        rois.append(roi)
        drawn.append(sequence)
    dataset.StructureSetROISequence, dataset.ROIContourSequence = Sequence(rois), Sequence(drawn)
    if leave_out:
        delattr(dataset, leave_out)
    dataset.save_as(path)
    return path


def drawn() -> dict[str, list[np.ndarray]]:
    return {name: [c for index in range(6) for c in outline(mask, index)] for name, mask in boxes().items()}
