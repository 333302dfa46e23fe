"""Slices of the volume in hand, as a user has corrected them, beside a support of other scans."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoseg.engine.support import SliceOrigin, SupportSet
from protoseg.ops.slices import fit_slices, network_input

__all__ = ["with_drawn_slices"]

ALL_COMPONENTS = 2**31  # of a label that was clicked on: which ones to keep, the clicks decide


def with_drawn_slices(
    support: SupportSet,
    slices: Tensor,
    drawn: Mapping[int, NDArray[np.uint8]],
    labels: Mapping[str, int],
    *,
    scan: str,
    clicked: Collection[str],
    adjacent: bool,
) -> SupportSet:
    """A support together with some slices of another volume.

    Args:
        support: of other scans.
        slices: (S, C, H, W), the volume, normalised as the support was.
        drawn: (H, W) positions of labels, by slice; those without a label are left out.
        labels: name -> value, in the order of the positions.
        scan: name of the volume.
        clicked: names of labels of which every component is to be kept.
        adjacent: see `network_input`.

    Raises:
        InputError: see `SupportSet.merge`.
    """
    shown = [index for index in sorted(drawn) if drawn[index].any()]
    if not shown:
        return support
    label_map = np.stack([drawn[index] for index in shown])
    names = {position: name for position, name in enumerate(labels, start=1) if (label_map == position).any()}
    masks = np.zeros_like(label_map)
    for number, position in enumerate(names, start=1):
        masks[label_map == position] = number
    size = support.images.shape[-1]
    own = SupportSet(
        labels={name: labels[name] for name in names.values()},
        images=network_input(slices, shown, size=size, adjacent=adjacent),
        masks=fit_slices(torch.from_numpy(masks)[:, None], size, "nearest")[:, 0],
        components={name: ALL_COMPONENTS if name in clicked else support.components[name] for name in names.values()},
        origins=tuple(SliceOrigin(scan, index) for index in shown),
        preprocessing=support.preprocessing,
        encoder=support.encoder,
        slice_axes=support.slice_axes,
    )
    # All that was found on these slices has been seen.
    return support.merge(own).with_all_known(own.origins)
