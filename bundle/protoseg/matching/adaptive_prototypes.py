"""Adaptive local prototypes: the score of a query patch by support slices.

Source: SSL-ALPNet (Ouyang et al., ECCV 2020, section 3.3) as used by DINOv2-ALPNet (arXiv 2403.03273).

The published code builds the prototypes of one class in one image and convolves the query with them. Here every
pooled support patch is compared with every query patch once, whatever the number of labels, and a class is a row of
0/1 memberships over those patches. The published class score ``sum(softmax(s) * s)`` over the member patches is then

    (membership @ (exp(s) * s)) / (membership @ exp(s))

two matrix products for all labels, shots and query patches together. ``exp`` cannot overflow: ``|s| <= 20``.

Axes, in this order wherever they occur: E episodes, Q query slices, L labels, S support slices (shots), N support
patches of one slice, C channels, h x w feature patches.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from protoseg.matching.matching import Matching, Prototypes, unit

__all__ = ["AdaptivePrototypes"]

SCALE = 20.0  # temperature of the cosine similarity
PATCH_THRESHOLD = 0.95  # a pooled patch is a prototype of a class that fills more than this share of it
LOCAL_WINDOW = 4  # a label that fills no window of this size is matched by its global prototype alone
ABSENT = -SCALE  # the score of a class without any prototype: the lowest a cosine can give


class AdaptivePrototypes(Matching):
    """The published matching: local prototypes of label and background, and a global one of each label.

    It has one background for all labels: everything outside the masks, labelled or not. Weights of slices have no
    effect: the best slice decides, and none votes.

    Args:
        grid: number of local prototypes along each side of the feature map in training: the pooling window is h / grid.
        validation_window: pooling window, in feature patches, in evaluation.
    """

    def __init__(self, *, grid: int = 8, validation_window: int = 2) -> None:
        super().__init__()
        self.grid = grid
        self.validation_window = validation_window

    def build(self, features: Tensor, masks: Tensor, known: Tensor | None = None) -> Prototypes:
        """Pool a support (E, S, C, h, w) with masks (E, L, S, H, W) into prototypes."""
        size = (features.shape[-2], features.shape[-1])
        window = self._window(size)
        features = features.float()
        background = _at_feature_size((masks.sum(1, keepdim=True) == 0).float(), size)
        masks = _at_feature_size(masks, size)

        area = masks.sum((-2, -1))  # E x L x S
        average = torch.einsum("eschw,elshw->elsc", features, masks) / (area[..., None] + 1e-5)
        windows = _pool(masks, (min(LOCAL_WINDOW, size[0]), min(LOCAL_WINDOW, size[1])))
        fills_a_window = windows.amax((-2, -1)) >= PATCH_THRESHOLD
        local = (_pool(masks, window) > PATCH_THRESHOLD) & fills_a_window[..., None, None]
        pooled = unit(_pool(features, window).flatten(-2).transpose(-1, -2))  # E x S x N x C
        members = torch.cat([_pool(background, window) > PATCH_THRESHOLD, local], dim=1).flatten(-2)
        # A slice has one more prototype for each label, the global one, which counts for that label alone.
        own = torch.eye(1 + masks.shape[1], device=masks.device)[:, None, 1:].expand(*members.shape[:3], -1)
        return Prototypes(
            patches=torch.cat([pooled, unit(average).transpose(1, 2)], dim=2),
            membership=torch.cat([members.float(), own], dim=3),
            present=area > 0,
        )

    def match(self, query: Tensor, prototypes: Prototypes) -> Tensor:
        """Score query patches (E, Q, C, h, w): (E, Q, 1 + L, h, w), cosines times 20.

        Background takes the local prototypes of all support slices together; a label takes the best of its scores
        slice by slice, each from its local prototypes on that slice and its global one.
        """
        vectors = SCALE * unit(query.float().flatten(-2), dim=2)  # E x Q x C x (h w)
        background_votes = background_weights = torch.zeros((), device=query.device)
        per_slice = []
        for part in prototypes.parts():
            similarity = torch.einsum("esnc,eqcx->eqsnx", part.patches, vectors)
            weight = similarity.exp()
            vote = weight * similarity
            background, foreground = part.membership[:, 0], part.membership[:, 1:]
            background_votes = background_votes + torch.einsum("esn,eqsnx->eqx", background, vote)
            background_weights = background_weights + torch.einsum("esn,eqsnx->eqx", background, weight)
            label_votes = torch.einsum("elsn,eqsnx->eqlsx", foreground, vote)
            label_scores = label_votes / torch.einsum("elsn,eqsnx->eqlsx", foreground, weight)
            per_slice.append(label_scores.masked_fill(~part.present[:, None, :, :, None], ABSENT).amax(3))
        background_score = _weighted_mean(background_votes, background_weights)[:, :, None]
        label_score = torch.stack(per_slice).amax(0)
        return torch.cat([background_score, label_score], dim=2).unflatten(-1, query.shape[-2:])

    def _window(self, size: tuple[int, int]) -> tuple[int, int]:
        if self.training:
            return max(size[0] // self.grid, 1), max(size[1] // self.grid, 1)
        return min(self.validation_window, size[0]), min(self.validation_window, size[1])


def _at_feature_size(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample masks (E, L, S, H, W) to feature resolution by nearest neighbor, as published.

    A mask that nearest-neighbor sampling would lose altogether is averaged over each patch instead, so that a
    structure smaller than the sampling grid keeps its global prototype.
    """
    flat = masks.flatten(0, 2)[:, None].float()
    nearest = F.interpolate(flat, size=size, mode="nearest")
    lost = (nearest.amax((1, 2, 3)) == 0) & (flat.amax((1, 2, 3)) > 0)
    averaged = F.adaptive_avg_pool2d(flat, size)
    return torch.where(lost[:, None, None, None], averaged, nearest).reshape(*masks.shape[:3], *size)


def _pool(maps: Tensor, window: tuple[int, int]) -> Tensor:
    """Average the last two axes over non-overlapping windows."""
    return F.avg_pool2d(maps.flatten(0, -3), window).unflatten(0, maps.shape[:-2])


def _weighted_mean(votes: Tensor, weights: Tensor) -> Tensor:
    """Average similarity by weights; `ABSENT` where a class has no prototype at all."""
    empty = weights == 0
    return torch.where(empty, ABSENT, votes / weights.masked_fill(empty, 1.0))
