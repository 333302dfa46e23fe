"""SAM and MedSAM: slices to embeddings, embeddings and prompts to masks.

Sources: SAM (arXiv 2304.02643); MedSAM (arXiv 2304.12306), whose weights have the layout of SAM ViT-B, but which has
another preprocessing, and was trained on boxes only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import torch
from segment_anything import modeling, sam_model_registry
from torch import Tensor, nn

from protoseg.errors import InputError
from protoseg.networks.weights import load_strict, read_state
from protoseg.ops.fingerprint import tensor_digest, weights_fingerprint
from protoseg.sam.decoder import FastMaskDecoder, TokenKind
from protoseg.sam.encoder import FastImageEncoder
from protoseg.sam.frame import SamFrame, pad_to_square
from protoseg.sam.prompts import Prompt

__all__ = ["Sam", "SamImageEncoder", "SamVariant", "load_sam"]

SamVariant = Literal["sam_vit_b", "sam_vit_l", "sam_vit_h", "medsam_vit_b"]


def load_sam(
    path: str | Path, variant: SamVariant, *, device: str | torch.device = "cpu", precision: str = "auto"
) -> Sam:
    """Load a checkpoint in segment-anything's layout.

    Args:
        path: path of the file.
        variant: model that the file holds.
        device: device to compute on.
        precision: precision of the image encoder's matrix products, see `resolve_precision`.

    Raises:
        InputError: for an unknown variant, and for a file that is missing, damaged, or of another size.
    """
    if variant not in get_args(SamVariant):
        raise InputError(f"The SAM variant is '{variant}'; choose one of {', '.join(get_args(SamVariant))}.")
    state = read_state(path, origin=f"the published file with protoseg fetch {variant}")
    stock = sam_model_registry[variant.partition("sam_")[2]]()
    load_strict(stock, state, source=path, target=variant)
    return Sam(stock.to(device), medsam=variant.startswith("medsam"), precision=precision)


class Sam(nn.Module):
    """SAM or MedSAM. For inference: it has no gradients.

    Args:
        stock: segment-anything's model, on its device; its parts are taken over, so it cannot be used any more.
        medsam: True for weights of MedSAM.
        precision: precision of the image encoder's matrix products, see `resolve_precision`.
    """

    def __init__(self, stock: modeling.Sam, *, medsam: bool = False, precision: str = "float32") -> None:
        super().__init__()
        self.boxes_only = medsam
        self.encoder = SamImageEncoder(stock, medsam=medsam, precision=precision)
        self.decoder = FastMaskDecoder(stock.prompt_encoder, stock.mask_decoder)
        self.eval()

    def frame(self, height: int, width: int) -> SamFrame:
        """Describe how a slice of H x W pixels is placed in the input."""
        return self.encoder.frame(height, width)

    @torch.no_grad()
    def decode(self, embedding: Tensor, prompts: Sequence[Prompt], frame: SamFrame) -> tuple[Tensor, Tensor]:
        """Decode masks for all prompts of a slice, in one batch; each result is as if it were alone.

        Args:
            embedding: (C, h, w) embedding of the slice.
            prompts: N prompts, each with a box or a point.
            frame: frame of the slice.

        Returns:
            Logits (N, M, size / 4, size / 4) and SAM's estimate of their IoU (N, M). SAM gives M = 4 masks, the first
            for an unambiguous prompt, the others for the whole, a part and a part of it; MedSAM M = 1.

        Raises:
            InputError: a prompt lies outside the slice, is empty, or is more than a box for MedSAM.
        """
        tokens = [self._tokens(prompt, frame) for prompt in prompts]
        device = embedding.device
        coordinates = nn.utils.rnn.pad_sequence([where for where, _ in tokens], batch_first=True)
        kinds = nn.utils.rnn.pad_sequence([kind for _, kind in tokens], True, float(TokenKind.ABSENT))
        masks = [None if prompt.mask is None else prompt.mask.to(device) for prompt in prompts]
        logits, quality = self.decoder(embedding, coordinates.to(device), kinds.to(device), masks)
        return (logits[:, :1], quality[:, :1]) if self.boxes_only else (logits, quality)

    def _tokens(self, prompt: Prompt, frame: SamFrame) -> tuple[Tensor, Tensor]:
        """Give coordinates (T, 2) in the input and kinds (T,) of the tokens of a prompt."""
        self._check(prompt, frame)
        corners = prompt.positive[:0] if prompt.box is None else prompt.box.reshape(2, 2)
        places = [frame.fit_points(points) for points in (prompt.positive, prompt.negative, corners)]
        kinds = [TokenKind.POSITIVE] * len(prompt.positive) + [TokenKind.NEGATIVE] * len(prompt.negative)
        if prompt.box is None:
            return torch.cat([*places, torch.zeros(1, 2)]), torch.tensor([*kinds, TokenKind.NO_BOX])
        return torch.cat(places), torch.tensor([*kinds, TokenKind.BOX_START, TokenKind.BOX_END])

    def _check(self, prompt: Prompt, frame: SamFrame) -> None:
        points = len(prompt.positive) + len(prompt.negative)
        if self.boxes_only and (points or prompt.mask is not None):
            found = f"{points} points" if points else "a mask"
            raise InputError(f"MedSAM got a prompt with {found}; it takes boxes only. Leave them out, or choose SAM.")
        if prompt.box is None and not points:
            raise InputError("A SAM prompt has neither a box nor a point; give one.")
        corners = [] if prompt.box is None else prompt.box.reshape(2, 2).tolist()
        for x, y in [*prompt.positive.tolist(), *prompt.negative.tolist(), *corners]:
            if not (0 <= x <= frame.width - 1 and 0 <= y <= frame.height - 1):
                raise InputError(
                    f"A SAM prompt at column {x:g}, row {y:g} lies outside the slice of {frame.width} columns and "
                    f"{frame.height} rows; columns count from 0 to {frame.width - 1}, rows to {frame.height - 1}."
                )


class SamImageEncoder(nn.Module):
    """Encodes slices as they are, resizing, normalizing and padding included, as `FeatureCache` expects."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, stock: modeling.Sam, *, medsam: bool, precision: str) -> None:
        super().__init__()
        self.medsam = medsam
        self.precision = precision
        # Taken from the stock encoder, because packed weights are not parameters.
        weights = weights_fingerprint(stock.image_encoder)
        scale = tensor_digest(torch.cat([stock.pixel_mean, stock.pixel_std])).hex()
        self._fingerprint = f"{'medsam' if medsam else 'sam'}-{weights}-{scale}"
        self.network = FastImageEncoder(stock.image_encoder, precision=precision)
        self.register_buffer("pixel_mean", stock.pixel_mean)
        self.register_buffer("pixel_std", stock.pixel_std)

    def frame(self, height: int, width: int) -> SamFrame:
        """Describe how a slice of H x W pixels is placed in the input."""
        return SamFrame(height, width, self.network.image_size, keep_aspect=not self.medsam)

    @torch.no_grad()
    def encode_alike(self, slices: Tensor) -> Tensor:
        """Embed slices (B, 3, H, W), uint8, one by one: (B, C, h, w), float32."""
        return torch.stack([self._embed(image) for image in slices])

    def encoding_fingerprint(self) -> str:
        """Give the digits that stand for everything `encode_alike` depends on, except number format and device."""
        return self._fingerprint

    def _embed(self, image: Tensor) -> Tensor:
        fitted = self.frame(*image.shape[-2:]).fit_images(image[None]).float()
        if self.medsam:
            low, high = fitted.aminmax()
            normalized = (fitted - low) / (high - low).clamp(min=1e-8)
        else:
            normalized = (fitted - self.pixel_mean) / self.pixel_std
        return self.network(pad_to_square(normalized, self.network.image_size))[0]
