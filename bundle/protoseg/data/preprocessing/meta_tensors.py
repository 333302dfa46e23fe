"""Volumes as MONAI's transforms take them."""

from __future__ import annotations

from typing import Any

from monai.data import MetaTensor

from protoseg.ops.volume import Volume

__all__ = ["meta_tensor"]


def meta_tensor(volume: Volume, *, traced: MetaTensor | None = None) -> MetaTensor:
    """Make a `MetaTensor` of a volume, whose voxels are shared.

    Args:
        volume: volume with voxels, affine and metadata.
        traced: `MetaTensor` that the volume was made of, whose applied transforms are kept.
    """
    applied: list[Any] = [] if traced is None else list(traced.applied_operations)
    meta = dict(volume.meta)  # the tensor puts its affine in there
    return MetaTensor(volume.as_tensor(), affine=volume.affine, meta=meta, applied_operations=applied)
