"""Labels of an image that somebody accepted, which further clicks correct."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lib.context import Context
from lib.server.folder_datastore import FolderDatastore
from lib.server.label_versions import read_version
from lib.server.segmentation_objects import legend_of
from protoseg.data.io.source_grid import SourceGrid
from protoseg.errors import InputError

__all__ = ["accepted_label"]


def accepted_label(context: Context, image: str, version: object, name: str, grid: SourceGrid) -> NDArray[np.uint8]:
    """Read one label of a version of an image's label map.

    Args:
        context: context of the app.
        image: name of the image that is clicked on.
        version: version as named by a client, see `/sessions/submits`.
        name: name of the label.
        grid: grid of the image.

    Returns:
        (S, H, W) mask on the slices that are clicked on, 1 inside.

    Raises:
        InputError: the image has no such version, or that one has no such label.
    """
    datastore = context.datastore
    assert isinstance(datastore, FolderDatastore)
    label = datastore.label_version(image, version) if isinstance(version, str) and version else None
    if label is None:
        raise InputError(
            f"corrects is {version!r}, expected a version of the label of {image}. GET /sessions/submits lists them."
        )
    names = legend_of(label.info) or context.options.label_names or {}
    values = [int(value) for value, one in names.items() if one == name]
    drawn = read_version(label)
    if not values or drawn.shape != grid.shape:
        raise InputError(f"The version {version} of the label of {image} has no '{name}' to correct.")
    return grid.slices(np.isin(drawn, values).astype(np.uint8))
