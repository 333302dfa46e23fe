"""The preprocessing of the configs in MONAI's transforms; `steps.scan_preprocessing` is the same without MONAI."""

from __future__ import annotations

from typing import Any

from protoseg.data.preprocessing import steps
from protoseg.data.preprocessing.intensity import CropBodyd, NormalizeByModalityd
from protoseg.data.preprocessing.planes import OrientSlicesd
from protoseg.data.preprocessing.square_pixels import SquarePixelsd
from protoseg.data.preprocessing.transforms import LoadLabelsd, LoadVolumed, Preprocessing

__all__ = ["scan_preprocessing"]

DICTIONARY_FORM: dict[type, Any] = {
    steps.LoadVolume: LoadVolumed,
    steps.LoadLabels: LoadLabelsd,
    steps.OrientSlices: OrientSlicesd,
    steps.CropBody: CropBodyd,
    steps.SquarePixels: SquarePixelsd,
    steps.NormalizeIntensity: NormalizeByModalityd,
}


def scan_preprocessing(**options: Any) -> Preprocessing:
    """Make the preprocessing of scans of MONAI's transforms; options as of `steps.scan_preprocessing`."""
    made = steps.scan_preprocessing(**options).transforms
    return Preprocessing([DICTIONARY_FORM[type(step)](**vars(step)) for step in made])
