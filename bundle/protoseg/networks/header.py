"""Properties of weights that travel in their file: encoder, input size, how to match, recipe, license."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from protoseg.errors import InputError
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.fpn import FPNEncoder, FPNEnsemble

__all__ = ["HEADER", "make_header", "read_header"]

HEADER = "header"  # beside "network" in a PyTorch file; JSON in the metadata of a .safetensors file
OF_MATCHING = ("scale", "rejection_threshold")
HANDED_ON = ("recipe", "licence")


def _is_number(value: Any, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _is_member(value: Any) -> bool:
    if not isinstance(value, Mapping) or set(value) != {"channels", "widths"}:
        return False
    widths = value["widths"]
    sizes = [value["channels"], *widths] if isinstance(widths, list | tuple) else []
    return len(sizes) == 6 and all(isinstance(size, int) and 1 <= size <= WIDEST for size in sizes)


LARGEST_IMAGE = 8192  # pixels an edge
MOST_MEMBERS, WIDEST = 8, 4096
EXPECTED: dict[str, Callable[[Any], bool]] = {
    "encoder": lambda value: isinstance(value, str),
    "members": lambda value: (
        isinstance(value, list | tuple) and 0 < len(value) <= MOST_MEMBERS and all(map(_is_member, value))
    ),
    "image_size": lambda value: isinstance(value, int) and _is_number(value, 1, LARGEST_IMAGE),
    "scale": lambda value: _is_number(value, 1e-6, 60),
    "rejection_threshold": lambda value: value is None or _is_number(value, -1, 1),
}


def read_header(path: str | Path | None) -> dict[str, Any]:
    """Read the header of a checkpoint.

    Args:
        path: path of a PyTorch or .safetensors file; a file older than headers has none, and one that is missing or
            damaged is reported when its weights are loaded.

    Returns:
        Those known of "encoder", "members" (see `fpn_encoder`), "image_size", "scale", "rejection_threshold",
        "recipe" and "licence".

    Raises:
        InputError: one of them, except recipe and license, is unusable.
    """
    if path is None or not Path(path).is_file():
        return {}
    try:
        if Path(path).suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                header = json.loads((file.metadata() or {}).get(HEADER, "{}"))
        else:
            # Mapped, so that no weights are read.
            header = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get(HEADER)
    except Exception:
        return {}
    header = dict(header) if isinstance(header, Mapping) else {}
    for name, value in header.items():
        fits = EXPECTED.get(name)
        if fits is not None and not fits(value):
            raise InputError(
                f"{path} says that its {name} is {str(value)[:80]!r}: the file is damaged. Fetch it again."
            )
    return header


def make_header(network: ALPNet, *, image_size: int, origin: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Describe the weights of a network.

    Args:
        network: network as it is used.
        image_size: edge of its input in pixels.
        origin: header of the weights that training began with, whose recipe and license are kept.
    """
    sizes = [{"channels": one.channels, "widths": one.widths} for one in _pyramids(network.encoder)]
    members = {"members": sizes} if sizes else {}
    matching = {name: getattr(network.matching, name) for name in OF_MATCHING if hasattr(network.matching, name)}
    handed_on = {name: value for name, value in (origin or {}).items() if name in HANDED_ON}
    return {"encoder": _encoder_name(network.encoder), **members, "image_size": image_size, **matching, **handed_on}


def _pyramids(encoder: nn.Module) -> list[FPNEncoder]:
    if isinstance(encoder, FPNEnsemble):
        return [member for member in encoder.members if isinstance(member, FPNEncoder)]
    return [encoder] if isinstance(encoder, FPNEncoder) else []


def _encoder_name(encoder: nn.Module) -> str:
    """Give the name of the timm model, or of the class."""
    name = getattr(encoder, "name", None)
    return name if isinstance(name, str) else type(encoder).__name__
