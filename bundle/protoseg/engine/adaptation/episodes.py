"""Episodes for adaptation: two augmented views of one labelled slice, one as the support, one as the query.

Source: DINOv2-ALPNet (arXiv 2403.03273), test-time training.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from monai.transforms import Compose

__all__ = ["Episode", "LabelledSlices", "draw_episodes"]

MAX_DRAWS = 20  # draws in a row without a visible label before giving up


class LabelledSlices(NamedTuple):
    """Slices and the labels that are, or are believed to be, on them."""

    images: Tensor  # B x 3 x size x size, network input
    masks: Tensor  # B x size x size uint8, 0 = background, k = k-th label


class Episode(NamedTuple):
    """The input of `ALPNet` and `EpisodeLoss`, for L labels that both views show."""

    query_images: Tensor  # 1 x 1 x 3 x size x size
    support_images: Tensor  # 1 x 1 x 3 x size x size
    support_masks: Tensor  # 1 x L x 1 x size x size, 0 or 1
    query_labels: Tensor  # 1 x 1 x size x size, 0 = background, k = k-th of the L labels

    def to(self, device: torch.device) -> Episode:
        """Move the tensors to a device."""
        return Episode(*(tensor.to(device) for tensor in self))


def draw_episodes(slices: LabelledSlices, augmentation: Compose, *, seed: int) -> Iterator[Episode]:
    """Draw slices at random, endlessly, and two views of each.

    The same seed gives the same episodes. They end when the augmentation leaves no label on many slices in a row.

    Args:
        slices: slices to draw from, at least one.
        augmentation: transform of {"image": (3, H, W), "mask": (L, H, W)}, with a random state.
        seed: seed of slices and views.
    """
    random = np.random.RandomState(seed)
    # A copy: the caller's transforms may serve several threads, and keep a random state of their own.
    augmentation = copy.deepcopy(augmentation).set_random_state(state=random)
    failures = 0
    while failures < MAX_DRAWS:
        index = random.randint(len(slices.images))
        episode = _episode(slices.images[index], slices.masks[index], augmentation)
        failures = failures + 1 if episode is None else 0
        if episode is not None:
            yield episode


def _episode(image: Tensor, mask: Tensor, augmentation: Compose) -> Episode | None:
    labels = mask.unique()
    one_hot = (mask == labels[labels > 0][:, None, None]).float()
    if not len(one_hot):
        return None
    (support_image, support), (query_image, query) = (_view(image, one_hot, augmentation) for _ in range(2))
    both = support.flatten(1).any(1) & query.flatten(1).any(1)
    if not both.any():
        return None
    support, query = support[both], query[both]
    numbers = torch.arange(1, 1 + len(query))[:, None, None]
    return Episode(
        query_images=query_image[None, None],
        support_images=support_image[None, None],
        support_masks=support[None, :, None].float(),
        query_labels=(query * numbers).sum(0)[None, None],
    )


def _view(image: Tensor, one_hot: Tensor, augmentation: Compose) -> tuple[Tensor, Tensor]:
    """Augment an image (3, H, W) and its boolean masks (L, H, W), which do not overlap, before or after."""
    view = augmentation({"image": image.clone(), "mask": one_hot.clone()})
    moved_image, moved = (torch.as_tensor(view[key]).as_subclass(Tensor) for key in ("image", "mask"))
    return moved_image.float(), moved > 0.5
