"""Divides scans into those for training, and those for tests with their support."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeVar

from protoseg.data.preparation.scans import Case, SourceScan
from protoseg.errors import InputError

__all__ = ["as_listed", "divide", "in_folds", "published_folds"]

FOLDS = 5
Scan = TypeVar("Scan")


def divide(training: Sequence[Scan], support: Scan, test: Sequence[Scan]) -> dict[str, list[Scan]]:
    """Make the sections of a list; of "validation" and "test" the first scan is the support.

    Validation takes its queries from the training scans, whose labels training does not use: the test scans stay
    unseen. They are the last twentieth of them, at least two.
    """
    queries = training[-max(2, len(training) // 20) :]
    return {"training": list(training), "validation": [support, *queries], "test": [support, *test]}


def published_folds(scans: Sequence[Scan]) -> list[dict[str, list[Scan]]]:
    """Divide scans into five folds as published: equal runs, each with the scan after it (after the last: the first).

    That scan is the support and, like those of the run, is left out of training (code of SSL-ALPNet,
    arXiv 2007.09886). Three or four scans make as many folds.

    Raises:
        InputError: there are less than three scans.
    """
    total, count = len(scans), min(FOLDS, len(scans))
    if total < 3:
        raise InputError(
            f"Found {total} labelled scan(s), expected at least 3: one to train on, a support and one to test on. "
            "Add scans."
        )
    bounds = [total * fold // count for fold in range(count + 1)]
    folds = []
    for first, end in pairwise(bounds):
        support = end % total
        training = [scan for index, scan in enumerate(scans) if not first <= index < end and index != support]
        folds.append(divide(training, scans[support], scans[first:end]))
    return folds


def in_folds(scans: Sequence[SourceScan], cases: Sequence[Case]) -> dict[str, Any]:
    """Give the sections of the first fold, and "folds" with the ids in the sections of each.

    Scans without labels are trained on in every fold; a data set without any label has "training" alone.
    """
    labelled = [case for case in cases if "label" in case]
    unlabelled = [case for case in cases if "label" not in case]
    if not labelled:
        return {"training": unlabelled}
    folds = published_folds(labelled)
    for fold in folds:
        fold["training"] += unlabelled
    ids = [{section: [case["id"] for case in listed] for section, listed in fold.items()} for fold in folds]
    return {**folds[0], "folds": ids}


def as_listed(scans: Sequence[SourceScan], cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Give every scan the section that its source says."""
    sections: dict[str, list[Case]] = {}
    for scan, case in zip(scans, cases):
        sections.setdefault(scan.section or "training", []).append(case)
    return sections
