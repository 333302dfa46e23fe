"""The datastore's final labels as labelled scans."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.datastore import DefaultLabelTag

from lib.server.segmentation_objects import named_values
from protoseg.data.support.library import LabelledScan
from protoseg.errors import InputError

__all__ = ["labelled_scans", "legend_of", "state_folder"]

logger = logging.getLogger(__name__)


def state_folder(datastore: LocalDatastore) -> Path:
    """Where the app keeps what it knows about these studies; hidden, so that no file there is taken for a scan."""
    return Path(datastore._datastore_path) / ".protoseg"


def labelled_scans(datastore: LocalDatastore, label_names: Mapping[str, str] | None = None) -> list[LabelledScan]:
    """Scans with a final label, sorted by name.

    Args:
        datastore: of the studies.
        label_names: value -> name, of label maps that came without names.
    """
    tag = DefaultLabelTag.FINAL.value
    scans = []
    for image in sorted(datastore.get_labeled_images()):
        # By the class, because on a DICOM server each of these would ask for the labels once more.
        label = LocalDatastore.get_label_uri(datastore, image, tag)
        path = LocalDatastore.get_image_uri(datastore, image)
        legend = legend_of(datastore.get_label_info(image, tag)) or label_names
        scans.append(LabelledScan(image, path, label, legend))
    return scans


def legend_of(info: Mapping[str, Any]) -> dict[str, str] | None:
    """Names by value from what a client said when it submitted a label; None when it said nothing of use.

    Slicer sends `label_info: [{"name": "liver", "idx": 2}]`, where idx is the value in the file it sent along.
    """
    try:
        named = named_values(info.get("label_info"))
    except InputError as error:
        logger.warning("The names of a label are not used. %s", error)
        return None
    legend = {str(value): entry["name"] for value, entry in named.items() if entry["name"] != "background"}
    return legend or None
