"""protoseg: label one slice or scan, get the rest.

Rooms, from the inside out; an import only ever points inwards:

- `ops`: tensors and arrays in and out; knows nothing of networks.
- `matching`, `networks`, `losses`, `sam`: kernel matching and prototypes, encoders and ALPNet, what training minimizes.
- `engine`: a support and a volume in, a label map with confidences out.
- `synthesis`: synthetic people, pictures and patterns.
- `data`: images and labels in and out, preprocessing, supports, episodes.
- `workflows`: what the bundle's configs assemble for training, evaluation and inference.
- `api`: `Segmenter`, `Segmentation` and `Session`, the way in from Python.
- `commands`, `cli` and `napari`: the command and the plugin for napari, thin over it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from protoseg.moved import follow_old_names

if TYPE_CHECKING:
    from protoseg.api import Segmentation, Segmenter, Session

__all__ = ["Segmentation", "Segmenter", "Session", "__version__", "bundle_root"]

__version__ = "0.1.0"

follow_old_names()


def bundle_root() -> str:
    """Give the folder of the bundle that this package belongs to, with `configs/` and `models/`, in a checkout or
    wheel."""
    package = Path(__file__).resolve().parent
    installed = package / "_bundle"
    return str(installed if installed.is_dir() else package.parent)


def __getattr__(name: str) -> Any:
    """Import the API when it is first asked for: that takes seconds, and `protoseg.__version__` should not."""
    if name in ("Segmentation", "Segmenter", "Session"):
        from protoseg import api

        return getattr(api, name)
    raise AttributeError(f"module 'protoseg' has no attribute '{name}'")
