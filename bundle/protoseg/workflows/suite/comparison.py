"""Two runs of a suite, pair by pair and label by label."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from protoseg.errors import InputError
from protoseg.moved import renamed_settings
from protoseg.workflows.evaluation.bootstrap import mean_interval
from protoseg.workflows.suite.rows import SuiteRow, read_suite_rows
from protoseg.workflows.suite.summary import as_pairs, estimate_figures, estimate_text, rows_by

__all__ = ["FALLS", "ROWS_FILE", "RUN_FILE", "EarlierRun", "compare", "comparison_table", "read_run"]

FALLS = (0.02, 0.01)  # sets whose mean fell by more are named
ROWS_FILE, RUN_FILE = "rows.csv", "run.json"


@dataclass(frozen=True)
class EarlierRun:
    """A run that has ended."""

    folder: Path
    rows: list[SuiteRow]
    run: dict[str, Any]  # how it was made


def read_run(folder: Path) -> EarlierRun:
    """Read the files of a run.

    Raises:
        InputError: the folder holds no run that has ended.
    """
    if not (folder / ROWS_FILE).is_file() or not (folder / RUN_FILE).is_file():
        raise InputError(
            f"{folder} holds no finished run of a suite: {ROWS_FILE} or {RUN_FILE} is missing. Give the output_dir of "
            "a run that has ended."
        )
    run = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    return EarlierRun(folder, read_suite_rows(folder / ROWS_FILE), run)


def compare(earlier: EarlierRun, rows: Sequence[SuiteRow], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Take paired differences of the Dice of the labels that both runs scored.

    Args:
        earlier: earlier run.
        rows: rows of this run.
        settings: settings that this run was made with.

    Returns:
        Comparison as JSON: "against", the earlier run's folder; "sets", by name, and "all", over sets of equal weight,
        with "before", "now", "difference" and its 95 % "interval" (bootstrap over pairs, and over sets); "fell" and
        "rose", the names of sets by how far; "unpaired", the number of scored labels that only one of them has;
        "estimate" and "seconds" of both for what they share; "settings", those that differ.

    Raises:
        InputError: the runs have no scored label in common.
    """
    before = {_key(row): row for row in earlier.rows if row["dice"] is not None}
    now = {_key(row): row for row in rows if row["dice"] is not None}
    shared = [
        {**row, "before": before[key]["dice"], "difference": row["dice"] - before[key]["dice"]}
        for key, row in now.items()
        if key in before
    ]
    if not shared:
        raise InputError(f"{earlier.folder} has no pair and label in common with this run. Compare runs of one index.")
    sets = {name: _compare_set(mine) for name, mine in rows_by(shared, "set").items()}
    paired = {"before": [before[_key(row)] for row in shared], "now": shared}
    return {
        "against": str(earlier.folder),
        "all": _over_sets(list(sets.values())),
        "sets": sets,
        "fell": {str(bound): [name for name, own in sets.items() if own["difference"] < -bound] for bound in FALLS},
        "rose": {str(bound): [name for name, own in sets.items() if own["difference"] > bound] for bound in FALLS},
        "unpaired": {"before": len(before.keys() - now.keys()), "now": len(now.keys() - before.keys())},
        "estimate": {which: estimate_figures(mine) for which, mine in paired.items()},
        "seconds": {which: round(_seconds(mine), 1) for which, mine in paired.items()},
        "settings": _differing(renamed_settings(earlier.run["settings"]), renamed_settings(settings)),
    }


def comparison_table(comparison: Mapping[str, Any]) -> str:
    """Format a comparison as text."""
    wide = max(len(name) for name in (*comparison["sets"], "mean over sets"))
    lines = [f"against {comparison['against']}", f"{'':{wide}}  before    now  difference  95 % interval"]
    for name, own in [*comparison["sets"].items(), ("mean over sets", comparison["all"])]:
        interval = "" if own["interval"] is None else "{:+.3f} to {:+.3f}".format(*own["interval"])
        lines.append(f"{name:{wide}}   {own['before']:.3f}  {own['now']:.3f}      {own['difference']:+.3f}  {interval}")
    for way in ("fell", "rose"):
        for bound, names in comparison[way].items():
            lines.append(f"{way} by more than {bound}: {', '.join(names) or 'none'}")
    for which, count in comparison["unpaired"].items():
        lines += [f"{count} labels were scored {which} only, and are left out"] if count else []
    lines += [f"{which}: {estimate_text(figures)}" for which, figures in comparison["estimate"].items()]
    seconds = comparison["seconds"]
    lines.append(f"seconds of these pairs: {seconds['before']} before, {seconds['now']} now")
    for name, values in comparison["settings"].items():
        lines.append(f"setting {name}: {json.dumps(values['before'])} before, {json.dumps(values['now'])} now")
    return "\n".join(lines)


def _compare_set(rows: Sequence[SuiteRow]) -> dict[str, Any]:
    return {
        "rows": len(rows),
        "before": round(statistics.fmean(row["before"] for row in rows), 4),
        "now": round(statistics.fmean(row["dice"] for row in rows), 4),
        "difference": round(statistics.fmean(row["difference"] for row in rows), 4),
        "interval": _interval(mean_interval(as_pairs(rows, "difference"), pooled=True)),
    }


def _over_sets(sets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    means = {key: round(statistics.fmean(own[key] for own in sets), 4) for key in ("before", "now", "difference")}
    differences = np.reshape([own["difference"] for own in sets], (-1, 1))
    return {"rows": sum(own["rows"] for own in sets), **means, "interval": _interval(mean_interval(differences))}


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return {name: {"before": before.get(name), "now": now.get(name)} for name in names}


def _interval(bounds: tuple[float, float] | None) -> list[float] | None:
    return None if bounds is None else [round(bound, 4) for bound in bounds]


def _seconds(rows: Sequence[SuiteRow]) -> float:
    """Sum the seconds of all pairs, each counted once."""
    return sum({_key(row)[:3]: row["seconds"] for row in rows}.values())


def _key(row: SuiteRow) -> tuple[str, str, str, str]:
    return row["set"], row["support"], row["query"], row["label"]
