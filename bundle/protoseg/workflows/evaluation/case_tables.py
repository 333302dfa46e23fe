"""Rows of figures as tables in files."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from protoseg.files import replacing
from protoseg.workflows.evaluation.metrics import CaseRow

__all__ = ["read_rows", "read_table", "write_rows", "write_table"]

COLUMNS = list(CaseRow.__annotations__)
TEXTS = ("protocol", "scan", "label")
INTEGERS = ("slices",)


def write_rows(path: Path, rows: Sequence[CaseRow]) -> None:
    """Write a CSV file with a row for each scan, label and protocol; "nan" where a measure says nothing."""
    write_table(path, cast(Sequence[Mapping[str, Any]], rows), COLUMNS)


def read_rows(path: Path) -> list[CaseRow]:
    """Read what `write_rows` wrote."""
    return cast(list[CaseRow], read_table(path, TEXTS, INTEGERS))


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write rows as a CSV file, with four decimals; None, or a column that a row lacks, is an empty cell."""
    with replacing(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns)
        writer.writeheader()
        writer.writerows(
            {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()} for row in rows
        )


def read_table(path: Path, texts: Sequence[str], integers: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Read what `write_table` wrote.

    Args:
        path: CSV file.
        texts: columns of text; all others hold numbers, None where a cell is empty.
        integers: columns of whole numbers.
    """

    def value(column: str, text: str) -> Any:
        if column in texts:
            return text
        if not text:
            return None
        return int(text) if column in integers else float(text)

    with path.open(newline="", encoding="utf-8") as file:
        return [{key: value(key, text) for key, text in row.items()} for row in csv.DictReader(file)]
