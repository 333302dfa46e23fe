"""The findings of an inference run as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from protoseg.data.io.results import read_report, report_file
from protoseg.data.io.volumes import query_id
from protoseg.files import PathLike

__all__ = ["read_reports", "report_table"]

COLUMNS = ("query", "label", "ml", "est. Dice", "warning")


def read_reports(folder: Path, queries: Sequence[PathLike]) -> list[dict[str, Any]]:
    """Read the reports about queries, as far as they exist."""
    reports = (read_report(report_file(folder, query_id(query))) for query in queries)
    return [report for report in reports if report is not None]


def report_table(reports: Sequence[dict[str, Any]], folder: Path) -> str:
    """Write a line per query and label: volume, estimated Dice and warning; and, at the end, the place of the files."""
    rows = [COLUMNS]
    for report in reports:
        for name, entry in report["labels"].items():
            estimate = entry["estimated_dice"]
            told = "" if estimate is None else f"{estimate:.2f}"
            rows.append((query_id(report["query"]), name, f"{entry['volume_ml']:.1f}", told, entry["warning"]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS) - 1)]
    lines = []
    for query, name, volume, estimate, warning in rows:
        cells = (query.ljust(widths[0]), name.ljust(widths[1]), volume.rjust(widths[2]), estimate.rjust(widths[3]))
        lines.append("  ".join((*cells, warning)).rstrip())
    return "\n".join([*lines, f"{folder}/*_seg.nii.gz, *_seg.png, *_seg.json"])
