"""SAM's prompt encoder and mask decoder, fast: many prompts of one image at once, each as if it were alone.

segment-anything's decoder takes prompts of one kind with equally many points. Here they may differ: a shorter prompt is
padded with tokens that nothing attends to. Upscaling keeps the channels last, so that it consists of matrix products
too, and what all prompts have in common is computed once.

Source: SAM (arXiv 2304.02643, appendix A).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import torch
import torch.nn.functional as F
from segment_anything.modeling import MaskDecoder, PromptEncoder
from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock
from torch import Tensor, nn

__all__ = ["FastMaskDecoder", "TokenKind"]


class TokenKind(IntEnum):
    """Meaning of a prompt's token; the first four are SAM's own numbers."""

    NEGATIVE = 0
    POSITIVE = 1
    BOX_START = 2  # corner of least x and y
    BOX_END = 3
    NO_BOX = 4  # ends a prompt of points alone
    ABSENT = 5  # pads a shorter prompt


class FastMaskDecoder(nn.Module):
    """Computes what segment-anything's prompt encoder and mask decoder do. For inference: it has no gradients.

    Args:
        prompt_encoder: segment-anything's prompt encoder.
        mask_decoder: segment-anything's mask decoder; both are taken over, so do not change them afterwards.
    """

    positions: Tensor

    def __init__(self, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder) -> None:
        super().__init__()
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.requires_grad_(False)
        positions = prompt_encoder.get_dense_pe().flatten(2).transpose(1, 2).contiguous()
        self.register_buffer("positions", positions, persistent=False)  # 1 x h * w x C

    def forward(
        self, embedding: Tensor, coordinates: Tensor, kinds: Tensor, masks: Sequence[Tensor | None]
    ) -> tuple[Tensor, Tensor]:
        """Decode N prompts of T tokens on one image.

        Args:
            embedding: (C, h, w) embedding of the image.
            coordinates: (N, T, 2) coordinates, x and y in pixels of the encoder's input.
            kinds: (N, T) kinds of the tokens, see `TokenKind`.
            masks: logits (4 h, 4 w) that each prompt refines, or None.

        Returns:
            Logits (N, M, 4 h, 4 w) of M masks, the first for an unambiguous prompt, the others for the whole, a part
            and a part of it; and SAM's estimate of their IoU (N, M).
        """
        decoder = self.mask_decoder
        output = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([output.expand(len(kinds), -1, -1), self._embed_tokens(coordinates, kinds)], dim=1)
        present = F.pad(kinds != TokenKind.ABSENT, (len(output), 0), value=True)[:, None, None]  # N x 1 x 1 x keys
        image = (embedding + self._embed_masks(masks)).flatten(2).transpose(1, 2).contiguous()  # (1 or N) x h * w x C
        tokens, image = self._transform(tokens, image, None if present.all() else present, count=len(output))
        return self._masks(tokens[:, 1:], image), decoder.iou_prediction_head(tokens[:, 0])

    def _embed_tokens(self, coordinates: Tensor, kinds: Tensor) -> Tensor:
        encoder = self.prompt_encoder
        nothing = torch.zeros_like(encoder.not_a_point_embed.weight)
        rows = [*(embedding.weight for embedding in encoder.point_embeddings), encoder.not_a_point_embed.weight]
        learned = torch.cat([*rows, nothing])[kinds]
        placed = encoder.pe_layer.forward_with_coords(coordinates + 0.5, encoder.input_image_size)  # pixel centers
        return learned + placed * (kinds < TokenKind.NO_BOX)[..., None]

    def _embed_masks(self, masks: Sequence[Tensor | None]) -> Tensor:
        """Embed the prompts' masks, to be added to the image: (N, C, h, w), or (1, C, 1, 1) where there are none."""
        absent = self.prompt_encoder.no_mask_embed.weight[..., None, None]
        given = [index for index, mask in enumerate(masks) if mask is not None]
        if not given:
            return absent
        stacked = torch.stack([mask for mask in masks if mask is not None])[:, None]
        embedded = self.prompt_encoder.mask_downscaling(stacked)
        dense = absent.expand(len(masks), *embedded.shape[1:]).clone()
        dense[given] = embedded
        return dense

    def _transform(self, tokens: Tensor, image: Tensor, present: Tensor | None, *, count: int) -> tuple[Tensor, Tensor]:
        """Let tokens and image attend to each other; return only the first `count` tokens."""
        transformer = self.mask_decoder.transformer
        prompt = tokens
        for layer in transformer.layers:
            tokens, image = self._layer(layer, tokens, image, prompt, present)
        tokens, prompt = tokens[:, :count], prompt[:, :count]
        update = _attend_by_few(transformer.final_attn_token_to_image, tokens + prompt, image + self.positions, image)
        return transformer.norm_final_attn(tokens + update), image

    def _layer(
        self, layer: TwoWayAttentionBlock, tokens: Tensor, image: Tensor, prompt: Tensor, present: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        if layer.skip_first_layer_pe:
            tokens = _attend(layer.self_attn, tokens, tokens, tokens, present)
        else:
            placed = tokens + prompt
            tokens = tokens + _attend(layer.self_attn, placed, placed, tokens, present)
        tokens = layer.norm1(tokens)
        placed_image = image + self.positions
        tokens = layer.norm2(tokens + _attend(layer.cross_attn_token_to_image, tokens + prompt, placed_image, image))
        tokens = layer.norm3(tokens + layer.mlp(tokens))
        update = _attend(layer.cross_attn_image_to_token, placed_image, tokens + prompt, tokens, present)
        return tokens, layer.norm4(update.add_(image))

    def _masks(self, tokens: Tensor, image: Tensor) -> Tensor:
        """Compute logits (N, M, 4 h, 4 w) from mask tokens (N, M, C) and image (N, h * w, C)."""
        first, norm, activation, second, last_activation = self.mask_decoder.output_upscaling
        h, w = self.prompt_encoder.image_embedding_size
        image = F.layer_norm(_upscale(first, image), norm.weight.shape, norm.weight, norm.bias, norm.eps)
        image = last_activation(_upscale(second, activation(image)))  # N x h * w x 4 x 4 x C / 8
        heads = zip(self.mask_decoder.output_hypernetworks_mlps, tokens.unbind(1))
        weights = torch.stack([head(token) for head, token in heads], dim=1)  # N x M x C / 8
        masks = (weights @ image.flatten(1, 3).transpose(1, 2)).unflatten(2, (h, w, 2, 2, 2, 2))
        return masks.permute(0, 1, 2, 4, 6, 3, 5, 7).flatten(5).flatten(2, 4)


def _attend(layer: Attention, query: Tensor, key: Tensor, value: Tensor, present: Tensor | None = None) -> Tensor:
    """Apply an attention layer of SAM's decoder; a batch of one is shared by all prompts."""
    projected = [layer.q_proj(query), layer.k_proj(key), layer.v_proj(value)]
    count = max(len(part) for part in projected)
    heads = [part.unflatten(2, (layer.num_heads, -1)).transpose(1, 2).expand(count, -1, -1, -1) for part in projected]
    attended = F.scaled_dot_product_attention(heads[0], heads[1], heads[2], attn_mask=present)
    return layer.out_proj(attended.transpose(1, 2).flatten(2))


def _attend_by_few(layer: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend as `_attend`, but project queries to the keys, which is cheaper where there are few queries.

    The keys' bias is left out: it adds the same amount to all scores of a query.
    """
    heads = layer.q_proj(query).unflatten(2, (layer.num_heads, -1))  # N x T x n x d
    key_weight, value_weight = (
        part.weight.unflatten(0, (layer.num_heads, -1))  # n x d x C
        for part in (layer.k_proj, layer.v_proj)
    )
    placed = torch.einsum("btnd,ndc->btnc", heads, key_weight).flatten(1, 2)
    scores = (placed @ key.transpose(1, 2)) / heads.shape[-1] ** 0.5
    found = (scores.softmax(-1) @ value).unflatten(1, (-1, layer.num_heads))  # N x T x n x C
    attended = torch.einsum("btnc,ndc->btnd", found, value_weight).flatten(2)
    return layer.out_proj(attended + layer.v_proj.bias)


def _upscale(layer: nn.ConvTranspose2d, image: Tensor) -> Tensor:
    """Apply a transposed convolution of kernel and stride 2, channels last: (..., C) to (..., 4, C'), row by row."""
    weight = layer.weight.permute(2, 3, 1, 0).flatten(0, 2)  # 4 * C' x C
    bias = None if layer.bias is None else layer.bias.repeat(4)
    return F.linear(image, weight, bias).unflatten(-1, (4, -1))
