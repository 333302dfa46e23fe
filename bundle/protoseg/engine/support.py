"""The support: named labels, drawn on slices of one or more scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from protoseg.maths.slices import axial_slices, fit_slices, network_input
from protoseg.errors import InputError
from protoseg.maths.components import count_components

__all__ = ["SliceOrigin", "SliceSelection", "SupportSet", "choose_slices", "support_from_scan"]

SliceSelection = Literal["largest", "thirds", "all"]


class SliceOrigin(NamedTuple):
    """Where a support slice comes from."""

    scan: str
    index: int  # axial, counted from the feet


@dataclass(frozen=True)
class SupportSet:
    """N support slices with L labels. Every label that is visible on a slice is drawn on it.

    Slices are kept whole and shared by all labels: what is one label's foreground is counter-evidence for the rest.
    """

    labels: dict[str, int]  # name -> value in the label maps that come out
    images: Tensor  # N x 3 x size x size, normalised network input
    masks: Tensor  # N x size x size uint8, 0 = background, k = k-th of `labels`
    components: dict[str, int]  # connected components of each label where it was drawn
    origins: tuple[SliceOrigin, ...]

    def one_hot(self) -> Tensor:
        """Masks (L, N, size, size), 0 or 1."""
        return F.one_hot(self.masks.long(), 1 + len(self.labels))[..., 1:].permute(3, 0, 1, 2).float()

    def merge(self, other: SupportSet) -> SupportSet:
        """A support of the slices of both, of the labels of both by name.

        Raises:
            InputError: when a name stands for two values, a value for two names, or the slice sizes differ.
        """
        if self.images.shape[1:] != other.images.shape[1:]:
            raise InputError(
                f"Supports of {self.images.shape[-1]} and {other.images.shape[-1]} pixels cannot be merged; "
                "prepare both for the same encoder."
            )
        labels = {**self.labels, **other.labels}
        clashes = [name for name in self.labels if labels[name] != self.labels[name]]
        if clashes or len(set(labels.values())) < len(labels):
            raise InputError(f"Supports disagree about label values: {self.labels} and {other.labels}; rename one.")
        return SupportSet(
            labels=labels,
            images=torch.cat([self.images, other.images]),
            masks=torch.cat([_renumber(support.masks, support.labels, labels) for support in (self, other)]),
            components={
                name: max(self.components.get(name, 0), other.components.get(name, 0)) for name in labels
            },
            origins=self.origins + other.origins,
        )


def support_from_scan(
    image: Tensor,
    label_map: Tensor,
    labels: Mapping[str, int],
    *,
    image_size: int,
    slices: SliceSelection | Sequence[int] = "largest",
    adjacent_slices: bool = False,
    scan: str = "",
) -> SupportSet:
    """Build a support from one labelled scan.

    Args:
        image: (C, X, Y, Z), normalised, axes L, P, S.
        label_map: (1, X, Y, Z) on the same grid.
        labels: name -> value in `label_map`; other values count as background.
        image_size: edge of the network's input in pixels.
        slices: see `choose_slices`.
        adjacent_slices: the network's three channels are a slice and its neighbours.
        scan: a name for the scan, for the provenance.
    """
    volume, drawn = axial_slices(image), axial_slices(label_map)[:, 0].long()
    chosen = choose_slices(drawn, labels, slices)
    numbered = torch.zeros_like(drawn, dtype=torch.uint8)
    for number, value in enumerate(labels.values(), start=1):
        numbered[drawn == value] = number
    return SupportSet(
        labels=dict(labels),
        images=network_input(volume, chosen, size=image_size, adjacent=adjacent_slices),
        masks=fit_slices(numbered[chosen, None], image_size, "nearest")[:, 0],
        components={name: count_components(np.asarray(drawn == value)) for name, value in labels.items()},
        origins=tuple(SliceOrigin(scan, index) for index in chosen),
    )


def choose_slices(
    drawn: Tensor, labels: Mapping[str, int], slices: SliceSelection | Sequence[int]
) -> list[int]:
    """Choose the support slices of a label map (S, H, W): sorted indices, counted from the feet.

    Args:
        drawn: label values.
        labels: name -> value.
        slices: "largest", for every label the slice where it is largest; "thirds", for every label the slices at
            1/6, 1/2 and 5/6 of its extent; "all", every slice that holds a label; or the indices themselves.

    Raises:
        InputError: an index lies outside the scan or holds no label, or the selection is unknown.
    """
    if slices in ("largest", "thirds", "all"):
        areas = [(drawn == value).sum((1, 2)) for value in labels.values()]
        return sorted({index for area in areas for index in _choose_for_label(area, slices)})
    if isinstance(slices, str) or not all(isinstance(index, int) for index in slices):
        raise InputError(
            f"support_slices is {slices!r}; expected 'largest', 'thirds', 'all' or a list of slice indices such as "
            "[12, 15], counted from the feet."
        )
    chosen = sorted(set(slices))
    for index in chosen:
        if not 0 <= index < len(drawn):
            raise InputError(f"support_slices names slice {index}, but the support scan has 0..{len(drawn) - 1}.")
        if not any(bool((drawn[index] == value).any()) for value in labels.values()):
            holding = [i for i in range(len(drawn)) if any(bool((drawn[i] == v).any()) for v in labels.values())]
            raise InputError(
                f"support_slices names slice {index}, which holds no label; labels are on {holding[0]}..{holding[-1]}."
            )
    return chosen


def _choose_for_label(area: Tensor, slices: SliceSelection) -> list[int]:
    extent = area.nonzero()[:, 0].tolist()
    if not extent:
        return []
    if slices == "largest":
        return [int(area.argmax())]
    if slices == "all":
        return extent
    low, high = extent[0], extent[-1]
    return [round(low + (high - low) * share) for share in (1 / 6, 1 / 2, 5 / 6)]


def _renumber(masks: Tensor, before: Mapping[str, int], after: Mapping[str, int]) -> Tensor:
    names = list(after)
    table = torch.tensor([0, *(1 + names.index(name) for name in before)], dtype=torch.uint8)
    return table[masks.long()]
