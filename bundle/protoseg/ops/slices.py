"""Volumes to axial slices of the network's size, and maps of that size back to the volume's grid."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from protoseg.errors import InputError

__all__ = [
    "axial_slices",
    "fit_slices",
    "neighbour_indices",
    "neighbours",
    "network_input",
    "three_channels",
    "turn_slices",
    "unfit_slices",
    "volume_from_slices",
]

Interpolation = Literal["bilinear", "nearest"]


def axial_slices(volume: Tensor) -> Tensor:
    """Turn a volume (C, X, Y, Z) into its axial slices (S=Z, C, H=Y, W=X), without metadata."""
    return torch.as_tensor(volume).as_subclass(Tensor).permute(3, 0, 2, 1)


def volume_from_slices(slices: Tensor) -> Tensor:
    """Turn axial slices (S, C, H, W) back into a volume (C, X=W, Y=H, Z=S)."""
    return slices.permute(1, 3, 2, 0)


def turn_slices(slices: Tensor, turns: int) -> Tensor:
    """Turn slices (..., H, W) in their plane by quarter turns counterclockwise; by none, they are not copied."""
    return torch.rot90(slices, turns, (-2, -1)) if turns % 4 else slices


def fit_slices(slices: Tensor, size: int, mode: Interpolation = "bilinear") -> Tensor:
    """Pad slices in-plane to a centered square and resize it to the network's size.

    Args:
        slices: (S, C, H, W) slices.
        size: edge of the result in pixels.
        mode: "bilinear" for images (antialiased; padded with each slice's minimum),
            "nearest" for labels (padded with 0; type and values kept).

    Returns:
        (S, C, size, size).
    """
    height, width = slices.shape[-2:]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    padding = slices.amin(dim=(-2, -1), keepdim=True) if mode == "bilinear" else slices.new_zeros(1, 1, 1, 1)
    square = padding.expand(*slices.shape[:2], side, side).clone()
    square[..., top : top + height, left : left + width] = slices
    return _resize(square, size, mode)


def unfit_slices(maps: Tensor, height: int, width: int, mode: Interpolation = "bilinear") -> Tensor:
    """Undo `fit_slices`: resize back to the square and crop the slice out of its center.

    Args:
        maps: (S, C, size, size) logits ("bilinear") or labels ("nearest").
        height: number of rows of the original slices.
        width: number of columns of the original slices.
        mode: interpolation, as in `fit_slices`.

    Returns:
        (S, C, height, width).
    """
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = _resize(maps, side, mode, antialias=False)
    return square[..., top : top + height, left : left + width]


def neighbour_indices(index: int, total: int, count: int = 3) -> list[int]:
    """List the indices of `count` slices centered on `index`, repeating the first and the last of `total` at the
    ends."""
    first = index - count // 2
    return [min(max(neighbour, 0), total - 1) for neighbour in range(first, first + count)]


def network_input(slices: Tensor, indices: Sequence[int], *, size: int, adjacent: bool) -> Tensor:
    """Make an encoder's input (len(indices), 3, size, size) of some slices of a volume.

    Args:
        slices: (S, C, H, W) slices of the whole volume, C = 1 or 3.
        indices: indices of the slices wanted.
        size: edge of the network's input in pixels.
        adjacent: True for channels that are a slice and its neighbors, instead of one slice three times.

    Raises:
        InputError: the number of channels is neither 1 nor 3, or it is 3 and `adjacent` is True.
    """
    if adjacent:
        return fit_slices(torch.stack([neighbours(slices, index) for index in indices]).float(), size)
    return three_channels(fit_slices(slices[list(indices)].float(), size))


def neighbours(slices: Tensor, index: int, count: int = 3) -> Tensor:
    """Stack adjacent slices as channels for the slice adapter: (S, 1, H, W) -> (count, H, W), edges replicated.

    Raises:
        InputError: the slices have more than one channel.
    """
    if slices.shape[1] != 1:
        raise InputError(f"Adjacent slices need a volume of one channel, found {slices.shape[1]} channels.")
    return slices[neighbour_indices(index, len(slices), count), 0]


def three_channels(slices: Tensor) -> Tensor:
    """Repeat gray slices for an encoder's three channels: (..., 1 or 3, H, W) -> (..., 3, H, W).

    Raises:
        InputError: the slices have neither one channel nor three.
    """
    channels = slices.shape[-3]
    if channels not in (1, 3):
        raise InputError(f"The image has {channels} channels, expected 1 (gray) or 3 (RGB): select them before.")
    return slices.expand(*slices.shape[:-3], 3, *slices.shape[-2:])


def _resize(square: Tensor, size: int, mode: Interpolation, antialias: bool = True) -> Tensor:
    side = square.shape[-1]
    if side == size:
        return square
    if mode == "bilinear":
        return F.interpolate(square, size=(size, size), mode="bilinear", align_corners=False, antialias=antialias)
    # Pixel centers, as in the bilinear case; by index, because interpolate() refuses integer types.
    source = ((torch.arange(size, device=square.device) + 0.5) * (side / size)).long()
    return square[..., source[:, None], source]
