"""Checks of a support, which a damaged file may break."""

from __future__ import annotations

import numpy as np
import torch

from protoseg.engine.support import SupportSet

__all__ = ["support_defect"]

LARGEST_INTENSITY = 65504.0  # of a prepared slice, as of those that training keeps in half precision
LONGEST_AXIS = 1.001  # of directions, which have the length 1


def support_defect(support: SupportSet) -> str | None:
    """Say what is wrong with a support, whose parts may be of any type; None if nothing is."""
    labels, shape = support.labels, tuple(support.images.shape)
    count = shape[0] if shape else 0
    known_size = None if support.known is None else (support.known.dtype, tuple(support.known.shape))
    checks = {
        "labels": _are_numbers(labels, 1, 255) and 0 < len(set(labels.values())) == len(labels),
        "images": len(shape) == 4 and count > 0 and shape[1] == 3 and 0 < shape[2] == shape[3] and _is_sound(support),
        "masks": support.masks.dtype == torch.uint8 and tuple(support.masks.shape) == (count, *shape[2:]),
        "components": _are_numbers(support.components, 0, 2**31),
        "origins": len(support.origins) == count
        and all(isinstance(scan, str) and _is_whole(index) and index >= 0 for scan, index in support.origins),
        "preprocessing": isinstance(support.preprocessing, str),
        "encoder": isinstance(support.encoder, str),
        "slice_axes": support.slice_axes is None or _are_axes(support.slice_axes),
    }
    checks["labels of the masks"] = checks["masks"] and checks["labels"] and int(support.masks.max()) <= len(labels)
    checks["components of the labels"] = (
        checks["components"] and checks["labels"] and {*labels} <= {*support.components}
    )
    checks["known"] = checks["labels"] and known_size in (None, (torch.bool, (count, len(labels))))
    checks["weights"] = support.weights is None or _are_weights(support.weights, count)
    return next((name for name, right in checks.items() if not right), None)


def _is_whole(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def _are_numbers(values: object, least: int, most: int) -> bool:
    return isinstance(values, dict) and all(
        isinstance(name, str) and _is_whole(value) and least <= value <= most for name, value in values.items()
    )


def _are_weights(weights: torch.Tensor, count: int) -> bool:
    fitting = weights.dtype == torch.float32 and tuple(weights.shape) == (count,)
    return fitting and bool(((weights >= 0) & (weights <= 1)).all())


def _is_sound(support: SupportSet) -> bool:
    return support.images.is_floating_point() and bool((support.images.abs() <= LARGEST_INTENSITY).all())  # no NaN is


def _are_axes(axes: object) -> bool:
    """Tell whether three directions span a space."""
    try:
        matrix = np.asarray(axes, float)
    except (TypeError, ValueError, OverflowError):
        return False
    fitting = matrix.shape == (3, 3) and bool((np.abs(matrix) <= LONGEST_AXIS).all())  # no NaN is
    return fitting and bool(abs(np.linalg.det(matrix)) > 1e-3)
