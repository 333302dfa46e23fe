"""Published intensities and geometry of CT and MR (SSL-ALPNet, arXiv 2007.09886, and its published code)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import ResizeWithPadOrCrop, Spacing, SpatialCrop
from monai.transforms.utils import scale_affine
from skimage.transform import resize

from protoseg.data.io.volumes import SMALLEST_SLICE
from protoseg.data.preparation.scans import LabelledScan
from protoseg.data.preprocessing.meta_tensors import meta_tensor
from protoseg.data.preprocessing.normalization import MR_UPPER_PERCENTILE
from protoseg.errors import InputError
from protoseg.ops.volume import Volume
from protoseg.ops.windows import CT_WINDOW

__all__ = ["PublishedCT", "PublishedGeometry", "PublishedMR"]


MR_SPACING = (1.25, 1.25, 7.7)  # mm


@dataclass(frozen=True)
class PublishedGeometry(ABC):
    """Clips the intensities of a scan and resamples it, with its labels, on the published grid.

    Volumes are (1, X, Y, Z) with slices across Z. Labels are resampled as masks, one after the other, linearly; a
    voxel gets a label that fills more than half of it.
    """

    size: int = 256
    """Edge of the slices in pixels."""

    def __call__(self, scan: LabelledScan) -> LabelledScan:
        """Return the scan on the published grid."""
        image = self.resample(self.cut(meta_tensor(scan.image)))
        if scan.labels is None:
            return LabelledScan(Volume.of(image), None)
        labels = cast(MetaTensor, torch.zeros_like(image))
        drawn = scan.labels.as_tensor()
        for value in torch.unique(drawn[drawn > 0]).tolist():
            mask = meta_tensor(Volume.at((drawn == value).float(), scan.labels.affine, scan.labels.meta))
            labels[self.resample(mask).as_tensor() > 0.5] = value
        return LabelledScan(Volume.of(image), Volume.of(labels.to(torch.int16)))

    @abstractmethod
    def cut(self, image: MetaTensor) -> MetaTensor:
        """Clip intensities."""

    @abstractmethod
    def resample(self, image: MetaTensor) -> MetaTensor:
        """Resample an image or a mask linearly."""


@dataclass(frozen=True)
class PublishedCT(PublishedGeometry):
    """Clips to the window [-125, 275] HU, crops the border, resizes slices to `size` x `size` pixels; stays in HU.

    The scale 0..255 and the z-score are left to `NormalizeByModality`: on a windowed scan it gives the published
    values.

    Raises:
        InputError: the border leaves less than 8 x 8 pixels.
    """

    border: int = 32
    """Pixels cut off at each side of a slice."""

    def cut(self, image: MetaTensor) -> MetaTensor:
        """Clip to the window."""
        return cast(MetaTensor, image.clamp(*CT_WINDOW))

    def resample(self, image: MetaTensor) -> MetaTensor:
        """Crop the border and resize the slices."""
        width, height, depth = image.shape[1:]
        if min(width, height) - 2 * self.border < SMALLEST_SLICE:
            raise InputError(
                f"{image.meta.get('filename_or_obj')}: slices of {width} x {height} pixels without a border of "
                f"{self.border} pixels leave less than {SMALLEST_SLICE} x {SMALLEST_SLICE}. Give a smaller border."
            )
        end, size = (width - self.border, height - self.border, depth), (self.size, self.size, depth)
        inside = cast(MetaTensor, SpatialCrop(roi_start=(self.border, self.border, 0), roi_end=end)(image))
        # Not by PyTorch, which has other edges: superpixels are to be the published ones to the last pixel.
        resized = resize(inside.numpy()[0], size, order=1, anti_aliasing=False, preserve_range=True)
        affine = inside.affine @ torch.as_tensor(scale_affine(inside.shape[1:], size))
        return MetaTensor(torch.from_numpy(resized)[None], meta={**image.meta, "affine": affine})


@dataclass(frozen=True)
class PublishedMR(PublishedGeometry):
    """Clips the brightest 0.5 %, resamples to 1.25 x 1.25 x 7.7 mm, crops or pads the slices to `size` x `size` pixels.

    The z-score is left to `NormalizeByModality`.
    """

    def cut(self, image: MetaTensor) -> MetaTensor:
        """Clip intensities to the 99.5th percentile."""
        return cast(MetaTensor, image.clamp(max=float(np.percentile(image.numpy(), MR_UPPER_PERCENTILE))))

    def resample(self, image: MetaTensor) -> MetaTensor:
        """Resample to the spacing and crop or pad."""
        spaced = Spacing(MR_SPACING, mode="bilinear", padding_mode="border")(image)
        fit = ResizeWithPadOrCrop((self.size, self.size, -1), mode="constant", value=float(image.min()))
        return cast(MetaTensor, fit(spaced))
