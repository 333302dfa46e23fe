"""Combines weights of several trainings: joined, to encode side by side, or averaged into one."""

from __future__ import annotations

import math
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

__all__ = ["average_weights", "join_weights"]

_PYRAMID = re.compile(r"encoder\.(?:members\.\d+\.)?stem\.weight")


def join_weights(paths: Sequence[str | Path], output: str | Path, *, recipe: str | None = None) -> dict[str, Any]:
    """Write weights of an `FPNEnsemble` in half precision; the settings of the matching are the first one's.

    Args:
        paths: checkpoints of networks that encode by one pyramid, at least two.
        output: file to write, which appears whole or not at all.
        recipe: description of the training; by default that of the first.

    Returns:
        The header.

    Raises:
        InputError: a file cannot be read or has more than a single pyramid, or there are too few.
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


def average_weights(paths: Sequence[str | Path], shares: Sequence[float], output: str | Path) -> None:
    """Write the weighted mean of weights, with the header of the first of them.

    It pays if one of them was trained from the other: networks between their weights are good wherever either is
    ("model soups", arXiv 2203.05482).

    Args:
        paths: checkpoints of one and the same network, at least two.
        shares: share of each in the mean, all above 0; their sum need not be 1.
        output: file to write, which appears whole or not at all.

    Raises:
        InputError: a file cannot be read, is of another network, or shares do not fit.
    """
    if len(paths) < 2:
        raise InputError(f"{len(paths)} file of weights to average; expected at least two.")
    if len(shares) != len(paths) or not all(0 < share < math.inf for share in shares):
        given = " ".join(f"{share:g}" for share in shares)
        raise InputError(f"shares are {given}; expected {len(paths)} numbers above 0, one for each file.")
    states = [_state_of(path) for path in paths]
    shapes = [{name: tuple(tensor.shape) for name, tensor in state.items()} for state in states]
    for path, other in zip(paths, shapes):
        if other != shapes[0]:
            raise InputError(f"{path} holds other tensors than {paths[0]}; expected weights of the same network.")
    mean = {
        name: sum(share * state[name].float() for share, state in zip(shares, states)) / sum(shares)
        for name in shapes[0]
    }
    with replacing(Path(output)) as unfinished:
        torch.save({"network": mean, HEADER: read_header(paths[0])}, unfinished)


def _state_of(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint by their names in the network, even if training averaged them."""
    state = read_state(path, origin="best.pt or average.pt of a training run")
    return {name.removeprefix("module."): tensor for name, tensor in state.items() if name != "n_averaged"}


def _encoder_of(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of the one pyramid of a checkpoint."""
    state = _state_of(path)
    stems = [name for name in state if _PYRAMID.fullmatch(name)]
    others = [name for name in state if not name.startswith("encoder.")]
    if stems != ["encoder.stem.weight"] or others:
        found = f"{len(stems)} pyramids" if not others else f"besides, {others[0]}"
        raise InputError(f"{path} holds {found}; expected weights whose encoder is a single FPNEncoder, and no more.")
    return {name.removeprefix("encoder."): tensor for name, tensor in state.items()}


def _sizes(encoder: Mapping[str, Tensor]) -> dict[str, Any]:
    """Tell the arguments of the `FPNEncoder` that has these tensors."""
    widths = [
        encoder["stem.weight"].shape[0],
        *(encoder[f"down{stride}.conv1.weight"].shape[0] for stride in (4, 8, 16)),
    ]
    return {"channels": encoder["out.weight"].shape[0], "widths": [*widths, encoder["top.weight"].shape[1]]}
