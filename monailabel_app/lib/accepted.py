"""Labels of an image that somebody accepted, which further clicks correct."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lib.context import Context
from lib.server.folder_datastore import FolderDatastore
from lib.server.label_versions import names_of, read_version
from protoseg.data.io.source_grid import SourceGrid
from protoseg.errors import InputError
from protoseg.labels import LARGEST_VALUE

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
    names = names_of(label, map(str, range(1, LARGEST_VALUE + 1)), context.options.label_names)
    mask = np.isin(read_version(label), [int(value) for value, one in names.items() if one == name])
    if mask.shape != grid.shape or not mask.any():
        raise InputError(f"The version {version} of the label of {image} has no '{name}' to correct.")
    return grid.slices(mask.astype(np.uint8))
