"""BTCV, the Synapse multi-atlas abdomen CT (synapse.org, syn3193805), as distributed.

RawData/Training/img/img0001.nii.gz
RawData/Training/label/label0001.nii.gz
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from protoseg.data.io.grids import align_labels
from protoseg.data.io.volumes import query_id, read_image, read_labels
from protoseg.data.preparation.folds import in_folds
from protoseg.data.preparation.geometry import PublishedCT
from protoseg.data.preparation.scans import DataSet, LabelledScan, SourceScan, natural_order
from protoseg.errors import InputError

__all__ = ["BTCV_LABELS", "find_btcv"]

BTCV_LABELS = {
    "spleen": 1,
    "right_kidney": 2,
    "left_kidney": 3,
    "gallbladder": 4,
    "oesophagus": 5,
    "liver": 6,
    "stomach": 7,
    "aorta": 8,
    "inferior_vena_cava": 9,
    "portal_and_splenic_vein": 10,
    "pancreas": 11,
    "right_adrenal_gland": 12,
    "left_adrenal_gland": 13,
}


def find_btcv(source: Path, *, size: int = 256, border: int = 32) -> DataSet:
    """Find the labelled scans.

    Args:
        source: folder that holds RawData.
        size: edge of the prepared slices in pixels; 256 and 672 are published.
        border: number of pixels cropped at each side of a slice.

    Raises:
        InputError: a folder is missing, or a scan has no label file.
    """
    folder = source / "RawData" / "Training"
    images = natural_order((folder / "img").glob("img*.nii*"))
    if not images:
        raise InputError(
            f"{source}: found no scans, expected RawData/Training/img/img0001.nii.gz and so on. "
            "Give the folder that holds RawData."
        )
    labels = {query_id(path): path for path in (folder / "label").glob("label*.nii*")}
    scans = []
    for image in images:
        name = query_id(image)
        label = labels.get(name.replace("img", "label", 1))
        if label is None:
            raise InputError(
                f"{image} has no label file {name.replace('img', 'label', 1)}.nii.gz in {folder / 'label'}. "
                "Unpack the data set again."
            )
        scans.append(SourceScan(name, image, label))
    geometry = PublishedCT(size, border)
    return DataSet("BTCV", source, "ct", BTCV_LABELS, scans, _read, in_folds, geometry, asdict(geometry))


def _read(scan: SourceScan) -> LabelledScan:
    assert scan.label is not None
    image = read_image(scan.image)
    return LabelledScan(image, align_labels(read_labels(scan.label), image))
