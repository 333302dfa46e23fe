"""Checks of shares that users give: their names and their sum."""

from collections.abc import Collection, Mapping

import numpy as np

from protoseg.errors import InputError

__all__ = ["check_shares"]


def check_shares(name: str, shares: Mapping[str, float], known: Collection[str], *, whole: bool = False) -> None:
    """Refuse shares with names that are not `known`, and negative ones; `whole` ones must add up to 1.

    Raises:
        InputError: naming them by `name`.
    """
    unknown = [key for key in shares if key not in known]
    if unknown or min(shares.values(), default=0) < 0:
        raise InputError(f"{name} are {dict(shares)}; expected numbers from 0 for some of {', '.join(known)}.")
    if whole and not np.isclose(sum(shares.values()), 1, atol=1e-8):
        raise InputError(f"{name} are {dict(shares)}; expected shares that add up to 1.")
