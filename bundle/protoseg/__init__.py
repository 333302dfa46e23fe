"""protoseg: label one slice or scan, get the rest.

Rooms, from the inside out; an import only ever points inwards:

- `ops`: tensors and arrays in and out; knows no network.
- `matching`, `networks`, `losses`, `sam`: kernel matching and prototypes, encoders and ALPNet, what training minimizes.
- `engine`: a support and a volume in, a label map with confidences out.
- `synthesis`: synthetic people, pictures and patterns.
- `data`: images and labels in and out, preprocessing, supports, episodes.
- `workflows`: what the bundle's configs assemble for training, evaluation and inference.
"""

from pathlib import Path

__all__ = ["__version__", "bundle_root"]

__version__ = "0.1.0"


def bundle_root() -> str:
    """Folder of the bundle that this package belongs to: the one with `configs/` and `models/`."""
    return str(Path(__file__).resolve().parents[1])
