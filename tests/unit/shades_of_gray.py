"""A volume of a ball, a rod and a look-alike, and a network that tells their shades of gray apart."""

import numpy as np
import torch
from monai.data import MetaTensor
from torch import nn

from protoseg.matching.kernel_matching import KernelMatching
from protoseg.networks.alpnet import ALPNet

SIZE = 64
LABELS = {"ball": 5, "rod": 9}


class Shades(nn.Module):
    """Tells gray values apart: the features of a pixel block are smooth bumps over its mean intensity."""

    def __init__(self):
        super().__init__()
        self.centres = nn.Parameter(torch.linspace(0, 2, 9)[:, None, None])

    def forward(self, images):
        gray = nn.functional.avg_pool2d(images.mean(1, keepdim=True), 2)  # 32 cells a side, as other encoders
        return torch.exp(-(((gray - self.centres) / 0.2) ** 2))


def network():
    return ALPNet(encoder=Shades(), matching=KernelMatching())


def scan(shift=0):
    """A ball on slices 2..8 of 10, a rod of another shade on all, and a look-alike of the ball; labels (S, H, W)."""
    slices, rows, columns = np.mgrid[:10, :SIZE, :SIZE]
    ball = (rows - 22 - shift) ** 2 + (columns - 20) ** 2 + (4 * (slices - 5)) ** 2 < 170
    like = (rows - 22 - shift) ** 2 + (columns - 52) ** 2 < 60
    rod = (rows - 50 - shift) ** 2 + (columns - 30) ** 2 < 64
    ground_truth = np.zeros(ball.shape, np.uint8)
    ground_truth[ball], ground_truth[rod] = LABELS["ball"], LABELS["rod"]
    image = 1.0 * (ball | like) + 2.0 * rod
    volume = torch.from_numpy(image).float().permute(2, 1, 0)[None]
    return MetaTensor(volume, affine=torch.diag(torch.tensor([-3.0, -3.0, 4.0, 1.0]))), ground_truth


def arguments(**others):
    return {"labels": LABELS, "scan": "a", **others}
