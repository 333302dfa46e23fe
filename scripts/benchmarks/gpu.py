"""Measure a GPU: training, inference by batch size, SAM, a whole scan, and equality with the CPU. Made for ten minutes.

Weights are random but for those that ship. Where there is no GPU it says so and ends with the status 2, and pages stay
as they are; results that differ from the CPU's by more than the tolerance end it with 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from benchmarks.memory import peak_memory_gib
from benchmarks.report import machine, table, write_section
from benchmarks.scan import written
from benchmarks.synthetic_scans import CASES, label_names
from protoseg import Segmenter, __version__
from protoseg.files import write_json
from protoseg.matching.kernel_matching import KernelMatching
from protoseg.networks.alpnet import ALPNet, EpisodeLoss
from protoseg.networks.encoders import TimmEncoder
from protoseg.networks.fpn import FPNEncoder
from protoseg.ops.precision import resolve_precision

ENCODERS: dict[str, tuple[Callable[[], nn.Module], int]] = {  # and the edge of their input
    "fpn": (FPNEncoder, 256),
    "vit_s14": (lambda: TimmEncoder("vit_small_patch14_dinov2.lvd142m"), 252),
    "vit_b14": (lambda: TimmEncoder("vit_base_patch14_dinov2.lvd142m"), 252),
    "vit_l14": (lambda: TimmEncoder("vit_large_patch14_dinov2.lvd142m"), 252),
}
BATCHES = (1, 8, 64)
EPISODES = 8  # of a training step
TOLERANCE = 1e-2  # of features in float32, of their standard deviation: convolutions on a GPU round to TF32
LEAST_DICE = 0.995  # of label maps on GPU and CPU


def main(argv: Sequence[str]) -> int:
    """Read the arguments, measure, print tables; gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark gpu", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cpu tries the script itself")
    parser.add_argument("--encoders", nargs="+", choices=list(ENCODERS), default=list(ENCODERS), help="to measure")
    parser.add_argument(
        "--batches", nargs="+", type=int, default=list(BATCHES), help="slices that are encoded together"
    )
    parser.add_argument("--scan", choices=list(CASES), default="ct100", help="kind of the whole scan")
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement, the median of which counts")
    parser.add_argument("--without", nargs="*", choices=["sam", "compile"], default=[], help="parts to leave out")
    parser.add_argument("--report", action="store_true", help="write the tables into bundle/docs/speed.md")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args(argv)
    device = torch.device(chosen.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("There is no GPU that PyTorch can use here: nothing was measured.", file=sys.stderr)
        return 2
    figures: dict[str, dict[str, dict[str, Any]]] = {"encoders": {}}
    usual = str(resolve_precision(device, "auto")).split(".")[1]
    precisions = list(dict.fromkeys(["float32", usual]))
    for name in tqdm(chosen.encoders, unit="encoder", disable=None):
        for precision in precisions:
            network, size = _network(name, precision, device), ENCODERS[name][1]
            row: dict[str, Any] = {**_training(network, size, chosen.repeats)}
            row |= _inference(network, size, chosen.batches, chosen.repeats)
            if precision == usual and "compile" not in chosen.without:  # it takes up to a minute
                row["compiled, slices/s"] = _compiled(network, size, chosen.batches[-1], chosen.repeats)
            figures["encoders"][f"{name} {precision}"] = row
    figures["scan"] = {CASES[chosen.scan].title: compare_with_cpu(device, chosen.scan)}
    if "sam" not in chosen.without:
        figures["SAM ViT-B"] = {precision: _sam(precision, device, chosen.repeats) for precision in precisions}
    text = _text(" ".join(["scripts/benchmark gpu", *argv]), figures, device)
    print(text)
    if chosen.json is not None:
        write_json(chosen.json, figures)
    if chosen.report:
        write_section("gpu", text)
    return 0 if all(row["equal"] for row in figures["scan"].values()) else 1


def compare_with_cpu(device: torch.device, kind: str) -> dict[str, Any]:
    """Segment a scan with 4 labels on a device and on the CPU, both in float32, and compare features and labels."""
    found, features, seconds = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        files = written(Path(folder), kind)
        for place in (device, torch.device("cpu")):
            segmenter = Segmenter.from_pretrained(device=str(place), precision="float32")
            segmenter.add_support(files.support_image, files.support_labels, names=label_names(4), slices="thirds")
            assert segmenter.support is not None
            features.append(segmenter.encoder.encode(segmenter.support.images).cpu())
            start = time.perf_counter()
            found.append(torch.from_numpy(segmenter.segment(files.image).label_map))
            seconds.append(time.perf_counter() - start)
    difference = float((features[0] - features[1]).abs().max() / features[1].std())
    both = (found[0] == found[1]) & (found[1] > 0)
    dice = float(2 * both.sum() / ((found[0] > 0).sum() + (found[1] > 0).sum()).clamp(min=1))
    return {
        "seconds": seconds[0],
        "on the CPU": seconds[1],
        "largest difference of features": difference,
        "Dice of label maps": dice,
        "equal": difference <= TOLERANCE and dice >= LEAST_DICE,
    }


def _network(name: str, precision: str, device: torch.device) -> ALPNet:
    torch.manual_seed(0)
    network = ALPNet(encoder=ENCODERS[name][0](), matching=KernelMatching(), precision=precision)
    return network.to(device, memory_format=torch.channels_last)  # as the configs have it


def _training(network: ALPNet, size: int, repeats: int) -> dict[str, float]:
    """Seconds of a training step on episodes of one label and one shot, and its memory."""
    device = next(network.parameters()).device
    images, support = (torch.randn(EPISODES, 1, 3, size, size, device=device) for _ in range(2))
    masks = torch.zeros(EPISODES, 1, 1, size, size, device=device)
    masks[..., size // 4 : size // 2, size // 4 : size // 2] = 1
    optimizer, loss = torch.optim.AdamW(network.parameters(), lr=1e-4), EpisodeLoss()

    def step() -> None:
        optimizer.zero_grad()
        loss(network(images, support, masks), masks[:, 0]).backward()
        optimizer.step()

    network.train()
    _forget_peak(device)
    return {"training step, s": _median_seconds(step, device, repeats), **_peak("training, GiB", device)}


def _inference(network: ALPNet, size: int, batches: Sequence[int], repeats: int) -> dict[str, float]:
    """Slices a second by batch size, and the memory of the largest."""
    device = next(network.parameters()).device
    frozen = network.eval().freeze()
    _forget_peak(device)
    rates = {}
    for batch in batches:
        encode = partial(frozen, torch.randn(batch, 3, size, size, device=device))
        rates[f"{batch} a batch, slices/s"] = batch / _median_seconds(encode, device, repeats)
    return rates | _peak("inference, GiB", device)


def _compiled(network: ALPNet, size: int, batch: int, repeats: int) -> float | str:
    """Measure slices per second by `torch.compile` with CUDA graphs; give the reason if it cannot be compiled."""
    device = next(network.parameters()).device
    frozen = network.eval().freeze()
    images = torch.randn(batch, 3, size, size, device=device)
    try:
        compiled = torch.compile(frozen, mode="reduce-overhead")
        return batch / _median_seconds(lambda: compiled(images), device, repeats)
    except Exception as error:  # a missing compiler, or what it does not know
        return type(error).__name__


def _sam(precision: str, device: torch.device, repeats: int) -> dict[str, Any]:
    """Figures of `scripts/benchmark refine`."""
    from benchmarks import refine  # which needs segment-anything

    _forget_peak(device)
    return {**refine.measure(precision, device, repeats)}


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak(title: str, device: torch.device) -> dict[str, float]:
    """Tell the most memory of a GPU since the last peak was forgotten; a processor's cannot be forgotten."""
    return {title: peak_memory_gib(device)} if device.type == "cuda" else {}


def _median_seconds(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    def once() -> float:
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    once()
    return float(torch.tensor([once() for _ in range(repeats)]).median())


def _text(command: str, figures: dict[str, dict[str, dict[str, Any]]], device: torch.device) -> str:
    parts = [f"```\n{command}\n```", f"protoseg {__version__}, PyTorch {torch.__version__}, {machine(device)}."]
    for title, rows in figures.items():
        columns = list(dict.fromkeys(name for row in rows.values() for name in row))
        shown = [[name, *(_shown(row.get(column)) for column in columns)] for name, row in rows.items()]
        parts.append(table([title, *columns], shown))
    return "\n\n".join(parts)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else value if isinstance(value, str) else f"{value:.3g}"
