"""Versions for reports."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from protoseg import __version__, bundle_root

__all__ = ["library_versions", "system_info"]

LICENSES = {"protoseg": "Apache-2.0", "weights": "Apache-2.0; trained on synthetic people, pictures and patterns alone"}
LIBRARIES = ("torch", "monai", "pytorch-ignite", "timm", "numpy")
EXTRAS = ("monailabel", "segment-anything", "nibabel", "SimpleITK", "pydicom")


def library_versions() -> dict[str, str]:
    """Tell the versions of the package, of Python, and of the libraries that figures depend on."""
    versions = {"protoseg": __version__, "python": platform.python_version()}
    return {**versions, **{library: _version(library) for library in LIBRARIES}}


def system_info() -> dict[str, Any]:
    """Tell versions, devices, the weights present, and licenses."""
    extras = {library: _version(library) for library in EXTRAS}
    devices = [f"cpu, {os.cpu_count()} cores, {torch.get_num_threads()} threads"]
    devices += [f"cuda:{k}, {torch.cuda.get_device_name(k)}" for k in range(torch.cuda.device_count())]
    devices += ["mps"] if torch.backends.mps.is_available() else []
    models = sorted((Path(bundle_root()) / "models").glob("*.*"))
    return {
        "versions": {**library_versions(), **extras},
        "devices": devices,
        "weights": {str(file): f"{file.stat().st_size / 1e6:.1f} MB" for file in models},
        "licenses": LICENSES,
    }


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"
