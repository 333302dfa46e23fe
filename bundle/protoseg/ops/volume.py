"""Voxels that know where they are, without MONAI: read from files, and segmented by the engine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

__all__ = ["Placed", "Volume", "spacing_of", "volume_ml"]


@runtime_checkable
class Placed(Protocol):
    """A tensor (C, X, Y, Z) with an affine and metadata: a `Volume`, or MONAI's `MetaTensor`."""

    @property
    def affine(self) -> Any:
        """Voxel index -> RAS+ mm, 4 x 4."""

    @property
    def meta(self) -> Any:
        """Further metadata of its file."""


class Volume(Tensor):
    """Voxels (C, X, Y, Z), the affine from a voxel index to RAS+ mm, and metadata.

    Arithmetic on it gives plain tensors: whether a result is still at the same place only the caller knows. It stays
    small, whereas MONAI's `MetaTensor` follows every operation, needs MONAI imported, and costs milliseconds a call.

    Example::

        volume = Volume.at(torch.zeros(1, 512, 512, 90), np.diag([-0.8, -0.8, 5, 1]), {"kind": "volume"})
        type(volume + 1)  # torch.Tensor
    """

    affine: Tensor  # 4 x 4 float64
    meta: dict[str, Any]

    @classmethod
    def at(cls, voxels: Tensor, affine: Any, meta: Mapping[str, Any]) -> Self:
        """Make a volume of voxels, which are shared, an affine, and metadata."""
        volume = voxels.as_subclass(cls)
        volume.affine = torch.as_tensor(affine, dtype=torch.float64)
        volume.meta = {key: value for key, value in meta.items() if key != "affine"}
        return volume

    @classmethod
    def of(cls, image: Any) -> Self:
        """Make a volume of a `Placed` tensor, whose voxels are shared; a `Volume` is returned as it is."""
        return image if isinstance(image, cls) else cls.at(image.as_tensor(), image.affine, image.meta)

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Compute as with plain tensors."""
        with torch._C.DisableTorchFunctionSubclass():  # as in PyTorch's notes on extending it
            return func(*args, **kwargs or {})

    def as_tensor(self) -> Tensor:
        """Give the voxels alone, as a plain tensor that shares them."""
        return self.as_subclass(Tensor)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.at(self.as_tensor().clone(), self.affine.clone(), copy.deepcopy(self.meta, memo))


def spacing_of(affine: Tensor) -> Tensor:
    """Compute the size of a voxel in mm along X, Y, Z from an affine (4 x 4)."""
    columns = affine[:3, :3].double()
    return (columns * columns).sum(0).sqrt()


def volume_ml(mask: Tensor, affine: Tensor) -> float:
    """Compute the volume of a mask in milliliters, on a grid whose affine is in mm."""
    return float(mask.sum()) * abs(float(torch.linalg.det(affine[:3, :3].double()))) / 1000
