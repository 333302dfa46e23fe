"""Prepares batches of a data loader for the networks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["prepare_episodes", "prepare_scan"]


def prepare_episodes(
    batch: dict[str, Tensor],
    device: torch.device | str | None = None,
    non_blocking: bool = False,
    **kwargs: Any,
) -> tuple[Tensor, Tensor, tuple[()], dict[str, Tensor]]:
    """Turn a batch of E one-label, one-query episodes into the arguments of `ALPNet` and `EpisodeLoss`.

    This is the `prepare_batch` of MONAI's trainer.

    Args:
        batch: batch with "query_image" (E, 3, H, W), "query_mask" (E, H, W), "support_images" (E, S, 3, H, W) and
            "support_masks" (E, S, H, W).
        device: device to move the tensors to.
        non_blocking: True for an asynchronous copy.
        **kwargs: further arguments of `Tensor.to`.

    Returns:
        Query images (E, 1, 3, H, W), query labels (E, 1, H, W), no positional arguments, and the support as
        keyword arguments.
    """

    def move(key: str) -> Tensor:
        return batch[key].to(device=device, non_blocking=non_blocking, **kwargs)

    support = {"support_images": move("support_images"), "support_masks": move("support_masks")[:, None]}
    return move("query_image")[:, None], move("query_mask")[:, None].long(), (), support


def prepare_scan(batch: dict[str, Any], *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
    """Give the scan of a batch, and its label map if there is one, on the device that they are on.

    Replaces the `prepare_batch` of MONAI's evaluators, which would move both to the network's device. The engine moves
    a few slices at a time, so that no volume needs to fit there, and its label maps stay beside the ground truth.

    Args:
        batch: batch with "image" (1, C, X, Y, Z) and perhaps "label" (1, 1, X, Y, Z).
        *args: unused positional arguments of MONAI's interface.
        **kwargs: unused keyword arguments of MONAI's interface.
    """
    return batch["image"], batch.get("label")
