"""A support of several scans: as many shots as there are labelled scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from protoseg.data.support.loading import load_support
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError

__all__ = ["SplitCases", "load_support_scans", "split_cases"]


class SplitCases(NamedTuple):
    """Cases with the paths of a scan and its label map under "image" and "label"."""

    supports: Sequence[Mapping[str, Any]]
    queries: Sequence[Mapping[str, Any]]


def split_cases(cases: Sequence[Mapping[str, Any]], support_scans: int = 1) -> SplitCases:
    """Take the first so many cases as the support, the others as queries.

    Raises:
        InputError: that leaves no support or no query.
    """
    if not 1 <= support_scans < len(cases):
        raise InputError(
            f"support_scans is {support_scans}, but the section has {len(cases)} scans; expected 1 to "
            f"{len(cases) - 1}, which leaves at least one scan to segment."
        )
    return SplitCases(cases[:support_scans], cases[support_scans:])


def load_support_scans(cases: Sequence[Mapping[str, Any]], **options: Any) -> SupportSet:
    """Read labelled scans and build one support of them all, in slices of the plane of the first.

    Args:
        cases: of the support, at least one.
        **options: of `load_support`.

    Raises:
        InputError: of `load_support`, for any of the scans.
    """
    support = load_support(cases[0]["image"], cases[0]["label"], **options)
    for case in cases[1:]:
        more = load_support(case["image"], case["label"], slice_axes=support.slice_axes, **options)
        support = support.merge(more)
    return support
