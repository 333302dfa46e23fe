"""Detects CT whose values are not Hounsfield units, because its rescale intercept was lost."""

from __future__ import annotations

import logging

import torch

from protoseg.ops.volume import Volume

__all__ = ["air_is_at_zero", "warn_unless_hounsfield"]

logger = logging.getLogger(__name__)

OFFSET = 1024.0  # added by scanners, so that air is 0
AIR = (0.0, 200.0)  # of an image with the offset: air, and the inside of lungs
SOFT_TISSUE = (900.0, 1200.0)  # fat, muscle and organs, with contrast agent or without
BETWEEN = (500.0, 850.0)  # values of no tissue: only of the partial volume of skin and lung
SAMPLES = 500_000  # voxels that are examined


def air_is_at_zero(image: torch.Tensor) -> bool:
    """Tell whether an image looks like CT with 1024 added: air at 0, soft tissue about 1024, hardly a value between.

    The intensities of MR spread over the whole range.
    """
    voxels = image.flatten()
    if float(voxels.min()) < 0 or float(voxels.max()) < SOFT_TISSUE[1]:
        return False
    voxels = voxels[:: max(1, len(voxels) // SAMPLES)]

    def share(ends: tuple[float, float]) -> float:
        return float(((voxels >= ends[0]) & (voxels <= ends[1])).float().mean())

    solid = float((voxels >= BETWEEN[0]).float().mean())
    return share(AIR) > 0.05 and share(SOFT_TISSUE) > 0.7 * solid and share(BETWEEN) < 0.1 * solid


def warn_unless_hounsfield(image: Volume, modality: str) -> None:
    """Log a warning if an image that is read as CT, or looks like CT, does not hold Hounsfield units.

    Eight-bit values are left alone: they are a window, scaled on purpose.
    """
    name = image.meta.get("filename_or_obj", "an image")
    if modality == "picture":
        return
    if air_is_at_zero(image.as_tensor()):
        logger.warning(
            "%s: this looks like CT whose values are not Hounsfield units: air is about 0 and soft tissue about 1024, "
            "expected -1000 and 40. Subtract %d, the rescale intercept that was lost, and save it again.",
            name,
            OFFSET,
        )
    elif modality == "ct" and image.min() >= 0 and image.max() > 255:
        logger.warning(
            "%s: it is read as CT, but its values, %g to %g, are not Hounsfield units, where air is about -1000 and "
            "fat about -100. Give it with its rescale slope and intercept applied.",
            name,
            image.min(),
            image.max(),
        )
