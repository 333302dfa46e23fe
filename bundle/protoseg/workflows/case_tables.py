"""The rows of an evaluation as a table in a file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from protoseg.files import replacing
from protoseg.workflows.metrics import CaseRow

__all__ = ["read_rows", "write_rows"]

COLUMNS = list(CaseRow.__annotations__)
TEXTS = ("protocol", "scan", "label")


def write_rows(path: Path, rows: Sequence[CaseRow]) -> None:
    """Write a CSV file with a row for each scan, label and protocol; "nan" where a measure says nothing."""
    with replacing(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=COLUMNS)
        writer.writeheader()
        writer.writerows(
            {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()} for row in rows
        )


def read_rows(path: Path) -> list[CaseRow]:
    """Read what `write_rows` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return [cast(CaseRow, {key: _value(key, text) for key, text in row.items()}) for row in csv.DictReader(file)]


def _value(column: str, text: str) -> Any:
    if column in TEXTS:
        return text
    if not text:
        return None
    return int(text) if column == "slices" else float(text)
