"""A support of several scans: as many shots as there are labelled scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from protoseg.data.support.loading import load_support
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError
from protoseg.files import PathLike
from protoseg.ops.volume import Volume

__all__ = ["SplitCases", "load_support_scans", "load_supports", "split_cases"]


Labelled: TypeAlias = PathLike | Volume | Sequence[PathLike | Volume]


class SplitCases(NamedTuple):
    """Cases with the paths of a scan and its label map under "image" and "label"."""

    supports: Sequence[Mapping[str, Any]]
    queries: Sequence[Mapping[str, Any]]


def split_cases(cases: Sequence[Mapping[str, Any]], support_scans: int = 1) -> SplitCases:
    """Take the first `support_scans` cases as the support, the others as queries.

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
        cases: cases of the support, at least one.
        **options: options of `load_support`.

    Raises:
        InputError: as in `load_support`, for any of the scans.
    """
    support = load_support(cases[0]["image"], cases[0]["label"], **options)
    for case in cases[1:]:
        more = load_support(case["image"], case["label"], **{**options, "slice_axes": support.slice_axes})
        _check_named_apart(cases, case, support, more)
        support = support.merge(more)
    return support


def _check_named_apart(
    cases: Sequence[Mapping[str, Any]], case: Mapping[str, Any], support: SupportSet, more: SupportSet
) -> None:
    """Refuse labels of two label maps of one scan that only their values name: a mask a structure has the value 1."""
    unnamed = [name for name in more.labels if name in support.labels and name.startswith("label_")]
    others = [other["label"] for other in cases if _is_of_same_scan(other, case)]
    if unnamed and others:
        raise InputError(
            f"{case['label']} and {others[0]} are label maps of one scan, and both have a {unnamed[0]}, as their "
            "labels have no names. Give one label map of all labels, or a folder with a mask a structure, named after "
            "it."
        )


def _is_of_same_scan(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two cases are other label maps of one scan; of voxels in memory nobody can tell."""
    in_files = all(isinstance(case[key], PathLike) for case in (one, other) for key in ("image", "label"))
    return in_files and one["image"] == other["image"] and one["label"] != other["label"]


def load_supports(image: Labelled, label: Labelled, **options: Any) -> SupportSet:
    """Read one labelled scan, or several with their labels in the same order, and build one support of them all.

    Args:
        image: image of one scan, or a list of several.
        label: labels of one scan, or a list as long.
        **options: options of `load_support`.

    Raises:
        InputError: the lists are of different lengths, or empty; or as in `load_support`, for any of the scans.
    """
    images, labels = (list(given) if isinstance(given, list | tuple) else [given] for given in (image, label))
    if len(images) != len(labels) or not images:
        raise InputError(
            f"support_image names {len(images)} scans and support_label {len(labels)} label maps; expected a label map "
            "for each scan, in the same order."
        )
    return load_support_scans([{"image": image, "label": label} for image, label in zip(images, labels)], **options)
