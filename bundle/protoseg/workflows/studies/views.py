"""Views: how far a support stretches to scans that are turned, mirrored, cropped, coarser or inverted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from protoseg.workflows.studies.variants import Variant, Variants

__all__ = ["SHARED_VIEWS", "VIEWS", "view_variants"]

_BOTH = ["image", "label"]


def _turned(degrees: float) -> dict[str, Any]:
    modes = {"mode": ["bilinear", "nearest"], "padding_mode": ["border", "zeros"]}
    return {"_target_": "Rotated", "keys": _BOTH, "angle": [0, 0, math.radians(degrees)], **modes}


def _cropped(share: float) -> dict[str, Any]:
    return {"_target_": "CenterScaleCropd", "keys": _BOTH, "roi_scale": [share, share, 1]}


VIEWS: dict[str, dict[str, Any]] = {
    "turned by 10 degrees": _turned(10),
    "turned by 20 degrees": _turned(20),
    "turned by 45 degrees": _turned(45),
    "turned by 180 degrees": {"_target_": "Flipd", "keys": _BOTH, "spatial_axis": [0, 1]},
    "mirrored left to right": {"_target_": "Flipd", "keys": _BOTH, "spatial_axis": 0},
    "central 80 % of the field of view": _cropped(0.8),
    "central 60 % of the field of view": _cropped(0.6),
    "slices twice as thick": {
        "_target_": "Zoomd",
        "keys": _BOTH,
        "zoom": [1, 1, 0.5],
        "mode": ["area", "nearest"],
        "keep_size": False,
    },
    "gray values inverted": {"_target_": "ScaleIntensityd", "keys": "image", "minv": None, "maxv": None, "factor": -2},
}
"""Transforms of preprocessed scans, slices along Z, by name."""
SHARED_VIEWS = ("turned by 180 degrees", "mirrored left to right")
"""Those that are tried with the support seen so too."""


def view_variants() -> Variants:
    """Vary the view of the scans, with the support as it is or in the same view."""
    variants = {"as it is": Variant()}
    for name, transform in VIEWS.items():
        variants[name] = Variant(overrides={"validate#dataset#transform": _after_preprocessing(transform)})
    for name in SHARED_VIEWS:
        seen = _after_preprocessing(VIEWS[name])
        overrides: dict[str, Any] = {"validate#dataset#transform": seen, "validate#support#transform": seen}
        overrides["validate#dataset#data#support"] = None  # following its slices would undo the view
        variants[f"{name}, the support too"] = Variant(overrides=overrides)
    return variants


def _after_preprocessing(transform: Mapping[str, Any]) -> dict[str, Any]:
    return {"_target_": "Compose", "transforms": ["@preprocessing", {"allow_missing_keys": True, **transform}]}
