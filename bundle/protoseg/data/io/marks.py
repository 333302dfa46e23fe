"""Marks in the files of results, by which what protoseg wrote is told from what people drew or corrected."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

__all__ = ["SOFTWARE", "is_unchanged", "mark_of"]

SOFTWARE = "protoseg"


def mark_of(labels: np.ndarray) -> str:
    """Give the mark of a label map: who wrote it, and digits that stand for its voxels."""
    digest = hashlib.blake2b(np.ascontiguousarray(labels, np.uint8).data, digest_size=8)
    return f"{SOFTWARE} {digest.hexdigest()}"


def is_unchanged(file: Path) -> bool | None:
    """Tell whether a NIfTI or PNG is as protoseg wrote it; None if it has no mark, as those of version 0.1."""
    try:
        if file.suffix == ".png":
            with Image.open(file) as picture:
                mark = str(picture.info.get("Software", ""))
                labels = np.asarray(picture).T[..., None] if mark != SOFTWARE else None
        else:
            image = nibabel.nifti1.Nifti1Image.from_filename(file)
            mark = bytes(image.header["descrip"]).rstrip(b"\0").decode("latin-1")
            labels = np.asarray(image.dataobj)
    except Exception:  # a decoder raises whatever a damaged file makes it stumble over
        return None
    if not mark.startswith(SOFTWARE):
        return None
    return labels is None or mark == mark_of(labels)
