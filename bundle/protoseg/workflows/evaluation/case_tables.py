"""Rows of figures about scans, labels and protocols as tables in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from protoseg.workflows.evaluation.metrics import CaseRow
from protoseg.workflows.reports.csv_tables import read_table, write_table

__all__ = ["read_rows", "write_rows"]

COLUMNS = list(CaseRow.__annotations__)
TEXTS = ("protocol", "scan", "label")
INTEGERS = ("slices",)


def write_rows(path: Path, rows: Sequence[CaseRow]) -> None:
    """Write a CSV file with a row for each scan, label and protocol; "nan" where a measure is undefined."""
    write_table(path, cast(Sequence[Mapping[str, Any]], rows), COLUMNS)


def read_rows(path: Path) -> list[CaseRow]:
    """Read what `write_rows` wrote."""
    return cast(list[CaseRow], read_table(path, TEXTS, INTEGERS))
