"""Shares that users give: what they may name, and what they add up to."""

from collections.abc import Collection, Mapping

import numpy as np

from protoseg.errors import InputError

__all__ = ["check_shares"]


def check_shares(name: str, shares: Mapping[str, float], known: Collection[str], *, whole: bool = False) -> None:
    """Refuse shares that name what is not `known` or are negative; `whole` ones add up to 1.

    Raises:
        InputError: naming them by `name`.
    """
    unknown = [key for key in shares if key not in known]
    if unknown or min(shares.values(), default=0) < 0:
        raise InputError(f"{name} are {dict(shares)}; expected numbers from 0 for some of {', '.join(known)}.")
    if whole and not np.isclose(sum(shares.values()), 1, atol=1e-8):
        raise InputError(f"{name} are {dict(shares)}; expected shares that add up to 1.")
