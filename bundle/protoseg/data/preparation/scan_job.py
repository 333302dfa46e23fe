"""One scan from its source to finished files with a record of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from protoseg.data.io.volumes import write_image, write_label_map
from protoseg.data.preparation.scans import Case, LabelledScan, SourceScan
from protoseg.data.preprocessing.modality import ModalityChoice, modality_of
from protoseg.errors import InputError
from protoseg.files import replacing, write_json
from protoseg.ops.hashing import fingerprint, source_state
from protoseg.ops.volume import Volume, spacing_of

__all__ = ["ScanJob"]

FORMAT = 1  # raise it when the code changes the content of the files, so that they are made again


@dataclass(frozen=True)
class ScanJob:
    """Prepares a scan; pickles, so that processes can share the work.

    Writes `images/<id>`, `labels/<id>` (NIfTI; a picture as PNG) and, last, `records/<id>.json`.

    Args:
        folder: folder of the prepared data set.
        labels, modality, read, geometry: parts of the data set, see `DataSet`.
        recipe: settings that the folder was claimed for.
    """

    folder: Path
    recipe: dict[str, Any]
    modality: ModalityChoice
    labels: Mapping[str, int]
    read: Callable[[SourceScan], LabelledScan]
    geometry: Callable[[LabelledScan], LabelledScan] | None

    def __call__(self, scan: SourceScan) -> Case:
        """Prepare a scan and return its case, as it stands in the list.

        Raises:
            InputError: a file cannot be used, or a label value has no name.
        """
        made_from = self._made_from(scan)
        loaded = self.read(scan)
        if loaded.labels is not None:
            self._check_values(loaded.labels, scan)
        case = self._write(scan.id, loaded if self.geometry is None else self.geometry(loaded))
        case["modality"] = modality_of(loaded.image, self.modality)
        write_json(self._record(scan), {"made_from": made_from, "case": case})
        return case

    def finished(self, scan: SourceScan) -> Case | None:
        """Return the case of a scan that is prepared; None if the source, the recipe or a file has changed."""
        if not self._record(scan).exists():
            return None
        record = json.loads(self._record(scan).read_text(encoding="utf-8"))
        case = record["case"]
        files = {key: self.folder / case[key] for key in case["checksums"]}
        intact = all(file.exists() and _checksum(file) == case["checksums"][key] for key, file in files.items())
        return case if intact and record["made_from"] == self._made_from(scan) else None

    def _record(self, scan: SourceScan) -> Path:
        return self.folder / "records" / f"{scan.id}.json"

    def _made_from(self, scan: SourceScan) -> str:
        sources = [source_state(path) for path in (scan.image, scan.label) if path is not None]
        return fingerprint(FORMAT, sources, dict(scan.names or {}), self.recipe)

    def _write(self, name: str, scan: LabelledScan) -> Case:
        picture = scan.image.meta.get("kind") == "picture"
        suffix = ".png" if picture else ".nii.gz"
        files = {"image": f"images/{name}{suffix}"}
        (_write_picture if picture else _write_volume)(self.folder / files["image"], scan.image)
        if scan.labels is not None:
            files["label"] = f"labels/{name}{suffix}"
            (_write_picture if picture else _write_labels)(self.folder / files["label"], scan.labels)
        return {
            "id": name,
            **files,
            "size": list(scan.image.shape[1:]),
            "spacing": spacing_of(scan.image.affine).numpy().round(6).tolist(),
            "checksums": {key: _checksum(self.folder / path) for key, path in files.items()},
        }

    def _check_values(self, labels: Volume, scan: SourceScan) -> None:
        unknown = set(torch.unique(labels.as_tensor()).tolist()) - {0, *self.labels.values()}
        if unknown:
            legend = ", ".join(f"{value} {name}" for name, value in self.labels.items())
            raise InputError(
                f"{scan.label}: found the label value {min(unknown)}, expected 0 or one of {legend}. "
                "Name it among the labels, or give the right label map."
            )


def _write_volume(path: Path, image: Volume) -> None:
    write_image(path, image.as_tensor(), image.affine)


def _write_labels(path: Path, labels: Volume) -> None:
    write_label_map(path, labels.as_tensor(), labels.affine)


def _write_picture(path: Path, image: Volume) -> None:
    """Write pixels (C, W, H, 1) as PNG, 8 bits a channel, or 16 for gray values that need them."""
    pixels = image.numpy()[..., 0].transpose(2, 1, 0)  # H x W x C
    kind = np.uint8 if pixels.max() <= 255 else np.uint16
    whole = pixels.astype(kind)
    if (whole != pixels).any() or (kind is np.uint16 and pixels.shape[2] > 1):
        raise InputError(
            f"{image.meta.get('filename_or_obj')}: the pixels run from {pixels.min():g} to {pixels.max():g}, expected "
            "whole numbers from 0 to 255, or to 65535 in gray. Save the picture with 8 bits a channel."
        )
    with replacing(path) as unfinished:
        Image.fromarray(whole.squeeze(axis=2) if pixels.shape[2] == 1 else whole).save(unfinished, format="PNG")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
