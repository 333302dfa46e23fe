"""Summarizes the rows of a suite as figures: set by set, group by group, label by label."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protoseg.workflows.evaluation.bootstrap import mean_interval
from protoseg.workflows.reports.estimates import estimate_correlation
from protoseg.workflows.suite.index import FACTS
from protoseg.workflows.suite.rows import INTERVAL, SuiteRow

__all__ = ["HIGH", "LOW", "as_pairs", "figures_table", "rows_by", "summarize", "summary_table"]

LOW, HIGH = 0.3, 0.7  # a true Dice below LOW that is estimated above HIGH misleads
Figures = dict[str, Any]


def summarize(rows: Sequence[SuiteRow]) -> Figures:
    """Summarize a whole suite, each set weighing the same, as JSON: None stands for undefined figures.

    Returns:
        Figures: "dice", over sets; "estimate", over all labels; "sets", "labels" (set by set) and "groups" (by
        modality, region and dimension), each by name.
    """
    sets = {name: _set_figures(mine) for name, mine in rows_by(rows, "set").items()}
    return {
        "dice": _over_sets(sets.values()),
        "scored": sum(figures["scored"] for figures in sets.values()),
        "pairs": sum(figures["pairs"] for figures in sets.values()),
        "estimate": estimate_figures(rows),
        "false_positives": _false_positives(rows),
        "seconds": sum(row["seconds"] for row in _one_a_pair(rows)),
        "sets": sets,
        "groups": {fact: _groups(rows, fact, sets) for fact in FACTS},
        "labels": {
            name: {label: _set_figures(own) for label, own in rows_by(mine, "label").items()}
            for name, mine in rows_by(rows, "set").items()
        },
    }


def rows_by(rows: Iterable[SuiteRow], key: str) -> dict[str, list[SuiteRow]]:
    """Group rows by one of their texts, in order of appearance."""
    groups: dict[str, list[SuiteRow]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return groups


def as_pairs(rows: Sequence[SuiteRow], measure: str) -> NDArray[np.float64]:
    """Arrange a measure of the rows of a set as a table (pairs, labels); NaN where it is not defined."""
    pairs = {key: place for place, key in enumerate(dict.fromkeys(map(_pair, rows)))}
    labels = {name: place for place, name in enumerate(dict.fromkeys(row["label"] for row in rows))}
    table = np.full((len(pairs), len(labels)), np.nan)
    for row in rows:
        if row[measure] is not None:
            table[pairs[_pair(row)], labels[row["label"]]] = row[measure]
    return table


def estimate_figures(rows: Iterable[SuiteRow]) -> Figures:
    """Judge how well the estimated Dice follows the true one, over the labels that have both.

    Returns:
        Figures: "labels", their number; "correlation" (Pearson); "error", mean of absolute differences; "low", how many
        have a true Dice below `LOW`; "low_called_high", how many of these are estimated above `HIGH`; "coverage", share
        of the true values within the estimates' intervals, None where they have none.
    """
    known = [row for row in rows if row["dice"] is not None and row["estimated_dice"] is not None]
    estimated, true = [row["estimated_dice"] for row in known], [row["dice"] for row in known]
    low = [row for row in known if row["dice"] < LOW]
    bounded = [(row[INTERVAL[0]], row["dice"], row[INTERVAL[1]]) for row in known if row.get(INTERVAL[0]) is not None]
    return {
        "labels": len(known),
        "correlation": _rounded(estimate_correlation(estimated, true)) if known else None,
        "error": _mean(abs(a - b) for a, b in zip(estimated, true)),
        "low": len(low),
        "low_called_high": sum(row["estimated_dice"] > HIGH for row in low),
        "coverage": _mean(lowest <= value <= highest for lowest, value, highest in bounded),
    }


def figures_table(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List the figures as rows of a table with the columns "level" and "name"."""
    levels = [("all sets", "", summary)]
    levels += [("set", name, figures) for name, figures in summary["sets"].items()]
    levels += [(fact, name, own) for fact, groups in summary["groups"].items() for name, own in groups.items()]
    levels += [
        ("label", f"{name}/{label}", own) for name, mine in summary["labels"].items() for label, own in mine.items()
    ]
    return [{"level": level, "name": name, **_flat(figures)} for level, name, figures in levels]


def summary_table(summary: Mapping[str, Any]) -> str:
    """Format the figures by set, by group and by label as text."""
    wide = max(len(name) for name in (*summary["sets"], "mean over sets"))
    lines = [f"{'':{wide}}   Dice  95 % interval  pairs  labels  HD95 mm  estimate r  error  seconds"]
    for name, figures in summary["sets"].items():
        estimate = figures["estimate"]
        lines.append(
            f"{name:{wide}}  {_text(figures['dice']['mean'])}  {_interval(figures['dice'])}  {figures['pairs']:5}  "
            f"{figures['scored']:6}  {_text(figures['hd95_mm'], 1):>7}  {_text(estimate['correlation'], 2):>10}  "
            f"{_text(estimate['error'], 2):>5}  {_text(figures['seconds'], 1):>7}"
        )
    lines.append(
        f"{'mean over sets':{wide}}  {_text(summary['dice']['mean'])}  {_interval(summary['dice'])}  "
        f"{summary['pairs']:5}  {summary['scored']:6}"
    )
    for fact, groups in summary["groups"].items():
        several = {name: own["dice"] for name, own in groups.items() if own["dice"]["sets"] > 1}
        told = ", ".join(f"{name} {_text(dice['mean'])} ({dice['sets']})" for name, dice in several.items())
        lines += [f"by {fact} (sets): {told}"] if several and len(groups) > 1 else []
    for name, labels in summary["labels"].items():
        told = ", ".join(f"{label} {_text(own['dice']['mean'])} ({own['scored']})" for label, own in labels.items())
        lines += [f"{name} by label (scored): {told}"] if len(labels) > 1 else []
    return "\n".join([*lines, estimate_text(summary["estimate"])])


def estimate_text(figures: Mapping[str, Any]) -> str:
    """Format the figures of `estimate_figures` as a line."""
    covered = "" if figures["coverage"] is None else f", true within its interval {_text(figures['coverage'])}"
    return (
        f"estimated against true Dice, {figures['labels']} labels: Pearson r {_text(figures['correlation'])}, mean "
        f"absolute error {_text(figures['error'])}, {figures['low_called_high']} of the {figures['low']} with a Dice "
        f"below {LOW} estimated above {HIGH}{covered}"
    )


def _set_figures(rows: Sequence[SuiteRow]) -> Figures:
    table = as_pairs(rows, "dice")
    scored = table[~np.isnan(table)]
    interval = mean_interval(table, pooled=True)
    return {
        **{fact: rows[0][fact] for fact in FACTS},
        "pairs": len(table),
        "scored": len(scored),
        "dice": {"mean": _mean(scored), "interval": None if interval is None else [_rounded(x) for x in interval]},
        "hd95_mm": _mean(row["hd95_mm"] for row in rows if row["hd95_mm"] is not None),
        "estimate": estimate_figures(rows),
        "false_positives": _false_positives(rows),
        "seconds": round(statistics.median(row["seconds"] for row in _one_a_pair(rows)), 3),
    }


def _groups(rows: Sequence[SuiteRow], fact: str, sets: Mapping[str, Figures]) -> dict[str, Figures]:
    """Summarize the sets with the same fact, each set weighing the same."""
    groups = {}
    for value, mine in rows_by(rows, fact).items():
        names = rows_by(mine, "set")
        groups[value or "not given"] = {
            "pairs": sum(sets[name]["pairs"] for name in names),
            "scored": sum(sets[name]["scored"] for name in names),
            "dice": _over_sets(sets[name] for name in names),
            "estimate": estimate_figures(mine),
            "false_positives": _false_positives(mine),
        }
    return groups


def _over_sets(sets: Iterable[Figures]) -> Figures:
    means = [figures["dice"]["mean"] for figures in sets if figures["dice"]["mean"] is not None]
    interval = mean_interval(np.reshape(means, (-1, 1)))
    return {
        "mean": _mean(means),
        "interval": None if interval is None else [_rounded(bound) for bound in interval],
        "sets": len(means),
    }


def _false_positives(rows: Iterable[SuiteRow]) -> Figures:
    """Count labels that were looked for and are absent from the ground truth, and those found all the same."""
    absent = [row for row in rows if row["dice"] is None]
    found = [row["volume_ml"] for row in absent if row["volume_ml"]]
    return {"absent": len(absent), "found": len(found), "mean_ml": _mean(found)}


def _flat(figures: Mapping[str, Any]) -> dict[str, Any]:
    low, high = figures["dice"]["interval"] or (None, None)
    return {
        "sets": figures["dice"].get("sets"),
        "pairs": figures["pairs"],
        "scored": figures["scored"],
        "dice": figures["dice"]["mean"],
        "dice_low": low,
        "dice_high": high,
        "hd95_mm": figures.get("hd95_mm"),
        **{f"estimate_{key}": value for key, value in figures["estimate"].items()},
        **{f"false_positives_{key}": value for key, value in figures["false_positives"].items()},
        "seconds": figures.get("seconds"),
    }


def _one_a_pair(rows: Iterable[SuiteRow]) -> list[SuiteRow]:
    return list({(row["set"], *_pair(row)): row for row in rows}.values())


def _pair(row: SuiteRow) -> tuple[str, str]:
    return row["support"], row["query"]


def _mean(values: Iterable[float]) -> float | None:
    listed = [float(value) for value in values]
    return round(statistics.fmean(listed), 4) if listed else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _interval(dice: Mapping[str, Any]) -> str:
    return "-".center(13) if dice["interval"] is None else "{:.3f} - {:.3f}".format(*dice["interval"])


def _text(figure: float | None, digits: int = 3) -> str:
    return "-".rjust(digits + 2) if figure is None else f"{figure:.{digits}f}"
