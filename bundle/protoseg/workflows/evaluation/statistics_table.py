"""Statistics of labels over a cohort as a table in a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from protoseg.files import PathLike
from protoseg.workflows.evaluation.label_statistics import LabelStatistics
from protoseg.workflows.reports.csv_tables import write_table

__all__ = ["statistics_rows", "write_statistics_csv"]

COLUMNS = ("query", "label", *LabelStatistics.__annotations__)


def statistics_rows(query: str, statistics: Mapping[str, LabelStatistics]) -> list[dict[str, Any]]:
    """Make a row for each label of a query."""
    return [{"query": query, "label": label, **values} for label, values in statistics.items()]


def write_statistics_csv(path: PathLike, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV file (UTF-8) with a row for each query and label; values missing for an absent label are empty cells.

    Args:
        path: path of the file, which is replaced whole.
        rows: rows, see `statistics_rows`.

    Raises:
        WriteError: the file cannot be written.
    """
    write_table(Path(path), list(rows), COLUMNS)
