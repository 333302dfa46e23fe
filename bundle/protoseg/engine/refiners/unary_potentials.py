"""Evidence for one label in and around it: the matching, the label's own appearance in this scan, and clicks."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.special import expit, logit
from torch import Tensor

from protoseg.engine.clicks.click import Click
from protoseg.engine.refiners.click_evidence import PixelClick, with_clicks
from protoseg.engine.refiners.refiner import CoarseSegmentation
from protoseg.ops.appearance import Appearance
from protoseg.ops.components import Box
from protoseg.ops.graph_cut import contrast_of
from protoseg.ops.upsampling import BilinearUpsampler, Window

__all__ = ["Surroundings", "UnaryPotentials", "label_boxes", "unary_potentials"]

MARGIN = 10.0  # mm around a coarse mask within which its border may move: about a feature patch
CERTAIN = 12.0  # log odds; only clicks are surer
AT_ONCE = 2**22  # voxels of a label's surroundings that are examined at once


@dataclass(frozen=True)
class UnaryPotentials:
    """The evidence for a label in S x H x W voxels of the volume."""

    image: NDArray[np.float32]  # C x S x H x W
    log_odds: NDArray[np.float32]  # S x H x W; above 0 where the label is likelier than not, infinite on clicks
    coarse: NDArray[np.bool_]  # S x H x W, what the matching found
    spacing: tuple[float, float, float]  # of slices, rows and columns in mm
    contrast: float  # of the label's whole box, see `contrast_of`


class Surroundings:
    """A label's box, whose potentials are collected a few slices at a time: it may be as large as the volume.

    Args:
        slices: (S, C, H, W) slices of the volume.
        coarse: result of the matching.
        position: position of the label, from 1.
        box: box in the volume.
        spacing: spacing of slices, rows and columns in mm.
        clicks: clicks of the user.
    """

    def __init__(
        self,
        slices: Tensor,
        coarse: CoarseSegmentation,
        position: int,
        box: Box,
        spacing: tuple[float, float, float],
        clicks: Sequence[Click] = (),
    ) -> None:
        self.slices, self.coarse, self.position, self.box = slices, coarse, position, box
        self.spacing, self.clicks = spacing, clicks
        self.shape = tuple(side.stop - side.start for side in box)
        parts = list(self._parts())
        self._whole = self._gather(parts[0]) if len(parts) == 1 else None  # a small one is gathered once
        self.appearance = Appearance.of(lambda: ((self.image(part), self.mask(part)) for part in parts))
        self.contrast = contrast_of(self.image(part) for part in parts)

    def image(self, part: slice) -> NDArray[np.float32]:
        """Give the image (C, S, H, W) on some slices of the box."""
        return self._gather(part) if self._whole is None else self._whole[:, part]

    def _gather(self, part: slice) -> NDArray[np.float32]:
        box = self._within(part)
        return self.slices[box[0], :, box[1], box[2]].transpose(0, 1).float().cpu().contiguous().numpy()

    def mask(self, part: slice) -> NDArray[np.bool_]:
        """Mask the label as found by the matching on some slices of the box."""
        mask: NDArray[np.bool_] = self.coarse.label_map[self._within(part)] == self.position
        return mask

    def potentials(self, part: slice) -> UnaryPotentials:
        """Collect the evidence for the label on some slices of the box."""
        image, mask, box = self.image(part), self.mask(part), self._within(part)
        log_odds = _lead(self.coarse, self.position, box)
        dropped = (log_odds > 0) & ~mask  # dropped by the component filter
        log_odds[dropped] *= -1
        del dropped
        log_odds += self.appearance.log_ratio(image)
        np.clip(log_odds, -CERTAIN, CERTAIN, out=log_odds)
        for index, here in _clicks_in(box, self.coarse.labels.name_at(self.position), self.clicks).items():
            fused = with_clicks(image[:, index], expit(log_odds[index]), here, spacing=self.spacing[1:])
            log_odds[index] = logit(fused)
        return UnaryPotentials(image, log_odds, mask, self.spacing, self.contrast)

    def _within(self, part: slice) -> Box:
        return slice(self.box[0].start + part.start, self.box[0].start + part.stop), *self.box[1:]

    def _parts(self) -> Iterator[slice]:
        depth = max(1, AT_ONCE // math.prod(self.shape[1:]))
        for start in range(0, self.shape[0], depth):
            yield slice(start, min(start + depth, self.shape[0]))


def label_boxes(
    coarse: CoarseSegmentation, spacing: tuple[float, float, float], clicks: Sequence[Click]
) -> Iterator[tuple[int, Box]]:
    """Give the position and padded bounding box of every label that was found, its positive clicks included."""
    for position, box in enumerate(find_objects(coarse.label_map, max_label=len(coarse.labels)), start=1):
        if box is None:
            continue
        name = coarse.labels.name_at(position)
        clicked = np.array([click[:3] for click in clicks if click.positive and click.label == name], int)
        places = clicked.reshape(-1, 3).T
        yield position, tuple(_padded(*side) for side in zip(box, places, spacing, coarse.label_map.shape))


def unary_potentials(
    slices: Tensor,
    coarse: CoarseSegmentation,
    position: int,
    box: Box,
    spacing: tuple[float, float, float],
    clicks: Sequence[Click],
) -> UnaryPotentials:
    """Collect the evidence for a label in a box at once; arguments as for `Surroundings`."""
    whole = slice(0, box[0].stop - box[0].start)
    return Surroundings(slices, coarse, position, box, spacing, clicks).potentials(whole)


def _lead(coarse: CoarseSegmentation, position: int, box: Box) -> NDArray[np.float32]:
    """Compute the matching's lead of a label over the best other class, in log odds, on the pixels of a box."""
    log_probability = coarse.log_probability[box[0]].float()  # S x (1 + L) x h x w
    others = log_probability.clone()
    others[:, position] = -torch.inf
    lead = (log_probability[:, position] - others.amax(1)).clamp(-CERTAIN, CERTAIN)
    height, width = coarse.label_map.shape[1:]
    to_pixels = BilinearUpsampler((lead.shape[-2], lead.shape[-1]), height, width, lead.device)
    return to_pixels(lead, Window(box[1], box[2])).cpu().numpy()


def _clicks_in(box: Box, label: str, clicks: Sequence[Click]) -> dict[int, list[PixelClick]]:
    """Group clicks by slice of a box, as they concern a label: positive on another label means negative here."""
    inside = defaultdict(list)
    for click in clicks:
        mine = click.label == label
        if (mine or click.positive) and all(axis.start <= place < axis.stop for place, axis in zip(click, box)):
            index, row, column = (place - axis.start for place, axis in zip(click[:3], box))
            inside[index].append((row, column, mine and click.positive))
    return inside


def _padded(side: slice, places: NDArray[np.int64], spacing: float, size: int) -> slice:
    """Extend one side of a box, on an axis of `size` voxels, to hold some places, with a margin."""
    margin = math.ceil(MARGIN / spacing)
    first, last = min([side.start, *places]), max([side.stop - 1, *places])
    return slice(max(int(first) - margin, 0), min(int(last) + margin + 1, size))
