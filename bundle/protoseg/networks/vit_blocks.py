"""timm's transformer blocks in bfloat16 on a CPU: the same weights and outputs, with little beside the matrix products.

What the plain forward pass under autocast spends on other things, and what is done here instead:

- PyTorch's attention takes three times as long where the number of keys is no multiple of 16, and 18 x 18 patches and
  a class token are not. Keys are added, and masked.
- Each intermediate result is of the whole batch and leaves the cache before it is used. Here they are of a few images.
- Weights are cast, and brought into the processor's order, in every call of a layer. Here that is done once a batch,
  or once for all batches of a volume (`settled_weights`). A copy that is kept longer would have to follow training.

The residual stream and the normalisations stay float32, as under autocast.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import Attention, LayerScale, Mlp
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from protoseg.ops.chunking import fitting, in_chunks
from protoseg.ops.packed_linear import packed

__all__ = ["transform"]

KEY_STEP = 16


def transform(blocks: nn.Sequential, tokens: Tensor) -> Tensor:
    """What transformer blocks make of tokens (B, N, C); more may come back (B, N + m, C), which mean nothing."""
    if tokens.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return blocks(tokens)
    if torch.is_grad_enabled() or torch.get_autocast_dtype("cpu") != torch.bfloat16 or not all(map(_is_plain, blocks)):
        return _with_added_tokens(blocks, tokens)
    tokens = tokens.float().clone()
    for block in blocks:
        _attend(block, tokens)
        _perceive(block, tokens.flatten(0, 1))
    return tokens


def _is_plain(block: Any) -> bool:
    """Whether a block is in evaluation mode and has the parts that `_attend` and `_perceive` know, and no other."""
    if type(block) is not Block or block.training:
        return False
    attention, perceptron = block.attn, block.mlp
    if type(attention) is not Attention or type(perceptron) is not Mlp or type(perceptron.act) is not nn.GELU:
        return False
    layers = (attention.qkv, attention.proj, perceptron.fc1, perceptron.fc2)  # another type where LoRA adapts them
    absent = (attention.q_norm, attention.k_norm, attention.norm, perceptron.norm)
    return (
        all(type(layer) is nn.Linear for layer in layers)
        and all(isinstance(scale, LayerScale | nn.Identity) for scale in (block.ls1, block.ls2))
        and all(isinstance(norm, nn.LayerNorm) for norm in (block.norm1, block.norm2))
        and all(isinstance(part, nn.Identity) for part in absent)
        and attention.gate is None
        and perceptron.act.approximate == "none"
    )


def _attend(block: Any, tokens: Tensor) -> None:
    """Add to tokens (B, N, C) what attention makes of them."""
    images, length, _ = tokens.shape
    attention = block.attn
    channels = attention.qkv.out_features
    count = min(images, fitting(length * channels * 2, tokens.device))
    project_in = packed(attention.qkv, rows=count * length)
    project_out = packed(attention.proj, rows=count * length)
    missing = -length % KEY_STEP
    present = F.pad(torch.ones(1, 1, 1, length, dtype=torch.bool), (0, missing))
    padded = tokens.new_zeros(count, length + missing, channels, dtype=torch.bfloat16)
    for part in tokens.split(count):
        qkv = padded[: len(part)]
        qkv[:, :length] = project_in(_normalise(block.norm1, part))
        query, key, value = qkv.unflatten(2, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)  # B x heads x N x d
        attended = F.scaled_dot_product_attention(query[:, :, :length], key, value, attn_mask=present)
        _add(part, project_out(attended.transpose(1, 2).flatten(2)), block.ls1)


def _perceive(block: Any, tokens: Tensor) -> None:
    """Add to tokens (B * N, C) what the perceptron makes of them."""
    perceptron = block.mlp
    parts = in_chunks(tokens, perceptron.fc1.out_features * 2)
    expand = packed(perceptron.fc1, activation="gelu", rows=len(parts[0]))
    reduce = packed(perceptron.fc2, rows=len(parts[0]))
    for part in parts:
        _add(part, reduce(expand(_normalise(block.norm2, part))), block.ls2)


def _normalise(norm: nn.LayerNorm, tokens: Tensor) -> Tensor:
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
