"""Measure the shipped encoder in onnxruntime against torch, as the engine runs it: seconds a slice, and ratios.

torch runs in float32 and in the format that "auto" chooses for this CPU; onnxruntime has float32 alone. They take
turns, over batches of 8 slices; seconds are medians, ratios medians of those within a round. A ratio above 1 means that
onnxruntime is quicker. Needs the extra "onnx".
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import onnxruntime
import torch
from tqdm import tqdm

from protoseg import bundle_root
from protoseg.files import write_json
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.fpn import fpn_encoder
from protoseg.networks.header import read_header
from protoseg.networks.onnx_export import INPUT, export_onnx
from protoseg.networks.weights import load_weights
from protoseg.ops.precision import resolve_precision

WEIGHTS = Path(bundle_root()) / "models" / "model.pt"
BATCH, SIZE = 8, 256  # as the engine gives slices to this encoder


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark onnx", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads to measure with")
    parser.add_argument("--repeats", type=int, default=20, help="rounds, the median of which counts")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args(argv)
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "encoder.onnx"
        export_onnx(WEIGHTS, file)
        for threads in arguments.threads:
            for name, value in measure(file, threads, arguments.repeats).items():
                figures.setdefault(name, {})[f"{threads} threads"] = float(f"{value:.3g}")
    print(f"{'':28}" + "".join(f"{column:>12}" for column in next(iter(figures.values()))))
    for name, values in figures.items():
        print(f"{name:28}" + "".join(f"{value:>12g}" for value in values.values()))
    if arguments.json is not None:
        write_json(arguments.json, figures)


@torch.no_grad()
def measure(file: Path, threads: int, repeats: int) -> dict[str, float]:
    """Measure with a number of threads: seconds a slice of each, and their ratios to onnxruntime's."""
    torch.set_num_threads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")  # or its idle threads take torch's cores
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    images = torch.randn(BATCH, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    array = images.numpy()
    works: dict[str, Callable[[], object]] = {"onnxruntime": lambda: session.run(None, {INPUT: array})}
    for precision in ("float32", "auto"):
        dtype = str(resolve_precision(images.device, precision)).removeprefix("torch.")
        works[f"torch {dtype}"] = _torch_work(precision, images)
    for work in works.values():  # warm-up
        work()
    rounds = [
        {name: _seconds(work) / BATCH for name, work in works.items()}
        for _ in tqdm(range(repeats), f"{threads} threads", unit="round", leave=False)
    ]
    seconds = {f"{name}, s a slice": statistics.median(one[name] for one in rounds) for name in works}
    ratios = {
        f"{name} / onnxruntime": statistics.median(one[name] / one["onnxruntime"] for one in rounds)
        for name in works
        if name != "onnxruntime"
    }
    return seconds | ratios


def _torch_work(precision: str, images: torch.Tensor) -> Callable[[], object]:
    network = ALPNet(encoder=fpn_encoder(read_header(WEIGHTS)["members"]), precision=precision).eval()
    load_weights(network, WEIGHTS)
    frozen = network.to(memory_format=torch.channels_last).freeze()  # as the bundle's configs have it
    return lambda: frozen.encode_alike(images)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
