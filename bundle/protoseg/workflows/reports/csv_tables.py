"""Rows of figures as tables in files."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from protoseg.files import replacing

__all__ = ["read_table", "write_table"]


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
        path: path of the CSV file.
        texts: names of the columns of text; all others hold numbers, None where a cell is empty.
        integers: names of the columns of whole numbers.
    """

    def value(column: str, text: str) -> Any:
        if column in texts:
            return text
        if not text:
            return None
        return int(text) if column in integers else float(text)

    with path.open(newline="", encoding="utf-8") as file:
        return [{key: value(key, text) for key, text in row.items()} for row in csv.DictReader(file)]
