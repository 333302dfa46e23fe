"""Follows a label from the slices where it is known to their neighbors, and on from there.

Neighboring slices of one person show almost the same, so the slice that was done last serves as support for the next
one. Errors would add up that way: the label must be found by the known slices on both sides too, and it ends where it
is not. Source of the idea: propagation with a memory of earlier frames, as in video object segmentation (Oh et al.,
ICCV 2019).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects
from torch import Tensor

from protoseg.engine.clicks.working_grid import WorkingGrid
from protoseg.matching.coreset import slice_descriptors
from protoseg.matching.matching import Matching
from protoseg.ops.components import connected_components
from protoseg.ops.graph_cut import cut
from protoseg.ops.slices import fit_slices
from protoseg.ops.upsampling import BilinearUpsampler

__all__ = ["MASK_SIZE", "MaskPropagator", "Tracked"]

Mask = NDArray[np.bool_]

REACH = 10.0  # mm; what lies farther from the label on the slice before is a look-alike
POSSIBLE = 0.1  # probability from which a pixel takes part in the cut
UNSURE = 0.01  # a probability is no nearer to 0 or 1 than this, so that the cut may overrule it
SMOOTHNESS, THIN = 4.0, 0.1  # of the cut: mm, and widths of the label at most, which thin ones would not survive
MASK_SIZE = 256  # edge in pixels of the squares on which masks meet feature patches


class Tracked(NamedTuple):
    """The place of a label that was found, on a slice or in a volume."""

    mask: Mask
    certainty: NDArray[np.uint8]  # its probability in 1/255; 0 outside the mask

    def held(self, known: Collection[int]) -> Tracked:
        """Keep what of a volume is connected to the label on known slices."""
        components = connected_components(self.mask)
        held = np.unique(components[list(known)])
        return Tracked(self.mask & np.isin(components, held[held > 0]), self.certainty)

    def confidence(self) -> float:
        """Average the certainty of the label; 1 at most."""
        return float(self.certainty[self.mask].mean()) / 255 if self.mask.any() else 0.0


class MaskPropagator:
    """Follows one label through one volume.

    The slices between two known ones depend on these two alone, and are kept until one of them changes.

    Args:
        slices: (S, C, H, W) normalized slices.
        features: (S, D, h, w) features of all slices.
        matching: matching of a slice with its support.
        spacing: spacing of rows and columns in mm.
    """

    def __init__(self, slices: Tensor, features: Tensor, matching: Matching, *, spacing: tuple[float, float]) -> None:
        self.slices, self.features, self.matching, self.spacing = slices, features, matching, spacing
        patches = (features.shape[-2], features.shape[-1])
        self.to_pixels = BilinearUpsampler(patches, slices.shape[-2], slices.shape[-1], features.device)
        self.descriptors = slice_descriptors(features)
        self._stretches: dict[tuple[object, ...], dict[int, Tracked]] = {}

    @torch.no_grad()
    def follow(self, known: Mapping[int, Mask]) -> Tracked:
        """Find the label in the whole volume (S, H, W).

        Args:
            known: masks (H, W) by slice, at least one.
        """
        shape = (len(self.slices), *self.slices.shape[-2:])
        found = Tracked(np.zeros(shape, bool), np.zeros(shape, np.uint8))
        stretches = {}
        indices = sorted(known)
        for first, last in zip([-1, *indices], [*indices, len(self.slices)]):
            limits = {index: known[index] for index in (first, last) if index in known}
            key = (first, last, *(mask.tobytes() for mask in limits.values()))
            stretches[key] = self._stretches.get(key) or self._fill(first, last, limits)
            certain = {index: Tracked(mask, np.where(mask, 255, 0).astype(np.uint8)) for index, mask in limits.items()}
            for index, (mask, certainty) in (stretches[key] | certain).items():
                found.mask[index], found.certainty[index] = mask, certainty
        self._stretches = stretches
        return found

    @torch.no_grad()
    def spread(
        self,
        part: Mask,
        known: Mapping[int, Mask],
        places: Sequence[int],
        domain: Mapping[int, Mask],
        label: Mapping[int, Mask],
        *,
        step: float,
    ) -> dict[int, Mask]:
        """Follow a part of a slice to others, one after the other, until it ends.

        Args:
            part: (H, W) mask of the part.
            known: masks (H, W) by slice of similar structures; the first is that of the part's own slice.
            places: indices of slices to look at, the nearest first.
            domain: (H, W) masks, by slice, of where the part may be.
            label: (H, W) masks, by slice, of the label, which looks like the part, too; may be left empty.
            step: distance in mm that the border may move from one slice to the next.
        """
        squares = {index: self._square(mask) for index, mask in known.items()}
        found: dict[int, Mask] = {}
        before = {next(iter(known)): squares[next(iter(known))]}
        for place in places:
            near = _grown(part, step, self.spacing) & domain[place]
            here = self._next(place, squares, before, near).mask & near
            components = connected_components(here)
            here &= np.isin(components, np.unique(components[part & here]))
            if not here.any():
                break
            found[place] = part = here
            before = {place: self._square(here | label[place] if label else here)}
        return found

    def _fill(self, first: int, last: int, limits: dict[int, Mask]) -> dict[int, Tracked]:
        """Find the label between two slices, from the nearer one; one of the two may be just outside the volume."""
        turn = (first + last) // 2
        if first not in limits:
            turn = first
        elif last not in limits:
            turn = last - 1
        known = {index: self._square(mask) for index, mask in limits.items()}
        filled: dict[int, Tracked] = {}
        for start, stop, step in ((first, turn, 1), (last, turn + 1, -1)):
            if start not in known:
                continue
            before = known[start]
            for index in range(start + step, stop + step, step):
                filled[index] = self._next(index, known, {index - step: before})
                before = self._square(filled[index].mask)
        return filled

    def _square(self, mask: Mask) -> Tensor:
        """Place a mask in the centered square of the features: (size, size) float32."""
        return (
            fit_slices(torch.from_numpy(mask)[None, None], MASK_SIZE, "nearest")[0, 0].float().to(self.features.device)
        )

    def _next(
        self, index: int, known: dict[int, Tensor], before: dict[int, Tensor], near: Mask | None = None
    ) -> Tracked:
        """Find the label on a slice, from the masks (size, size) of known slices and of the slice before."""
        supports = [known] if before.keys() <= known.keys() else [known, before]
        around = self._near(*before.values()) if near is None else self._held(self._square(near))
        patches = self._match(index, supports, around)
        found = np.zeros(self.slices.shape[-2:], bool)
        certainty = np.zeros(found.shape, np.uint8)
        window = self.to_pixels.window(patches > POSSIBLE)
        if window is not None:
            probability = self.to_pixels(patches, window).cpu().numpy()
            image = self.slices[index][:, *window].float().cpu().numpy()
            width = max(self._width(mask) for mask in before.values())
            found[window] = self._cut(image, probability, smoothness=min(SMOOTHNESS, THIN * width))
            certainty[window] = (probability * found[window] * 255).round().astype(np.uint8)
        return Tracked(found, certainty)

    def _near(self, before: Tensor) -> Tensor:
        """Mark the patches (h, w) within reach of a mask (size, size)."""
        height, width = self.features.shape[-2:]
        patch = max(self.slices.shape[-2:]) * max(self.spacing) / max(height, width)  # mm
        radius = math.ceil(REACH / patch)
        held = self._held(before).float()
        return F.max_pool2d(held[None, None], 2 * radius + 1, stride=1, padding=radius)[0, 0] > 0

    def _held(self, mask: Tensor) -> Tensor:
        """Mark the patches (h, w) that hold a part of a mask (size, size)."""
        return F.adaptive_max_pool2d(mask[None, None], self.features.shape[-2:])[0, 0] > 0

    def _match(self, index: int, supports: list[dict[int, Tensor]], near: Tensor) -> Tensor:
        """Compute the label's probability (h, w) near it: the geometric mean over supports."""
        probability = torch.zeros(near.shape, device=self.features.device)
        rows, columns = (near.any(axis).nonzero()[:, 0] for axis in (1, 0))
        if not len(rows):
            return probability
        box = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
        agreed = torch.ones((), device=self.features.device)
        for support in supports:
            masks = torch.stack(list(support.values()))  # S x size x size
            prototypes = self.matching.build(self.features[list(support)][None], masks[None, None])
            evidence = self.matching.evidence(self.features[index][None, None, :, *box], prototypes)
            similarity = self.descriptors[list(support)] @ self.descriptors[index]
            unlikeness = (1 - similarity.max()).clamp(min=0)[None, None]
            agreed = agreed * self.matching.decide(evidence, unlikeness)[0, 0].softmax(0)[1]
        probability[box] = agreed ** (1 / len(supports))
        return probability * near

    def _width(self, mask: Tensor) -> float:
        """Give the edge in mm of a square of the area of a mask (size, size)."""
        pixel = max(side * size for side, size in zip(self.slices.shape[-2:], self.spacing)) / len(mask)
        return math.sqrt(float(mask.sum())) * pixel

    def _cut(self, image: NDArray[np.float32], probability: NDArray[np.float32], *, smoothness: float) -> Mask:
        """Cut the label out of a window of a slice."""
        grid = WorkingGrid((probability.shape[0], probability.shape[1]), self.spacing)
        *channels, likely = grid.shrink(np.concatenate([image, probability[None]]))
        likely = likely.clip(UNSURE, 1 - UNSURE)
        return grid.enlarge(cut(np.stack(channels), likely, spacing=grid.spacing, smoothness=smoothness))


def _grown(mask: Mask, distance: float, spacing: tuple[float, float]) -> Mask:
    """Grow a mask (H, W) by a distance in mm."""
    grown = np.zeros_like(mask)
    (box,) = find_objects(mask.astype(np.uint8), max_label=1)
    if box is not None:
        margins = (math.ceil(distance / side) for side in spacing)
        box = tuple(slice(max(side.start - more, 0), side.stop + more) for side, more in zip(box, margins))
        grown[box] = distance_transform_edt(~mask[box], sampling=spacing) <= distance
    return grown
