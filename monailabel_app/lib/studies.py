"""The datastore's final labels as labelled scans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.datastore import DefaultLabelTag

from lib.library.record import Record, study_id
from lib.server.folder_datastore import FolderDatastore
from lib.server.segmentation_objects import legend_of
from protoseg.data.support.library import LabelledScan

__all__ = ["FinalLabel", "final_labels", "series_kind_of", "state_folder"]


@dataclass(frozen=True)
class FinalLabel:
    """The label by which a study is an example."""

    id: str  # of the example
    version: str  # new for each submitted label
    scan: LabelledScan
    info: Mapping[str, Any]  # info of the datastore


def state_folder(datastore: LocalDatastore) -> Path:
    """Give the app's folder of state about these studies, hidden, so that no file there is taken for a scan."""
    return Path(datastore._datastore_path) / ".protoseg"


def series_kind_of(datastore: LocalDatastore, image: str) -> str:
    """Tell the kind of an image's series, see `series_kind`; empty if unknown."""
    return datastore.series_kind(image) if isinstance(datastore, FolderDatastore) else ""


def final_labels(
    datastore: LocalDatastore, label_names: Mapping[str, str] | None = None, record: Record | None = None
) -> list[FinalLabel]:
    """List final labels, sorted by the names of their studies.

    Args:
        datastore: datastore of the studies.
        label_names: label names by value, for label maps that came without names.
        record: record of what is switched off or removed; None for nothing.
    """
    record = record or Record()
    tag = DefaultLabelTag.FINAL.value
    found = []
    for image in sorted(datastore.get_labeled_images()):
        # By the class, because on a DICOM server each of these would ask for the labels once more.
        label = LocalDatastore.get_label_uri(datastore, image, tag)
        path = LocalDatastore.get_image_uri(datastore, image)
        info = datastore.get_label_info(image, tag)
        if not label or not path:  # removed since it was listed
            continue
        example, version = study_id(image), _version(info)
        if record.is_passed_over(example, version):
            continue
        enabled, kind = record.is_enabled(example, version), series_kind_of(datastore, image)
        weight = record.weight(example, version)
        scan = LabelledScan(image, path, label, legend_of(info) or label_names, enabled, kind, weight)
        found.append(FinalLabel(example, version, scan, info))
    return found


def _version(info: Mapping[str, Any]) -> str:
    # On a DICOM server, that of the segmentation, which another download does not change.
    return str(info.get("SeriesInstanceUID") or info.get("version") or "file")
