"""The files of a query's results, and how to tell them from images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from protoseg.data.io.marks import is_unchanged
from protoseg.errors import InputError
from protoseg.files import is_there

__all__ = [
    "LABEL_MAP",
    "LABEL_PICTURE",
    "OVERLAY",
    "RESULT_SUFFIXES",
    "check_replaceable",
    "is_result",
    "read_report",
    "report_file",
    "result_file",
]

LABEL_MAP, OVERLAY, LABEL_PICTURE, REPORT = ".nii.gz", ".png", "_labels.png", ".json"
RESULT_SUFFIXES = (LABEL_MAP, OVERLAY, LABEL_PICTURE, REPORT)
REPORT_KEYS = {"query", "labels", "settings"}


def result_file(folder: str | Path, name: str, suffix: str) -> Path:
    """Give the path of a result for the query of a name; `suffix` is one of `RESULT_SUFFIXES`."""
    return Path(folder) / f"{name}_seg{suffix}"


def report_file(folder: str | Path, name: str) -> Path:
    """Give the path of the report for the query of a name, which is written last."""
    return result_file(folder, name, REPORT)


def read_report(file: Path) -> dict[str, Any] | None:
    """Read a report; None if it is missing or unreadable."""
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) else None


def check_replaceable(file: Path) -> None:
    """Refuse to write over a file that protoseg did not write, as a mask drawn by hand, or that was changed since.

    Raises:
        InputError: naming the file.
    """
    if not is_there(file):
        return
    report = _report_of(file)
    if file.suffix == REPORT:  # one that was cut short is worth nothing
        unchanged: bool | None = report is not None or read_report(file) is None
    else:
        unchanged = is_unchanged(file)
    if unchanged is None:  # it has no mark: then it is a result if it was written before there were marks
        unchanged = report is not None and "software" not in report
    if not unchanged:
        raise InputError(
            f"{file} would be written over, and protoseg did not write it, or somebody changed it since. Move it, or "
            "choose another place for the results."
        )


def is_result(path: Path) -> bool:
    """Tell whether an image file is the result of a query: it has a result's name, and its report is beside it."""
    return _report_of(path) is not None


def _report_of(path: Path) -> dict[str, Any] | None:
    """Read the report beside a file that has a result's name."""
    for suffix in RESULT_SUFFIXES:
        name = path.name.removesuffix(f"_seg{suffix}")
        if name != path.name:
            report = read_report(report_file(path.parent, name))
            if report is not None and report.keys() >= REPORT_KEYS:
                return report
    return None
