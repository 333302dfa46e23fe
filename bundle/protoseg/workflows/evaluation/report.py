"""The report of one evaluation or of several, such as those of all folds: figures as JSON, and a page to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from protoseg.errors import InputError
from protoseg.files import replacing, to_path, write_json
from protoseg.workflows.evaluation.case_tables import read_rows, write_rows
from protoseg.workflows.evaluation.metrics import CaseRow
from protoseg.workflows.evaluation.summaries import summarise
from protoseg.workflows.reports.estimates import estimate_correlation
from protoseg.workflows.reports.html_report import EvaluationFolder, render_report

__all__ = ["ROWS_FILE", "RUN_FILE", "write_report"]

ROWS_FILE, RUN_FILE = "metrics.csv", "run.json"


def write_report(evaluations: Sequence[str | Path], output_dir: str | Path) -> None:
    """Write `report.html` and `metrics.json` from the files of evaluations, and print the means.

    Several evaluations, of different folds or label sets, are taken together; `metrics.csv` then holds the rows of
    all.

    Args:
        evaluations: folders of the evaluations.
        output_dir: folder of the report.

    Raises:
        InputError: a folder holds no evaluation, or two of them score the same scan and label under one protocol.
    """
    output_dir = to_path(output_dir, "output_dir")
    folders = [_read(Path(folder)) for folder in evaluations]
    rows = [row for folder in folders for row in folder.rows]
    _check_rows(rows, evaluations)
    by_protocol = {name: [row for row in rows if row["protocol"] == name] for name in _protocols(rows)}
    summaries = {name: summarise(mine) for name, mine in by_protocol.items()}
    if len(folders) > 1:
        write_rows(output_dir / ROWS_FILE, rows)
    write_json(output_dir / "metrics.json", _figures(folders, rows, summaries))
    with replacing(output_dir / "report.html") as unfinished:
        unfinished.write_text(render_report(folders, by_protocol, summaries), encoding="utf-8")
    _print(summaries, output_dir / "report.html")


def _read(folder: Path) -> EvaluationFolder:
    if not (folder / ROWS_FILE).is_file() or not (folder / RUN_FILE).is_file():
        raise InputError(
            f"{folder} holds no finished evaluation: {ROWS_FILE} or {RUN_FILE} is missing. Give the output_dir of an "
            "evaluation that has ended."
        )
    run = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    return EvaluationFolder(folder, read_rows(folder / ROWS_FILE), run)


def _check_rows(rows: Sequence[CaseRow], evaluations: Sequence[str | Path]) -> None:
    seen = set()
    for row in rows:
        case = (row["protocol"], row["scan"], row["label"])
        if case in seen:
            raise InputError(
                f"{', '.join(map(str, evaluations))}: {row['label']} of {row['scan']} is scored twice under the "
                f"protocol {row['protocol']}. Give evaluations of different folds or label sets."
            )
        seen.add(case)


def _protocols(rows: Sequence[CaseRow]) -> list[str]:
    return list(dict.fromkeys(row["protocol"] for row in rows))


def _figures(
    folders: Sequence[EvaluationFolder], rows: Sequence[CaseRow], summaries: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Give the content of `metrics.json`, whose mean Dice is that of the first protocol, leak-free if evaluated."""
    first = next(iter(summaries.values()))
    return {
        "mean_dice": first["means"]["dice"]["mean"],
        "labels": {name: value for folder in folders for name, value in folder.run["labels"].items()},
        "estimate_correlation": _estimate_correlation(rows),
        "protocols": summaries,
    }


def _estimate_correlation(rows: Sequence[CaseRow]) -> float | None:
    pairs = [(row["estimated_dice"], row["dice"]) for row in rows if row["estimated_dice"] is not None]
    pairs = [pair for pair in pairs if np.isfinite(pair).all()]
    correlation = estimate_correlation(*zip(*pairs)) if pairs else None
    return None if correlation is None else round(correlation, 3)


def _print(summaries: dict[str, dict[str, Any]], report: Path) -> None:
    labels = list(dict.fromkeys(label for summary in summaries.values() for label in summary["labels"]))
    print(f"{'mean Dice':>16}  " + "  ".join(f"{protocol:>9}" for protocol in summaries))
    for name in labels:
        figures = [summary["labels"].get(name, {}).get("dice", {}).get("mean") for summary in summaries.values()]
        print(f"{name:>16}  " + "  ".join(f"{_text(figure):>9}" for figure in figures))
    means = [summary["means"]["dice"]["mean"] for summary in summaries.values()]
    print(f"{'all labels':>16}  " + "  ".join(f"{_text(mean):>9}" for mean in means) + f"  written to {report}")


def _text(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.4f}"
