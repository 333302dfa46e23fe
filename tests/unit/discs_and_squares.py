"""Scenes of a disc and a square that a network of gray values tells apart."""

import torch
from torch import nn

from protoseg.matching.kernel_matching import KernelMatching
from protoseg.networks.alpnet import ALPNet

SIZE = 32


LABELS = {"disc": 7, "square": 3}


class Shades(nn.Module):
    """Tells gray values apart: the features of a pixel block are smooth bumps over its mean intensity."""

    stride = 2

    def __init__(self):
        super().__init__()
        self.centres = nn.Parameter(torch.linspace(0, 1, 8)[:, None, None])

    def forward(self, images):
        gray = nn.functional.avg_pool2d(images.mean(1, keepdim=True), self.stride)
        return torch.exp(-(((gray - self.centres) / 0.08) ** 2))


def scene(slices=6, *, width=SIZE, height=SIZE, discs=1):
    """Image and labels (1, X, Y, Z): a bright square on slices 1..3, `discs` gray discs on 2..4, nothing elsewhere."""
    labels = torch.zeros(1, width, height, slices, dtype=torch.int16)
    labels[0, 4:12, 4:12, 1:4] = 3
    x, y = torch.meshgrid(torch.arange(width), torch.arange(height), indexing="ij")
    for number in range(discs):
        centre = 8 + 14 * number
        labels[0, (x - centre) ** 2 + (y - 22) ** 2 < 25, 2:5] = 7
    image = torch.zeros(labels.shape)
    image[labels == 3] = 1.0
    image[labels == 7] = 0.5
    return image, labels


def network(matching=None):
    return ALPNet(encoder=Shades(), matching=KernelMatching() if matching is None else matching)
