"""timm's transformer blocks in bfloat16 on a CPU: the same weights and outputs, with little work but matrix products.

Where the plain forward pass under autocast spends time on other things, and what is done here instead:

- PyTorch's attention takes three times as long where the number of keys is not a multiple of 16, and 18 x 18 patches
  and a class token are not. Keys are added, and masked.
- Each intermediate result is of the whole batch and leaves the cache before it is used. Here it is of a few images.
- Weights are cast, and brought into the processor's order, in every call of a layer. Here that is done once a batch;
  a frozen encoder does it once (`packed_blocks`).

The residual stream and the normalizations stay float32, as under autocast.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import Attention, LayerScale, Mlp
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from protoseg.ops.chunking import fitting, in_chunks
from protoseg.ops.packed_linear import PackedLinear

__all__ = ["PackedBlock", "packed_blocks", "transform", "transform_packed"]

KEY_STEP = 16


def transform(blocks: nn.Sequential, tokens: Tensor) -> Tensor:
    """Apply blocks to tokens (B, N, C); more tokens may be returned (B, N + m, C), which mean nothing."""
    if tokens.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return blocks(tokens)
    if torch.is_grad_enabled() or torch.get_autocast_dtype("cpu") != torch.bfloat16 or not all(map(_is_plain, blocks)):
        return _with_added_tokens(blocks, tokens)
    return transform_packed(map(PackedBlock, blocks), tokens)  # one after the other, to hold one copy at a time


def packed_blocks(blocks: nn.Sequential, dtype: torch.dtype) -> list[PackedBlock] | None:
    """Pack transformer blocks as they are now, for `transform_packed`.

    Returns None where that would differ from `transform` under autocast to `dtype`: on another device, in another
    number format, or with blocks that have other parts.
    """
    on_cpu = all(parameter.device.type == "cpu" for parameter in blocks.parameters())
    if dtype != torch.bfloat16 or not on_cpu or not all(map(_is_plain, blocks)):
        return None
    return [PackedBlock(block) for block in blocks]


def transform_packed(blocks: Iterable[PackedBlock], tokens: Tensor) -> Tensor:
    """Apply packed blocks to tokens (B, N, C)."""
    tokens = tokens.float().clone()
    for block in blocks:
        block.attend(tokens)
        block.perceive(tokens.flatten(0, 1))
    return tokens


class PackedBlock:
    """A transformer block as it is now, with packed weights.

    Args:
        block: timm's block, with the parts that `_is_plain` asks for; normalizations and layer scales are taken over.
    """

    def __init__(self, block: Any) -> None:
        attention, perceptron = block.attn, block.mlp
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.scale1, self.scale2 = block.ls1, block.ls2
        self.heads: int = attention.num_heads
        self.project_in, self.project_out = PackedLinear(attention.qkv), PackedLinear(attention.proj)
        self.expand, self.reduce = PackedLinear(perceptron.fc1, activation="gelu"), PackedLinear(perceptron.fc2)
        self.channels: int = attention.qkv.out_features
        self.hidden: int = perceptron.fc1.out_features

    def attend(self, tokens: Tensor) -> None:
        """Add to tokens (B, N, C) their attention, in place."""
        images, length, _ = tokens.shape
        count = min(images, fitting(length * self.channels * 2, tokens.device))
        missing = -length % KEY_STEP
        present = F.pad(torch.ones(1, 1, 1, length, dtype=torch.bool), (0, missing))
        padded = tokens.new_zeros(count, length + missing, self.channels, dtype=torch.bfloat16)
        for part in tokens.split(count):
            qkv = padded[: len(part)]
            qkv[:, :length] = self.project_in(_normalize(self.norm1, part))
            query, key, value = qkv.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # B x heads x N x d
            attended = F.scaled_dot_product_attention(query[:, :, :length], key, value, attn_mask=present)
            _add(part, self.project_out(attended.transpose(1, 2).flatten(2)), self.scale1)

    def perceive(self, tokens: Tensor) -> None:
        """Add to tokens (B * N, C) the output of the perceptron, in place."""
        for part in in_chunks(tokens, self.hidden * 2):
            _add(part, self.reduce(self.expand(_normalize(self.norm2, part))), self.scale2)


def _is_plain(block: Any) -> bool:
    """Tell whether a block is in evaluation mode and has just the parts that `PackedBlock` knows."""
    if type(block) is not Block or block.training:
        return False
    attention, perceptron = block.attn, block.mlp
    if type(attention) is not Attention or type(perceptron) is not Mlp or type(perceptron.act) is not nn.GELU:
        return False
    layers = (attention.qkv, attention.proj, perceptron.fc1, perceptron.fc2)  # of another type where LoRA adapts them
    absent = (attention.q_norm, attention.k_norm, attention.norm, perceptron.norm)
    return (
        all(type(layer) is nn.Linear for layer in layers)
        and all(isinstance(scale, LayerScale | nn.Identity) for scale in (block.ls1, block.ls2))
        and all(isinstance(norm, nn.LayerNorm) for norm in (block.norm1, block.norm2))
        and all(isinstance(part, nn.Identity) for part in absent)
        and attention.gate is None
        and perceptron.act.approximate == "none"
    )


def _normalize(norm: nn.LayerNorm, tokens: Tensor) -> Tensor:
    return F.layer_norm(tokens, norm.normalized_shape, norm.weight, norm.bias, norm.eps).bfloat16()


def _add(tokens: Tensor, change: Tensor, scale: Any) -> None:
    if isinstance(scale, LayerScale):
        tokens.addcmul_(change, scale.gamma)
    else:
        tokens += change


def _with_added_tokens(blocks: nn.Sequential, tokens: Tensor) -> Tensor:
    length = tokens.shape[1]
    missing = -length % KEY_STEP
    present = F.pad(torch.ones(1, 1, 1, length, dtype=torch.bool), (0, missing))
    tokens = F.pad(tokens, (0, 0, 0, missing))
    for block in blocks:
        tokens = block(tokens, attn_mask=present)
    return tokens
