"""Measure other methods beside protoseg on one synthetic scan: seconds a scan and memory, all in one run.

Weights of the others are random, and nothing is said about how well they segment. UniverSeg is in no package index: its
network was written after its paper. Of methods that go slice by slice a few slices are timed, each the second time,
and counted for all; reading the file is added. Each is a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from benchmarks.memory import peak_memory_gib
from benchmarks.report import section, table, write_section
from benchmarks.scan import ROOT, measure, written
from benchmarks.synthetic_scans import CASES, Files, label_names
from protoseg.files import write_json

TITLES = {
    "universeg_3": "UniverSeg, 3 support slices a label, 128 x 128",
    "universeg_64": "UniverSeg, 64 support slices a label, 128 x 128",
    "sam": "segment-anything ViT-B, a box a label and slice",
    "alpnet": "ALPNet as published, ResNet-101, 256 x 256",
    "deepedit": "DeepEdit of MONAI Label, DynUNet, 128 x 128 x 128",
}
MEASURED = 2  # slices that are timed


@dataclass(frozen=True)
class PeerScan:
    """A scan and its support, as plain tensors."""

    volume: Tensor  # X x Y x Z, 0 to 1
    support: Tensor  # N x 1 x X x Y, 0 to 1
    masks: Tensor  # L x N x X x Y, 0 or 1
    reading: float  # seconds that the file took

    @property
    def slices(self) -> Tensor:
        """S x 1 x X x Y."""
        return self.volume.permute(2, 0, 1)[:, None]


def main(argv: Sequence[str]) -> int:
    """Read the arguments, measure, print a table."""
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark peers", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--peers", nargs="+", choices=list(TITLES), default=list(TITLES), help="beside protoseg")
    parser.add_argument("--scan", choices=list(CASES), default="ct100", help="kind of scan")
    parser.add_argument("--labels", type=int, default=4, help="how many are segmented, up to 13")
    parser.add_argument("--rounds", type=int, default=1, help="of measurements, the median of which counts")
    parser.add_argument("--report", action="store_true", help="write the table into bundle/docs/speed.md")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args(argv)
    names = label_names(chosen.labels)
    with tempfile.TemporaryDirectory() as folder:
        files = written(Path(folder), chosen.scan)
        rounds = [
            {
                "protoseg": _protoseg(files, chosen.labels),
                **{name: _apart(name, files, names) for name in tqdm(chosen.peers, disable=None)},
            }
            for _ in range(chosen.rounds)
        ]
    figures = {}
    for name in rounds[0]:
        seconds = [one[name][0] for one in rounds]
        figures[name] = {
            "seconds": statistics.median(seconds),
            "over_protoseg": statistics.median(one[name][0] / one["protoseg"][0] for one in rounds),
            "peak_memory_gib": max(one[name][1] for one in rounds),
        }
    titles = {"protoseg": "protoseg as shipped, files and everything on"} | TITLES
    rows = [[titles[name], *(f"{value:.2f}" for value in values.values())] for name, values in figures.items()]
    text = section(
        " ".join(["scripts/benchmark peers", *argv]),
        f"{CASES[chosen.scan].title}, {chosen.labels} labels; weights of the others are random, time and memory alone.",
        table([f"on {CASES[chosen.scan].title}", "seconds", "/ protoseg", "peak, GiB"], rows),
    )
    print(text)
    if chosen.json is not None:
        write_json(chosen.json, figures)
    if chosen.report:
        write_section("peers", text)
    return 0


def _protoseg(files: Files, labels: int) -> tuple[float, float]:
    figures = measure(files, labels, {"new": ROOT}, 1)
    return figures["seconds"], figures["peak_memory_gib_new"]


def _apart(name: str, files: Files, labels: dict[str, int]) -> tuple[float, float]:
    """Seconds and peak memory of a method, in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(run_peer, name, files, labels).result()


@torch.no_grad()
def run_peer(name: str, files: Files, labels: dict[str, int]) -> tuple[float, float]:
    """Measure the seconds that a method takes for a scan, and the most GiB that this process held."""
    torch.manual_seed(0)
    scan = _read(files, labels)
    works: dict[str, Callable[[PeerScan], float]] = {
        "universeg_3": lambda scan: _universeg(scan, 3),
        "universeg_64": lambda scan: _universeg(scan, 64),
        "sam": _sam,
        "alpnet": _alpnet,
        "deepedit": _deepedit,
    }
    return scan.reading + works[name](scan), peak_memory_gib(torch.device("cpu"))


def _universeg(scan: PeerScan, shots: int) -> float:
    from benchmarks.universeg import UniverSeg

    network = UniverSeg().eval()
    target = F.interpolate(scan.slices[:1], (128, 128), mode="bilinear")
    few = torch.arange(shots) % len(scan.support)
    support = F.interpolate(scan.support, (128, 128), mode="bilinear")[None, few]
    masks = F.interpolate(scan.masks, (128, 128))[:1, few, None]
    return _second(lambda: network(target, support, masks)) * len(scan.masks) * len(scan.slices)


def _sam(scan: PeerScan) -> float:
    from segment_anything import SamPredictor, sam_model_registry

    predictor = SamPredictor(sam_model_registry["vit_b"]().eval())
    image = (255 * scan.slices[0, 0]).byte().numpy()[..., None].repeat(3, 2)
    boxes = torch.tensor([[100.0, 100.0, 300.0, 300.0]]).expand(len(scan.masks), -1)

    def one_slice() -> None:
        predictor.set_image(image)
        predictor.predict_torch(None, None, boxes, multimask_output=False)

    return _second(one_slice) * len(scan.slices)


def _alpnet(scan: PeerScan) -> float:
    from benchmarks.published import published_procedure
    from protoseg.networks.deeplab import DeepLabEncoder
    from protoseg.ops.slices import fit_slices, three_channels

    encoder = DeepLabEncoder().eval()
    support = three_channels(fit_slices(scan.support, 256))
    masks = fit_slices(scan.masks, 256, "nearest")
    few = range(min(MEASURED, len(scan.slices)))
    seconds = _second(lambda: published_procedure(encoder, scan.slices, few, support, masks))
    return seconds * len(scan.slices) / len(few)


def _deepedit(scan: PeerScan) -> float:
    from monai.networks.nets import DynUNet

    classes = 1 + len(scan.masks)
    network = DynUNet(  # as the radiology app of MONAI Label 0.8 makes it
        spatial_dims=3,
        in_channels=classes + 1,  # the image, and a map of clicks for each class
        out_channels=classes,
        kernel_size=[3] * 6,
        strides=[1, 2, 2, 2, 2, [2, 2, 1]],
        upsample_kernel_size=[2, 2, 2, 2, [2, 2, 1]],
        norm_name="instance",
        deep_supervision=False,
        res_block=True,
    ).eval()

    def whole_scan() -> None:
        image = F.interpolate(scan.volume[None, None], (128, 128, 128), mode="area")
        clicks = image.new_zeros(1, classes, 128, 128, 128)
        found = network(torch.cat([image, clicks], dim=1)).softmax(1).argmax(1, keepdim=True)
        F.interpolate(found.float(), tuple(scan.volume.shape), mode="nearest")

    return _second(whole_scan)


def _second(work: Callable[[], object]) -> float:
    """Seconds of the second time: the first one takes memory and chooses kernels."""
    for _ in range(2):
        start = time.perf_counter()
        work()
        seconds = time.perf_counter() - start
    return seconds


def _read(files: Files, labels: dict[str, int]) -> PeerScan:
    start = time.perf_counter()
    volume = _voxels(files.image)
    reading = time.perf_counter() - start
    support, drawn = _voxels(files.support_image), np.asarray(nibabel.load(files.support_labels).dataobj)
    chosen = []
    for value in labels.values():
        there = np.flatnonzero((drawn == value).any((0, 1)))
        chosen += [int(there[len(there) * part // 4]) for part in (1, 2, 3)]
    masks = torch.stack([torch.from_numpy(drawn[..., chosen] == value) for value in labels.values()])
    return PeerScan(volume, support[..., chosen].permute(2, 0, 1)[:, None], masks.permute(0, 3, 1, 2).float(), reading)


def _voxels(path: Path) -> Tensor:
    """Voxels of a CT in its window, 0 to 1."""
    voxels = torch.from_numpy(np.asarray(nibabel.load(path).dataobj, np.float32))
    return ((voxels + 125) / 400).clamp(0, 1)
