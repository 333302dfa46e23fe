"""Checks of a workflow before it begins."""

from __future__ import annotations

from protoseg.errors import InputError

__all__ = ["check_training_precision"]


def check_training_precision(precision: str) -> None:
    """Refuse to train in float16, whose range is too small for gradients without scaling.

    Raises:
        InputError: precision is "float16".
    """
    if precision == "float16":
        raise InputError(
            "precision is 'float16', in which small gradients vanish; training takes auto, float32 or bfloat16. "
            "Choose one of these: the trained network can still be used in float16."
        )
