"""The support: named labels on slices of one or more scans."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from protoseg.engine.frames import common_frame, frame_mm
from protoseg.engine.magnification import Magnification, input_size
from protoseg.engine.slice_axes import SliceAxes, plane_of, same_plane, slice_axes
from protoseg.errors import InputError
from protoseg.labels import LabelSet
from protoseg.ops.components import count_components
from protoseg.ops.slices import axial_slices, fit_slices, network_input

__all__ = ["SliceOrigin", "SliceSelection", "SupportSet", "choose_slices", "support_from_scan"]

SliceSelection = Literal["largest", "thirds", "all"]


class SliceOrigin(NamedTuple):
    """The origin of a support slice."""

    scan: str
    slice_index: int  # counted from the feet; from the front in coronal slices, from the right in sagittal ones


@dataclass(frozen=True)
class SupportSet:
    """N support slices with L labels. On each slice, every label that is known there and visible is drawn.

    Slices are kept whole and shared by all labels: one label's foreground is counter-evidence for the others.
    """

    labels: LabelSet  # with their values in the resulting label maps
    images: Tensor  # N x 3 x size x size, normalized network input
    masks: Tensor  # N x size x size uint8, 0 = background, k = k-th of `labels`
    components: dict[str, int]  # number of connected components of each label where it was drawn
    origins: tuple[SliceOrigin, ...]
    preprocessing: str = ""  # fingerprint of what made the images, so that others are not mixed in; empty if unknown
    encoder: str = ""  # fingerprint of the weights it is meant for; empty for any
    slice_axes: SliceAxes | None = None  # directions of the slices, which a query's must follow; None for any
    # N x L, True where a label was drawn if visible; elsewhere it may be there without being drawn. None: all True.
    known: Tensor | None = None
    frame_mm: float | None = None  # see `frame_mm`; None if unknown, or if scans differ
    weights: Tensor | None = None  # N, 0 to 1, factors of the votes of each slice. None: 1

    def check_encoder(self, fingerprint: str) -> None:
        """Refuse an encoder, by its fingerprint, other than the one that it is meant for; raises InputError."""
        _check_same("for the encoder", self.encoder, fingerprint, "the weights")

    def check_preprocessing(self, fingerprint: str) -> None:
        """Refuse a preprocessing, by its fingerprint, other than the one that made the images; raises InputError."""
        _check_same("by the preprocessing", self.preprocessing, fingerprint, "image_size and options of preprocessing")

    def one_hot(self) -> Tensor:
        """Give masks (L, N, size, size), 0 or 1."""
        return F.one_hot(self.masks.long(), 1 + len(self.labels))[..., 1:].permute(3, 0, 1, 2).float()

    def component_counts(self) -> list[int]:
        """Count the connected components of each label, in the labels' order."""
        return [self.components[name] for name in self.labels]

    def largest_share(self, name: str) -> float:
        """Tell which share of its slice a label has where it has most."""
        return float((self.masks == self.labels.position(name)).float().mean((1, 2)).max())

    def merge(self, other: SupportSet) -> SupportSet:
        """Combine the slices and, by name, the labels of both supports.

        The slices of each are resized to the larger size and know the labels that they came with: a label that the
        other support does not have is not background on the other's slices. On a slice that both hold, the labels that
        `other`, the newer drawing, knows there replace those of the same names.

        Raises:
            InputError: when a name stands for two values, a value for two names, or the two were made for other
                encoders, by other preprocessings or in other planes.
        """
        self._check_same_making(other)
        if self.images.shape[-1] != other.images.shape[-1]:
            size = max(self.images.shape[-1], other.images.shape[-1])
            return self._resized(size).merge(other._resized(size))
        labels = self.labels.merge(other.labels)
        masks, known = _renumber(other.masks, other.labels, labels), other._known_of(labels)
        for mask, knows, origin in zip(masks, known, other.origins):
            if origin in self.origins:
                older = self.origins.index(origin)
                kept = {name for name, is_known in zip(labels, knows) if not is_known}
                drawn = _renumber(self.masks[older], self.labels, labels, only=kept)
                mask[:] = torch.where(mask > 0, mask, drawn)
                knows |= self._known_of(labels)[older]
        alone = self.take([k for k, origin in enumerate(self.origins) if origin not in other.origins])
        known = torch.cat([alone._known_of(labels), known])
        weights = torch.cat([alone._all_weights(), other._all_weights()])
        return replace(
            self,
            labels=labels,
            images=torch.cat([alone.images, other.images]),
            masks=torch.cat([_renumber(alone.masks, self.labels, labels), masks]),
            components={name: max(self.components.get(name, 0), other.components.get(name, 0)) for name in labels},
            origins=alone.origins + other.origins,
            slice_axes=self.slice_axes or other.slice_axes,
            frame_mm=common_frame(self.frame_mm, other.frame_mm),
            known=None if known.all() else known,
            weights=None if (weights == 1).all() else weights,
        )

    def without_drawings(self, scan: str, names: Collection[str]) -> SupportSet | None:
        """Leave out what was drawn of some labels on a scan; None if no slice is left that shows a label."""
        known, masks = self._known_of(self.labels), self.masks.clone()
        here = [k for k, origin in enumerate(self.origins) if origin.scan == scan]
        masks[here] = _renumber(masks[here], self.labels, self.labels, only=self.labels.keys() - set(names))
        known[here] &= torch.tensor([name not in names for name in self.labels])
        left = {self.labels.name_at(position) for position in masks.unique().tolist() if position}
        components = {name: count if name in left else 0 for name, count in self.components.items()}
        shown = [k for k, mask in enumerate(masks) if k not in here or mask.any()]
        rest = replace(self, masks=masks, components=components, known=None if known.all() else known)
        return rest.take(shown) if shown else None

    def without_label(self, name: str) -> SupportSet:
        """Leave out a label; slices that show no other label go too.

        Raises:
            InputError: there is no such label.
        """
        if name not in self.labels:
            raise InputError(f"The support has no label '{name}'; it has {', '.join(self.labels) or 'none'}.")
        labels = self.labels.without(name)
        left = replace(
            self,
            labels=labels,
            masks=_renumber(self.masks, self.labels, labels),
            components={other: self.components[other] for other in labels},
            known=None if self.known is None else self._known_of(labels),
        )
        return left.take([k for k, mask in enumerate(left.masks) if mask.any()])

    def take(self, indices: Sequence[int]) -> SupportSet:
        """Keep only some slices, in the order of the indices."""
        indices = list(indices)
        return replace(
            self,
            images=self.images[indices],
            masks=self.masks[indices],
            origins=tuple(self.origins[index] for index in indices),
            known=None if self.known is None else self.known[indices],
            weights=None if self.weights is None else self.weights[indices],
        )

    def _all_weights(self) -> Tensor:
        return torch.ones(len(self.images)) if self.weights is None else self.weights

    def _resized(self, size: int) -> SupportSet:
        if self.images.shape[-1] == size:
            return self
        masks = fit_slices(self.masks[:, None], size, "nearest")[:, 0]
        return replace(self, images=fit_slices(self.images, size), masks=masks)

    def _known_of(self, labels: LabelSet) -> Tensor:
        """Tell which of other labels are known on each slice: (N, labels)."""
        mine = torch.ones(len(self.images), len(self.labels), dtype=torch.bool) if self.known is None else self.known
        known = torch.zeros(len(self.images), len(labels), dtype=torch.bool)
        for column, name in enumerate(labels):
            if name in self.labels:
                known[:, column] = mine[:, self.labels.position(name) - 1]
        return known

    def _check_same_making(self, other: SupportSet) -> None:
        for what, mine, theirs in (
            ("for encoders", self.encoder, other.encoder),
            ("by preprocessings", self.preprocessing, other.preprocessing),
        ):
            if mine != theirs:
                raise InputError(
                    f"Supports made {what} '{mine}' and '{theirs}' cannot be merged: their slices do not compare. "
                    "Make one of them again in the way of the other."
                )
        if not same_plane(self.slice_axes, other.slice_axes):
            mine, theirs = plane_of(self.slice_axes), plane_of(other.slice_axes)
            raise InputError(
                f"Supports of {mine} and of {theirs} slices cannot be merged: their slices do not compare. Set plane, "
                "which then holds for both."
            )


def support_from_scan(
    image: Tensor,
    label_map: Tensor,
    labels: Mapping[str, int],
    *,
    image_size: int,
    scan: str,
    slices: SliceSelection | int | Sequence[int] = "largest",
    adjacent_slices: bool = False,
    magnification: Magnification = 1.0,
    preprocessing: str = "",
    encoder: str = "",
) -> SupportSet:
    """Build a support from one labelled scan.

    Args:
        image: (C, X, Y, Z) normalized image, slices along Z. A `Placed` one tells their directions.
        label_map: (1, X, Y, Z) label map on the same grid.
        labels: value of each label in `label_map` by name; other values count as background.
        image_size: edge of the network's input in pixels, without magnification.
        scan: name that identifies the scan; a slice is known by scan and index.
        slices: support slices, see `choose_slices`.
        adjacent_slices: True for channels that are a slice and its neighbors.
        magnification: factor by which slices are enlarged beyond that, or the rule that chooses it.
        preprocessing: fingerprint of what made `image`, for the provenance.
        encoder: fingerprint of the weights that the support is meant for; empty for any.
    """
    volume, drawn = axial_slices(image), axial_slices(label_map)[:, 0]
    chosen = choose_slices(drawn, labels, slices)
    numbered = torch.zeros_like(drawn, dtype=torch.uint8)
    known = LabelSet(labels)
    for name, value in known.items():
        numbered[drawn == value] = known.position(name)
    masks = numbered[chosen]
    size = input_size(magnification, masks, len(labels), image_size=image_size, is_picture=len(volume) == 1)
    return SupportSet(
        labels=known,
        images=network_input(volume, chosen, size=size, adjacent=adjacent_slices),
        masks=fit_slices(masks[:, None], size, "nearest")[:, 0],
        components={name: _count_components(np.asarray(drawn == value)) for name, value in labels.items()},
        origins=tuple(SliceOrigin(scan, index) for index in chosen),
        preprocessing=preprocessing,
        encoder=encoder,
        slice_axes=slice_axes(image),
        frame_mm=frame_mm(image),
    )


def choose_slices(drawn: Tensor, labels: Mapping[str, int], slices: SliceSelection | int | Sequence[int]) -> list[int]:
    """Choose the support slices of a label map (S, H, W): sorted indices, counted from the feet.

    Args:
        drawn: (S, H, W) label map.
        labels: value of each label by name.
        slices: "largest", for every label the slice where it is largest; "thirds", for every label the slices at 1/6,
            1/2 and 5/6 of its extent; "all", every slice that holds a label; or an index, or several.

    Raises:
        InputError: an index lies outside the scan or holds no label, or the selection is unknown.
    """
    if isinstance(slices, str) and slices in ("largest", "thirds", "all"):
        areas = [(drawn == value).sum((1, 2)) for value in labels.values()]
        return sorted({index for area in areas for index in _choose_for_label(area, slices)})
    indices = slices if isinstance(slices, Sequence | np.ndarray) else [slices]
    if not len(indices) or not all(isinstance(k, int | np.integer) and not isinstance(k, bool) for k in indices):
        raise InputError(
            f"support_slices is {slices!r}; expected 'largest', 'thirds', 'all' or a list of slice indices such as "
            "[12, 15], counted from the feet."
        )
    chosen = sorted({int(index) for index in indices})
    for index in chosen:
        if not 0 <= index < len(drawn):
            raise InputError(f"support_slices names slice {index}, but the support scan has 0..{len(drawn) - 1}.")
        if not any(bool((drawn[index] == value).any()) for value in labels.values()):
            holding = [i for i in range(len(drawn)) if any(bool((drawn[i] == v).any()) for v in labels.values())]
            raise InputError(
                f"support_slices names slice {index}, which holds no label; labels are on {holding[0]}..{holding[-1]}."
            )
    return chosen


def _check_same(how: str, mine: str, other: str, what: str) -> None:
    if mine and mine != other:
        raise InputError(
            f"The support was made {how} {mine}, and this one is {other}; use {what} of that time, or make it again."
        )


def _count_components(mask: NDArray[np.bool_]) -> int:
    """Count a label's components (S, H, W), ignoring slices without it: it may just not have been drawn there."""
    return count_components(mask[mask.any((1, 2))])


def _choose_for_label(area: Tensor, slices: SliceSelection) -> list[int]:
    extent = area.nonzero()[:, 0].tolist()
    if not extent:
        return []
    if slices == "largest":
        return [int(area.argmax())]
    if slices == "all":
        return extent
    aims = [extent[0] + (extent[-1] - extent[0]) * share for share in (1 / 6, 1 / 2, 5 / 6)]
    return [min(extent, key=lambda index: abs(index - aim)) for aim in aims]


def _renumber(masks: Tensor, before: LabelSet, after: LabelSet, only: Collection[str] | None = None) -> Tensor:
    """Renumber masks from the labels before to the labels after; others, or all but `only`, become background."""
    return torch.from_numpy(before.positions_in(after, only=only))[masks.long()]
