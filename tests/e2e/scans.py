"""The scans that scripts/serve --orthanc serves, what is true of them, and what the DICOM server holds."""

import io

import numpy as np
import pydicom
import requests
from monai.transforms import Orientation
from pydicom.uid import generate_uid
from scipy import ndimage

from protoseg.data.io.volumes import LPS_TO_RAS, read_labels
from protoseg.data.preprocessing.meta_tensors import meta_tensor
from protoseg.synthesis.anatomy import ABDOMEN_LABELS

__all__ = [
    "LABELLED",
    "dice",
    "ground_truth",
    "middle",
    "newest_segmentation",
    "series_of",
    "write_second_series",
]

LABELLED = ("liver", "spleen", "right_kidney", "left_kidney")  # in the scan that scripts/serve submits


def ground_truth(chain, patient, organ):
    """The organ as drawn, bool (Z, Y, X), and the affine from its index (x, y, z) to LPS mm."""
    labels = Orientation("LPS", labels=None)(meta_tensor(read_labels(chain.folder / f"data/labels/{patient}.nii.gz")))
    return (labels[0].numpy() == ABDOMEN_LABELS[organ]).T, LPS_TO_RAS @ labels.affine.numpy()


def middle(mask, affine):
    """A point (mm, LPS) deep inside a mask, in the slice where it is largest."""
    z = int(mask.sum((1, 2)).argmax())
    y, x = np.unravel_index(ndimage.distance_transform_edt(mask[z]).argmax(), mask[z].shape)
    return (affine @ [x, y, z, 1])[:3]


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def series_of(chain, patient):
    found = requests.post(f"{chain.orthanc}/tools/find", json={"Level": "Series", "Query": {"PatientID": patient}})
    series = [requests.get(f"{chain.orthanc}/series/{s}").json() for s in found.json()]
    return [s for s in series if s["MainDicomTags"]["Modality"] in ("CT", "SEG")]


def newest_segmentation(chain, patient):
    segmentations = [s for s in series_of(chain, patient) if s["MainDicomTags"]["Modality"] == "SEG"]
    instance = max(segmentations, key=lambda s: s["LastUpdate"])["Instances"][0]
    return pydicom.dcmread(io.BytesIO(requests.get(f"{chain.orthanc}/instances/{instance}/file").content))


def write_second_series(chain, patient):
    """Add every other slice of a patient's scan to the study, from the third, as another series; give its name."""
    series = generate_uid(entropy_srcs=["second", patient])
    for number, file in enumerate(sorted((chain.folder / "dicom" / patient).glob("*.dcm"))[2::2], start=1):
        dataset = pydicom.dcmread(file)
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[series, str(number)])
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.SeriesInstanceUID, dataset.SeriesNumber, dataset.SeriesDescription = series, 2, "Second"
        dataset.InstanceNumber = number
        dataset.SliceThickness = dataset.SpacingBetweenSlices = 2 * dataset.SliceThickness
        content = io.BytesIO()
        dataset.save_as(content)
        requests.post(f"{chain.orthanc}/instances", data=content.getvalue(), timeout=60).raise_for_status()
    return series
