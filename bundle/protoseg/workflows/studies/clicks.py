"""Measures how a segmentation improves with every click of a careful, simulated user."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from protoseg.engine.clicks.click import Click
from protoseg.engine.clicks.segmentation import ClickSegmentation
from protoseg.engine.clicks.simulation import next_click
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.labels import LabelSet
from protoseg.ops.slices import axial_slices
from protoseg.workflows.studies.study import StudyRow

__all__ = ["ClickRow", "click_figures", "click_rows", "study_clicks"]

GOOD = 0.9  # Dice up to which clicks are counted
FALL = 0.01  # of the Dice, by a click that was to correct


class ClickRow(NamedTuple):
    """The result for one label of one scan after some clicks."""

    scan: str
    label: str
    clicks: int
    dice: float
    seconds: float  # from the click to the result


def study_clicks(
    volume: Tensor,
    label_map: Tensor,
    labels: Mapping[str, int],
    encoder: SliceEncoder,
    *,
    scan: str,
    clicks: int = 5,
    **arguments: Any,
) -> Iterator[ClickRow]:
    """Click on each label of a scan, alone, until it is right or the clicks are used up.

    Dice is over the whole volume. A label that is right before gets no more rows; one that the scan lacks gets none.

    Args:
        volume: (C, X, Y, Z) normalized volume, slices along Z.
        label_map: (1, X, Y, Z) ground truth.
        labels: value of each label in `label_map`, by name.
        encoder: encoder of slices.
        scan: name of the scan.
        clicks: largest number of clicks on each label.
        **arguments: arguments of `ClickSegmentation`.
    """
    drawn = axial_slices(label_map)[:, 0].cpu().numpy()
    for name, value in labels.items():
        ground_truth = drawn == value
        found = np.zeros_like(ground_truth)
        session = ClickSegmentation(volume, encoder, labels=LabelSet({name: value}), scan=scan, **arguments)
        set_so_far: list[Click] = []
        while len(set_so_far) < clicks and (click := next_click(ground_truth, found, label=name)) is not None:
            set_so_far.append(click)
            start = time.perf_counter()
            found = session.segment(set_so_far).label_map == value
            seconds = time.perf_counter() - start
            dice = 2 * float((found & ground_truth).sum()) / float(found.sum() + ground_truth.sum())
            yield ClickRow(scan, name, len(set_so_far), dice, seconds)


def click_rows(*scan_and_encoder: Any, clicks: int, **arguments: Any) -> Iterator[StudyRow]:
    """Make a row of a study for every label and number of clicks; arguments of `study_clicks`.

    A label that was right before keeps its Dice, so that means over labels are of the same labels after every click.
    """
    for _, rows in groupby(study_clicks(*scan_and_encoder, clicks=clicks, **arguments), lambda row: row.label):
        for row in rows:
            yield _row(row)
        for further in range(row.clicks + 1, 1 + clicks):
            yield _row(row._replace(clicks=further, seconds=math.nan))


def click_figures(rows: Sequence[StudyRow]) -> dict[str, float]:
    """Sum up the rows of a study: Dice after some clicks, how many clicks it takes, and how often one does harm.

    Args:
        rows: rows of `click_rows`.

    Returns:
        "dice_after_N": mean over labels and scans; "noc90": mean number of clicks up to a Dice of .90, where labels
        that do not get there count as the largest number of clicks; "reached90": share of labels that do;
        "falls": share of the clicks after the first that lower the Dice by more than .01; "seconds": median of a click
        after the first.
    """
    dice: dict[tuple[str, str], list[float]] = {}
    seconds: list[float] = []
    falls: list[bool] = []
    for row in rows:
        mine = dice.setdefault((row["scan"], row["label"]), [])
        if mine and not math.isnan(row["seconds"]):
            seconds.append(row["seconds"])
            falls.append(row["dice"] < mine[-1] - FALL)
        mine.append(row["dice"])
    table = np.array(list(dice.values()))
    reached = (table >= GOOD).any(1)
    needed = np.where(reached, 1 + (table >= GOOD).argmax(1), table.shape[1])
    figures = {f"dice_after_{count}": table[:, count - 1].mean() for count in (1, 3, 5) if count <= table.shape[1]}
    figures |= {"noc90": needed.mean(), "reached90": reached.mean()}
    if falls:
        figures |= {"falls": np.mean(falls), "seconds": np.median(seconds)}
    return {name: round(float(value), 4) for name, value in figures.items()}


def _row(row: ClickRow) -> StudyRow:
    method = f"{row.clicks} click{'' if row.clicks == 1 else 's'}"
    figures = {"dice": round(row.dice, 4), "seconds": round(row.seconds, 3)}
    return {"scan": row.scan, "method": method, "label": row.label, **figures}
