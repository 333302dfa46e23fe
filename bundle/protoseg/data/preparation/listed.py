"""Any scans that a list names: volumes, DICOM series or pictures, each with its label map or without.

JSON, with the sections of a `dataset.json`, or with "scans" to be divided into folds::

    {"labels": {"liver": 1, "spleen": 2},
     "scans": [{"image": "a.nii.gz", "label": "a_organs.nrrd"},
               {"image": "series_b", "label": "b.nii", "id": "b", "labels": {"spleen": 7}}]}

A case's own "labels" are the values in its file, where they differ. Where its labels name themselves (DICOM SEG and
RTSTRUCT, .seg.nrrd, a folder of masks), they are taken by name. CSV has the columns image, label and, if wanted,
section and id.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from protoseg.data.io.datalists import label_names, load_datalist, section_names
from protoseg.data.io.grids import align_labels
from protoseg.data.io.volumes import query_id, read_image, read_labels
from protoseg.data.preparation.folds import as_listed, in_folds
from protoseg.data.preparation.scans import DataSet, LabelledScan, SourceScan
from protoseg.data.preprocessing.modality import ModalityChoice
from protoseg.errors import InputError
from protoseg.labels import LabelSet
from protoseg.ops.volume import Volume

__all__ = ["UNDIVIDED", "find_listed"]

UNDIVIDED = "scans"
COLUMNS = ("image", "label", "section", "id")


def find_listed(
    source: Path, *, names: Mapping[str, int] | str | None = None, modality: ModalityChoice = "auto"
) -> DataSet:
    """Find the scans of a list; relative paths start from its folder.

    Args:
        source: path of a .json or .csv file.
        names: value of each label by name, a mapping or its JSON text; None to take "labels" of the JSON list.
        modality: modality of all scans; "auto" to tell it from each.

    Raises:
        InputError: the list or a file that it names is missing or cannot be understood; nothing names the labels.
    """
    cases = list(_csv_cases(source) if source.suffix.lower() == ".csv" else _json_cases(source))
    labels = _labels(source, names, needed=any("label" in case for case in cases))
    scans = [_scan(case, labels, source) for case in cases]
    arrange = as_listed if any(scan.section for scan in scans) else in_folds
    return DataSet(source.stem, source, modality, labels, scans, partial(_read, labels=labels), arrange)


def _json_cases(source: Path) -> Iterator[dict[str, Any]]:
    for section in section_names(source) or [UNDIVIDED]:
        for case in load_datalist(source, section):
            yield {**case, "section": None if section == UNDIVIDED else section}


def _csv_cases(source: Path) -> Iterator[dict[str, Any]]:
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in _cells(row))]
            columns = reader.fieldnames or []
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{source} cannot be read as CSV. Give a list with a row for each scan.") from error
    if "image" not in columns or not set(columns) <= set(COLUMNS) or not rows:
        raise InputError(
            f"{source}: found {len(rows)} rows with the columns {', '.join(columns) or 'none'}, expected a row a scan "
            f"with the column image and any of {', '.join(COLUMNS[1:])}. Correct the first line."
        )
    for number, row in rows:
        if None in row:
            raise InputError(
                f"{source}, line {number}: more cells than the first line names. Put a path with a comma in quotes."
            )
        case = {key: value.strip() for key, value in row.items() if value and value.strip()}
        for key in {"image", "label"} & case.keys():
            case[key] = str(source.parent.absolute() / case[key])
            if not Path(case[key]).exists():
                raise InputError(f"{source}, line {number}: the {key} {case[key]} does not exist. Correct the path.")
        if "image" not in case:
            raise InputError(f"{source}, line {number}: no image. Name its file, or take the line out.")
        yield case


def _cells(row: Mapping[str | None, Any]) -> list[str]:
    """Give the cells of a row, those without a column included; a row that ends early has fewer."""
    return [cell for key, cell in row.items() if key is not None and cell is not None] + list(row.get(None, []))


def _labels(source: Path, names: Mapping[str, int] | str | None, *, needed: bool) -> LabelSet:
    if names is not None:
        try:
            return LabelSet.parse(json.loads(names) if isinstance(names, str) else names, "label_names")
        except json.JSONDecodeError as error:
            raise InputError(f'label_names: {names!r} is not JSON. Write it like {{"liver": 1}}.') from error
    if not needed:
        return LabelSet()
    if source.suffix.lower() == ".csv":
        raise InputError(f'{source}: a CSV list does not name its labels. Give --label_names, like {{"liver": 1}}.')
    return LabelSet.parse(label_names(source), f"{source}: labels")


def _scan(case: Mapping[str, Any], labels: Mapping[str, int], source: Path) -> SourceScan:
    own = case.get("labels")
    own_names = None if own is None else LabelSet.parse(own, f"{source}: labels of {case['image']}")
    unknown = set(own_names or {}) - set(labels)
    if unknown:
        raise InputError(
            f"{source}: {case['image']} has the labels {', '.join(sorted(unknown))}, expected names among "
            f"{', '.join(labels)}. Name them in the labels of the whole list too."
        )
    return SourceScan(
        id=str(case.get("id") or query_id(case["image"])),
        image=Path(case["image"]),
        label=Path(case["label"]) if "label" in case else None,
        section=case.get("section"),
        names=own_names,
    )


def _read(scan: SourceScan, *, labels: Mapping[str, int]) -> LabelledScan:
    image = read_image(scan.image)
    if scan.label is None:
        return LabelledScan(image, None)
    drawn = align_labels(read_labels(scan.label, image), image)
    own = {name: value for name, value in drawn.meta.get("label_names", {}).items() if name in labels}
    names = scan.names or own
    if not names:
        return LabelledScan(image, drawn)
    renumbered = torch.zeros_like(drawn)
    for name, value in names.items():
        renumbered[drawn == value] = labels[name]
    return LabelledScan(image, Volume.at(renumbered, drawn.affine, drawn.meta))
