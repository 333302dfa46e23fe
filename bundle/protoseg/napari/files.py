"""Scans as layers: from files, and of synthetic people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from protoseg.data.io.dicom import dicom_files
from protoseg.data.io.volumes import query_id, read_image
from protoseg.napari.layers import layer_affine
from protoseg.synthesis.anatomy import ABDOMEN_LABELS, synthesise

__all__ = ["reader", "two_people"]

LayerData = tuple[np.ndarray, dict[str, Any], str]
VOLUMES = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd")


def reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Give a function that reads volumes and DICOM folders, or None, as napari asks of its plugins."""
    paths = [path] if isinstance(path, str) else path
    return _read if all(map(_readable, map(Path, paths))) else None


def two_people() -> list[LayerData]:
    """Draw two people, with the organs of the first as labels."""
    layers: list[LayerData] = []
    for number, name in enumerate(("anna", "bert")):
        scan = synthesise(number, region="abdomen", contrast="ct", shape=(128, 128, 24), spacing=(3.0, 3.0, 10.0))
        place = {"affine": layer_affine(scan.affine)}
        layers.append((scan.image.T, {"name": name, "contrast_limits": (-150, 250), **place}, "image"))
        if not number:
            names = {"index": [0, *ABDOMEN_LABELS.values()], "label": ["background", *ABDOMEN_LABELS]}
            layers.append((scan.labels.T, {"name": f"organs of {name}", "features": names, **place}, "labels"))
    return layers


def _readable(path: Path) -> bool:
    return bool(dicom_files(path)) if path.is_dir() else path.name.lower().endswith(VOLUMES)


def _read(path: str | Sequence[str]) -> list[LayerData]:
    layers = []
    for one in [path] if isinstance(path, str) else path:
        image = read_image(one)
        place = {"name": query_id(one), "affine": layer_affine(np.asarray(image.affine, float))}
        layers.append((np.asarray(image[0]).T, place, "image"))
    return layers
