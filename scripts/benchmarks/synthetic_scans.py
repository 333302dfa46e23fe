"""Scans of synthetic people at the sizes that benchmarks measure, as files, each with another person's as support."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import nibabel
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from protoseg.synthesis.anatomy import SyntheticScan, synthesise
from protoseg.synthesis.anatomy.regions import REGIONS

__all__ = ["CASES", "Case", "Files", "label_names", "write_case", "write_more"]

EXTENT = (384.0, 384.0, 240.0)  # mm along x, y and z: an abdomen
COARSE = 2.4  # mm, the finest voxels that people are painted with; finer ones are interpolated, which takes seconds
NOISE = {"ct": 12.0, "t2": 8.0}  # standard deviation, of the voxels' own size
PERSON = 3  # seed; the support is the next


@dataclass(frozen=True)
class Case:
    """A kind of scan."""

    title: str
    contrast: str  # "ct" or "t2"
    shape: tuple[int, int, int]  # columns, rows, slices; one slice is a picture
    suffix: str = ".nii.gz"


CASES = {
    "ct100": Case("CT 512 x 512 x 100", "ct", (512, 512, 100)),
    "ct300": Case("CT 512 x 512 x 300", "ct", (512, 512, 300)),
    "mr37": Case("MR 256 x 256 x 37", "t2", (256, 256, 37)),
    "picture": Case("picture 1024 x 1024", "t2", (1024, 1024, 1), ".png"),
    # A tenth in gzip, which would take half a minute to write.
    "ct700": Case("CT 1024 x 1024 x 700, 1.5 GB", "ct", (1024, 1024, 700), ".nii"),
    "tiny": Case("CT 64 x 64 x 8", "ct", (64, 64, 8)),
}


class Files(NamedTuple):
    """The files of a scan, and of the one that is labelled."""

    image: Path
    support_image: Path
    support_labels: Path


def label_names(count: int) -> dict[str, int]:
    """Give names and values of the first `count` of the 13 organs that are labelled."""
    return dict(list(REGIONS["abdomen"].labels.items())[:count])


def write_case(folder: Path, name: str) -> Files:
    """Write a scan of a kind, and the support, which is one of a hundred slices where the scan is very large."""
    case = CASES[name]
    labelled = CASES["ct100"] if name == "ct700" else case
    folder.mkdir(parents=True, exist_ok=True)
    files = Files(
        folder / f"image{case.suffix}",
        folder / f"support{labelled.suffix}",
        folder / f"support_labels{labelled.suffix}",
    )
    _write_scan(files.image, None, case, PERSON)
    _write_scan(files.support_image, files.support_labels, labelled, PERSON + 1)
    return files


def write_more(folder: Path, name: str, count: int) -> list[Path]:
    """Write scans of a kind, of `count` other people."""
    files = [folder / f"person{number}{CASES[name].suffix}" for number in range(count)]
    for number, file in enumerate(files):
        _write_scan(file, None, CASES[name], PERSON + 2 + number)
    return files


def _write_scan(image: Path, labels: Path | None, case: Case, seed: int) -> None:
    """Write a person's scan, and its labels where a path is given for them."""
    person = _paint(case, seed)
    if case.shape[2] == 1:
        _write_picture(image, labels, person, case.shape[:2])
        return
    affine = np.diag([extent / size for extent, size in zip(EXTENT, case.shape)] + [1.0])
    generator = torch.Generator().manual_seed(seed)
    noise = NOISE[case.contrast] * torch.randn(2 * case.shape[0], case.shape[1], generator=generator)
    voxels = np.empty(case.shape, np.int16, order="F")  # as files have them
    drawn = None if labels is None else np.empty(case.shape, np.uint8, order="F")
    thick = person.image.shape[2]
    for index in range(case.shape[2]):  # a float copy of the whole would be larger than what is measured
        place = np.clip((index + 0.5) * thick / case.shape[2] - 0.5, 0, thick - 1)
        below, above = int(np.floor(place)), int(np.ceil(place))
        between = person.image[..., below] + (place - below) * (person.image[..., above] - person.image[..., below])
        start = int(torch.randint(case.shape[0], (), generator=generator))  # a slice has other noise than the next
        fine = torch.from_numpy(_enlarged(between, case.shape[:2], "bilinear")) + noise[start : start + case.shape[0]]
        voxels[..., index] = fine.round().numpy()
        if drawn is not None:
            drawn[..., index] = _enlarged(person.labels[..., round(float(place))], case.shape[:2], "nearest-exact")
    for path, array in ((image, voxels), (labels, drawn)):
        if path is not None:
            nibabel.save(nibabel.Nifti1Image(array, affine), path)


def _paint(case: Case, seed: int) -> SyntheticScan:
    """Paint and image a person, in voxels no finer than `COARSE`."""
    slices = case.shape[2] if case.shape[2] > 1 else round(EXTENT[2] / COARSE)
    counts = [min(size, round(extent / COARSE)) for size, extent in zip((*case.shape[:2], slices), EXTENT)]
    spacing = tuple(extent / count for extent, count in zip(EXTENT, counts))
    return synthesise(seed, contrast=case.contrast, shape=tuple(counts), spacing=spacing)


def _write_picture(image: Path, labels: Path | None, person: SyntheticScan, size: tuple[int, int]) -> None:
    """Write the frontal slice of a person that shows the most labels, in gray."""
    counts = [len(np.unique(person.labels[:, row])) for row in range(person.labels.shape[1])]
    row = int(np.argmax(counts))
    pixels = _enlarged(person.image[:, row], size, "bilinear").T[::-1]
    Image.fromarray((255 * pixels / pixels.max()).clip(0, 255).astype(np.uint8)).save(image)
    if labels is not None:
        drawn = _enlarged(person.labels[:, row], size, "nearest-exact").T[::-1]
        Image.fromarray(np.ascontiguousarray(drawn)).save(labels)


def _enlarged(pixels: NDArray, size: tuple[int, int], mode: str) -> NDArray:
    align = {"align_corners": False} if mode == "bilinear" else {}
    return F.interpolate(torch.from_numpy(pixels.copy())[None, None], size=size, mode=mode, **align)[0, 0].numpy()
