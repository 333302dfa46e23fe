"""Measure the engine against the bare encoder and against the published procedure: ratios, all from this run.

The published procedure encodes support and query together for every slice and every label, in float32, one slice a
call. The weights of the FPN are those that ship; others are random.
"""

import argparse
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.memory import peak_memory_gib
from benchmarks.published import published_procedure
from protoseg import bundle_root
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.one_shot import OneShotSettings, segment
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SupportSet, support_from_scan
from protoseg.files import write_json
from protoseg.labels import LabelSet
from protoseg.matching.kernel_matching import KernelMatching
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.encoders import TimmEncoder
from protoseg.networks.fpn import FPNEncoder
from protoseg.networks.weights import load_weights
from protoseg.ops.precision import resolve_precision
from protoseg.ops.slices import axial_slices, network_input

ENCODERS: dict[str, tuple[Callable[[], torch.nn.Module], int]] = {
    "fpn": (FPNEncoder, 256),
    "vit_s14": (lambda: TimmEncoder("vit_small_patch14_dinov2.lvd142m"), 252),
    "vit_b14": (lambda: TimmEncoder("vit_base_patch14_dinov2.lvd142m"), 252),
    "vit_l14": (lambda: TimmEncoder("vit_large_patch14_dinov2.lvd142m"), 252),
}
GRID = 512  # pixels of a slice, each way
STRIPE = 16  # pixels from one to the next
BATCH = 8
LABELS = 4
SLICES = 64
PUBLISHED_SLICES = 2  # that the published procedure segments: each takes as long as the next


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark engine", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--encoders", nargs="+", choices=list(ENCODERS), default=list(ENCODERS), help="what to measure")
    parser.add_argument("--precisions", nargs="+", default=["float32", "auto"], help="of the encoder")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of measurements, the median of which counts")
    parser.add_argument("--quick", action="store_true", help="small encoders, few slices, one round: a minute at most")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args(argv)
    slices = 8 if arguments.quick else SLICES
    encoders = ["fpn", "vit_s14"] if arguments.quick else arguments.encoders
    device = torch.device(arguments.device)
    precisions = list(dict.fromkeys(str(resolve_precision(device, p)).split(".")[1] for p in arguments.precisions))
    repeats = 1 if arguments.quick else arguments.repeats
    # A process that asked for CUDA cannot be forked; elsewhere a fork saves importing everything again.
    processes = multiprocessing.get_context("spawn" if device.type == "cuda" else "fork")
    figures: dict[str, dict[str, float]] = {}
    for encoder in encoders:
        for precision in precisions:
            with ProcessPoolExecutor(1, processes) as process:  # for memory of its own
                measured = process.submit(measure, encoder, precision, device, slices, repeats).result()
            for name, value in measured.items():
                figures.setdefault(name, {})[f"{encoder} {precision}"] = round(value, 3)
    _print_table(figures)
    if arguments.json is not None:
        write_json(arguments.json, figures)


def measure(encoder: str, precision: str, device: torch.device, slices: int, repeats: int) -> dict[str, float]:
    """Measure all figures of an encoder in a precision."""
    return Benchmark(encoder, precision, device, slices).measure(repeats)


class Benchmark:
    """One encoder in one precision."""

    def __init__(self, encoder: str, precision: str, device: torch.device, slices: int) -> None:
        torch.manual_seed(0)
        build, self.size = ENCODERS[encoder]
        self.name = f"{encoder} {precision}"
        self.device = device
        network = ALPNet(encoder=build(), matching=KernelMatching(), precision=precision).eval()
        if encoder == "fpn":
            load_weights(network, Path(bundle_root()) / "models" / "model.pt")
        self.network = network.to(device, memory_format=torch.channels_last)  # as the bundle's configs have it
        self.encoder = SliceEncoder(self.network, self.size)
        self.volume, self.drawn = _phantom(slices)
        self.support = self._support(LABELS)

    @torch.no_grad()
    def measure(self, repeats: int) -> dict[str, float]:
        """Measure all figures of this encoder; times are of whole passes over the volume, caches empty unless said.

        A figure is the median of ratios, each within one round, of a pass to those next to it: what else the machine
        does changes from minute to minute.
        """
        slices = self.drawn.shape[-1]
        images = network_input(axial_slices(self.volume), range(slices), size=self.size, adjacent=False)
        one_label, eight_labels = self._support(1), self._support(8)
        # The same support slice, with another label drawn on it.
        second_label = replace(one_label, labels=LabelSet({"label_2": 2}), components={"label_2": 1})

        def one_round() -> dict[str, float]:
            cache = FeatureCache()
            works: dict[str, Callable[[], object]] = {
                "bare": lambda: self._bare(images),
                "engine": lambda: self._segment(self.support),
                "bare after": lambda: self._bare(images),
                "engine before": lambda: self._segment(self.support),
                "longer": lambda: self._segment(self.support, repeats=4),
                "engine after": lambda: self._segment(self.support),
                "published": lambda: self._published(slices=PUBLISHED_SLICES),
                "one": lambda: self._segment(one_label, cache),
                "second": lambda: self._segment(second_label, cache),
                "eight": lambda: self._segment(eight_labels),
                "one after": lambda: self._segment(one_label),
            }
            return {name: _seconds(work, self.device) for name, work in works.items()}

        self._bare(images[:BATCH])  # warm-up: thread pools, memory, position embeddings
        rounds = [one_round() for _ in tqdm(range(repeats), self.name, unit="round", leave=False)]

        def ratio(above: str, *below: str) -> float:
            return statistics.median(
                seconds[above] / statistics.mean(seconds[name] for name in below) for seconds in rounds
            )

        return {
            "engine_over_bare_encoder": ratio("engine", "bare", "bare after"),
            "published_over_engine": ratio("published", "engine after") * slices / PUBLISHED_SLICES,
            "eight_labels_over_one": ratio("eight", "one", "one after"),
            "second_label_over_first": ratio("second", "one"),
            "slices_256_over_64": ratio("longer", "engine before", "engine after"),  # or 32 over 8 with --quick
            "peak_memory_gib": peak_memory_gib(self.device),
        }

    def _support(self, labels: int) -> SupportSet:
        names = {f"label_{value}": value for value in range(1, labels + 1)}
        return support_from_scan(self.volume, self.drawn, names, scan="phantom", image_size=self.size)

    def _segment(self, support: SupportSet, cache: FeatureCache | None = None, repeats: int = 1) -> None:
        # Noise of its own in each repeat, or the cache would know the slices.
        volume = torch.cat([self.volume + 1e-3 * index for index in range(repeats)], dim=-1)
        segment(
            volume,
            support,
            self.encoder.with_cache(cache or FeatureCache()),
            OneShotSettings(batch_size=BATCH),
        )

    def _bare(self, images: torch.Tensor) -> None:
        """Encode slices that are ready, in the engine's batches."""
        for batch in images.split(BATCH):
            self.encoder.frozen.encode_alike(batch.to(self.device))

    def _published(self, slices: int) -> None:
        """Run the published procedure over the first slices of the volume."""
        masks = self.support.one_hot()[:LABELS].to(self.device)
        published_procedure(self.network.encoder, axial_slices(self.volume), range(slices), self.support.images, masks)


def _phantom(slices: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise (1, X, Y, Z) with eight blocks, and the blocks' labels; each label is on every slice.

    Each block has stripes of its own direction, by which random weights tell it from all else: labels come out in one
    piece, as organs do by trained weights.
    """
    generator = torch.Generator().manual_seed(0)
    volume = 0.1 * torch.randn(1, GRID, GRID, slices, generator=generator)
    drawn = torch.zeros(1, GRID, GRID, slices, dtype=torch.int16)
    place = torch.arange(GRID, dtype=torch.float32)
    for value in range(1, 9):
        row, column = divmod(value - 1, 4)
        block = (0, slice(32 + 112 * column, 112 + 112 * column), slice(96 + 160 * row, 208 + 160 * row))
        angle = math.pi * value / 8
        across = place[block[1], None] * math.cos(angle) + place[None, block[2]] * math.sin(angle)
        drawn[block] = value
        volume[block] += 2 + 2 * (2 * math.pi * across / STRIPE).sin()[..., None]
    return volume, drawn


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _print_table(figures: dict[str, dict[str, float]]) -> None:
    columns = list(next(iter(figures.values())))
    print(f"{'':26}" + "".join(f"{column:>18}" for column in columns))
    for name, values in figures.items():
        print(f"{name:26}" + "".join(f"{values[column]:>18.3f}" for column in columns))
