"""The small encoder that ships: convolutional feature pyramids that know where in the image they look."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from protoseg.matching.matching import unit
from protoseg.networks.encoder import Encoder

__all__ = ["FPNEncoder", "FPNEnsemble", "ResidualBlock", "UpBlock", "coordinates", "fpn_encoder"]

_GROUPS = 8


class FPNEncoder(Encoder):
    """Encode (B, 3, H, W) to (B, channels, H / 8, W / 8).

    There are five levels of strides 2, 4, 8, 16 and 32; the coarse maps are upsampled to stride 8.
    Two channels with x and y in [-1, 1] are added to the input: in anatomy, position says a lot.
    Source of the design: feature pyramid networks, Lin et al., arXiv 1612.03144.

    Args:
        channels: number of channels of the features.
        widths: numbers of channels at strides 2, 4, 8, 16 and 32.
        coordinate_dropout: share of the images that get zeros for x and y in training, so that crops and turned
            images do not confuse the features.
    """

    stride = 8

    def __init__(
        self, *, channels: int = 128, widths: Sequence[int] = (24, 48, 96, 160, 256), coordinate_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.coordinate_dropout = coordinate_dropout
        self.channels = channels
        stem, quarter, eighth, sixteenth, deepest = widths
        self.stem = nn.Conv2d(5, stem, kernel_size=4, stride=2, padding=1)
        self.down4 = ResidualBlock(stem, quarter, stride=2)
        self.down8 = ResidualBlock(quarter, eighth, stride=2)
        self.down16 = ResidualBlock(eighth, sixteenth, stride=2)
        self.down32 = nn.Sequential(ResidualBlock(sixteenth, deepest, stride=2), ResidualBlock(deepest, deepest))
        self.top = nn.Conv2d(deepest, channels, kernel_size=1)
        self.up16 = UpBlock(sixteenth, channels)
        self.up8 = UpBlock(eighth, channels)
        self.out = nn.Conv2d(channels, channels, kernel_size=1)

    def _get_name(self) -> str:
        return "PyramidEncoder"  # its former name, which is part of the fingerprints in saved supports and reports

    @property
    def widths(self) -> list[int]:
        """Numbers of channels at strides 2, 4, 8, 16 and 32."""
        blocks = (self.down4, self.down8, self.down16)
        return [self.stem.out_channels, *(block.conv1.out_channels for block in blocks), self.top.in_channels]

    def encode(self, image: Tensor) -> Tensor:
        """Encode (B, 3, H, W) to (B, channels, H / 8, W / 8)."""
        place = coordinates(image)
        if self.training and self.coordinate_dropout:
            kept = torch.rand(len(image), 1, 1, 1, device=image.device) >= self.coordinate_dropout
            place = place * kept
        x = torch.cat([image, place], dim=1)
        eighth = self.down8(self.down4(F.gelu(self.stem(x))))
        sixteenth = self.down16(eighth)
        x = self.top(self.down32(sixteenth))
        return self.out(self.up8(self.up16(x, sixteenth), eighth))


class FPNEnsemble(Encoder):
    """Encode by several pyramids, whose features, each of unit length, lie side by side.

    The cosine of two patches is then the mean of the members' cosines: patches that one member finds alike by mistake,
    the others seldom do.

    Args:
        members: encoders, at least one, all of one stride.
    """

    def __init__(self, members: Sequence[FPNEncoder]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.channels, self.stride = sum(member.channels for member in members), members[0].stride

    def encode(self, image: Tensor) -> Tensor:
        """Encode (B, 3, H, W) to (B, channels, H / 8, W / 8)."""
        return torch.cat([unit(member(image).float(), dim=1) for member in self.members], dim=1)


def fpn_encoder(members: Sequence[Mapping[str, Any]] | None = None) -> FPNEncoder | FPNEnsemble:
    """Make the encoder that the header of a file of weights describes.

    Args:
        members: arguments of each member's `FPNEncoder`; None for a single one of the default size.
    """
    encoders = [FPNEncoder(**member) for member in members or [{}]]
    return FPNEnsemble(encoders) if len(encoders) > 1 else encoders[0]


class ResidualBlock(nn.Module):
    """Two normalized 3 x 3 convolutions with a shortcut; `stride` belongs to the first."""

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(_GROUPS, after)
        self.conv2 = nn.Conv2d(after, after, kernel_size=3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(_GROUPS, after)
        same = before == after and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(before, after, kernel_size=1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, before, H, W) to (B, after, H / stride, W / stride), rounded up."""
        y = F.gelu(self.norm1(self.conv1(x)))
        return F.gelu(self.norm2(self.conv2(y)) + self.shortcut(x))


class UpBlock(nn.Module):
    """Bring a coarse map to the size of a finer one and merge the two."""

    def __init__(self, lateral_channels: int, channels: int) -> None:
        super().__init__()
        self.lateral = nn.Conv2d(lateral_channels, channels, kernel_size=1)
        self.merge = ResidualBlock(channels, channels)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Map coarse (B, channels, h, w) and fine (B, lateral_channels, H, W) to (B, channels, H, W)."""
        raised = F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear")
        return self.merge(raised + self.lateral(fine))


def coordinates(image: Tensor) -> Tensor:
    """Return x and y of every pixel (B, 2, H, W), from -1 at the first column or row to 1 at the last."""
    batch, _, height, width = image.shape
    y = torch.linspace(-1, 1, height, dtype=image.dtype, device=image.device)
    x = torch.linspace(-1, 1, width, dtype=image.dtype, device=image.device)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"))  # 2 x H x W
    return grid.expand(batch, -1, -1, -1)
