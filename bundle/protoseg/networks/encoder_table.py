"""The encoders that can be chosen by name: model, input size, and the file of its published weights."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from protoseg.errors import InputError
from protoseg.networks.fpn import FPNEncoder, fpn_encoder

__all__ = ["ENCODERS", "SHIPPED", "EncoderEntry", "input_size", "named_encoder"]

SHIPPED = "fpn"  # its weights come with the bundle, as those of the whole network


class EncoderEntry(NamedTuple):
    """One encoder."""

    model: str  # name of the timm model, or "fpn" or "deeplabv3_resnet101"
    image_size: int  # edge of the input in pixels, a multiple of the patches
    file: str  # name of the published weights in the folder of models; empty for none
    licence: str  # of those weights, as their publisher states it; check it there before you use them
    source: str


def _dinov2(size: str, word: str) -> dict[str, EncoderEntry]:
    plain, registers = f"vit_{word}_patch14_dinov2.lvd142m", f"vit_{word}_patch14_reg4_dinov2.lvd142m"
    file = f"dinov2_vit{size}14"
    return {
        file: EncoderEntry(plain, 252, f"{file}_pretrain.pth", "Apache-2.0", "arXiv 2304.07193"),
        f"{file}_reg": EncoderEntry(registers, 252, f"{file}_reg4_pretrain.pth", "Apache-2.0", "arXiv 2309.16588"),
    }


def _hub(model: str, licence: str, source: str) -> EncoderEntry:
    """Describe a model whose weights are in timm's layout."""
    return EncoderEntry(model, 256, f"{model}.safetensors", licence, source)


ENCODERS = {
    SHIPPED: EncoderEntry("fpn", 256, "", "that of this bundle", "Lin et al., arXiv 1612.03144"),
    **_dinov2("s", "small"),
    **_dinov2("b", "base"),
    **_dinov2("l", "large"),
    **_dinov2("g", "giant"),
    "dinov3_vits16": _hub("vit_small_patch16_dinov3.lvd1689m", "DINOv3 License", "arXiv 2508.10104"),
    "dino_vits16": EncoderEntry(
        "vit_small_patch16_224.dino", 256, "dino_deitsmall16_pretrain.pth", "Apache-2.0", "arXiv 2104.14294"
    ),
    "mae_vitb16": EncoderEntry(
        "vit_base_patch16_224.mae", 256, "mae_pretrain_vit_base.pth", "CC-BY-NC-4.0", "arXiv 2111.06377"
    ),
    "clip_vitb16": _hub("vit_base_patch16_clip_quickgelu_224.openai", "MIT", "arXiv 2103.00020"),
    "convnext_tiny": _hub("convnext_tiny.fb_in22k", "Apache-2.0", "arXiv 2201.03545"),
    # The encoder of the ALPNet baseline. Its last convolution comes without weights, so it is useless when frozen.
    "deeplabv3_resnet101": EncoderEntry(
        "deeplabv3_resnet101", 256, "deeplabv3_resnet101_coco-586e9e4e.pth", "BSD-3-Clause", "arXiv 2007.09886"
    ),
}


def named_encoder(
    name: str | nn.Module,
    *,
    models: str | Path,
    network_weights: str | Path | None = None,
    header: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    **options: Any,
) -> nn.Module:
    """Make an encoder by its name, with its published weights.

    Args:
        name: name in the table; an encoder that is made already is returned.
        models: folder of published weights.
        network_weights: checkpoint of the whole network, if any: it makes the encoder's own needless.
        header: header of that checkpoint.
        weights: checkpoint of the encoder, if it is not in `models`.
        **options: options of the encoder, such as `channels` of `FPNEncoder`.

    Raises:
        InputError: there is no such name, or the checkpoint is missing or does not fit.
    """
    if isinstance(name, nn.Module):
        return name
    entry = _entry(name)
    if network_weights is None and weights is None and entry.file:
        weights = Path(models) / entry.file
    if entry.model == "fpn":
        return FPNEncoder(**options) if options else fpn_encoder((header or {}).get("members"))
    # Imported only when needed: timm and torchvision take seconds.
    if entry.model == "deeplabv3_resnet101":
        from protoseg.networks.deeplab import DeepLabEncoder

        return DeepLabEncoder(weights=weights, **options)
    from protoseg.networks.encoders import TimmEncoder

    return TimmEncoder(entry.model, weights=weights, **options)


def input_size(header: Mapping[str, Any], encoder: str | nn.Module) -> int:
    """Tell the edge of the network's input in pixels: from the weights' header, or else the usual one of the encoder.

    It is 256 for an encoder that is not in the table.
    """
    usual = _entry(encoder).image_size if isinstance(encoder, str) else 256
    return int(header.get("image_size", usual))


def _entry(name: str) -> EncoderEntry:
    if name in ENCODERS:
        return ENCODERS[name]
    close = difflib.get_close_matches(str(name), ENCODERS, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    raise InputError(
        f"There is no encoder '{name}'; choose {', '.join(sorted(ENCODERS))}.{hint} For another model of timm, set "
        "encoder_def to protoseg.networks.encoders.TimmEncoder."
    )
