"""A scan prepared for the engine, and the way back to its own voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protoseg.data.io.source_grid import SourceGrid
from protoseg.data.preprocessing.orientation import SLICE_AXES
from protoseg.data.preprocessing.steps import ScanTransform
from protoseg.engine.slice_axes import SliceAxes
from protoseg.errors import input_errors_unwrapped
from protoseg.files import PathLike
from protoseg.ops.volume import Volume

__all__ = ["PreparedScan", "prepare_scan"]


@dataclass(frozen=True)
class PreparedScan:
    """A scan, prepared for the engine."""

    image: Volume  # C x X x Y x Z, slices along Z
    source: Volume  # without voxels: affine and metadata of the file as read
    grid: SourceGrid

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes."""
        return self.image.nbytes


def prepare_scan(image: PathLike | Volume, preprocessing: ScanTransform, axes: SliceAxes | None = None) -> PreparedScan:
    """Read and preprocess a scan.

    Args:
        image: volume, picture or DICOM folder, or a `Volume` read from one.
        preprocessing: preprocessing, whose first transform reads the image.
        axes: directions that its slices must follow; None for those of the plane in which it was acquired.

    Raises:
        InputError: as in reading.
    """
    read, *others = preprocessing.transforms
    with input_errors_unwrapped():
        cases = [{**read({"image": image}), SLICE_AXES: axes}]
        source = Volume.of(cases[0]["image"])
        shape, source = tuple(source.shape[1:]), Volume.at(source.as_tensor()[:0].clone(), source.affine, source.meta)
        for transform in others:
            cases.append(transform(cases.pop()))  # the only reference to the case: no scan is kept beside the next
    prepared = Volume.of(cases[0]["image"])
    grid = SourceGrid(
        shape=shape,
        affine=np.asarray(source.affine, float),
        volume_shape=tuple(prepared.shape[1:]),
        volume_affine=np.asarray(prepared.affine, float),
    )
    return PreparedScan(prepared, source, grid)
