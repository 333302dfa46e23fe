"""The report of a suite: tables, figures as JSON, and a page to read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protoseg.errors import InputError
from protoseg.files import replacing, write_json
from protoseg.workflows.reports.csv_tables import write_table
from protoseg.workflows.reports.estimates import draw_estimates
from protoseg.workflows.reports.html_page import data_uri, render_page, svg_uri
from protoseg.workflows.suite.comparison import ROWS_FILE, RUN_FILE, EarlierRun, compare, comparison_table
from protoseg.workflows.suite.index import ScanPair
from protoseg.workflows.suite.pictures import picture_file
from protoseg.workflows.suite.plot import draw_sets
from protoseg.workflows.suite.rows import SuiteRow, write_suite_rows
from protoseg.workflows.suite.summary import estimate_text, figures_table, rows_by, summarize, summary_table

__all__ = ["SuiteReport", "write_report"]

TEMPLATE = "suite.html.jinja"


@dataclass(frozen=True)
class SuiteReport:
    """The results of a run, and its settings."""

    rows: Sequence[SuiteRow]
    run: Mapping[str, Any]
    pairs: Sequence[ScanPair]  # that were asked for
    failures: Sequence[str]  # a line for each pair that could not be segmented


def write_report(report: SuiteReport, output_dir: Path, earlier: EarlierRun | None = None) -> None:
    """Write `rows.csv`, `summary.json`, `summary.csv`, `run.json` and `report.html`, and print the figures.

    Args:
        report: results of the run.
        output_dir: folder of the run, which has the pictures.
        earlier: run to compare with, in `comparison.json` and `comparison.csv` and on the page.

    Raises:
        InputError: nothing was scored, or the two runs have nothing in common.
    """
    if not any(row["dice"] is not None for row in report.rows):
        told = "".join(f"\n  {line}" for line in report.failures)
        raise InputError(f"No label of any pair could be scored, so there is nothing to report.{told}")
    summary = {**summarize(report.rows), "failures": list(report.failures)}
    write_suite_rows(output_dir / ROWS_FILE, report.rows)
    write_json(output_dir / RUN_FILE, report.run)
    write_json(output_dir / "summary.json", summary)
    figures = figures_table(summary)
    write_table(output_dir / "summary.csv", figures, list(figures[0]))
    print(summary_table(summary))
    comparison = None
    if earlier is not None:
        comparison = compare(earlier, report.rows, report.run["settings"])
        _write_comparison(comparison, output_dir)
        print(f"\n{comparison_table(comparison)}")
    with replacing(output_dir / "report.html") as unfinished:
        unfinished.write_text(_render(report, output_dir, summary, comparison), encoding="utf-8")
    print(f"written to {output_dir / 'report.html'}")


def _write_comparison(comparison: Mapping[str, Any], output_dir: Path) -> None:
    write_json(output_dir / "comparison.json", comparison)
    rows = []
    for name, own in [*comparison["sets"].items(), ("mean over sets", comparison["all"])]:
        low, high = own["interval"] or (None, None)
        figures = {key: own[key] for key in ("rows", "before", "now", "difference")}
        rows.append({"set": name, **figures, "low": low, "high": high})
    write_table(output_dir / "comparison.csv", rows, list(rows[0]))


def _render(
    report: SuiteReport, output_dir: Path, summary: Mapping[str, Any], comparison: Mapping[str, Any] | None
) -> str:
    known = [row for row in report.rows if row["dice"] is not None and row["estimated_dice"] is not None]
    estimates = [(row["estimated_dice"], row["dice"], row["modality"] or "all") for row in known]
    pictures = {
        (pair.set_name, pair.support_name, pair.query.name, label): output_dir / picture_file(pair, label)
        for pair in report.pairs
        for label in pair.labels
    }
    return render_page(
        TEMPLATE,
        run=report.run,
        summary=summary,
        comparison=comparison,
        failures=report.failures,
        sets=svg_uri(draw_sets(report.rows, comparison)),
        cases={name: _cases(mine, pictures) for name, mine in rows_by(report.rows, "set").items()},
        estimates=svg_uri(draw_estimates(*zip(*estimates))) if estimates else None,
        estimate_text=estimate_text,
        shown=lambda value: value if isinstance(value, str) else json.dumps(value),
    )


def _cases(rows: Sequence[SuiteRow], pictures: Mapping[tuple[str, str, str, str], Path]) -> list[dict[str, Any]]:
    """Give worst, median and best label of a set, or as many as there are."""
    scored = sorted((row for row in rows if row["dice"] is not None), key=lambda row: row["dice"])
    ranks = {0: "worst", len(scored) - 1: "best", (len(scored) - 1) // 2: "median"}
    if len(scored) < 3:
        ranks = dict(enumerate(("worst", "best")[: len(scored)])) if len(scored) == 2 else {0: "only case"}
    cases = []
    for place in sorted(ranks) if scored else []:
        row = scored[place]
        file = pictures[row["set"], row["support"], row["query"], row["label"]]
        uri = data_uri(file.read_bytes(), "image/jpeg") if file.is_file() else None  # none: outside the body found
        cases.append({"rank": ranks[place], "row": row, "picture": uri})
    return cases
