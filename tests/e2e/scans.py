"""The scans that scripts/serve --orthanc serves, what is true of them, and what the DICOM server holds."""

import io

import numpy as np
import pydicom
import requests
from monai.transforms import Orientation
from scipy import ndimage

from protoseg.data.io.volumes import LPS_TO_RAS, read_labels
from protoseg.data.preprocessing.meta_tensors import meta_tensor
from protoseg.synthesis.anatomy import ABDOMEN_LABELS

__all__ = ["LABELLED", "dice", "ground_truth", "middle", "newest_segmentation", "series_of"]

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
