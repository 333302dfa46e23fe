"""Label maps to DICOM SEG and back, so that what is read is what was written.

Defects of MONAI Label 0.8.5: a segment is named after its rank among the values present, so that a lone spleen is
stored as "liver"; all are coded as one organ; an empty label map answers 500; and reading gives segment numbers on the
grid of the non-empty slices instead of label values on the image's grid.
"""

import json
import logging
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK

from lib.server.anatomy_codes import segment_color, segment_type
from protoseg.data.io.grids import align_labels
from protoseg.data.io.segment_values import keep_label_value
from protoseg.data.io.volumes import read_image, read_labels
from protoseg.errors import InputError
from protoseg.files import PathLike
from protoseg.ops.volume import Volume

__all__ = ["legend_of", "named_values", "read_segmentation", "write_segmentation"]

MODEL_NAME = "protoseg"

logger = logging.getLogger(__name__)


def named_values(label_info: list[dict[str, Any]] | None) -> dict[int, dict[str, Any]]:
    """Key a client's `label_info` by label value: its `idx`, or else (OHIF sends none) its place in the list from 1.

    Raises:
        InputError: it is no list of objects with a `name`, or two of them share a value.
    """
    named: dict[int, dict[str, Any]] = {}
    for place, entry in enumerate(label_info or [], start=1):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise InputError(f"label_info holds {entry!r}, expected an object such as {{'name': 'liver', 'idx': 1}}.")
        value = entry.get("idx", place)
        if not isinstance(value, int) or value in named:
            raise InputError(f"label_info gives {entry['name']!r} the value {value!r}, expected an integer of its own.")
        named[value] = entry
    return named


def legend_of(info: Mapping[str, Any]) -> dict[str, str] | None:
    """Read the names by value that a client sent with a label; None if it sent nothing of use.

    Slicer sends `label_info: [{"name": "liver", "idx": 2}]`, where idx is the value in the file it sent along.
    """
    try:
        named = named_values(info.get("label_info"))
    except InputError as error:
        logger.warning("The names of a label are not used. %s", error)
        return None
    legend = {str(value): entry["name"] for value, entry in named.items() if entry["name"] != "background"}
    return legend or None


def write_segmentation(
    series: PathLike, label_map: PathLike, label_info: list[dict[str, Any]] | None, *_: Any, after: str = "", **__: Any
) -> str:
    """Write a label map on the grid of a folder's DICOM series as DICOM SEG; return the path of a temporary file.

    A value that `label_info` does not name becomes "label_<value>". It may give `color` and `segmentAttribute`
    (dcmqi's) beside a name. It is dated now, or just after the moment `after` ("YYYYMMDD hhmmss.ffffff") where
    the clock is behind that. Other arguments, which MONAI Label's own function has, are ignored.

    Raises:
        InputError: the label map is empty, `label_info` is malformed, or dcmqi refuses the two.
    """
    named = named_values(label_info)
    values = [int(v) for v in np.unique(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(label_map)))) if v]
    if not values:
        raise InputError("The label map is empty: no voxel is labelled. Label something before you save it as DICOM.")
    models = [entry["model_name"] for entry in named.values() if entry.get("model_name")]
    template = {
        "ContentCreatorName": MODEL_NAME,
        "SeriesDescription": models[0] if models else MODEL_NAME,
        "SeriesNumber": "300",
        "InstanceNumber": "1",
        "BodyPartExamined": "",
        "ContentLabel": "SEGMENTATION",
        "ContentDescription": "Label map",
        "segmentAttributes": [[_segment(value, named.get(value, {})) for value in values]],
    }
    with tempfile.TemporaryDirectory() as folder:
        description = Path(folder) / "segments.json"
        description.write_text(json.dumps(template), encoding="utf-8")
        written = Path(folder) / "segmentation.dcm"
        _run_dcmqi(series, label_map, description, written)
        dataset = pydicom.dcmread(written)
    for value, segment in zip(values, dataset.SegmentSequence):  # dcmqi's order is that of the values
        keep_label_value(segment, value)
    # Both tell the newest of several; dcmqi's time has no fraction.
    dataset.ContentDate, dataset.ContentTime = _later_than(after).strftime("%Y%m%d %H%M%S.%f").split()
    with tempfile.NamedTemporaryFile(suffix=".dcm", delete=False) as file:
        dataset.save_as(file)
    return file.name


def _later_than(moment: str) -> datetime:
    """Give the time now, or just after a moment: clocks are set back, each autumn for one."""
    now = datetime.now()
    date, _, time = moment.partition(" ")
    whole, _, fraction = time.partition(".")
    try:
        then = datetime.strptime(f"{date}{whole:0<6}{fraction:0<6}", "%Y%m%d%H%M%S%f")
    except ValueError:  # there is none, or it is that of a writer who dates otherwise
        return now
    return max(now, then + timedelta(microseconds=1))


def _segment(value: int, entry: dict[str, Any]) -> dict[str, Any]:
    name = entry.get("name", f"label_{value}")
    return {
        "SegmentLabel": name,
        "SegmentDescription": entry.get("description", name),
        "SegmentAlgorithmType": "SEMIAUTOMATIC",
        "SegmentAlgorithmName": MODEL_NAME,
        **segment_type(name),
        "recommendedDisplayRGBValue": [int(c) for c in entry.get("color", segment_color(name, value))[:3]],
        **entry.get("segmentAttribute", {}),
        "labelID": value,
    }


def _run_dcmqi(series: PathLike, label_map: PathLike, description: Path, written: Path) -> None:
    inputs = ["--inputImageList", str(label_map), "--inputDICOMDirectory", str(series)]
    outputs = ["--inputMetadata", str(description), "--outputDICOM", str(written)]
    command = ["itkimage2segimage", *inputs, *outputs]
    run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False)
    if run.returncode or not written.exists():
        reason = (run.stderr.strip() or run.stdout.strip() or "no message").splitlines()[-1]
        raise InputError(f"dcmqi cannot write the label map as DICOM SEG: {reason}")


def read_segmentation(segmentation: PathLike, image: Volume | PathLike) -> tuple[Volume, list[dict[str, Any]]]:
    """Read a DICOM SEG as a label map on the grid of an image, with `label_info` [{name, idx}, ...].

    Values and names are those of `read_dicom_seg`.

    Raises:
        InputError: it is no DICOM SEG, or belongs elsewhere than the image.
    """
    labels = align_labels(read_labels(segmentation), read_image(image))
    return labels, [{"name": name, "idx": value} for name, value in labels.meta["label_names"].items()]
