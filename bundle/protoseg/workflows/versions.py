"""Versions that a report tells."""

from __future__ import annotations

import platform
from importlib.metadata import version

from protoseg import __version__

__all__ = ["library_versions"]

LIBRARIES = ("torch", "monai", "pytorch-ignite", "timm", "numpy")


def library_versions() -> dict[str, str]:
    """Tell the versions of the package, of Python, and of the libraries that figures depend on."""
    versions = {"protoseg": __version__, "python": platform.python_version()}
    return {**versions, **{library: version(library) for library in LIBRARIES}}
