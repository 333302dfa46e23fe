"""The encoder of the ALPNet baseline: the dilated ResNet-101 of DeepLabv3."""

from pathlib import Path

from torch import Tensor, nn
from torchvision.models.segmentation import DeepLabV3_ResNet101_Weights, deeplabv3_resnet101

from protoseg.networks.encoder import Encoder
from protoseg.networks.weights import load_strict, read_state

__all__ = ["DeepLabEncoder"]

_HEADS = ("classifier.", "aux_classifier.", "fc.")


class DeepLabEncoder(Encoder):
    """Encode (B, 3, H, W) to (B, 256, H / 8, W / 8): dilated ResNet-101, then a 1 x 1 convolution.

    `weights` is a local file in torchvision's layout: DeepLabv3-ResNet101 (without its heads)
    or ResNet-101. Neither contains the 1 x 1 convolution, which has to be trained.
    Raises InputError when the file is missing or holds another network.
    Source: SSL-ALPNet, Ouyang et al., arXiv 2007.09886.
    """

    channels = 256
    stride = 8

    def __init__(self, *, weights: str | Path | None = None) -> None:
        super().__init__()
        state = None if weights is None else read_state(weights, origin=DeepLabV3_ResNet101_Weights.DEFAULT.url)
        self.backbone = deeplabv3_resnet101(weights=None, weights_backbone=None).backbone
        self.localconv = nn.Conv2d(2048, self.channels, kernel_size=1, bias=False)
        if state is not None:
            backbone = {
                name.removeprefix("backbone."): tensor for name, tensor in state.items() if not name.startswith(_HEADS)
            }
            load_strict(self.backbone, backbone, source=str(weights), target="the ResNet-101 of DeepLabv3")

    def encode(self, image: Tensor) -> Tensor:
        """Encode (B, 3, H, W) to (B, 256, H / 8, W / 8)."""
        return self.localconv(self.backbone(image)["out"])
