"""Weights of several pyramids, joined to those of one network that encodes by all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from protoseg.errors import InputError
from protoseg.files import replacing
from protoseg.networks.header import HEADER, read_header
from protoseg.networks.weights import read_state

__all__ = ["join_weights"]

_PYRAMID = re.compile(r"encoder\.(?:members\.\d+\.)?stem\.weight")


def join_weights(paths: Sequence[str | Path], output: str | Path, *, recipe: str | None = None) -> dict[str, Any]:
    """Write weights of an `FPNEnsemble` in half precision; what matching needs is as the first of them says.

    Args:
        paths: checkpoints of networks that encode by one pyramid, at least two.
        output: file to write, which appears whole or not at all.
        recipe: how they were trained; that of the first when left out.

    Returns:
        The header.

    Raises:
        InputError: a file cannot be read, is none of a single pyramid, or there are too few.
    """
    if len(paths) < 2:
        raise InputError(f"{len(paths)} file of weights to join; expected at least two.")
    members, state = [], {}
    for number, path in enumerate(paths):
        encoder = _encoder_of(path)
        members.append(_sizes(encoder))
        state.update({f"encoder.members.{number}.{name}": tensor.half() for name, tensor in encoder.items()})
    header = {"image_size": 256, "scale": 30.0, **read_header(paths[0]), "encoder": "FPNEnsemble", "members": members}
    header |= {} if recipe is None else {"recipe": recipe}
    with replacing(Path(output)) as unfinished:
        torch.save({"network": state, HEADER: header}, unfinished)
    return header


def _encoder_of(path: str | Path) -> dict[str, Tensor]:
    """Tensors of the one pyramid of a checkpoint."""
    state = read_state(path, origin="best.pt or average.pt of a training run")
    # As averaged weights are named.
    state = {name.removeprefix("module."): tensor for name, tensor in state.items() if name != "n_averaged"}
    stems = [name for name in state if _PYRAMID.fullmatch(name)]
    others = [name for name in state if not name.startswith("encoder.")]
    if stems != ["encoder.stem.weight"] or others:
        found = f"{len(stems)} pyramids" if not others else f"besides, {others[0]}"
        raise InputError(f"{path} holds {found}; expected weights whose encoder is a single FPNEncoder, and no more.")
    return {name.removeprefix("encoder."): tensor for name, tensor in state.items()}


def _sizes(encoder: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of the `FPNEncoder` that these tensors are of."""
    widths = [
        encoder["stem.weight"].shape[0],
        *(encoder[f"down{stride}.conv1.weight"].shape[0] for stride in (4, 8, 16)),
    ]
    return {"channels": encoder["out.weight"].shape[0], "widths": [*widths, encoder["top.weight"].shape[1]]}
