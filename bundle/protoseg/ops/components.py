"""Connected-component analysis: which blobs of a predicted mask to keep.

Source: the published rule is ProtoSAM's (arXiv 2407.07042, section 3.2): of the 8-connected components of a slice keep
the one that holds the largest share of the predicted probability. It is wrong for paired or split organs and for slices
taken one by one, hence the rule in 3D and the one that keeps as many components as the support has. A prediction falls
apart where a bridge is thin: vertebrae that are one component on the support come out as five. Such parts differ from
mistakes in being large and as sure as the rest.
"""

from __future__ import annotations

from typing import Any, Literal

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

__all__ = [
    "Box",
    "ComponentFilter",
    "component_confidence",
    "connected_components",
    "count_components",
    "keep_most_confident",
]

Box = tuple[slice, ...]  # of a volume or slice, axis by axis
ComponentFilter = Literal["none", "one", "support"]

SPECK = 0.05  # a component smaller than this share of the largest is drawing noise, not a part of the organ
ALIKE_CONFIDENCE, ALIKE_PROBABILITY = 0.25, 0.9  # shares of the most confident component's sum and mean


def connected_components(mask: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Number the components of a 2D (8-connected) or 3D (26-connected) mask from 1; 0 is the background."""
    connectivity: Literal[8, 26] = 8 if mask.ndim == 2 else 26
    # As bytes, because cc3d 4.1 marks pixels outside the mask in some small two-dimensional arrays of booleans; and
    # contiguous, because it misreads columns cut out of a larger array.
    whole = np.ascontiguousarray(mask).view(np.uint8)
    components = cc3d.connected_components(whole, connectivity=connectivity, out_dtype=np.uint32)
    return components.astype(np.uint32, copy=False)


def component_confidence(components: NDArray[np.uint32], probability: NDArray[Any]) -> NDArray[np.float64]:
    """Compute the confidence of every component: its summed probability over the area of all components.

    Args:
        components: numbered components, see `connected_components`, of any shape.
        probability: probability of the foreground, or anything proportional to it, of the same shape.

    Returns:
        One value for each number; that of the background, index 0, is 0.
    """
    inside = components > 0
    sums = np.bincount(components[inside], weights=probability[inside], minlength=1)
    return sums / max(int(inside.sum()), 1)


def keep_most_confident(
    mask: NDArray[np.bool_], probability: NDArray[Any], *, count: int = 1, alike: bool = False
) -> NDArray[np.bool_]:
    """Keep the `count` components of a 2D or 3D mask that are the most confident.

    With `alike` also those that resemble the most confident one: at least a quarter as confident, and with a mean
    probability of at least nine tenths of its own. A mask that has no more components is returned itself.
    """
    found = 0
    parts, numbers = [], []
    for box in _apart(mask):
        part = mask[box]
        number = connected_components(part)[part] + np.uint32(found)  # within the mask alone: its box is nearly empty
        found = int(number.max())
        parts.append((box, part))
        numbers.append(number)
    if found <= count:
        return mask
    components = np.concatenate(numbers)
    probability = np.concatenate([probability[box][part] for box, part in parts])
    confidence = component_confidence(components, probability)[1:]
    ranked = np.argsort(-confidence, kind="stable")
    chosen = np.zeros(1 + found, bool)
    chosen[1 + ranked[:count]] = True
    if alike:
        mean = confidence / np.bincount(components)[1:]
        best = ranked[0]
        large = confidence >= ALIKE_CONFIDENCE * confidence[best]
        chosen[1:] |= large & (mean >= ALIKE_PROBABILITY * mean[best])
    kept = np.zeros_like(mask)
    for (box, part), number in zip(parts, numbers):
        kept[box][part] = chosen[number]
    return kept


def count_components(mask: NDArray[np.bool_]) -> int:
    """Count the components that an organ has on its support, without specks (< 5 % of the largest)."""
    box = _bounding_box(mask)
    if box is None:
        return 0
    sizes = np.bincount(connected_components(mask[box]).ravel())[1:]
    return int(np.count_nonzero(sizes >= SPECK * sizes.max()))


def _apart(mask: NDArray[np.bool_], axis: int = 0) -> list[Box]:
    """Find boxes that together hold a mask, with empty planes between them: no component spans two of them.

    A speck far from an organ makes a single box large and nearly empty. Boxes are cut along `axis` and those after it.
    """
    if axis == mask.ndim:
        return [()]
    there = mask.any(tuple(other for other in range(mask.ndim) if other != axis))
    turns = np.flatnonzero(np.diff(there, prepend=False, append=False))
    sides = [slice(start, stop) for start, stop in turns.reshape(-1, 2).tolist()]
    before = (slice(None),) * axis
    return [(side, *rest) for side in sides for rest in _apart(mask[(*before, side)], axis + 1)]


def _bounding_box(mask: NDArray[np.bool_]) -> Box | None:
    """Find where to look: an organ fills a small part of a volume. None for an empty mask."""
    return find_objects(mask.astype(np.uint8), max_label=1)[0]
