"""A folder with one mask a structure, named after it, as TotalSegmentator writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from protoseg.data.io.label_sources.masks import NamedLabels, NamedMask, combine_masks
from protoseg.errors import InputError

__all__ = ["read_mask_folder"]

MOST_VALUES = 5  # in a message


def read_mask_folder(folder: Path, files: Mapping[str, Path], read: Callable[[Path], NamedLabels]) -> NamedLabels:
    """Read the masks of a folder as one label map; their values are their ranks in alphabetical order, from 1.

    Args:
        folder: folder, for messages.
        files: path of each mask by name, at least one.
        read: function that reads voxels (1, X, Y, Z) and affine of a file.

    Raises:
        InputError: a file holds several labels, or is on another grid than the first.
    """
    names = sorted(files)
    first = read(files[names[0]])

    def masks() -> Iterator[NamedMask]:
        for value, name in enumerate(names, start=1):
            grid = first if value == 1 else read(files[name])
            same = grid.voxels.shape == first.voxels.shape and np.allclose(grid.affine, first.affine, atol=1e-3)
            if not same:
                raise InputError(
                    f"{files[name]} lies on another grid than {files[names[0]]}, expected the masks of one scan. Keep "
                    "the masks of one scan in a folder."
                )
            present = np.unique(grid.voxels)
            if len(present) > 2 or (len(present) == 2 and present[0] != 0):
                found = ", ".join(f"{number:g}" for number in present[:MOST_VALUES])
                raise InputError(
                    f"{files[name]} holds the values {found}{' ...' if len(present) > MOST_VALUES else ''}, expected a "
                    "mask: a folder of labels holds one mask a structure, named after it. Give a label map of several "
                    "labels as a file, and keep other images in another folder."
                )
            yield NamedMask(name, value, grid.voxels[0] > 0)

    label_map = combine_masks(masks(), folder)
    present = set(np.unique(label_map).tolist())
    labels = {name: value for value, name in enumerate(names, start=1) if value in present}
    return NamedLabels(label_map[None], first.affine, labels, first.kind, first.details)
