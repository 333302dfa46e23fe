"""What refinement is worth: the same scans, segmented by one method after another and measured label by label."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, TypedDict

import numpy as np
import torch
from monai.data import MetaTensor
from tqdm import tqdm

from protoseg.data.volumes import query_id
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.graph_cut_refiner import GraphCutRefiner
from protoseg.engine.guided_refiner import GuidedRefiner
from protoseg.engine.one_shot import OneShotSettings, segment
from protoseg.engine.prediction import Prediction
from protoseg.engine.support import SupportSet
from protoseg.files import replacing, write_json
from protoseg.maths.alpnet import ALPNet
from protoseg.maths.fingerprint import tensor_digest
from protoseg.maths.slices import volume_from_slices
from protoseg.workflows.measures import measure_label
from protoseg.workflows.refinement_plot import draw_study

__all__ = ["MEASURES", "Method", "StudyRow", "refinement_methods", "study_refinement", "study_table"]

Method = Callable[[MetaTensor], Prediction]  # of a volume (C, X, Y, Z), normalised, axes L, P, S

MEASURES = {"dice": "Dice", "surface_dice_3mm": "surface Dice 3 mm", "hd95_mm": "HD95 (mm)"}


class StudyRow(TypedDict):
    """One label of one scan, segmented by one method."""

    scan: str
    method: str
    label: str
    dice: float  # NaN, as the other measures, where the label is neither there nor found; see `measure_label`
    surface_dice_3mm: float
    hd95_mm: float
    seconds: float  # of the whole scan with all its labels, once the features of its slices are known


def refinement_methods(support: SupportSet, network: ALPNet, cache: FeatureCache) -> dict[str, Method]:
    """What is compared, in the order in which one builds on the other."""
    unfiltered = OneShotSettings(components="none", estimate_quality=False)
    filtered = OneShotSettings(estimate_quality=False)
    guided, graph_cut = GuidedRefiner(), GraphCutRefiner()
    return {
        "coarse": lambda volume: segment(volume, support, network, unfiltered, cache),
        "+ CCA": lambda volume: segment(volume, support, network, filtered, cache),
        "+ guided upsampling": lambda volume: segment(volume, support, network, filtered, cache, refiner=guided),
        "+ graph cut": lambda volume: segment(volume, support, network, filtered, cache, refiner=graph_cut),
    }


def study_refinement(
    scans: Iterable[Mapping[str, Any]],
    methods: Mapping[str, Method],
    labels: Mapping[str, int],
    output_dir: Path,
    *,
    made_with: str,
) -> list[StudyRow]:
    """Segment and measure scans, and write `refinement.csv` and `refinement.png`.

    What was measured is kept scan by scan: a study that was stopped, or that gets further methods, goes on.

    Args:
        scans: "image" (C, X, Y, Z) and "label" (1, X, Y, Z) after preprocessing, on which grid they are compared.
        methods: by name; the first is run once more at the start of a scan, so that all find its features.
        labels: name -> value.
        output_dir: folder of the files.
        made_with: stands for support and weights; what was measured with others is not used.
    """
    rows: list[StudyRow] = []
    for scan in tqdm(scans, "Studying refinement", unit="scan"):
        name = query_id(scan["image"].meta["filename_or_obj"])
        key = f"{made_with} {tensor_digest(scan['image']).hex()} {tensor_digest(scan['label']).hex()}"
        kept = output_dir / "scans" / f"{name}.json"
        measured = _read_measured(kept, key)
        missing = {method: run for method, run in methods.items() if method not in measured}
        if missing:
            next(iter(methods.values()))(scan["image"])
        for method, run in missing.items():
            measured[method] = _measure(scan, name, method, run, labels)
            write_json(kept, {"made_with": key, "methods": measured})
        rows += [_with_nan(row) for method in methods for row in measured[method]]
    _write_csv(output_dir / "refinement.csv", rows)
    with replacing(output_dir / "refinement.png") as unfinished:
        draw_study(rows, MEASURES).savefig(unfinished, format="png")
    return rows


def study_table(rows: Sequence[StudyRow]) -> str:
    """Means over scans as text: a line for each label, their mean and the seconds a scan; a column for each method."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    labels = list(dict.fromkeys(row["label"] for row in rows))
    lines = [["Dice / surface Dice 3 mm / HD95 mm", *methods]]
    for label in labels:
        mine = [row for row in rows if row["label"] == label]
        lines.append([label, *(_cell([row for row in mine if row["method"] == method]) for method in methods)])
    of_method = {method: [row for row in rows if row["method"] == method] for method in methods}
    lines.append(["mean", *(_cell(mine) for mine in of_method.values())])
    seconds = (np.mean(list({row["scan"]: row["seconds"] for row in mine}.values())) for mine in of_method.values())
    lines.append(["seconds a scan", *(f"{mean:.2f}" for mean in seconds)])
    widths = [max(len(cell) for cell in column) for column in zip(*lines)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def _measure(
    scan: Mapping[str, Any], name: str, method: str, run: Method, labels: Mapping[str, int]
) -> list[dict[str, Any]]:
    """The rows of a scan and a method as JSON has them: None for NaN."""
    begin = perf_counter()
    prediction = run(scan["image"])
    seconds = round(perf_counter() - begin, 3)
    found = volume_from_slices(torch.from_numpy(prediction.label_map)[:, None])[0]
    true = scan["label"].as_tensor()[0]
    rows = []
    for label, value in labels.items():
        measures: Mapping[str, Any] = measure_label(found == value, true == value, scan["label"].affine)
        figures = {key: None if np.isnan(measures[key]) else round(measures[key], 4) for key in MEASURES}
        rows.append({"scan": name, "method": method, "label": label, **figures, "seconds": seconds})
    return rows


def _read_measured(path: Path, key: str) -> dict[str, list[dict[str, Any]]]:
    if not path.is_file():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    return kept["methods"] if kept["made_with"] == key else {}


def _with_nan(row: Mapping[str, Any]) -> StudyRow:
    values: Any = {key: np.nan if value is None else value for key, value in row.items()}
    return values


def _write_csv(path: Path, rows: Sequence[StudyRow]) -> None:
    with replacing(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(StudyRow.__annotations__))
        writer.writeheader()
        writer.writerows(rows)


def _cell(rows: Sequence[StudyRow]) -> str:
    counted = [row for row in rows if not np.isnan(row["dice"])]
    if not counted:
        return "-"
    dice, surface, distance = (
        np.mean([row[key] for row in counted]) for key in ("dice", "surface_dice_3mm", "hd95_mm")
    )
    return f"{dice:.3f} / {surface:.3f} / {distance:.1f}"
