"""How far labels have to be raised to be found with their own area.

A map of patches shows what is small blurred. A patch that an adrenal gland covers by a third votes for what is around
it by two thirds, so that the gland loses everywhere, and a thin label loses to a thick one beside it. How much a label
lacks is seen where it is drawn: its masks are brought to patches and back to pixels, and the odds of each label are
raised until it wins as many pixels as were drawn. None is lowered: what lies in the gaps of a label that is almost
everywhere, such as walls of cells, has looks of its own, which the support tells better than areas do.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["area_log_odds"]

LEAST_SHARE = 0.01  # of a patch, that any class is taken to have: votes are never all for one
LARGEST_SIZE = 128  # pixels; finer masks are not needed
ROUNDS, STEP = 12, 0.5
LEAST, MOST = 0.25, 3.0  # log odds; a label that lacks less is not small, and one that needs more is lost


def area_log_odds(masks: Tensor, patches: tuple[int, int]) -> Tensor:
    """Find what to add to the log odds of labels for them to be found with their own areas.

    Args:
        masks: (E, L, S, H, W) masks, 0 or 1, that do not overlap.
        patches: rows and columns of the feature map.

    Returns:
        (E, L) log odds; 0 for what is drawn nowhere.
    """
    return torch.stack([_of_labels(one.float().cpu(), patches) for one in masks]).to(masks.device)


def _of_labels(masks: Tensor, patches: tuple[int, int]) -> Tensor:
    """Find the log odds (L,) of masks (L, S, H, W)."""
    shown = [_shown(masks[:, index], patches) for index in masks.flatten(2).any(-1).any(0).nonzero()[:, 0].tolist()]
    drawn = sum((areas for _, _, areas in shown), torch.zeros(1 + len(masks)))
    log_odds = torch.zeros(1 + len(masks))
    for _ in range(ROUNDS):
        found = torch.zeros_like(drawn)
        for classes, logits, _ in shown:
            winners = (logits + log_odds[classes, None]).argmax(0)
            found[classes] += torch.bincount(winners, minlength=len(classes))
        lacking = ((1 + drawn) / (1 + found)).log().clamp(-1, 1)
        log_odds[1:] = (log_odds + STEP * lacking)[1:].clamp(0, MOST)
    return log_odds[1:] * ((drawn[1:] > 0) & (log_odds[1:] >= LEAST))


def _shown(masks: Tensor, patches: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Tell how masks (L, H, W) of a slice look by their patches.

    Returns:
        Classes (K,) that are there, 0 for the background; their log shares (K, P) at the pixels around labels; and the
        areas (1 + L,) of all classes in pixels of that size.
    """
    there = masks.flatten(1).any(1).nonzero()[:, 0]
    drawn = torch.cat([(1 - masks[there].sum(0, keepdim=True)).clamp(min=0), masks[there]])
    shares = F.adaptive_avg_pool2d(drawn, patches)
    size = min(LARGEST_SIZE, masks.shape[-1])
    logits = F.interpolate((shares + LEAST_SHARE).log()[None], (size, size), mode="bilinear")[0]
    around = F.interpolate(shares[None, 1:].sum(1, keepdim=True), (size, size), mode="bilinear")[0, 0] > 0
    areas = torch.zeros(1 + len(masks))
    classes = torch.cat([torch.zeros(1, dtype=torch.long), 1 + there])
    areas[classes] = drawn.flatten(1).sum(1) * (size / masks.shape[-1]) ** 2
    areas[0] += int(around.sum()) - size**2  # only pixels around labels are looked at
    return classes, logits[:, around], areas
