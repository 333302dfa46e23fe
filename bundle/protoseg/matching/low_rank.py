"""Prototypes in fewer dimensions: cosines cost less, and are nearly the same.

A cosine to a prototype asks only for what the query has of the directions that prototypes have, and these are few: the
320 channels of the encoder that ships hold all but a thousandth of a support in some 150 directions. What is left
out of a cosine is the product of two remainders that have little to do with each other.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from protoseg.errors import InputError
from protoseg.matching.matching import Prototypes

__all__ = ["low_rank"]

MULTIPLE = 16  # of dimensions, by which matrix products are fast
WORTH_IT = 0.75  # of the channels; with more dimensions than that, little is saved


def low_rank(prototypes: Prototypes, energy: float) -> Prototypes:
    """Express prototypes in the principal axes of what they show, as few as keep most of their energy.

    Every class counts the same, or else the few patches of a small organ would be told from others by nothing that
    the many of the background do not need. The axes go through 0, as cosines do.

    Args:
        prototypes: prototypes in the channels of the features.
        energy: share of the squared length of the prototypes that is kept, 0 to 1.

    Returns:
        The prototypes with a `basis`; as they were where too little would be saved.

    Raises:
        InputError: the prototypes are not finite.
    """
    patches, channels = prototypes.patches, prototypes.patches.shape[-1]
    flat = patches.flatten(1, 2)  # E x patches x C
    scatter = flat.transpose(1, 2) @ (flat * _balanced(prototypes.membership.flatten(2))[..., None])
    if not scatter.isfinite().all():
        raise InputError(
            "The features are not finite. Images are checked when they are read, so that the weights "
            "are damaged, or training has diverged: use other weights."
        )
    values, axes = torch.linalg.eigh(scatter.cpu().double())  # ascending; not every device has doubles
    kept = values.flip(-1).clamp(min=0).cumsum(-1)
    needed = int((kept < energy * kept[:, -1:]).sum(-1).amax()) + 1
    rank = -(-needed // MULTIPLE) * MULTIPLE
    if rank > WORTH_IT * channels:
        return prototypes
    basis = axes[..., -rank:].to(patches)
    return replace(prototypes, patches=patches @ basis[:, None], basis=basis)


def _balanced(membership: Tensor) -> Tensor:
    """Weights (E, patches) of patches by which all classes weigh the same, from membership (E, 1 + L, patches)."""
    return (membership / membership.sum(-1, keepdim=True).clamp(min=torch.finfo(membership.dtype).tiny)).sum(1)
