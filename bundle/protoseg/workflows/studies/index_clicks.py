"""The study of clicks on the sets of a suite's index: each set by itself, and their mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from protoseg.engine.feature_cache import FeatureCache
from protoseg.errors import InputError
from protoseg.files import write_json
from protoseg.ops.fingerprint import weights_fingerprint
from protoseg.ops.hashing import fingerprint
from protoseg.workflows.studies.clicks import click_figures, click_rows
from protoseg.workflows.studies.study import Study, StudyRow
from protoseg.workflows.suite.index import LabelledScan, ScanSet, read_index
from protoseg.workflows.suite.segmenter import PairSegmenter

__all__ = ["figures_by_set", "queries", "run_click_study_of_index"]


def run_click_study_of_index(
    study: Study,
    index: str | Path,
    *,
    clicks: int,
    only: Sequence[str] = (),
    limit: int | None = None,
    **overrides: Any,
) -> None:
    """Click on every label of an index's queries, up to so many times; the files are written after each scan.

    What is done is kept scan by scan, as by `run_click_study`. The rows of a set are "set/scan".

    Args:
        study: study that collects the rows.
        index: path of the JSON file, see `read_index`.
        clicks: largest number of clicks on each label.
        only: names of sets, see `read_index`.
        limit: largest number of queries of each set; by default all.
        **overrides: values of entries of `inference.yaml`.

    Raises:
        InputError: the index, a scan or a setting cannot be used, or a number is below 1.
    """
    for name, number in (("clicks", clicks), ("limit", limit)):
        if number is not None and number < 1:
            raise InputError(f"--{name} is {number}; it must be at least 1.")
    sets = read_index(index, only=only)
    segmenter = PairSegmenter((), overrides)
    code = segmenter.settings()["code"]
    for one in sets:
        labels = one.pairs[0].labels
        made_with = fingerprint(weights_fingerprint(segmenter.network), code, clicks, dict(labels))
        for query in queries(one)[:limit]:
            scan = segmenter.load(query)
            # Of each scan anew: its features are of no use to others.
            encoder = segmenter.encoder.with_cache(FeatureCache())
            measure = partial(_rows, one.name, scan, labels, encoder, clicks=clicks)
            study.keep(scan, one.name, made_with, measure)
            study.write()
            write_json(study.output_dir / f"{study.name}.json", figures_by_set(study.rows))


def queries(one: ScanSet) -> list[LabelledScan]:
    """List the scans of a set that are segmented, each once, in the order of the index."""
    return list(dict.fromkeys(pair.query for pair in one.pairs))


def figures_by_set(rows: Sequence[StudyRow]) -> dict[str, dict[str, float]]:
    """Sum up rows by set, see `click_figures`; "mean over sets" is the mean of these."""
    by_set: dict[str, list[StudyRow]] = {}
    for row in rows:
        by_set.setdefault(row["scan"].partition("/")[0], []).append(row)
    figures = {name: click_figures(mine) for name, mine in by_set.items()}
    names = {name: None for mine in figures.values() for name in mine}
    means = {name: float(np.mean([mine[name] for mine in figures.values() if name in mine])) for name in names}
    return figures | {"mean over sets": {name: round(value, 4) for name, value in means.items()}}


def _rows(set_name: str, sample: Mapping[str, Any], *rest: Any, scan: str, **arguments: Any) -> Iterator[StudyRow]:
    named = f"{set_name}/{scan}"
    return click_rows(sample["image"], sample["label"], *rest, scan=named, **arguments)
