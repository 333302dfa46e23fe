"""A study: the same scans segmented in several ways and measured label by label, as one table and one plot."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from monai.data import MetaTensor
from tqdm import tqdm

from protoseg.data.io.volumes import query_id
from protoseg.engine.prediction import Prediction
from protoseg.files import replacing, write_json
from protoseg.ops.fingerprint import tensor_digest
from protoseg.ops.slices import volume_from_slices
from protoseg.workflows.evaluation.measures import measure_label
from protoseg.workflows.studies.plot import draw_study

__all__ = ["MEASURES", "Method", "Study", "StudyRow", "study_table"]

Method = Callable[[MetaTensor], Prediction]  # of a volume (C, X, Y, Z), normalized, slices along Z

StudyRow = dict[str, Any]
"""One label of one scan, segmented by one method: "scan", "method", "label", some of `MEASURES`, and "seconds".

Measures are NaN where the label is neither there nor found, see `measure_label`. Seconds are those of the whole scan
with all its labels, encoding included.
"""

MEASURES = {"dice": "Dice", "surface_dice_3mm": "surface Dice 3 mm", "hd95_mm": "HD95 (mm)"}
DIGITS = {"hd95_mm": 1, "seconds": 2}


class Study:
    """Collects rows, and keeps them scan by scan: a study that was stopped, or gets further methods, goes on.

    Args:
        name: name of the files.
        output_dir: folder of the files.
        draw: function that makes the picture of the rows; bars of `MEASURES` when left out.
    """

    def __init__(self, name: str, output_dir: Path, draw: Callable[[Sequence[StudyRow]], Figure] | None = None) -> None:
        self.name, self.output_dir, self.draw = name, output_dir, draw or _bars
        self.rows: list[StudyRow] = []

    def measure(
        self,
        method: str,
        run: Method,
        scans: Iterable[Mapping[str, Any]],
        labels: Mapping[str, int],
        *,
        made_with: str,
    ) -> None:
        """Segment scans by a method and measure what was found, on the grid of the preprocessed scans.

        Args:
            method: name of the method.
            run: function that segments a volume.
            scans: "image" (C, X, Y, Z) and "label" (1, X, Y, Z) after preprocessing.
            labels: value of each label by name.
            made_with: fingerprint of everything that the method depends on; measurements with another are not used.
        """
        for scan in tqdm(scans, method, unit="scan"):
            self.keep(scan, method, made_with, partial(_measured_rows, scan, method, run, labels))

    def keep(
        self,
        sample: Mapping[str, Any],
        what: str,
        made_with: str,
        measure: Callable[..., Iterable[StudyRow]],
        *,
        beside: Path | None = None,
    ) -> None:
        """Add the rows that an earlier run kept of a scan, or else measure them, by `measure(scan=name)`.

        Rows whose file `beside`, which `measure` writes too, is gone are measured anew.
        """
        name = query_id(sample["image"].meta["filename_or_obj"])
        key = f"{made_with} {tensor_digest(sample['image']).hex()} {tensor_digest(sample['label']).hex()}"
        path = self.output_dir / "scans" / self.name / f"{name}.json"
        kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if kept.get(what, {}).get("made_with") != key or (beside and not beside.is_file()):
            kept[what] = {"made_with": key, "rows": [_without_nan(row) for row in measure(scan=name)]}
            write_json(path, kept)
        self.rows += [_with_nan(row) for row in kept[what]["rows"]]

    def write(self) -> None:
        """Write the rows so far as `<name>.csv`, and their means as `<name>.png`."""
        with (
            replacing(self.output_dir / f"{self.name}.csv") as unfinished,
            unfinished.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, fieldnames=list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        with replacing(self.output_dir / f"{self.name}.png") as unfinished:
            self.draw(self.rows).savefig(unfinished, format="png")


def _bars(rows: Sequence[StudyRow]) -> Figure:
    return draw_study(rows, {key: heading for key, heading in MEASURES.items() if key in rows[0]})


def study_table(rows: Sequence[StudyRow]) -> str:
    """Format means over scans as text: for each measure a line per method, with the mean over labels and each label."""
    labels = list(dict.fromkeys(row["label"] for row in rows))
    methods = {method: [row for row in rows if row["method"] == method] for method in (row["method"] for row in rows)}
    tables = []
    for key, heading in MEASURES.items():
        if key in rows[0]:
            lines = [[heading, "mean", *labels]]
            for method, mine in methods.items():
                of_labels = ([row for row in mine if row["label"] == label] for label in labels)
                lines.append([method, _mean(mine, key), *(_mean(chosen, key) for chosen in of_labels)])
            tables.append(lines)
    tables.append([["seconds a scan", ""], *([method, _mean(mine, "seconds")] for method, mine in methods.items())])
    return "\n\n".join(map(_aligned, tables))


def _measured_rows(
    sample: Mapping[str, Any], method: str, run: Method, labels: Mapping[str, int], *, scan: str
) -> Iterable[StudyRow]:
    begin = perf_counter()
    prediction = run(sample["image"])
    seconds = round(perf_counter() - begin, 3)
    found = volume_from_slices(torch.from_numpy(prediction.label_map)[:, None])[0]
    true = sample["label"].as_tensor()[0]
    for label, value in labels.items():
        measures: Mapping[str, Any] = measure_label(found == value, true == value, sample["label"].affine)
        figures = {key: round(measures[key], 4) for key in MEASURES}
        yield {"scan": scan, "method": method, "label": label, **figures, "seconds": seconds}


def _without_nan(row: StudyRow) -> StudyRow:
    return {key: None if isinstance(value, float) and np.isnan(value) else value for key, value in row.items()}


def _with_nan(row: StudyRow) -> StudyRow:
    return {key: np.nan if value is None else value for key, value in row.items()}


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*lines)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def _mean(rows: Sequence[StudyRow], key: str) -> str:
    values = [row[key] for row in rows if not np.isnan(row[key])]
    return f"{np.mean(values):.{DIGITS.get(key, 3)}f}" if values else "-"
