"""Measure refinement by SAM ViT-B against segment-anything's own code, and against its matrix products alone.

Weights are random: they do not change the speed. Times are medians in seconds, ratios medians of those of works that
took turns, for what else the machine does changes from minute to minute. Differences are those of embeddings and of
mask logits from segment-anything's in float32. Each number format is measured in a process of its own, the memory
before segment-anything's model is loaded; bfloat16 only where the hardware multiplies it.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from segment_anything import SamPredictor, sam_model_registry
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks.matrix_products import MatrixProducts
from benchmarks.memory import peak_memory_gib
from protoseg.engine.clicks.click import Click
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.refiners.refiner import CoarseSegmentation
from protoseg.engine.refiners.sam import SamRefiner
from protoseg.files import write_json
from protoseg.labels import LabelSet
from protoseg.ops.precision import resolve_precision
from protoseg.ops.slices import fit_slices
from protoseg.sam.model import Sam
from protoseg.sam.prompts import Prompt

PRECISIONS = ("float32", "bfloat16")
GRID = 512  # pixels of a slice, each way
PATCHES = 64  # of the coarse segmentation, each way
CLICKS = 20  # timed
POINTS = np.array([[200.0, 150.0], [260.5, 99.0]])
LOGITS = torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
PROMPTS = (
    Prompt(positive=POINTS),
    Prompt(box=np.array([100, 120, 400, 280])),
    Prompt(box=np.array([30, 20, 90, 70]), positive=POINTS / 4, negative=np.array([[5.0, 250.0]])),
    Prompt(positive=POINTS, negative=POINTS / 2, mask=LOGITS),
)


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark refine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS, help="of the image encoder")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement, the median of which counts")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args(argv)
    device = torch.device(arguments.device)
    figures: dict[str, dict[str, float]] = {}
    for precision in arguments.precisions:
        if precision == "bfloat16" and resolve_precision(device, "auto") != torch.bfloat16:
            print(f"bfloat16: not on this {device.type.upper()}, which does not multiply it")
            continue
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            measured = process.submit(measure, precision, device, arguments.repeats).result()
        for name, value in measured.items():
            figures.setdefault(name, {})[precision] = float(f"{value:.3g}")
    formats = next(iter(figures.values()), {})
    threads = f"{device.type}, {torch.get_num_threads()} threads"
    print(f"{threads:38}" + "".join(f"{precision:>12}" for precision in formats))
    for name, values in figures.items():
        print(f"{name:38}" + "".join(f"{value:>12g}" for value in values.values()))
    if arguments.json is not None:
        write_json(arguments.json, figures)


@torch.no_grad()
def measure(precision: str, device: torch.device, repeats: int) -> dict[str, float]:
    """Measure all figures of one number format; segment-anything runs under autocast in the same."""
    sam = Sam(_random_sam(device), precision=precision)
    figures = {**_refinement(sam, repeats), "peak_memory_gib": peak_memory_gib(device)}
    stock = _random_sam(device)
    return {**_encoder(sam, stock, precision, repeats), **_decoder(sam, stock, repeats), **figures}


def _refinement(sam: Sam, repeats: int) -> dict[str, float]:
    """Slices as the refiner takes them, to refined label maps."""
    kept = FeatureCache()
    _refine(sam, 4, kept)
    _refine(sam, 1, kept)  # the picture shows the labels: another embedding
    (click,) = _timed(CLICKS, lambda: _refine(sam, 1, kept, [Click(0, 150, 90, "label_1")]))
    one, four = _timed(repeats, lambda: _refine(sam, 1), lambda: _refine(sam, 4))
    return {
        "refine_one_label": statistics.median(one),
        "four_labels_over_one": _ratio(four, one),
        "click_on_cached_embedding": statistics.median(click),
    }


def _refine(sam: Sam, labels: int, features: FeatureCache | None = None, clicks: Sequence[Click] = ()) -> None:
    """Refine one slice, all labels of which are drawn on it; without features it is embedded."""
    label_map = np.zeros((1, GRID, GRID), np.uint8)
    for label in range(1, labels + 1):
        label_map[0, 100:200, 120 * label - 80 : 120 * label] = label
    classes = torch.arange(1 + labels)[:, None, None]
    shares = fit_slices((torch.from_numpy(label_map)[:, None] == classes).float(), PATCHES)
    names = LabelSet({f"label_{label}": label for label in range(1, labels + 1)})
    coarse = CoarseSegmentation(label_map, (0.9 * shares + 0.02).log().half(), names)
    slices = torch.from_numpy(label_map)[:, None].float()
    SamRefiner(sam=sam, cache=features).refine(slices, coarse, spacing=(1.0, 1.0, 1.0), clicks=clicks)


def _encoder(sam: Sam, stock: nn.Module, precision: str, repeats: int) -> dict[str, float]:
    """The image encoders on one normalized image."""
    device = stock.pixel_mean.device
    image = torch.randn(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(0)).to(device)
    ours, theirs = sam.encoder.network, stock.image_encoder

    def under_autocast() -> Tensor:
        # Plainly, as its users would.
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            return theirs(image)

    exact = theirs(image)
    products = MatrixProducts(theirs, resolve_precision(device, precision))
    seconds, stock_seconds, product_seconds = _timed(repeats, lambda: ours(image), under_autocast, products)
    return {
        "encoder": statistics.median(seconds),
        "stock_encoder_over_ours": _ratio(stock_seconds, seconds),
        "encoder_over_matrix_products": _ratio(seconds, product_seconds),
        "embedding_largest_difference": _largest_difference(ours(image), exact),
        "stock_embedding_largest_difference": _largest_difference(under_autocast(), exact),
    }


def _decoder(sam: Sam, stock: nn.Module, repeats: int) -> dict[str, float]:
    """`SamPredictor` on a slice that is not square, and the same prompts here: from pixels to masks on its grid."""
    image = torch.randint(0, 256, (3, 400, GRID), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    predictor = SamPredictor(stock)
    predictor.set_image(image.permute(1, 2, 0).numpy())
    device = stock.pixel_mean.device
    frame, embedding = sam.frame(*image.shape[1:]), sam.encoder.encode_alike(image[None].to(device))[0]
    found = [frame.unfit_maps(logits) for logits in sam.decode(embedding, PROMPTS, frame)[0]]
    expected = [_predicted(predictor, prompt) for prompt in PROMPTS]
    boxes = torch.tensor([[100.0, 100.0, 300.0, 300.0]], device=device).expand(4, -1)
    points = (torch.rand(4, 2, 2) * 290).to(device)
    scale = 1024 / GRID
    alike = [Prompt(box=boxes[0].cpu().numpy(), positive=one) for one in points.cpu().numpy()]
    ours, theirs = _timed(
        repeats,
        lambda: sam.decode(embedding, alike, frame),
        lambda: predictor.predict_torch(points * scale, torch.ones_like(points[..., 0]), boxes * scale),
    )
    return {
        "masks_largest_difference": max(map(_largest_difference, found, expected)),
        "masks_standard_deviation": float(torch.cat(expected).std()),
        "decoder_4_prompts": statistics.median(ours),
        "stock_decoder_4_prompts_over_ours": _ratio(theirs, ours),
    }


def _predicted(predictor: SamPredictor, prompt: Prompt) -> Tensor:
    """Logits (4, H, W) by segment-anything: the mask for an unambiguous prompt and the three others."""
    points = np.concatenate([prompt.positive, prompt.negative])
    arguments = {
        "point_coords": points if len(points) else None,
        "point_labels": np.arange(len(points)) < len(prompt.positive) if len(points) else None,
        "box": prompt.box,
        "mask_input": None if prompt.mask is None else prompt.mask[None].numpy(),
        "return_logits": True,
    }
    masks = [predictor.predict(**arguments, multimask_output=several)[0] for several in (False, True)]
    return torch.from_numpy(np.concatenate(masks))


def _largest_difference(first: Tensor, second: Tensor) -> float:
    return float((first.float().cpu() - second.float().cpu()).abs().max())


def _ratio(above: list[float], below: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(above, below))


def _timed(repeats: int, *works: Callable[[], object]) -> list[list[float]]:
    """Seconds of each in each turn; they take turns, so that what else the machine does slows all alike.

    Each runs twice in its turn, and the second time counts: the first finds caches and memory as another left them.
    """
    seconds: list[list[float]] = [[] for _ in works]
    for _ in tqdm(range(repeats), leave=False):
        for work, taken in zip(works, seconds):
            for _ in range(2):
                start = time.perf_counter()
                work()
                if torch.cuda.is_initialized():
                    torch.cuda.synchronize()
                took = time.perf_counter() - start
            taken.append(took)
    return seconds


def _random_sam(device: torch.device) -> nn.Module:
    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"]()
    for name, parameter in sam.named_parameters():
        if "pos" in name:  # zero until trained
            nn.init.normal_(parameter, std=0.1)
    return sam.to(device).eval().requires_grad_(False)
