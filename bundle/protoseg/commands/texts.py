"""Reads the values that are written on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protoseg.errors import InputError

__all__ = ["parse_labels", "parse_options", "parse_place", "parse_slices"]


def parse_options(texts: Sequence[str]) -> dict[str, Any]:
    """Read overrides of config entries, ID=VALUE, the values as YAML.

    Raises:
        InputError: one has no value.
    """
    import yaml  # slow to import, and the help does not need it

    pairs = [text.partition("=") for text in texts]
    for name, sign, _ in pairs:
        if not sign:
            raise InputError(f"--set {name}: expected ID=VALUE, such as support_selection=all.")
    return {name: yaml.safe_load(value) for name, _, value in pairs}


def parse_labels(text: str | None) -> str | list[str] | dict[str, int] | None:
    """Read a choice of labels: names, names with values, or the path of a `dataset.json`, which is returned as it is.

    Raises:
        InputError: a value is no whole number, or a name comes twice.
    """
    if text is None or text.endswith(".json"):
        return text
    pairs = [[word.strip() for word in part.partition("=")] for part in text.split(",")]
    names, signs, values = zip(*pairs)
    valued = any(signs)
    if not all(names) or len(set(names)) < len(names) or (valued and not all(value.isdigit() for value in values)):
        raise InputError(f"--labels is '{text}'; expected names, liver,spleen, or values, liver=6,spleen=1, each once.")
    return dict(zip(names, map(int, values))) if valued else list(names)


def parse_place(text: str) -> tuple[float, float, float]:
    """Read a place, X,Y,Z.

    Raises:
        InputError: it is not three numbers.
    """
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"A click is at '{text}'; expected three numbers, X,Y,Z, such as 120,96,14, or 120,96,0 on a picture."
        ) from None
    return x, y, z


def parse_slices(text: str) -> str | list[int]:
    """Read a choice of slices: a word, which is returned as it is, or indices such as 12,15.

    Raises:
        InputError: it begins like indices, but is not a list of them.
    """
    if not text[:1].isdigit():
        return text
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts):
        raise InputError(f"--slices is '{text}'; expected largest, thirds, all, or indices such as 12,15.")
    return [int(part) for part in parts]
