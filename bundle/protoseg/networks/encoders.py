"""The encoder that wraps any timm model."""

import difflib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import timm
import torch
from timm.models import checkpoint_seq
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from protoseg.errors import InputError
from protoseg.networks.dinov2 import PositionEmbedding, is_official, official_interpolation, official_to_timm
from protoseg.networks.encoder import Encoder
from protoseg.networks.vit_blocks import PackedBlock, packed_blocks, transform, transform_packed
from protoseg.networks.weights import load_strict, read_state

__all__ = ["TimmEncoder"]

POSITION_SIZES = 8  # most grids whose positions a frozen encoder keeps: pictures may come in ever new sizes


class TimmEncoder(Encoder):
    """Any timm model that has a feature map, by its timm name.

    A vision transformer (DINOv2, DINOv3, DINO, MAE, CLIP, ...) gives the normalized patch tokens of its last
    block; a hierarchical model gives the feature map whose stride is closest to `closest_stride`.

    `weights` is a local checkpoint in timm's layout or the official DINOv2 one; `pretrained` fetches timm's.
    `grad_checkpointing` recomputes activations in the backward pass, to save memory.
    `options` go to `timm.create_model`.
    Raises InputError for an unknown name, a model without feature map, and absent or unfitting weights.
    """

    model: Any  # timm's models have no common type

    def __init__(
        self,
        name: str,
        *,
        weights: str | Path | None = None,
        pretrained: bool = False,
        closest_stride: int = 16,
        grad_checkpointing: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        _check_name(name)
        # Read first: building a large model takes too long to find only then that the file is missing.
        state = None if weights is None else read_state(weights, origin=_published_file(name)[1])
        model = _create(name, pretrained=pretrained and state is None, options=options)
        if state is not None:
            load_strict(model, _timm_layout(state, model), source=str(weights), target=name)
        self._index = _closest_feature(model, closest_stride)
        self._is_last = self._index == len(model.feature_info) - 1
        # Layers past the feature map would waste memory and never get a gradient.
        model.prune_intermediate_layers([self._index], prune_norm=not self._is_last, prune_head=True)
        model.set_grad_checkpointing(grad_checkpointing)
        self.model = model
        self._name = name
        self.channels = model.feature_info[self._index]["num_chs"]
        self.stride = model.feature_info[self._index]["reduction"]
        self._positions: Callable[[Tensor, tuple[int, int]], Tensor] | None = _position_embedding(model, name)
        self._packed: list[PackedBlock] | None = None  # in a frozen encoder, instead of the model's blocks

    @property
    def name(self) -> str:
        """Name of the timm model."""
        return self._name

    def frozen(self, dtype: torch.dtype) -> Self:
        """Make a copy for inference, with packed weights and with positions that are resampled once per size."""
        frozen = super().frozen(dtype)
        if frozen._positions is not None:
            frozen._positions = lru_cache(maxsize=POSITION_SIZES)(frozen._positions)
            frozen._packed = packed_blocks(frozen.model.blocks, dtype)
        if frozen._packed is not None:
            frozen.model.blocks = nn.Sequential()  # they would be a second copy of the weights
        return frozen

    def encode(self, image: Tensor) -> Tensor:
        """Encode (B, 3, H, W) to (B, channels, H / stride, W / stride)."""
        if self._positions is not None:
            return self._encode_vit(image)
        maps = self.model.forward_intermediates(
            image, indices=[self._index], norm=self._is_last, stop_early=True, intermediates_only=True
        )
        return maps[0]

    def _encode_vit(self, image: Tensor) -> Tensor:
        """Encode as timm's forward pass does, but with the official positions."""
        assert self._positions is not None
        vit = self.model
        patches = vit.patch_embed(image)  # B x h x w x C
        batch, h, w, _ = patches.shape
        prefix = (token.expand(batch, -1, -1) for token in (vit.cls_token, vit.reg_token) if token is not None)
        tokens = torch.cat([*prefix, patches.flatten(1, 2)], dim=1)  # B x (prefix + h * w) x C
        tokens = vit.norm_pre(vit.pos_drop(tokens + self._positions(vit.pos_embed, (h, w))))
        patches = self._transform(tokens)[:, vit.num_prefix_tokens :].narrow(1, 0, h * w)
        return vit.norm(patches).transpose(1, 2).unflatten(2, (h, w))

    def _transform(self, tokens: Tensor) -> Tensor:
        if self._packed is not None:
            return transform_packed(self._packed, tokens)
        recompute = self.model.grad_checkpointing and torch.is_grad_enabled()
        return checkpoint_seq(self.model.blocks, tokens) if recompute else transform(self.model.blocks, tokens)


def _check_name(name: str) -> None:
    known = {*timm.list_models(), *timm.list_models(pretrained=True)}
    if name not in known:
        close = difflib.get_close_matches(name, sorted(known), n=3)
        hint = f"Did you mean {', '.join(close)}?" if close else "timm.list_models() lists the names."
        raise InputError(f"timm {timm.__version__} has no model named '{name}'. {hint}")


def _create(name: str, *, pretrained: bool, options: dict[str, Any]) -> Any:
    arguments = {"pretrained": pretrained, "num_classes": 0, **options}
    try:
        try:
            model = timm.create_model(name, dynamic_img_size=True, **arguments)
        except TypeError:  # only transformers must be told to accept images of any size
            model = timm.create_model(name, **arguments)
    except Exception as error:
        if not pretrained or isinstance(error, TypeError):
            raise
        # The exception for an unreachable hub varies between releases of its client.
        file, origin = _published_file(name)
        raise InputError(
            f"The weights of {name} could not be fetched. Get {origin}, save it as bundle/models/{file}, "
            f"and pass weights='bundle/models/{file}' instead of pretrained."
        ) from error
    if not hasattr(model, "forward_intermediates") or not hasattr(model, "prune_intermediate_layers"):
        raise InputError(f"timm's model '{name}' offers no feature map. Choose one with forward_intermediates().")
    return model


def _timm_layout(state: dict[str, Tensor], model: Any) -> dict[str, Tensor]:
    """Return the state dict in timm's layout and without the classifier, which the encoder does not have."""
    if is_official(state):
        state = official_to_timm(state)
    heads = model.pretrained_cfg.get("classifier") or ()
    prefixes = tuple(f"{head}." for head in ([heads] if isinstance(heads, str) else heads))
    return {name: tensor for name, tensor in state.items() if not name.startswith(prefixes)}


def _published_file(name: str) -> tuple[str, str]:
    """Return a file name for the weights of a timm model, and where its publisher offers them."""
    published = timm.get_pretrained_cfg(name)
    url = str(published.url or "") if published else ""
    if name.startswith("vit_") and url.endswith(".pth"):
        return Path(url).name, url
    # Other publishers' own layouts differ from timm's, which is on the hub.
    hub = (published and published.hf_hub_id) or f"timm/{name}"
    return f"{name}.safetensors", f"model.safetensors of {hub} on the Hugging Face hub"


def _closest_feature(model: Any, stride: int) -> int:
    """Return the index of the feature map whose stride is closest in ratio; the deepest of several."""
    reductions = [info["reduction"] for info in model.feature_info]
    return min(range(len(reductions)), key=lambda i: (max(reductions[i] / stride, stride / reductions[i]), -i))


def _position_embedding(model: Any, name: str) -> PositionEmbedding | None:
    """Return how a plain vision transformer embeds positions; None for models that handle it themselves."""
    if type(model) is not VisionTransformer or model.pos_embed is None:
        return None
    prefix = model.num_prefix_tokens
    offset, antialias = official_interpolation(name)
    return PositionEmbedding(
        grid=model.patch_embed.grid_size,
        prefix=prefix,
        embedded_prefix=0 if model.no_embed_class else prefix,
        offset=offset,
        antialias=antialias,
    )
