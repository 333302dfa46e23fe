"""The evaluation protocols: what each of them may know, and how the published one counts.

**leak_free**: every slice of the volume is segmented and counted, and the query's label map is read for scoring only.
**legacy**: as published, see `protoseg.engine.legacy_protocol`; both ways of averaging that the papers use.
"""

from __future__ import annotations

import math
from typing import Any

from monai.data import MetaTensor
from torch import Tensor

from protoseg.workflows.evaluation.metrics import Details, LabelDice

__all__ = ["KNOWLEDGE", "LegacyDice", "prepare_scan_with_ground_truth", "slice_dice"]

KNOWLEDGE = {
    "leak_free": "Knows the support and the query's image. Whole volumes; false positives count.",
    "legacy": "Knows, besides, from the query's own ground truth which slices hold an organ and in which third of it "
    "they lie; no other slice is segmented or counted.",
}


class LegacyDice(LabelDice):
    """Mean Dice as published: of the organ slices of each scan taken together (ALPNet).

    Rows hold the mean Dice of single slices (ProtoSAM) too. A scan without the organ does not count. ALPNet's code
    also leaves out the last slice of each volume, for no reason that its paper gives; here it counts.

    Arguments are those of `LabelDice`; predictions are (L, X, Y, Z) masks, slices along Z, on the ground truths' grid.
    """

    protocol = "legacy"

    def masks(self, prediction: MetaTensor, ground_truth: MetaTensor, name: str) -> tuple[Tensor, Tensor]:
        """Give predicted and true mask (X, Y, Z) of a label, on the slices that hold it."""
        true = ground_truth[0] == self.labels[name]
        return prediction[list(self.labels).index(name)].bool() & _holding(true), true

    def details(self, prediction: MetaTensor, predicted: Tensor, true: Tensor, name: str) -> Details:
        """Give the details besides the measures of the masks."""
        return {
            "slice_dice": slice_dice(predicted, true),
            "slices": int(_holding(true).sum()),
            "confidence": math.nan,
            "estimated_dice": None,
        }


def slice_dice(predicted: Tensor, true: Tensor) -> float:
    """Average the Dice of single slices of masks (X, Y, Z) over those that hold the label. NaN if there are none."""
    overlap, predicted_area, true_area = (mask.flatten(0, 1).sum(0) for mask in (predicted & true, predicted, true))
    return float((2 * overlap / (predicted_area + true_area))[_holding(true)].mean())


def prepare_scan_with_ground_truth(
    batch: dict[str, Any], *args: Any, **kwargs: Any
) -> tuple[Tensor, Tensor | None, tuple[()], dict[str, Tensor | None]]:
    """Give the scan of a batch as `prepare_scan` does, and its ground truth to the inferer as well: to `LegacyInferer`.

    Args:
        batch: batch with "image" (1, C, X, Y, Z) and "label" (1, 1, X, Y, Z).
        *args: unused positional arguments of MONAI's interface.
        **kwargs: unused keyword arguments of MONAI's interface.
    """
    return batch["image"], batch.get("label"), (), {"query_label": batch.get("label")}


def _holding(mask: Tensor) -> Tensor:
    """Tell which slices of a mask (X, Y, Z) hold the label: (Z,)."""
    return mask.flatten(0, 1).any(0)
