"""An evaluation as one page that needs nothing else: pictures are embedded, and nothing is fetched."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from protoseg.workflows.evaluation.metrics import CaseRow
from protoseg.workflows.evaluation.published_figures import PUBLISHED, PUBLISHED_NOTE
from protoseg.workflows.evaluation.summaries import MEASURES
from protoseg.workflows.reports.box_plots import draw_box_plots
from protoseg.workflows.reports.case_pictures import case_file
from protoseg.workflows.reports.estimates import draw_estimates
from protoseg.workflows.reports.html_page import data_uri, render_page, svg_uri
from protoseg.workflows.reports.pictures import label_color

__all__ = ["EvaluationFolder", "render_report"]

TEMPLATE = "report.html.jinja"
PLOTTED = {name: MEASURES[name] for name in ("dice", "hd95_mm")}


@dataclass(frozen=True)
class EvaluationFolder:
    """The files of an evaluation."""

    path: Path
    rows: Sequence[CaseRow]
    run: Mapping[str, Any]  # see `Evaluation`


def render_report(
    folders: Sequence[EvaluationFolder],
    rows: Mapping[str, Sequence[CaseRow]],
    summaries: Mapping[str, Mapping[str, Any]],
) -> str:
    """Render the page.

    Args:
        folders: folders of the evaluations, with their pictures.
        rows: rows of all evaluations, by protocol.
        summaries: summaries of the rows, by protocol, see `summarise`.
    """
    labels = list(dict.fromkeys(row["label"] for mine in rows.values() for row in mine))
    return render_page(
        TEMPLATE,
        labels=labels,
        summaries=summaries,
        measures=MEASURES,
        seconds={protocol: _seconds(folders, protocol) for protocol in rows},
        published=PUBLISHED,
        published_note=PUBLISHED_NOTE,
        box_plots=svg_uri(draw_box_plots(rows, PLOTTED)),
        cases={label: {name: _cases(folders, mine, label) for name, mine in rows.items()} for label in labels},
        supports=[_support(folder, protocol) for folder in folders for protocol in folder.run["support"]],
        estimates=_estimates(rows),
        runs=[{"name": folder.path.name, **folder.run} for folder in folders],
    )


def _seconds(folders: Sequence[EvaluationFolder], protocol: str) -> float:
    """Compute the median of the seconds per scan."""
    return float(np.median([time for folder in folders for time in folder.run["seconds"].get(protocol, [])]))


def _cases(folders: Sequence[EvaluationFolder], rows: Sequence[CaseRow], label: str) -> list[dict[str, Any]]:
    """Give worst, median and best case of a label, or as many as there are."""
    counted = sorted((row for row in rows if row["label"] == label and math.isfinite(row["dice"])), key=_dice)
    ranks = {0: "worst", len(counted) - 1: "best", (len(counted) - 1) // 2: "median"}
    if len(counted) < 3:
        ranks = dict(zip(range(len(counted)), ("worst", "best") if len(counted) == 2 else ("only case",)))
    return [
        {"rank": ranks[index], "row": counted[index], "picture": _case_picture(folders, counted[index])}
        for index in sorted(ranks)
        if counted
    ]


def _dice(row: CaseRow) -> float:
    return row["dice"]


def _case_picture(folders: Sequence[EvaluationFolder], row: CaseRow) -> str:
    file = case_file(row["protocol"], row["scan"], row["label"])
    folder = next(folder for folder in folders if row in folder.rows)
    return data_uri((folder.path / file).read_bytes(), "image/png")


def _support(folder: EvaluationFolder, protocol: str) -> dict[str, Any]:
    support = folder.run["support"][protocol]
    pictures = [
        {"caption": shown["caption"], "picture": data_uri((folder.path / shown["file"]).read_bytes(), "image/png")}
        for shown in support["shown"]
    ]
    colors = [(label, to_hex(label_color(position))) for position, label in enumerate(folder.run["labels"])]
    return {
        "run": folder.path.name,
        "protocol": protocol,
        "slices": pictures,
        "total": support["slices"],
        "colors": colors,
    }


def _estimates(rows: Mapping[str, Sequence[CaseRow]]) -> str | None:
    """Draw the scatter plot of the estimated Dice; None if there is no estimate."""
    known = [
        (row["estimated_dice"], row["dice"], row["label"])
        for mine in rows.values()
        for row in mine
        if row["estimated_dice"] is not None and math.isfinite(row["dice"])
    ]
    return svg_uri(draw_estimates(*zip(*known))) if known else None
