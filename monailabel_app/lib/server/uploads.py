"""Checks of uploads: names that stay in their folder, images and label maps that can be read."""

import re
from pathlib import Path

import numpy as np

from lib.server.unpacked_sizes import check_unpacked_image
from protoseg.data.io.grids import same_grid
from protoseg.data.io.volumes import read_image, read_labels
from protoseg.engine.slice_axes import is_oriented
from protoseg.errors import InputError
from protoseg.files import PathLike
from protoseg.ops.volume import Volume

__all__ = ["check_image", "check_label_map", "check_name"]

NAME = re.compile(r"[\w +@#%=,~()\[\]-][\w .+@#%=,~()\[\]-]{0,127}")  # no separator, no dot in front


def check_name(name: str, *, of: str) -> None:
    """Raise `InputError` unless the name can be a file's name in whatever folder it is put."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"The {of} is named {name[:140]!r}, expected up to 128 letters, digits, spaces or any of .-_+@#%=,~()[], "
            "and no dot in front. Give it another name."
        )


def check_image(path: PathLike) -> Volume:
    """Read an image that a client sent; `InputError`, by the file's name alone, if that cannot be done."""
    check_unpacked_image(Path(path))
    try:
        return read_image(path)
    except InputError as error:
        raise InputError(_without_folder(str(error), Path(path))) from error


def check_label_map(path: PathLike, image: PathLike, *, empty: bool) -> np.ndarray:
    """Read a label map (X, Y, Z) that a client sent for an image.

    Raises:
        InputError: it cannot be read, is not on the image's grid, holds a value above 255, or nothing is labelled
            although `empty` is False.
    """
    path = Path(path)
    check_unpacked_image(path)
    try:
        labels, scan = read_labels(path), read_image(image)
    except InputError as error:
        raise InputError(_without_folder(str(error), path)) from error
    if labels.shape[1:] != scan.shape[1:]:
        raise InputError(
            f"The label map has {_times(labels)} voxels, expected the image's {_times(scan)}. Export it on the "
            "image's own grid."
        )
    if is_oriented(scan) and not same_grid(labels, scan):
        raise InputError(
            f"The label map lies elsewhere than the image: its affine is {labels.affine.numpy().round(3).tolist()}, "
            f"the image's {scan.affine.numpy().round(3).tolist()}. Export it on the image's own grid."
        )
    if labels.max() > 255:
        raise InputError(f"The label map holds the value {int(labels.max())}, expected at most 255. Renumber it.")
    if not empty and not labels.any():
        raise InputError("The label map is empty: no voxel is labelled. Label something before you submit.")
    return labels[0].numpy()


def _times(volume: Volume) -> str:
    return " x ".join(map(str, volume.shape[1:]))


def _without_folder(message: str, path: Path) -> str:
    """Hide the server's folders from clients."""
    return message.replace(f"{path.parent}/", "")
