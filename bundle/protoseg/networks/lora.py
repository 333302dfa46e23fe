"""Sets how much of an encoder is trained: nothing, low-rank adapters (LoRA), or all of it."""

import difflib

from protoseg.errors import InputError
from protoseg.networks.encoder import Encoder

__all__ = ["adapt", "merge"]

_TUNINGS = ("frozen", "lora", "full")


def adapt(encoder: Encoder, *, tuning: str = "frozen", rank: int = 8, alpha: int = 16) -> Encoder:
    """Prepare an encoder, in place, for one way of training, and return it.

    "frozen": no parameter is trained and the encoder stays in evaluation mode.
    "lora": as frozen, plus trainable adapters of `rank`, scaled by alpha / rank, on `encoder.lora_targets`;
    they begin at zero, so the features are those of the frozen encoder; an encoder that has adapters keeps them.
    "full": every parameter is trained.
    Raises InputError for another `tuning` or a rank below 1. Source of LoRA: Hu et al., arXiv 2106.09685.
    """
    if tuning not in _TUNINGS:
        close = difflib.get_close_matches(str(tuning), _TUNINGS, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise InputError(f"tuning is '{tuning}'; expected one of {', '.join(_TUNINGS)}.{hint}")
    if rank < 1:
        raise InputError(f"rank is {rank}; LoRA needs a rank of at least 1.")
    if tuning == "lora" and hasattr(encoder, "peft_config"):  # which an adapted encoder has
        return encoder
    encoder.base_frozen = tuning != "full"
    encoder.requires_grad_(tuning == "full")
    if tuning == "lora":
        from peft import LoraConfig, inject_adapter_in_model  # imports transformers, which takes seconds

        config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=encoder.lora_targets)
        inject_adapter_in_model(config, encoder)
    encoder.train(encoder.training)
    return encoder


def merge(encoder: Encoder) -> Encoder:
    """Fold LoRA adapters into the layers they adapt, in place; the features stay the same."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    adapted = [(name, layer) for name, layer in encoder.named_modules() if isinstance(layer, BaseTunerLayer)]
    for name, layer in adapted:
        layer.merge()
        encoder.set_submodule(name, layer.get_base_layer())
    encoder.__dict__.pop("peft_config", None)  # otherwise peft would take it for adapted the next time
    return encoder
