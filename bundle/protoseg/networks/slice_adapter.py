"""Turns adjacent slices into the three input channels of a two-dimensional encoder."""

from itertools import pairwise

from torch import Tensor, nn

from protoseg.errors import InputError

__all__ = ["SliceAdapter"]

_HIDDEN = 16  # channels between the three layers


class SliceAdapter(nn.Module):
    """Mix adjacent slices (B, slices, H, W) into an encoder's input (B, 3, H, W) with 1 x 1 convolutions.

    Slices are in anatomical order, the one to be segmented in the middle. The convolutions add to the
    middle slice and start at zero: an untrained adapter repeats the middle slice three times.
    Source: arXiv 2403.03273 (slice adapter of 1 and of 3 layers).
    """

    def __init__(self, *, layers: int = 1, slices: int = 3) -> None:
        super().__init__()
        if layers not in (1, 3):
            raise InputError(f"SliceAdapter has layers={layers}; it is made with 1 or 3 layers.")
        if slices < 1 or slices % 2 == 0:
            raise InputError(f"SliceAdapter has slices={slices}; the number has to be odd, one being in the middle.")
        self.slices = slices
        widths = (slices, 3) if layers == 1 else (slices, _HIDDEN, _HIDDEN, 3)
        steps: list[nn.Module] = []
        for before, after in pairwise(widths):
            steps += [nn.Conv2d(before, after, kernel_size=1), nn.GELU()]
        self.mix = nn.Sequential(*steps[:-1])
        for parameter in self.mix[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, slices, H, W) to (B, 3, H, W)."""
        if image.ndim != 4 or image.shape[1] != self.slices:
            raise InputError(
                f"SliceAdapter got an array of shape {tuple(image.shape)}; expected (B, {self.slices}, H, W)."
            )
        middle = self.slices // 2
        return image[:, middle : middle + 1] + self.mix(image)
