"""The least time that SAM's image encoder can take: its matrix products and nothing else."""

import math
from functools import cache

import torch
from segment_anything.modeling import ImageEncoderViT

QUERIES = 256  # of global attention in one matrix product


class MatrixProducts:
    """The products of the encoder's transformer blocks over one image; memory is taken beforehand."""

    def __init__(self, encoder: ImageEncoderViT, dtype: torch.dtype) -> None:
        grid, channels = encoder.pos_embed.shape[2:]
        device = encoder.pos_embed.device

        @cache
        def operands(rows: int, inner: int, columns: int) -> list[torch.Tensor]:
            shapes = ((rows, inner), (inner, columns), (rows, columns))
            return [torch.ones(shape, dtype=dtype, device=device) for shape in shapes]

        self.products = []
        for block in encoder.blocks:
            for layer in (block.attn.qkv, block.attn.proj, block.mlp.lin1, block.mlp.lin2):
                self.products.append(operands(grid**2, layer.in_features, layer.out_features))
            side = block.window_size or grid
            heads = block.attn.num_heads
            queries = min(side**2, QUERIES)
            pair = [operands(queries, channels // heads, side**2), operands(queries, side**2, channels // heads)]
            self.products += pair * (heads * math.ceil(grid / side) ** 2 * side**2 // queries)

    def __call__(self) -> None:
        """Multiply."""
        for first, second, product in self.products:
            torch.mm(first, second, out=product)
