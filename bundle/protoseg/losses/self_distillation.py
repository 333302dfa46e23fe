"""A self-distillation term for any loss on pairs: features must stay what a slower teacher makes of another view."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from protoseg.losses.matching import PairEncoding, PairFeatures
from protoseg.matching.matching import unit

__all__ = ["SelfDistillation", "TaughtPairFeatures", "other_view"]

STUDENT_TEMPERATURE, TEACHER_TEMPERATURE = 0.1, 0.04
CENTRE_MOMENTUM = 0.9
GAMMA, NOISE = 0.4, 0.2  # standard deviations: of the logarithm of gamma, and of the noise in a view of unit variance


class TaughtPairFeatures(NamedTuple):
    """The features of a batch of pairs, and the teacher's of another view of the same slices."""

    pairs: PairFeatures
    teacher: Tensor  # 2E x C x h x w, supports before queries


class SelfDistillation(nn.Module):
    """A loss on pairs plus self-distillation, which needs no label.

    The teacher, an exponential moving average of the network, sees every slice with other grey values and noise. Each
    cell of it is a distribution over prototypes, centred and sharpened so that not all become the same, which the
    student's cell at the same place has to give back. Prototypes are random and fixed, so no head is trained.
    Source: DINO (Caron et al., arXiv 2104.14294, section 3.1), cell by cell as in DenseCL (arXiv 2011.09157), with
    the fixed prototypes of SwAV (arXiv 2006.09882).

    Give `encode` to the trainer as its `inferer`. Teacher and centre are in the state dict; a run is resumed with it.

    Args:
        loss: on pairs, of `PairFeatures` and labels.
        network: to be trained; the teacher begins as a copy of it.
        channels: of its features.
        weight: of the self-distillation beside the loss.
        momentum: share of the teacher that each step keeps.
        prototypes: how many.
    """

    prototypes: Tensor  # channels x prototypes
    centre: Tensor  # prototypes

    def __init__(
        self,
        *,
        loss: nn.Module,
        network: nn.Module,
        channels: int,
        weight: float = 0.1,
        momentum: float = 0.996,
        prototypes: int = 512,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.weight = weight
        self.teacher = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(momentum)).requires_grad_(False).eval()
        self.encode_pairs = PairEncoding()
        device = next(network.parameters()).device
        generator = torch.Generator().manual_seed(0)  # alike in every process
        drawn = torch.randn(channels, prototypes, generator=generator)
        self.register_buffer("prototypes", unit(drawn, dim=0).to(device))
        self.register_buffer("centre", torch.zeros(prototypes, device=device))

    def encode(
        self, images: Tensor, network: nn.Module, *, support_images: Tensor, support_masks: Tensor
    ) -> TaughtPairFeatures:
        """Encode pairs as `PairEncoding` does, and other views of them by the teacher, which follows the network."""
        self.teacher.update_parameters(network)
        pairs = self.encode_pairs(images, network, support_images=support_images, support_masks=support_masks)
        with torch.no_grad():
            taught = self.teacher(other_view(torch.cat([support_images, images]).flatten(0, 1)))
        return TaughtPairFeatures(pairs, taught)

    def forward(self, features: TaughtPairFeatures, target: Tensor) -> Tensor:
        """Scalar loss of `TaughtPairFeatures` whose query has the labels (E, 1, H, W)."""
        student = torch.cat([features.pairs.support, features.pairs.query])
        return self.loss(features.pairs, target) + self.weight * self.distillation(student, features.teacher)

    def distillation(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Cross entropy of the student's cells (B, C, h, w) with the teacher's; moves the centre."""
        with torch.autocast(student.device.type, enabled=False):  # the similarities are exponents
            wanted = self._similarity(teacher.detach())
            given = (self._similarity(student) / STUDENT_TEMPERATURE).log_softmax(1)
            likely = ((wanted - self.centre) / TEACHER_TEMPERATURE).softmax(1)
            self.centre.lerp_(wanted.mean(0), 1 - CENTRE_MOMENTUM)
        return -(likely * given).sum(1).mean()

    def _similarity(self, features: Tensor) -> Tensor:
        """Cosines (cells, prototypes) of features (B, C, h, w)."""
        return unit(features.float(), dim=1).movedim(1, 3).flatten(0, 2) @ self.prototypes


def other_view(images: Tensor) -> Tensor:
    """Give images (B, 3, H, W) another gamma and noise, the same in all channels; mean 0 and variance 1."""
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    gamma = (GAMMA * torch.randn(len(images), 1, 1, 1, device=images.device)).exp()
    curved = ((images - low) / (high - low).clamp(min=1e-6)) ** gamma
    noise = NOISE * torch.randn_like(images[:, :1])
    return F.layer_norm(F.layer_norm(curved, curved.shape[1:]) + noise, curved.shape[1:])
