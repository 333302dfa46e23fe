"""Reads checkpoints from disk and loads them strictly, or says precisely why they do not fit."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from protoseg.errors import InputError
from protoseg.files import replacing
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.header import HEADER, read_header

__all__ = ["load_strict", "load_weights", "read_state", "save_weights", "with_weights"]

LARGEST_WEIGHT = 1e6  # far beyond any that was trained; features of larger ones overflow
# Keys under one of which a checkpoint keeps the state dict, beside optimizer and counters.
_WRAPPERS = ("network", "model", "state_dict")
_VIT_SIZES = {192: "Ti", 384: "S", 768: "B", 1024: "L", 1280: "H", 1536: "g"}


def load_weights(module: nn.Module, path: str | Path) -> None:
    """Load a checkpoint of `module` itself, strictly.

    The file holds a state dict, or a mapping that has it under "network" (.pt, .pth or .safetensors).
    Raises InputError when the file is missing, damaged, or belongs to another architecture.
    """
    state = read_state(path, origin="best.pt of a training run")
    encoder = read_header(path).get("encoder")
    source = f"{path} (weights of {encoder})" if encoder else path
    load_strict(module, state, source=source, target=type(module).__name__)


def save_weights(network: ALPNet, path: str | Path, *, header: Mapping[str, Any]) -> None:
    """Write a network's weights and their header, see `make_header`; the file appears whole or not at all."""
    with replacing(Path(path)) as unfinished:
        torch.save({"network": network.state_dict(), HEADER: dict(header)}, unfinished)


def with_weights(network: nn.Module, path: str | Path | None) -> nn.Module:
    """Return the network with a checkpoint loaded, see `load_weights`; unchanged if `path` is None."""
    if path is not None:
        load_weights(network, path)
    return network


def read_state(path: str | Path, *, origin: str = "") -> dict[str, Tensor]:
    """Read a state dict from a .safetensors or PyTorch file; no code in the file is run.

    `origin` tells the user where a missing file is available.
    Raises InputError when the file is missing, damaged, or holds no state dict.
    """
    path = Path(path)
    if not path.is_file():
        hint = f" Get {origin} and save it there, or set weights to where you keep it." if origin else ""
        raise InputError(f"Weights file {path} does not exist.{hint}")
    try:
        if path.suffix == ".safetensors":
            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the exception depends on where the damage is
        raise InputError(
            f"Weights file {path} ({path.stat().st_size} bytes) cannot be read as a checkpoint: it is cut "
            "short, is no PyTorch or safetensors file, or holds objects other than tensors. Fetch it again."
        ) from error
    return _unwrap(content, path)


def _unwrap(content: object, path: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), content)
        if inner and all(isinstance(value, Tensor) for value in inner.values()):
            return dict(inner)
    raise InputError(
        f"Weights file {path} holds no state dict. Expected names mapped to tensors, "
        f"either directly or under one of the keys {', '.join(_WRAPPERS)}."
    )


def load_strict(module: nn.Module, state: Mapping[str, Tensor], *, source: str | Path, target: str) -> None:
    """Load `state` into `module`; every name and every shape has to agree, and every number must be a weight's.

    `source` (the file) and `target` (the model) are named in the InputError that a mismatch raises.
    """
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    reshaped = [name for name in wanted if name in found and found[name] != wanted[name]]
    problems = [
        _listed("missing", [name for name in wanted if name not in found]),
        _listed("unexpected", [name for name in found if name not in wanted]),
        _listed("of another shape", [f"{name} {found[name]} instead of {wanted[name]}" for name in reshaped]),
    ]
    if any(problems):
        raise InputError(
            f"{source} does not fit {target}: {'; '.join(filter(None, problems))}. "
            f"The file holds {_outline(found)}; the model has {_outline(wanted)}. {_advice(found, wanted)}"
        )
    wild = next((name for name, tensor in state.items() if not _is_sound(tensor)), None)
    if wild is not None:
        raise InputError(
            f"{source} has NaN, infinity or a number beyond {LARGEST_WEIGHT:g} in {wild}, as no trained network has: "
            "the file is damaged, or the training that wrote it has diverged. Fetch it again, or give other weights."
        )
    module.load_state_dict(state)


def _is_sound(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or not tensor.numel() or tensor.is_meta:  # which has no numbers
        return True
    least, most = tensor.aminmax()  # NaN where one is
    return bool(least >= -LARGEST_WEIGHT) and bool(most <= LARGEST_WEIGHT)


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    return f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def _outline(shapes: Mapping[str, tuple[int, ...]]) -> str:
    first = ", ".join(list(shapes)[:3])
    return f"{len(shapes)} tensors beginning with {first}{_vit_outline(shapes)}"


def _vit_outline(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Name the vision transformer that tensors of these names and shapes make up, if they do."""
    stem = next((name for name in shapes if name.endswith("patch_embed.proj.weight")), "")
    start = stem.removesuffix("patch_embed.proj.weight")
    blocks = re.compile(re.escape(start) + r"blocks\.(\d+)\.")
    depth = len({match[1] for name in shapes if (match := blocks.match(name))})
    if not stem or not depth:
        return ""
    width, _, patch, _ = shapes[stem]
    tokens = [shapes[start + name][1] for name in ("reg_token", "register_tokens") if start + name in shapes]
    size = _VIT_SIZES.get(width, "?")
    return f" (a ViT-{size}/{patch}: {width} wide, {depth} blocks, {sum(tokens)} registers)"


def _advice(found: Mapping[str, object], wanted: Mapping[str, object]) -> str:
    adapted_file, adapted_model = (any(".lora_A." in name for name in names) for names in (found, wanted))
    if adapted_file != adapted_model:
        adapted = "file" if adapted_file else "model"
        return f"Only the {adapted} has LoRA adapters: set tuning to what the file was trained with."
    return "Give the weights of this model, or choose the model that the file was made for."
