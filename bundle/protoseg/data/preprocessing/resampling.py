"""Resampling to pixels as wide as they are high, so that the network sees anatomy in its true proportions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F

from protoseg.errors import InputError
from protoseg.ops.volume import Volume

__all__ = ["Mode", "resample", "square_size"]

SQUARE = 1.01  # largest ratio of the two spacings of pixels that count as square
LARGEST_EDGE = 2**15  # pixels of a slice; a damaged header could ask for more

Mode = Literal["bilinear", "nearest"]
# torch's "nearest" takes the corner of a pixel, not its center: labels would move by half a pixel.
TORCH_MODES = {"bilinear": "trilinear", "nearest": "nearest-exact"}


def square_size(image: Volume) -> tuple[int, ...]:
    """Give the voxels along X, Y, Z of an image (C, X, Y, Z) at the smaller of the spacings of X and Y.

    An image whose two spacings agree within 1 % keeps its voxels.

    Raises:
        InputError: one spacing is so small beside the other that a slice would have more than 32768 pixels an edge.
    """
    width, height, depth = image.shape[1:]
    x, y = np.linalg.norm(image.affine.cpu().numpy()[:3, :2], axis=0)
    finest = min(x, y)
    if max(x, y) <= SQUARE * finest:
        return width, height, depth
    size = round(width * x / finest), round(height * y / finest)
    if max(size) > max(LARGEST_EDGE, width, height):
        raise InputError(
            f"{image.meta.get('filename_or_obj', 'The image')}: its pixels are {x:g} x {y:g} mm large; square ones of "
            f"{finest:g} mm would be {size[0]} x {size[1]} a slice. Export the image again with its geometry."
        )
    return *size, depth


def resample(image: Volume, size: Sequence[int], mode: Mode) -> Volume:
    """Resample an image (C, X, Y, Z) to `size` voxels along X, Y, Z, in a copy; equal to MONAI's `Resize`.

    The type is kept, except that interpolated integers become float32.
    """
    before, after = tuple(image.shape[1:]), tuple(size)
    dtype = image.dtype if mode == "nearest" or image.dtype.is_floating_point else torch.float32
    if before == after:
        return Volume.at(image.as_tensor().to(dtype, copy=True), image.affine, image.meta)
    voxels = F.interpolate(image.as_tensor().float()[None], size=after, mode=TORCH_MODES[mode])[0].to(dtype)
    scale = np.diag([*(old / new for old, new in zip(before, after)), 1.0])
    scale[:3, 3] = (np.diag(scale)[:3] - 1) / 2  # centers stay where they are
    return Volume.at(voxels, np.asarray(image.affine, float) @ scale, image.meta)
