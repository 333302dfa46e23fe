"""Measure refinement by SAM ViT-B against segment-anything's own code, and against its matrix products alone.

Weights are random: they do not change the speed. Times are in seconds.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.modeling import ImageEncoderViT
from torch import nn
from tqdm import tqdm

from protoseg.engine.clicks import Click
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.refinement import CoarseSegmentation
from protoseg.engine.sam_refiner import SamRefiner
from protoseg.files import write_json
from protoseg.maths.precision import autocast, resolve_precision
from protoseg.maths.sam import Sam
from protoseg.maths.sam_decoder import TokenKind
from protoseg.maths.slices import fit_slices

GRID = 512  # pixels of a slice, each way
CELLS = 64  # of the coarse segmentation, each way
QUERIES = 256  # of global attention in one matrix product


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark refine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--precisions", nargs="+", default=["float32", "auto"], help="of the image encoder")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement, the median of which counts")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args(argv)
    device = torch.device(arguments.device)
    precisions = dict.fromkeys(str(resolve_precision(device, p)).split(".")[1] for p in arguments.precisions)
    figures: dict[str, dict[str, float]] = {}
    for precision in precisions:
        for name, value in RefineBenchmark(precision, device, arguments.repeats).measure().items():
            figures.setdefault(name, {})[precision] = float(f"{value:.3g}")
    print(f"{'':34}" + "".join(f"{precision:>12}" for precision in precisions))
    for name, values in figures.items():
        print(f"{name:34}" + "".join(f"{value:>12g}" for value in values.values()))
    if arguments.json is not None:
        write_json(arguments.json, figures)


class RefineBenchmark:
    """SAM ViT-B with the image encoder in one precision."""

    def __init__(self, precision: str, device: torch.device, repeats: int) -> None:
        self.precision, self.device, self.repeats = precision, device, repeats
        self.stock = _random_sam().to(device)
        self.sam = Sam(_random_sam().to(device), precision=precision)
        self.steps = tqdm(total=8, desc=f"refine {precision}", leave=False)

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """All figures; stock runs under autocast in the same precision."""
        figures = {**self._encoder(), **self._decoder(), **self._refiner()}
        self.steps.close()
        return figures

    def _encoder(self) -> dict[str, float]:
        image = torch.randn(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(0)).to(self.device)
        stock, fast = self.stock.image_encoder, self.sam.encoder.network
        ours = self._timed(lambda: fast(image))
        with autocast(self.device, self.precision):
            theirs = self._timed(lambda: stock(image))
            expected = stock(image).float()
        products = self._timed(MatrixProducts(stock, resolve_precision(self.device, self.precision)))
        return {
            "encoder": ours,
            "stock_encoder_over_ours": theirs / ours,
            "encoder_over_matrix_products": ours / products,
            "encoder_largest_difference": float((fast(image) - expected).abs().max()),
        }

    def _decoder(self) -> dict[str, float]:
        embedding = torch.randn(256, 64, 64, device=self.device)
        predictor = SamPredictor(self.stock)
        predictor.original_size, predictor.input_size, predictor.is_image_set = (GRID, GRID), (1024, 1024), True
        predictor.features = embedding[None]
        points = torch.rand(4, 2, 2, device=self.device) * 1000
        boxes = torch.tensor([[100.0, 100.0, 300.0, 300.0]], device=self.device).expand(4, -1)
        tokens = torch.cat([points, boxes.reshape(4, 2, 2)], dim=1)
        kind = [TokenKind.POSITIVE, TokenKind.POSITIVE, TokenKind.BOX_START, TokenKind.BOX_END]
        kinds = torch.tensor([kind] * 4, device=self.device)
        theirs = self._timed(lambda: predictor.predict_torch(points, torch.ones_like(points[..., 0]), boxes))
        ours = self._timed(lambda: self.sam.decoder(embedding, tokens, kinds, [None] * 4))
        return {"decoder_4_prompts": ours, "stock_decoder_4_prompts_over_ours": theirs / ours}

    def _refiner(self) -> dict[str, float]:
        one, four = self._timed(lambda: self._refine(1)), self._timed(lambda: self._refine(4))
        warm = FeatureCache()
        self._refine(1, warm)
        click = self._timed(lambda: self._refine(1, warm, [Click(0, 150, 90)]))
        return {"four_labels_over_one": four / one, "click_on_cached_embedding": click}

    def _refine(self, labels: int, features: FeatureCache | None = None, clicks: Sequence[Click] = ()) -> None:
        label_map = np.zeros((1, GRID, GRID), np.uint8)
        for label in range(1, labels + 1):
            label_map[0, 100:200, 120 * label - 80 : 120 * label] = label
        classes = torch.arange(1 + labels)[:, None, None]
        shares = fit_slices((torch.from_numpy(label_map)[:, None] == classes).float(), CELLS)
        names = tuple(f"label_{label}" for label in range(1, labels + 1))
        coarse = CoarseSegmentation(label_map, (0.9 * shares + 0.02).log().half(), names)
        slices = torch.from_numpy(label_map)[:, None].float()
        SamRefiner(sam=self.sam, cache=features).refine(slices, coarse, spacing=(1.0, 1.0, 1.0), clicks=clicks)

    def _timed(self, work: Callable[[], object]) -> float:
        work()  # warm-up
        seconds = []
        for _ in range(self.repeats):
            start = time.perf_counter()
            work()
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            seconds.append(time.perf_counter() - start)
        self.steps.update()
        return statistics.median(seconds)


def _random_sam() -> nn.Module:
    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"]()
    for name, parameter in sam.named_parameters():
        if "pos" in name:  # zero until trained
            nn.init.normal_(parameter, std=0.1)
    return sam.eval().requires_grad_(False)


class MatrixProducts:
    """The products of the encoder's transformer blocks over one image and nothing else; memory is taken beforehand."""

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
