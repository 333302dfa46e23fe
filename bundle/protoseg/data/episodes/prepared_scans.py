"""Scans prepared for episodes, once: slices at network size and their superpixels, as files on disk."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch

from protoseg.data.episodes.superpixels import otsu_body_threshold, superpixel_intensity, superpixels
from protoseg.data.preprocessing.steps import transform_key
from protoseg.errors import InputError
from protoseg.ops.disk_cache import array_file, cached_array
from protoseg.ops.hashing import fingerprint, source_state
from protoseg.ops.parallel import map_in_processes
from protoseg.ops.slices import axial_slices, fit_slices

__all__ = ["PreparedScan", "ScanPreparation", "prepare_scans"]

FORMAT = 1  # raise it when the code changes the content of the files, so that they are made again
PUBLISHED_SIZE = 256
"""Edge in pixels of the slices that the published superpixel settings are for."""


@dataclass(frozen=True)
class PreparedScan:
    """Files and tables of one scan; the arrays stay on disk and are memory-mapped when read."""

    image: str
    slices_file: Path
    superpixels_file: Path
    areas: np.ndarray
    """(S, K): pixels of every superpixel of every slice; column 0 is what belongs to none."""
    labels: np.ndarray
    """(n, 2): slice and value, for every label value of every slice; (0, 2) where no label was read."""

    def slices(self) -> np.ndarray:
        """Open the slices (S, C, size, size), float16, memory-mapped."""
        return np.load(self.slices_file, mmap_mode="r")

    def superpixels(self) -> np.ndarray:
        """Open the superpixels (S, edge, edge), int16, memory-mapped; edge as in `ScanPreparation.superpixel_edge`."""
        return np.load(self.superpixels_file, mmap_mode="r")


@dataclass
class ScanPreparation:
    """Prepares a scan, or opens it if it was prepared before; pickles, so that processes can share the work.

    Args:
        transform: transform of {"image": path, ...} to {"image": (C, X, Y, Z) tensor, ...} with slices along Z and
            normalized intensities.
        folder: folder of the files. A change of source file, transform or argument makes new ones.
        image_size: edge of the slices in pixels.
        threshold: intensity threshold of the body on the scale 0..255 (CT: `CT_THRESHOLD`); None to find it in each
            scan (MR).
        min_size: smallest superpixel, in pixels of a 256 x 256 slice.
        with_labels: True to list also the label values of each slice; `transform` must then give "label".
    """

    transform: Callable[[dict[str, Any]], Mapping[Any, Any]]
    folder: Path
    image_size: int
    threshold: float | None = None
    min_size: int = 400
    with_labels: bool = False

    def __post_init__(self) -> None:
        self._making = fingerprint(FORMAT, transform_key(self.transform))

    @property
    def superpixel_edge(self) -> int:
        """Edge of the superpixel maps: the network's, never above the published 256 pixels."""
        return min(self.image_size, PUBLISHED_SIZE)

    def to_map_pixels(self, pixels: float) -> int:
        """Scale an area in pixels of a 256 x 256 slice to pixels of the superpixel maps; at least 1."""
        return max(1, round(pixels * (self.superpixel_edge / PUBLISHED_SIZE) ** 2))

    def is_done(self, entry: Mapping[str, Any]) -> bool:
        """Tell whether all files of a scan exist."""
        return all(array_file(self.folder, key).exists() for key in self._keys(entry).values())

    def __call__(self, entry: Mapping[str, Any]) -> PreparedScan:
        """Prepare one scan, {"image": path} and where needed "label": path.

        Raises:
            InputError: the label is missing or of another grid, or the image holds NaN or is not normalized.
        """
        keys = self._keys(entry)
        load = cache(lambda: self.transform(dict(entry)))
        slices = cached_array(self.folder, keys["slices"], lambda: self._slices(entry, load()["image"]))
        maps = cached_array(self.folder, keys["superpixels"], lambda: self._superpixels(load()["image"]))
        areas = cached_array(self.folder, keys["areas"], lambda: _areas(maps))
        labels = np.empty((0, 2), dtype=np.int64)
        if self.with_labels:
            labels = cached_array(self.folder, keys["labels"], lambda: self._labels(entry, load(), len(slices)))
        return PreparedScan(
            image=str(entry["image"]),
            slices_file=array_file(self.folder, keys["slices"]),
            superpixels_file=array_file(self.folder, keys["superpixels"]),
            areas=np.array(areas),
            labels=np.array(labels),
        )

    def _keys(self, entry: Mapping[str, Any]) -> dict[str, str]:
        """Name the files of a scan: its own name for people, and a fingerprint of all that they depend on."""
        name = re.sub(r"\W+", "_", Path(entry["image"]).name.removesuffix(".gz").removesuffix(".nii"))
        image = source_state(entry["image"])
        slices = fingerprint(image, self._making, self.image_size)
        maps = fingerprint(image, self._making, self.superpixel_edge, self.min_size, self.threshold)
        keys = {
            "slices": f"{name}-slices-{slices}",
            "superpixels": f"{name}-superpixels-{maps}",
            "areas": f"{name}-areas-{maps}",
        }
        if self.with_labels:
            if "label" not in entry:
                raise InputError(
                    f"{entry['image']} has no label file, which must tell the slices with excluded labels. "
                    "Add its 'label' or exclude no labels."
                )
            labels = fingerprint(image, source_state(entry["label"]), self._making)
            keys["labels"] = f"{name}-labels-{labels}"
        return keys

    def _slices(self, entry: Mapping[str, Any], volume: torch.Tensor) -> np.ndarray:
        slices = fit_slices(axial_slices(volume).float(), self.image_size).numpy().astype(np.float16)
        if not np.isfinite(slices).all():
            raise InputError(
                f"{entry['image']} holds NaN, infinity or intensities beyond 65504 after the transforms: "
                "repair the file or normalize its intensities."
            )
        return slices

    def _superpixels(self, volume: torch.Tensor) -> np.ndarray:
        gray = axial_slices(volume).float().mean(dim=1, keepdim=True)
        scan = superpixel_intensity(fit_slices(gray, self.superpixel_edge)[:, 0].numpy())
        threshold = otsu_body_threshold(scan) if self.threshold is None else self.threshold
        min_size = self.to_map_pixels(self.min_size)
        return np.stack([superpixels(slice_, threshold=threshold, min_size=min_size) for slice_ in scan])

    def _labels(self, entry: Mapping[str, Any], loaded: Mapping[Any, Any], slice_count: int) -> np.ndarray:
        slices = axial_slices(loaded["label"]).round().long()
        if len(slices) != slice_count:
            raise InputError(
                f"{entry['label']} has {len(slices)} slices and {entry['image']} {slice_count}: "
                "a label must lie on its image's grid. Resample it first."
            )
        rows = [[index, value] for index, slice_ in enumerate(slices) for value in slice_.unique().tolist()]
        return np.array(rows, dtype=np.int64)


def prepare_scans(
    data: Sequence[Mapping[str, Any]], preparation: ScanPreparation, *, workers: int = 0
) -> list[PreparedScan]:
    """Prepare every scan that is not prepared yet, and open them all.

    Every file is kept as soon as it is made: when interrupted, the next call goes on from there. Processes of one
    training begin at different scans, and each finds what another has prepared meanwhile.

    Args:
        data: {"image": path, optionally "label": path} of each scan.
        preparation: preparation of a scan.
        workers: number of processes to share the work (spawned, so that `transform` must pickle); 0 to work in this
            one.
    """
    missing = [entry for entry in data if not preparation.is_done(entry)]
    first = len(missing) * idist.get_rank() // idist.get_world_size()
    map_in_processes(preparation, missing[first:] + missing[:first], workers=workers, description="Preparing scans")
    return [preparation(entry) for entry in data]


def _areas(maps: np.ndarray) -> np.ndarray:
    columns = int(maps.max()) + 1
    return np.stack([np.bincount(map_.ravel(), minlength=columns) for map_ in maps])
