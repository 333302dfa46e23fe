"""SAM's image encoder, fast: segment-anything's weights and outputs, with little work beside the matrix products.

Where the stock forward pass spends time on other things, and what is done here instead:

- It holds attention weights of 12 x 4096 x 4096 and passes over them once for each term of the relative positions.
  Here positions are the bias of `scaled_dot_product_attention`, made for some heads or queries at a time: the scores of
  a query for every row and column, times a matrix that tells each key's row and column. Matrix units do that faster
  than other units add; only in float32 do so many zeros cost more than a sum.
- It projects the padding of windows. Padding is zero, so its queries, keys and values are the projection's bias.
- It looks up relative positions in every pass, casts all weights under autocast, and brings them into the processor's
  order. Here that is done once.

In bfloat16 the operands of the matrix products are bfloat16; the residual stream and the normalizations stay float32.

Source: SAM (arXiv 2304.02643); decomposed relative positions: MViTv2 (arXiv 2112.01526).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Block, get_rel_pos
from torch import Tensor, nn

from protoseg.ops.chunking import fitting, in_chunks
from protoseg.ops.packed_linear import PackedLinear
from protoseg.ops.precision import resolve_precision

__all__ = ["FastImageEncoder"]

# Bytes of the bias of global attention in one step: PyTorch rearranges all keys in every call, which takes longer than
# leaving the cache.
BIAS_STEPS = 4
KEY_STEP = 16


class FastImageEncoder(nn.Module):
    """Computes what segment-anything's `ImageEncoderViT` does. For inference: it has no gradients.

    Args:
        stock: stock encoder, on the device where it stays; its parts are taken over, so it cannot be used any more.
        precision: precision of the matrix products, see `resolve_precision`.
    """

    def __init__(self, stock: ImageEncoderViT, *, precision: str = "float32") -> None:
        super().__init__()
        dtype = resolve_precision(next(stock.parameters()).device, precision)
        self.image_size = stock.img_size
        self.grid = stock.img_size // stock.patch_embed.proj.stride[0]  # tokens along each side
        self.patch_embed = stock.patch_embed
        self.pos_embed = stock.pos_embed
        self.blocks = nn.ModuleList(_FastBlock(block, self.grid, dtype) for block in stock.blocks)
        self.neck = stock.neck
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Embed images (B, 3, S, S), normalized and padded to S = image_size: (B, 256, S / 16, S / 16) float32.

        Images are embedded one by one: each keeps the processor busy, and gives the same bits in any batch.
        """
        return torch.cat([self._embed(image) for image in images.split(1)])

    def _embed(self, image: Tensor) -> Tensor:
        # The convolution leaves channels apart in memory, and so would every sum with its result.
        tokens = (self.patch_embed(image) + self.pos_embed).flatten(0, 2).contiguous()  # L x C
        for block in self.blocks:
            tokens = block(tokens)
        return self.neck(tokens.T.reshape(1, -1, self.grid, self.grid))


class _FastBlock(nn.Module):
    """A transformer block over the L = grid x grid tokens of one image.

    Attention is within the side x side tokens of a window; in global attention the image is one window.
    """

    padding: Tensor
    vertical: Tensor
    horizontal: Tensor
    places: Tensor
    in_windows: Tensor
    in_image: Tensor

    def __init__(self, stock: Block, grid: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.heads = stock.attn.num_heads
        self.windowed = stock.window_size > 0
        self.side = stock.window_size or grid
        self.bias_by_product = self.windowed or dtype != torch.float32
        self.norm1, self.norm2 = stock.norm1, stock.norm2
        self.dtype = dtype
        self.qkv, self.proj = _product(stock.attn.qkv, dtype), _product(stock.attn.proj, dtype)
        self.expand, self.reduce = _product(stock.mlp.lin1, dtype, "gelu"), _product(stock.mlp.lin2, dtype)
        self.hidden = stock.mlp.lin1.out_features
        self.register_buffer("padding", stock.attn.qkv.bias.detach().to(dtype)[None])  # its query, key and value
        for name, distances in (("vertical", stock.attn.rel_pos_h), ("horizontal", stock.attn.rel_pos_w)):
            positions = get_rel_pos(self.side, self.side, distances.detach()).to(dtype)
            self.register_buffer(name, positions)  # side (query) x side (key) x d
        places = torch.cartesian_prod(torch.arange(self.side), self.side + torch.arange(self.side)).to(distances.device)
        self.register_buffer("places", F.one_hot(places).sum(1).T.to(dtype), persistent=False)  # 2 * side x keys
        # Only in bfloat16 is PyTorch slow where the number of keys is not a multiple of 16.
        self.added_keys = -(self.side**2) % KEY_STEP if dtype == torch.bfloat16 else 0
        in_windows, in_image = _window_order(grid, self.side, self.added_keys, self.vertical.device)
        self.register_buffer("in_windows", in_windows, persistent=False)
        self.register_buffer("in_image", in_image, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Transform tokens (L, C), float32, by attention and perceptron."""
        tokens += self.proj(self._attend(tokens))
        for part in in_chunks(tokens, self.hidden * self.dtype.itemsize):
            part += self.reduce(self.expand(self.norm2(part).to(self.dtype)))
        return tokens

    def _attend(self, tokens: Tensor) -> Tensor:
        qkv = torch.empty(len(tokens) + 1, self.padding.shape[1], dtype=self.dtype, device=tokens.device)
        row_bytes = qkv.stride(0) * qkv.itemsize
        for part, place in zip(in_chunks(tokens, row_bytes), in_chunks(qkv[:-1], row_bytes)):
            place.copy_(self.qkv(self.norm1(part).to(self.dtype)))
        qkv[-1:] = self.padding
        return self._attend_in_windows(qkv) if self.windowed else self._attend_globally(qkv[:-1])

    def _attend_in_windows(self, qkv: Tensor) -> Tensor:
        length, keys = self.side**2, self.side**2 + self.added_keys
        bias = self.heads * length * keys  # values, of a window
        windows = min(fitting(bias * qkv.itemsize, qkv.device), len(self.in_windows) // keys)
        room = qkv.new_full((windows * bias,), -torch.inf)  # where it stays for added keys
        parts = []
        for order in self.in_windows.split(windows * keys):
            part = qkv.index_select(0, order).unflatten(0, (-1, keys)).unflatten(2, (3, self.heads, -1))
            query, key, value = part.permute(2, 0, 3, 1, 4)  # B x n x keys x d
            parts.append(self._attention(query[:, :, :length], key, value, self.vertical, room))
        return torch.cat(parts).flatten(2).flatten(0, 1).index_select(0, self.in_image)

    def _attend_globally(self, qkv: Tensor) -> Tensor:
        query, key, value = qkv.unflatten(1, (3, self.heads, -1)).permute(1, 2, 0, 3)[:, None]  # 1 x n x L x d
        row_bytes = self.side**3 * qkv.itemsize  # of the bias of a head
        count = min(fitting(self.side * row_bytes, qkv.device), self.heads)
        rows = min(BIAS_STEPS * fitting(row_bytes, qkv.device), self.side)
        room = qkv.new_empty(count * rows * self.side**3)
        result = torch.empty_like(qkv[:, : qkv.shape[1] // 3]).unflatten(1, (self.heads, -1))  # L x n x d
        for first in range(0, self.heads, count):
            heads = slice(first, first + count)
            for top in range(0, self.side, rows):
                queries = slice(top * self.side, (top + rows) * self.side)
                result[queries, heads] = self._attention(
                    query[:, heads, queries], key[:, heads], value[:, heads], self.vertical[top : top + rows], room
                )
        return result.flatten(1)

    def _attention(self, query: Tensor, key: Tensor, value: Tensor, vertical: Tensor, room: Tensor) -> Tensor:
        """Let some rows of queries (B, n, rows * side, d) attend to whole windows: (B, rows * side, n, d).

        The bias is written to `room` again and again, because memory that was just used is in the cache.
        """
        grid = query.unflatten(2, (-1, self.side))
        by_row = torch.einsum("bnhwc,hkc->bnhwk", grid, vertical)
        by_column = torch.einsum("bnhwc,wkc->bnhwk", grid, self.horizontal)
        shape = (*query.shape[:3], key.shape[2])
        bias = room[: math.prod(shape)]
        if self.bias_by_product:
            both = torch.cat([by_row, by_column], -1).flatten(0, 3)
            torch.mm(both, self.places, out=bias.view(len(both), -1)[:, : self.side**2])
        else:
            torch.add(by_row[..., :, None], by_column[..., None, :], out=bias.view(*by_row.shape, self.side))
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias.view(shape)).transpose(1, 2)


def _product(
    layer: nn.Linear, dtype: torch.dtype, activation: Literal["none", "gelu"] = "none"
) -> Callable[[Tensor], Tensor]:
    """Combine a linear layer and its activation in a number format."""
    if dtype == torch.bfloat16:
        return PackedLinear(layer, activation=activation)
    layer = layer.to(dtype)
    return nn.Sequential(layer, nn.GELU()) if activation == "gelu" else layer


def _window_order(grid: int, side: int, added: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Tell which token of an image is at each place of its windows, and at which of those places each token is.

    Padding is token grid * grid, and so are the places that are added to each window; the second result counts
    without these.
    """
    tokens = torch.arange(grid**2, device=device).reshape(grid, grid)
    missing = -grid % side
    padded = F.pad(tokens, (0, missing, 0, missing), value=grid**2)
    windows = padded.unflatten(1, (-1, side)).unflatten(0, (-1, side)).transpose(1, 2).flatten(2).flatten(0, 1)
    return F.pad(windows, (0, added), value=grid**2).flatten(), windows.flatten().argsort()[: grid**2]
